//! How much a near cache keeps, and for how long.

use std::time::Duration;

/// A near cache: it remembers recent answers of checks in this process, and gives them again without asking Redis.
///
/// A check is answered from memory only while the connection that tracks its key is alive. After a logout anywhere,
/// this process refuses the token as soon as the server's push arrives, and after [`max_age`](Self::max_age) at the
/// latest. Its own logouts take effect at once.
///
/// ```no_run
/// use std::time::Duration;
/// use redis_session_store::{NearCache, SessionStore};
///
/// # fn example() -> redis::RedisResult<()> {
/// let near = NearCache::new().entries(100_000).max_age(Duration::from_secs(30));
/// let sessions = SessionStore::connect("redis://127.0.0.1/")?.near_cache(near);
/// # Ok(())
/// # }
/// ```
///
/// # What it promises
///
/// - A change of a user's key by anyone (a logout, a login that evicts, new data, an end by the server) drops
///   everything remembered of that user, as soon as the server's push arrives. A change that concerns everyone
///   (`SESSION.REVOKEALL`, `FLUSHALL`, keys and settings) drops everything.
/// - The end or replacement of the tracking connection, as in a failover, drops everything. Checks are not answered
///   from memory when that connection has not proved alive in the last three seconds. So a frozen connection goes
///   unnoticed for three seconds, or for `max_age` if that is shorter.
/// - Deadlines of tokens and sessions follow the server's time. This machine's clock does not matter.
/// - Refusals are not remembered, nor is the sign-in of the user
///   ([`require_level`](crate::SessionStore::require_level)): Redis is asked each time.
/// - Changes by one clone of the store take effect at once in all its clones.
///
/// # Idle timeouts
///
/// After a check from memory, the use of the session is sent to Redis, at most once in 60 seconds, or in a tenth of the
/// idle timeout if that is less. So a session may idle out that much early, never late, and its
/// [`expires_at`](crate::Authenticated::expires_at) may be that much early too.
///
/// # What it needs
///
/// The tracking connection speaks RESP3 and subscribes to the channel `__redis_session__`. An ACL user of the server
/// needs `+subscribe &__redis_session__` besides `+@connection`. If the connection cannot track, every check asks
/// Redis, and [`NearCacheFigures::trouble`](crate::NearCacheFigures::trouble) says why. In a cluster there is such a
/// connection to each primary, and the user also needs `+cluster|slots`.
///
/// # What it keeps
///
/// The cache keeps no token, only a keyed hash of 128 bits of each, under a secret of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearCache {
    pub(super) entries: usize,
    pub(super) bytes: usize,
    pub(super) max_age: Duration,
}

impl Default for NearCache {
    fn default() -> Self {
        Self { entries: 100_000, bytes: 128 << 20, max_age: Duration::from_secs(60) }
    }
}

impl NearCache {
    /// At most 100,000 answers, 128 MiB, and 60 seconds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The most answers to keep.
    #[must_use]
    pub fn entries(mut self, entries: usize) -> Self {
        self.entries = entries;
        self
    }

    /// The most memory to use, in bytes: an estimate, which counts users, ids and [details](crate::Policy::details).
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// How long an answer may be given again, counted from the question to Redis. The clock for it stands still while
    /// the machine sleeps.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }
}
