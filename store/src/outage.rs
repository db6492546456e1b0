//! When to try again after a failure.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// The pause after a first failure. It doubles after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The failures since the last success.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    pub(crate) failures: u32,
    next_try: Option<Instant>,
}

impl Outage {
    /// Whether it is time for a try.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        self.next_try.is_none_or(|next_try| next_try <= now)
    }

    /// Whether a pause is running, or has run since the last success.
    pub(crate) fn has_paused(&self) -> bool {
        self.next_try.is_some()
    }

    /// Whether the last pause ended so long ago that the failure says nothing about now.
    pub(crate) fn is_forgotten(&self, now: Instant) -> bool {
        self.next_try.is_some_and(|next_try| now.saturating_duration_since(next_try) > LONGEST_PAUSE)
    }

    /// Counts a failure of a call that was admitted after this many. Concurrent failures of one outage count once.
    pub(crate) fn fail(&mut self, admitted_after: u32) {
        if self.failures == admitted_after {
            self.failures = self.failures.saturating_add(1);
        }
    }

    pub(crate) fn pause(&mut self, now: Instant) {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
        // Any number will do that differs between processes and calls.
        let chance = u32::try_from(RandomState::new().hash_one(()) & 0xff).unwrap_or(0);
        self.next_try = Some(now + doubled + doubled / 2 * chance / 256);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_differ() {
        let mut outage = Outage::default();
        let mut pauses = Vec::new();
        let now = Instant::now();
        for failures in 1..40 {
            outage.failures = failures;
            outage.pause(now);
            pauses.push(outage.next_try.unwrap() - now);
        }
        for (n, pause) in (0..).zip(&pauses) {
            let least = (FIRST_PAUSE * (1 << n.min(10))).min(LONGEST_PAUSE);
            assert!(*pause >= least && *pause < least * 3 / 2, "{n} {pause:?}");
        }
        let last = &pauses[20..];
        assert!(last.iter().any(|pause| pause.abs_diff(last[0]) > Duration::from_millis(100)), "{last:?}");
    }

    #[test]
    fn calls_that_fail_together_count_once() {
        let mut outage = Outage::default();
        for _ in 0..100 {
            outage.fail(0);
        }
        assert_eq!(outage.failures, 1);
        outage.fail(1);
        assert_eq!(outage.failures, 2);
    }

    #[test]
    fn a_try_is_admitted_after_the_pause_and_a_failure_long_ago_is_forgotten() {
        let now = Instant::now();
        let mut outage = Outage { failures: 1, next_try: None };
        assert!(outage.admits(now) && !outage.has_paused() && !outage.is_forgotten(now));
        outage.pause(now);
        assert!(!outage.admits(now) && outage.has_paused());
        assert!(outage.admits(now + FIRST_PAUSE * 2) && !outage.is_forgotten(now + FIRST_PAUSE * 2));
        assert!(outage.is_forgotten(now + FIRST_PAUSE * 2 + LONGEST_PAUSE));
    }
}
