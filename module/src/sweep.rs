//! The sweep: removes dead sessions from values that live on, a few in each turn.
//!
//! The server deletes a key at its last deadline. Until then, a user's dead sessions may share the key with a session
//! that lives for months. So the sweep walks through all keys, over and over, and purges them. Only the primary sweeps.
//! Replicas get the effects, like those of any command. [`redis_session_core::sweep`] says how much time it takes.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis_session_core::UnixMillis;
use redis_session_core::sessions::UserSessions;
use redis_session_core::sweep::{Load, Walk};

use crate::commit::commit;
use crate::ffi::{Cursor, Tick, clock, processor_time};
use crate::stats::Gauge;
use crate::stored::{KeyForWriting, Sessions};
use crate::{state, stats};

/// The least number of milliseconds from the start of one walk to the next, so that the sweep does not walk through a
/// small database all the time.
const CYCLE: u64 = 1000;
/// From one turn to the next while there is nothing to do.
const REST: Duration = Duration::from_millis(100);
/// How many records of a value one step looks at: about 80 microseconds of work if all of them have died.
const PART: usize = 64;
/// As [`PART`] where a record takes longer, because each dead one becomes an entry of the audit stream (8 microseconds).
const SMALL_PART: usize = 8;
/// How many places of the key table one step visits.
const PLACES: usize = 8;
/// For how long the server is watched before it counts as idle or busy.
const WATCH: Duration = Duration::from_millis(100);

static SWEEP: Mutex<Option<Sweep>> = Mutex::new(None);

/// Where the sweep is.
struct Sweep {
    began: UnixMillis,
    cursor: Cursor,
    db: i32,
    /// Keys with something to purge, and which of their records come next.
    found: VecDeque<(Vec<u8>, u64)>,
    walk: Walk,
    /// Whether this walk is over.
    done: bool,
    /// When the last turn ended.
    turn_ended: Instant,
    clients: Clients,
}

/// How busy clients keep the server.
struct Clients {
    since: Instant,
    /// The processor time that the main thread had used then.
    used: Duration,
    /// How much of it the sweep has used since.
    swept: Duration,
    /// How often clients had used sessions then.
    uses: u64,
    are_idle: bool,
}

/// Sweeps for one turn. The answer is when the next one is due.
pub(crate) fn tick(tick: &Tick) -> Duration {
    let at_rest = state::lock().settings.sweep();
    let mut sweep = SWEEP.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(at_rest), true) = (at_rest, tick.may_write()) else {
        // A replica, or a sweep that is off, knows of nothing that waits for it.
        *sweep = None;
        [&stats::SWEEP_BACKLOG, &stats::SWEEP_OLDEST].into_iter().for_each(|figure| figure.set(0));
        return REST;
    };
    let now = clock();
    if sweep.as_ref().is_some_and(|sweep| sweep.done && sweep.is_recent(now)) {
        return REST;
    }
    let sweep = sweep.get_or_insert_with(|| Sweep::new(now));
    if sweep.done {
        sweep.restart(now);
    }
    let load = Load { at_rest, backlog: sweep.backlog(), is_idle: sweep.clients.are_idle };
    let (start, used) = (Instant::now(), processor_time());
    let turn = load.turn(start.saturating_duration_since(sweep.turn_ended));
    // At least one step: a small budget on a slow machine must not stop the sweep for good.
    loop {
        sweep.step(tick);
        if sweep.done || start.elapsed() >= turn {
            break;
        }
    }
    sweep.turn_ended = Instant::now();
    let took = processor_time().saturating_sub(used);
    sweep.clients.watch(took);
    sweep.tell();
    stats::SWEEP_TICKS.add(1);
    stats::SWEEP_TIME.add(usize::try_from(took.as_micros()).unwrap_or(0));
    stats::SWEEP_LONGEST.at_least(u64::try_from(took.as_micros()).unwrap_or(0));
    if sweep.done { REST } else { Load { backlog: sweep.backlog(), ..load }.pause() }
}

impl Sweep {
    fn new(now: UnixMillis) -> Self {
        Self {
            began: now,
            cursor: Cursor::new(),
            db: 0,
            found: VecDeque::new(),
            walk: Walk::default(),
            done: false,
            turn_ended: Instant::now(),
            clients: Clients::new(),
        }
    }

    /// Begins the next walk.
    fn restart(&mut self, now: UnixMillis) {
        (self.began, self.cursor, self.db, self.done) = (now, Cursor::new(), 0, false);
        (self.found, self.walk) = (VecDeque::new(), Walk::default());
    }

    /// Whether the next walk must wait. A clock that steps back does not make it wait longer.
    fn is_recent(&self, now: UnixMillis) -> bool {
        now >= self.began && now.saturating_since(self.began) < CYCLE
    }

    fn backlog(&self) -> u64 {
        self.walk.backlog(stats::users())
    }

    /// Says how far behind the sweep is.
    fn tell(&self) {
        let now = clock();
        let cycle = now.saturating_since(self.began) / 1000;
        let oldest = self.walk.oldest(now) / 1000;
        if self.done {
            stats::SWEEP_BACKLOG.set(0);
            stats::SWEEP_CYCLE.set(cycle);
            stats::SWEEP_OLDEST.set(oldest);
            return;
        }
        stats::SWEEP_BACKLOG.set(self.backlog());
        // Until this walk has gone further, the last one tells more.
        for (figure, so_far) in [(&stats::SWEEP_CYCLE, cycle), (&stats::SWEEP_OLDEST, oldest)] {
            Gauge::set(figure, so_far.max(figure.get()));
        }
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
            let (mut next, mut died) = (None, 0);
            tick.change(&key, |key: &mut KeyForWriting<'_>| {
                let Some(sessions) = key.sessions() else { return };
                let decision = sessions.purge(from, part, &rules);
                died = decision.events.len();
                next = commit(key, decision);
            });
            self.walk.took_out(u64::try_from(died).unwrap_or(u64::MAX));
            match next {
                Some(next) => self.found.push_front((key, next)),
                None if self.found.is_empty() => self.walk.caught_up(),
                None => {}
            }
            return;
        }
        let Self { found, walk, cursor, .. } = self;
        let mut visit = |key: &[u8], sessions: &UserSessions| {
            stats::SWEEP_EXAMINED.add(1);
            let dead = sessions.dead(PART, &rules);
            walk.saw(dead);
            if dead.is_due {
                found.push_back((key.to_vec(), 0));
            }
        };
        let more = (0..PLACES).all(|_| tick.scan(cursor, &mut visit, panicked));
        if !more && self.found.is_empty() {
            (self.db, self.cursor) = (self.db + 1, Cursor::new());
        }
    }
}

impl Clients {
    fn new() -> Self {
        let (used, uses) = (processor_time(), stats::uses());
        Self { since: Instant::now(), used, swept: Duration::ZERO, uses, are_idle: false }
    }

    /// Takes a look at how busy the main thread is apart from the sweep, whose turn took so long. Clients that wait for a
    /// check now and then would notice a longer turn as well, so a single use of a session counts.
    fn watch(&mut self, took: Duration) {
        self.swept = self.swept.saturating_add(took);
        let passed = self.since.elapsed();
        if passed >= WATCH {
            let used = processor_time().saturating_sub(self.used).saturating_sub(self.swept);
            *self = Self { are_idle: used < passed / 2 && self.uses == stats::uses(), ..Self::new() };
        }
    }
}

/// A panic at one key does not end the walk.
fn panicked() {
    stats::PANICS.add(1);
}
