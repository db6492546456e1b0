//! How far behind a sweep is, and how much of the server's time it takes.
//!
//! A sweep walks through all values, over and over, and takes out dead sessions. Nobody waits for it, so it rests most of
//! the time. When many sessions die at once it takes more: one millionth of the time for each dead session that it knows
//! of, between what it may take at rest and ten times as much, or twenty times while no client uses a session and the
//! server is idle. Redis' own active expiry works by the same idea: it goes on while it finds many keys that have expired.

use std::time::Duration;

use crate::UnixMillis;
use crate::sessions::Dead;

/// How much more than at rest a sweep takes that is behind.
const BEHIND: u64 = 10;
/// As [`BEHIND`], while nobody would notice.
const IDLE: u64 = 20;
/// The most that it ever takes, in millionths.
const MOST: u64 = 500_000;
/// The microseconds that one turn is meant to take. Clients wait for no longer than that, so turns are short and follow
/// each other quickly.
const TURN: u64 = 100;
/// The most microseconds of a turn, where turns come late because the server is busy.
const LONGEST_TURN: u64 = 500;
/// The most milliseconds from one turn to the next.
const PAUSE: u64 = 100;
/// How many values tell how dense the dead are: of so many, half is forgotten.
const WINDOW: u64 = 4096;
/// How many values without dead sessions stand for those not seen yet, so that the first few do not decide.
const UNSEEN: u64 = 64;

/// What a sweep goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Microseconds of each tenth of a second that it takes at rest: `session.sweep-time`.
    pub at_rest: u64,
    /// About how many dead sessions wait for it.
    pub backlog: u64,
    /// Whether nobody would notice longer turns: no client uses a session, and the server is idle for half of the time.
    pub is_idle: bool,
}

impl Load {
    /// The share of the time that the sweep takes, in millionths.
    #[must_use]
    pub fn share(self) -> u64 {
        // A tenth of a second has 100,000 microseconds.
        let at_rest = self.at_rest.saturating_mul(10).min(MOST);
        let most = at_rest.saturating_mul(if self.is_idle { IDLE } else { BEHIND }).min(MOST);
        self.backlog.clamp(at_rest, most)
    }

    /// How long a turn may be that comes so long after the last one.
    #[must_use]
    pub fn turn(self, since_last: Duration) -> Duration {
        let micros = u64::try_from(since_last.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros((micros.saturating_mul(self.share()) / 1_000_000).min(LONGEST_TURN))
    }

    /// How long to wait until the next turn: from 1 to 100 milliseconds.
    #[must_use]
    pub fn pause(self) -> Duration {
        let micros = (TURN * 1_000_000).checked_div(self.share()).unwrap_or(u64::MAX);
        Duration::from_millis((micros / 1000).clamp(1, PAUSE))
    }
}

/// What one walk through all values has found so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// How many values it has looked at.
    looked: u64,
    /// How many of the latest values, and how many dead sessions were in them.
    latest: u64,
    dead_in_latest: u64,
    /// How many dead sessions were found and not taken out yet.
    found: u64,
    /// When the first of all that were found has died.
    since: UnixMillis,
}

impl Default for Walk {
    fn default() -> Self {
        Self { looked: 0, latest: UNSEEN, dead_in_latest: 0, found: 0, since: UnixMillis::MAX }
    }
}

impl Walk {
    /// Notes what is in one more value.
    pub fn saw(&mut self, dead: Dead) {
        let sessions = u64::try_from(dead.sessions).unwrap_or(u64::MAX);
        self.looked = self.looked.saturating_add(1);
        if self.latest >= WINDOW {
            self.latest /= 2;
            self.dead_in_latest /= 2;
        }
        self.latest = self.latest.saturating_add(1);
        self.dead_in_latest = self.dead_in_latest.saturating_add(sessions);
        self.found = self.found.saturating_add(sessions);
        self.since = self.since.min(dead.since);
    }

    /// Notes that so many dead sessions were taken out.
    pub fn took_out(&mut self, sessions: u64) {
        self.found = self.found.saturating_sub(sessions);
    }

    /// Notes that all that was found was taken out.
    pub fn caught_up(&mut self) {
        self.found = 0;
    }

    /// About how many dead sessions wait, of so many values: those found, and as many in the values not seen yet as in
    /// the latest ones.
    #[must_use]
    pub fn backlog(&self, values: u64) -> u64 {
        let unseen = values.saturating_sub(self.looked);
        let expected = unseen.saturating_mul(self.dead_in_latest).checked_div(self.latest).unwrap_or(0);
        self.found.saturating_add(expected)
    }

    /// For how many milliseconds the oldest dead session that was found has been dead.
    #[must_use]
    pub fn oldest(&self, now: UnixMillis) -> u64 {
        now.saturating_since(self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(backlog: u64, is_idle: bool) -> Load {
        Load { at_rest: 1000, backlog, is_idle }
    }

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    fn dead(sessions: usize, since: u64) -> Dead {
        Dead { sessions, since: UnixMillis::new(since).unwrap(), is_due: true }
    }

    #[test]
    fn a_sweep_takes_more_the_more_is_dead() {
        let shares = [0, 10_000, 30_000, 100_000, 1_000_000].map(|backlog| load(backlog, false).share());
        assert_eq!(shares, [10_000, 10_000, 30_000, 100_000, 100_000]);
        assert_eq!([0, 1_000_000].map(|backlog| load(backlog, true).share()), [10_000, 200_000]);
        let most = Load { at_rest: 25_000, backlog: u64::MAX, is_idle: true };
        assert_eq!(most.share(), 500_000);
        assert_eq!(Load { backlog: u64::MAX, ..Load::default() }.share(), 0, "it is off");
    }

    #[test]
    fn a_turn_is_short_and_the_next_one_soon() {
        assert_eq!((load(0, false).pause(), load(0, false).turn(micros(10_000))), (micros(10_000), micros(100)));
        let behind = load(1 << 40, false);
        assert_eq!((behind.pause(), behind.turn(micros(1000))), (micros(1000), micros(100)));
        assert_eq!(load(1 << 40, true).turn(micros(1000)), micros(200));
        assert_eq!(behind.turn(micros(3000)), micros(300), "it came late");
        assert_eq!(behind.turn(Duration::MAX), micros(500), "it came very late");
        assert_eq!(Load { at_rest: 1, ..Load::default() }.pause(), Duration::from_millis(100));
        assert_eq!(Load::default().pause(), Duration::from_millis(100));
    }

    #[test]
    fn what_waits_is_what_was_found_and_what_is_to_be_expected() {
        let mut walk = Walk::default();
        assert_eq!((walk.backlog(1_000_000), walk.oldest(UnixMillis::MAX)), (0, 0));
        (0..64).for_each(|_| walk.saw(dead(3, 500)));
        assert_eq!(walk.backlog(64), 192, "nothing is unseen");
        assert_eq!(walk.backlog(1064), 192 + 1000 * 3 / 2, "64 that nobody has seen count as clean");
        walk.took_out(100);
        assert_eq!(walk.backlog(64), 92);
        walk.caught_up();
        assert_eq!((walk.backlog(64), walk.backlog(0)), (0, 0));
        assert_eq!(walk.oldest(UnixMillis::new(2500).unwrap()), 2000);
    }

    #[test]
    fn the_latest_values_count() {
        let mut walk = Walk::default();
        (0..100_000).for_each(|_| walk.saw(Dead::default()));
        assert_eq!(walk.backlog(1_000_000), 0);
        (0..20_000).for_each(|_| walk.saw(dead(1, 0)));
        walk.caught_up();
        let expected = walk.backlog(1_000_000);
        assert!((850_000..=880_000).contains(&expected), "{expected}");
        (0..40_000).for_each(|_| walk.saw(Dead::default()));
        assert!(walk.backlog(1_000_000) < 100);
    }

    #[test]
    fn no_number_is_too_large() {
        let mut walk = Walk::default();
        (0..3).for_each(|_| walk.saw(dead(usize::MAX, 0)));
        assert!(walk.backlog(u64::MAX) > 0);
    }
}
