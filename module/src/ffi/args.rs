//! The arguments of a call. Parsers see them; commands get the values that their grammar declares.

use std::ffi::c_int;

use redis_module::raw;

use super::arg::Arg;
use super::server::redis;

/// The arguments of a call, with the command's name.
pub(crate) struct Args<'a> {
    ctx: *mut raw::RedisModuleCtx,
    strings: &'a [*mut raw::RedisModuleString],
}

impl<'a> Args<'a> {
    /// # Safety
    /// These must be what the server passed to a command callback which outlives `'a`.
    pub(super) unsafe fn new(
        ctx: *mut raw::RedisModuleCtx,
        argv: *mut *mut raw::RedisModuleString,
        argc: c_int,
    ) -> Self {
        let length = usize::try_from(argc).unwrap_or(0);
        // SAFETY: the server passes `argc` strings, which live as long as the call.
        let strings = if length == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(argv, length) } };
        Self { ctx, strings }
    }

    /// The argument at `index`; 0 is the command's name.
    pub(crate) fn get(&self, index: usize) -> Option<Arg<'a>> {
        // SAFETY: the server passed it, and it is not changed while the command runs.
        self.strings.get(index).map(|string| unsafe { Arg::borrowed(*string) })
    }

    /// The last argument, for tests that inject faults.
    #[cfg(feature = "fault-injection")]
    pub(crate) fn last(&self) -> Option<Arg<'a>> {
        self.get(self.strings.len().checked_sub(1)?)
    }

    /// Keeps the argument at `index` out of MONITOR, SLOWLOG and logs.
    pub(crate) fn redact(&self, index: usize) {
        if let Ok(index) = c_int::try_from(index) {
            // SAFETY: the context is that of the running command; an index out of range is an error, not undefined.
            unsafe { redis!(RedisModule_RedactClientCommandArgument(self.ctx, index)) };
        }
    }

    /// Keeps every secret out of them. A refused command may hold one in any place, also where no parser has come to.
    pub(super) fn redact_all(&self, is_secret: impl Fn(&[u8]) -> bool) {
        for index in 1..self.strings.len() {
            if self.get(index).is_some_and(|arg| is_secret(arg.bytes())) {
                self.redact(index);
            }
        }
    }
}
