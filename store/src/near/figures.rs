//! What a near cache has done.

use std::time::Duration;

/// What a near cache has done since it was made, and what it holds: for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearCacheFigures {
    /// Checks that were answered from memory.
    pub hits: u64,
    /// Checks that asked Redis.
    pub misses: u64,
    /// Keys that the server said were changed.
    pub invalidations: u64,
    /// How often all was dropped: a connection that ended, a `FLUSHALL`, a change that concerns everyone.
    pub clearances: u64,
    /// Answers that made room for others before their time.
    pub evictions: u64,
    /// Uses that were sent to Redis as `SESSION.TOUCH`.
    pub touches: u64,
    /// Answers that are held.
    pub entries: usize,
    /// The memory that they take, in bytes, as [`NearCache::bytes`](crate::NearCache::bytes) counts it.
    pub bytes: usize,
    /// How long ago the tracking connection was last known to be alive; `None` if there is none. In a cluster, that of the one
    /// that was not for longest.
    pub age: Option<Duration>,
    /// Why there is no tracking connection, if it could not be made.
    pub trouble: Option<String>,
}
