//! Cutoffs: moments up to which everything has been ended.

use super::reader::Reader;
use crate::UnixMillis;
use crate::token::Issued;

/// A moment up to which everything has been ended. Credentials count if they are later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cutoff {
    /// Sessions that began at or before this moment are dead, with all tokens made for them here.
    pub began: UnixMillis,
    /// JWTs made elsewhere are dead if their `iat` is in the second of this moment, or before it. This is as much later
    /// than `began` as the leeway lets an `iat` be ahead of the clock.
    pub iat: UnixMillis,
}

/// The cutoff of all users, as files and replicas get it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Everyone {
    /// What is dead.
    pub cutoff: Cutoff,
    /// What of it lay in the past: a server that starts again, with a clock that is behind, has seen this time.
    pub seen: UnixMillis,
}

impl Everyone {
    /// The bytes of it, as RDB files have them. Later versions may append to them.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 18] {
        let ([a, b, c, d, e, f, g, h, i, j, k, l], [m, n, o, p, q, r]) = (self.cutoff.to_bytes(), self.seen.to_bytes());
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r]
    }

    /// Reads [`Everyone::to_bytes`] at the front of `bytes`; `None` if they are too few.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        Some(Self { cutoff: Cutoff::read(&mut reader)?, seen: reader.time()? })
    }
}

impl Cutoff {
    /// Ends everything that began, or was issued, at `time` or before, where an `iat` may be `leeway` milliseconds ahead.
    #[must_use]
    pub fn at(time: UnixMillis, leeway: u64) -> Self {
        Self { began: time, iat: time.saturating_add(leeway) }
    }

    pub(crate) fn to_bytes(self) -> [u8; 12] {
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (self.began.to_bytes(), self.iat.to_bytes());
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { began: reader.time()?, iat: reader.time()? })
    }

    /// Ends what either of the two ends.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { began: self.began.max(other.began), iat: self.iat.max(other.iat) }
    }

    /// Ends what both of the two end.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { began: self.began.min(other.began), iat: self.iat.min(other.iat) }
    }

    /// Ends JWTs made elsewhere up to this `iat`, too.
    #[must_use]
    pub(crate) fn with_iat(self, iat: UnixMillis) -> Self {
        Self { iat: self.iat.max(iat), ..self }
    }

    /// Whether a credential of this issue time is dead. A bare id says no such time.
    ///
    /// A JWT shows whole seconds, so one of the cutoff's own second counts as older.
    #[must_use]
    pub fn ends(self, issued: Issued) -> bool {
        match issued {
            Issued::Unsaid => false,
            Issued::InSecondOf(time) => self.iat > UnixMillis::ZERO && time.as_secs() <= self.iat.as_secs(),
            Issued::ForSessionOf(time) => self.ends_session(time),
        }
    }

    /// Whether a session that began at `time` is dead.
    #[must_use]
    pub fn ends_session(self, time: UnixMillis) -> bool {
        self.began > UnixMillis::ZERO && time <= self.began
    }
}

/// A cutoff of one user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserCutoff {
    /// What it ends.
    pub cutoff: Cutoff,
    /// When the last credential that it ends has expired, so that it can be forgotten.
    pub until: UnixMillis,
}

impl UserCutoff {
    /// The cutoff of a value that could not be read.
    pub(crate) const CLOSED: Self =
        Self { cutoff: Cutoff { began: UnixMillis::MAX, iat: UnixMillis::MAX }, until: UnixMillis::MAX };

    /// When it was set, if it says that.
    pub(crate) fn time(self) -> Option<UnixMillis> {
        (self != Self::CLOSED).then_some(self.cutoff.began)
    }
}
