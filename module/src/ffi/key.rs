//! Keys: the sessions stored at one, and the one way to change them.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::sync::LazyLock;

use redis_module::raw;
use redis_session_core::sessions::{
    Decision, DecodeError, Effect, Event, EventKind, UserSessions, decode_effects, encode_effects,
};
use redis_session_core::{Reason, UnixMillis};

use super::value::is_ours;
use super::{Arg, Call, TYPE, redis, stream};
use crate::audit;
use crate::ffi::Failure;
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

/// What stands for a key that does not exist.
static NONE: LazyLock<UserSessions> = LazyLock::new(UserSessions::new);

/// A key that may hold sessions.
pub(crate) trait Sessions {
    /// The sessions stored there.
    fn sessions(&self) -> Option<&UserSessions>;

    /// The sessions stored there; none if the key does not exist.
    fn sessions_or_none(&self) -> &UserSessions {
        self.sessions().unwrap_or_else(|| &NONE)
    }
}

/// A key whose sessions are only looked at.
pub(crate) struct KeyForReading<'a>(Key<'a>);

impl<'a> KeyForReading<'a> {
    pub(super) fn open(call: &Call<'_>, name: Arg<'a>) -> Result<Self, Failure> {
        // SAFETY: the context is that of the running command.
        unsafe { Key::open(call.ctx(), name, raw::REDISMODULE_READ) }.map(Self)
    }
}

impl Sessions for KeyForReading<'_> {
    fn sessions(&self) -> Option<&UserSessions> {
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

    /// The sessions stored there, for changes that are not replicated.
    pub(crate) fn sessions_mut(&mut self) -> Option<&mut UserSessions> {
        // SAFETY: as above, and `&mut self` makes this the only reference.
        self.key.value().map(|value| unsafe { &mut *value })
    }

    /// Carries a decision out here, replicates it, counts it, writes it into the audit stream if there is one, and tells
    /// watchers and subscribers. The answer is the decision's.
    ///
    /// Subscribers may be modules that call us back, so the state must not be locked by the caller.
    pub(crate) fn commit<T>(&mut self, decision: Decision<'_, T>) -> T {
        let Decision { effects, events, value } = decision;
        events.iter().for_each(|event| stats::happened(event.kind));
        if effects.is_empty() {
            return value;
        }
        let entries = audit::entries(self.name.bytes(), &events, || {
            // SAFETY: the context is that of the running command or timer.
            unsafe { super::is_cluster(self.ctx) }
        });
        self.carry_out(&effects);
        self.replicate(&effects);
        if let Some(entries) = entries {
            // SAFETY: the context is that of the running command or timer.
            unsafe { stream::append(self.ctx, self.by_client, entries) };
        }
        self.tell(&events);
        value
    }

    /// The same for a decision that is carried out already: a use.
    pub(crate) fn announce<T>(&self, decision: Decision<'_, T>) -> T {
        let Decision { effects, events, value } = decision;
        if !effects.is_empty() {
            // As replicas do when they carry the effects out, should EXPIRE or PERSIST have set another.
            if let Some(sessions) = self.sessions() {
                self.expire_at(sessions.last_deadline().as_i64());
            }
            self.replicate(&effects);
            self.tell(&events);
        }
        value
    }

    /// Tells subscribers of each kind of event once, of deadlines that have passed first.
    fn tell(&self, events: &[Event<'_>]) {
        let mut names: Vec<&CStr> = events.iter().map(|event| name_of(event.kind)).collect();
        names.sort_by_key(|name| *name != c"session.expire");
        names.dedup();
        names.iter().for_each(|name| self.notify(raw::REDISMODULE_NOTIFY_MODULE, name));
    }

    /// Applies encoded effects, as a primary or a log has them. If they cannot be understood, the key is closed: a session
    /// that they may have ended must not live on here. The answer is how many effects there were.
    pub(crate) fn apply(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        #[cfg(feature = "fault-injection")]
        let bytes = &*super::fault::read(bytes);
        match decode_effects(bytes) {
            Ok(effects) => {
                self.carry_out(&effects);
                Ok(effects.len())
            }
            Err(why) => {
                self.close();
                Err(why)
            }
        }
    }

    /// Closes the key: it holds nothing that is good, until its primary sends it again. What was to be applied to it could
    /// not be understood.
    pub(crate) fn close(&mut self) {
        if let Some(sessions) = self.sessions_mut() {
            let before = Share::of(sessions);
            let old = std::mem::replace(sessions, UserSessions::closed());
            before.becomes(Share::default());
            state::release(old.agents());
        } else {
            self.insert(UserSessions::closed());
        }
        super::value::failed_to_apply();
        self.expire_at(UnixMillis::MAX.as_i64());
        self.signal();
    }

    fn insert(&mut self, sessions: UserSessions) {
        let value = Box::into_raw(Box::new(sessions));
        // SAFETY: the key is open for writing; from here on it owns the value and frees it with the type's `free`.
        unsafe { redis!(RedisModule_ModuleTypeSetValue(self.key.key, TYPE.raw(), value.cast::<c_void>())) };
    }

    /// Carries out `effects`: the key is made for the first one, has the last deadline in it as its expiry, and goes with
    /// the last record.
    pub(crate) fn carry_out(&mut self, effects: &[Effect<'_>]) {
        if effects.is_empty() {
            return;
        }
        if self.key.is_empty() {
            self.insert(UserSessions::new());
        }
        let Some(sessions) = self.sessions_mut() else { return };
        let before = Share::of(sessions);
        let mut state = state::lock();
        if let Some(time) = effects.iter().filter_map(Effect::time).max() {
            state.saw(time);
        }
        sessions.apply(effects, state.agents());
        drop(state);
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
        #[allow(unused_mut)] // but for tests
        let mut bytes = encode_effects(effects);
        #[cfg(feature = "fault-injection")]
        super::fault::written(&mut bytes);
        self.replicate_bytes(&bytes);
    }

    /// The same for encoded effects.
    pub(crate) fn replicate_bytes(&self, bytes: &[u8]) {
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

impl Sessions for KeyForWriting<'_> {
    fn sessions(&self) -> Option<&UserSessions> {
        // SAFETY: as in `KeyForReading::sessions`; changing needs `&mut self`.
        self.key.value().map(|value| unsafe { &*value })
    }
}

/// The keyspace event of a kind of event.
fn name_of(kind: EventKind) -> &'static CStr {
    match kind {
        EventKind::Created => c"session.create",
        EventKind::Refreshed => c"session.refresh",
        EventKind::Regenerated => c"session.regenerate",
        EventKind::Touched => c"session.touch",
        EventKind::Set => c"session.set",
        EventKind::Unset => c"session.unset",
        EventKind::AllEnded(_) => c"session.revokeuser",
        EventKind::Ended(Reason::Evicted) => c"session.evict",
        EventKind::Ended(Reason::Reused) => c"session.reuse",
        EventKind::Ended(Reason::Expired | Reason::Idle) => c"session.expire",
        EventKind::Ended(_) => c"session.revoke",
    }
}
