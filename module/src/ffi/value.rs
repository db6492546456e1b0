//! The native type: how the server stores, copies, measures and frees a value of the module's.
//!
//! Saving may run in a forked child, freeing in a background thread: no callback here waits for a lock that another
//! thread could hold at a fork, nor may a [`Value`].

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};

use redis_module::native_types::RedisType;
use redis_module::{logging, raw};

#[cfg(feature = "fault-injection")]
use super::fault;
use super::server::{ERR, OK, redis};

/// What the server stores at a key of the module's own type.
pub(crate) trait Value: Sized + 'static {
    /// What the type is called in DUMP payloads and RDB files: nine characters.
    const NAME: &'static str;
    /// The version of what `encode` writes.
    const VERSION: c_int;
    /// The command that replicas and logs get, with a key and bytes: those that `encode` writes, or others that change a
    /// value.
    const COMMAND: &'static CStr;

    /// The type.
    fn native() -> &'static Type<Self>;

    /// Reads what `encode` has written; the error says why it cannot be read.
    fn decode(bytes: &[u8]) -> Result<Self, String>;

    /// The value to use if a file of this server's or its primary's holds one that cannot be read.
    fn unreadable() -> Self;

    /// Writes the value, also in a forked child.
    fn encode(&self) -> Vec<u8>;

    /// Bytes that are equal for two values that look equal to clients, also in a forked child.
    fn canonical(&self) -> Vec<u8>;

    /// A copy, to be stored too.
    fn duplicate(&self) -> Self;

    /// Frees a stored value, perhaps in a background thread.
    fn freed(self);

    /// The bytes of the value's allocations.
    fn bytes(&self) -> usize;

    /// The number of the value's allocations.
    fn parts(&self) -> usize;

    /// The value's allocations from the place `from` on, each with its place.
    fn parts_from(&mut self, from: u64) -> impl Iterator<Item = (u64, &mut Box<[u8]>)>;

    /// Data that belongs to no key, saved before all keys, and whether it says anything.
    fn beside() -> (impl AsRef<[u8]>, bool);

    /// Takes over what [`Value::beside`] saved; the error says what is wrong with it.
    fn set_beside(bytes: &[u8]) -> Result<(), &'static str>;

    /// The command that does the same, for the start of a rewritten log.
    fn beside_as_command() -> Option<Numbers>;
}

/// When [`Value::beside`] is saved and loaded.
#[allow(clippy::cast_possible_truncation)] // 1
const BEFORE_RDB: c_int = raw::REDISMODULE_AUX_BEFORE_RDB as c_int;

/// A command of the module's own, as replicas and append-only files get it: with a word and three numbers.
pub(crate) struct Numbers {
    pub(crate) command: &'static CStr,
    pub(crate) word: &'static CStr,
    pub(crate) numbers: [i64; 3],
}

/// The type of the keys that hold values `V`.
pub(crate) struct Type<V>(RedisType, PhantomData<fn() -> V>);

impl<V: Value> Type<V> {
    pub(crate) const fn new() -> Self {
        let methods = raw::RedisModuleTypeMethods {
            version: raw::REDISMODULE_TYPE_METHOD_VERSION as u64,
            rdb_load: Some(rdb_load::<V>),
            rdb_save: Some(rdb_save::<V>),
            aof_rewrite: Some(aof_rewrite::<V>),
            mem_usage: Some(mem_usage::<V>),
            digest: Some(digest::<V>),
            free: Some(free::<V>),
            free_effort: Some(free_effort::<V>),
            copy: Some(copy::<V>),
            aux_load: Some(aux_load::<V>),
            aux_save: Some(aux_save::<V>),
            aux_save_triggers: BEFORE_RDB,
            unlink: None,
            defrag: Some(defrag::<V>),
            mem_usage2: None,
            free_effort2: None,
            unlink2: None,
            copy2: None,
            aux_save2: Some(aux_save2::<V>),
        };
        Self(RedisType::new(V::NAME, V::VERSION, methods), PhantomData)
    }

    /// Makes the type known to the server; once, while the module loads.
    pub(crate) fn create(&self, ctx: &redis_module::Context) -> bool {
        self.0.create_data_type(ctx.ctx).is_ok()
    }

    pub(super) fn raw(&self) -> *mut raw::RedisModuleType {
        *self.0.raw_type.borrow()
    }
}

/// Whether an open, not empty key holds our type.
pub(super) fn is_ours<V: Value>(key: *mut raw::RedisModuleKey) -> bool {
    // SAFETY: the key is open; for keys of other types the server answers null.
    unsafe { redis!(RedisModule_ModuleTypeGetType(key)) == V::native().raw() }
}

/// Runs a callback that must not unwind into C; what it returns when it panicked is `otherwise`.
fn contained<R>(otherwise: R, callback: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(callback)).unwrap_or(otherwise)
}

/// # Safety
/// `value` must be what the server has stored for a key of our type.
pub(super) unsafe fn stored<'a, V: Value>(value: *const c_void) -> &'a V {
    // SAFETY: every such value is a `Box<V>`.
    unsafe { &*value.cast::<V>() }
}

/// Boxes a value for the server, which gives it back to [`free`].
fn to_store<V: Value>(value: V) -> *mut c_void {
    Box::into_raw(Box::new(value)).cast()
}

/// Loads a value. Every format is one string, so a server can skip a format that it does not understand.
///
/// If the value cannot be read, RESTORE fails. A server that loads its own file or its primary's uses
/// [`Value::unreadable`] instead and loads the rest.
unsafe extern "C" fn rdb_load<V: Value>(io: *mut raw::RedisModuleIO, version: c_int) -> *mut c_void {
    contained(null_mut(), || {
        let Ok(bytes) = raw::load_string_buffer(io) else { return null_mut() };
        let bytes = bytes.as_ref();
        #[cfg(feature = "fault-injection")]
        let bytes = &*fault::read(bytes);
        let why = if version > V::VERSION {
            format!("encoding version {version}, and this module reads {}", V::VERSION)
        } else {
            match V::decode(bytes) {
                Ok(value) => return to_store(value),
                Err(why) => why,
            }
        };
        // SAFETY: the context is that of the running load.
        let flags = unsafe { redis!(RedisModule_GetContextFlags(redis!(RedisModule_GetContextFromIO(io)))) };
        let from_client = raw::REDISMODULE_CTX_FLAGS_LOADING | raw::REDISMODULE_CTX_FLAGS_SLAVE;
        if flags.unsigned_abs() & from_client == 0 {
            log_io(io, &format!("sessions cannot be loaded: {why}"));
            return null_mut();
        }
        to_store(V::unreadable())
    })
}

/// Saves [`Value::beside`], before the keys.
unsafe extern "C" fn aux_save<V: Value>(io: *mut raw::RedisModuleIO, _when: c_int) {
    contained((), || raw::save_slice(io, V::beside().0.as_ref()));
}

/// As [`aux_save`], but saves nothing if there is nothing to say. So a server without the module can load a file that
/// holds no sessions.
unsafe extern "C" fn aux_save2<V: Value>(io: *mut raw::RedisModuleIO, when: c_int) {
    let is_set = contained(true, || V::beside().1);
    if is_set {
        // SAFETY: as the server has called this.
        unsafe { aux_save::<V>(io, when) };
    }
}

unsafe extern "C" fn aux_load<V: Value>(io: *mut raw::RedisModuleIO, _version: c_int, _when: c_int) -> c_int {
    contained(ERR, || {
        let Ok(bytes) = raw::load_string_buffer(io) else { return ERR };
        match V::set_beside(bytes.as_ref()) {
            Ok(()) => OK,
            Err(why) => {
                log_io(io, why);
                ERR
            }
        }
    })
}

/// Writes [`Value::beside`] into a log that a child of this process rewrites, before the first key.
fn emit_beside<V: Value>(io: *mut raw::RedisModuleIO) {
    static EMITTED_BY: AtomicU32 = AtomicU32::new(0);
    let this = std::process::id();
    let Some(Numbers { command, word, numbers: [first, second, third] }) = V::beside_as_command() else { return };
    if EMITTED_BY.swap(this, Ordering::Relaxed) == this {
        return;
    }
    // SAFETY: the format says what follows: a string that ends with NUL, and three numbers.
    unsafe {
        redis!(RedisModule_EmitAOF(io, command.as_ptr(), c"clll".as_ptr(), word.as_ptr(), first, second, third));
    }
}

/// What a value is written as.
fn encoded<V: Value>(value: *const c_void) -> Vec<u8> {
    #[allow(unused_mut)] // but for tests
    // SAFETY: the server passes a stored value.
    let mut bytes = unsafe { stored::<V>(value) }.encode();
    #[cfg(feature = "fault-injection")]
    fault::written(&mut bytes);
    bytes
}

unsafe extern "C" fn rdb_save<V: Value>(io: *mut raw::RedisModuleIO, value: *mut c_void) {
    contained((), || raw::save_slice(io, &encoded::<V>(value)));
}

unsafe extern "C" fn aof_rewrite<V: Value>(
    io: *mut raw::RedisModuleIO,
    key: *mut raw::RedisModuleString,
    value: *mut c_void,
) {
    contained((), || {
        emit_beside::<V>(io);
        let bytes = encoded::<V>(value);
        // SAFETY: the format says what follows: a string of the server's, then bytes and their length.
        unsafe {
            redis!(RedisModule_EmitAOF(
                io,
                V::COMMAND.as_ptr(),
                c"sb".as_ptr(),
                key,
                bytes.as_ptr().cast::<c_char>(),
                bytes.len(),
            ));
        }
    });
}

unsafe extern "C" fn mem_usage<V: Value>(value: *const c_void) -> usize {
    // SAFETY: the server passes a stored value.
    contained(0, || unsafe { stored::<V>(value) }.bytes())
}

unsafe extern "C" fn digest<V: Value>(digest: *mut raw::RedisModuleDigest, value: *mut c_void) {
    contained((), || {
        // SAFETY: the server passes a stored value.
        let bytes = unsafe { stored::<V>(value) }.canonical();
        // SAFETY: the server copies the bytes.
        unsafe {
            redis!(RedisModule_DigestAddStringBuffer(digest, bytes.as_ptr().cast(), bytes.len()));
            redis!(RedisModule_DigestEndSequence(digest));
        }
    });
}

unsafe extern "C" fn free<V: Value>(value: *mut c_void) {
    contained((), || {
        // SAFETY: the server gives up a stored value, once.
        let value = unsafe { Box::from_raw(value.cast::<V>()) };
        value.freed();
    });
}

unsafe extern "C" fn free_effort<V: Value>(_key: *mut raw::RedisModuleString, value: *const c_void) -> usize {
    // SAFETY: the server passes a stored value.
    contained(1, || unsafe { stored::<V>(value) }.parts())
}

unsafe extern "C" fn copy<V: Value>(
    _from: *mut raw::RedisModuleString,
    _to: *mut raw::RedisModuleString,
    value: *const c_void,
) -> *mut c_void {
    contained(null_mut(), || {
        // SAFETY: the server passes a stored value.
        to_store(unsafe { stored::<V>(value) }.duplicate())
    })
}

/// Moves the value's allocations to where the allocator wants them; 1 if it must go on later.
unsafe extern "C" fn defrag<V: Value>(
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
        let stored = unsafe { &mut *(*value).cast::<V>() };
        for (at, bytes) in stored.parts_from(from) {
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
