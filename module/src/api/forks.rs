//! Logs that are rewritten as commands: the cutoff of all users goes into the new one also where there is no user, for
//! whose key the child that rewrites the log would write it.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use redis_module::{Context, raw};
use redis_session_core::sessions::Cutoff;

use super::{OK, redis};
use crate::state;

/// Whether a child was forked, perhaps to rewrite the log, and the cutoff is to be written behind its work.
static FORKED: AtomicBool = AtomicBool::new(false);

/// Has the server tell of each fork.
pub(crate) fn watch_forks(ctx: &Context) -> bool {
    let event = raw::RedisModuleEvent { id: raw::REDISMODULE_EVENT_FORK_CHILD, dataver: 1 };
    // SAFETY: the context is that of the load, and the callback is there as long as the module is.
    unsafe { redis!(RedisModule_SubscribeToServerEvent(ctx.ctx, event, Some(forked))) == OK }
}

unsafe extern "C" fn forked(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    subevent: u64,
    _data: *mut c_void,
) {
    if subevent == raw::REDISMODULE_SUBEVENT_FORK_CHILD_BORN {
        FORKED.store(true, Ordering::Relaxed);
    }
}

/// Writes the cutoff into the append-only file once more after a fork. Replicas have it already.
///
/// # Safety
/// The context must be that of a running timer.
pub(super) unsafe fn log_cutoff(ctx: *mut raw::RedisModuleCtx) {
    let cutoff = state::lock().revoked_before();
    // SAFETY: as the caller says.
    let (flags, paused) =
        unsafe { (redis!(RedisModule_GetContextFlags(ctx)), redis!(RedisModule_AvoidReplicaTraffic())) };
    let loading = raw::REDISMODULE_CTX_FLAGS_LOADING | raw::REDISMODULE_CTX_FLAGS_ASYNC_LOADING;
    if paused != 0 || flags.unsigned_abs() & loading != 0 || !FORKED.swap(false, Ordering::Relaxed) {
        return;
    }
    if cutoff != Cutoff::default() {
        // SAFETY: the format says what follows: a string that ends with NUL, and two numbers; `R` keeps it from replicas.
        let _: c_int = unsafe {
            redis!(RedisModule_Replicate(
                ctx,
                c"SESSION.REVOKEALL".as_ptr(),
                c"cllR".as_ptr(),
                c"CUTOFF".as_ptr(),
                cutoff.began.as_i64(),
                cutoff.iat.as_i64(),
            ))
        };
    }
}
