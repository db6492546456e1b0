//! The commands that a store sends, carried out on core's types as the module does.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Arg, Cmd, RedisResult, Value};
use redis_session_core::sessions::{
    AgentPool, ChangeError, Check, CreateError, Data, Decision, Device, Fingerprint, Grant, IdSource, LimitPolicy,
    NewSession, Origin, Presented, Refreshed, Renewal, Rules, Standing, TokenFormat, UserSessions, agent_text,
};
use redis_session_core::token::{
    Cause, Claims, Key, KeyRing, KeyRingError, NewToken, TokenKind, TokenPolicy, Verifier, is_token,
};
use redis_session_core::{Reason, SessionId, Subject, UnixMillis};

use super::arguments::{Arguments, Failure, unknown};
use super::replies::{self, Token};

/// Absolute lifetime of a session that has none of its own, seconds: `session.ttl`.
const TTL: u64 = 86_400;
/// Lifetime of a refresh token that has none of its own, seconds: `session.refresh-ttl`.
const REFRESH_TTL: u32 = 2_592_000;
/// The most sessions in one reply.
const MOST_LISTED: usize = 1000;

/// The sessions of all users, and the limits that decisions depend on.
pub(super) struct Memory {
    pub(super) is_away: bool,
    users: HashMap<String, UserSessions>,
    agents: AgentPool,
    verifier: Verifier,
    rules: Rules,
    ahead: Duration,
}

/// The user of a command.
#[derive(Clone, Copy)]
struct User<'a> {
    key: &'a str,
    subject: Subject<'a>,
}

impl Memory {
    pub(super) fn new() -> Self {
        let verifier = match KeyRing::ephemeral() {
            Ok(ring) => Verifier::new(ring, TokenPolicy::default()),
            // There is no key, so every login fails because nothing can be signed.
            Err(_) => Verifier::default(),
        };
        Self::with(verifier)
    }

    pub(super) fn with_keys(jwk_set: &[u8]) -> Result<Self, KeyRingError> {
        Ok(Self::with(Verifier::new(KeyRing::from_jwk_set(jwk_set, None)?, TokenPolicy::default())))
    }

    fn with(verifier: Verifier) -> Self {
        let (users, agents) = (HashMap::new(), AgentPool::new());
        Self { is_away: false, users, agents, verifier, rules: Rules::default(), ahead: Duration::ZERO }
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
    }

    pub(super) fn revoke_everyone(&mut self) {
        self.tick();
        self.rules.revoked_before = self.rules.revoke_everyone(None);
    }

    fn tick(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + self.ahead;
        self.rules = self.rules.at(UnixMillis::saturating_from(i64::try_from(now.as_millis()).unwrap_or(i64::MAX)));
    }

    pub(super) fn run(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.tick();
        let arguments = command.args_iter().filter_map(|argument| match argument {
            Arg::Simple(bytes) => Some(bytes),
            _ => None,
        });
        let mut arguments = Arguments::new(arguments);
        let is_json = arguments.take_json();
        match self.carry_out(arguments) {
            Ok(reply) if is_json => Ok(replies::json(&reply)),
            Ok(reply) => Ok(reply),
            Err(failure) => replies::error(&failure),
        }
    }

    fn carry_out(&mut self, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let name = arguments.bytes()?;
        if name == b"SESSION.JWKS" {
            return Ok(replies::text(self.verifier.public_jwks()));
        }
        let key = arguments.text()?;
        // The store's own prefix ends with its first colon.
        let user = key.split_once(':').map_or(key, |(_, user)| user);
        let subject = Subject::new(user.as_bytes()).map_err(|why| format!("ERR the key {why}"))?;
        let user = User { key, subject };
        match name {
            b"SESSION.CREATE" => self.create(user, arguments),
            b"SESSION.VALIDATE" => self.check(user, arguments, false),
            b"SESSION.TOUCH" => self.check(user, arguments, true),
            b"SESSION.REFRESH" => self.refresh(user, arguments),
            b"SESSION.REGENERATE" => self.regenerate(user, arguments),
            b"SESSION.REVOKE" => self.revoke(user, arguments),
            b"SESSION.REVOKEUSER" => self.revoke_user(user, arguments),
            b"SESSION.GET" => self.get(user, arguments),
            b"SESSION.LIST" => self.list(user, arguments),
            b"SESSION.COUNT" => {
                let rules = self.rules;
                Ok(replies::count(self.sessions(user).count(&rules)))
            }
            b"SESSION.SET" => self.set(user, arguments),
            b"SESSION.INCRBY" => self.increment(user, arguments),
            b"SESSION.UNSET" => self.unset(user, arguments),
            b"SESSION.DENY" => self.deny(user, arguments),
            name => Err(unknown(name)),
        }
    }

    fn sessions(&mut self, user: User<'_>) -> &mut UserSessions {
        self.users.entry(user.key.to_owned()).or_default()
    }

    fn commit<T>(&mut self, user: User<'_>, decision: Decision<'_, T>) -> T {
        let sessions = self.users.entry(user.key.to_owned()).or_default();
        sessions.apply(&decision.effects, &mut self.agents);
        decision.value
    }

    fn create(&mut self, user: User<'_>, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let now = self.rules.now;
        let mut rules = self.rules;
        let (mut ttl, mut data, mut agent, mut tokens, mut from) = (None, Data::default(), None, None, None);
        let mut new = NewSession {
            id: SessionId::random().map_err(|_| "ERR no randomness".to_owned())?,
            source: IdSource::Random,
            expires_at: now,
            idle_secs: 0,
            ip: None,
            agent: None,
            device: None,
            tokens: TokenFormat::Jwt,
            token_ttl: None,
            refresh_secs: None,
            claims: "",
            level: 0,
            data: Data::default(),
        };
        while let Some(word) = arguments.next() {
            match word {
                b"ID" => {
                    new.id = application_id(arguments.bytes()?)?;
                    new.source = IdSource::Caller;
                }
                b"FROM" => from = Some(arguments.bytes()?),
                b"TTL" => ttl = Some(arguments.number()?),
                b"IDLE" => new.idle_secs = arguments.number()?,
                b"MAX" => rules.sessions = arguments.number()?,
                b"EVICT" => rules.policy = LimitPolicy::Evict,
                b"REJECT" => rules.policy = LimitPolicy::Reject,
                b"IP" => new.ip = Some(arguments.ip()?),
                b"AGENT" => agent = Some(agent_text(arguments.bytes()?)),
                b"DEVICE" => new.device = Some(Device::of(user.subject, arguments.bytes()?)),
                b"DATA" => {
                    let count = arguments.number()?;
                    data = packed(arguments.pairs(Some(count))?)?;
                }
                b"CLAIMS" => new.claims = arguments.text()?,
                b"LEVEL" => new.level = arguments.number()?,
                b"TOKEN" => {
                    tokens = Some(match arguments.bytes()? {
                        b"JWT" => TokenFormat::Jwt,
                        b"OPAQUE" => TokenFormat::Opaque,
                        b"NONE" => TokenFormat::None,
                        other => return Err(unknown(other)),
                    });
                }
                b"TOKENTTL" => new.token_ttl = Some(arguments.number()?),
                b"REFRESH" => new.refresh_secs = Some(arguments.number::<u32>()?),
                other => return Err(unknown(other)),
            }
        }
        new.refresh_secs = new.refresh_secs.map(|secs| if secs == 0 { REFRESH_TTL } else { secs });
        new.expires_at = end(now, ttl.unwrap_or(TTL))?;
        // A session that begins with a token of another issuer needs none of these.
        new.tokens = tokens.unwrap_or(if from.is_some() { TokenFormat::None } else { TokenFormat::Jwt });
        if new.token_ttl.is_some() && new.tokens != TokenFormat::Jwt {
            return Err("ERR TOKENTTL goes with TOKEN JWT only".to_owned());
        }
        if let Some(jwt) = from {
            if ttl.is_some() || new.source == IdSource::Caller {
                return Err("ERR TTL and ID do not go with FROM: the token says them".to_owned());
            }
            let token = match self.verifier.verify(user.subject, jwt, None, now) {
                Ok(token) => token,
                Err(cause) => return Ok(replies::inactive(cause.reason())),
            };
            let (TokenKind::Jwt, Some(expires_at)) = (token.kind, token.expires_at) else {
                return Ok(replies::inactive(Cause::TypeOpaque.reason()));
            };
            (new.id, new.source, new.expires_at) = (token.id, IdSource::Token(token.issued), expires_at);
        }
        new.agent = agent.as_deref().filter(|agent| !agent.is_empty());
        new.data = data;
        within(&rules, new.data.size(), new.data.len())?;
        let sessions = self.users.entry(user.key.to_owned()).or_default();
        let decision = match sessions.create(new, &rules) {
            Ok(decision) => decision,
            Err(CreateError::Refused(reason)) => return Ok(replies::inactive(reason)),
            Err(CreateError::Exists) => return Err("SESSIONEXISTS a live session has this id".to_owned()),
            Err(CreateError::Limit) => {
                return Err(format!("SESSIONLIMIT the user has {} live sessions, the limit", rules.sessions));
            }
        };
        let (access, refresh) = self.mint(user.subject, &decision.value)?;
        let grant = self.commit(user, decision);
        Ok(replies::granted(&grant, &access, &refresh))
    }

    fn mint(&self, subject: Subject<'_>, grant: &Grant<'_>) -> Result<(Token, Token), Failure> {
        mint(self.verifier.ring().and_then(KeyRing::signing_key), self.rules.token_secs, subject, grant)
    }

    fn check(&mut self, user: User<'_>, mut arguments: Arguments<'_>, touches: bool) -> Result<Value, Failure> {
        let token = arguments.bytes()?;
        let (mut check, mut ip, mut is_full, mut is_brief) = (Check::default(), None, false, false);
        let mut audience = None;
        while let Some(word) = arguments.next() {
            match word {
                b"IP" => ip = Some(arguments.ip()?),
                b"DEVICE" => check.device = Some(Fingerprint { user: user.subject, bytes: arguments.bytes()? }),
                b"AUD" => audience = Some(arguments.text()?),
                b"LEVEL" => check.level = arguments.number()?,
                b"MAXAGE" => check.max_age = Some(arguments.number::<u64>()?.saturating_mul(1000)),
                b"STATELESS" => check.stateless = true,
                b"BRIEF" => is_brief = true,
                b"FULL" => is_full = true,
                other => return Err(unknown(other)),
            }
        }
        let rules = self.rules;
        let verified = self.verifier.verify(user.subject, token, audience, rules.now).map_err(Cause::reason);
        let answer = verified.map(Presented::from).and_then(|presented| {
            let sessions = self.users.entry(user.key.to_owned()).or_default();
            let standing = match touches {
                true => sessions.touch(&presented, check, &rules)?.value,
                false => sessions.check(&presented, check, &rules)?,
            };
            Ok((presented, standing))
        });
        let (presented, standing) = match answer {
            Ok(answer) => answer,
            Err(reason) if is_brief => return Ok(replies::text(reason.as_str())),
            Err(reason) => return Ok(replies::inactive(reason)),
        };
        let alive = match standing {
            Standing::Alive(alive) => Some(alive.deadline),
            Standing::Absent => None,
        };
        let deadline = replies::or_nil(alive.into_iter().chain(presented.own_expiry()).min(), replies::time);
        if is_brief {
            return Ok(deadline);
        }
        let mut fields = replies::map([
            ("active", Value::Boolean(true)),
            ("id", replies::id(&presented.id)),
            ("expires_at", deadline),
        ]);
        if is_full {
            let session = self.users.get(user.key).and_then(|user| user.get(&presented.id, &self.agents, &rules));
            let known_ip = session.as_ref().and_then(|session| session.ip);
            fields.extend(replies::map([
                ("checked_at", replies::time(rules.now)),
                ("token_expires_at", replies::or_nil(presented.own_expiry(), replies::time)),
                ("new_ip", Value::Boolean(alive.is_some() && ip.is_some_and(|ip| known_ip != Some(ip)))),
            ]));
            fields.extend(replies::described(user.subject, session.as_ref()));
        }
        Ok(Value::Map(fields))
    }

    fn refresh(&mut self, user: User<'_>, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let token = arguments.bytes()?;
        let (mut origin, mut agent) = (Origin::default(), None);
        while let Some(word) = arguments.next() {
            match word {
                b"IP" => origin.ip = Some(arguments.ip()?),
                b"AGENT" => agent = Some(agent_text(arguments.bytes()?)),
                b"DEVICE" => origin.device = Some(Device::of(user.subject, arguments.bytes()?)),
                other => return Err(unknown(other)),
            }
        }
        origin.agent = agent.as_deref().filter(|agent| !agent.is_empty());
        let token = match self.verifier.verify_refresh(user.subject, token) {
            Ok(token) => token,
            Err(cause) => return Ok(replies::inactive(cause.reason())),
        };
        let sessions = self.users.entry(user.key.to_owned()).or_default();
        let decision = match sessions.refresh(&token, origin, &self.agents, &self.rules) {
            Ok(decision) => decision,
            Err(reason) => return Ok(replies::inactive(reason)),
        };
        let tokens = match &decision.value {
            Refreshed::Granted(grant) => Some(self.mint(user.subject, grant)?),
            Refreshed::Reused => None,
        };
        Ok(match (tokens, self.commit(user, decision)) {
            (Some((access, refresh)), Refreshed::Granted(grant)) => replies::granted(&grant, &access, &refresh),
            _ => replies::inactive(Reason::Reused),
        })
    }

    fn regenerate(&mut self, user: User<'_>, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let old = arguments.bytes()?;
        let old = match is_token(old) {
            false => Presented::id(application_id(old)?),
            true => match self.verifier.verify(user.subject, old, None, self.rules.now) {
                Ok(verified) => Presented::from(verified),
                Err(cause) => return Ok(replies::inactive(cause.reason())),
            },
        };
        let (mut new, mut agent) =
            (Renewal::of(SessionId::random().map_err(|_| "ERR no randomness".to_owned())?), None);
        while let Some(word) = arguments.next() {
            match word {
                b"CLAIMS" => new.claims = Some(arguments.text()?),
                b"LEVEL" => new.level = Some(arguments.number()?),
                b"TTL" => new.expires_at = Some(end(self.rules.now, arguments.number()?)?),
                b"IP" => new.ip = Some(arguments.ip()?),
                b"AGENT" => agent = Some(agent_text(arguments.bytes()?)),
                other => return Err(unknown(other)),
            }
        }
        new.agent = agent.as_deref().filter(|agent| !agent.is_empty());
        let sessions = self.users.entry(user.key.to_owned()).or_default();
        let decision = match sessions.regenerate(&old, new, &self.agents, &self.rules) {
            Ok(decision) => decision,
            Err(reason) => return Ok(replies::inactive(reason)),
        };
        let (access, refresh) = self.mint(user.subject, &decision.value)?;
        let grant = self.commit(user, decision);
        Ok(replies::granted(&grant, &access, &refresh))
    }

    /// The session of an id or a token, expired tokens included; none if it is not this user's.
    fn named(&mut self, user: User<'_>, named: &[u8]) -> Result<Presented, Failure> {
        match is_token(named) {
            false => Ok(Presented::id(application_id(named)?)),
            true => {
                let identified = self.verifier.identify(user.subject, named);
                identified.map(Presented::from).map_err(|cause| cause.reason().to_string())
            }
        }
    }

    fn revoke(&mut self, user: User<'_>, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let mut presented = Vec::new();
        for named in arguments.rest() {
            match (self.named(user, named), is_token(named)) {
                (Ok(session), _) => presented.push(session),
                // A token that is not good names nothing, and that is success (RFC 7009 section 2.2).
                (Err(_), true) => {}
                (Err(failure), false) => return Err(failure),
            }
        }
        let rules = self.rules;
        let decision = self.sessions(user).revoke(&presented, &rules);
        Ok(replies::count(self.commit(user, decision)))
    }

    fn revoke_user(&mut self, user: User<'_>, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let except = match arguments.next() {
            None => None,
            Some(b"EXCEPT") => {
                let named = arguments.bytes()?;
                let is_not = |why| format!("ERR EXCEPT is not a valid token of this user: {why}");
                Some(self.named(user, named).map_err(is_not)?)
            }
            Some(other) => return Err(unknown(other)),
        };
        let rules = self.rules;
        let decision = self.sessions(user).revoke_all(except.as_ref(), &rules);
        Ok(replies::count(self.commit(user, decision)))
    }

    fn get(&mut self, user: User<'_>, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let id = application_id(arguments.bytes()?)?;
        let session = self.users.get(user.key).and_then(|sessions| sessions.get(&id, &self.agents, &self.rules));
        Ok(replies::or_nil(session, |session| replies::session(user.subject, &session)))
    }

    fn list(&self, user: User<'_>, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let (mut offset, mut count, mut is_of_ended) = (0, MOST_LISTED, false);
        while let Some(word) = arguments.next() {
            match word {
                b"LIMIT" => {
                    (offset, count) = (arguments.number()?, arguments.number()?);
                    if !(1..=MOST_LISTED).contains(&count) {
                        return Err(format!("ERR count must be a whole number from 1 to {MOST_LISTED}"));
                    }
                }
                b"ENDED" => is_of_ended = true,
                other => return Err(unknown(other)),
            }
        }
        let sessions = self.users.get(user.key).into_iter();
        Ok(Value::Array(match is_of_ended {
            true => {
                let ended = sessions.flat_map(|sessions| sessions.ended(&self.rules));
                ended.skip(offset).take(count).map(|ended| replies::ended(&ended)).collect()
            }
            false => {
                let page = sessions.flat_map(|sessions| sessions.page(offset, count, &self.agents, &self.rules));
                page.map(|session| replies::session(user.subject, &session)).collect()
            }
        }))
    }

    fn deny(&mut self, user: User<'_>, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let id = arguments.bytes()?;
        let (mut until, mut issuer) = (None, None);
        while let Some(word) = arguments.next() {
            match word {
                b"UNTIL" => until = UnixMillis::new(arguments.number()?),
                b"ISS" => issuer = Some(arguments.text()?),
                other => return Err(unknown(other)),
            }
        }
        let until = until.ok_or_else(|| "ERR UNTIL must be a time".to_owned())?;
        let id = match issuer {
            Some(issuer) => SessionId::of_issuer(issuer, id).map_err(|why| format!("ERR id {why}"))?,
            None => application_id(id)?,
        };
        let rules = self.rules;
        let decision = self.sessions(user).deny(id, until, &rules);
        Ok(replies::count(usize::from(self.commit(user, decision))))
    }

    fn set(&mut self, user: User<'_>, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let id = application_id(arguments.bytes()?)?;
        let mut fields: Vec<_> = arguments.rest().collect();
        // With an odd number of arguments, `VERSION` cannot be the option.
        let version = match fields.first().copied() {
            Some(b"VERSION") if fields.len() % 2 == 0 => {
                let mut version = Arguments::new(fields.drain(..2).skip(1));
                Some(version.number()?)
            }
            _ => None,
        };
        let mut fields = Arguments::new(fields.into_iter());
        let data = packed(fields.pairs(None)?)?;
        let (count, rules) = (data.len(), self.rules);
        let decision = self.sessions(user).set(&id, data, version, &rules).map_err(|why| unchanged(why, &rules))?;
        self.commit(user, decision);
        Ok(replies::count(count))
    }

    fn increment(&mut self, user: User<'_>, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let id = application_id(arguments.bytes()?)?;
        let (field, by, rules) = (arguments.bytes()?, arguments.number()?, self.rules);
        let decision = self.sessions(user).increment(&id, field, by, &rules).map_err(|why| unchanged(why, &rules))?;
        Ok(Value::Int(self.commit(user, decision)))
    }

    fn unset(&mut self, user: User<'_>, mut arguments: Arguments<'_>) -> Result<Value, Failure> {
        let id = application_id(arguments.bytes()?)?;
        let names = packed(arguments.rest().map(|name| (name, &[][..])).collect())?;
        let rules = self.rules;
        let decision = self.sessions(user).unset(&id, names, &rules).map_err(|why| unchanged(why, &rules))?;
        Ok(replies::count(self.commit(user, decision)))
    }
}

fn mint(
    key: Option<&Key>,
    token_secs: u64,
    subject: Subject<'_>,
    grant: &Grant<'_>,
) -> Result<(Token, Token), Failure> {
    let no_key = || "NOSIGNINGKEY no key can sign".to_owned();
    let (session, issued_at) = (&grant.session, grant.issued_at);
    if session.tokens == TokenFormat::None && session.refresh.is_none() {
        return Ok((None, None));
    }
    let key = key.ok_or_else(no_key)?;
    let access = match session.token_expires_at(issued_at, token_secs) {
        None => None,
        Some(expires_at) if session.tokens == TokenFormat::Opaque => {
            let token = key.sign_opaque(subject, &session.id, session.created_at, session.expires_at);
            Some((token.ok_or_else(no_key)?, expires_at))
        }
        Some(expires_at) => {
            let claims = match &*session.claims {
                "" => None,
                json => Some(Claims::parse(json.as_bytes()).map_err(|why| format!("ERR CLAIMS {why}"))?),
            };
            let token = key.sign_jwt(&NewToken {
                subject,
                session: &session.id,
                began_at: session.created_at,
                generation: session.refresh.map_or(0, |refresh| refresh.generation),
                issued_at,
                expires_at,
                auth_time: session.auth_time(),
                level: session.level,
                token_type: None,
                issuer: None,
                audience: None,
                claims: claims.as_ref(),
            });
            Some((token.ok_or_else(no_key)?, expires_at))
        }
    };
    let refresh = match session.refresh {
        None => None,
        Some(refresh) => {
            let token = key.sign_refresh(subject, &session.id, refresh.generation, session.created_at);
            Some((token.ok_or_else(no_key)?, refresh.expires_at))
        }
    };
    Ok((access, refresh))
}

fn application_id(bytes: &[u8]) -> Result<SessionId, Failure> {
    SessionId::of_application(bytes).map_err(|why| format!("ERR id {why}"))
}

fn packed(fields: Vec<(&[u8], &[u8])>) -> Result<Data<'static>, Failure> {
    Data::pack(fields).ok_or_else(|| "ERR a field is given twice".to_owned())
}

fn end(now: UnixMillis, secs: u64) -> Result<UnixMillis, Failure> {
    now.checked_add(secs.saturating_mul(1000)).ok_or_else(|| "ERR TTL ends past the range of times".to_owned())
}

fn within(rules: &Rules, bytes: usize, fields: usize) -> Result<(), Failure> {
    match bytes > rules.data.bytes || fields > rules.data.fields {
        true => Err("ERR DATA has more fields or bytes than a session may have".to_owned()),
        false => Ok(()),
    }
}

fn unchanged(why: ChangeError, rules: &Rules) -> Failure {
    match why {
        ChangeError::Conflict(version) => {
            format!("CONFLICT the session's data has been changed: its version is {version}")
        }
        ChangeError::Dead(reason) => format!("NOSESSION the session is not alive: {reason}"),
        ChangeError::NoNumber | ChangeError::Overflow => "ERR the field is not a whole number of 64 bits".to_owned(),
        ChangeError::TooLarge(_) | ChangeError::TooMany(_) => {
            format!("ERR the session would have more than {} bytes or {} fields", rules.data.bytes, rules.data.fields)
        }
    }
}
