//! The commands that change something: what each is to do, decided without doing it.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashSet;

use thiserror::Error;

use super::UserSessions;
use super::agents::AgentPool;
use super::data::{Data, DataLimit};
use super::effect::Effect;
use super::record::{IdKey, Record, RecordRef};
use super::session::{Session, Trace, TraceReason};
use super::store::{Epoch, Marks};
use super::terms::{Clock, Limit, LimitPolicy, NewSession, Origin, Target, TokenRules};
use crate::token::{Issued, RefreshToken};
use crate::{Reason, SessionId, UnixMillis};

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

/// Why fields were not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// The session is not alive.
    Dead(Reason),
    /// The session would have this many bytes of fields, more than it may.
    TooLarge(usize),
    /// The session would have this many fields, more than it may.
    TooMany(usize),
}

/// A revocation that was decided.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// What it changes.
    pub effects: Vec<Effect<'static>>,
    /// How many sessions were alive and are not any more.
    pub revoked: usize,
}

/// A part of a sweep that was decided.
#[derive(Clone, Debug)]
pub struct Purge {
    /// What it changes.
    pub effects: Vec<Effect<'static>>,
    /// Where to go on; `None` if that was all.
    pub next: Option<u64>,
}

impl UserSessions {
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
            let bound = self.bound(&mut effects, limit, clock);
            effects.extend(bound);
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
        if let Err(reason) = self.check(id, Issued::ForSessionOf(token.session_began_at), clock) {
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
            effects.extend(self.tidy(&effects, UnixMillis::ZERO, limit.traces, clock));
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
        self.check(&old.id, old.issued, clock)?;
        let record = self.store.find(&old.id).ok_or(Reason::Unknown)?;
        let session = owned(record, agents).ok_or(Reason::Unknown)?;
        let mut session = Session { id: new, traced: false, seen: clock.now, ahead: 0, ..session };
        if let Some(refresh) = session.refresh {
            session.issue(refresh.ttl_secs, 0, clock.now);
        }
        session.token_until = session.tokens_until(tokens, clock.now);
        let mut effects = vec![Effect::Replace { old: old.id.clone(), session: session.clone() }];
        effects.extend(bury(record, TraceReason::Revoked));
        effects.extend(self.tidy(&effects, UnixMillis::ZERO, limit.traces, clock));
        Ok(Grant { effects, session, issued_at: clock.now, new_ip: false })
    }

    /// Decides to set fields of a live session, whose data must be within `limit` then.
    ///
    /// # Errors
    /// If the session is not alive, or would have too many fields or too large ones.
    pub fn set<'a>(
        &self,
        id: &SessionId,
        data: Data<'a>,
        limit: DataLimit,
        clock: Clock,
    ) -> Result<Vec<Effect<'a>>, ChangeError> {
        self.check(id, Issued::Unsaid, clock).map_err(ChangeError::Dead)?;
        let merged = self.data(id).merged(&data);
        let (count, size) = (merged.len(), merged.size());
        if count > limit.fields {
            return Err(ChangeError::TooMany(count));
        }
        if size > limit.bytes {
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
        self.check(id, Issued::Unsaid, clock).map_err(ChangeError::Dead)?;
        let data = self.data(id);
        let known = data.names();
        let removed = names.iter().filter(|(name, _)| known.contains(name)).count();
        let effects = if removed > 0 { vec![Effect::Unset { id: id.clone(), names }] } else { Vec::new() };
        Ok((effects, removed))
    }

    fn data(&self, id: &SessionId) -> Data<'_> {
        match self.store.find(id).and_then(RecordRef::decode) {
            Some(Record::Session(session)) => session.data,
            Some(Record::Trace(_)) | None => Data::default(),
        }
    }

    /// Decides to revoke these sessions. What is dead already counts nothing (RFC 7009 section 2.2). A JWT that is good
    /// without a session here is denied for as long as it would be.
    #[must_use]
    pub fn revoke(&self, targets: &[Target], limit: Limit, clock: Clock) -> Revocation {
        let mut targets: Vec<_> = targets.iter().collect();
        // Of several tokens of one session, the one that is good longest.
        targets.sort_by_key(|target| Reverse(target.until));
        let mut done = HashSet::new();
        let (mut effects, mut revoked) = (Vec::new(), 0);
        for Target { id, issued, until } in targets {
            if done.contains(id) {
                continue;
            }
            let record = self.store.find(id);
            let known_until = record.map(RecordRef::token_until);
            let until = until.filter(|until| clock.now < *until);
            let (reason, until) = match (self.check(id, *issued, clock), until) {
                (Ok(_), _) => {
                    revoked += 1;
                    (TraceReason::Revoked, known_until.max(until).unwrap_or(clock.now))
                }
                (Err(Reason::Unknown), Some(until)) if record.is_none() => {
                    revoked += 1;
                    (TraceReason::Revoked, until)
                }
                // It is dead already, but would be forgotten while this token is good.
                (Err(_), Some(until))
                    if record.is_some_and(|record| !clock.is_live(record) && record.token_until() < until) =>
                {
                    (record.and_then(RecordRef::trace_reason).unwrap_or(TraceReason::Revoked), until)
                }
                // Not a token of what is here now, if anything is.
                (Err(_), _) => continue,
            };
            done.insert(id);
            effects.push(Effect::Bury(Trace { id: id.clone(), reason, until }));
        }
        if !effects.is_empty() {
            let bound = self.bound(&mut effects, limit, clock);
            effects.extend(bound);
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
        // More traces than are kept: the newest are. The epoch speaks for the others.
        effects.drain(..effects.len().saturating_sub(limit.traces));
        effects.extend(self.tidy(&effects, UnixMillis::ZERO, limit.traces, clock));
        let except = except.and_then(|record| match record.decode()? {
            Record::Session(session) => Some(session.id),
            Record::Trace(_) => None,
        });
        effects.push(Effect::Clear { except });
        let (at, until) = match self.store.marks().epoch {
            Some(known) => (clock.now.max(known.at), until.max(known.until)),
            None => (clock.now, until),
        };
        effects.push(Effect::Epoch(Some(Epoch { at, until })));
        Revocation { effects, revoked }
    }

    /// Keeps what is dead within `limit` when `effects` bury more: the newest are remembered.
    fn bound(&self, effects: &mut [Effect<'_>], limit: Limit, clock: Clock) -> Vec<Effect<'static>> {
        let buried = effects.iter().filter(|effect| matches!(effect, Effect::Bury(_))).count();
        let mut lost = UnixMillis::ZERO;
        let excess = buried.saturating_sub(limit.traces);
        for effect in effects.iter_mut().filter(|effect| matches!(effect, Effect::Bury(_))).take(excess) {
            if let Effect::Bury(trace) = effect {
                lost = lost.max(trace.until);
                *effect = Effect::Forget(trace.id.clone());
            }
        }
        self.tidy(effects, lost, limit.traces, clock)
    }

    /// What can be forgotten: the dead that no token asks for any more, the marks likewise, and the oldest of the other
    /// dead as soon as those that `effects` bury would make them more than `traces`. That, as what is `lost` already and
    /// would have been asked for until then, is marked, so that nothing is taken for good because it was forgotten.
    fn tidy(&self, effects: &[Effect<'_>], mut lost: UnixMillis, traces: usize, clock: Clock) -> Vec<Effect<'static>> {
        // What is dead may be buried once more, for longer: that trace is to stay.
        let fresh: HashSet<_> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Bury(trace) => Some(IdKey::of(&trace.id).as_parts()),
                _ => None,
            })
            .collect();
        let is_fresh = |record: &RecordRef<'_>| fresh.contains(&record.id_key().as_parts());
        let dead = self.store.iter().filter(|record| !clock.is_live(*record) && !is_fresh(record));
        let (spent, kept): (Vec<_>, Vec<_>) = dead.partition(|record| clock.is_spent(*record));
        let excess = (kept.len() + fresh.len()).saturating_sub(traces).min(kept.len());
        let early = kept.into_iter().take(excess).inspect(|record| lost = lost.max(record.token_until()));
        let forgotten = spent.into_iter().chain(early);
        let mut effects: Vec<_> = forgotten.filter_map(|record| id_of(record).map(Effect::Forget)).collect();
        effects.extend(self.spent_marks(clock));
        if lost > clock.now {
            let until = self.store.marks().forgotten.map_or(lost, |known| known.until.max(lost));
            effects.push(Effect::Forgotten(Some(Epoch { at: clock.now, until })));
        }
        effects
    }

    /// Decides what a sweep is to do with what is dead: what no token asks for any more is forgotten, and what else has
    /// died of time leaves a trace.
    ///
    /// It looks at about `most` records from `from` on, which is 0 at first, and says where to go on.
    #[must_use]
    pub fn purge(&self, from: u64, most: usize, clock: Clock) -> Purge {
        let (records, next) = self.store.part(from, most);
        let mut effects: Vec<_> = records
            .filter_map(|record| {
                let died_of = clock.died_of(record);
                if clock.is_spent(record) { id_of(record).map(Effect::Forget) } else { bury(record, died_of?) }
            })
            .collect();
        if next.is_none() {
            effects.extend(self.spent_marks(clock));
        }
        Purge { effects, next }
    }

    /// How many sessions these effects, decided by the same `clock`, take away that have died of time.
    #[must_use]
    pub fn expired_among(&self, effects: &[Effect<'_>], clock: Clock) -> usize {
        let ended = effects.iter().filter_map(|effect| match effect {
            Effect::Bury(Trace { id, .. }) | Effect::Forget(id) => self.store.find(id),
            _ => None,
        });
        ended.filter(|record| clock.died_of(*record).is_some()).count()
    }

    /// The marks that no token asks for any more.
    fn spent_marks(&self, clock: Clock) -> impl Iterator<Item = Effect<'static>> {
        let Marks { epoch, forgotten } = self.store.marks();
        let is_spent = |mark: Option<Epoch>| mark.is_some_and(|mark| clock.now >= mark.until);
        let epoch = is_spent(epoch).then_some(Effect::Epoch(None));
        epoch.into_iter().chain(is_spent(forgotten).then_some(Effect::Forgotten(None)))
    }
}

/// A session apart from the value that holds it.
fn owned(record: RecordRef<'_>, agents: &AgentPool) -> Option<Session<'static, Cow<'static, str>>> {
    let Record::Session(session) = record.decode()? else { return None };
    let agent = session.agent.and_then(|agent| agents.get(agent)).map(|text| Cow::Owned(text.to_owned()));
    Some(session.into_owned().with_agent(agent))
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
