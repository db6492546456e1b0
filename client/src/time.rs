//! Points in time in replies and commands.

use std::time::{Duration, SystemTime};

use serde::de::{Deserialize, Deserializer, Error};

/// A point in time by the server's clock, in milliseconds.
///
/// ```
/// # fn show(session: &redis_session::Session) {
/// let until = session.expires_at.to_system_time(); // for std, chrono, jiff, time
/// let exp = session.expires_at.unix_secs(); // as in a JWT
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The server's times have 48 bits.
    const MAX: u64 = (1 << 48) - 1;

    /// This many milliseconds after the Unix epoch; `None` from 2^48 on.
    #[must_use]
    pub const fn from_unix_millis(millis: u64) -> Option<Self> {
        if millis <= Self::MAX { Some(Self(millis)) } else { None }
    }

    /// Milliseconds since the Unix epoch, less than 2^48.
    #[must_use]
    pub const fn unix_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn unix_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The same moment as the standard library's type.
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.unix_millis())
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_system_time()
    }
}

/// From Unix milliseconds, as in the server's JSON.
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_unix_millis(u64::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("out of range"))
    }
}

/// A moment as an argument. Fractions of a millisecond are rounded up.
pub(crate) fn unix_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).min(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_790_000_000_123;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix_millis(millis).unwrap()
    }

    #[test]
    fn a_timestamp_keeps_its_milliseconds() {
        assert_eq!(at(AT).unix_millis(), 1_790_000_000_123);
        assert_eq!(at(AT).unix_secs(), 1_790_000_000);
        let since = SystemTime::from(at(AT)).duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_millis(), 1_790_000_000_123);
        assert!(at(AT) < at(AT + 1));
        assert!(at((1 << 48) - 1).to_system_time() > SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn a_moment_between_two_milliseconds_is_the_later() {
        let at = |nanos| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
        assert_eq!([at(0), at(1), at(1_000_000), at(1_000_001)].map(unix_millis), [0, 1, 1, 2]);
        assert_eq!(unix_millis(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), 0);
        let end_of_times = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(unix_millis(end_of_times), (1 << 48) - 1);
    }
}
