//! The sweep: removes dead sessions from values that live on, a few at every tick.
//!
//! The server deletes a key at its last deadline. Until then, a user's dead sessions may share the key with a session
//! that lives for months. So the sweep walks through all keys, over and over, and purges them. Only the primary sweeps.
//! Replicas get the effects, like those of any command.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use redis_session_core::UnixMillis;
use redis_session_core::sessions::UserSessions;

use crate::commit::commit;
use crate::ffi::{Cursor, Tick, clock};
use crate::stored::{KeyForWriting, Sessions};
use crate::{state, stats};

/// The least number of milliseconds from the start of one walk to the next, so that the sweep does not walk through a
/// small database all the time.
const CYCLE: u64 = 1000;
/// How many records of a value one step looks at: about 20 microseconds of work, or 600 if all of them have died.
const PART: usize = 500;
/// As [`PART`] where a record takes longer, because each dead one becomes an entry of the audit stream (8
/// microseconds), or where one step visits several values.
const SMALL_PART: usize = 50;
/// How many places of the key table one step visits.
const PLACES: usize = 16;

static SWEEP: Mutex<Option<Sweep>> = Mutex::new(None);

/// Where the sweep is.
struct Sweep {
    began: UnixMillis,
    cursor: Cursor,
    db: i32,
    /// Keys with something to purge, and which of their records come next.
    found: VecDeque<(Vec<u8>, u64)>,
    /// Whether this walk is over.
    done: bool,
}

/// Sweeps for as long as a tick may take.
pub(crate) fn tick(tick: &Tick) {
    let settings = state::lock().settings.sweep();
    let (Some(budget), true) = (settings, tick.may_write()) else { return };
    let mut sweep = SWEEP.lock().unwrap_or_else(PoisonError::into_inner);
    let (start, now) = (Instant::now(), clock());
    if sweep.as_ref().is_some_and(|sweep| sweep.done && sweep.is_recent(now)) {
        return;
    }
    if sweep.as_ref().is_none_or(|sweep| sweep.done) {
        *sweep = Some(Sweep { began: now, cursor: Cursor::new(), db: 0, found: VecDeque::new(), done: false });
    }
    if let Some(sweep) = sweep.as_mut() {
        // At least one step: a small budget on a slow machine must not stop the sweep for good.
        loop {
            sweep.step(tick);
            if sweep.done || start.elapsed() >= budget {
                break;
            }
        }
    }
    stats::SWEEP_TICKS.add(1);
    let took = start.elapsed().as_micros();
    stats::SWEEP_TIME.add(usize::try_from(took).unwrap_or(0));
    stats::SWEEP_LONGEST.at_least(u64::try_from(took).unwrap_or(0));
}

impl Sweep {
    /// Whether the next walk must wait. A clock that steps back does not make it wait longer.
    fn is_recent(&self, now: UnixMillis) -> bool {
        now >= self.began && now.saturating_since(self.began) < CYCLE
    }

    fn step(&mut self, tick: &Tick) {
        let (rules, part) = {
            let mut state = state::lock();
            let part = if state.settings.audit_stream.is_empty() { PART } else { SMALL_PART };
            (state.rules(), part)
        };
        if !tick.select(self.db) {
            // There is no such database: that was the last.
            self.done = true;
            stats::SWEEP_CYCLES.add(1);
            return;
        }
        if let Some((key, from)) = self.found.pop_front() {
            let mut next = None;
            tick.change(&key, |key: &mut KeyForWriting<'_>| {
                let Some(sessions) = key.sessions() else { return };
                let decision = sessions.purge(from, part, &rules);
                next = commit(key, decision);
            });
            if let Some(next) = next {
                self.found.push_front((key, next));
            }
            return;
        }
        let found = &mut self.found;
        let mut visit = |key: &[u8], sessions: &UserSessions| {
            stats::SWEEP_EXAMINED.add(1);
            let purge = sessions.purge(0, SMALL_PART, &rules);
            if !purge.effects.is_empty() || purge.value.is_some() {
                found.push_back((key.to_vec(), 0));
            }
        };
        let more = (0..PLACES).all(|_| tick.scan(&mut self.cursor, &mut visit, panicked));
        if !more && self.found.is_empty() {
            (self.db, self.cursor) = (self.db + 1, Cursor::new());
        }
    }
}

/// A panic at one key does not end the walk.
fn panicked() {
    stats::PANICS.add(1);
}
