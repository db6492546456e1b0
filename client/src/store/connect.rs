//! A connection that comes back by itself, with every wait bounded.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, RedisResult, Value};

use super::SessionStore;
use super::error::is_away;

/// How long an answer is waited for, and a connection.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long after a first failure the next call tries again; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// So many answers in a row that did not come in time are taken for an outage. One is a slow moment.
const SLOW_ANSWERS: u32 = 3;

/// A connection shared by all its clones, that is made anew when it has broken.
///
/// While Redis is away, calls fail at once, but for one now and then that tries again: 50 ms after the first failure,
/// and then after twice as long each time, up to five seconds, each pause up to half as long again, so that not all
/// clients come at once. Every wait is bounded: a second for a connection, a second for an answer.
#[derive(Clone)]
pub struct ReconnectingConnection {
    manager: ConnectionManager,
    outage: Arc<Mutex<Outage>>,
}

/// What has gone wrong since the last answer.
#[derive(Debug, Default)]
struct Outage {
    failures: u32,
    next_try: Option<Instant>,
}

impl ReconnectingConnection {
    /// A connection to the server at this URL, which need not be there yet.
    ///
    /// # Errors
    /// If the URL is none.
    pub fn new(url: impl IntoConnectionInfo) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(0);
        let manager = ConnectionManager::new_lazy_with_config(Client::open(url)?, config)?;
        Ok(Self { manager, outage: Arc::default() })
    }

    /// Whether to try; the pause until the next try begins with this one.
    fn admit(&self) -> RedisResult<()> {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match outage.next_try {
            Some(next_try) if Instant::now() < next_try => {
                Err((ErrorKind::Io, "Redis was away a moment ago, and will be tried again soon").into())
            }
            Some(_) => {
                outage.pause();
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn learn(&self, error: Option<&RedisError>) {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match error.filter(|error| is_away(error)) {
            None => *outage = Outage::default(),
            Some(error) => {
                outage.failures = outage.failures.saturating_add(1);
                if !error.is_timeout() || outage.failures >= SLOW_ANSWERS {
                    outage.pause();
                }
            }
        }
    }
}

impl Outage {
    fn pause(&mut self) {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
        // Any number will do, as long as it is another in each process and each time.
        let chance = u32::try_from(RandomState::new().hash_one(()) & 0xff).unwrap_or(0);
        self.next_try = Some(Instant::now() + doubled + doubled / 2 * chance / 256);
    }
}

impl ConnectionLike for ReconnectingConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            self.admit()?;
            let answer = ConnectionLike::req_packed_command(&mut self.manager, cmd).await;
            self.learn(answer.as_ref().err());
            answer
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            self.admit()?;
            let answer = ConnectionLike::req_packed_commands(&mut self.manager, pipeline, offset, count).await;
            self.learn(answer.as_ref().err());
            answer
        })
    }

    fn get_db(&self) -> i64 {
        self.manager.get_db()
    }
}

impl SessionStore<ReconnectingConnection> {
    /// A store over one [`ReconnectingConnection`] to the server at this URL, shared by all clones. Redis need not be
    /// there yet: until it is, every call fails with [`StoreError::Unavailable`](super::StoreError::Unavailable).
    ///
    /// ```no_run
    /// use redis_session::SessionStore;
    ///
    /// # async fn example() -> redis::RedisResult<()> {
    /// let sessions = SessionStore::connect("redis://app:change-me@127.0.0.1:6379/")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It must be called within a Tokio runtime.
    ///
    /// # Errors
    /// If the URL is none.
    pub fn connect(url: impl IntoConnectionInfo) -> RedisResult<Self> {
        ReconnectingConnection::new(url).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_differ() {
        let mut outage = Outage::default();
        let mut pauses = Vec::new();
        for failures in 1..40 {
            outage.failures = failures;
            let before = Instant::now();
            outage.pause();
            pauses.push(outage.next_try.unwrap() - before);
        }
        for (n, pause) in (0..).zip(&pauses) {
            let least = (FIRST_PAUSE * (1 << n.min(10))).min(LONGEST_PAUSE);
            assert!(*pause >= least, "{n} {pause:?}");
            // With what the test itself takes.
            assert!(*pause < least * 3 / 2 + Duration::from_secs(1), "{n} {pause:?}");
        }
        let last = &pauses[20..];
        assert!(last.iter().any(|pause| pause.abs_diff(last[0]) > Duration::from_millis(100)), "{last:?}");
    }
}
