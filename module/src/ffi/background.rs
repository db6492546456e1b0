//! Work that no client asks for: a timer, and the walk through the keys.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::time::Duration;

use redis_module::{Context, raw};
use redis_session_core::readers::Stream;

use super::arg::Arg;
use super::key::KeyForWriting;
use super::server::{OK, is_cluster, redis};
use super::stream;
use super::value::{Numbers, Value, is_ours, stored};

/// From the load to the first tick.
const FIRST: Duration = Duration::from_millis(100);

/// What the server asks of the module itself, rather than of one of its commands.
pub(crate) trait Module: 'static {
    /// Does what the module has to do by itself, for a short time. The answer is when to go on, in a millisecond or later.
    fn tick(tick: &Tick) -> Duration;

    /// Called once `tick` has panicked: it is not called again.
    fn panicked();

    /// What INFO shows: names and values.
    fn figures() -> Vec<(String, u64)>;
}

/// One call of the timer, on the server's main thread.
pub(crate) struct Tick {
    ctx: *mut raw::RedisModuleCtx,
}

/// Starts the ticking, once, while the module loads.
pub(crate) fn start_ticking<M: Module>(ctx: &Context) {
    // SAFETY: the context is that of the load; a timer outlives it.
    unsafe { tick_in::<M>(ctx.ctx, FIRST) };
}

/// # Safety
/// The context must be that of the load or of the running timer.
unsafe fn tick_in<M: Module>(ctx: *mut raw::RedisModuleCtx, wait: Duration) {
    let millis = raw::mstime_t::try_from(wait.as_millis()).unwrap_or(raw::mstime_t::MAX);
    // SAFETY: as the caller says.
    unsafe { redis!(RedisModule_CreateTimer(ctx, millis, Some(tick::<M>), null_mut())) };
}

unsafe extern "C" fn tick<M: Module>(ctx: *mut raw::RedisModuleCtx, _data: *mut c_void) {
    match catch_unwind(AssertUnwindSafe(|| M::tick(&Tick { ctx }))) {
        // SAFETY: the context is that of the running timer.
        Ok(wait) => unsafe { tick_in::<M>(ctx, wait) },
        // The timer is not started again: the cause of the panic is still there.
        Err(_) => M::panicked(),
    }
}

impl Tick {
    /// Whether data may be changed now: not on a replica, while data are loaded, or while writes are paused, as they
    /// are before a failover.
    pub(crate) fn may_write(&self) -> bool {
        // SAFETY: the context is that of the running timer.
        let (flags, paused) =
            unsafe { (redis!(RedisModule_GetContextFlags(self.ctx)), redis!(RedisModule_AvoidReplicaTraffic())) };
        let not_now = raw::REDISMODULE_CTX_FLAGS_SLAVE
            | raw::REDISMODULE_CTX_FLAGS_LOADING
            | raw::REDISMODULE_CTX_FLAGS_ASYNC_LOADING;
        flags.unsigned_abs() & not_now == 0 && paused == 0
    }

    /// Whether the append-only file may be written to now: not while data are loaded, or while writes are paused.
    pub(crate) fn may_log(&self) -> bool {
        // SAFETY: the context is that of the running timer.
        let (flags, paused) =
            unsafe { (redis!(RedisModule_GetContextFlags(self.ctx)), redis!(RedisModule_AvoidReplicaTraffic())) };
        let loading = raw::REDISMODULE_CTX_FLAGS_LOADING | raw::REDISMODULE_CTX_FLAGS_ASYNC_LOADING;
        flags.unsigned_abs() & loading == 0 && paused == 0
    }

    /// Whether data may be looked at now: not while they are loaded.
    pub(crate) fn may_look(&self) -> bool {
        // SAFETY: the context is that of the running timer.
        let flags = unsafe { redis!(RedisModule_GetContextFlags(self.ctx)) };
        let loading = raw::REDISMODULE_CTX_FLAGS_LOADING | raw::REDISMODULE_CTX_FLAGS_ASYNC_LOADING;
        flags.unsigned_abs() & loading == 0
    }

    pub(crate) fn is_cluster(&self) -> bool {
        // SAFETY: the context is that of the running timer.
        unsafe { is_cluster(self.ctx) }
    }

    /// The stream at a key of the database, if one is there.
    pub(crate) fn stream(&self, name: &[u8]) -> Option<Stream> {
        // SAFETY: the context is that of the running timer.
        unsafe { stream::look(self.ctx, name) }
    }

    /// Writes a command into the append-only file alone. Replicas do not get it.
    pub(crate) fn log(&self, numbers: &Numbers) {
        let Numbers { command, word, numbers: [first, second, third] } = numbers;
        // SAFETY: the format says what follows: a string that ends with NUL, and three numbers; `R` keeps it from replicas.
        unsafe {
            redis!(RedisModule_Replicate(
                self.ctx,
                command.as_ptr(),
                c"clllR".as_ptr(),
                word.as_ptr(),
                *first,
                *second,
                *third
            ))
        };
    }

    /// Turns to the database with this number; false if there is none.
    pub(crate) fn select(&self, db: i32) -> bool {
        // SAFETY: as above.
        unsafe { redis!(RedisModule_SelectDb(self.ctx, db)) == OK }
    }

    /// Visits the next few keys of the database that hold values `V`, and calls `panicked` for each visit that panics;
    /// false once there are no more keys.
    pub(crate) fn scan<V: Value>(
        &self,
        cursor: &mut Cursor,
        visit: &mut impl FnMut(&[u8], &V),
        panicked: fn(),
    ) -> bool {
        let mut visit = Visit { visit, panicked };
        let private = (&raw mut visit).cast::<c_void>();
        // SAFETY: context and cursor are good, and the callback gets the pointer that it expects while it is.
        unsafe { redis!(RedisModule_Scan(self.ctx, cursor.0, Some(visited::<V>), private)) != 0 }
    }

    /// Opens a key of the database for changes, without making it look as if it had been used.
    pub(crate) fn change<V: Value>(&self, name: &[u8], change: impl FnOnce(&mut KeyForWriting<'_, V>)) {
        // SAFETY: the server copies the name; the string is freed below, after all that borrows it.
        let string = unsafe { redis!(RedisModule_CreateString(self.ctx, name.as_ptr().cast(), name.len())) };
        // SAFETY: the string lives and stays unchanged as long as the key is open.
        if let Ok(mut key) = unsafe { KeyForWriting::open_quietly(self.ctx, Arg::borrowed(string)) } {
            change(&mut key);
        }
        // SAFETY: it was made above with the same context, and what borrowed it is gone.
        unsafe { redis!(RedisModule_FreeString(self.ctx, string)) };
    }
}

/// What to do with a key's name and value, and after a panic.
struct Visit<'v, V> {
    visit: &'v mut dyn FnMut(&[u8], &V),
    panicked: fn(),
}

unsafe extern "C" fn visited<V: Value>(
    _ctx: *mut raw::RedisModuleCtx,
    name: *mut raw::RedisModuleString,
    key: *mut raw::RedisModuleKey,
    private: *mut c_void,
) {
    if key.is_null() || !is_ours::<V>(key) {
        return;
    }
    // SAFETY: the private data are what `scan` passed, and used by nobody else meanwhile; name and value are good until
    // this returns, and a key of our type has a value of ours.
    let (Visit { visit, panicked }, name, value) = unsafe {
        let value = redis!(RedisModule_ModuleTypeGetValue(key));
        (&mut *private.cast::<Visit<'_, V>>(), Arg::borrowed(name).bytes(), stored(value))
    };
    // A panic must not pass through the server. What it did not do it will not do at the next visit either.
    if catch_unwind(AssertUnwindSafe(|| visit(name, value))).is_err() {
        panicked();
    }
}

/// How far a walk through the keys of one database has come.
pub(crate) struct Cursor(*mut raw::RedisModuleScanCursor);

// SAFETY: only the main thread uses it, under a lock.
unsafe impl Send for Cursor {}

impl Cursor {
    pub(crate) fn new() -> Self {
        // SAFETY: takes no arguments.
        Self(unsafe { redis!(RedisModule_ScanCursorCreate()) })
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        // SAFETY: it was created once and is destroyed once.
        unsafe { redis!(RedisModule_ScanCursorDestroy(self.0)) };
    }
}

/// Registers the section of INFO that shows the figures.
pub(crate) fn register_info<M: Module>(ctx: &Context) -> bool {
    // SAFETY: the context is that of the load.
    unsafe { redis!(RedisModule_RegisterInfoFunc(ctx.ctx, Some(info::<M>))) == OK }
}

unsafe extern "C" fn info<M: Module>(ctx: *mut raw::RedisModuleInfoCtx, for_crash_report: c_int) {
    // What crashed may hold what the figures need.
    if for_crash_report != 0 {
        return;
    }
    let figures = catch_unwind(M::figures).unwrap_or_default();
    // SAFETY: the context is that of the running INFO; no name stands for the module's own section.
    if unsafe { redis!(RedisModule_InfoAddSection(ctx, std::ptr::null())) } != OK {
        return;
    }
    for (name, value) in figures {
        if let Ok(name) = std::ffi::CString::new(name) {
            // SAFETY: as above; the name ends with NUL, and the server copies it.
            unsafe { redis!(RedisModule_InfoAddFieldULongLong(ctx, name.as_ptr(), value)) };
        }
    }
}
