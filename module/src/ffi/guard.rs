//! The way from the server into a handler and back: no panic passes.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redis_module::raw;

use super::args::Args;
use super::call::Call;
use super::failure::Failure;
use super::reply::Reply;
use super::server::log_warning;

/// Handles the calls of a command.
pub(crate) trait Handler {
    /// The command.
    const NAME: &'static str;

    /// Handles a call, and replies unless it fails.
    fn run<'a>(call: &Call<'a>, args: &Args<'a>) -> Result<(), Failure>;

    /// Whether an argument is kept out of MONITOR, SLOWLOG and logs where the command fails.
    fn is_secret(argument: &[u8]) -> bool;

    /// Called once `run` has panicked.
    fn panicked();
}

/// The callback that the server calls for the command of `H`.
///
/// A handler that panics would unwind into C, which ends the process; here it becomes an error reply and a line in the log.
pub(crate) extern "C" fn guarded<H: Handler>(
    ctx: *mut raw::RedisModuleCtx,
    argv: *mut *mut raw::RedisModuleString,
    argc: c_int,
) -> c_int {
    // SAFETY: these are the pointers that the server passed, and neither value outlives this function.
    let (call, args) = unsafe { (Call::new(ctx), Args::new(ctx, argv, argc)) };
    let outcome = catch_unwind(AssertUnwindSafe(|| H::run(&call, &args)));
    if !matches!(outcome, Ok(Ok(()))) {
        args.redact_all(H::is_secret);
    }
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(Failure::Arity)) => Reply::wrong_arity(ctx),
        Ok(Err(failure)) => Reply::error(ctx, &failure.to_string()),
        // What the panic said may hold what the client sent: the panic hook has logged where it happened.
        Err(_) => {
            H::panicked();
            log_warning(&format!("a bug: {} panicked and was stopped", H::NAME));
            Reply::error(ctx, "ERR internal error, see the server's log");
        }
    }
    c_int::from(false)
}
