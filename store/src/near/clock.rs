//! A clock that nobody can set.

use std::time::{Duration, Instant, SystemTime};

/// Nanoseconds since a near cache was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    /// Earlier than all others.
    pub(super) const NEVER: Self = Self(0);

    pub(super) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(super) const fn nanos(self) -> u64 {
        self.0
    }

    pub(super) fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A clock that is independent of the machine's time.
#[derive(Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// Never [`Moment::NEVER`].
    pub(super) fn now(&self) -> Moment {
        Moment(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1))
    }
}

/// Detects that the machine has slept: its time moved on and the clock above did not.
#[derive(Debug)]
pub(super) struct Sleep {
    clock: Instant,
    time: SystemTime,
}

impl Sleep {
    pub(super) fn new() -> Self {
        Self { clock: Instant::now(), time: SystemTime::now() }
    }

    /// How much further the machine's time moved than the clock since the last call. `None` if the time was set back.
    pub(super) fn slept(&mut self) -> Duration {
        let now = Self::new();
        let by_time = now.time.duration_since(self.time).unwrap_or_default();
        let slept = by_time.saturating_sub(now.clock.duration_since(self.clock));
        *self = now;
        slept
    }
}
