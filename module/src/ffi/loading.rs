//! The server loads data: its own as it starts, or a primary's.

use std::ffi::c_void;

use redis_module::{Context, raw};

use super::server::{OK, redis};

/// What is to be told of that.
pub(crate) trait Loading {
    /// It begins.
    fn begins();

    /// It is over, and commands are answered.
    fn ended();
}

/// Has the server tell `L` of it.
pub(crate) fn watch_loading<L: Loading>(ctx: &Context) -> bool {
    let event = raw::RedisModuleEvent { id: raw::REDISMODULE_EVENT_LOADING, dataver: 1 };
    // SAFETY: the context is that of the load, and the callback is there as long as the module is.
    unsafe { redis!(RedisModule_SubscribeToServerEvent(ctx.ctx, event, Some(told::<L>))) == OK }
}

unsafe extern "C" fn told<L: Loading>(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    subevent: u64,
    _data: *mut c_void,
) {
    match subevent {
        raw::REDISMODULE_SUBEVENT_LOADING_ENDED => L::ended(),
        raw::REDISMODULE_SUBEVENT_LOADING_FAILED => {}
        _ => L::begins(),
    }
}
