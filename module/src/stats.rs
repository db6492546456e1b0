//! What has happened on this server since it started, and what is stored: SESSION.STATS and the section of INFO.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use redis_session_core::Reason;
use redis_session_core::readers::Readers;
use redis_session_core::sessions::{EventKind, UserSessions};

use crate::{refusals, state};

/// Only the server's main thread adds to it.
pub(crate) struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn add(&self, number: usize) {
        // Cheaper than an atomic addition, which only several writers need.
        self.0.store(self.get().wrapping_add(u64::try_from(number).unwrap_or(0)), Relaxed);
    }

    pub(crate) fn at_least(&self, number: u64) {
        self.0.store(self.get().max(number), Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A figure that goes up and down. Only the server's main thread sets it.
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn set(&self, number: u64) {
        self.0.store(number, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// About how many dead sessions wait for the sweep.
pub(crate) static SWEEP_BACKLOG: Gauge = Gauge::new();
/// For how many seconds the oldest session had been dead that the sweep has found in its last walk.
pub(crate) static SWEEP_OLDEST: Gauge = Gauge::new();
/// Seconds that the sweep's last walk took.
pub(crate) static SWEEP_CYCLE: Gauge = Gauge::new();
static AUDIT_STREAMS: Gauge = Gauge::new();
static AUDIT_LENGTH: Gauge = Gauge::new();
static AUDIT_LAG: Gauge = Gauge::new();
static AUDIT_LOST: Gauge = Gauge::new();
static GAUGES: [(&str, &Gauge); 7] = [
    ("sweep_backlog", &SWEEP_BACKLOG),
    ("sweep_oldest_seconds", &SWEEP_OLDEST),
    ("sweep_cycle_seconds", &SWEEP_CYCLE),
    ("audit_streams", &AUDIT_STREAMS),
    ("audit_length", &AUDIT_LENGTH),
    ("audit_lag", &AUDIT_LAG),
    ("audit_lost", &AUDIT_LOST),
];

/// Says how far readers of the audit stream are.
pub(crate) fn set_readers(readers: Readers) {
    AUDIT_STREAMS.set(readers.streams);
    AUDIT_LENGTH.set(readers.length);
    AUDIT_LAG.set(readers.behind);
    AUDIT_LOST.set(readers.lost);
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident $label:literal)*) => {
        $($(#[$doc])* pub(crate) static $name: Counter = Counter::new();)*
        static COUNTERS: &[(&str, &Counter)] = &[$(($label, &$name)),*];
    };
}

counters! {
    /// Sessions begun.
    CREATED "created"
    /// Checks by SESSION.VALIDATE that found a session alive, or a token good without one.
    VALIDATED "validated"
    /// The same by SESSION.TOUCH.
    TOUCHED "touched"
    /// Refresh tokens exchanged, also repeatedly within the grace.
    REFRESHED "refreshed"
    /// Refresh tokens used again later, each of which ended its session.
    REUSED "reused"
    /// Sessions that got another id.
    REGENERATED "regenerated"
    /// Sessions that made room for newer ones.
    EVICTED "evicted"
    /// Sessions and tokens revoked by SESSION.REVOKE and SESSION.REVOKEUSER.
    REVOKED "revoked"
    /// Calls of SESSION.REVOKEALL.
    REVOKE_ALL "revoke_all"
    /// Sessions whose absolute or idle deadline had passed when they were tidied away.
    EXPIRED "expired"
    /// Walks of the sweep through all keys.
    SWEEP_CYCLES "sweep_cycles"
    /// Values that the sweep has looked at.
    SWEEP_EXAMINED "sweep_examined"
    /// Ticks at which it has worked.
    SWEEP_TICKS "sweep_ticks"
    /// Microseconds of processor time that the sweep has taken.
    SWEEP_TIME "sweep_time_us"
    /// Those of its longest tick.
    SWEEP_LONGEST "sweep_longest_tick_us"
    /// Effects and values that could not be applied or read, each of which closed a user's key.
    APPLY_FAILURES "apply_failures"
    /// Entries that the audit stream took.
    AUDIT_ADDED "audit_added"
    /// Entries that the audit stream did not take.
    AUDIT_FAILURES "audit_failures"
    /// Commands that were stopped because of a bug.
    PANICS "panics"
}

/// Counts what a decision says happened.
pub(crate) fn happened(kind: EventKind) {
    match kind {
        EventKind::Created => CREATED.add(1),
        EventKind::Refreshed => REFRESHED.add(1),
        EventKind::Regenerated => REGENERATED.add(1),
        EventKind::Touched | EventKind::Set | EventKind::Unset => {}
        EventKind::AllEnded(alive) => REVOKED.add(alive),
        EventKind::Ended(Reason::Evicted) => EVICTED.add(1),
        EventKind::Ended(Reason::Reused) => REUSED.add(1),
        EventKind::Ended(Reason::Expired | Reason::Idle) => EXPIRED.add(1),
        EventKind::Ended(_) => REVOKED.add(1),
    }
}

/// Users that have sessions, and sessions. Values may be freed in a background thread.
static STORED: [AtomicI64; 2] = [AtomicI64::new(0), AtomicI64::new(0)];

/// How much one value adds to what is stored.
#[derive(Clone, Copy, Default)]
pub(crate) struct Share([i64; 2]);

impl Share {
    pub(crate) fn of(sessions: &UserSessions) -> Self {
        let stored = i64::try_from(sessions.stored()).unwrap_or(i64::MAX);
        Self([i64::from(stored > 0), stored])
    }

    /// Counts a value that was `self` and is `now`.
    pub(crate) fn becomes(self, now: Self) {
        for ((stored, before), after) in STORED.iter().zip(self.0).zip(now.0) {
            if before != after {
                stored.fetch_add(after.wrapping_sub(before), Relaxed);
            }
        }
    }
}

/// How many users are stored.
pub(crate) fn users() -> u64 {
    let [users, _] = &STORED;
    u64::try_from(users.load(Relaxed)).unwrap_or(0)
}

/// How often clients have used sessions so far.
pub(crate) fn uses() -> u64 {
    let refused = refusals::all();
    let uses = [&CREATED, &VALIDATED, &TOUCHED, &REFRESHED, &REGENERATED, &REVOKED, &REVOKE_ALL];
    uses.into_iter().fold(refused, |sum, counter| sum.wrapping_add(counter.get()))
}

/// All figures: name and value.
pub(crate) fn figures() -> Vec<(String, u64)> {
    let mut figures = Vec::with_capacity(96);
    for (name, stored) in ["users", "sessions"].into_iter().zip(&STORED) {
        figures.push((name.to_owned(), u64::try_from(stored.load(Relaxed)).unwrap_or(0)));
    }
    figures.extend(COUNTERS.iter().map(|(name, counter)| ((*name).to_owned(), counter.get())));
    figures.extend(GAUGES.iter().map(|(name, gauge)| ((*name).to_owned(), gauge.get())));
    figures.extend(refusals::figures());
    let mut state = state::lock();
    let settings_number = state.settings.number();
    let audit_maxlen = u64::try_from(state.settings.audit_maxlen).unwrap_or(0);
    let (hits, misses) = state.cache_hits_and_misses();
    let keys = u64::try_from(state.ring().map_or(0, |ring| ring.keys().len())).unwrap_or(u64::MAX);
    let agents = u64::try_from(state.agents_as_they_are().len()).unwrap_or(u64::MAX);
    let revoked_before = u64::try_from(state.everyone().cutoff.began.as_i64()).unwrap_or(0);
    let more = [
        ("revoked_before", revoked_before),
        ("clock_behind_ms", state.clock_behind()),
        ("token_cache_hits", hits),
        ("token_cache_misses", misses),
        ("keys", keys),
        ("keys_age_seconds", state.keys_age() / 1000),
        ("keys_fingerprint", state.keys_number()),
        ("settings_fingerprint", settings_number),
        ("audit_maxlen", audit_maxlen),
        ("audit_headroom", audit_maxlen.saturating_sub(AUDIT_LAG.get())),
        ("agents", agents),
    ];
    figures.extend(more.map(|(name, number)| (name.to_owned(), number)));
    figures
}
