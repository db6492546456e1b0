//! The way from the server into a handler and back: no panic passes.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redis_module::raw;

use super::{Call, Reply, log_warning};
use crate::commands::Command;
use crate::ffi::Failure;
use crate::stats;

/// The callback that the server calls for command `C`.
///
/// A handler that panics would unwind into C, which ends the process; here it becomes an error reply and a line in the log.
pub(crate) extern "C" fn guarded<C: Command>(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    // SAFETY: these are the pointers that the server passed, and the call does not outlive this function.
    let call = unsafe { Call::new(ctx, argv, argc) };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        #[cfg(feature = "fault-injection")]
        super::fault::inject(&call);
        C::run(&call)
    }));
    if !matches!(outcome, Ok(Ok(()))) {
        call.redact_tokens();
    }
    let reply = Reply::new(ctx);
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(Failure::Arity)) => reply.wrong_arity(),
        Ok(Err(failure)) => reply.error(&failure.to_string()),
        // What the panic said may hold what the client sent: the panic hook has logged where it happened.
        Err(_) => {
            stats::PANICS.add(1);
            log_warning(&format!("a bug: {} panicked and was stopped", C::SPEC.name));
            reply.error("ERR internal error, see the server's log");
        }
    }
    c_int::from(false)
}
