//! Figures of a near cache.

use std::time::Duration;

/// What a near cache has done since it was made, and what it holds now: for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearCacheFigures {
    /// Checks that were answered from memory.
    pub hits: u64,
    /// Checks that asked Redis.
    pub misses: u64,
    /// Keys that the server reported as changed.
    pub invalidations: u64,
    /// How often everything was dropped: after the end of a connection, a `FLUSHALL`, or a change that concerns
    /// everyone.
    pub clearances: u64,
    /// Answers that were removed early to make room for others.
    pub evictions: u64,
    /// Uses that were sent to Redis as `SESSION.TOUCH`.
    pub touches: u64,
    /// Answers that it holds.
    pub entries: usize,
    /// The memory that they take, in bytes, as [`NearCache::bytes`](crate::NearCache::bytes) counts it.
    pub bytes: usize,
    /// How long ago the tracking connection last proved alive; `None` if there is none. In a cluster, the connection
    /// that has been silent longest.
    pub age: Option<Duration>,
    /// Why no tracking connection could be made.
    pub trouble: Option<String>,
}
