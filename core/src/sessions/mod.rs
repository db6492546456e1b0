//! One user's sessions: what lives under one key.
//!
//! Reading ([`UserSessions::check`], [`UserSessions::live`]) changes nothing and measures every session against the
//! [`Clock`] it is given. Commands that write are decided first, without changing anything
//! ([`UserSessions::create`], [`UserSessions::revoke`], [`UserSessions::revoke_all`]): the decision is a list of
//! [`Effect`]s, and [`UserSessions::apply`] carries it out, here, on replicas and when a log is replayed. Only
//! [`UserSessions::touch`] changes the value by itself, because most uses need not be replicated at all.

mod agents;
mod effect;
mod reader;
mod record;
mod store;

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;

use thiserror::Error;

pub use agents::{AgentId, AgentPool};
pub use effect::{DecodeError, Effect, decode as decode_effects, encode as encode_effects};
pub use record::{Data, MAX_AGENT_BYTES, Session, Trace, TraceReason};
pub use store::Epoch;

use crate::{Reason, SessionId, UnixMillis};
use record::{Record, RecordRef, set_seen};
use store::Store;

/// What everything alive is measured by.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The time.
    pub now: UnixMillis,
    /// `session.not-before`: what began earlier is dead.
    pub not_before: UnixMillis,
}

/// How many sessions a user may have, and how many traces of dead ones are kept.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The most live sessions; at least 1.
    pub sessions: u32,
    /// What happens to one more.
    pub policy: LimitPolicy,
    /// The most dead sessions that are remembered.
    pub traces: usize,
}

/// What happens when a user is at the limit and logs in once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPolicy {
    /// The oldest session makes room.
    Evict,
    /// The new one is refused.
    Reject,
}

/// A session about to begin.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// Its id.
    pub id: SessionId,
    /// Its absolute deadline.
    pub expires_at: UnixMillis,
    /// Its idle timeout in seconds; 0 for none.
    pub idle_secs: u32,
    /// Where from.
    pub ip: Option<IpAddr>,
    /// With which user agent; at most [`MAX_AGENT_BYTES`] bytes.
    pub agent: Option<&'a str>,
    /// The application's fields.
    pub data: Data<'a>,
    /// When the last token issued for it expires.
    pub token_until: UnixMillis,
    /// Whether it must leave a trace when all of the user's sessions are revoked: yes where a token of it does not
    /// tell when it was issued, or where its id was chosen outside and might be chosen again.
    pub traced: bool,
}

/// Why a session cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CreateError {
    /// A session has this id, or had it and tokens of it may still be around.
    #[error("the id is taken")]
    Exists,
    /// The user is at the limit and the policy is [`LimitPolicy::Reject`].
    #[error("the user is at the limit of sessions")]
    Limit,
}

/// A login that was decided.
#[derive(Clone, Debug)]
pub struct Creation<'a> {
    /// What it changes.
    pub effects: Vec<Effect<'a>>,
    /// The sessions that make room, oldest first.
    pub evicted: Vec<SessionId>,
}

/// A revocation that was decided.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// What it changes.
    pub effects: Vec<Effect<'static>>,
    /// How many sessions were alive and are not any more.
    pub revoked: usize,
}

/// A live session, as far as a check must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive {
    /// The nearer of its two deadlines.
    pub deadline: UnixMillis,
}

/// All sessions of one user, traces of dead ones, and the epoch.
#[derive(Clone, Debug, Default)]
pub struct UserSessions {
    store: Store,
}

impl Clock {
    fn status(self, record: RecordRef<'_>) -> Result<Alive, Reason> {
        if let Some(reason) = record.trace_reason() {
            return Err(reason.into());
        }
        if record.created_at() < self.not_before {
            return Err(Reason::UserRevoked);
        }
        let expires_at = record.expires_at();
        if self.now >= expires_at {
            return Err(Reason::Expired);
        }
        match record.idle_expires_at() {
            Some(idle) if self.now >= idle => Err(Reason::Idle),
            Some(idle) => Ok(Alive { deadline: idle.min(expires_at) }),
            None => Ok(Alive { deadline: expires_at }),
        }
    }

    fn is_live(self, record: RecordRef<'_>) -> bool {
        self.status(record).is_ok()
    }

    /// Whether nothing can ever ask for this record again: it is dead and so are all of its tokens.
    fn is_spent(self, record: RecordRef<'_>) -> bool {
        self.now >= record.token_until() && !self.is_live(record)
    }
}

impl UserSessions {
    /// No sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the session with this id is alive, for a credential issued at `issued_at`.
    ///
    /// A credential that does not tell when it was issued (an opaque token) has `None`; one that should and does not
    /// (a JWT without `iat`) counts as issued at [`UnixMillis::ZERO`], before any revocation.
    ///
    /// # Errors
    /// With the reason why it is not: `unknown`, `expired`, `idle`, `revoked`, `user_revoked`, `evicted` or `reused`.
    pub fn check(&self, id: &SessionId, issued_at: Option<UnixMillis>, clock: Clock) -> Result<Alive, Reason> {
        let epoch = self.store.epoch();
        let Some(record) = self.store.find(id) else {
            // A JWT shows whole seconds, so one of the epoch's own second counts as older. Its session, had it
            // begun after the epoch, would be here.
            let user_revoked = issued_at.is_some_and(|issued_at| {
                issued_at < clock.not_before || epoch.is_some_and(|epoch| issued_at.as_secs() <= epoch.at.as_secs())
            });
            return Err(if user_revoked { Reason::UserRevoked } else { Reason::Unknown });
        };
        let alive = clock.status(record)?;
        // An id that an application used before and after the epoch: the token is the earlier session's.
        let of_earlier = issued_at.zip(epoch).is_some_and(|(issued_at, epoch)| {
            record.created_at() > epoch.at && issued_at.as_secs() < epoch.at.as_secs()
        });
        if of_earlier { Err(Reason::UserRevoked) } else { Ok(alive) }
    }

    /// The session with this id, if it is alive.
    #[must_use]
    pub fn get<'a>(&'a self, id: &SessionId, agents: &'a AgentPool, clock: Clock) -> Option<Session<'a, &'a str>> {
        self.store.find(id).filter(|record| clock.is_live(*record)).and_then(|record| view(record, agents))
    }

    /// The live sessions, oldest first.
    pub fn live<'a>(&'a self, agents: &'a AgentPool, clock: Clock) -> impl Iterator<Item = Session<'a, &'a str>> {
        self.store.iter().filter(move |record| clock.is_live(*record)).filter_map(|record| view(record, agents))
    }

    /// How many sessions are alive.
    #[must_use]
    pub fn count(&self, clock: Clock) -> usize {
        self.store.iter().filter(|record| clock.is_live(*record)).count()
    }

    /// Decides a login.
    ///
    /// # Errors
    /// If the id is taken, or the user is at the limit and the policy is to reject.
    pub fn create<'a>(&self, new: NewSession<'a>, limit: Limit, clock: Clock) -> Result<Creation<'a>, CreateError> {
        let (mut effects, mut evicted) = (Vec::new(), Vec::new());
        match self.store.find(&new.id) {
            Some(known) if !clock.is_spent(known) => return Err(CreateError::Exists),
            Some(_) => effects.push(Effect::Forget(new.id.clone())),
            None => {}
        }
        let room = usize::try_from(limit.sessions.max(1)).unwrap_or(usize::MAX);
        if !self.store.is_surely_below(room) {
            let live = self.count(clock);
            let excess = (live + 1).saturating_sub(room);
            if excess > 0 && limit.policy == LimitPolicy::Reject {
                return Err(CreateError::Limit);
            }
            let oldest = self.store.iter().filter(|record| clock.is_live(*record)).take(excess);
            effects.extend(oldest.filter_map(|record| bury(record, TraceReason::Evicted)));
            evicted.extend(effects.iter().filter_map(buried));
            effects.extend(self.tidy(evicted.len(), limit.traces, clock));
        }
        effects.push(Effect::Put(Session {
            id: new.id,
            created_at: clock.now,
            expires_at: new.expires_at,
            seen: clock.now,
            ahead: 0,
            token_until: new.token_until,
            idle_secs: new.idle_secs,
            ip: new.ip,
            agent: new.agent.map(Cow::Borrowed),
            traced: new.traced,
            data: new.data,
        }));
        Ok(Creation { effects, evicted })
    }

    /// Records a use of a live session. The value is always changed, but there is an effect to replicate only once the
    /// last use has moved by more than `granularity` milliseconds or a tenth of the idle timeout, whichever is less:
    /// so a session can idle out that much early after a failover, never late.
    pub fn touch(&mut self, id: &SessionId, granularity: u64, clock: Clock) -> Option<Effect<'static>> {
        let record = self.store.find(id)?;
        let (seen, idle_secs) = (record.seen(), record.idle_secs());
        if clock.now <= record.last_seen_at() || !clock.is_live(record) {
            return None;
        }
        let granularity = if idle_secs > 0 { granularity.min(u64::from(idle_secs) * 100) } else { granularity };
        let moved = clock.now.saturating_since(seen);
        let ahead = u32::try_from(moved).ok().filter(|_| moved <= granularity);
        let bytes = self.store.find_mut(id)?;
        match ahead {
            Some(ahead) => {
                set_seen(bytes, seen, ahead);
                None
            }
            None => {
                set_seen(bytes, clock.now, 0);
                Some(Effect::Seen { id: id.clone(), at: clock.now })
            }
        }
    }

    /// Decides to revoke the sessions with these ids. Ids that name no live session count nothing (RFC 7009 section 2.2).
    #[must_use]
    pub fn revoke(&self, ids: &[SessionId], limit: Limit, clock: Clock) -> Revocation {
        let mut named = HashSet::new();
        let mut effects: Vec<_> = ids
            .iter()
            .filter(|id| named.insert(*id))
            .filter_map(|id| self.store.find(id))
            .filter(|record| clock.is_live(*record))
            .filter_map(|record| bury(record, TraceReason::Revoked))
            .collect();
        let revoked = effects.len();
        if revoked > 0 {
            effects.extend(self.tidy(revoked, limit.traces, clock));
        }
        Revocation { effects, revoked }
    }

    /// Decides to revoke all sessions but `except`, with every token issued until now. `horizon` is how long, in
    /// milliseconds, tokens that other issuers made for this user may live: so long at least the epoch is kept.
    #[must_use]
    pub fn revoke_all(&self, except: Option<&SessionId>, horizon: u64, limit: Limit, clock: Clock) -> Revocation {
        let except = except.and_then(|id| self.store.find(id)).filter(|record| clock.is_live(*record));
        let spared = |record: RecordRef<'_>| except.is_some_and(|except| except.has_id(record.id_key()));
        let (mut revoked, mut until) = (0, clock.now.saturating_add(horizon));
        let mut effects = Vec::new();
        for record in self.store.iter().filter(|record| !record.is_trace() && !spared(*record)) {
            if clock.is_live(record) {
                revoked += 1;
            }
            until = until.max(record.token_until());
            if record.is_traced() && clock.now < record.token_until() {
                effects.extend(bury(record, TraceReason::UserRevoked));
            }
        }
        // More traces than are kept: the newest are.
        effects.drain(..effects.len().saturating_sub(limit.traces));
        effects.extend(self.tidy(effects.len(), limit.traces, clock));
        let except = except.and_then(|record| match record.decode()? {
            Record::Session(session) => Some(session.id),
            Record::Trace(_) => None,
        });
        effects.push(Effect::Clear { except });
        let (at, until) = match self.store.epoch() {
            Some(known) => (clock.now.max(known.at), until.max(known.until)),
            None => (clock.now, until),
        };
        effects.push(Effect::Epoch(Some(Epoch { at, until })));
        Revocation { effects, revoked }
    }

    /// What can be forgotten: the dead that no token asks for any more, the epoch likewise, and the oldest of the
    /// other dead as soon as `fresh` more would make them more than `traces`.
    fn tidy(&self, fresh: usize, traces: usize, clock: Clock) -> Vec<Effect<'static>> {
        let dead = self.store.iter().filter(|record| !clock.is_live(*record));
        let (spent, kept): (Vec<_>, Vec<_>) = dead.partition(|record| clock.is_spent(*record));
        let excess = (kept.len() + fresh).saturating_sub(traces).min(kept.len());
        let forgotten = spent.into_iter().chain(kept.into_iter().take(excess));
        let mut effects: Vec<_> = forgotten.filter_map(|record| id_of(record).map(Effect::Forget)).collect();
        if self.store.epoch().is_some_and(|epoch| clock.now >= epoch.until) {
            effects.push(Effect::Epoch(None));
        }
        effects
    }

    /// Decides what can be forgotten without any command's asking.
    #[must_use]
    pub fn purge(&self, limit: Limit, clock: Clock) -> Vec<Effect<'static>> {
        self.tidy(0, limit.traces, clock)
    }

    /// Carries out effects, in order. It decides nothing and reads no clock.
    pub fn apply(&mut self, effects: &[Effect<'_>], agents: &mut AgentPool) {
        let mut bytes = Vec::new();
        for effect in effects {
            match effect {
                Effect::Epoch(epoch) => self.store.set_epoch(*epoch),
                Effect::Put(session) => {
                    let agent = session.agent.as_deref().map(|text| agents.acquire(text));
                    self.release_agent(&session.id, agents);
                    bytes.clear();
                    session.clone().with_agent(agent).write(&mut bytes);
                    self.store.put(&bytes);
                }
                Effect::Seen { id, at } => {
                    if let Some(record) = self.store.find_mut(id) {
                        set_seen(record, *at, 0);
                    }
                }
                Effect::Bury(trace) => {
                    self.release_agent(&trace.id, agents);
                    self.store.remove(&trace.id);
                    bytes.clear();
                    trace.write(&mut bytes);
                    self.store.put(&bytes);
                }
                Effect::Forget(id) => {
                    self.release_agent(id, agents);
                    self.store.remove(id);
                }
                Effect::Clear { except } => self.store.retain(|record| {
                    let kept =
                        record.is_trace() || except.as_ref().is_some_and(|id| record.has_id(record::IdKey::of(id)));
                    if let Some(agent) = record.agent().filter(|_| !kept) {
                        agents.release(agent);
                    }
                    kept
                }),
            }
        }
    }

    fn release_agent(&self, id: &SessionId, agents: &mut AgentPool) {
        if let Some(agent) = self.store.find(id).and_then(RecordRef::agent) {
            agents.release(agent);
        }
    }

    /// The effects that rebuild this value from nothing, encoded: its form in RDB files and rewritten logs.
    #[must_use]
    pub fn encode(&self, agents: &AgentPool) -> Vec<u8> {
        self.encode_as(agents, |ahead| ahead)
    }

    /// What two equal values have in common, byte by byte: everything but the uses that are not replicated.
    #[must_use]
    pub fn canonical(&self, agents: &AgentPool) -> Vec<u8> {
        self.encode_as(agents, |_| 0)
    }

    fn encode_as(&self, agents: &AgentPool, ahead: impl Fn(u32) -> u32) -> Vec<u8> {
        let mut out = effect::start();
        if let Some(epoch) = self.store.epoch() {
            effect::push(&Effect::Epoch(Some(epoch)), &mut out);
        }
        for record in self.store.iter() {
            match record.decode() {
                Some(Record::Session(session)) => {
                    let agent = session.agent.and_then(|agent| agents.get(agent)).map(Cow::Borrowed);
                    let session = Session { ahead: ahead(session.ahead), ..session.with_agent(agent) };
                    effect::push(&Effect::Put(session), &mut out);
                }
                Some(Record::Trace(trace)) => effect::push(&Effect::Bury(trace), &mut out),
                None => {}
            }
        }
        out
    }

    /// The value that [`UserSessions::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are anything else; nothing is claimed from `agents` then.
    pub fn decode(bytes: &[u8], agents: &mut AgentPool) -> Result<Self, DecodeError> {
        let effects = effect::decode(bytes)?;
        let mut sessions = Self::default();
        sessions.apply(&effects, agents);
        Ok(sessions)
    }

    /// A copy with claims of its own on its agents.
    #[must_use]
    pub fn copy(&self, agents: &mut AgentPool) -> Self {
        self.agents().for_each(|agent| agents.retain(agent));
        self.clone()
    }

    /// The agents claimed by these sessions: to be released when the value is dropped.
    pub fn agents(&self) -> impl Iterator<Item = AgentId> {
        self.store.iter().filter_map(RecordRef::agent)
    }

    /// Whether there is nothing to keep: no session, no trace, no epoch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// When nothing here is of any use any more.
    #[must_use]
    pub fn last_deadline(&self) -> UnixMillis {
        self.store.deadline()
    }

    /// How many allocations the value consists of.
    #[must_use]
    pub fn allocations(&self) -> usize {
        1 + self.store.allocations()
    }

    /// Bytes allocated for the value, without shared agents and without the allocator's own.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        size_of::<Self>() + self.store.allocated_bytes()
    }
}

fn view<'a>(record: RecordRef<'a>, agents: &'a AgentPool) -> Option<Session<'a, &'a str>> {
    match record.decode()? {
        Record::Session(session) => {
            let agent = session.agent.and_then(|agent| agents.get(agent));
            Some(session.with_agent(agent))
        }
        Record::Trace(_) => None,
    }
}

fn id_of(record: RecordRef<'_>) -> Option<SessionId> {
    record.decode().map(|record| match record {
        Record::Session(session) => session.id,
        Record::Trace(trace) => trace.id,
    })
}

fn bury(record: RecordRef<'_>, reason: TraceReason) -> Option<Effect<'static>> {
    Some(Effect::Bury(Trace { id: id_of(record)?, reason, until: record.token_until() }))
}

fn buried(effect: &Effect<'_>) -> Option<SessionId> {
    match effect {
        Effect::Bury(trace) => Some(trace.id.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
