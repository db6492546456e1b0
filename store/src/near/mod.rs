//! Remembered answers of checks, given again without asking Redis.
//!
//! ```text
//! settings.rs   what applications choose, and the promise
//! figures.rs    what it has done
//! cache.rs      the answers, and what the server pushes about them
//! cluster.rs    the nodes of a cluster, each with a connection that tracks
//! table.rs      answers by token and by key
//! name.rs       what tokens are known by, so that none is kept
//! clock.rs      time that nobody can set
//! ```
//!
//! The near cache reads over a connection of its own. So the server tracks the keys for this connection (`CLIENT
//! TRACKING`, RESP3) and pushes the name of each key that changes. Pushes and replies arrive in one order, but the task
//! that asked gets its reply later than the connection's own task sees the next push. So each read records the number
//! of changes before it is sent, and its answer is kept only if that number is still the same (the race that Redis'
//! page on client-side caching describes).
//!
//! The cache keeps no tokens: name.rs describes what it keeps in their place.
//!
//! A generation ends with each connection, and with each event that drops everything. An answer counts only in its own
//! generation, so an answer from an earlier connection is never used.

mod cache;
mod clock;
#[cfg(feature = "cluster")]
mod cluster;
mod figures;
mod name;
mod settings;
mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

#[cfg(feature = "cluster")]
use redis::ConnectionInfo;
use redis::{Cmd, FromRedisValue as _, Pipeline, RedisResult, Value, cmd};
use redis_session::commands::{session_touch, session_validate};
use redis_session::{ValidateOptions, Validation};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use figures::NearCacheFigures;
pub use settings::NearCache;

pub(crate) use self::cache::Question;
use self::cache::{Cache, Ticket, Use};
use self::clock::Sleep;
#[cfg(feature = "cluster")]
use self::cluster::Cluster;
use crate::authenticated::Authenticated;
use crate::connect::ReconnectingConnection;
use crate::login::{Demand, Visitor};

/// How often an idle connection must prove that it is alive.
const BEAT: Duration = Duration::from_secs(1);
/// By how much the machine's time may run ahead of the clock before it counts as sleep.
const ASLEEP: Duration = Duration::from_secs(1);
/// How many uses one batch has.
const BATCH: usize = 256;

/// A near cache and its connections.
pub(crate) struct Near {
    settings: NearCache,
    servers: Servers,
    cache: Arc<Cache>,
    /// The task that sends uses and checks the connections. It ends with its runtime.
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Where reads go.
enum Servers {
    /// One server, or the current primary: the application's connection to it, and the one that tracks.
    One { of: ReconnectingConnection, tracking: ReconnectingConnection },
    #[cfg(feature = "cluster")]
    Cluster(Arc<Cluster>),
}

/// The connection for one key.
struct Link {
    node: u16,
    connection: ReconnectingConnection,
    /// The generation in which this server was found, if there are several servers.
    since: Option<u64>,
}

impl Link {
    /// The server's answer, and the ticket from before the question.
    async fn ask(&self, cache: &Cache, key: &str, command: &Cmd) -> RedisResult<(Value, Ticket)> {
        let mut ticket = None;
        let reply = self.connection.ask(|number, mut connection| {
            ticket = Some(cache.ticket(self, number, key));
            async move { connection.send_packed_command(command).await }
        });
        let reply = reply.await?.extract_error()?;
        // The ticket was made before the command was sent.
        let ticket = ticket.ok_or((redis::ErrorKind::Client, "nothing was sent"))?;
        Ok((reply, ticket))
    }
}

impl Near {
    pub(crate) fn new(settings: NearCache, of: ReconnectingConnection) -> Arc<Self> {
        let cache = Arc::new(Cache::new(settings, 1));
        let tracking = of.listening(cache.ear(0));
        Arc::new(Self { settings, servers: Servers::One { of, tracking }, cache, task: Mutex::default() })
    }

    /// One for a cluster. These are some of its nodes.
    #[cfg(feature = "cluster")]
    pub(crate) fn of_cluster(settings: NearCache, seeds: Vec<ConnectionInfo>) -> Arc<Self> {
        let cache = Arc::new(Cache::new(settings, cluster::MOST_NODES));
        let servers = Servers::Cluster(Arc::new(Cluster::new(seeds, Arc::clone(&cache))));
        Arc::new(Self { settings, servers, cache, task: Mutex::default() })
    }

    /// An empty one with the same settings.
    pub(crate) fn afresh(&self) -> Arc<Self> {
        match &self.servers {
            Servers::One { of, .. } => Self::new(self.settings, of.clone()),
            #[cfg(feature = "cluster")]
            Servers::Cluster(cluster) => Self::of_cluster(self.settings, cluster.seeds()),
        }
    }

    /// The connection to the server that has this key.
    #[cfg_attr(not(feature = "cluster"), allow(clippy::unused_async))]
    async fn link(&self, _key: &str) -> RedisResult<Link> {
        match &self.servers {
            Servers::One { tracking, .. } => Ok(Link { node: 0, connection: tracking.clone(), since: None }),
            #[cfg(feature = "cluster")]
            Servers::Cluster(cluster) => cluster.link(_key).await,
        }
    }

    /// Records that a server did not answer as expected.
    #[allow(clippy::unused_self)]
    fn doubt(&self) {
        #[cfg(feature = "cluster")]
        if let Servers::Cluster(cluster) = &self.servers {
            cluster.doubt();
        }
    }

    /// The remembered answer for a token, if there is one.
    pub(crate) fn recall(
        &self,
        token: &str,
        visitor: &Visitor,
        details: bool,
        touches: bool,
    ) -> Option<Arc<Authenticated>> {
        self.cache.recall(token, visitor, details, touches)
    }

    /// Asks the server, and remembers its answer.
    pub(crate) async fn ask(self: &Arc<Self>, question: Question<'_>) -> RedisResult<Validation> {
        if !self.cache.works() {
            // Otherwise a use could be neither recorded nor sent.
            return Err((redis::ErrorKind::Client, "there was no randomness for a near cache").into());
        }
        self.see_to_task();
        self.cache.missed();
        let command = session_validate(question.key, question.token, &question.visitor.check(true, Demand::default()));
        let answered = match self.link(question.key).await {
            Ok(link) => link.ask(&self.cache, question.key, &command).await,
            Err(error) => Err(error),
        };
        let (reply, ticket) = answered.inspect_err(|_| self.doubt())?;
        self.cache.heard(&ticket);
        let validation = Validation::from_redis_value(reply)?;
        if let Validation::Active(session) = &validation {
            self.cache.learn(&ticket, &question, session);
        }
        Ok(validation)
    }

    /// Drops what is remembered of a key.
    pub(crate) fn forget(&self, key: &str) {
        self.cache.forget(key);
    }

    pub(crate) fn figures(&self) -> NearCacheFigures {
        match &self.servers {
            Servers::One { .. } => self.cache.figures(&[0]),
            #[cfg(feature = "cluster")]
            Servers::Cluster(cluster) => self.cache.figures(&cluster.primaries()),
        }
    }

    /// Starts the task, unless it runs already.
    fn see_to_task(self: &Arc<Self>) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(work(Arc::downgrade(self), Arc::clone(&self.cache))));
        }
    }

    async fn send_uses(&self) {
        loop {
            let uses = self.cache.take_uses(BATCH);
            if uses.is_empty() {
                return;
            }
            let mut lots = BTreeMap::<u16, (Link, Vec<Use>)>::new();
            for used in uses {
                match self.link(used.key()).await {
                    Ok(link) => lots.entry(link.node).or_insert_with(|| (link, Vec::new())).1.push(used),
                    Err(_) => self.cache.sent(&[used], &[]),
                }
            }
            for (link, uses) in lots.values() {
                self.send_to(link, uses).await;
            }
        }
    }

    async fn send_to(&self, link: &Link, uses: &[Use]) {
        let mut pipeline = Pipeline::with_capacity(uses.len());
        for used in uses {
            pipeline.add_command(session_touch(used.key(), &*used.token, &ValidateOptions::new()));
        }
        let mut ticket = None;
        let replies = link.connection.ask(|number, mut connection| {
            ticket = Some(self.cache.ticket(link, number, ""));
            let pipeline = &pipeline;
            async move { connection.send_packed_commands(pipeline, 0, uses.len()).await }
        });
        let replies = replies.await;
        // Sending many uses can take longer than a connection counts as alive.
        if let (Ok(_), Some(ticket)) = (&replies, ticket) {
            self.cache.heard(&ticket);
        }
        let replies = replies.unwrap_or_default().into_iter();
        let answers = replies.map(|reply| Validation::from_redis_value(reply.extract_error()?).map_err(Into::into));
        let answers: Vec<RedisResult<_>> = answers.collect();
        if answers.len() < uses.len() || answers.iter().any(Result::is_err) {
            self.doubt();
        }
        self.cache.sent(uses, &answers);
    }

    /// Finds out whether the connections are alive, unless a recent answer has proved it.
    async fn beat(&self) {
        match &self.servers {
            Servers::One { tracking, .. } => {
                if self.cache.is_empty() || !self.cache.wants_beat(0, BEAT) {
                    return;
                }
                let link = Link { node: 0, connection: tracking.clone(), since: None };
                if let Ok((_, ticket)) = link.ask(&self.cache, "", &cmd("PING")).await {
                    self.cache.heard(&ticket);
                }
            }
            #[cfg(feature = "cluster")]
            Servers::Cluster(cluster) => cluster.beat().await,
        }
    }
}

async fn work(near: Weak<Near>, cache: Arc<Cache>) {
    let mut sleep = Sleep::new();
    loop {
        let _ = timeout(BEAT, cache.use_came()).await;
        let Some(near) = near.upgrade() else { return };
        if sleep.slept() > ASLEEP {
            cache.clear();
        }
        near.send_uses().await;
        near.beat().await;
    }
}
