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
pub use record::{Data, Device, MAX_AGENT_BYTES, Refresh, Session, TokenForm, Trace, TraceReason};
pub use store::Epoch;

use crate::token::RefreshToken;
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

/// How long tokens live.
#[derive(Clone, Copy, Debug)]
pub struct TokenRules {
    /// Seconds that an access token lives, unless its session says otherwise.
    pub token_secs: u64,
    /// Milliseconds that a JWT is taken for good past its `exp`.
    pub leeway: u64,
    /// Milliseconds in which a refresh token that has just been used may be used again.
    pub grace: u64,
}

/// A session about to begin.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// Its id.
    pub id: SessionId,
    /// Whether the id comes from outside, where other tokens may be made for it and it may be chosen again.
    pub brought: bool,
    /// Its absolute deadline.
    pub expires_at: UnixMillis,
    /// Its idle timeout in seconds; 0 for none.
    pub idle_secs: u32,
    /// Where from.
    pub ip: Option<IpAddr>,
    /// With which user agent; at most [`MAX_AGENT_BYTES`] bytes.
    pub agent: Option<&'a str>,
    /// The device to bind it to.
    pub device: Option<Device>,
    /// What kind of tokens it has.
    pub tokens: TokenForm,
    /// The lifetime of its access tokens in seconds, if it has one of its own.
    pub token_ttl: Option<u32>,
    /// The lifetime of its refresh tokens in seconds, if it has such.
    pub refresh_secs: Option<u32>,
    /// The caller's claims that each of its JWTs carries, a JSON object; empty for none.
    pub claims: &'a str,
    /// The application's fields.
    pub data: Data<'a>,
}

/// Who offers a refresh token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// Where from.
    pub ip: Option<IpAddr>,
    /// With which user agent.
    pub agent: Option<&'a str>,
    /// From which device.
    pub device: Option<Device>,
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
    /// The session, to mint its tokens.
    pub session: Session<'a, Cow<'a, str>>,
    /// The sessions that make room, oldest first.
    pub evicted: Vec<SessionId>,
    /// Whether no live session of the user has this address; false if none was given.
    pub new_ip: bool,
    /// Whether no live session of the user is bound to this device; false if none was given.
    pub new_device: bool,
}

/// What becomes of a refresh token.
#[derive(Clone, Debug)]
pub enum Refreshed<'a> {
    /// It is good, or was until just now: the session has these tokens.
    Granted(Box<Grant<'a>>),
    /// It is not.
    Refused(Reason),
    /// It was used before, and not just now: someone else has it. The session is to be ended.
    Reused {
        /// What that changes.
        effects: Vec<Effect<'static>>,
    },
}

/// Tokens that are to be minted for a session.
#[derive(Clone, Debug)]
pub struct Grant<'a> {
    /// What it changes.
    pub effects: Vec<Effect<'a>>,
    /// The session as it is afterwards.
    pub session: Session<'a, Cow<'a, str>>,
    /// When the tokens are issued. A repeated request gets those of the first.
    pub issued_at: UnixMillis,
    /// Whether the address is another than the session had; false if none was given.
    pub new_ip: bool,
}

/// A session to revoke or to regenerate, by its id or by a token of it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The session's id.
    pub id: SessionId,
    /// Of a token: as in [`UserSessions::check`].
    pub issued_at: Option<UnixMillis>,
    /// Of a JWT: when it stops being good. So long it is denied if its session is not here.
    pub until: Option<UnixMillis>,
}

/// Why fields were not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// The session is not alive.
    Dead(Reason),
    /// The session would have this many bytes of fields, more than it may.
    TooLarge(usize),
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

    /// The device that the session with this id is bound to.
    #[must_use]
    pub fn device(&self, id: &SessionId) -> Option<Device> {
        self.store.find(id).and_then(RecordRef::device)
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
    pub fn create<'a>(
        &self,
        new: NewSession<'a>,
        tokens: TokenRules,
        limit: Limit,
        clock: Clock,
    ) -> Result<Creation<'a>, CreateError> {
        let (mut effects, mut evicted) = (Vec::new(), Vec::new());
        match self.store.find(&new.id) {
            Some(known) if !clock.is_spent(known) => return Err(CreateError::Exists),
            Some(_) => effects.push(Effect::Forget(new.id.clone())),
            None => {}
        }
        let anew = |given: bool, known: &dyn Fn(RecordRef<'_>) -> bool| {
            given && !self.store.iter().any(|record| known(record) && clock.is_live(record))
        };
        let new_ip = anew(new.ip.is_some(), &|record| record.ip() == new.ip);
        let new_device = anew(new.device.is_some(), &|record| record.device() == new.device);
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
        let session = new.begin(tokens, clock.now);
        effects.push(Effect::Put(session.clone()));
        Ok(Creation { effects, session, evicted, new_ip, new_device })
    }

    /// Decides what a refresh token is worth that was verified by itself (RFC 9700 section 4.14.2).
    ///
    /// The present one is rotated. The one before it, for `grace` after the rotation, gets what the rotation gave:
    /// clients race with themselves, and the loser must not be taken for a thief. Any earlier one is theft.
    #[must_use]
    pub fn refresh<'a>(
        &self,
        token: &RefreshToken,
        origin: Origin<'a>,
        tokens: TokenRules,
        agents: &AgentPool,
        limit: Limit,
        clock: Clock,
    ) -> Refreshed<'a> {
        let (id, generation) = (&token.id, token.generation);
        if let Err(reason) = self.check(id, None, clock) {
            return Refreshed::Refused(reason);
        }
        let Some((record, session)) = self.store.find(id).and_then(|record| Some((record, owned(record, agents)?)))
        else {
            return Refreshed::Refused(Reason::Unknown);
        };
        let Some(refresh) = session.refresh else { return Refreshed::Refused(Reason::Unknown) };
        let repeated = generation.checked_add(1) == Some(refresh.generation)
            && clock.now < refresh.rotated_at.saturating_add(tokens.grace);
        if generation < refresh.generation && !repeated {
            let mut effects: Vec<_> = bury(record, TraceReason::Reused).into_iter().collect();
            effects.extend(self.tidy(1, limit.traces, clock));
            return Refreshed::Reused { effects };
        }
        if clock.now >= refresh.expires_at {
            return Refreshed::Refused(Reason::TokenExpired);
        }
        if session.device.is_some_and(|bound| origin.device.is_some_and(|device| device != bound)) {
            return Refreshed::Refused(Reason::Device);
        }
        let new_ip = origin.ip.is_some_and(|ip| session.ip != Some(ip));
        if repeated {
            let grant = Grant { effects: Vec::new(), issued_at: refresh.rotated_at, session, new_ip };
            return Refreshed::Granted(Box::new(grant));
        }
        // A token of a later generation than ours was issued by a primary that failed before it was replicated.
        let Some(generation) = generation.checked_add(1) else { return Refreshed::Refused(Reason::TokenExpired) };
        let mut session = Session {
            ip: origin.ip.or(session.ip),
            agent: origin.agent.map(Cow::Borrowed).or(session.agent),
            seen: clock.now,
            ahead: 0,
            ..session
        };
        session.issue(refresh.ttl_secs, generation, clock.now);
        session.token_until = session.token_until.max(session.tokens_until(tokens, clock.now));
        let effects = vec![Effect::Put(session.clone())];
        Refreshed::Granted(Box::new(Grant { effects, session, issued_at: clock.now, new_ip }))
    }

    /// Decides to give a session another id, as after a change of privileges (OWASP ASVS 7.2.4). The session goes on;
    /// its old id and all tokens of it are dead.
    ///
    /// # Errors
    /// With the reason if the session is not alive.
    pub fn regenerate(
        &self,
        old: &Target,
        new: SessionId,
        tokens: TokenRules,
        agents: &AgentPool,
        limit: Limit,
        clock: Clock,
    ) -> Result<Grant<'static>, Reason> {
        self.check(&old.id, old.issued_at, clock)?;
        let record = self.store.find(&old.id).ok_or(Reason::Unknown)?;
        let session = owned(record, agents).ok_or(Reason::Unknown)?;
        let traced = session.refresh.is_some() || session.tokens != TokenForm::Jwt;
        let mut session = Session { id: new, traced, seen: clock.now, ahead: 0, ..session };
        if let Some(refresh) = session.refresh {
            session.issue(refresh.ttl_secs, 0, clock.now);
        }
        session.token_until = session.tokens_until(tokens, clock.now);
        let mut effects = vec![Effect::Replace { old: old.id.clone(), session: session.clone() }];
        effects.extend(bury(record, TraceReason::Revoked));
        effects.extend(self.tidy(1, limit.traces, clock));
        Ok(Grant { effects, session, issued_at: clock.now, new_ip: false })
    }

    /// Decides to set fields of a live session; it may have at most `max_bytes` of names and values then.
    ///
    /// # Errors
    /// If the session is not alive, or would be too large.
    pub fn set<'a>(
        &self,
        id: &SessionId,
        data: Data<'a>,
        max_bytes: usize,
        clock: Clock,
    ) -> Result<Vec<Effect<'a>>, ChangeError> {
        self.check(id, None, clock).map_err(ChangeError::Dead)?;
        let size = self.data(id).merged(&data).size();
        if size > max_bytes {
            return Err(ChangeError::TooLarge(size));
        }
        Ok(vec![Effect::Set { id: id.clone(), data }])
    }

    /// Decides to remove the fields of a live session that `names` names; also says how many there are.
    ///
    /// # Errors
    /// If the session is not alive.
    pub fn unset<'a>(
        &self,
        id: &SessionId,
        names: Data<'a>,
        clock: Clock,
    ) -> Result<(Vec<Effect<'a>>, usize), ChangeError> {
        self.check(id, None, clock).map_err(ChangeError::Dead)?;
        let data = self.data(id);
        let removed = names.iter().filter(|(name, _)| data.get(name).is_some()).count();
        let effects = if removed > 0 { vec![Effect::Unset { id: id.clone(), names }] } else { Vec::new() };
        Ok((effects, removed))
    }

    fn data(&self, id: &SessionId) -> Data<'_> {
        match self.store.find(id).and_then(RecordRef::decode) {
            Some(Record::Session(session)) => session.data,
            Some(Record::Trace(_)) | None => Data::default(),
        }
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

    /// Decides to revoke these sessions. What is dead already counts nothing (RFC 7009 section 2.2). A JWT that is good
    /// without a session here is denied for as long as it would be.
    #[must_use]
    pub fn revoke(&self, targets: &[Target], limit: Limit, clock: Clock) -> Revocation {
        let mut named = HashSet::new();
        let mut effects = Vec::new();
        for target in targets.iter().filter(|target| named.insert(&target.id)) {
            match self.check(&target.id, target.issued_at, clock) {
                Ok(_) => {
                    let record = self.store.find(&target.id);
                    effects.extend(record.and_then(|record| bury(record, TraceReason::Revoked)));
                }
                Err(Reason::Unknown) => {
                    let until = target.until.filter(|until| clock.now < *until);
                    let trace = until.map(|until| Trace { id: target.id.clone(), reason: TraceReason::Revoked, until });
                    effects.extend(trace.map(Effect::Bury));
                }
                Err(_) => {}
            }
        }
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
                Effect::Replace { old, session } => {
                    let agent = session.agent.as_deref().map(|text| agents.acquire(text));
                    self.release_agent(old, agents);
                    if session.id != *old {
                        self.release_agent(&session.id, agents);
                        self.store.remove(&session.id);
                    }
                    bytes.clear();
                    session.clone().with_agent(agent).write(&mut bytes);
                    self.store.replace(old, &bytes);
                }
                Effect::Set { id, data } => self.change_data(id, |known| known.merged(data)),
                Effect::Unset { id, names } => self.change_data(id, |known| known.without(names)),
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

    fn change_data(&mut self, id: &SessionId, change: impl FnOnce(&Data<'_>) -> Data<'static>) {
        let Some(Record::Session(session)) = self.store.find(id).and_then(RecordRef::decode) else { return };
        let mut bytes = Vec::new();
        Session { data: change(&session.data), ..session }.write(&mut bytes);
        self.store.put(&bytes);
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
        // What holds nothing is not stored: its key would never expire.
        if effects.is_empty() {
            return Err(DecodeError::Damaged);
        }
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

impl<'a> NewSession<'a> {
    fn begin(self, tokens: TokenRules, now: UnixMillis) -> Session<'a, Cow<'a, str>> {
        let mut session = Session {
            id: self.id,
            created_at: now,
            expires_at: self.expires_at,
            seen: now,
            ahead: 0,
            token_until: self.expires_at.saturating_add(tokens.leeway),
            idle_secs: self.idle_secs,
            ip: self.ip,
            agent: self.agent.map(Cow::Borrowed),
            // JWTs tell when they were issued, which the epoch is compared with; other tokens do not, and one id may
            // stand for two sessions if it is chosen outside.
            traced: self.brought || self.tokens != TokenForm::Jwt || self.refresh_secs.is_some(),
            refresh: None,
            device: self.device,
            tokens: self.tokens,
            token_ttl: self.token_ttl,
            claims: Cow::Borrowed(self.claims),
            data: self.data,
        };
        if let Some(secs) = self.refresh_secs {
            session.issue(secs, 0, now);
        }
        // Tokens of an id that was brought may be made elsewhere: they live no longer than the session.
        if !self.brought {
            session.token_until = session.tokens_until(tokens, now);
        }
        session
    }
}

impl<A> Session<'_, A> {
    /// Gives it a refresh token of this generation.
    fn issue(&mut self, ttl_secs: u32, generation: u32, now: UnixMillis) {
        let expires_at = now.saturating_add(u64::from(ttl_secs) * 1000).min(self.expires_at);
        self.refresh = Some(Refresh { generation, rotated_at: now, expires_at, ttl_secs });
    }

    /// When the last of the tokens that are issued for it at `now` is not good any more.
    fn tokens_until(&self, tokens: TokenRules, now: UnixMillis) -> UnixMillis {
        let access = self.token_expires_at(now, tokens.token_secs).unwrap_or(self.expires_at);
        let refresh = self.refresh.map_or(UnixMillis::ZERO, |refresh| refresh.expires_at);
        access.saturating_add(tokens.leeway).max(refresh)
    }
}

/// A session apart from the value that holds it.
fn owned(record: RecordRef<'_>, agents: &AgentPool) -> Option<Session<'static, Cow<'static, str>>> {
    let Record::Session(session) = record.decode()? else { return None };
    let agent = session.agent.and_then(|agent| agents.get(agent)).map(|text| Cow::Owned(text.to_owned()));
    Some(session.into_owned().with_agent(agent))
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
