//! Every session that anybody may still ask for, in order, with how it ended. It sees commands, never effects.

use std::net::IpAddr;

use redis_session_core::sessions::{
    Clock, Data, Device, Effect, NewSession, Origin, Refresh, Session, TokenFormat, TokenRules, decode_effects,
};
use redis_session_core::{Reason, SessionId, UnixMillis};

/// A session that is or was, or one from elsewhere that was denied here.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: SessionId,
    pub(crate) created: UnixMillis,
    /// When its present tokens were issued.
    pub(crate) issued: UnixMillis,
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
    pub(crate) data: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether applications chose its id, and so may choose it again.
    traced: bool,
    pub(crate) ended: Option<Reason>,
    /// Whether nothing of its own is kept of it any more.
    pub(crate) is_gone: bool,
    /// What is gone before it is spent is covered by a mark.
    pub(crate) covered: Option<Covered>,
    /// Whether nothing can ask for it any more, so that it may go.
    pub(crate) is_spent: bool,
}

/// The mark that speaks for what is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Covered {
    /// All sessions were revoked.
    ByEpoch,
    /// A trace was forgotten early.
    ByForgotten,
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

impl Known {
    /// A trace of a session that was never here, or of which no more is known.
    fn trace(id: SessionId, reason: Reason, until: UnixMillis) -> Self {
        Self {
            id,
            created: UnixMillis::ZERO,
            issued: UnixMillis::ZERO,
            expires: UnixMillis::ZERO,
            idle_secs: 0,
            seen: UnixMillis::ZERO,
            token_until: until,
            tokens: TokenFormat::None,
            token_ttl: None,
            refresh: None,
            ip: None,
            agent: None,
            device: None,
            data: Vec::new(),
            traced: true,
            ended: Some(reason),
            is_gone: false,
            covered: None,
            is_spent: false,
        }
    }

    fn stored<A: AsRef<str>>(session: &Session<'_, A>) -> Self {
        Self {
            created: session.created_at,
            issued: session.refresh.map_or(session.created_at, |refresh| refresh.rotated_at),
            expires: session.expires_at,
            idle_secs: session.idle_secs,
            seen: session.last_seen_at(),
            tokens: session.tokens,
            token_ttl: session.token_ttl,
            refresh: session.refresh,
            ip: session.ip,
            agent: session.agent.as_ref().map(|agent| agent.as_ref().to_owned()),
            device: session.device,
            data: fields(&session.data),
            traced: session.traced,
            ended: None,
            ..Self::trace(session.id.clone(), Reason::Unknown, session.token_until)
        }
    }

    pub(crate) fn new(new: &NewSession<'_>, rules: TokenRules, now: UnixMillis) -> Self {
        let first = |ttl_secs| Refresh { generation: 0, rotated_at: now, expires_at: now, ttl_secs };
        let mut known = Self {
            created: now,
            expires: new.expires_at,
            idle_secs: new.idle_secs,
            tokens: new.tokens,
            token_ttl: new.token_ttl,
            refresh: new.refresh_secs.map(first),
            ip: new.ip,
            agent: new.agent.map(str::to_owned),
            device: new.device,
            data: fields(&new.data),
            traced: new.external_id,
            ended: None,
            ..Self::trace(new.id.clone(), Reason::Unknown, UnixMillis::ZERO)
        };
        known.issue(0, rules, now);
        if new.external_id {
            // Others make tokens for this id, which are good as long as the session.
            known.token_until = known.expires.saturating_add(rules.leeway);
        }
        known
    }

    /// New tokens: good for as long as they say, and never longer than the session.
    fn issue(&mut self, generation: u32, rules: TokenRules, now: UnixMillis) {
        (self.issued, self.seen) = (now, now);
        let within = |secs: u64| now.saturating_add(secs.saturating_mul(1000)).min(self.expires);
        let access = match self.tokens {
            TokenFormat::Jwt => {
                let expires = within(self.token_ttl.map_or(rules.token_secs, u64::from));
                UnixMillis::from_secs(expires.as_secs()).expect("an earlier time")
            }
            TokenFormat::Opaque | TokenFormat::None => self.expires,
        };
        self.token_until = self.token_until.max(access.saturating_add(rules.leeway));
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
        let mut moments = vec![self.expires, self.idle(), self.token_until];
        moments.extend(self.refresh.map(|refresh| refresh.expires_at));
        moments.extend(self.refresh.map(|refresh| refresh.rotated_at.saturating_add(grace)));
        moments
    }

    /// When it dies, or why it is dead.
    pub(crate) fn status(&self, clock: Clock) -> Result<UnixMillis, Reason> {
        let idle = self.idle();
        match self.ended {
            Some(reason) => Err(reason),
            None if self.created < clock.not_before => Err(Reason::UserRevoked),
            None if clock.now >= self.expires => Err(Reason::Expired),
            None if self.idle_secs > 0 && clock.now >= idle => Err(Reason::Idle),
            None => Ok(idle.min(self.expires)),
        }
    }

    pub(crate) fn is_live(&self, clock: Clock) -> bool {
        !self.is_gone && self.status(clock).is_ok()
    }

    /// Whether nothing asks for it any more, whatever becomes of `session.not-before`.
    fn is_spent(&self, clock: Clock) -> bool {
        let forever = Clock { not_before: UnixMillis::ZERO, ..clock };
        clock.now >= self.token_until && self.status(forever).is_err()
    }

    /// What its refresh token of this generation is worth, if it is alive.
    pub(crate) fn worth(&self, generation: u32, origin: Origin<'_>, rules: TokenRules, now: UnixMillis) -> Worth {
        let Some(refresh) = self.refresh else { return Worth::Refused(Reason::Unknown) };
        let is_last = generation.checked_add(1) == Some(refresh.generation);
        let is_repeated = is_last && now < refresh.rotated_at.saturating_add(rules.grace);
        let is_elsewhere = matches!((self.device, origin.device), (Some(bound), Some(device)) if bound != device);
        if generation < refresh.generation && !is_repeated {
            Worth::Reused
        } else if now >= refresh.expires_at {
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

    pub(crate) fn rotate(&mut self, generation: u32, origin: Origin<'_>, rules: TokenRules, now: UnixMillis) {
        self.issue(generation + 1, rules, now);
        self.ip = origin.ip.or(self.ip);
        self.agent = origin.agent.map(str::to_owned).or(self.agent.take());
    }

    pub(crate) fn set(&mut self, data: &Data<'_>) {
        self.data = merged(&self.data, data);
    }
}

/// Fields with those of `data` set, as a list.
pub(crate) fn merged(fields: &[(Vec<u8>, Vec<u8>)], data: &Data<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
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
pub(crate) fn fields(data: &Data<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    data.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

#[derive(Clone, Default)]
pub(crate) struct History {
    pub(crate) known: Vec<Known>,
    now: UnixMillis,
    /// Whether the clock has stepped back, which marks do not stand.
    has_stepped_back: bool,
}

impl History {
    /// What a value says that is there already.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut history = Self::default();
        for effect in decode_effects(bytes).expect("effects") {
            match effect {
                Effect::Put(session) => history.known.push(Known::stored(&session)),
                Effect::End(trace) => history.deny(trace.id, trace.reason.into(), trace.until),
                _ => {}
            }
        }
        history
    }

    /// Begins a command: nobody asks any more for what is spent.
    pub(crate) fn begin(&mut self, clock: Clock) {
        self.has_stepped_back |= clock.now < self.now;
        self.now = clock.now;
        self.known.iter_mut().for_each(|known| known.is_spent = known.is_spent(clock));
        self.known.retain(|known| !(known.is_gone && known.is_spent));
    }

    /// The mark that must speak for this one.
    pub(crate) fn covered(&self, known: &Known) -> Option<Covered> {
        known.covered.filter(|_| known.is_gone && self.now < known.token_until && !self.has_stepped_back)
    }

    /// The session or trace that is kept under this id.
    pub(crate) fn find(&self, id: &SessionId) -> Option<&Known> {
        self.known.iter().find(|known| known.id == *id && !known.is_gone)
    }

    pub(crate) fn find_mut(&mut self, id: &SessionId) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.id == *id && !known.is_gone)
    }

    pub(crate) fn live(&self, clock: Clock) -> impl Iterator<Item = &Known> {
        self.known.iter().filter(move |known| known.is_live(clock))
    }

    /// How many dead ones are kept that somebody may ask for.
    pub(crate) fn dead(&self, clock: Clock) -> usize {
        self.known.iter().filter(|known| !known.is_gone && !known.is_spent && known.status(clock).is_err()).count()
    }

    pub(crate) fn create(&mut self, known: Known) {
        self.known.retain(|earlier| earlier.id != known.id);
        self.known.push(known);
    }

    pub(crate) fn deny(&mut self, id: SessionId, reason: Reason, until: UnixMillis) {
        self.create(Known::trace(id, reason, until));
    }

    pub(crate) fn end(&mut self, id: &SessionId, reason: Reason) {
        self.find_mut(id).expect("a session").ended = Some(reason);
    }

    /// Gives a session another id. It stays where it is, and its old id ends.
    pub(crate) fn regenerate(&mut self, old: &SessionId, new: SessionId, rules: TokenRules, now: UnixMillis) {
        self.known.retain(|earlier| earlier.id != new);
        let known = self.find_mut(old).expect("a session");
        let mut ended = Known { ended: Some(Reason::Revoked), ..known.clone() };
        (known.id, known.traced, known.token_until) = (new, false, UnixMillis::ZERO);
        let issued = known.issued;
        known.issue(0, rules, now);
        ended.issued = issued;
        self.known.push(ended);
    }

    pub(crate) fn revoke_all(&mut self, spared: Option<&SessionId>, now: UnixMillis) {
        let stored = self.known.iter_mut().filter(|known| !known.is_gone && known.ended.is_none());
        for known in stored.filter(|known| Some(&known.id) != spared) {
            known.ended = Some(Reason::UserRevoked);
            known.is_gone = !known.traced || now >= known.token_until;
            // One that began later than now, before the clock stepped back, is not covered.
            known.covered = (known.is_gone && known.issued <= now).then_some(Covered::ByEpoch);
        }
    }

    /// Ends what has died of time, as a sweep does.
    pub(crate) fn sweep(&mut self, clock: Clock) {
        for known in &mut self.known {
            if let Err(reason @ (Reason::Expired | Reason::Idle)) = known.status(clock) {
                known.ended = Some(reason);
            }
        }
    }
}
