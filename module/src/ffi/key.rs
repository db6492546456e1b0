//! Keys of the module's own type: what is stored at one, and all that the server has to be told of a change.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;

use redis_module::raw;

use super::arg::Arg;
use super::failure::Failure;
use super::server::{is_cluster, redis};
use super::stream;
use super::value::{Value, is_ours};

/// An open key that holds a value of ours or nothing.
struct Key<'a, V: Value> {
    key: *mut raw::RedisModuleKey,
    holds: PhantomData<(&'a (), V)>,
}

impl<V: Value> Key<'_, V> {
    /// # Safety
    /// The context must be that of the running command or timer.
    unsafe fn open(ctx: *mut raw::RedisModuleCtx, name: Arg<'_>, mode: u32) -> Result<Self, Failure> {
        let mode = c_int::try_from(mode).unwrap_or(0);
        // SAFETY: as the caller says; the name is good as long as it lives.
        let key = unsafe { redis!(RedisModule_OpenKey(ctx, name.string(), mode)) };
        let key = Self { key: key.cast(), holds: PhantomData };
        if key.is_empty() || is_ours::<V>(key.key) { Ok(key) } else { Err(Failure::WrongType) }
    }

    fn is_empty(&self) -> bool {
        // SAFETY: null stands for a key that is not there and was opened for reading.
        self.key.is_null()
            || unsafe { redis!(RedisModule_KeyType(self.key)) }
                == c_int::try_from(raw::REDISMODULE_KEYTYPE_EMPTY).unwrap_or(0)
    }

    fn value(&self) -> Option<*mut V> {
        // SAFETY: a key that is not empty holds our type, as `open` and `set_value` see to.
        (!self.is_empty()).then(|| unsafe { redis!(RedisModule_ModuleTypeGetValue(self.key)) }.cast())
    }
}

impl<V: Value> Drop for Key<'_, V> {
    fn drop(&mut self) {
        if !self.key.is_null() {
            // SAFETY: it was opened once and is closed once.
            unsafe { redis!(RedisModule_CloseKey(self.key)) };
        }
    }
}

/// A key whose value is only looked at.
pub(crate) struct KeyForReading<'a, V: Value>(Key<'a, V>);

impl<'a, V: Value> KeyForReading<'a, V> {
    /// # Safety
    /// The context must be that of the running command.
    pub(super) unsafe fn open(ctx: *mut raw::RedisModuleCtx, name: Arg<'a>) -> Result<Self, Failure> {
        // SAFETY: as the caller says.
        unsafe { Key::open(ctx, name, raw::REDISMODULE_READ) }.map(Self)
    }

    /// The value, unless the key does not exist.
    pub(crate) fn value(&self) -> Option<&V> {
        // SAFETY: the value is a `Box<V>` that `set_value` or a callback of the type made; nothing changes or frees it
        // while the key is open, as the server runs one command at a time.
        self.0.value().map(|value| unsafe { &*value })
    }
}

/// A key whose value may be changed.
pub(crate) struct KeyForWriting<'a, V: Value> {
    key: Key<'a, V>,
    name: Arg<'a>,
    ctx: *mut raw::RedisModuleCtx,
    /// Whether a client asked for it, and not the time.
    by_client: bool,
}

impl<'a, V: Value> KeyForWriting<'a, V> {
    /// # Safety
    /// The context must be that of the running command.
    pub(super) unsafe fn open(ctx: *mut raw::RedisModuleCtx, name: Arg<'a>) -> Result<Self, Failure> {
        let mode = raw::REDISMODULE_READ | raw::REDISMODULE_WRITE;
        // SAFETY: as the caller says.
        let key = unsafe { Key::open(ctx, name, mode) }?;
        Ok(Self { key, name, ctx, by_client: true })
    }

    /// The key keeps its age and frequency of use, by which the server evicts keys.
    ///
    /// # Safety
    /// The context must be that of the running command or timer.
    pub(super) unsafe fn open_quietly(ctx: *mut raw::RedisModuleCtx, name: Arg<'a>) -> Result<Self, Failure> {
        let mode = raw::REDISMODULE_READ | raw::REDISMODULE_WRITE | raw::REDISMODULE_OPEN_KEY_NOTOUCH;
        // SAFETY: as the caller says.
        let key = unsafe { Key::open(ctx, name, mode) }?;
        Ok(Self { key, name, ctx, by_client: false })
    }

    /// The key's name.
    pub(crate) fn name(&self) -> &'a [u8] {
        self.name.bytes()
    }

    /// The value, unless the key does not exist.
    pub(crate) fn value(&self) -> Option<&V> {
        // SAFETY: as in `KeyForReading::value`; changing needs `&mut self`.
        self.key.value().map(|value| unsafe { &*value })
    }

    /// The value, for changes that the server is told of separately.
    pub(crate) fn value_mut(&mut self) -> Option<&mut V> {
        // SAFETY: as above, and `&mut self` makes this the only reference.
        self.key.value().map(|value| unsafe { &mut *value })
    }

    /// Stores a value.
    pub(crate) fn set_value(&mut self, value: V) {
        let value = Box::into_raw(Box::new(value));
        // SAFETY: the key is open for writing; from here on it owns the value and frees it with the type's `free`.
        unsafe { redis!(RedisModule_ModuleTypeSetValue(self.key.key, V::native().raw(), value.cast::<c_void>())) };
    }

    /// Deletes the key, and tells subscribers.
    pub(crate) fn delete(&mut self) {
        // SAFETY: the key is open for writing, and no reference to its value is left.
        unsafe { redis!(RedisModule_DeleteKey(self.key.key)) };
        self.notify_of(raw::REDISMODULE_NOTIFY_GENERIC, c"del");
    }

    pub(crate) fn is_cluster(&self) -> bool {
        // SAFETY: the context is that of the running command or timer.
        unsafe { is_cluster(self.ctx) }
    }

    /// Adds entries of names and values to a stream; the answer is how many could not be added.
    pub(crate) fn append(
        &self,
        stream: &[u8],
        maxlen: Option<u64>,
        entries: Vec<Vec<(&'static str, String)>>,
    ) -> usize {
        // SAFETY: the context is that of the running command or timer.
        unsafe { stream::append(self.ctx, self.by_client, stream, maxlen, entries) }
    }

    /// Passes bytes on to replicas and the append-only file, by the command that carries them out there.
    pub(crate) fn replicate(&self, bytes: &[u8]) {
        // SAFETY: the format says what follows: a string of the server's, then bytes and their length.
        unsafe {
            redis!(RedisModule_Replicate(
                self.ctx,
                V::COMMAND.as_ptr(),
                c"sb".as_ptr(),
                self.name.string(),
                bytes.as_ptr().cast::<c_char>(),
                bytes.len(),
            ));
        }
    }

    /// Sets when the key expires, in Unix milliseconds. A key that was `made` just now has no expiry yet.
    pub(crate) fn expire_at(&self, deadline: i64, made: bool) {
        // SAFETY: the key is open for writing; of an empty one the server refuses it.
        unsafe {
            if made || redis!(RedisModule_GetAbsExpire(self.key.key)) != deadline {
                redis!(RedisModule_SetAbsExpire(self.key.key, deadline));
            }
        }
    }

    /// Tells WATCH and client-side caches that the value has changed.
    pub(crate) fn signal(&self) {
        // SAFETY: context and name are those of the running command.
        unsafe { redis!(RedisModule_SignalModifiedKey(self.ctx, self.name.string())) };
    }

    /// Tells subscribers of an event of the module's own.
    pub(crate) fn notify(&self, event: &CStr) {
        self.notify_of(raw::REDISMODULE_NOTIFY_MODULE, event);
    }

    fn notify_of(&self, class: c_int, event: &CStr) {
        // SAFETY: as above; the event's name ends with NUL.
        unsafe { redis!(RedisModule_NotifyKeyspaceEvent(self.ctx, class, event.as_ptr(), self.name.string())) };
    }
}
