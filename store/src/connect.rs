//! A connection that reconnects by itself and bounds every wait.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection, SendError};
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline, ProtocolVersion,
    PushInfo, PushKind, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
};
use tokio::time::timeout;

use crate::error::is_read_only;
use crate::outage::Outage;

/// How long to wait for an answer, and for a new connection.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait for a connection that is made by asking several servers in turn, some of which may be away.
const LONG_PATIENCE: Duration = Duration::from_secs(5);
/// After this many timeouts in a row, the server counts as away. One alone is a slow moment.
const SLOW_ANSWERS: u32 = 3;
/// How long a connection may be silent before the operating system asks whether the other side is still there.
const SILENCE: Duration = Duration::from_secs(10);

/// A connection that all its clones share, and that reconnects after a failure.
///
/// While Redis is away, calls fail at once. Now and then one call tries to reconnect: 50 ms after the first failure,
/// then after pauses that double up to five seconds. Each pause is up to half as long again, at random, so that clients
/// do not all come at once. Every wait is bounded: a second for a connection, a second for an answer.
///
/// The connection is replaced, and the name resolved once more, in three cases: it broke; three answers in a row timed
/// out, as from a host that has vanished; or the server says that it has become a replica (`READONLY`), because another
/// may be the primary now. The call that finds this out fails. After `READONLY` other calls go on, because a replica
/// can check tokens, and the connection is replaced at the pauses above until it leads to a primary.
#[derive(Clone)]
pub struct ReconnectingConnection {
    shared: Arc<Shared>,
}

type Connecting = Pin<Box<dyn Future<Output = RedisResult<MultiplexedConnection>> + Send>>;

/// How connections are made.
struct Connector {
    /// Makes a connection for this purpose.
    connect: Box<dyn Fn(Use, AsyncConnectionConfig) -> Connecting + Send + Sync>,
    /// How long that may take.
    patience: Duration,
    /// Whether it speaks RESP3 for every purpose. Then redis-rs reports the end of the connection, and no call has to
    /// fail to find out.
    is_resp3: bool,
    db: i64,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Commands and replies.
    Asking,
    /// Pushes of the server as well: needs RESP3.
    Listening,
}

/// Observes each connection in turn. Connections have numbers, from 1.
pub(crate) trait Listener: Send + Sync + 'static {
    /// Prepares a connection before anything else is asked over it.
    fn prepare(self: Arc<Self>, number: u64, connection: MultiplexedConnection) -> Preparing;

    /// Learns why no connection could be made or prepared.
    fn failed(&self, error: &RedisError);

    /// Takes what the server pushes. Must not block.
    fn push(&self, push: PushInfo);

    /// Learns that this connection is no longer in use.
    fn lost(&self, number: u64);
}

pub(crate) type Preparing = Pin<Box<dyn Future<Output = RedisResult<()>> + Send>>;

struct Shared {
    connector: Arc<Connector>,
    /// Held by the call that connects.
    connecting: tokio::sync::Mutex<()>,
    state: Arc<Mutex<State>>,
    db: AtomicI64,
}

#[derive(Default)]
struct State {
    listener: Option<Arc<dyn Listener>>,
    /// How many connections have been started.
    number: u64,
    link: Option<Link>,
    /// Redis is away.
    outage: Outage,
    /// The server is a replica.
    demotion: Outage,
}

#[derive(Clone)]
struct Link {
    number: u64,
    connection: MultiplexedConnection,
}

/// What an answer says about the connection.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// The connection works, whatever the answer is.
    Well,
    /// The answer did not come in time.
    Slow,
    /// The connection is broken, or the server cannot answer anyone.
    Away,
    /// The server is a replica.
    Replica,
}

impl ReconnectingConnection {
    /// A connection to the server at this URL. The server need not run yet.
    ///
    /// TCP keepalive starts after ten seconds of silence, unless the connection information sets its own.
    ///
    /// # Errors
    /// If this is no URL.
    pub fn new(url: impl IntoConnectionInfo) -> RedisResult<Self> {
        let info = with_keepalive(url.into_connection_info()?);
        let redis = info.redis_settings().clone();
        let is_resp3 = redis.protocol().supports_resp3();
        let db = redis.db();
        let asking = Client::open(info.clone())?;
        let listening = Client::open(info.set_redis_settings(redis.set_protocol(ProtocolVersion::RESP3)))?;
        let connect = move |what, config: AsyncConnectionConfig| {
            let client = if what == Use::Listening { listening.clone() } else { asking.clone() };
            let config = config.set_connection_timeout(Some(PATIENCE));
            let connecting = async move { client.get_multiplexed_async_connection_with_config(&config).await };
            Box::pin(connecting) as Connecting
        };
        Ok(Self::with(Arc::new(Connector { connect: Box::new(connect), patience: PATIENCE, is_resp3, db }), None))
    }

    /// A connection that `connect` makes, with this configuration, whenever a new one is needed: for example to the
    /// primary that Sentinel names, as in [the example](crate#connections).
    ///
    /// `connect` may take five seconds, because each Sentinel that has vanished costs one. Answers may take a second,
    /// whatever the settings of the connection. After any error of `connect`, the next try follows as after any
    /// failure.
    pub fn from_fn<F, Connecting>(connect: F) -> Self
    where
        F: Fn(AsyncConnectionConfig) -> Connecting + Send + Sync + 'static,
        Connecting: Future<Output = RedisResult<MultiplexedConnection>> + Send + 'static,
    {
        let connect = Box::new(move |_, config| Box::pin(connect(config)) as self::Connecting);
        Self::with(Arc::new(Connector { connect, patience: LONG_PATIENCE, is_resp3: false, db: 0 }), None)
    }

    fn with(connector: Arc<Connector>, listener: Option<Arc<dyn Listener>>) -> Self {
        let (connecting, db) = (tokio::sync::Mutex::default(), AtomicI64::new(connector.db));
        let state = Arc::new(Mutex::new(State { listener, ..State::default() }));
        Self { shared: Arc::new(Shared { connector, connecting, state, db }) }
    }

    /// Another connection to the same server.
    pub(crate) fn another(&self) -> Self {
        Self::with(Arc::clone(&self.shared.connector), None)
    }

    /// Another connection to the same server, with an observer of its pushes and its end.
    #[cfg(feature = "near-cache")]
    pub(crate) fn listening(&self, listener: Arc<dyn Listener>) -> Self {
        Self::with(Arc::clone(&self.shared.connector), Some(listener))
    }

    /// Sends the request over the current connection, which has this number.
    #[cfg(feature = "near-cache")]
    pub(crate) async fn ask<Asked, T>(&self, send: impl FnOnce(u64, MultiplexedConnection) -> Asked) -> RedisResult<T>
    where
        Asked: Future<Output = RedisResult<T>>,
        T: Answer,
    {
        self.shared.ask(send).await
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Whether to try; if so, the pause until the next try begins now. Also the number of failures so far, and the
    /// connection if there is one.
    fn admit(&mut self, now: Instant) -> RedisResult<(u32, Option<Link>)> {
        if !self.outage.admits(now) {
            return Err(away_a_moment_ago());
        }
        if self.outage.has_paused() {
            self.outage.pause(now);
        }
        Ok((self.outage.failures, self.link.clone()))
    }

    /// Records the result of a call on this connection. `failures` is their number when the call was admitted.
    fn learn(&mut self, failures: u32, number: u64, finding: &Finding, now: Instant) {
        if self.number != number {
            // The connection was replaced in the meantime, so this result says nothing new.
            return;
        }
        match finding {
            Finding::Well => self.outage = Outage::default(),
            Finding::Slow => {
                self.outage.fail(failures);
                if self.outage.failures >= SLOW_ANSWERS {
                    self.outage.pause(now);
                    self.forget(number);
                }
            }
            Finding::Away => {
                self.outage.fail(failures);
                self.outage.pause(now);
                self.forget(number);
            }
            Finding::Replica => {
                self.outage = Outage::default();
                if self.demotion.is_forgotten(now) {
                    self.demotion = Outage::default();
                }
                if self.demotion.admits(now) {
                    self.demotion.failures = self.demotion.failures.saturating_add(1);
                    self.demotion.pause(now);
                    self.forget(number);
                }
            }
        }
    }

    fn forget(&mut self, number: u64) {
        self.link.take_if(|link| link.number == number);
        if let Some(listener) = &self.listener {
            listener.lost(number);
        }
    }
}

impl Shared {
    async fn ask<T, Asked>(&self, send: impl FnOnce(u64, MultiplexedConnection) -> Asked) -> RedisResult<T>
    where
        Asked: Future<Output = RedisResult<T>>,
        T: Answer,
    {
        let (failures, link) = lock(&self.state).admit(Instant::now())?;
        let Link { number, connection } = match link {
            Some(link) => link,
            None => self.connect(failures).await?,
        };
        let answer = send(number, connection).await;
        lock(&self.state).learn(failures, number, &finding(&answer), Instant::now());
        answer
    }

    /// Makes a connection, or waits for the call that is making one.
    async fn connect(&self, failures: u32) -> RedisResult<Link> {
        let _turn = match self.connecting.try_lock() {
            Ok(turn) => turn,
            // While Redis is away, one call tries to connect and the others fail at once.
            Err(_) if failures > 0 => return Err(away_a_moment_ago()),
            Err(_) => timeout(self.connector.patience, self.connecting.lock()).await.map_err(|_| timed_out())?,
        };
        let number = {
            let mut state = lock(&self.state);
            if let Some(link) = &state.link {
                return Ok(link.clone());
            }
            if state.outage.failures != failures {
                return Err(away_a_moment_ago());
            }
            state.number += 1;
            state.number
        };
        let connecting = timeout(self.connector.patience, self.make(number));
        match connecting.await.unwrap_or_else(|_| Err(timed_out())) {
            Ok(connection) => {
                self.db.store(connection.get_db(), Ordering::Relaxed);
                let link = Link { number, connection };
                lock(&self.state).link = Some(link.clone());
                Ok(link)
            }
            Err(error) => {
                lock(&self.state).learn(failures, number, &Finding::Away, Instant::now());
                Err(error)
            }
        }
    }

    async fn make(&self, number: u64) -> RedisResult<MultiplexedConnection> {
        let listener = lock(&self.state).listener.clone();
        let what = if listener.is_some() { Use::Listening } else { Use::Asking };
        let mut config = AsyncConnectionConfig::new();
        if what == Use::Listening || self.connector.is_resp3 {
            // Weak, because the state holds the connection, and the connection holds this closure.
            let (state, listener) = (Arc::downgrade(&self.state), listener.as_ref().map(Arc::downgrade));
            config = config.set_push_sender(move |push: PushInfo| {
                match (push.kind == PushKind::Disconnection, listener.as_ref().and_then(Weak::upgrade)) {
                    (true, _) => {
                        if let Some(state) = state.upgrade() {
                            lock(&state).forget(number);
                        }
                    }
                    (false, Some(listener)) => listener.push(push),
                    (false, None) => {}
                }
                Ok::<_, SendError>(())
            });
        }
        let making = async {
            let mut connection = (self.connector.connect)(what, config).await?;
            connection.set_response_timeout(PATIENCE);
            if let Some(listener) = listener.clone() {
                listener.prepare(number, connection.clone()).await?;
            }
            Ok(connection)
        };
        let made = making.await;
        if let (Err(error), Some(listener)) = (&made, listener) {
            listener.failed(error);
        }
        made
    }
}

fn timed_out() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

fn away_a_moment_ago() -> RedisError {
    (ErrorKind::Io, "Redis was away a moment ago, and will be tried again soon").into()
}

/// Keepalive detects a host that vanished while the connection was idle. The user timeout detects one that vanished
/// with a question; without it Linux retries for about 15 minutes.
fn with_keepalive(info: ConnectionInfo) -> ConnectionInfo {
    if info.tcp_settings().keepalive().is_some() {
        return info;
    }
    let keepalive = TcpKeepalive::new().with_time(SILENCE);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let keepalive = keepalive.with_interval(SILENCE / 2);
    let settings = info.tcp_settings().clone().set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(SILENCE);
    info.set_tcp_settings(settings)
}

/// Finds errors inside an answer: redis-rs returns the server's errors as values.
pub(crate) trait Answer {
    fn errors(&self) -> impl Iterator<Item = RedisError>;
}

impl Answer for Value {
    fn errors(&self) -> impl Iterator<Item = RedisError> {
        std::slice::from_ref(self).iter().filter_map(server_error)
    }
}

impl Answer for Vec<Value> {
    fn errors(&self) -> impl Iterator<Item = RedisError> {
        self.iter().filter_map(server_error)
    }
}

fn server_error(value: &Value) -> Option<RedisError> {
    match value {
        Value::ServerError(error) => Some(error.clone().into()),
        _ => None,
    }
}

fn finding<T: Answer>(answer: &RedisResult<T>) -> Finding {
    match answer {
        Ok(answer) => answer.errors().find_map(|error| complaint(&error)),
        Err(error) => complaint(error),
    }
    .unwrap_or(Finding::Well)
}

fn complaint(error: &RedisError) -> Option<Finding> {
    match error.kind() {
        _ if error.is_timeout() => Some(Finding::Slow),
        _ if is_read_only(error) => Some(Finding::Replica),
        ErrorKind::Io
        | ErrorKind::Server(
            ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown,
        ) => Some(Finding::Away),
        // The reply could not be parsed, so later bytes cannot be trusted either.
        _ if error.is_unrecoverable_error() => Some(Finding::Away),
        _ => None,
    }
}

impl ConnectionLike for ReconnectingConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.shared.ask(move |_, mut connection| async move { connection.send_packed_command(cmd).await }))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.shared.ask(move |_, mut connection| async move {
            connection.send_packed_commands(pipeline, offset, count).await
        }))
    }

    fn get_db(&self) -> i64 {
        self.shared.db.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_vanished_is_noticed_unless_the_application_says_how() {
        let info = || "redis://127.0.0.1/".into_connection_info().unwrap();
        let settings = with_keepalive(info()).tcp_settings().clone();
        assert!(settings.keepalive().is_some());
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        assert_eq!(settings.user_timeout(), Some(SILENCE));
        let own = info().tcp_settings().clone().set_keepalive(TcpKeepalive::new().with_time(Duration::from_secs(77)));
        let kept = with_keepalive(info().set_tcp_settings(own)).tcp_settings().clone();
        assert!(format!("{:?}", kept.keepalive()).contains("77"), "{kept:?}");
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        assert_eq!(kept.user_timeout(), None);
    }
}
