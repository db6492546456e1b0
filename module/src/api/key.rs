//! Keys: the sessions stored at one, and the one way to change them.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;

use redis_module::raw;
use redis_session_core::sessions::{Clock, Effect, UserSessions, encode_effects};

use super::value::is_ours;
use super::{Arg, Call, TYPE, redis, stream};
use crate::audit;
use crate::error::Failure;
use crate::state;
use crate::stats::{self, Share};

/// An open key that holds sessions or nothing.
struct Key<'a> {
    key: *mut raw::RedisModuleKey,
    lifetime: PhantomData<&'a ()>,
}

impl Key<'_> {
    /// # Safety
    /// The context must be that of the running command or timer.
    unsafe fn open(ctx: *mut raw::RedisModuleCtx, name: Arg<'_>, mode: u32) -> Result<Self, Failure> {
        let mode = c_int::try_from(mode).unwrap_or(0);
        // SAFETY: as the caller says; the name is good as long as it lives.
        let key = unsafe { redis!(RedisModule_OpenKey(ctx, name.string(), mode)) };
        let key = Self { key: key.cast(), lifetime: PhantomData };
        if key.is_empty() || is_ours(key.key) { Ok(key) } else { Err(Failure::WrongType) }
    }

    fn is_empty(&self) -> bool {
        // SAFETY: null stands for a key that is not there and was opened for reading.
        self.key.is_null()
            || unsafe { redis!(RedisModule_KeyType(self.key)) }
                == c_int::try_from(raw::REDISMODULE_KEYTYPE_EMPTY).unwrap_or(0)
    }

    fn value(&self) -> Option<*mut UserSessions> {
        // SAFETY: a key that is not empty holds our type, as `open` and `commit` see to.
        (!self.is_empty()).then(|| unsafe { redis!(RedisModule_ModuleTypeGetValue(self.key)) }.cast())
    }
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        if !self.key.is_null() {
            // SAFETY: it was opened once and is closed once.
            unsafe { redis!(RedisModule_CloseKey(self.key)) };
        }
    }
}

/// A key whose sessions are only looked at.
pub(crate) struct KeyForReading<'a>(Key<'a>);

impl<'a> KeyForReading<'a> {
    pub(super) fn open(call: &Call<'_>, name: Arg<'a>) -> Result<Self, Failure> {
        // SAFETY: the context is that of the running command.
        unsafe { Key::open(call.ctx(), name, raw::REDISMODULE_READ) }.map(Self)
    }

    /// The sessions stored there.
    pub(crate) fn sessions(&self) -> Option<&UserSessions> {
        // SAFETY: the value is a `Box<UserSessions>` that `commit` or the RDB loader made; nothing changes or frees it
        // while the key is open, as the server runs one command at a time.
        self.0.value().map(|value| unsafe { &*value })
    }
}

/// A key whose sessions may be changed.
pub(crate) struct KeyForWriting<'a> {
    key: Key<'a>,
    name: Arg<'a>,
    ctx: *mut raw::RedisModuleCtx,
    /// Whether a client asked for it, and not the time.
    by_client: bool,
}

impl<'a> KeyForWriting<'a> {
    pub(super) fn open(call: &Call<'_>, name: Arg<'a>) -> Result<Self, Failure> {
        let mode = raw::REDISMODULE_READ | raw::REDISMODULE_WRITE;
        // SAFETY: the context is that of the running command.
        let key = unsafe { Key::open(call.ctx(), name, mode) }?;
        Ok(Self { key, name, ctx: call.ctx(), by_client: true })
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

    /// The sessions stored there.
    pub(crate) fn sessions(&self) -> Option<&UserSessions> {
        // SAFETY: as in `KeyForReading::sessions`; changing needs `&mut self`.
        self.key.value().map(|value| unsafe { &*value })
    }

    /// The sessions stored there, for changes that are not replicated.
    pub(crate) fn sessions_mut(&mut self) -> Option<&mut UserSessions> {
        // SAFETY: as above, and `&mut self` makes this the only reference.
        self.key.value().map(|value| unsafe { &mut *value })
    }

    /// Carries out `effects`, decided by `clock`, here, replicates them, writes them into the audit stream if there is one,
    /// and tells watchers and subscribers: of `events`, and before them of sessions that had died of time.
    ///
    /// Subscribers may be modules that call us back, so the state must not be locked by the caller.
    pub(crate) fn commit<'e>(
        &mut self,
        effects: &[Effect<'_>],
        events: impl IntoIterator<Item = &'e CStr>,
        clock: Clock,
    ) {
        if effects.is_empty() {
            return;
        }
        let expired = self.sessions().map_or(0, |sessions| sessions.expired_among(effects, clock));
        let entries = audit::entries(self.name.bytes(), self.sessions(), effects, clock, || self.is_cluster());
        self.carry_out(effects);
        self.replicate(effects);
        if let Some(entries) = entries {
            // SAFETY: the context is that of the running command or timer.
            unsafe { stream::append(self.ctx, self.by_client, entries) };
        }
        let expire = (expired > 0).then_some(c"session.expire");
        stats::EXPIRED.add(expired);
        for event in expire.into_iter().chain(events) {
            self.notify(raw::REDISMODULE_NOTIFY_MODULE, event);
        }
    }

    /// Replicates `effects` that are in memory already, and tells subscribers.
    pub(crate) fn announce(&self, effects: &[Effect<'_>], event: &CStr) {
        // As replicas do when they carry the effects out, should EXPIRE or PERSIST have set another.
        if let Some(sessions) = self.sessions() {
            self.expire_at(sessions.last_deadline().as_i64());
        }
        self.replicate(effects);
        self.notify(raw::REDISMODULE_NOTIFY_MODULE, event);
    }

    /// Carries out `effects`: the key is made for the first one, has the last deadline in it as its expiry, and goes with
    /// the last record.
    pub(crate) fn carry_out(&mut self, effects: &[Effect<'_>]) {
        if effects.is_empty() {
            return;
        }
        if self.key.is_empty() {
            let value = Box::into_raw(Box::new(UserSessions::new()));
            // SAFETY: the key is open for writing; from here on it owns the value and frees it with the type's `free`.
            unsafe { redis!(RedisModule_ModuleTypeSetValue(self.key.key, TYPE.raw(), value.cast::<c_void>())) };
        }
        let Some(sessions) = self.sessions_mut() else { return };
        let before = Share::of(sessions);
        sessions.apply(effects, state::lock().agents());
        before.becomes(Share::of(sessions));
        if sessions.is_empty() {
            // SAFETY: the key is open for writing, and no reference to its value is left.
            unsafe { redis!(RedisModule_DeleteKey(self.key.key)) };
            self.notify(raw::REDISMODULE_NOTIFY_GENERIC, c"del");
        } else {
            let deadline = sessions.last_deadline().as_i64();
            self.expire_at(deadline);
        }
        self.signal();
    }

    /// Passes `effects` on to replicas and the append-only file.
    pub(crate) fn replicate(&self, effects: &[Effect<'_>]) {
        let bytes = encode_effects(effects);
        // SAFETY: the format says what follows: a string of the server's, then bytes and their length.
        unsafe {
            redis!(RedisModule_Replicate(
                self.ctx,
                c"SESSION.APPLY".as_ptr(),
                c"sb".as_ptr(),
                self.name.string(),
                bytes.as_ptr().cast::<c_char>(),
                bytes.len(),
            ));
        }
    }

    fn is_cluster(&self) -> bool {
        // SAFETY: the context is that of the running command or timer.
        let flags = unsafe { redis!(RedisModule_GetContextFlags(self.ctx)) }.unsigned_abs();
        flags & raw::REDISMODULE_CTX_FLAGS_CLUSTER != 0
    }

    fn expire_at(&self, deadline: i64) {
        // SAFETY: the key is open for writing and not empty.
        unsafe {
            if redis!(RedisModule_GetAbsExpire(self.key.key)) != deadline {
                redis!(RedisModule_SetAbsExpire(self.key.key, deadline));
            }
        }
    }

    /// Tells WATCH and client-side caches that the value has changed.
    fn signal(&self) {
        // SAFETY: context and name are those of the running command.
        unsafe { redis!(RedisModule_SignalModifiedKey(self.ctx, self.name.string())) };
    }

    fn notify(&self, class: c_int, event: &CStr) {
        // SAFETY: as above; the event's name ends with NUL.
        unsafe { redis!(RedisModule_NotifyKeyspaceEvent(self.ctx, class, event.as_ptr(), self.name.string())) };
    }
}
