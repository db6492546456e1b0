//! One call of a command: what it opens, replies and replicates. Its arguments are apart, in [`super::args`].

use std::marker::PhantomData;

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
    lifetime: PhantomData<&'a ()>,
}

impl<'a> Call<'a> {
    /// # Safety
    /// The pointer must be the one that the server passed to a command callback which outlives `'a`.
    pub(super) unsafe fn new(ctx: *mut raw::RedisModuleCtx) -> Self {
        Self { ctx, lifetime: PhantomData }
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

    pub(crate) fn is_cluster(&self) -> bool {
        // SAFETY: the context is that of the running command.
        unsafe { is_cluster(self.ctx) }
    }

    /// Passes a command on to replicas and the append-only file.
    pub(crate) fn replicate(&self, numbers: &Numbers) {
        let Numbers { command, word, numbers: [first, second, third] } = numbers;
        // SAFETY: the format says what follows: a string that ends with NUL, and three numbers.
        unsafe {
            redis!(RedisModule_Replicate(
                self.ctx,
                command.as_ptr(),
                c"clll".as_ptr(),
                word.as_ptr(),
                *first,
                *second,
                *third
            ));
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

    pub(crate) fn reply(&self) -> Reply<'a> {
        Reply::new(self.ctx)
    }

    /// Writes the reply that `write` describes, as one JSON text if `is_json`.
    pub(crate) fn reply_as(
        &self,
        is_json: bool,
        write: impl FnOnce(Reply<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if is_json { self.reply().json(write) } else { write(self.reply()) }
    }
}
