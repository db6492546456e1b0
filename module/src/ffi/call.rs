//! One call of a command: its arguments, its time, and what it leaves behind.

use std::ffi::{CStr, CString};
use std::marker::PhantomData;

use redis_module::raw;
use redis_session_core::UnixMillis;
use redis_session_core::sessions::Cutoff;
use redis_session_core::token::holds_token;

use super::{KeyForReading, KeyForWriting, Reply, redis, stream};
use crate::audit::Entries;
use crate::ffi::Failure;

/// A call of a command by a client, by the primary, or by a log that is replayed.
pub(crate) struct Call<'a> {
    ctx: *mut raw::RedisModuleCtx,
    args: &'a [*mut raw::RedisModuleString],
}

/// One argument of a call.
#[derive(Clone, Copy)]
pub(crate) struct Arg<'a> {
    string: *mut raw::RedisModuleString,
    lifetime: PhantomData<&'a ()>,
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

    pub(super) fn ctx(&self) -> *mut raw::RedisModuleCtx {
        self.ctx
    }

    /// The argument at `index`; 0 is the command's name.
    pub(crate) fn arg(&self, index: usize) -> Option<Arg<'a>> {
        self.args.get(index).map(|string| Arg { string: *string, lifetime: PhantomData })
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

    /// Keeps every token out of them: those of a refused command may be in any place, also one not read yet.
    pub(crate) fn redact_tokens(&self) {
        for (index, string) in self.args.iter().enumerate().skip(1) {
            if holds_token(Arg { string: *string, lifetime: PhantomData }.bytes()) {
                self.redact(index);
            }
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        // SAFETY: the context is that of the running command.
        unsafe { super::is_cluster(self.ctx) }
    }

    /// Passes the cutoff of all users on to replicas and the append-only file.
    pub(crate) fn replicate_cutoff(&self, cutoff: Cutoff) {
        // SAFETY: the format says what follows: a string that ends with NUL, and two numbers.
        unsafe {
            redis!(RedisModule_Replicate(
                self.ctx,
                c"SESSION.REVOKEALL".as_ptr(),
                c"cll".as_ptr(),
                c"CUTOFF".as_ptr(),
                cutoff.began.as_i64(),
                cutoff.iat.as_i64(),
            ));
        }
    }

    /// Adds entries to the audit stream.
    pub(crate) fn audit(&self, entries: Option<Entries>) {
        if let Some(entries) = entries {
            // SAFETY: the context is that of the running command.
            unsafe { stream::append(self.ctx, true, entries) };
        }
    }

    pub(crate) fn open_for_reading(&self, key: Arg<'a>) -> Result<KeyForReading<'a>, Failure> {
        KeyForReading::open(self, key)
    }

    pub(crate) fn open_for_writing(&self, key: Arg<'a>) -> Result<KeyForWriting<'a>, Failure> {
        KeyForWriting::open(self, key)
    }

    pub(crate) fn reply(&self) -> Reply {
        Reply::new(self.ctx)
    }
}

impl<'a> Arg<'a> {
    /// # Safety
    /// `string` must live and stay unchanged for `'a`.
    pub(super) unsafe fn borrowed(string: *mut raw::RedisModuleString) -> Self {
        Self { string, lifetime: PhantomData }
    }

    pub(super) fn string(self) -> *mut raw::RedisModuleString {
        self.string
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        let mut length = 0;
        // SAFETY: the string lives for 'a and is not changed while the command runs.
        unsafe {
            let start = redis!(RedisModule_StringPtrLen(self.string, &raw mut length));
            std::slice::from_raw_parts(start.cast(), length)
        }
    }
}

/// The time now by this server's clock.
pub(crate) fn clock() -> UnixMillis {
    // SAFETY: takes no arguments.
    let now = unsafe { redis!(RedisModule_Milliseconds()) };
    #[cfg(feature = "fault-injection")]
    let now = now.saturating_add(super::fault::ahead());
    UnixMillis::saturating_from(now)
}

/// Writes a line to the server's log, level `warning`.
pub(crate) fn log_warning(text: &str) {
    log(c"warning", text);
}

/// Writes a line to the server's log, level `notice`.
pub(crate) fn log_notice(text: &str) {
    log(c"notice", text);
}

fn log(level: &CStr, text: &str) {
    if let Ok(text) = CString::new(text.replace('\0', " ")) {
        // SAFETY: both strings end with NUL, the format takes one string, and no context is needed to log.
        unsafe { redis!(RedisModule_Log(std::ptr::null_mut(), level.as_ptr(), c"%s".as_ptr(), text.as_ptr())) };
    }
}
