//! The remembered answers, and the server's pushes about them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, RedisError, RedisResult, Value, cmd};
use redis_session::{ActiveSession, Details, Timestamp, Validation, redact};
use tokio::sync::Notify;

use super::Link;
use super::clock::{Clock, Moment};
use super::figures::NearCacheFigures;
use super::settings::NearCache;
use super::table::{Entry, Slot, Table, Uses};
use crate::authenticated::{Assurance, Authenticated};
use crate::connect::{Listener, Preparing};
use crate::login::Visitor;

/// The channel on which the module announces changes that concern everyone.
const CHANNEL: &str = "__redis_session__";
/// How long a connection counts as alive after it has proved it.
const TRUST: Duration = Duration::from_secs(3);
/// How long uses of a session may wait to be sent.
const LONGEST_UNSENT: Duration = Duration::from_secs(60);
/// The pause before a use that could not be sent is tried again.
const NEXT_TRY: Duration = Duration::from_secs(1);
/// How many uses may wait to be sent. Further ones are sent an interval later.
const MOST_WAITING: usize = 100_000;

/// What is asked of a token.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) key: &'a str,
    pub(crate) token: &'a str,
    pub(crate) visitor: &'a Visitor,
    pub(crate) user: &'a str,
    pub(crate) details: bool,
    pub(crate) touches: bool,
}

/// A use to be sent. It holds the token until it is sent.
pub(super) struct Use {
    entry: Arc<Entry>,
    pub(super) token: Box<str>,
}

impl Use {
    pub(super) fn key(&self) -> &str {
        &self.entry.key
    }
}

/// What a read records before it is sent.
pub(super) struct Ticket {
    node: u16,
    generation: u64,
    /// Whether it goes over the connection of this generation.
    is_tracked: bool,
    changes: u64,
    sent: Moment,
}

/// The connection to a node.
#[derive(Default)]
struct Node {
    /// The number of the connection that tracks; 0 if there is none.
    tracking: AtomicU64,
    /// Until when it counts as alive.
    alive_until: AtomicU64,
}

/// The listener to the pushes of one node.
pub(super) struct Ear {
    cache: Arc<Cache>,
    node: u16,
}

/// The remembered answers, and what the tracking connections have reported.
pub(super) struct Cache {
    max_age: Duration,
    clock: Clock,
    table: Table,
    /// Increases when a connection starts or ends, and when everything is dropped.
    generation: AtomicU64,
    /// The connections that track: one to a server, or to each node of a cluster.
    nodes: Box<[Node]>,
    uses: Mutex<Vec<Use>>,
    use_came: Notify,
    misses: AtomicU64,
    invalidations: AtomicU64,
    clearances: AtomicU64,
    touches: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Cache {
    /// A cache that this many connections track.
    pub(super) fn new(settings: NearCache, nodes: u16) -> Self {
        Self {
            max_age: settings.max_age,
            clock: Clock::new(),
            table: Table::new(settings.entries, settings.bytes),
            generation: AtomicU64::new(0),
            nodes: (0..nodes).map(|_| Node::default()).collect(),
            uses: Mutex::default(),
            use_came: Notify::new(),
            misses: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            clearances: AtomicU64::new(0),
            touches: AtomicU64::new(0),
            trouble: Mutex::default(),
        }
    }

    pub(super) fn recall(
        &self,
        token: &str,
        visitor: &Visitor,
        details: bool,
        touches: bool,
    ) -> Option<Arc<Authenticated>> {
        let now = self.clock.now();
        let device = self.table.device(visitor.known_device());
        let (answer, used) = self.table.get(token, |slot| {
            let holds = self.is_believed(slot.node, now)
                && slot.generation == self.generation.load(Ordering::Acquire)
                && now < slot.until
                && slot.is_for(device, details);
            let take = |slot: &mut Slot| {
                let used = (touches && slot.take_use(now)).then(|| Arc::clone(&slot.entry));
                (Arc::clone(&slot.answer), used)
            };
            holds.then(|| take(slot))
        })?;
        if let Some(entry) = used {
            self.note_use(entry, token);
        }
        Some(for_visitor(answer, visitor))
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether the connection to this node counts as alive.
    fn is_believed(&self, node: u16, now: Moment) -> bool {
        let node = self.nodes.get(usize::from(node));
        node.is_some_and(|node| now.nanos() < node.alive_until.load(Ordering::Acquire))
    }

    /// The listener for this node.
    pub(super) fn ear(self: &Arc<Self>, node: u16) -> Arc<Ear> {
        Arc::new(Ear { cache: Arc::clone(self), node })
    }

    /// What a read over this connection to this node records before it is sent.
    pub(super) fn ticket(&self, link: &Link, number: u64, key: &str) -> Ticket {
        // The order matters: if the connection is replaced in between, the ticket has a generation that has ended.
        let generation = link.since.unwrap_or_else(|| self.generation());
        let tracking = self.nodes.get(usize::from(link.node)).map(|node| node.tracking.load(Ordering::Acquire));
        let is_tracked = tracking == Some(number);
        Ticket { node: link.node, generation, is_tracked, changes: self.table.changes(key), sent: self.clock.now() }
    }

    /// Records that the request of this ticket was answered: the connection was alive when it was sent, and all earlier
    /// pushes have been seen.
    pub(super) fn heard(&self, ticket: &Ticket) {
        if ticket.is_tracked
            && ticket.generation == self.generation.load(Ordering::Acquire)
            && let Some(node) = self.nodes.get(usize::from(ticket.node))
        {
            node.alive_until.fetch_max(ticket.sent.after(TRUST).nanos(), Ordering::AcqRel);
        }
    }

    /// Remembers a good answer.
    pub(super) fn learn(&self, ticket: &Ticket, question: &Question<'_>, session: &ActiveSession) {
        let (Some(id), Some(details)) = (&session.id, &session.details) else { return };
        // The server made the check after the question was sent by this clock. Counted from then, deadlines end early
        // here, by the duration of the question, and never late.
        let left = |time: Timestamp| span(details.checked_at, time);
        let until = ticket.sent.after(self.max_age.min(left(session.expires_at)));
        let interval = match (details.last_seen_at, details.idle_expires_at) {
            (Some(seen), Some(idle)) => LONGEST_UNSENT.min(span(seen, idle) / 10),
            _ => LONGEST_UNSENT,
        };
        let unsent = details.last_seen_at.map_or(Duration::ZERO, |seen| span(seen, details.checked_at));
        let uses = Uses { due: ticket.sent.after(interval.saturating_sub(unsent)), interval };
        let answer = Arc::new(Authenticated {
            user: question.user.to_owned(),
            id: id.clone(),
            expires_at: session.expires_at,
            assurance: Assurance::Session,
            details: question.details.then(|| details.clone()),
        });
        let named = (question.key, question.token, question.visitor.known_device());
        let Some(mut slot) = self.table.slot((ticket.node, ticket.generation), until, uses, named, answer) else {
            return;
        };
        if question.touches && slot.take_use(self.clock.now()) {
            self.note_use(Arc::clone(&slot.entry), question.token);
        }
        if ticket.is_tracked && details.has_session() {
            self.table.keep(slot, ticket.changes);
        }
    }

    /// Whether there is anything to keep, uses included.
    pub(super) fn works(&self) -> bool {
        self.table.works()
    }

    pub(super) fn missed(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    fn note_use(&self, entry: Arc<Entry>, token: &str) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() < MOST_WAITING {
            uses.push(Use { entry, token: token.into() });
            self.use_came.notify_one();
        }
    }

    /// Waits until there are uses to send.
    pub(super) async fn use_came(&self) {
        self.use_came.notified().await;
    }

    /// Takes uses to send, at most this many.
    pub(super) fn take_uses(&self, most: usize) -> Vec<Use> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = uses.len().min(most);
        uses.drain(..count).collect()
    }

    /// Records the results of the uses that were sent.
    pub(super) fn sent(&self, uses: &[Use], answers: &[RedisResult<Validation>]) {
        for (used, answer) in uses.iter().zip(answers.iter().map(Some).chain(std::iter::repeat(None))) {
            match answer {
                Some(Ok(Validation::Active(_))) => {
                    self.touches.fetch_add(1, Ordering::Relaxed);
                }
                Some(Ok(Validation::Inactive(_))) => self.table.forget(used.key()),
                Some(Err(_)) | None => self.table.use_failed(&used.entry, self.clock.now().after(NEXT_TRY)),
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether the connection to this node has not proved alive for this long.
    pub(super) fn wants_beat(&self, node: u16, beat: Duration) -> bool {
        let node = self.nodes.get(usize::from(node));
        node.and_then(|node| self.silence(node)).is_none_or(|silence| silence >= beat)
    }

    /// How long ago the connection last proved alive; `None` if it does not count as alive.
    fn silence(&self, node: &Node) -> Option<Duration> {
        let left = Moment::from_nanos(node.alive_until.load(Ordering::Acquire)).since(self.clock.now());
        (!left.is_zero()).then(|| TRUST.saturating_sub(left))
    }

    /// The longest silence of these nodes; `None` if one of them does not count as alive.
    fn longest_silence(&self, nodes: &[u16]) -> Option<Duration> {
        let silence_of = |node: &u16| self.silence(self.nodes.get(usize::from(*node))?);
        let silences: Option<Vec<_>> = nodes.iter().map(silence_of).collect();
        silences?.into_iter().max()
    }

    /// Wakes the task that does the pending work.
    #[cfg(feature = "cluster")]
    pub(super) fn wake(&self) {
        self.use_came.notify_one();
    }

    pub(super) fn forget(&self, key: &str) {
        self.table.forget(key);
    }

    /// Drops everything.
    pub(super) fn clear(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.clearances.fetch_add(1, Ordering::Relaxed);
        self.table.clear();
    }

    /// The figures, while these nodes are in use.
    pub(super) fn figures(&self, nodes: &[u16]) -> NearCacheFigures {
        let (entries, bytes) = self.table.size();
        NearCacheFigures {
            hits: self.table.hits(),
            misses: self.misses.load(Ordering::Relaxed),
            invalidations: self.invalidations.load(Ordering::Relaxed),
            clearances: self.clearances.load(Ordering::Relaxed),
            evictions: self.table.evictions(),
            touches: self.touches.load(Ordering::Relaxed),
            entries,
            bytes,
            age: self.longest_silence(nodes),
            trouble: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// The span between two moments of the server's clock; zero if the second is earlier.
fn span(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_millis(to.unix_millis().saturating_sub(from.unix_millis()))
}

/// A new address is the only part of an answer that depends on the visitor.
fn for_visitor(mut answer: Arc<Authenticated>, visitor: &Visitor) -> Arc<Authenticated> {
    let is_new = |details: &Details| visitor.known_ip().is_some_and(|ip| details.ip != Some(ip));
    if answer.details.as_ref().is_some_and(|details| details.new_ip != is_new(details))
        && let Some(details) = &mut Arc::make_mut(&mut answer).details
    {
        details.new_ip = !details.new_ip;
    }
    answer
}

impl Listener for Ear {
    fn prepare(self: Arc<Self>, number: u64, mut connection: MultiplexedConnection) -> Preparing {
        Box::pin(async move {
            cmd("CLIENT").arg("TRACKING").arg("ON").exec_async(&mut connection).await?;
            connection.subscribe(CHANNEL).await?;
            let Self { cache, node } = &*self;
            cache.set_trouble(None);
            cache.clear();
            if let Some(node) = cache.nodes.get(usize::from(*node)) {
                node.tracking.store(number, Ordering::Release);
            }
            Ok(())
        })
    }

    fn failed(&self, error: &RedisError) {
        self.cache.set_trouble(Some(redact(error.clone()).to_string()));
    }

    fn push(&self, push: PushInfo) {
        match push.kind {
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(keys)) => {
                    for key in keys {
                        match key {
                            Value::BulkString(key) => match std::str::from_utf8(key) {
                                Ok(key) => {
                                    self.cache.invalidations.fetch_add(1, Ordering::Relaxed);
                                    self.cache.forget(key);
                                }
                                Err(_) => self.cache.clear(),
                            },
                            _ => self.cache.clear(),
                        }
                    }
                }
                _ => self.cache.clear(),
            },
            PushKind::Message => self.cache.clear(),
            _ => {}
        }
    }

    fn lost(&self, number: u64) {
        let Some(node) = self.cache.nodes.get(usize::from(self.node)) else { return };
        if node.tracking.compare_exchange(number, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.cache.clear();
            node.alive_until.store(Moment::NEVER.nanos(), Ordering::Release);
        }
    }
}
