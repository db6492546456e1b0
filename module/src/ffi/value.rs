//! The native type: how the server stores, copies, measures and frees one user's sessions.
//!
//! Saving may run in a forked child, freeing in a background thread: no callback here waits for a lock that another
//! thread could hold at a fork. See [`crate::state`] for how agents are released.

use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};

use redis_module::native_types::RedisType;
use redis_module::{logging, raw};
use redis_session_core::sessions::{Cutoff, UserSessions};

use super::{ERR, OK, log_warning, redis};
use crate::state;
use crate::stats::{self, Share};

/// Of the file format, see `redis_session_core::sessions`.
const ENCODING_VERSION: c_int = 1;

/// The type of a key that holds sessions, `sessions1` in DUMP payloads and RDB files.
pub(crate) static TYPE: SessionsType = SessionsType(RedisType::new(
    "sessions1",
    ENCODING_VERSION,
    raw::RedisModuleTypeMethods {
        version: raw::REDISMODULE_TYPE_METHOD_VERSION as u64,
        rdb_load: Some(rdb_load),
        rdb_save: Some(rdb_save),
        aof_rewrite: Some(aof_rewrite),
        mem_usage: Some(mem_usage),
        digest: Some(digest),
        free: Some(free),
        free_effort: Some(free_effort),
        copy: Some(copy),
        aux_load: Some(aux_load),
        aux_save: Some(aux_save),
        aux_save_triggers: raw::REDISMODULE_AUX_BEFORE_RDB as c_int,
        unlink: None,
        defrag: Some(defrag),
        mem_usage2: None,
        free_effort2: None,
        unlink2: None,
        copy2: None,
        aux_save2: Some(aux_save2),
    },
));

pub(crate) struct SessionsType(RedisType);

impl SessionsType {
    /// Makes the type known to the server; once, while the module loads.
    pub(crate) fn create(&self, ctx: &redis_module::Context) -> bool {
        self.0.create_data_type(ctx.ctx).is_ok()
    }

    pub(super) fn raw(&self) -> *mut raw::RedisModuleType {
        *self.0.raw_type.borrow()
    }
}

/// Whether an open, not empty key holds our type.
pub(super) fn is_ours(key: *mut raw::RedisModuleKey) -> bool {
    // SAFETY: the key is open; for keys of other types the server answers null.
    unsafe { redis!(RedisModule_ModuleTypeGetType(key)) == TYPE.raw() }
}

/// Runs a callback that must not unwind into C; what it returns when it panicked is `otherwise`.
fn contained<R>(otherwise: R, callback: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(callback)).unwrap_or(otherwise)
}

/// # Safety
/// `value` must be what the server has stored for a key of our type.
pub(super) unsafe fn sessions<'a>(value: *const c_void) -> &'a UserSessions {
    // SAFETY: every such value is a `Box<UserSessions>`.
    unsafe { &*value.cast::<UserSessions>() }
}

/// A value that the server is to store, and to give back to [`free`].
fn stored(sessions: UserSessions) -> *mut c_void {
    Share::default().becomes(Share::of(&sessions));
    Box::into_raw(Box::new(sessions)).cast()
}

/// Loads a value. Every format is one string, so that a server can pass over one that it does not understand.
///
/// A value that cannot be read is refused if a client sends it (RESTORE). A server that loads its own file, or that of its
/// primary, closes that user instead: what is revoked stays dead, and everybody else's sessions are there.
unsafe extern "C" fn rdb_load(io: *mut raw::RedisModuleIO, version: c_int) -> *mut c_void {
    contained(null_mut(), || {
        let Ok(bytes) = raw::load_string_buffer(io) else { return null_mut() };
        let bytes = bytes.as_ref();
        #[cfg(feature = "fault-injection")]
        let bytes = &*super::fault::read(bytes);
        let why = if version > ENCODING_VERSION {
            format!("encoding version {version}, and this module reads {ENCODING_VERSION}")
        } else {
            let decoded = UserSessions::decode(bytes, state::lock().agents());
            match decoded {
                Ok(sessions) => {
                    state::lock().saw(sessions.last_change_at());
                    return stored(sessions);
                }
                Err(why) => why.to_string(),
            }
        };
        // SAFETY: the context is that of the running load.
        let flags = unsafe { redis!(RedisModule_GetContextFlags(redis!(RedisModule_GetContextFromIO(io)))) };
        let from_client = raw::REDISMODULE_CTX_FLAGS_LOADING | raw::REDISMODULE_CTX_FLAGS_SLAVE;
        if flags.unsigned_abs() & from_client == 0 {
            log_io(io, &format!("sessions cannot be loaded: {why}"));
            return null_mut();
        }
        failed_to_apply();
        stored(UserSessions::closed())
    })
}

/// Counts a user that was closed, and says so in the log: of the first, and of each tenfold.
pub(super) fn failed_to_apply() {
    stats::APPLY_FAILURES.add(1);
    let failures = stats::APPLY_FAILURES.get();
    if failures == 10_u64.pow(failures.ilog10()) {
        log_warning(&format!(
            "session: what this server was sent, or has in its file, is of a later version of the module or damaged. It \
             has closed the sessions of {failures} users so far, as they may have been revoked. Upgrade the module here"
        ));
    }
}

/// Saves what is no key's: the cutoff of all users. It stands before the keys, as two times of six bytes. Later versions
/// may append to it.
unsafe extern "C" fn aux_save(io: *mut raw::RedisModuleIO, _when: c_int) {
    contained((), || raw::save_slice(io, &state::lock().revoked_before().to_bytes()));
}

/// The same where the server leaves out what is empty, so that it loads files without the module that need none.
unsafe extern "C" fn aux_save2(io: *mut raw::RedisModuleIO, when: c_int) {
    let is_set = contained(true, || state::lock().revoked_before() != Cutoff::default());
    if is_set {
        // SAFETY: as the server has called this.
        unsafe { aux_save(io, when) };
    }
}

unsafe extern "C" fn aux_load(io: *mut raw::RedisModuleIO, _version: c_int, _when: c_int) -> c_int {
    contained(ERR, || {
        let Ok(bytes) = raw::load_string_buffer(io) else { return ERR };
        let Some(cutoff) = Cutoff::from_bytes(bytes.as_ref()) else {
            log_io(io, "the cutoff of SESSION.REVOKEALL is damaged");
            return ERR;
        };
        state::lock().set_revoked_before(cutoff);
        OK
    })
}

/// Writes the cutoff of all users into a log that a child of this process rewrites, before the first key.
fn emit_cutoff(io: *mut raw::RedisModuleIO) {
    static EMITTED_BY: AtomicU32 = AtomicU32::new(0);
    let cutoff = state::lock().revoked_before();
    let this = std::process::id();
    if cutoff == Cutoff::default() || EMITTED_BY.swap(this, Ordering::Relaxed) == this {
        return;
    }
    // SAFETY: the format says what follows: a string that ends with NUL, and two numbers.
    unsafe {
        redis!(RedisModule_EmitAOF(
            io,
            c"SESSION.REVOKEALL".as_ptr(),
            c"cll".as_ptr(),
            c"CUTOFF".as_ptr(),
            cutoff.began.as_i64(),
            cutoff.iat.as_i64(),
        ));
    }
}

/// What a value is written as.
fn encoded(value: *const c_void) -> Vec<u8> {
    // SAFETY: the server passes a stored value.
    #[allow(unused_mut)] // but for tests
    let mut bytes = unsafe { sessions(value) }.encode(state::lock().agents_as_they_are());
    #[cfg(feature = "fault-injection")]
    super::fault::written(&mut bytes);
    bytes
}

unsafe extern "C" fn rdb_save(io: *mut raw::RedisModuleIO, value: *mut c_void) {
    contained((), || raw::save_slice(io, &encoded(value)));
}

unsafe extern "C" fn aof_rewrite(io: *mut raw::RedisModuleIO, key: *mut raw::RedisModuleString, value: *mut c_void) {
    contained((), || {
        emit_cutoff(io);
        let bytes = encoded(value);
        // SAFETY: the format says what follows: a string of the server's, then bytes and their length.
        unsafe {
            redis!(RedisModule_EmitAOF(
                io,
                c"SESSION.APPLY".as_ptr(),
                c"sb".as_ptr(),
                key,
                bytes.as_ptr().cast::<c_char>(),
                bytes.len(),
            ));
        }
    });
}

unsafe extern "C" fn mem_usage(value: *const c_void) -> usize {
    // SAFETY: the server passes a stored value.
    contained(0, || unsafe { sessions(value) }.allocated_bytes())
}

unsafe extern "C" fn digest(digest: *mut raw::RedisModuleDigest, value: *mut c_void) {
    contained((), || {
        // SAFETY: the server passes a stored value.
        let bytes = unsafe { sessions(value) }.canonical(state::lock().agents_as_they_are());
        // SAFETY: the server copies the bytes.
        unsafe {
            redis!(RedisModule_DigestAddStringBuffer(digest, bytes.as_ptr().cast(), bytes.len()));
            redis!(RedisModule_DigestEndSequence(digest));
        }
    });
}

unsafe extern "C" fn free(value: *mut c_void) {
    contained((), || {
        // SAFETY: the server gives up a stored value, once.
        let sessions = unsafe { Box::from_raw(value.cast::<UserSessions>()) };
        Share::of(&sessions).becomes(Share::default());
        state::release(sessions.agents());
    });
}

unsafe extern "C" fn free_effort(_key: *mut raw::RedisModuleString, value: *const c_void) -> usize {
    // SAFETY: the server passes a stored value.
    contained(1, || unsafe { sessions(value) }.allocations())
}

unsafe extern "C" fn copy(
    _from: *mut raw::RedisModuleString,
    _to: *mut raw::RedisModuleString,
    value: *const c_void,
) -> *mut c_void {
    contained(null_mut(), || {
        // SAFETY: the server passes a stored value.
        stored(unsafe { sessions(value) }.copy(state::lock().agents()))
    })
}

/// Moves the value's allocations to where the allocator wants them; 1 if it must go on later.
unsafe extern "C" fn defrag(
    ctx: *mut raw::RedisModuleDefragCtx,
    _key: *mut raw::RedisModuleString,
    value: *mut *mut c_void,
) -> c_int {
    contained(0, || {
        let mut from = 0;
        // SAFETY: the context is that of the running defragmentation. There is a cursor only for a large value, which is
        // moved in parts.
        if unsafe { redis!(RedisModule_DefragCursorGet(ctx, &raw mut from)) } != OK || from == 0 {
            from = 0;
            // SAFETY: `value` is the server's place for a stored value, which it moves as a whole and lets go of.
            unsafe {
                let moved = redis!(RedisModule_DefragAlloc(ctx, *value));
                if !moved.is_null() {
                    *value = moved;
                }
            }
        }
        // SAFETY: a stored value, which nobody else uses meanwhile.
        let sessions = unsafe { &mut *(*value).cast::<UserSessions>() };
        for (at, bytes) in sessions.allocations_from(from) {
            // SAFETY: as above.
            let stops = at > from
                && unsafe { redis!(RedisModule_DefragShouldStop(ctx)) } != 0
                && unsafe { redis!(RedisModule_DefragCursorSet(ctx, at)) } == OK;
            if stops {
                return 1;
            }
            if !bytes.is_empty() {
                let old = Box::into_raw(std::mem::take(bytes));
                // SAFETY: our allocator is the server's, so the bytes are an allocation of it. It has either copied
                // them to a new one of the same size and freed this, or done nothing.
                *bytes = unsafe {
                    let moved = redis!(RedisModule_DefragAlloc(ctx, old.cast())).cast::<u8>();
                    let start = if moved.is_null() { old.cast::<u8>() } else { moved };
                    Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, old.len()))
                };
            }
        }
        0
    })
}

fn log_io(io: *mut raw::RedisModuleIO, text: &str) {
    logging::log_io_error(io, logging::RedisLogLevel::Warning, text);
}
