//! The commands that change something: what each is to do, decided without doing it.

use std::borrow::Cow;

use thiserror::Error;

use super::agents::AgentPool;
use super::cutoff::{Cutoff, UserCutoff};
use super::data::Data;
use super::effect::Effect;
use super::event::{Decision, Event, EventKind};
use super::record::{IdKey, Record, RecordRef, set_seen};
use super::rule::{self, Alive, Standing};
use super::rules::{
    Check, IdSource, LimitPolicy, MAX_LEEWAY, NewSession, Origin, Presented, REMEMBERED, Renewal, Rules,
};
use super::session::{EndReason, Refresh, Session, Tombstone, idle_deadline};
use super::{UserSessions, store};
use crate::token::{Issued, RefreshToken, TokenKind, holds_token};
use crate::{Reason, SessionId, UnixMillis};

/// Why a session cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CreateError {
    /// A live session has this id.
    #[error("the id is taken")]
    Exists,
    /// The user is at the limit and the policy is [`LimitPolicy::Reject`].
    #[error("the user is at the limit of sessions")]
    Limit,
    /// The JWT that it is to begin with is not good.
    #[error("the token is not good: {0}")]
    Refused(Reason),
}

/// What becomes of a refresh token that is of a live session.
#[derive(Clone, Debug)]
pub enum Refreshed<'a> {
    /// It is good, or was until just now: the session has these tokens.
    Granted(Box<Grant<'a>>),
    /// It was used before, and not just now: somebody else has it. The session ends.
    Reused,
}

/// A session that gets tokens: it begins, is refreshed or is regenerated.
#[derive(Clone, Debug)]
pub struct Grant<'a> {
    /// The session as it is afterwards.
    pub session: Session<'a, Cow<'a, str>>,
    /// When the tokens are issued. A repeated request gets those of the first.
    pub issued_at: UnixMillis,
    /// The sessions that make room for one that begins, oldest first.
    pub evicted: Vec<SessionId>,
    /// Whether the address is new: to the user's live sessions for one that begins, else to the session. False if none
    /// was given.
    pub new_ip: bool,
    /// Whether a session begins on a device that no live session of the user is bound to. False if none was given.
    pub new_device: bool,
}

impl<'a> Grant<'a> {
    /// Tokens for a session that goes on.
    fn to(session: Session<'a, Cow<'a, str>>, issued_at: UnixMillis, new_ip: bool) -> Self {
        Self { session, issued_at, evicted: Vec::new(), new_ip, new_device: false }
    }
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
    /// The data has this version and not the expected one.
    Conflict(u64),
    /// The field to be counted up is no decimal number of 64 bits.
    NoNumber,
    /// The number would have more than 64 bits.
    Overflow,
}

/// How many records a command moves one by one: at most so many sessions make room for a new one before the oldest go
/// together, and at most so many dead records are tidied away. It bounds how long a command takes.
const ONE_BY_ONE: usize = 1000;

/// Which dead records are tidied away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tidied {
    /// All, but for so many sessions that go with the draft, those that were added first.
    Dead { gone: usize },
    /// Tombstones alone: the draft clears the sessions.
    Tombstones,
}

/// What a sweep would find in a user's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead {
    /// How many sessions have died of time and were not swept yet.
    pub sessions: usize,
    /// When the first of them died; [`UnixMillis::MAX`] if there is none.
    pub since: UnixMillis,
    /// Whether there is anything to sweep, or more to look at.
    pub is_due: bool,
}

impl Default for Dead {
    fn default() -> Self {
        Self { sessions: 0, since: UnixMillis::MAX, is_due: false }
    }
}

/// What a sweep does with a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing.
    Stays,
    /// It goes and leaves nothing: a session that has died of this, or what else nobody asks for.
    Goes(Option<EndReason>),
    /// A session that has died of this leaves a tombstone.
    Leaves(EndReason),
}

impl Rules {
    fn fate(&self, record: RecordRef<'_>) -> Fate {
        let died_of = self.died_of(record);
        if self.is_spent(record) { Fate::Goes(died_of) } else { died_of.map_or(Fate::Stays, Fate::Leaves) }
    }
}

/// Effects and events in the making.
#[derive(Default)]
struct Draft<'a> {
    effects: Vec<Effect<'a>>,
    events: Vec<Event<'a>>,
    /// What of the dead is forgotten while it is needed.
    dropped: Option<UserCutoff>,
}

impl<'a> Draft<'a> {
    /// Ends a session, or denies a JWT that has none.
    fn end(&mut self, record: Option<RecordRef<'_>>, tombstone: Tombstone) {
        let reason = tombstone.reason.into();
        match record {
            Some(record) if record.is_tombstone() => {}
            Some(record) => self.events.push(Event::end(record, &tombstone.id, reason)),
            None => self.events.push(Event::of(EventKind::Ended(reason), Some(tombstone.id.clone()))),
        }
        self.effects.push(Effect::End(tombstone));
    }

    /// Forgets what this ends, which is needed until then.
    fn forget(&mut self, ended: Cutoff, until: UnixMillis, rules: &Rules) {
        // A cutoff cannot deny the JWTs of one id whenever they are issued, as SESSION.DENY does. And
        // `session.not-before` may be a time to come.
        let cutoff = ended.min(Cutoff::at(rules.latest, REMEMBERED));
        self.dropped = Some(both(self.dropped, UserCutoff { cutoff, until }));
    }

    fn decide<T>(self, value: T) -> Decision<'a, T> {
        Decision { effects: self.effects, events: self.events, value }
    }
}

impl UserSessions {
    /// Decides a login.
    ///
    /// # Errors
    /// If a live session has the id, the user is at the limit and the policy is to reject, or the JWT that it is to begin
    /// with is not good.
    pub fn create<'a>(&self, new: NewSession<'a>, rules: &Rules) -> Result<Decision<'a, Grant<'a>>, CreateError> {
        let known = self.store.find(&new.id);
        if known.is_some_and(|known| rules.is_live(known)) {
            return Err(CreateError::Exists);
        }
        let mut draft = Draft::default();
        let session = self.begin(known, new, rules)?;
        if let Some(known) = known {
            draft.effects.push(Effect::Forget(session.id.clone()));
            draft.events.extend(rules.died_of(known).map(|reason| Event::end(known, &session.id, reason.into())));
        }
        let is_new = |given: bool, known: &dyn Fn(RecordRef<'_>) -> bool| {
            given && !self.store.iter().any(|record| known(record) && rules.is_live(record))
        };
        let new_ip = is_new(session.ip.is_some(), &|record| record.ip() == session.ip);
        let new_device = is_new(session.device.is_some(), &|record| record.device() == session.device);
        let (room, mut evicted) = (usize::try_from(rules.sessions.max(1)).unwrap_or(usize::MAX), Vec::new());
        if !self.store.is_surely_below(room) {
            let excess = (self.count(rules) + 1).saturating_sub(room);
            if excess > 0 && rules.policy == LimitPolicy::Reject {
                return Err(CreateError::Limit);
            }
            let together = excess.saturating_sub(rules.tombstones);
            let together = if together > ONE_BY_ONE { together } else { 0 };
            let gone = self.evict_oldest(together, &mut evicted, &mut draft, rules);
            let rest = self.store.iter().filter(|record| !record.is_tombstone()).skip(gone);
            for record in rest.filter(|record| rules.is_live(*record)).take(excess - together) {
                let Some(tombstone) = rules.tombstone(record, EndReason::Evicted) else { continue };
                evicted.push(tombstone.id.clone());
                draft.end(Some(record), tombstone);
            }
            self.tidy(&mut draft, Tidied::Dead { gone }, rules);
        }
        draft.events.push(Event::about(EventKind::Created, &session));
        draft.effects.push(Effect::Put(session.clone()));
        Ok(draft.decide(Grant { session, issued_at: rules.now, evicted, new_ip, new_device }))
    }

    /// Evicts so many live sessions, the oldest, with the dead ones among them, and leaves no tombstones: they would be too
    /// many, and are covered by a cutoff. The answer is how many sessions go.
    fn evict_oldest(&self, count: usize, evicted: &mut Vec<SessionId>, draft: &mut Draft<'_>, rules: &Rules) -> usize {
        if count == 0 {
            return 0;
        }
        evicted.reserve(count);
        draft.events.reserve(count);
        let mut gone = 0;
        for record in self.store.iter().filter(|record| !record.is_tombstone()) {
            if evicted.len() == count {
                break;
            }
            gone += 1;
            let end = rules.end_of(record);
            let ended = end.map_or_else(|| rules.ends(record), |(_, ended)| ended);
            draft.forget(ended, rules.remembered_until(record, ended), rules);
            let Some(id) = record.id() else { continue };
            if end.is_none() {
                draft.events.push(Event::end(record, &id, EndReason::Evicted.into()));
                evicted.push(id);
            } else if let Some(reason) = rules.died_of(record) {
                draft.events.push(Event::end(record, &id, reason.into()));
            }
        }
        // Before all others: they may take one of these out.
        draft.effects.insert(0, Effect::ClearOldest { sessions: u32::try_from(gone).unwrap_or(u32::MAX) });
        gone
    }

    /// The session that begins, where `known` is the dead one that had its id.
    fn begin<'a>(
        &self,
        known: Option<RecordRef<'_>>,
        mut new: NewSession<'a>,
        rules: &Rules,
    ) -> Result<Session<'a, Cow<'a, str>>, CreateError> {
        let token = match new.source {
            IdSource::Random => return Ok(new.begin(rules)),
            IdSource::Caller => None,
            IdSource::Token(issued) => {
                // Named by its id later, such a session would be taken for a token.
                if holds_token(new.id.to_string().as_bytes()) {
                    return Err(CreateError::Refused(Reason::Malformed));
                }
                let (id, expires_at) = (new.id.clone(), Some(new.expires_at));
                let token = Presented { id, kind: Some(TokenKind::Jwt), issued, expires_at };
                // The session ends with the token. Within the leeway the token may be good still, but the session would
                // not be.
                new.expires_at = rule::end_of_token(&token, false, rules).unwrap_or_default();
                if rules.now >= new.expires_at {
                    return Err(CreateError::Refused(Reason::TokenExpired));
                }
                Some(token)
            }
        };
        let mut session = new.begin(rules);
        let cutoffs = self.store.cutoffs();
        let user = [cutoffs.revoked_before, cutoffs.tombstones_dropped_before].into_iter().flatten();
        let user = user.map(|user| user.cutoff).fold(Cutoff::default(), Cutoff::max);
        let cutoff = user.max(rules.server_cutoff());
        let after = |time: UnixMillis| UnixMillis::from_secs(time.as_secs() + 1).unwrap_or(UnixMillis::MAX);
        let mut from = if cutoff.iat > UnixMillis::ZERO { after(cutoff.iat) } else { UnixMillis::ZERO };
        // No earlier session of this id can have begun in the same millisecond, so no token of it is one of this session.
        // A clock that has stepped back passes the same millisecond again, so that one is taken past the latest.
        let is_behind = rules.now < rules.latest;
        session.created_at = session.created_at.max(rules.latest.saturating_add(u64::from(is_behind)));
        // The cutoff of a value that could not be read says no time.
        if user.began < UnixMillis::MAX {
            session.created_at = session.created_at.max(user.began.saturating_add(1));
        }
        if let Some(known) = known {
            session.created_at = session.created_at.max(known.last_issued_at().saturating_add(1));
            if !rules.is_spent(known) {
                // Tokens of the session that had the id may still be around. So its end must be remembered as long.
                let (_, ended) = rules.end_of(known).unwrap_or((Reason::Unknown, rules.ends(known)));
                from = from.max(after(ended.iat));
                session.token_until = session.token_until.max(rules.remembered_until(known, ended));
            }
        }
        // A clock that has stepped back may end the session before it begins. It is remembered past the millisecond of its
        // begin, so that no later session of this id begins in the same one.
        session.token_until = session.token_until.max(session.created_at.saturating_add(1));
        if let Some(token) = token {
            // It must be good without a session. A spent record says nothing about it any more.
            let known = known.filter(|known| !rules.is_spent(*known));
            rule::stand(known, || cutoffs, &token, rules).map_err(CreateError::Refused)?;
            match token.issued {
                // It is of a session that began here. That one is gone, and does not come back.
                Issued::ForSessionOf(_) => return Err(CreateError::Refused(Reason::Unknown)),
                Issued::InSecondOf(iat) if iat < from => return Err(CreateError::Refused(Reason::Unknown)),
                Issued::InSecondOf(_) | Issued::Unsaid => {}
            }
        }
        session.accepts_from = Some(from);
        Ok(session)
    }

    /// Records a use of the live session of a credential that is good for what `check` asks. The answer is where it stands
    /// afterwards. The value is always changed, but the use is to be replicated only once the last one has moved by more
    /// than the granularity or a tenth of the idle timeout, whichever is less: so a session can idle out that much early
    /// after a failover, never late.
    ///
    /// # Errors
    /// As [`UserSessions::check`].
    pub fn touch(
        &mut self,
        presented: &Presented,
        check: Check<'_>,
        rules: &Rules,
    ) -> Result<Decision<'static, Standing>, Reason> {
        let cutoffs = self.store.cutoffs();
        let Some(bytes) = self.store.find_mut(&presented.id) else {
            let standing = rule::stand(None, || cutoffs, presented, rules)?;
            return rule::accept(standing, None, presented, check, rules).map(Decision::nothing);
        };
        let Some(record) = RecordRef::whole(bytes) else { return Err(Reason::Unknown) };
        let standing = rule::stand(Some(record), || cutoffs, presented, rules)?;
        let standing = rule::accept(standing, Some(record), presented, check, rules)?;
        // What is good without a session is no use of the dead one that had its id.
        if standing == Standing::Absent || rules.now <= record.last_seen_at() {
            return Ok(Decision::nothing(standing));
        }
        let (seen, idle_secs, expires_at) = (record.last_seen_replicated(), record.idle_secs(), record.expires_at());
        let granularity = match idle_secs {
            0 => rules.touch_granularity,
            secs => rules.touch_granularity.min(u64::from(secs) * 100),
        };
        let moved = rules.now.saturating_since(seen);
        let unreplicated = u32::try_from(moved).ok().filter(|_| moved <= granularity);
        let standing = Standing::Alive(Alive::until(expires_at, idle_deadline(rules.now, idle_secs)));
        if let Some(moved) = unreplicated {
            set_seen(bytes, seen, moved);
            return Ok(Decision::nothing(standing));
        }
        set_seen(bytes, rules.now, 0);
        let id = presented.id.clone();
        let events = vec![Event::of(EventKind::Touched, Some(id.clone()))];
        Ok(Decision { effects: vec![Effect::Seen { id, at: rules.now }], events, value: standing })
    }

    /// Decides what a refresh token is worth that was verified by itself (RFC 9700 section 4.14.2).
    ///
    /// The present one is rotated. The one before it, for the grace after the rotation, gets what the rotation gave:
    /// clients race with themselves, and the loser must not be taken for a thief. So it does for the recovery, which is
    /// longer, on the session's device alone and until the session is used: the client has lost the reply. Any earlier one
    /// is theft.
    ///
    /// # Errors
    /// With the reason why it is not good.
    pub fn refresh<'a>(
        &self,
        token: &RefreshToken,
        origin: Origin<'a>,
        agents: &AgentPool,
        rules: &Rules,
    ) -> Result<Decision<'a, Refreshed<'a>>, Reason> {
        let generation = token.generation;
        let presented = Presented::from(token.clone());
        self.alive(&presented, rules)?;
        let record = self.store.find(&token.id).ok_or(Reason::Unknown)?;
        let session = owned(record, agents).ok_or(Reason::Unknown)?;
        let refresh = session.refresh.ok_or(Reason::Unknown)?;
        let is_within = |millis| rules.now < rules.end_of_span(refresh.rotated_at, millis);
        let is_bound = session.device.is_some() && session.device == origin.device;
        let is_unused = session.last_seen_at() <= refresh.rotated_at;
        let repeated = generation.checked_add(1) == Some(refresh.generation)
            && (is_within(rules.grace) || is_within(rules.recovery) && is_bound && is_unused);
        if generation < refresh.generation && !repeated {
            let mut draft = Draft::default();
            draft.end(Some(record), rules.tombstone(record, EndReason::Reused).ok_or(Reason::Unknown)?);
            self.tidy(&mut draft, Tidied::Dead { gone: 0 }, rules);
            return Ok(draft.decide(Refreshed::Reused));
        }
        if rules.now >= refresh.expires_at {
            return Err(Reason::TokenExpired);
        }
        if session.device.is_some_and(|bound| origin.device.is_some_and(|device| device != bound)) {
            return Err(Reason::Device);
        }
        let new_ip = origin.ip.is_some_and(|ip| session.ip != Some(ip));
        if repeated {
            let grant = Grant::to(session, refresh.rotated_at, new_ip);
            return Ok(Draft {
                effects: Vec::new(),
                events: vec![Event::about(EventKind::Refreshed, &grant.session)],
                dropped: None,
            }
            .decide(Refreshed::Granted(Box::new(grant))));
        }
        // A token of a later generation than ours was issued by a primary that failed before it was replicated.
        let generation = generation.checked_add(1).ok_or(Reason::TokenExpired)?;
        let mut session = Session {
            ip: origin.ip.or(session.ip),
            agent: origin.agent.map(Cow::Borrowed).or(session.agent),
            last_seen_replicated: rules.now,
            unreplicated_ms: 0,
            ..session
        };
        session.issue(refresh.ttl_secs, generation, rules.now);
        session.token_until = session.token_until.max(session.tokens_until(rules));
        let events = vec![Event::about(EventKind::Refreshed, &session)];
        let effects = vec![Effect::Put(session.clone())];
        let grant = Grant::to(session, rules.now, new_ip);
        Ok(Decision { effects, events, value: Refreshed::Granted(Box::new(grant)) })
    }

    /// Decides to give a session another id, as its user has signed in again or has other privileges (OWASP ASVS 7.2.4).
    /// The session goes on, as `new` says; its old id and all tokens of it are dead. What asks for it is the application by
    /// the id, or a token that was made here: a token from elsewhere gets none that is made here.
    ///
    /// # Errors
    /// With the reason if the session is not alive; `type` for a token from elsewhere.
    pub fn regenerate<'a>(
        &self,
        old: &Presented,
        new: Renewal<'a>,
        agents: &AgentPool,
        rules: &Rules,
    ) -> Result<Decision<'a, Grant<'a>>, Reason> {
        if matches!(old.issued, Issued::InSecondOf(_)) {
            return Err(Reason::Type);
        }
        self.alive(old, rules)?;
        let record = self.store.find(&old.id).ok_or(Reason::Unknown)?;
        let session = owned(record, agents).ok_or(Reason::Unknown)?;
        let new_ip = new.ip.is_some_and(|ip| session.ip != Some(ip));
        let mut session = Session {
            id: new.id,
            accepts_from: None,
            last_seen_replicated: rules.now,
            unreplicated_ms: 0,
            expires_at: new.expires_at.unwrap_or(session.expires_at),
            ip: new.ip.or(session.ip),
            agent: new.agent.map(Cow::Borrowed).or(session.agent),
            claims: new.claims.map_or(session.claims, Cow::Borrowed),
            level: new.level.unwrap_or(session.level),
            signed_in_again_at: Some(rules.now).filter(|now| *now != session.created_at),
            ..session
        };
        if let Some(refresh) = session.refresh {
            session.issue(refresh.ttl_secs, 0, rules.now);
        }
        session.token_until = session.tokens_until(rules);
        let mut draft = Draft::default();
        draft.events.push(Event { old_id: Some(old.id.clone()), ..Event::about(EventKind::Regenerated, &session) });
        draft.effects.push(Effect::Replace { old: old.id.clone(), session: session.clone() });
        draft.effects.extend(rules.tombstone(record, EndReason::Revoked).map(Effect::End));
        self.tidy(&mut draft, Tidied::Dead { gone: 0 }, rules);
        Ok(draft.decide(Grant::to(session, rules.now, new_ip)))
    }

    /// Decides to set fields of a live session, if its data has the version that is expected, should there be one.
    ///
    /// # Errors
    /// If the session is not alive, its data has another version, or it would have too many fields or too large ones.
    pub fn set<'a>(
        &self,
        id: &SessionId,
        data: Data<'a>,
        expected: Option<u64>,
        rules: &Rules,
    ) -> Result<Decision<'a, ()>, ChangeError> {
        let (known, version) = self.live_data(id, rules)?;
        if expected.is_some_and(|expected| expected != version) {
            return Err(ChangeError::Conflict(version));
        }
        Self::change(id, &known, version, data, rules)
    }

    /// Decides to add `by` to a field of a live session that is a decimal number; one that is not there counts as 0. The
    /// answer is the sum.
    ///
    /// # Errors
    /// If the session is not alive, the field is no number, the sum has more than 64 bits, or the session would have too
    /// many fields or too large ones.
    pub fn increment(
        &self,
        id: &SessionId,
        field: &[u8],
        by: i64,
        rules: &Rules,
    ) -> Result<Decision<'static, i64>, ChangeError> {
        let (known, version) = self.live_data(id, rules)?;
        let number = known.get(field).map_or(Some(0), number).ok_or(ChangeError::NoNumber)?;
        let sum = number.checked_add(by).ok_or(ChangeError::Overflow)?;
        // Replicas get the sum: it says the same whenever it is carried out.
        let data = Data::pack([(field, sum.to_string().as_bytes())]).unwrap_or_default();
        Self::change(id, &known, version, data, rules).map(|decision| decision.map(|()| sum))
    }

    fn change<'a>(
        id: &SessionId,
        known: &Data<'_>,
        version: u64,
        data: Data<'a>,
        rules: &Rules,
    ) -> Result<Decision<'a, ()>, ChangeError> {
        let merged = known.merged(&data);
        let (count, size) = (merged.len(), merged.size());
        if count > rules.data.fields {
            return Err(ChangeError::TooMany(count));
        }
        if size > rules.data.bytes {
            return Err(ChangeError::TooLarge(size));
        }
        let events = vec![Event::of(EventKind::Set, Some(id.clone()))];
        Ok(Decision {
            effects: vec![Effect::Set { id: id.clone(), version: version.saturating_add(1), data }],
            events,
            value: (),
        })
    }

    /// Decides to remove the fields of a live session that `names` names; the answer is how many there are.
    ///
    /// # Errors
    /// If the session is not alive.
    pub fn unset<'a>(
        &self,
        id: &SessionId,
        names: Data<'a>,
        rules: &Rules,
    ) -> Result<Decision<'a, usize>, ChangeError> {
        let (data, version) = self.live_data(id, rules)?;
        let known = data.names();
        let removed = names.iter().filter(|(name, _)| known.contains(name)).count();
        if removed == 0 {
            return Ok(Decision::nothing(0));
        }
        let events = vec![Event::of(EventKind::Unset, Some(id.clone()))];
        Ok(Decision {
            effects: vec![Effect::Unset { id: id.clone(), version: version.saturating_add(1), names }],
            events,
            value: removed,
        })
    }

    /// The data of a live session, and its version.
    fn live_data(&self, id: &SessionId, rules: &Rules) -> Result<(Data<'_>, u64), ChangeError> {
        let record = self.store.find(id).ok_or(ChangeError::Dead(Reason::Unknown))?;
        rules.status(record).map_err(ChangeError::Dead)?;
        match record.decode() {
            Some(Record::Session(session)) => Ok((session.data, session.version)),
            Some(Record::Tombstone(_)) | None => Err(ChangeError::Dead(Reason::Unknown)),
        }
    }

    /// Decides to revoke sessions and tokens; the answer is how many of them were good. Dead ones count nothing
    /// (RFC 7009 section 2.2). A JWT without a session here is denied for as long as it could be good.
    #[must_use]
    pub fn revoke(&self, presented: &[Presented], rules: &Rules) -> Decision<'static, usize> {
        let mut presented: Vec<_> = presented.iter().collect();
        // Of several tokens of one session, the one that is good longest.
        presented.sort_by(|one, other| one.id.cmp(&other.id).then_with(|| token_end(other).cmp(&token_end(one))));
        let (mut draft, mut revoked) = (Draft::default(), 0);
        for of_one in presented.chunk_by(|one, other| one.id == other.id) {
            let record = of_one.first().and_then(|presented| self.store.find(&presented.id));
            // Each of them is ended, also if its `iat` is ahead of the clock.
            let iat = of_one.iter().filter_map(|presented| presented.issued.iat()).max().unwrap_or_default();
            let ended = of_one.iter().find_map(|presented| self.revocation(presented, record, iat, rules));
            if let Some((tombstone, was_good)) = ended {
                revoked += usize::from(was_good);
                draft.end(record, tombstone);
            }
        }
        if !draft.effects.is_empty() {
            self.tidy(&mut draft, Tidied::Dead { gone: 0 }, rules);
        }
        draft.decide(revoked)
    }

    /// The tombstone that is left if a credential is revoked, up to this `iat` at least, and whether it was good; `None` if
    /// nothing ends by it. `record` is that of its id.
    fn revocation(
        &self,
        presented: &Presented,
        record: Option<RecordRef<'_>>,
        iat: UnixMillis,
        rules: &Rules,
    ) -> Option<(Tombstone, bool)> {
        // A token that is refused now may be good later: under another leeway, with a clock that has stepped back, or
        // without `session.not-before`. It is revoked, too.
        let lasting = Rules { leeway: REMEMBERED, ahead: u64::MAX, ..rules.lasting() };
        let token_end = token_end(presented).filter(|end| rules.now < *end);
        // A token that has expired names its session still.
        let live = record.and_then(|record| Some((record, lasting.status(record).ok()?)));
        let standing = match live {
            Some((record, alive)) => {
                rule::of_live(record, || self.store.cutoffs(), presented, &lasting).map(|()| Standing::Alive(alive))
            }
            // With a wider leeway, more is dead with a session that has died of time.
            None => self.look_up(presented, rules).or_else(|_| self.look_up(presented, &lasting)),
        };
        let died_of = record.and_then(|record| rules.died_of(record));
        let reason = match (standing, record) {
            (Ok(Standing::Alive(_)), _) => EndReason::Revoked,
            // The session that had its id may have died of time, and not be swept yet: that is told.
            (Ok(Standing::Absent), _) if token_end.is_some() => died_of.unwrap_or(EndReason::Revoked),
            // It has died of time, which a clock that steps back takes back.
            (Err(_), Some(record)) if !record.is_tombstone() && !lasting.is_live(record) => {
                died_of.unwrap_or(EndReason::Revoked)
            }
            // A tombstone or a cutoff covers it, but not as long as it could be good.
            (Err(_), _)
                if record.is_none_or(RecordRef::is_tombstone)
                    && token_end.is_some_and(|end| !self.is_covered(record, presented, end, rules)) =>
            {
                record.and_then(RecordRef::end_reason).unwrap_or(EndReason::Revoked)
            }
            // The session that is here now does not accept this JWT, but may be forgotten before it expires.
            (Err(_), Some(record))
                if matches!(presented.issued, Issued::InSecondOf(_))
                    && token_end.is_some_and(|end| {
                        record.token_until() < end && !self.is_covered(None, presented, end, rules)
                    }) =>
            {
                EndReason::Revoked
            }
            // It is not of that session.
            _ => return None,
        };
        let is_live = record.is_some_and(|record| rules.is_live(record));
        let was_good = is_live || self.look_up(presented, rules).is_ok();
        let ended = record.map_or_else(|| Cutoff::at(rules.latest, rules.leeway), |record| rules.ends(record));
        let ended = ended.with_iat(iat);
        let until = record.map(|record| rules.remembered_until(record, ended)).max(token_end);
        let until = until.unwrap_or(rules.now);
        Some((Tombstone { id: presented.id.clone(), reason, ended, until }, standing.is_ok() && was_good))
    }

    /// Whether its tombstone, or else a cutoff, ends a credential that could be good until `end`.
    fn is_covered(
        &self,
        tombstone: Option<RecordRef<'_>>,
        presented: &Presented,
        end: UnixMillis,
        rules: &Rules,
    ) -> bool {
        let issued = presented.issued;
        if let Some(tombstone) = tombstone
            && (issued == Issued::Unsaid || tombstone.ended().ends(issued))
        {
            return tombstone.token_until() >= end;
        }
        let store::Cutoffs { revoked_before, tombstones_dropped_before } = self.store.cutoffs();
        let mut user = revoked_before.into_iter().chain(tombstones_dropped_before);
        rules.lasting().revoked_before.ends(issued) || user.any(|user| end <= user.until && user.cutoff.ends(issued))
    }

    /// Decides to deny JWTs by their id alone, `jti` or `sid`, until `until`, when the last of them expires. A live session
    /// of this id ends. The answer is whether the id was not denied until then already.
    #[must_use]
    pub fn deny(&self, id: SessionId, until: UnixMillis, rules: &Rules) -> Decision<'static, bool> {
        let record = self.store.find(&id);
        let (last, until) = (until, until.saturating_add(REMEMBERED));
        let is_denied = record
            .is_some_and(|record| record.is_tombstone() && record.token_until() >= until && record.ended().iat >= last);
        if is_denied || rules.now >= until {
            return Decision::nothing(false);
        }
        // They are denied whenever they are issued.
        let ended = Cutoff::at(rules.latest, MAX_LEEWAY).with_iat(last);
        let ended = record.map_or(ended, |record| rules.ends(record).max(ended));
        let until = record.map_or(until, |record| rules.remembered_until(record, ended).max(until));
        let known = |record: RecordRef<'_>| record.end_reason().or(rules.died_of(record));
        let reason = record.and_then(known).unwrap_or(EndReason::Revoked);
        let mut draft = Draft::default();
        draft.end(record, Tombstone { id, reason, ended, until });
        self.tidy(&mut draft, Tidied::Dead { gone: 0 }, rules);
        draft.decide(true)
    }

    /// Decides to revoke all sessions but that of `except`, if it is alive, with every token issued until now. The answer
    /// is how many sessions were alive.
    #[must_use]
    pub fn revoke_all(&self, except: Option<&Presented>, rules: &Rules) -> Decision<'static, usize> {
        let except = except.filter(|except| self.alive(except, rules).is_ok()).map(|except| except.id.clone());
        let spared = |record: RecordRef<'_>| except.as_ref().is_some_and(|id| record.has_id(IdKey::of(id)));
        let (mut draft, mut revoked) = (Draft::default(), 0);
        let (mut latest, mut iat, mut until) = (rules.latest, UnixMillis::ZERO, UnixMillis::ZERO);
        for record in self.store.iter().filter(|record| !spared(*record)) {
            latest = latest.max(record.last_issued_at());
            if record.is_tombstone() {
                continue;
            }
            until = until.max(record.token_until().saturating_add(REMEMBERED));
            iat = iat.max(record.accepts_from().unwrap_or_default());
            if rules.is_live(record) {
                revoked += 1;
            } else if let (Some(reason), Some(id)) = (rules.died_of(record), record.id()) {
                // It had died of time and was not swept yet.
                draft.events.push(Event::end(record, &id, reason.into()));
            }
        }
        self.tidy(&mut draft, Tidied::Tombstones, rules);
        draft.events.push(Event { except: except.clone(), ..Event::of(EventKind::AllEnded(revoked), None) });
        draft.effects.push(Effect::Clear { except });
        // What a session did not accept stays dead without it.
        let cutoff = Cutoff::at(latest, rules.leeway).with_iat(iat);
        let until = until.max(rules.end_of_others(cutoff.iat));
        let known = self.store.cutoffs().revoked_before;
        draft.effects.push(Effect::RevokedBefore(Some(both(known, UserCutoff { cutoff, until }))));
        draft.decide(revoked)
    }

    /// Bounds how many dead records there are. Those that no token can ask for any more go. So do the oldest of the others,
    /// if those that the draft ends make them too many; a cutoff covers them from then on. At most [`ONE_BY_ONE`] go: the
    /// next command goes on.
    fn tidy(&self, draft: &mut Draft<'_>, tidied: Tidied, rules: &Rules) {
        let ends = draft.effects.iter().filter(|effect| matches!(effect, Effect::End(_))).count();
        let excess = ends.saturating_sub(rules.tombstones);
        let mut forgotten = Vec::new();
        for effect in draft.effects.iter_mut().filter(|effect| matches!(effect, Effect::End(_))).take(excess) {
            if let Effect::End(tombstone) = effect {
                forgotten.push((tombstone.ended, tombstone.until));
                *effect = Effect::Forget(tombstone.id.clone());
            }
        }
        forgotten.into_iter().for_each(|(ended, until)| draft.forget(ended, until, rules));
        // A record that the draft ends once more is remembered for longer: its new tombstone stays.
        let mut decided: Vec<_> = draft
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::End(Tombstone { id, .. }) | Effect::Forget(id) => Some(IdKey::of(id).as_parts()),
                _ => None,
            })
            .collect();
        decided.sort_unstable();
        let is_open = |record: &RecordRef<'_>| decided.binary_search(&record.id_key().as_parts()).is_err();
        let mut gone = if let Tidied::Dead { gone } = tidied { gone } else { 0 };
        let dead = self.store.iter().filter(|record| {
            let is_session = !record.is_tombstone();
            if is_session && gone > 0 {
                gone -= 1;
                return false;
            }
            let may_go = if tidied == Tidied::Tombstones { !is_session } else { !rules.is_live(*record) };
            may_go && is_open(record)
        });
        let (spent, kept): (Vec<_>, Vec<_>) = dead.partition(|record| rules.is_spent(*record));
        let excess = (kept.len() + ends - excess).saturating_sub(rules.tombstones).min(kept.len());
        let early = kept.into_iter().take(excess);
        let mut effects = Vec::new();
        let going = spent.into_iter().map(|record| (record, false)).chain(early.map(|record| (record, true)));
        let mut forgotten = Vec::new();
        for (record, is_early) in going.take(ONE_BY_ONE) {
            if is_early {
                let (_, ended) = rules.end_of(record).unwrap_or((Reason::Unknown, rules.ends(record)));
                forgotten.push((ended, rules.remembered_until(record, ended)));
            }
            let Some(id) = record.id() else { continue };
            draft.events.extend(rules.died_of(record).map(|reason| Event::end(record, &id, reason.into())));
            effects.push(Effect::Forget(id));
        }
        forgotten.into_iter().for_each(|(ended, until)| draft.forget(ended, until, rules));
        effects.extend(self.spent_cutoffs(rules));
        if let Some(dropped) = draft.dropped.filter(|dropped| rules.now < dropped.until) {
            let known = self.store.cutoffs().tombstones_dropped_before;
            effects.push(Effect::TombstonesDroppedBefore(Some(both(known, dropped))));
        }
        draft.effects.extend(effects);
    }

    /// What a sweep would find among about `most` records from the front on.
    #[must_use]
    pub fn dead(&self, most: usize, rules: &Rules) -> Dead {
        let (records, next) = self.store.part(0, most);
        let mut dead = Dead { is_due: next.is_some() || self.spent_cutoffs(rules).next().is_some(), ..Dead::default() };
        for record in records {
            let died_of = match rules.fate(record) {
                Fate::Stays => continue,
                Fate::Goes(died_of) => died_of,
                Fate::Leaves(reason) => Some(reason),
            };
            dead.is_due = true;
            if died_of.is_some() {
                dead.sessions += 1;
                dead.since = dead.since.min(record.died_at());
            }
        }
        dead
    }

    /// Decides what a sweep does with dead records. Those that no token can ask for any more go, and sessions that have died
    /// of time leave a tombstone. It looks at about `most` records from `from` on, which is 0 at first; the answer is where
    /// to go on, or `None` if that was all.
    #[must_use]
    pub fn purge(&self, from: u64, most: usize, rules: &Rules) -> Decision<'static, Option<u64>> {
        let (records, next) = self.store.part(from, most);
        let mut draft = Draft::default();
        for record in records {
            match rules.fate(record) {
                Fate::Stays => {}
                Fate::Goes(died_of) => {
                    let Some(id) = record.id() else { continue };
                    draft.events.extend(died_of.map(|reason| Event::end(record, &id, reason.into())));
                    draft.effects.push(Effect::Forget(id));
                }
                Fate::Leaves(reason) => {
                    if let Some(tombstone) = rules.tombstone(record, reason) {
                        draft.end(Some(record), tombstone);
                    }
                }
            }
        }
        if next.is_none() {
            draft.effects.extend(self.spent_cutoffs(rules));
        }
        draft.decide(next)
    }

    /// The cutoffs that no token asks for any more.
    fn spent_cutoffs(&self, rules: &Rules) -> impl Iterator<Item = Effect<'static>> {
        let store::Cutoffs { revoked_before, tombstones_dropped_before } = self.store.cutoffs();
        let is_spent = |cutoff: Option<UserCutoff>| cutoff.is_some_and(|cutoff| rules.now >= cutoff.until);
        let revoked = is_spent(revoked_before).then_some(Effect::RevokedBefore(None));
        let dropped = is_spent(tombstones_dropped_before).then_some(Effect::TombstonesDroppedBefore(None));
        revoked.into_iter().chain(dropped)
    }
}

impl<'a> NewSession<'a> {
    /// The session as it begins, under an id made here.
    pub(super) fn begin(self, rules: &Rules) -> Session<'a, Cow<'a, str>> {
        let now = rules.now;
        // A login right after SESSION.REVOKEALL is good, even in the same millisecond.
        let everyone = rules.revoked_before.began;
        let created_at = if everyone <= rules.latest { now.max(everyone.saturating_add(1)) } else { now };
        let mut session = Session {
            id: self.id,
            created_at,
            expires_at: self.expires_at,
            last_seen_replicated: now,
            unreplicated_ms: 0,
            token_until: self.expires_at,
            idle_secs: self.idle_secs,
            ip: self.ip,
            agent: self.agent.map(Cow::Borrowed),
            accepts_from: None,
            refresh: None,
            device: self.device,
            tokens: self.tokens,
            token_ttl: self.token_ttl,
            claims: Cow::Borrowed(self.claims),
            version: u64::from(!self.data.is_empty()),
            data: self.data,
            level: self.level,
            signed_in_again_at: None,
        };
        if let Some(secs) = self.refresh_secs {
            session.issue(secs, 0, now);
        }
        // Tokens for an id from outside may be made elsewhere. They live no longer than the session.
        if self.source == IdSource::Random {
            session.token_until = session.tokens_until(rules);
        }
        session
    }
}

impl<A> Session<'_, A> {
    /// Gives it a refresh token of this generation.
    pub(super) fn issue(&mut self, ttl_secs: u32, generation: u32, now: UnixMillis) {
        let expires_at = now.saturating_add(u64::from(ttl_secs) * 1000).min(self.expires_at);
        self.refresh = Some(Refresh { generation, rotated_at: now, expires_at, ttl_secs });
    }

    /// When the last of the tokens expires that are issued for it now.
    pub(super) fn tokens_until(&self, rules: &Rules) -> UnixMillis {
        let access = self.token_expires_at(rules.now, rules.token_secs).unwrap_or(self.expires_at);
        let refresh = self.refresh.map_or(UnixMillis::ZERO, |refresh| refresh.expires_at);
        access.max(refresh)
    }
}

/// When a JWT could not be good any more under any leeway.
fn token_end(presented: &Presented) -> Option<UnixMillis> {
    presented.own_expiry().map(|time| time.saturating_add(REMEMBERED))
}

/// The later of two cutoffs, in each of its times.
fn both(known: Option<UserCutoff>, other: UserCutoff) -> UserCutoff {
    known.map_or(other, |known| UserCutoff {
        cutoff: known.cutoff.max(other.cutoff),
        until: known.until.max(other.until),
    })
}

/// A session apart from the value that holds it.
fn owned(record: RecordRef<'_>, agents: &AgentPool) -> Option<Session<'static, Cow<'static, str>>> {
    let Record::Session(session) = record.decode()? else { return None };
    let agent = session.agent.and_then(|agent| agents.get(agent)).map(|text| Cow::Owned(text.to_owned()));
    Some(session.into_owned().with_agent(agent))
}

/// The number that a field holds, in its one spelling.
fn number(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}
