//! Points in time and spans, in milliseconds. The clock itself is always passed in.

/// A point in time: milliseconds since the Unix epoch, from 0 to [`UnixMillis::MAX`].
///
/// It is kept in six bytes wherever it is stored, so the range is that of 48 bits: to the year 10889.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(u64);

impl UnixMillis {
    /// 1970-01-01T00:00:00Z.
    pub const ZERO: Self = Self(0);
    /// The last representable millisecond, 2^48 - 1.
    pub const MAX: Self = Self((1 << 48) - 1);

    /// The point `millis` milliseconds after the Unix epoch, or `None` past [`UnixMillis::MAX`].
    #[must_use]
    pub const fn new(millis: u64) -> Option<Self> {
        if millis <= Self::MAX.0 { Some(Self(millis)) } else { None }
    }

    /// As [`UnixMillis::new`], but a value out of range becomes the nearest bound. For clocks.
    #[must_use]
    pub const fn saturating_from(millis: i64) -> Self {
        if millis < 0 {
            Self::ZERO
        } else if millis.unsigned_abs() > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis.unsigned_abs())
        }
    }

    /// The start of second `seconds` after the Unix epoch (a JWT NumericDate), or `None` out of range.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Option<Self> {
        match seconds.checked_mul(1000) {
            Some(millis) => Self::new(millis),
            None => None,
        }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, for interfaces that count in signed integers.
    #[must_use]
    #[allow(clippy::cast_possible_wrap)] // 48 bits
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }

    /// Whole seconds since the Unix epoch, rounded down: what a JWT's `iat` shows of this moment.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This point plus `millis` milliseconds, or `None` past [`UnixMillis::MAX`].
    #[must_use]
    pub const fn checked_add(self, millis: u64) -> Option<Self> {
        match self.0.checked_add(millis) {
            Some(sum) => Self::new(sum),
            None => None,
        }
    }

    /// This point plus `millis` milliseconds, at most [`UnixMillis::MAX`].
    #[must_use]
    pub const fn saturating_add(self, millis: u64) -> Self {
        match self.checked_add(millis) {
            Some(sum) => sum,
            None => Self::MAX,
        }
    }

    /// Milliseconds from `earlier` to this point; 0 if `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The 48-bit little-endian form in which times are stored.
    #[must_use]
    pub(crate) const fn to_bytes(self) -> [u8; 6] {
        let [a, b, c, d, e, f, _, _] = self.0.to_le_bytes();
        [a, b, c, d, e, f]
    }

    /// Reads the form of [`UnixMillis::to_bytes`]; every six bytes are a valid time.
    #[must_use]
    pub(crate) const fn from_bytes(bytes: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = bytes;
        Self(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_outside_48_bits_do_not_construct() {
        assert!(UnixMillis::new(1 << 48).is_none());
        assert!(UnixMillis::from_secs(u64::MAX).is_none());
        assert!(UnixMillis::MAX.checked_add(1).is_none());
        assert_eq!(UnixMillis::saturating_from(-5), UnixMillis::ZERO);
        assert_eq!(UnixMillis::saturating_from(i64::MAX), UnixMillis::MAX);
        assert_eq!(UnixMillis::MAX.saturating_add(9), UnixMillis::MAX);
    }

    #[test]
    fn the_stored_form_round_trips() {
        for millis in [0, 1, 1_790_000_000_000, (1 << 48) - 1] {
            let time = UnixMillis::new(millis).unwrap();
            assert_eq!(UnixMillis::from_bytes(time.to_bytes()), time);
        }
    }
}
