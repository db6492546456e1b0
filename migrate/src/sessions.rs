//! Sessions: read, looked up in the blacklists, begun on the target, and looked at once more.
//!
//! A logout in the old layout deletes the session's key, or writes a blacklist. Wherever it comes in between, the
//! session ends: before the first look, it is not begun; after it, the second look, behind the begin, finds it.

use std::net::IpAddr;
use std::time::Duration;

use redis_session::commands::{session_create, session_revoke, session_ttl, session_unset, session_validate};
use redis_session::redis::{FromRedisValue as _, RedisError, Value, cmd};
use redis_session::{CreateOptions, LimitPolicy, Reason, ValidateOptions, Validation};
use redis_session_core::token::is_token;
use redis_session_core::{SessionId, Subject};

use crate::error::Failure;
use crate::layout::{OldSession, unix_millis};
use crate::old_key::{Claims, digest, id_of, jwt};
use crate::pass::{OldKey, Pass, now};
use crate::record::Moved;
use crate::report::{Counts, Line, Tally};
use crate::servers::Ask;

/// A move never ends another session, however many the user has. The next login keeps to the server's own limit.
const MAX: u32 = 1_000_000;
/// A field that no session has: to remove it changes nothing, and says why a session is dead.
const NO_FIELD: &str = "redis-session-migrate asks whether it is dead";
/// Compares and deletes in one step: what was written in between is not lost.
const DELETE: &str = "return redis.pcall('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0";

/// An old session that can be moved as far as it says itself.
struct Candidate {
    key: Vec<u8>,
    token: Vec<u8>,
    value: Vec<u8>,
    /// Its new id. Of a JWT it is what the server says, once it was asked.
    id: String,
    user: String,
    claims: Option<Claims>,
    created: Option<i64>,
    ttl: Duration,
    ip: Option<IpAddr>,
    agent: Option<String>,
    data: Vec<(String, String)>,
    /// Whether it is this run that has begun it.
    is_new: bool,
}

/// Why something is not moved, and what there is to say about it.
pub(crate) struct NotMoved {
    pub(crate) reason: String,
    pub(crate) detail: Option<String>,
}

impl From<&str> for NotMoved {
    fn from(reason: &str) -> Self {
        Self { reason: reason.to_owned(), detail: None }
    }
}

/// What is said of a session that has ended on the target.
fn ended_here(reason: Reason) -> Option<NotMoved> {
    let ended = [Reason::Expired, Reason::Idle, Reason::Revoked, Reason::UserRevoked, Reason::Evicted, Reason::Reused];
    ended.contains(&reason).then(|| NotMoved { reason: "ended_here".into(), detail: Some(reason.to_string()) })
}

fn counts(tally: &mut Tally) -> &mut Counts {
    &mut tally.sessions
}

impl Pass {
    /// Moves a batch, and returns what deletes the old keys of those that were moved, if that is wanted.
    pub(crate) fn move_sessions(&mut self, keys: Vec<OldKey>) -> Result<Vec<Ask>, Failure> {
        let found = self.read(keys)?;
        let (mut alive, mut over) = (Vec::new(), Vec::new());
        for (candidate, reason) in self.look(found, false)? {
            match reason {
                None => alive.push(candidate),
                Some(reason) => {
                    self.report_session(&candidate.id, Some(&candidate.user), &reason.into())?;
                    over.push(candidate);
                }
            }
        }
        let alive = self.ask_about_jwts(alive)?;
        if !self.options.apply {
            self.count(&alive)?;
            return Ok(Vec::new());
        }
        // They may have been moved by an earlier pass.
        self.revoke(&over)?;
        let begun = self.begin(alive)?;
        let (mut deletes, mut late) = (Vec::new(), Vec::new());
        for (candidate, reason) in self.look(begun, true)? {
            if reason.is_some() {
                self.report_session(&candidate.id, Some(&candidate.user), &"logged_out".into())?;
                late.push(candidate);
                continue;
            }
            self.record.confirm(&candidate.id);
            let counts = &mut self.record.state.tally.sessions;
            *(if candidate.is_new { &mut counts.moved } else { &mut counts.already }) += 1;
            if self.options.delete_moved {
                let delete = cmd("EVAL").arg(DELETE).arg(1).arg(&candidate.key).arg(&candidate.value).take();
                deletes.push(Ask::new(candidate.key, delete));
            }
        }
        self.revoke(&late)?;
        Ok(deletes)
    }

    /// Reads the keys, and reports those that tell no session.
    fn read(&mut self, keys: Vec<OldKey>) -> Result<Vec<Candidate>, Failure> {
        let asks: Vec<_> =
            keys.iter().flat_map(|OldKey { key, .. }| [Ask::of("GET", key), Ask::of("PTTL", key)]).collect();
        let mut replies = self.source.ask(&asks)?.into_iter();
        let mut candidates = Vec::new();
        for OldKey { key, token } in keys {
            let (Some(value), Some(left)) = (replies.next(), replies.next()) else { break };
            let value = match value {
                Value::BulkString(value) => value,
                Value::Nil => {
                    self.record.state.tally.sessions.expired += 1;
                    continue;
                }
                Value::ServerError(error) if error.code() == "WRONGTYPE" => {
                    let name = self.source.demand(&[Ask::of("TYPE", &key)])?.into_iter().next();
                    let name = name.and_then(|name| String::from_redis_value(name).ok());
                    let not = NotMoved { reason: "wrong_type".into(), detail: name };
                    self.report_session(&self.shown_id(&token), None, &not)?;
                    continue;
                }
                Value::ServerError(error) => return Err(self.source.failed(error.into())),
                _ => Vec::new(),
            };
            let left = match left {
                Value::Int(-1) => None,
                Value::Int(left) if left >= 0 => Some(Duration::from_millis(left.unsigned_abs().max(1))),
                Value::ServerError(error) => return Err(self.source.failed(error.into())),
                _ => {
                    self.record.state.tally.sessions.expired += 1;
                    continue;
                }
            };
            match self.understand(key, token.clone(), value, left) {
                Ok(candidate) => candidates.push(candidate),
                Err((user, not)) => self.report_session(&self.shown_id(&token), user.as_deref(), &not)?,
            }
        }
        Ok(candidates)
    }

    /// What an old key and its value say; or why they say too little, with the user if that is known.
    fn understand(
        &mut self,
        key: Vec<u8>,
        token: Vec<u8>,
        value: Vec<u8>,
        left: Option<Duration>,
    ) -> Result<Candidate, (Option<String>, NotMoved)> {
        let no = |reason: &str| (None, NotMoved::from(reason));
        if token.is_empty() {
            return Err(no("no_token"));
        }
        let old = OldSession::read(&value, &self.options.members).ok_or_else(|| no("bad_json"))?;
        let claims = jwt(&token);
        let listed = self.listed.get(&digest(&token)).map(|user| user.to_string());
        let user = match (old.user, listed) {
            (Some((user, _)), Some(listed)) if user != listed => return Err((Some(user), "users_differ".into())),
            (Some((user, member)), _) => {
                *self.record.state.tally.user_members.entry(member).or_default() += 1;
                user
            }
            (None, Some(listed)) => listed,
            (None, None) => claims.as_ref().and_then(|claims| claims.sub.clone()).ok_or_else(|| no("no_user"))?,
        };
        if let Err(why) = Subject::new(user.as_bytes()) {
            return Err((None, NotMoved { reason: "bad_user".into(), detail: Some(why.to_string()) }));
        }
        let no = |reason: &str| (Some(user.clone()), NotMoved::from(reason));
        if old.is_over {
            return Err(no("over"));
        }
        let ttl = self.options.ttl.or(left).or(self.options.ttl_if_none).ok_or_else(|| no("no_ttl"))?;
        if self.options.keep_ids && claims.is_none() && (SessionId::from_text(&token).is_err() || is_token(&token)) {
            return Err(no("bad_id"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let issued = claims.as_ref().and_then(|claims| claims.iat).map(|seconds| (seconds * 1000.0) as i64);
        let id = self.shown_id(&token);
        Ok(Candidate {
            key,
            id,
            claims,
            // The older of both: what is not known to be newer than a blacklisting is not moved.
            created: old.created.into_iter().chain(issued).min(),
            token,
            value,
            user,
            ttl,
            ip: old.ip,
            agent: old.agent,
            data: old.data,
            is_new: false,
        })
    }

    /// What a session is called in the report, and what its id will be unless its token is a JWT.
    fn shown_id(&self, token: &[u8]) -> String {
        if self.options.keep_ids && jwt(token).is_none() {
            String::from_utf8_lossy(token).into_owned()
        } else {
            id_of(token)
        }
    }

    /// Looks each session up in the blacklists; `again`, also whether its key is still there. With each, why it is over.
    fn look(&mut self, found: Vec<Candidate>, again: bool) -> Result<Vec<(Candidate, Option<&'static str>)>, Failure> {
        let prefixes = &self.options.prefixes;
        let prefixed = |prefix: &str, name: &[u8]| [prefix.as_bytes(), name].concat();
        let mut asks = Vec::new();
        let mut plans = Vec::new();
        for candidate in &found {
            let before = asks.len();
            if again {
                asks.push(Ask::of("EXISTS", &candidate.key));
            }
            let key_is_there = asks.len() - before;
            if !prefixes.blacklist.is_empty() {
                let claimed = candidate.claims.iter().flat_map(|claims| [&claims.jti, &claims.sid]).flatten();
                let names = std::iter::once(&candidate.token[..]).chain(claimed.map(String::as_bytes));
                asks.extend(names.map(|name| Ask::of("EXISTS", &prefixed(&prefixes.blacklist, name))));
            }
            let on_blacklist = asks.len() - before - key_is_there;
            if !prefixes.user_blacklist.is_empty() {
                asks.push(Ask::of("GET", &prefixed(&prefixes.user_blacklist, candidate.user.as_bytes())));
            }
            plans.push((key_is_there, on_blacklist, asks.len() - before - key_is_there - on_blacklist));
        }
        let mut replies = self.source.ask(&asks)?.into_iter();
        let mut looked = Vec::new();
        for (candidate, (key_is_there, on_blacklist, user_is)) in found.into_iter().zip(plans) {
            let mut reason = None;
            for reply in replies.by_ref().take(key_is_there) {
                if self.source.is_no_error(reply)? == Value::Int(0) {
                    reason = Some("logged_out");
                }
            }
            for reply in replies.by_ref().take(on_blacklist) {
                if self.source.is_no_error(reply)? != Value::Int(0) {
                    reason = reason.or(Some("blacklisted"));
                }
            }
            for reply in replies.by_ref().take(user_is) {
                let until = match reply {
                    // Whatever it is, it is there.
                    Value::ServerError(error) if error.code() == "WRONGTYPE" => Some(Until::Always),
                    reply => Until::of(self.source.is_no_error(reply)?),
                };
                if until.is_some_and(|until| until.covers(candidate.created)) {
                    reason = reason.or(Some("user_blacklisted"));
                }
            }
            looked.push((candidate, reason));
        }
        Ok(looked)
    }

    /// Asks the target what it makes of the JWTs, and which id each is of; reports those that it does not take.
    fn ask_about_jwts(&mut self, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, Failure> {
        let keys = self.options.keys();
        let options = ValidateOptions::new().stateless();
        let asks: Vec<_> = candidates
            .iter()
            .filter(|candidate| candidate.claims.is_some())
            .map(|Candidate { user, token, .. }| {
                let key = keys.key(user);
                Ask::new(&*key, session_validate(&*key, &token[..], &options))
            })
            .collect();
        let mut replies = self.target.ask(&asks)?.into_iter();
        let mut known = Vec::new();
        for mut candidate in candidates {
            if candidate.claims.is_some() {
                let reply = replies.next().unwrap_or(Value::Nil);
                match self.validation(reply)? {
                    Ok(id) => candidate.id = id,
                    Err(not) => {
                        self.report_session(&candidate.id, Some(&candidate.user), &not)?;
                        continue;
                    }
                }
            }
            known.push(candidate);
        }
        Ok(known)
    }

    /// The id of a JWT's session, or why it has none.
    fn validation(&self, reply: Value) -> Result<Result<String, NotMoved>, Failure> {
        if let Some(refused) = self.refused(&reply)? {
            return Ok(Err(refused));
        }
        let validation = Validation::from_redis_value(reply).map_err(|error| self.target.failed(error.into()))?;
        let reason = match validation {
            Validation::Active(session) => return Ok(Ok(session.id)),
            Validation::Inactive(inactive) => inactive.reason,
        };
        let ended = reason.known().and_then(ended_here);
        Ok(Err(ended.unwrap_or_else(|| reason.as_str().into())))
    }

    /// Passes over sessions that have ended on the target since an earlier pass: their ids could begin again, but their old
    /// tokens must not be good again. A JWT that is good was issued after the end.
    fn ask_about_the_dead(&mut self, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, Failure> {
        let keys = self.options.keys();
        let asks: Vec<_> = candidates
            .iter()
            .filter(|candidate| candidate.claims.is_none())
            .map(|Candidate { user, id, .. }| {
                let key = keys.key(user);
                Ask::new(&*key, session_unset(&*key, id.as_str(), NO_FIELD))
            })
            .collect();
        let mut replies = self.target.ask(&asks)?.into_iter();
        let mut alive = Vec::new();
        for candidate in candidates {
            let reply = if candidate.claims.is_none() { replies.next() } else { None };
            let ended = match reply {
                Some(Value::ServerError(error)) if error.code() == "NOSESSION" => {
                    let reason = error.details().and_then(|text| text.rsplit(' ').next()).and_then(Reason::from_name);
                    reason.and_then(ended_here)
                }
                Some(reply) => self.refused(&reply)?,
                None => None,
            };
            match ended {
                Some(not) => self.report_session(&candidate.id, Some(&candidate.user), &not)?,
                None => alive.push(candidate),
            }
        }
        Ok(alive)
    }

    /// What the target refuses of one command; an error if it would refuse the same of all.
    pub(crate) fn refused(&self, reply: &Value) -> Result<Option<NotMoved>, Failure> {
        let Value::ServerError(error) = reply else { return Ok(None) };
        if !matches!(error.code(), "ERR" | "WRONGTYPE" | "SESSIONLIMIT") {
            return Err(self.target.failed(RedisError::from(error.clone())));
        }
        let detail = format!("{} {}", error.code(), error.details().unwrap_or_default());
        Ok(Some(NotMoved { reason: "refused".into(), detail: Some(detail) }))
    }

    /// For a dry run: which are on the target already.
    fn count(&mut self, candidates: &[Candidate]) -> Result<(), Failure> {
        let keys = self.options.keys();
        let asks: Vec<_> = candidates
            .iter()
            .map(|Candidate { user, id, .. }| {
                let key = keys.key(user);
                Ask::new(&*key, session_ttl(&*key, id.as_str()))
            })
            .collect();
        for (candidate, reply) in candidates.iter().zip(self.target.ask(&asks)?) {
            if let Some(refused) = self.refused(&reply)? {
                self.report_session(&candidate.id, Some(&candidate.user), &refused)?;
                continue;
            }
            let counts = &mut self.record.state.tally.sessions;
            *(if reply == Value::Int(-2) { &mut counts.moved } else { &mut counts.already }) += 1;
        }
        Ok(())
    }

    /// Begins the sessions, and reports those that the target refuses.
    fn begin(&mut self, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, Failure> {
        let now = now();
        let moved = candidates.iter().map(|Candidate { id, user, ttl, .. }| {
            let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
            Moved { id: id.clone(), ends_at: now.saturating_add(ttl).saturating_add(1000), user: user.clone() }
        });
        self.record.moving(moved)?;
        let candidates = self.ask_about_the_dead(candidates)?;
        let keys = self.options.keys();
        let asks: Vec<_> = candidates
            .iter()
            .map(|candidate| {
                let key = keys.key(&candidate.user);
                Ask::new(&*key, session_create(&*key, &self.create_options(candidate)))
            })
            .collect();
        let replies = self.target.ask(&asks)?;
        let mut begun = Vec::new();
        for (candidate, reply) in candidates.into_iter().zip(replies) {
            let exists = matches!(&reply, Value::ServerError(error) if error.code() == "SESSIONEXISTS");
            match if exists { None } else { self.refused(&reply)? } {
                Some(refused) => self.report_session(&candidate.id, Some(&candidate.user), &refused)?,
                None => begun.push(Candidate { is_new: !exists, ..candidate }),
            }
        }
        Ok(begun)
    }

    fn create_options(&self, candidate: &Candidate) -> CreateOptions {
        let Candidate { id, ttl, ip, agent, data, .. } = candidate;
        let mut options = CreateOptions::new().id(id.as_str()).ttl(*ttl);
        options = options.max_sessions(MAX).limit_policy(LimitPolicy::Reject).token(self.options.token);
        if let Some(refresh) = self.options.refresh {
            options = options.refresh(refresh);
        }
        if let Some(idle) = self.options.idle {
            options = options.idle(idle);
        }
        if let Some(ip) = ip {
            options = options.ip(*ip);
        }
        if let Some(agent) = agent {
            options = options.agent(agent.as_str());
        }
        data.iter().fold(options, |options, (field, value)| options.data(field.as_str(), value.as_str()))
    }

    /// Ends sessions that are over in the old layout. A JWT is denied too, in case it is checked without a session.
    fn revoke(&mut self, candidates: &[Candidate]) -> Result<(), Failure> {
        let keys = self.options.keys();
        let asks: Vec<_> = candidates
            .iter()
            .map(|Candidate { user, id, token, claims, .. }| {
                let key = keys.key(user);
                let what = if claims.is_some() { &token[..] } else { id.as_bytes() };
                Ask::new(&*key, session_revoke(&*key, what))
            })
            .collect();
        self.end_all(&asks).map(|_| ())
    }

    fn report_session(&mut self, id: &str, user: Option<&str>, not: &NotMoved) -> Result<(), Failure> {
        let NotMoved { reason, detail } = not;
        self.not_moved(counts, &Line { kind: "session", id: Some(id), user, reason, detail: detail.as_deref() })
    }
}

/// Which of a user's sessions a blacklisting ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Those that had begun by this time, Unix milliseconds.
    Time(i64),
    /// All, as long as it is there: it does not say when it was made.
    Always,
}

impl Until {
    /// What the value of a user's key on the blacklist says; `None` if there is no such key.
    pub(crate) fn of(value: Value) -> Option<Self> {
        let text = match value {
            Value::Nil => return None,
            value => String::from_redis_value(value).unwrap_or_default(),
        };
        let unquoted = text.trim().trim_matches('"');
        Some(unix_millis(unquoted).map_or(Self::Always, |time| {
            // Whole seconds: it was made somewhere in that second.
            Self::Time(if time % 1000 == 0 { time + 999 } else { time })
        }))
    }

    pub(crate) fn covers(self, created: Option<i64>) -> bool {
        match self {
            Self::Always => true,
            Self::Time(time) => created.is_none_or(|created| created <= time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blacklisting_ends_what_is_not_surely_newer() {
        let of = |text: &str| Until::of(Value::BulkString(text.as_bytes().to_vec())).unwrap();
        assert_eq!(Until::of(Value::Nil), None);
        for always in ["1", "true", "", "logged out", "{\"at\":1795600800}"] {
            assert_eq!(of(always), Until::Always, "{always}");
            assert!(of(always).covers(Some(i64::MAX)));
        }
        for at in ["1795600800", "1795600800000", "\"2026-11-25T10:00:00Z\""] {
            assert!(of(at).covers(None) && of(at).covers(Some(1_795_600_800_999)), "{at}");
            assert!(!of(at).covers(Some(1_795_600_801_000)), "{at}");
        }
        assert!(!of("1795600800250").covers(Some(1_795_600_800_251)));
    }
}
