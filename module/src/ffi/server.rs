//! The server's functions: how they are called, and those that any part of the module may call at any time.

use std::ffi::{CStr, CString};
use std::time::Duration;

use redis_session_core::UnixMillis;

#[cfg(feature = "fault-injection")]
use super::fault;

/// What the API's functions answer when they did what they were asked to.
#[allow(clippy::cast_possible_truncation)] // 0
pub(super) const OK: std::ffi::c_int = redis_module::raw::REDISMODULE_OK as std::ffi::c_int;
/// What they answer otherwise.
#[allow(clippy::cast_possible_truncation)] // 1
pub(super) const ERR: std::ffi::c_int = redis_module::raw::REDISMODULE_ERR as std::ffi::c_int;

/// Calls a function of the module API that [`super::require_api`] found at load.
macro_rules! redis {
    ($name:ident($($argument:expr),* $(,)?)) => {
        match redis_module::raw::$name {
            Some(function) => function($($argument),*),
            None => $crate::ffi::server::missing(stringify!($name)),
        }
    };
}
pub(super) use redis;

/// Cannot happen, as the module does not load without the functions that it calls.
#[cold]
#[allow(clippy::panic)] // the guard around every handler answers with an error
pub(super) fn missing(name: &str) -> ! {
    panic!("{name} is missing")
}

/// Whether this server is a node of a cluster.
///
/// # Safety
/// The context must be that of the running command or timer.
pub(super) unsafe fn is_cluster(ctx: *mut redis_module::raw::RedisModuleCtx) -> bool {
    // SAFETY: as the caller says.
    let flags = unsafe { redis!(RedisModule_GetContextFlags(ctx)) }.unsigned_abs();
    flags & redis_module::raw::REDISMODULE_CTX_FLAGS_CLUSTER != 0
}

/// The time now by this server's clock.
pub(crate) fn clock() -> UnixMillis {
    // SAFETY: takes no arguments.
    let now = unsafe { redis!(RedisModule_Milliseconds()) };
    #[cfg(feature = "fault-injection")]
    let now = now.saturating_add(fault::ahead());
    UnixMillis::saturating_from(now)
}

/// The processor time that this thread has used.
pub(crate) fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock writes into `time`, which outlives the call. It cannot fail for a clock that there is.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    let part = |number| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)).saturating_add(Duration::from_nanos(part(time.tv_nsec)))
}

/// Publishes a message to the subscribers of a channel: of this server, and of all nodes of its cluster.
pub(crate) fn publish(channel: &str, message: &str) {
    // SAFETY: no context is needed to make strings or to publish; the bytes outlive the calls, which copy them, and each
    // string is freed once.
    unsafe {
        let [channel, message] = [channel, message]
            .map(|text| redis!(RedisModule_CreateString(std::ptr::null_mut(), text.as_ptr().cast(), text.len())));
        redis!(RedisModule_PublishMessage(std::ptr::null_mut(), channel, message));
        for text in [channel, message] {
            redis!(RedisModule_FreeString(std::ptr::null_mut(), text));
        }
    }
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
