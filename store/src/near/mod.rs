//! Answers of checks that are given again without asking Redis.
//!
//! ```text
//! settings.rs   what applications choose, and the promise
//! figures.rs    what it has done
//! cache.rs      the answers, and what the server pushes about them
//! table.rs      answers by token and by key
//! clock.rs      time that nobody can set
//! ```
//!
//! A connection of its own reads, so that the server tracks the keys for it (`CLIENT TRACKING`, RESP3) and pushes the name
//! of each that is changed. Pushes and replies come in one order, but the task that asked gets its reply later than
//! the connection's own task sees the push that follows. So a read notes, before it is sent, how many changes are known of,
//! and its answer is kept only if there was no further one (the race that Redis' page on client-side caching describes).
//!
//! A generation ends with each connection, and with all that drops everything. An answer counts in its own generation
//! alone, so that none survives which was read over an earlier connection.

mod cache;
mod clock;
mod figures;
mod settings;
mod table;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use redis::{FromRedisValue as _, Pipeline, RedisResult, cmd};
use redis_session::commands::{session_touch, session_validate};
use redis_session::{ValidateOptions, Validation};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use figures::NearCacheFigures;
pub use settings::NearCache;

use self::cache::Cache;
pub(crate) use self::cache::Question;
use self::clock::Sleep;
use crate::authenticated::Authenticated;
use crate::connect::{Listener, ReconnectingConnection};
use crate::login::{Demand, Visitor};

/// How often a connection that was not asked anything must prove that it is alive.
const BEAT: Duration = Duration::from_secs(1);
/// By how much the machine's time may run ahead of the clock before it is said to have slept.
const ASLEEP: Duration = Duration::from_secs(1);
/// How many uses are sent at once.
const BATCH: usize = 256;

/// A near cache and its connection.
pub(crate) struct Near {
    settings: NearCache,
    /// The application's connection.
    of: ReconnectingConnection,
    /// The tracking one.
    connection: ReconnectingConnection,
    cache: Arc<Cache>,
    /// The task that sends uses and keeps the connection alive. It ends with its runtime.
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Near {
    pub(crate) fn new(settings: NearCache, of: ReconnectingConnection) -> Arc<Self> {
        let cache = Arc::new(Cache::new(settings));
        let connection = of.listening(Arc::clone(&cache) as Arc<dyn Listener>);
        Arc::new(Self { settings, of, connection, cache, task: Mutex::default() })
    }

    /// An empty one like this.
    pub(crate) fn afresh(&self) -> Arc<Self> {
        Self::new(self.settings, self.of.clone())
    }

    /// What is known of a token, if anything is.
    pub(crate) fn recall(
        &self,
        token: &str,
        visitor: &Visitor,
        details: bool,
        touches: bool,
    ) -> Option<Arc<Authenticated>> {
        self.cache.recall(token, visitor, details, touches)
    }

    /// Asks the server, and remembers what it says.
    pub(crate) async fn ask(self: &Arc<Self>, question: Question<'_>) -> RedisResult<Validation> {
        self.see_to_task();
        self.cache.missed();
        let command = session_validate(question.key, question.token, &question.visitor.check(true, Demand::default()));
        let mut ticket = None;
        let reply = self.connection.ask(|number, mut connection| {
            ticket = Some(self.cache.ticket(number, question.key));
            let command = &command;
            async move { connection.send_packed_command(command).await }
        });
        let reply = reply.await?.extract_error()?;
        let validation = Validation::from_redis_value(reply)?;
        if let Some(ticket) = ticket {
            self.cache.heard(&ticket);
            if let Validation::Active(session) = &validation {
                self.cache.learn(&ticket, &question, session);
            }
        }
        Ok(validation)
    }

    /// Drops what is remembered of a key.
    pub(crate) fn forget(&self, key: &str) {
        self.cache.forget(key);
    }

    pub(crate) fn figures(&self) -> NearCacheFigures {
        self.cache.figures()
    }

    /// Starts the task, unless it runs.
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
            let mut pipeline = Pipeline::with_capacity(uses.len());
            for used in &uses {
                pipeline.add_command(session_touch(&*used.key, &*used.token, &ValidateOptions::new()));
            }
            let count = uses.len();
            let replies = self.connection.ask(|_, mut connection| {
                let pipeline = &pipeline;
                async move { connection.send_packed_commands(pipeline, 0, count).await }
            });
            let replies = replies.await.unwrap_or_default().into_iter();
            let answers = replies.map(|reply| Validation::from_redis_value(reply.extract_error()?).map_err(Into::into));
            self.cache.sent(&uses, &answers.collect::<Vec<RedisResult<_>>>());
        }
    }

    /// Finds out whether the connection is alive, if nothing else has done so lately.
    async fn beat(&self) {
        if !self.cache.wants_beat(BEAT) {
            return;
        }
        let ping = cmd("PING");
        let mut ticket = None;
        let reply = self.connection.ask(|number, mut connection| {
            ticket = Some(self.cache.ticket(number, ""));
            let ping = &ping;
            async move { connection.send_packed_command(ping).await }
        });
        if let (Ok(_), Some(ticket)) = (reply.await.and_then(redis::Value::extract_error), ticket) {
            self.cache.heard(&ticket);
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
