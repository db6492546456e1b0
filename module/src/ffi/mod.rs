//! The rooms where the module API is called: everything `unsafe` is here, behind types that are safe to use.

mod background;
mod call;
mod failure;
#[cfg(feature = "fault-injection")]
mod fault;
mod guard;
mod key;
mod memory;
mod options;
mod register;
mod reply;
mod settings;
mod stream;
mod value;

pub(crate) use background::{Cursor, Tick, register_info, start_ticking};
pub(crate) use call::{Arg, Call, clock, log_notice, log_warning};
pub(crate) use failure::Failure;
pub(crate) use guard::guarded;
pub(crate) use key::{KeyForReading, KeyForWriting, Sessions};
pub(crate) use options::declare_options;
pub(crate) use register::{add_category, register, require_api};
pub(crate) use reply::Reply;
pub(crate) use settings::{Kind, Setting, Shown, names, register_settings};
pub(crate) use value::TYPE;

/// What the API's functions answer when they did what they were asked to.
#[allow(clippy::cast_possible_truncation)] // 0
const OK: std::ffi::c_int = redis_module::raw::REDISMODULE_OK as std::ffi::c_int;
/// What they answer otherwise.
#[allow(clippy::cast_possible_truncation)] // 1
const ERR: std::ffi::c_int = redis_module::raw::REDISMODULE_ERR as std::ffi::c_int;

/// Calls a function of the module API that [`require_api`] found at load.
macro_rules! redis {
    ($name:ident($($argument:expr),* $(,)?)) => {
        match redis_module::raw::$name {
            Some(function) => function($($argument),*),
            None => $crate::ffi::missing(stringify!($name)),
        }
    };
}
pub(crate) use redis;

/// Cannot happen, as the module does not load without the functions that it calls.
#[cold]
#[allow(clippy::panic)] // the guard around every handler answers with an error
fn missing(name: &str) -> ! {
    panic!("{name} is missing")
}

/// Whether this server is a node of a cluster.
///
/// # Safety
/// The context must be that of the running command or timer.
unsafe fn is_cluster(ctx: *mut redis_module::raw::RedisModuleCtx) -> bool {
    // SAFETY: as the caller says.
    let flags = unsafe { redis!(RedisModule_GetContextFlags(ctx)) }.unsigned_abs();
    flags & redis_module::raw::REDISMODULE_CTX_FLAGS_CLUSTER != 0
}
