//! One call of a command: its arguments, and what it leaves behind.

use redis_module::raw;

use super::arg::Arg;
use super::failure::Failure;
use super::key::{KeyForReading, KeyForWriting};
use super::reply::Reply;
use super::server::{is_cluster, redis};
use super::stream;
use super::value::{Numbers, Value};

/// A call of a command by a client, by the primary, or by a log that is replayed.
pub(crate) struct Call<'a> {
    ctx: *mut raw::RedisModuleCtx,
    args: &'a [*mut raw::RedisModuleString],
}

impl<'a> Call<'a> {
    /// # Safety
    /// The pointers must be those that the server passed to a command callback which outlives `'a`.
    pub(super) unsafe fn new(
        ctx: *mut raw::RedisModuleCtx,
        argv: *mut *mut raw::RedisModuleString,
        argc: std::ffi::c_int,
    ) -> Self {
        let length = usize::try_from(argc).unwrap_or(0);
        // SAFETY: the server passes `argc` strings, which live as long as the call.
        let args = if length == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(argv, length) } };
        Self { ctx, args }
    }

    /// The argument at `index`; 0 is the command's name.
    pub(crate) fn arg(&self, index: usize) -> Option<Arg<'a>> {
        // SAFETY: the server passed it, and it is not changed while the command runs.
        self.args.get(index).map(|string| unsafe { Arg::borrowed(*string) })
    }

    /// Whether this comes from the primary or from an append-only file that is loaded, not from a client.
    pub(crate) fn is_replay(&self) -> bool {
        // SAFETY: the context is that of the running command.
        let flags = unsafe { redis!(RedisModule_GetContextFlags(self.ctx)) }.unsigned_abs();
        let replicated = flags & raw::REDISMODULE_CTX_FLAGS_REPLICATED != 0;
        let loading = flags & raw::REDISMODULE_CTX_FLAGS_LOADING != 0;
        // A replica that loads a new data set while it serves the old one is loading, too, and has clients.
        let serving = flags & raw::REDISMODULE_CTX_FLAGS_ASYNC_LOADING != 0;
        replicated || (loading && !serving)
    }

    /// Keeps the argument at `index` out of MONITOR, SLOWLOG and logs.
    pub(crate) fn redact(&self, index: usize) {
        if let Ok(index) = std::ffi::c_int::try_from(index) {
            // SAFETY: the context is that of the running command; an index out of range is an error, not undefined.
            unsafe { redis!(RedisModule_RedactClientCommandArgument(self.ctx, index)) };
        }
    }

    /// Keeps every secret out of them: those of a refused command may be in any place, also one not read yet.
    pub(super) fn redact_all(&self, is_secret: impl Fn(&[u8]) -> bool) {
        for index in 1..self.args.len() {
            if self.arg(index).is_some_and(|arg| is_secret(arg.bytes())) {
                self.redact(index);
            }
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        // SAFETY: the context is that of the running command.
        unsafe { is_cluster(self.ctx) }
    }

    /// Passes a command on to replicas and the append-only file.
    pub(crate) fn replicate(&self, numbers: &Numbers) {
        let Numbers { command, word, numbers: [first, second] } = numbers;
        // SAFETY: the format says what follows: a string that ends with NUL, and two numbers.
        unsafe {
            redis!(RedisModule_Replicate(self.ctx, command.as_ptr(), c"cll".as_ptr(), word.as_ptr(), *first, *second));
        }
    }

    /// Adds entries of names and values to a stream; the answer is how many could not be added.
    pub(crate) fn append(
        &self,
        stream: &[u8],
        maxlen: Option<u64>,
        entries: Vec<Vec<(&'static str, String)>>,
    ) -> usize {
        // SAFETY: the context is that of the running command.
        unsafe { stream::append(self.ctx, true, stream, maxlen, entries) }
    }

    pub(crate) fn open_for_reading<V: Value>(&self, key: Arg<'a>) -> Result<KeyForReading<'a, V>, Failure> {
        // SAFETY: the context is that of the running command.
        unsafe { KeyForReading::open(self.ctx, key) }
    }

    pub(crate) fn open_for_writing<V: Value>(&self, key: Arg<'a>) -> Result<KeyForWriting<'a, V>, Failure> {
        // SAFETY: the context is that of the running command.
        unsafe { KeyForWriting::open(self.ctx, key) }
    }

    pub(crate) fn reply(&self) -> Reply {
        Reply::new(self.ctx)
    }
}
