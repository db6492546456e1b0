//! Logouts that a replica has before they return.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::{Cmd, RedisResult, Role};
use tokio::sync::Mutex;

use crate::connect::ReconnectingConnection;

/// The longest wait: half of the time in which a reply must have come.
const LONGEST: Duration = Duration::from_millis(500);
/// For how long nothing waits after a replica was too slow: logouts must go on.
const RESPITE: Duration = Duration::from_secs(5);

/// Sends logouts over a connection of its own, because `WAIT` delays everything after it on its connection.
pub(crate) struct Logouts {
    connection: ReconnectingConnection,
    patience: Duration,
    /// When the respite ends. Held by the one that waits: its `WAIT` covers the logouts of all others before it.
    respite: Mutex<Option<Instant>>,
    unreplicated: AtomicU64,
}

impl Logouts {
    pub(crate) fn new(connection: ReconnectingConnection, patience: Duration) -> Self {
        Self { connection, patience: patience.min(LONGEST), respite: Mutex::default(), unreplicated: AtomicU64::new(0) }
    }

    /// How many logouts no replica had in time.
    pub(crate) fn unreplicated(&self) -> u64 {
        self.unreplicated.load(Ordering::Relaxed)
    }

    /// Sends a logout, and waits until a replica has it, if there is one. Returns the logout's reply.
    pub(crate) async fn send(&self, logout: &Cmd) -> RedisResult<u64> {
        let mut connection = self.connection.clone();
        let mut both = redis::pipe();
        both.ignore_errors().add_command(logout.clone()).cmd("ROLE");
        let (ended, role): (RedisResult<u64>, RedisResult<Role>) = both.query_async(&mut connection).await?;
        let ended = ended?;
        let has_replica = matches!(role, Ok(Role::Primary { replicas, .. }) if !replicas.is_empty());
        if has_replica && !self.reaches_replica(&mut connection).await {
            self.unreplicated.fetch_add(1, Ordering::Relaxed);
        }
        Ok(ended)
    }

    /// Waits until a replica has all that was sent over this connection, and says whether one has.
    async fn reaches_replica(&self, connection: &mut ReconnectingConnection) -> bool {
        let mut respite = self.respite.lock().await;
        if respite.is_some_and(|end| Instant::now() < end) {
            return false;
        }
        let millis = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX).max(1);
        let replicas = redis::cmd("WAIT").arg(1).arg(millis).query_async::<u64>(connection).await;
        let has_reached = replicas.is_ok_and(|replicas| replicas > 0);
        *respite = if has_reached { None } else { Some(Instant::now() + RESPITE) };
        has_reached
    }
}
