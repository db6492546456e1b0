//! How much a near cache keeps, and for how long.

use std::time::Duration;

/// A near cache: answers of checks that this process has seen lately, and gives again without asking Redis.
///
/// A check may be answered from memory only while the connection that tracks its key is alive. After a logout was
/// acknowledged anywhere, this process refuses the token as soon as the server's push arrives, and in any case after
/// [`max_age`](Self::max_age); after its own logouts at once.
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
/// - A change of a user's key by anyone (a logout, a login that evicts, new data, an end by the server) drops what is
///   remembered of that user, as soon as the server's push arrives. A change that concerns everyone (`SESSION.REVOKEALL`,
///   `FLUSHALL`, keys and settings) drops all.
/// - All is dropped when the tracking connection ends or is replaced, as in a failover. Nothing is answered from memory
///   when that connection has proved alive for none of the last three seconds: so long a frozen one goes unnoticed,
///   if `max_age` is not shorter.
/// - A token's and a session's deadlines are kept by the server's time, whatever this machine's clock is set to.
/// - What Redis refuses is asked again each time, and so is how a user has signed in
///   ([`require_level`](crate::SessionStore::require_level)).
/// - Changes by a clone of the store hold at once in all its clones.
///
/// # Idle timeouts
///
/// A use of a session that was answered from memory is sent to Redis at most once in 60 seconds, or a tenth of the idle
/// timeout if that is less. So a session may idle out that much early, never late. Its
/// [`expires_at`](crate::Authenticated::expires_at) may be that much early too.
///
/// # What it needs
///
/// The tracking connection speaks RESP3 and subscribes to the channel `__redis_session__`. A user of the server's access
/// control list needs `+subscribe &__redis_session__` beside `+@connection`. Where the connection cannot track, every check
/// asks Redis, and [`NearCacheFigures::trouble`](crate::NearCacheFigures::trouble) says why. In a cluster there is such a
/// connection to each primary, and the user needs `+cluster|slots`, too.
///
/// # What it keeps
///
/// No token: each is known by a keyed hash of 128 bits, under a secret of the cache.
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

    /// How many answers are kept at most.
    #[must_use]
    pub fn entries(mut self, entries: usize) -> Self {
        self.entries = entries;
        self
    }

    /// How much memory they may take, in bytes: an estimate, which counts users, ids and
    /// [details](crate::Policy::details).
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// For how long an answer may be given again, from the moment that Redis was asked. It is measured by a clock that
    /// stands still while the machine sleeps.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }
}
