//! Forks of the server: a child may rewrite the append-only file.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use redis_module::{Context, raw};

use super::server::{OK, redis};

static FORKED: AtomicBool = AtomicBool::new(false);

/// Has the server tell of each fork.
pub(crate) fn watch_forks(ctx: &Context) -> bool {
    let event = raw::RedisModuleEvent { id: raw::REDISMODULE_EVENT_FORK_CHILD, dataver: 1 };
    // SAFETY: the context is that of the load, and the callback is there as long as the module is.
    unsafe { redis!(RedisModule_SubscribeToServerEvent(ctx.ctx, event, Some(forked))) == OK }
}

/// Whether a child was forked since the last call.
pub(crate) fn take_fork() -> bool {
    FORKED.swap(false, Ordering::Relaxed)
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
