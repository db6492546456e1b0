//! Sessions: read, looked up in the blacklists, begun on the target, and looked at once more.
//!
//! A logout in the old layout deletes the session's key, or writes a blacklist. Wherever it comes in between, the
//! session ends: before the first look, it is not begun; after it, the second look, behind the begin, finds it.

use std::net::IpAddr;
use std::time::Duration;

use redis_session::commands::{session_create, session_revoke, session_ttl, session_unset, session_validate};
use redis_session::redis::{FromRedisValue as _, RedisError, Value, cmd};
use redis_session::{CreateOptions, LimitPolicy, Reason, ValidateOptions, Validation};
use redis_session_core::sessions::MAX_LEEWAY;
use redis_session_core::token::is_token;
use redis_session_core::{SessionId, Subject};

use crate::dates::{Date, NaiveDates};
use crate::error::Failure;
use crate::jwt::Jwt;
use crate::layout::{OldSession, subject_of_id};
use crate::old_key::{digest, id_of};
use crate::pass::{Batch, OldKey, Pass, now};
use crate::record::{Moved, Seen};
use crate::report::{Counts, Line, Tally};
use crate::servers::Ask;

/// A move never ends another session, however many the user has. The next login keeps to the server's own limit.
const MAX: u32 = 1_000_000;
/// A field that no session has: to remove it changes nothing, and says why a session is dead.
const NO_FIELD: &str = "redis-session-migrate asks whether it is dead";
/// Compares and deletes in one step: what was written in between is not lost.
const DELETE: &str = "return redis.pcall('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0";

/// An old session that can be moved as far as it says itself.
pub(crate) struct Candidate {
    key: Vec<u8>,
    pub(crate) token: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// Its new id. Of a JWT that the target checks it is what the target says, once it was asked.
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) jwt: Option<Jwt>,
    /// Whether the target checks its token: it is a JWT, and not treated as another token.
    pub(crate) is_checked: bool,
    /// Whether it says of itself that it has ended.
    pub(crate) is_over: bool,
    pub(crate) created: Option<i64>,
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
    pub(crate) fn move_sessions(&mut self, keys: Vec<OldKey>) -> Result<Batch, Failure> {
        let all = keys.len();
        let keys = self.pass_over_unchanged(keys)?;
        let unchanged = (all - keys.len()) as u64;
        let mut deletes = Vec::new();
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let some = keys.by_ref().take(self.options.batch as usize).collect();
            deletes.extend(self.move_changed(some)?);
        }
        Ok(Batch { deletes, unchanged })
    }

    /// Counts the sessions that an earlier pass has moved, that are alive here, and whose old keys are as they were; and
    /// returns the other keys.
    fn pass_over_unchanged(&mut self, keys: Vec<OldKey>) -> Result<Vec<OldKey>, Failure> {
        if self.known.is_empty() || !self.options.apply || self.options.delete_moved {
            return Ok(keys);
        }
        let (mut known, mut changed) = (Vec::new(), Vec::new());
        for old in keys {
            match self.known.find(&old.key) {
                Some(earlier) => known.push((old, earlier)),
                None => changed.push(old),
            }
        }
        let gets: Vec<_> = known.iter().map(|(old, _)| Ask::of("GET", &old.key)).collect();
        let (mut same, mut asks) = (Vec::new(), Vec::new());
        let names = self.options.keys();
        for ((old, earlier), value) in known.into_iter().zip(self.source.ask(&gets)?) {
            let moved = match value {
                Value::BulkString(value) => self.known.unchanged(earlier, &value),
                _ => None,
            };
            match moved.filter(|moved| !self.blacklists.concern(&old.token, &moved.user)) {
                Some(moved) => {
                    let key = names.key(&moved.user);
                    asks.push(Ask::new(&*key, session_ttl(&*key, moved.id.as_str())));
                    same.push((old, moved));
                }
                None => changed.push(old),
            }
        }
        let mut found = Vec::new();
        for ((old, moved), left) in same.into_iter().zip(self.target.ask(&asks)?) {
            match left {
                Value::Int(left) if left >= 0 => found.push(moved),
                // It has ended here, or is not here any more.
                _ => changed.push(old),
            }
        }
        for moved in &found {
            self.record.confirm(&moved.id);
        }
        self.record.state.tally.sessions.already += found.len() as u64;
        self.record.found(&found)?;
        Ok(changed)
    }

    fn move_changed(&mut self, keys: Vec<OldKey>) -> Result<Vec<Ask>, Failure> {
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
                Ok((candidate, member)) => {
                    if let Some(member) = member {
                        *self.record.state.tally.user_members.entry(member).or_default() += 1;
                    }
                    candidates.push(candidate);
                }
                Err((user, not)) => self.report_session(&self.shown_id(&token), user.as_deref(), &not)?,
            }
        }
        Ok(candidates)
    }

    /// What an old key and its value say, and which member of the JSON has named the user; or why they say too little,
    /// with the user if that is known.
    pub(crate) fn understand(
        &self,
        key: Vec<u8>,
        token: Vec<u8>,
        value: Vec<u8>,
        left: Option<Duration>,
    ) -> Result<(Candidate, Option<String>), (Option<String>, NotMoved)> {
        let options = &self.options;
        let no = |reason: &str| (None, NotMoved::from(reason));
        if token.is_empty() {
            return Err(no("no_token"));
        }
        let old = OldSession::read(&value, &options.members, options.naive()).ok_or_else(|| no("bad_json"))?;
        let jwt = Jwt::read(&token);
        let listed = self.listed.get(&digest(&token)).map(|user| user.to_string());
        let (user, member) = match (old.user, listed) {
            (Some((user, _)), Some(listed)) if user != listed => return Err((Some(user), "users_differ".into())),
            (Some((user, member)), _) => (user, Some(member)),
            (None, Some(listed)) => (listed, None),
            (None, None) => (jwt.as_ref().and_then(|jwt| jwt.sub.clone()).ok_or_else(|| no("no_user"))?, None),
        };
        if let Err(why) = Subject::new(user.as_bytes()) {
            return Err((None, NotMoved { reason: "bad_user".into(), detail: Some(why.to_string()) }));
        }
        let no = |reason: &str| (Some(user.clone()), NotMoved::from(reason));
        let ttl = match options.ttl.or(left).or(options.ttl_if_none) {
            Some(ttl) => ttl,
            None if old.is_over => Duration::ZERO,
            None => return Err(no("no_ttl")),
        };
        if options.keep_ids && jwt.is_none() {
            if SessionId::from_text(&token).is_err() || is_token(&token) {
                return Err(no("bad_id"));
            }
            let subject = subject_of_id(&value, &token, !options.user_is_named).filter(|subject| *subject != user);
            if let Some(subject) = subject {
                let detail = format!("the JWT with this id is {subject:?}'s, as the JSON says");
                return Err((Some(user), NotMoved { reason: "subject".into(), detail: Some(detail) }));
            }
        }
        let is_checked = jwt.is_some() && !options.opaque_jwts;
        if !is_checked && jwt.as_ref().is_some_and(|jwt| jwt.is_expired(now())) {
            return Err(no("token_expired"));
        }
        let issued = jwt.as_ref().and_then(Jwt::issued);
        let id = self.shown_id(&token);
        let candidate = Candidate {
            key,
            id,
            jwt,
            is_checked,
            is_over: old.is_over,
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
        };
        Ok((candidate, member))
    }

    /// What a session is called in the report, and what its id will be unless the target says another.
    pub(crate) fn shown_id(&self, token: &[u8]) -> String {
        if self.options.keep_ids && Jwt::read(token).is_none() {
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
                let named = candidate.jwt.iter().flat_map(Jwt::names).map(str::as_bytes);
                let names = std::iter::once(&candidate.token[..]).chain(named);
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
            let mut reason = candidate.is_over.then_some("over");
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
                if self.until(reply)?.is_some_and(|(until, _)| until.covers(candidate.created)) {
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
        let options = ValidateOptions::new().stateless().with_id();
        let asks: Vec<_> = candidates
            .iter()
            .filter(|candidate| candidate.is_checked)
            .map(|Candidate { user, token, .. }| {
                let key = keys.key(user);
                Ask::new(&*key, session_validate(&*key, &token[..], &options))
            })
            .collect();
        let mut replies = self.target.ask(&asks)?.into_iter();
        let mut known = Vec::new();
        for mut candidate in candidates {
            if candidate.is_checked {
                let reply = replies.next().unwrap_or(Value::Nil);
                match self.validation(reply, candidate.jwt.as_ref())? {
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
    pub(crate) fn validation(&self, reply: Value, jwt: Option<&Jwt>) -> Result<Result<String, NotMoved>, Failure> {
        if let Some(refused) = self.refused(&reply)? {
            return Ok(Err(refused));
        }
        let validation = Validation::from_redis_value(reply).map_err(|error| self.target.failed(error.into()))?;
        let reason = match validation {
            Validation::Active(session) => return Ok(session.id.ok_or_else(|| "no_id".into())),
            Validation::Inactive(inactive) => inactive.reason,
        };
        let Some(known) = reason.known() else { return Ok(Err(reason.as_str().into())) };
        // Its own `exp` is far ahead, whatever the target's clock: it is the target's settings that end it.
        let soon = now().saturating_add_unsigned(MAX_LEEWAY);
        let is_cut = known == Reason::TokenExpired && jwt.is_some_and(|jwt| !jwt.is_expired(soon));
        let not = if is_cut { NotMoved::from("horizon") } else { NotMoved::from(known.as_str()) };
        Ok(Err(ended_here(known).unwrap_or(not)))
    }

    /// Passes over sessions that have ended on the target since an earlier pass: their ids could begin again, but their old
    /// tokens must not be good again. A JWT that is good was issued after the end.
    fn ask_about_the_dead(&mut self, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, Failure> {
        let keys = self.options.keys();
        let asks: Vec<_> = candidates
            .iter()
            .filter(|candidate| !candidate.is_checked)
            .map(|Candidate { user, id, .. }| {
                let key = keys.key(user);
                Ask::new(&*key, session_unset(&*key, id.as_str(), NO_FIELD))
            })
            .collect();
        let mut replies = self.target.ask(&asks)?.into_iter();
        let mut alive = Vec::new();
        for candidate in candidates {
            let reply = if candidate.is_checked { None } else { replies.next() };
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
        let moved = candidates.iter().map(|Candidate { id, user, ttl, key, value, .. }| {
            let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
            let ends_at = now.saturating_add(ttl).saturating_add(1000);
            Moved { id: id.clone(), ends_at, user: user.clone(), seen: Seen::of(key, value) }
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
            .map(|Candidate { user, id, token, is_checked, .. }| {
                let key = keys.key(user);
                let what = if *is_checked { &token[..] } else { id.as_bytes() };
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
    /// What the value of a user's key on the blacklist says, and whether that is a date without an offset; `None` if there
    /// is no such key.
    pub(crate) fn of(value: Value, naive: NaiveDates) -> Option<(Self, bool)> {
        let text = match value {
            Value::Nil => return None,
            value => String::from_redis_value(value).unwrap_or_default(),
        };
        let date = Date::read(text.trim().trim_matches('"'));
        let until = date.and_then(|date| date.latest(naive)).map_or(Self::Always, |time| {
            // Whole seconds: it was made somewhere in that second.
            Self::Time(if time % 1000 == 0 { time + 999 } else { time })
        });
        Some((until, matches!(date, Some(Date::Naive(_)))))
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
        let of = |text: &str, naive| Until::of(Value::BulkString(text.as_bytes().to_vec()), naive).unwrap();
        assert_eq!(Until::of(Value::Nil, NaiveDates::Utc), None);
        for always in ["1", "true", "", "logged out", "{\"at\":1795600800}"] {
            assert_eq!(of(always, NaiveDates::Utc), (Until::Always, false), "{always}");
            assert!(Until::Always.covers(Some(i64::MAX)));
        }
        for at in ["1795600800", "1795600800000", "\"2026-11-25T10:00:00Z\"", "2026-11-25T10:00:00"] {
            let (until, is_naive) = of(at, NaiveDates::Utc);
            assert!(until.covers(None) && until.covers(Some(1_795_600_800_999)), "{at}");
            assert!(!until.covers(Some(1_795_600_801_000)), "{at}");
            assert_eq!(is_naive, at == "2026-11-25T10:00:00");
        }
        assert!(!of("1795600800250", NaiveDates::Utc).0.covers(Some(1_795_600_800_251)));
        assert_eq!(of("2026-11-25T10:00:00", NaiveDates::Always), (Until::Always, true));
    }
}
