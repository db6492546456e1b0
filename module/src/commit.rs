//! The only place that changes what is stored at a key. It carries out a decision of core, and tells replicas, the
//! audit stream and subscribers.

use std::ffi::CStr;

use redis_session_core::sessions::{
    Decision, DecodeError, Effect, Event, EventKind, UserSessions, decode_effects, encode_effects,
};
use redis_session_core::{Reason, UnixMillis};

use crate::audit::{self, Entries};
#[cfg(feature = "fault-injection")]
use crate::ffi::fault;
use crate::ffi::{Call, log_warning};
use crate::state;
use crate::stats::{self, Share};
use crate::stored::{self, KeyForWriting, Sessions};

/// Carries out a decision: counts it, changes the value, replicates, writes audit entries and tells watchers and
/// subscribers. Returns the decision's value.
///
/// The caller must not hold the state's lock: a subscriber may be a module that calls back into this one.
pub(crate) fn commit<T>(key: &mut KeyForWriting<'_>, decision: Decision<'_, T>) -> T {
    let Decision { effects, events, value } = decision;
    events.iter().for_each(|event| stats::happened(event.kind));
    if effects.is_empty() {
        return value;
    }
    let entries = audit::entries(key.name(), &events, || key.is_cluster());
    carry_out(key, &effects);
    replicate(key, &effects);
    if let Some(Entries { stream, maxlen, entries }) = entries {
        added(&stream, entries.len(), key.append(&stream, maxlen, entries));
    }
    tell(key, &events);
    value
}

/// As [`commit`], for a use, which core has already carried out.
pub(crate) fn announce<T>(key: &KeyForWriting<'_>, decision: Decision<'_, T>) -> T {
    let Decision { effects, events, value } = decision;
    if !effects.is_empty() {
        // EXPIRE or PERSIST may have set another expiry. Replicas set this one when they carry out the effects.
        if let Some(sessions) = key.sessions() {
            key.expire_at(sessions.last_deadline().as_i64(), false);
        }
        replicate(key, &effects);
        tell(key, &events);
    }
    value
}

/// Tells subscribers once of each kind of event. Deadlines that have passed come first.
fn tell(key: &KeyForWriting<'_>, events: &[Event<'_>]) {
    let names = || events.iter().map(|event| name_of(event.kind));
    let is_expiry = |name: &&CStr| *name == c"session.expire";
    let mut told = names().find(is_expiry);
    told.into_iter().for_each(|name| key.notify(name));
    for name in names().filter(|name| !is_expiry(name)) {
        if told.replace(name) != Some(name) {
            key.notify(name);
        }
    }
}

/// Applies encoded effects of a primary or a log, and returns how many there were. If they cannot be understood, it
/// closes the key: they may have ended a session, which must not live on here.
pub(crate) fn apply(key: &mut KeyForWriting<'_>, bytes: &[u8]) -> Result<usize, DecodeError> {
    #[cfg(feature = "fault-injection")]
    let bytes = &*fault::read(bytes);
    match decode_effects(bytes) {
        Ok(effects) => {
            carry_out(key, &effects);
            Ok(effects.len())
        }
        Err(why) => {
            close(key);
            Err(why)
        }
    }
}

/// Closes a key whose effects could not be understood. No session or token of it is good until the primary sends the
/// whole value again.
fn close(key: &mut KeyForWriting<'_>) {
    if let Some(sessions) = key.value_mut() {
        let before = Share::of(sessions);
        let old = std::mem::replace(sessions, UserSessions::closed());
        before.becomes(Share::default());
        state::release(old.agents());
    } else {
        key.set_value(UserSessions::closed());
    }
    stored::failed_to_apply();
    key.expire_at(UnixMillis::MAX.as_i64(), false);
    key.signal();
}

/// Carries out `effects`. Creates the key for the first record, keeps its expiry at the last deadline, and deletes the
/// key with the last record.
fn carry_out(key: &mut KeyForWriting<'_>, effects: &[Effect<'_>]) {
    if effects.is_empty() {
        return;
    }
    let is_new = key.value().is_none();
    if is_new {
        key.set_value(UserSessions::new());
    }
    let Some(sessions) = key.value_mut() else { return };
    let before = Share::of(sessions);
    let mut state = state::lock();
    if let Some(time) = effects.iter().filter_map(Effect::time).max() {
        state.saw(time);
    }
    sessions.apply(effects, state.agents());
    drop(state);
    before.becomes(Share::of(sessions));
    if sessions.is_empty() {
        key.delete();
    } else {
        let deadline = sessions.last_deadline().as_i64();
        key.expire_at(deadline, is_new);
    }
    key.signal();
}

/// Passes `effects` on to replicas and the append-only file.
fn replicate(key: &KeyForWriting<'_>, effects: &[Effect<'_>]) {
    #[allow(unused_mut)] // but for tests
    let mut bytes = encode_effects(effects);
    #[cfg(feature = "fault-injection")]
    fault::written(&mut bytes);
    key.replicate(&bytes);
}

/// Adds entries to the audit stream, if there are any, for a command that concerns no key.
pub(crate) fn audit(call: &Call<'_>, entries: Option<Entries>) {
    if let Some(Entries { stream, maxlen, entries }) = entries {
        added(&stream, entries.len(), call.append(&stream, maxlen, entries));
    }
}

/// Counts entries of the audit stream, and logs those that it did not take.
fn added(stream: &[u8], entries: usize, not_added: usize) {
    stats::AUDIT_ADDED.add(entries.saturating_sub(not_added));
    for _ in 0..not_added {
        stats::AUDIT_FAILURES.add(1);
        log_warning(&format!("session: no entry could be added to {}", String::from_utf8_lossy(stream)));
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
