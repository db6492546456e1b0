//! Every session and tombstone of a user, in order, and the two cutoffs. It sees commands, never effects.

use std::cmp::Reverse;
use std::net::IpAddr;

use redis_session_core::sessions::{
    CreateError, Cutoff, Data, Device, Effect, EndReason, IdSource, MAX_LEEWAY, NewSession, Origin, Presented,
    REMEMBERED, Refresh, Renewal, Rules, Session, TokenFormat, Tombstone, UserCutoff, decode_effects,
};
use redis_session_core::token::{Issued, TokenKind};
use redis_session_core::{Reason, SessionId, UnixMillis};

use super::list::{CLOSED, List};

/// A session that is or was, or a JWT from elsewhere that was denied here.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: SessionId,
    pub(crate) created: UnixMillis,
    pub(crate) expires: UnixMillis,
    idle_secs: u32,
    pub(crate) seen: UnixMillis,
    pub(crate) token_until: UnixMillis,
    tokens: TokenFormat,
    token_ttl: Option<u32>,
    pub(crate) refresh: Option<Refresh>,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) agent: Option<String>,
    pub(crate) device: Option<Device>,
    pub(crate) data: Vec<Field>,
    /// How often they have changed.
    pub(crate) version: u64,
    /// How strongly its user signed in, and when.
    pub(crate) level: u8,
    pub(crate) signed_in_again: Option<UnixMillis>,
    pub(crate) claims: String,
    /// The earliest `iat` that it accepts, if applications chose its id.
    pub(crate) accepts_from: Option<UnixMillis>,
    /// What is left of it, once it has ended.
    pub(crate) tombstone: Option<Tombstone>,
}

/// What a refresh token must be worth.
#[derive(Debug)]
pub(crate) enum Worth {
    /// What the last rotation gave.
    Repeated,
    /// New tokens.
    New,
    /// Nothing.
    Refused(Reason),
    /// The end of the session.
    Reused,
}

/// The first second after this moment.
fn next_second(time: UnixMillis) -> UnixMillis {
    UnixMillis::from_secs(time.as_secs() + 1).unwrap_or(UnixMillis::MAX)
}

/// Whether everything that began at `time` is dead.
fn ends_what_began(cutoff: Cutoff, time: UnixMillis) -> bool {
    cutoff.began > UnixMillis::ZERO && time <= cutoff.began
}

/// Whether a cutoff ends a credential.
fn ends(cutoff: Cutoff, issued: Issued) -> bool {
    match issued {
        Issued::Unsaid => false,
        Issued::ForSessionOf(began) => ends_what_began(cutoff, began),
        Issued::InSecondOf(iat) => cutoff.iat > UnixMillis::ZERO && iat.as_secs() <= cutoff.iat.as_secs(),
    }
}

/// What ends all that either of two cutoffs ends.
fn both(one: Cutoff, other: Cutoff) -> Cutoff {
    Cutoff { began: one.began.max(other.began), iat: one.iat.max(other.iat) }
}

fn later(one: Option<UserCutoff>, other: UserCutoff) -> UserCutoff {
    let Some(one) = one else { return other };
    UserCutoff { cutoff: both(one.cutoff, other.cutoff), until: one.until.max(other.until) }
}

/// What is dead with something that ends at this time: an `iat` may be ahead by the leeway.
fn up_to(time: UnixMillis, leeway: u64) -> Cutoff {
    Cutoff { began: time, iat: time.saturating_add(leeway) }
}

/// Whether a JWT made elsewhere was issued at a time to come.
fn is_ahead(presented: &Presented, now: UnixMillis, rules: &Rules) -> bool {
    let Issued::InSecondOf(iat) = presented.issued else { return false };
    u128::from(iat.get()) > u128::from(now.get()) + u128::from(rules.ahead)
}

/// When a JWT must end by itself: with its `exp`, and no later than the horizon after it was issued. A session that is
/// here knows better when a token made for it ends.
fn jwt_end(jwt: &Presented, is_here: bool, rules: &Rules) -> Option<UnixMillis> {
    let expires = match (jwt.kind, jwt.expires_at) {
        (Some(TokenKind::Jwt), Some(expires)) => expires,
        _ => return None,
    };
    let issued = match jwt.issued {
        Issued::Unsaid => return None,
        Issued::ForSessionOf(_) if is_here => return None,
        Issued::InSecondOf(UnixMillis::ZERO) => return Some(expires),
        Issued::InSecondOf(issued) | Issued::ForSessionOf(issued) => issued,
    };
    Some(expires.min(issued.saturating_add(rules.horizon)))
}

/// The rules without what can be taken back: `session.not-before`, and what of SESSION.REVOKEALL lies ahead. What a wider
/// leeway let in before a restart stays out.
pub(crate) fn lasting(rules: &Rules) -> Rules {
    let Cutoff { began, iat } = rules.revoked_before;
    let leeway = rules.leeway.max(iat.get().saturating_sub(began.get()));
    let revoked_before = Cutoff { began: began.min(rules.latest), iat: iat.min(rules.latest.saturating_add(leeway)) };
    Rules { not_before: Cutoff::default(), revoked_before, ..*rules }
}

impl Known {
    fn blank(id: SessionId) -> Self {
        Self {
            id,
            created: UnixMillis::ZERO,
            expires: UnixMillis::ZERO,
            idle_secs: 0,
            seen: UnixMillis::ZERO,
            token_until: UnixMillis::ZERO,
            tokens: TokenFormat::None,
            token_ttl: None,
            refresh: None,
            ip: None,
            agent: None,
            device: None,
            data: Vec::new(),
            version: 0,
            level: 0,
            signed_in_again: None,
            claims: String::new(),
            accepts_from: None,
            tombstone: None,
        }
    }

    fn dead(tombstone: Tombstone) -> Self {
        Self { tombstone: Some(tombstone.clone()), ..Self::blank(tombstone.id) }
    }

    fn stored<A: AsRef<str>>(session: &Session<'_, A>) -> Self {
        Self {
            created: session.created_at,
            expires: session.expires_at,
            idle_secs: session.idle_secs,
            seen: session.last_seen_at(),
            token_until: session.token_until,
            tokens: session.tokens,
            token_ttl: session.token_ttl,
            refresh: session.refresh,
            ip: session.ip,
            agent: session.agent.as_ref().map(|agent| agent.as_ref().to_owned()),
            device: session.device,
            data: fields(&session.data),
            version: session.version,
            level: session.level,
            signed_in_again: Some(session.auth_time()),
            claims: session.claims.clone().into_owned(),
            accepts_from: session.accepts_from,
            ..Self::blank(session.id.clone())
        }
    }

    /// New tokens: good for as long as they say, and never longer than the session.
    fn issue(&mut self, generation: u32, rules: &Rules) {
        let now = rules.now;
        self.seen = now;
        let within = |secs: u64| now.saturating_add(secs.saturating_mul(1000)).min(self.expires);
        let access = match self.tokens {
            TokenFormat::Jwt => {
                let expires = within(self.token_ttl.map_or(rules.token_secs, u64::from));
                UnixMillis::from_secs(expires.as_secs()).expect("an earlier time")
            }
            TokenFormat::Opaque | TokenFormat::None => self.expires,
        };
        self.token_until = self.token_until.max(access);
        if let Some(refresh) = &mut self.refresh {
            let expires_at = within(u64::from(refresh.ttl_secs));
            *refresh = Refresh { generation, rotated_at: now, expires_at, ttl_secs: refresh.ttl_secs };
            self.token_until = self.token_until.max(expires_at);
        }
    }

    /// When it dies of not being used.
    fn idle(&self) -> UnixMillis {
        match self.idle_secs {
            0 => UnixMillis::MAX,
            secs => self.seen.saturating_add(u64::from(secs) * 1000),
        }
    }

    /// See [`User::moments`](super::User::moments).
    pub(crate) fn moments(&self, grace: u64) -> Vec<UnixMillis> {
        if let Some(tombstone) = &self.tombstone {
            return vec![tombstone.until];
        }
        let mut moments = vec![self.expires, self.idle(), self.token_until];
        moments.extend(self.refresh.map(|refresh| refresh.expires_at));
        moments.extend(self.refresh.map(|refresh| refresh.rotated_at.saturating_add(grace)));
        moments
    }

    /// When it dies, or why it is dead.
    pub(crate) fn status(&self, rules: &Rules) -> Result<UnixMillis, Reason> {
        if let Some(tombstone) = &self.tombstone {
            return Err(tombstone.reason.into());
        }
        if [rules.not_before, rules.revoked_before].into_iter().any(|cutoff| ends_what_began(cutoff, self.created)) {
            return Err(Reason::UserRevoked);
        }
        if rules.now >= self.expires {
            return Err(Reason::Expired);
        }
        if self.idle_secs > 0 && rules.now >= self.idle() {
            return Err(Reason::Idle);
        }
        Ok(self.idle().min(self.expires))
    }

    pub(crate) fn is_live(&self, rules: &Rules) -> bool {
        self.status(rules).is_ok()
    }

    /// Of which deadline it has died, if nothing has noticed yet.
    pub(crate) fn died_of(&self, rules: &Rules) -> Option<EndReason> {
        match self.status(rules) {
            Err(Reason::Expired) if self.tombstone.is_none() => Some(EndReason::Expired),
            Err(Reason::Idle) if self.tombstone.is_none() => Some(EndReason::Idle),
            _ => None,
        }
    }

    /// Why it is dead, and up to where its credentials are dead with it. What an issuer issues for its id later is none
    /// of it.
    pub(crate) fn death(&self, rules: &Rules) -> Option<(Reason, Cutoff)> {
        let reason = self.status(rules).err()?;
        let ended = match (&self.tombstone, reason) {
            (Some(tombstone), _) => tombstone.ended,
            (None, Reason::UserRevoked) => both(rules.not_before, rules.revoked_before),
            (None, _) => up_to(self.expires.min(self.idle()).max(self.last_issued()), rules.leeway),
        };
        Some((reason, self.with_what_it_refuses(ended)))
    }

    /// Up to where its credentials are dead, if somebody ends it now: all that there are, whatever a clock says, and no
    /// less than before.
    fn ended_now(&self, rules: &Rules) -> Cutoff {
        let now = up_to(rules.latest.max(self.last_issued()), rules.leeway);
        let before = self.tombstone.as_ref().map(|tombstone| tombstone.ended).unwrap_or_default();
        self.with_what_it_refuses(both(now, before))
    }

    /// A JWT that is too old for a session stays so when the session has ended.
    fn with_what_it_refuses(&self, ended: Cutoff) -> Cutoff {
        Cutoff { iat: ended.iat.max(self.accepts_from.unwrap_or_default()), ..ended }
    }

    /// Whether it may go at once: SESSION.REVOKEALL speaks for it and for all JWTs that are too old for it, or its tokens
    /// have expired. What only `session.not-before`, or a time ahead, has ended may come back.
    pub(crate) fn is_spent(&self, rules: &Rules) -> bool {
        if let Some(tombstone) = &self.tombstone {
            return rules.now >= tombstone.until;
        }
        let lasting = lasting(rules);
        let is_covered = ends_what_began(lasting.revoked_before, self.created)
            && self.accepts_from.is_none_or(|from| from <= lasting.revoked_before.iat);
        let has_expired = rules.now >= self.token_until.saturating_add(rules.leeway);
        is_covered || !self.is_live(&lasting) && has_expired
    }

    /// The last moment at which one of its tokens is known to have been issued.
    pub(crate) fn last_issued(&self) -> UnixMillis {
        match (&self.tombstone, self.refresh) {
            (Some(tombstone), _) => tombstone.ended.began,
            (None, Some(refresh)) => self.created.max(refresh.rotated_at),
            (None, None) => self.created,
        }
    }

    /// Until when the end of all these must be remembered: whatever leeway comes, nothing of it may be good later.
    fn remembered_until(&self, ended: Cutoff, rules: &Rules) -> UnixMillis {
        if let Some(tombstone) = &self.tombstone {
            return tombstone.until;
        }
        let mut last = self.token_until;
        if self.accepts_from.is_some() {
            last = last.max(ended.iat.saturating_add(rules.horizon));
        }
        last.saturating_add(REMEMBERED)
    }

    /// What its refresh token of this generation is worth, if it is alive.
    pub(crate) fn worth(&self, generation: u32, origin: Origin<'_>, rules: &Rules) -> Worth {
        let Some(refresh) = self.refresh else { return Worth::Refused(Reason::Unknown) };
        let is_last = generation.checked_add(1) == Some(refresh.generation);
        let down = match refresh.rotated_at <= rules.outage.from {
            true => rules.outage.until.saturating_since(rules.outage.from),
            false => 0,
        };
        let up = rules.now.get().saturating_sub(refresh.rotated_at.get());
        let is_lost = self.device.is_some() && origin.device == self.device && self.seen <= refresh.rotated_at;
        let is_repeated = is_last && (up < down + rules.grace || (is_lost && up < down + rules.recovery));
        let is_elsewhere = matches!((self.device, origin.device), (Some(bound), Some(device)) if bound != device);
        if generation < refresh.generation && !is_repeated {
            Worth::Reused
        } else if rules.now >= refresh.expires_at {
            Worth::Refused(Reason::TokenExpired)
        } else if is_elsewhere {
            Worth::Refused(Reason::Device)
        } else if is_repeated {
            Worth::Repeated
        } else if generation == u32::MAX {
            Worth::Refused(Reason::TokenExpired)
        } else {
            Worth::New
        }
    }

    pub(crate) fn rotate(&mut self, generation: u32, origin: Origin<'_>, rules: &Rules) {
        self.issue(generation + 1, rules);
        self.ip = origin.ip.or(self.ip);
        self.agent = origin.agent.map(str::to_owned).or(self.agent.take());
    }

    pub(crate) fn set(&mut self, data: &Data<'_>) {
        self.data = merged(&self.data, data);
        self.version += 1;
    }
}

/// A name and a value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// Fields with those of `data` set, as a list.
pub(crate) fn merged(fields: &[Field], data: &Data<'_>) -> Vec<Field> {
    let mut fields = fields.to_vec();
    for (name, value) in self::fields(data) {
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    fields
}

/// Fields, as a list.
pub(crate) fn fields(data: &Data<'_>) -> Vec<Field> {
    data.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// What a command ends: the ids, in order, each with its reason.
pub(crate) type Ends = Vec<(SessionId, EndReason)>;

#[derive(Clone, Default)]
pub(crate) struct History {
    pub(crate) known: Vec<Known>,
    revoked: Option<UserCutoff>,
    dropped: Option<UserCutoff>,
}

impl History {
    /// What a value says that is there already.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut history = Self::default();
        for effect in decode_effects(bytes).expect("effects") {
            match effect {
                Effect::Put(session) => history.known.push(Known::stored(&session)),
                Effect::End(tombstone) => history.known.push(Known::dead(tombstone)),
                Effect::RevokedBefore(cutoff) => history.revoked = cutoff,
                Effect::TombstonesDroppedBefore(cutoff) => history.dropped = cutoff,
                other => panic!("not of a value: {other:?}"),
            }
        }
        history
    }

    /// Whether a list has these records and cutoffs.
    pub(crate) fn is(&self, list: &List) -> bool {
        let known = self.known.iter().map(|known| (&known.id, &known.tombstone));
        known.eq(list.records.iter().map(|record| (&record.id, &record.tombstone)))
            && (self.revoked, self.dropped) == (list.revoked_before, list.tombstones_dropped_before)
    }

    /// The session or tombstone that is kept under this id.
    pub(crate) fn find(&self, id: &SessionId) -> Option<&Known> {
        self.known.iter().find(|known| known.id == *id)
    }

    pub(crate) fn find_mut(&mut self, id: &SessionId) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.id == *id)
    }

    pub(crate) fn live(&self, rules: &Rules) -> impl Iterator<Item = &Known> {
        self.known.iter().filter(move |known| known.is_live(rules))
    }

    /// The deadline of the session that a credential is of; `None` if it is good without one.
    pub(crate) fn look_up(&self, presented: &Presented, rules: &Rules) -> Result<Option<UnixMillis>, Reason> {
        self.look_up_in(self.find(&presented.id), presented, rules)
    }

    fn look_up_in(
        &self,
        known: Option<&Known>,
        presented: &Presented,
        rules: &Rules,
    ) -> Result<Option<UnixMillis>, Reason> {
        let end = jwt_end(presented, known.is_some(), rules);
        if end.is_some_and(|end| rules.latest >= end.saturating_add(REMEMBERED)) {
            return Err(Reason::TokenExpired);
        }
        if let Some(known) = known {
            match known.death(rules) {
                None if is_ahead(presented, rules.latest, rules) => return Err(Reason::NotYetValid),
                None => return self.look_up_live(known, presented, rules).map(Some),
                Some((reason, ended)) if presented.issued == Issued::Unsaid || ends(ended, presented.issued) => {
                    return Err(reason);
                }
                // It was issued later, so it is as if nothing was here.
                Some(_) => {}
            }
        }
        if self.is_user_revoked(presented, rules) {
            return Err(Reason::UserRevoked);
        }
        if self.dropped.is_some_and(|dropped| ends(dropped.cutoff, presented.issued)) {
            return Err(Reason::Unknown);
        }
        if is_ahead(presented, rules.now, rules) {
            return Err(Reason::NotYetValid);
        }
        let expires = presented.expires_at.filter(|expires| rules.now >= *expires);
        match presented.kind {
            Some(TokenKind::Jwt) => match end {
                Some(end) if rules.now < end.saturating_add(rules.leeway) => Ok(None),
                _ => Err(Reason::TokenExpired),
            },
            Some(_) if expires.is_some() => Err(Reason::Expired),
            _ => Err(Reason::Unknown),
        }
    }

    /// Whether somebody has ended everything until then, of this user or of all.
    fn is_user_revoked(&self, presented: &Presented, rules: &Rules) -> bool {
        let revoked = self.revoked.map(|revoked| revoked.cutoff).unwrap_or_default();
        [rules.not_before, rules.revoked_before, revoked].into_iter().any(|cutoff| ends(cutoff, presented.issued))
    }

    /// The deadline of a live session, if a credential is of it.
    fn look_up_live(&self, known: &Known, presented: &Presented, rules: &Rules) -> Result<UnixMillis, Reason> {
        let deadline = known.status(rules)?;
        let is_of_it = match (presented.issued, known.accepts_from) {
            (Issued::Unsaid, _) | (Issued::InSecondOf(_), None) => true,
            (Issued::ForSessionOf(began), _) => began == known.created,
            (Issued::InSecondOf(iat), Some(from)) => {
                let servers = [rules.not_before, rules.revoked_before];
                iat >= from && !servers.into_iter().any(|cutoff| ends(cutoff, presented.issued))
            }
        };
        match is_of_it {
            true => Ok(deadline),
            false if self.is_user_revoked(presented, rules) => Err(Reason::UserRevoked),
            false => Err(Reason::Unknown),
        }
    }

    /// The session that a login is to begin.
    pub(crate) fn begin(&self, new: &NewSession<'_>, rules: &Rules) -> Result<Known, CreateError> {
        let earlier = self.find(&new.id);
        if earlier.is_some_and(|earlier| earlier.is_live(rules)) {
            return Err(CreateError::Exists);
        }
        let remembered = earlier.filter(|earlier| !earlier.is_spent(rules));
        let first = |ttl_secs| Refresh { generation: 0, rotated_at: rules.now, expires_at: rules.now, ttl_secs };
        let mut known = Known {
            created: rules.now,
            expires: new.expires_at,
            idle_secs: new.idle_secs,
            tokens: new.tokens,
            token_ttl: new.token_ttl,
            refresh: new.refresh_secs.map(first),
            ip: new.ip,
            agent: new.agent.map(str::to_owned),
            device: new.device,
            data: fields(&new.data),
            version: u64::from(!new.data.is_empty()),
            level: new.level,
            claims: new.claims.to_owned(),
            ..Known::blank(new.id.clone())
        };
        let token = match new.source {
            IdSource::Token(issued) => {
                let expires_at = Some(new.expires_at);
                let token =
                    Presented { kind: Some(TokenKind::Jwt), issued, expires_at, ..Presented::id(new.id.clone()) };
                let end = jwt_end(&token, false, rules).filter(|end| rules.now < *end);
                known.expires = end.ok_or(CreateError::Refused(Reason::TokenExpired))?;
                Some(token)
            }
            IdSource::Random | IdSource::Caller => None,
        };
        known.issue(0, rules);
        // SESSION.REVOKEALL ends what began in its millisecond. This login comes later.
        if rules.revoked_before.began <= rules.latest {
            known.created = known.created.max(rules.revoked_before.began.saturating_add(1));
        }
        if new.source == IdSource::Random {
            return Ok(known);
        }
        // Others may make tokens for this id, which are good as long as the session.
        known.token_until = known.expires;
        let users = self.revoked.into_iter().chain(self.dropped).map(|user| user.cutoff);
        let mut accepts_from = UnixMillis::ZERO;
        for cutoff in users.clone().chain([rules.not_before, rules.revoked_before]) {
            if cutoff.iat > UnixMillis::ZERO {
                accepts_from = accepts_from.max(next_second(cutoff.iat));
            }
        }
        // With a clock that has stepped back, another session may have begun in the latest millisecond.
        let latest = if rules.now < rules.latest { rules.latest.saturating_add(1) } else { rules.latest };
        known.created = known.created.max(latest);
        let began = users.map(|cutoff| cutoff.began).max().unwrap_or_default();
        if began < UnixMillis::MAX {
            known.created = known.created.max(began.saturating_add(1));
        }
        if let Some(earlier) = earlier {
            known.created = known.created.max(earlier.last_issued().saturating_add(1));
        }
        if let Some(remembered) = remembered {
            // Only its `iat` tells a JWT made elsewhere from one of the earlier session, which is not to be forgotten.
            let (_, ended) = remembered.death(rules).expect("no live session has the id");
            accepts_from = accepts_from.max(next_second(ended.iat));
            known.token_until = known.token_until.max(remembered.remembered_until(ended, rules));
        }
        // With a clock that has stepped back, it may end before it begins. No later one may begin in the same millisecond.
        known.token_until = known.token_until.max(known.created.saturating_add(1));
        if let Some(token) = token {
            self.look_up_in(remembered, &token, rules).map_err(CreateError::Refused)?;
            match token.issued {
                // Its session is gone, and none begins twice.
                Issued::ForSessionOf(_) => return Err(CreateError::Refused(Reason::Unknown)),
                Issued::InSecondOf(iat) if iat < accepts_from => return Err(CreateError::Refused(Reason::Unknown)),
                Issued::InSecondOf(_) | Issued::Unsaid => {}
            }
        }
        known.accepts_from = Some(accepts_from);
        Ok(known)
    }

    pub(crate) fn forget(&mut self, id: &SessionId) {
        self.known.retain(|known| known.id != *id);
    }

    /// Leaves a tombstone of what is here under its id, at the end.
    fn bury(&mut self, tombstone: Tombstone) {
        self.forget(&tombstone.id);
        self.known.push(Known::dead(tombstone));
    }

    /// Ends a session.
    pub(crate) fn end(&mut self, id: &SessionId, reason: EndReason, rules: &Rules) {
        let known = self.find(id).expect("a session");
        let (ended, until) = match (reason, known.death(rules)) {
            // Nobody has ended it: time has, at its deadline.
            (EndReason::Expired | EndReason::Idle, Some((_, ended))) => {
                (ended, known.token_until.saturating_add(rules.leeway))
            }
            _ => {
                let ended = known.ended_now(rules);
                (ended, known.remembered_until(ended, rules))
            }
        };
        self.bury(Tombstone { id: id.clone(), reason, ended, until });
    }

    /// Gives a session another id. It stays where it is, and its old id ends.
    pub(crate) fn regenerate(&mut self, old: &SessionId, new: &Renewal<'_>, rules: &Rules) {
        let known = self.find_mut(old).expect("a session");
        let before = known.clone();
        (known.id, known.accepts_from, known.token_until) = (new.id.clone(), None, UnixMillis::ZERO);
        known.expires = new.expires_at.unwrap_or(known.expires);
        known.ip = new.ip.or(known.ip);
        known.agent = new.agent.map(str::to_owned).or(known.agent.take());
        known.claims = new.claims.map_or_else(|| known.claims.clone(), str::to_owned);
        known.level = new.level.unwrap_or(known.level);
        known.signed_in_again = Some(rules.now);
        known.issue(0, rules);
        self.known.push(before);
        self.end(old, EndReason::Revoked, rules);
    }

    /// Ends what is presented; also says how much of it was good.
    pub(crate) fn revoke(&mut self, presented: &[Presented], rules: &Rules) -> (usize, Ends) {
        let end = |presented: &Presented| match presented.kind {
            Some(TokenKind::Jwt) => presented.expires_at.map(|expires| expires.saturating_add(REMEMBERED)),
            _ => None,
        };
        let all = presented;
        // Of several tokens of one session, the one that is good longest counts.
        let mut presented: Vec<_> = presented.iter().collect();
        presented.sort_by_key(|presented| (&presented.id, Reverse(end(presented))));
        let (mut revoked, mut ended) = (0, Ends::new());
        // What another setting or clock could make good.
        let lasting = Rules { leeway: REMEMBERED, ahead: u64::MAX, ..lasting(rules) };
        for presented in presented {
            let id = &presented.id;
            if ended.iter().any(|(known, _)| known == id) {
                continue;
            }
            let token_end = end(presented).filter(|end| rules.now < *end);
            let known = self.find(id);
            let is_live = known.is_some_and(|known| known.is_live(rules));
            let is_good = self.look_up(presented, rules).is_ok();
            let died_of = known.and_then(|known| known.died_of(rules));
            let (reason, is_end) = match known {
                // It names its session also when it has expired.
                Some(known) if known.is_live(&lasting) => match self.look_up_live(known, presented, &lasting) {
                    Ok(_) => (EndReason::Revoked, is_live || is_good),
                    // It is of an earlier one, which is remembered, or the present one ends with it.
                    Err(_) => {
                        let foreign = matches!(presented.issued, Issued::InSecondOf(_));
                        let covered = |end| known.token_until >= end || self.is_remembered(presented, end, rules);
                        if !foreign || token_end.is_none_or(covered) {
                            continue;
                        }
                        (EndReason::Revoked, false)
                    }
                },
                _ if is_good || self.look_up(presented, &lasting).is_ok() => {
                    (died_of.unwrap_or(EndReason::Revoked), is_good)
                }
                _ => {
                    if token_end.is_none_or(|end| self.is_remembered(presented, end, rules))
                        && known.is_none_or(|known| known.tombstone.is_some())
                    {
                        continue;
                    }
                    let reason = known.and_then(|known| known.tombstone.as_ref()).map(|tombstone| tombstone.reason);
                    (reason.or(died_of).unwrap_or(EndReason::Revoked), false)
                }
            };
            revoked += usize::from(is_end);
            let mut cutoff = known.map_or(up_to(rules.latest, rules.leeway), |known| known.ended_now(rules));
            for other in all.iter().filter(|other| other.id == *id) {
                if let Issued::InSecondOf(iat) = other.issued {
                    cutoff.iat = cutoff.iat.max(iat);
                }
            }
            let until = known.map(|known| known.remembered_until(cutoff, rules)).max(token_end).expect("a time");
            self.bury(Tombstone { id: id.clone(), reason, ended: cutoff, until });
            ended.push((id.clone(), reason));
        }
        (revoked, ended)
    }

    /// Whether something that lasts until `end` ends this JWT. `session.not-before` does not last.
    fn is_remembered(&self, presented: &Presented, end: UnixMillis, rules: &Rules) -> bool {
        let tombstone = self.find(&presented.id).and_then(|known| known.tombstone.as_ref());
        if let Some(Tombstone { ended, until, .. }) = tombstone
            && (presented.issued == Issued::Unsaid || ends(*ended, presented.issued))
        {
            return *until >= end;
        }
        let users = self.revoked.into_iter().chain(self.dropped).filter(|user| user.until >= end);
        let mut cutoffs = users.map(|user| user.cutoff).chain([lasting(rules).revoked_before]);
        cutoffs.any(|cutoff| ends(cutoff, presented.issued))
    }

    /// Denies all JWTs of this id that expire by `until`, whenever they are issued, and says what that ends.
    pub(crate) fn deny(&mut self, id: &SessionId, until: UnixMillis, rules: &Rules) -> Ends {
        let (last, until) = (until, until.saturating_add(REMEMBERED));
        let known = self.find(id);
        let tombstone = known.and_then(|known| known.tombstone.as_ref());
        let is_denied = |tombstone: &Tombstone| tombstone.until >= until && tombstone.ended.iat >= last;
        if rules.now >= until || tombstone.is_some_and(is_denied) {
            return Ends::new();
        }
        let reason = known.and_then(|known| known.died_of(rules));
        let reason = tombstone.map(|tombstone| tombstone.reason).or(reason).unwrap_or(EndReason::Revoked);
        let mut ended = up_to(rules.latest, MAX_LEEWAY);
        ended.iat = ended.iat.max(last);
        let ended = known.map_or(ended, |known| both(known.ended_now(rules), ended));
        let until = known.map(|known| known.remembered_until(ended, rules)).max(Some(until)).expect("a time");
        self.bury(Tombstone { id: id.clone(), reason, ended, until });
        vec![(id.clone(), reason)]
    }

    /// Ends all sessions but one.
    pub(crate) fn revoke_all(&mut self, spared: Option<&SessionId>, rules: &Rules) {
        let (mut last, mut refused, mut until) = (rules.latest, UnixMillis::ZERO, UnixMillis::ZERO);
        for known in self.known.iter().filter(|known| Some(&known.id) != spared) {
            last = last.max(known.last_issued());
            if known.tombstone.is_none() {
                until = until.max(known.token_until.saturating_add(REMEMBERED));
                refused = refused.max(known.accepts_from.unwrap_or_default());
            }
        }
        let iat = last.saturating_add(rules.leeway).max(refused);
        let until = until.max(iat.saturating_add(rules.horizon).saturating_add(REMEMBERED));
        let cutoff = later(self.revoked, UserCutoff { cutoff: Cutoff { began: last, iat }, until });
        self.tidy(&Ends::new(), |known| known.tombstone.is_some(), rules);
        self.known.retain(|known| known.tombstone.is_some() || Some(&known.id) == spared);
        self.revoked = Some(cutoff);
    }

    /// Takes out what is spent, and of what else is dead the oldest, until there is no more of it than the limit: the
    /// dead that `may_go`, and after them those that the command `ends`.
    pub(crate) fn tidy(&mut self, ends: &Ends, may_go: impl Fn(&Known) -> bool, rules: &Rules) {
        let may_go = |known: &Known| may_go(known) && ends.iter().all(|(id, _)| *id != known.id);
        self.known.retain(|known| !(may_go(known) && known.is_spent(rules)));
        let dead = self.known.iter().filter(|known| may_go(known)).map(|known| known.id.clone());
        let dead: Vec<_> = dead.chain(ends.iter().map(|(id, _)| id.clone())).collect();
        let before = self.dropped;
        self.forget_spent_cutoffs(rules);
        let mut dropped = None;
        for id in &dead[..dead.len().saturating_sub(rules.tombstones)] {
            let known = self.find(id).expect("what is dead");
            let (_, ended) = known.death(rules).expect("what is dead");
            let until = known.remembered_until(ended, rules);
            // Without its id, nothing that comes later is told from what it ends.
            let soon = rules.latest.saturating_add(REMEMBERED);
            let cutoff = Cutoff { began: ended.began.min(rules.latest), iat: ended.iat.min(soon) };
            dropped = Some(later(dropped, UserCutoff { cutoff, until }));
            self.forget(id);
        }
        if let Some(dropped) = dropped.filter(|dropped| rules.now < dropped.until) {
            self.dropped = Some(later(before, dropped));
        }
    }

    fn forget_spent_cutoffs(&mut self, rules: &Rules) {
        let closed = self.revoked.filter(|revoked| *revoked == CLOSED);
        for cutoff in [&mut self.revoked, &mut self.dropped] {
            *cutoff = cutoff.filter(|cutoff| rules.now < cutoff.until);
        }
        self.revoked = self.revoked.or(closed);
    }

    /// The latest time at which something happened here.
    pub(crate) fn last_change(&self) -> UnixMillis {
        let revoked = self.revoked.filter(|revoked| *revoked != CLOSED).map(|revoked| revoked.cutoff.began);
        self.known.iter().map(Known::last_issued).chain(revoked).max().unwrap_or_default()
    }

    /// Takes out what is spent, and ends what else has died of time, as a sweep does.
    pub(crate) fn sweep(&mut self, rules: &Rules) {
        self.known.retain(|known| !known.is_spent(rules));
        let died = self.known.iter().filter_map(|known| Some((known.id.clone(), known.died_of(rules)?)));
        for (id, reason) in died.collect::<Vec<_>>() {
            self.end(&id, reason, rules);
        }
        self.forget_spent_cutoffs(rules);
    }
}
