//! The server's replies.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use redis::{ParsingError, Value};

use crate::data::SessionData;
use crate::fields::{Fields, FromField, bare, from_redis_value};
use crate::reason::{Inactive, InactiveReason};
use crate::time::Timestamp;

/// Whether a token is good: the reply of `SESSION.VALIDATE` and `SESSION.TOUCH`.
///
/// ```
/// use redis_session::Validation;
///
/// fn status(validation: Validation) -> (u16, String) {
///     match validation {
///         Validation::Active(session) => (200, format!("until {}", session.expires_at.unix_secs())),
///         Validation::Inactive(inactive) => (401, inactive.to_string()),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a token that is not active must not be let in"]
pub enum Validation {
    /// The token is genuine and its session is alive.
    Active(ActiveSession),
    /// It is not; let nobody in.
    Inactive(Inactive),
}

impl Validation {
    /// Whether the token is good.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self, Self::Active(_))
    }

    /// The session, if the token is good.
    #[must_use]
    pub fn active(self) -> Option<ActiveSession> {
        self.into_result().ok()
    }

    /// Why the token is not good, if it is not.
    #[must_use]
    pub const fn reason(&self) -> Option<&InactiveReason> {
        match self {
            Self::Active(_) => None,
            Self::Inactive(inactive) => Some(&inactive.reason),
        }
    }

    /// The session, or why there is none as an error, for `?`.
    ///
    /// # Errors
    /// If the token is not good.
    pub fn into_result(self) -> Result<ActiveSession, Inactive> {
        match self {
            Self::Active(session) => Ok(session),
            Self::Inactive(inactive) => Err(inactive),
        }
    }
}

/// A live session whose token has just been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActiveSession {
    /// The session's id, if [`ValidateOptions::with_id`](crate::ValidateOptions::with_id) or
    /// [`full`](crate::ValidateOptions::full) asked for it. Of a token that is good
    /// [without a session](crate::ValidateOptions::stateless), it is the id that the token has for it.
    pub id: Option<String>,
    /// When the first of its deadlines is, those of the session and that of the token.
    pub expires_at: Timestamp,
    /// The rest, if [`ValidateOptions::full`](crate::ValidateOptions::full) asked for it.
    pub details: Option<Box<Details>>,
}

/// What [`ValidateOptions::full`](crate::ValidateOptions::full) adds.
///
/// Of a token that is good [without a session](crate::ValidateOptions::stateless) only the user and the token's end
/// are known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Details {
    /// The user whose session it is, verified.
    pub user: String,
    /// When the check was made, by the server's clock: so other times can be held by a clock of your own.
    pub checked_at: Timestamp,
    /// When the session began; `None` without a session.
    pub created_at: Option<Timestamp>,
    /// When it was last used; `None` without a session.
    pub last_seen_at: Option<Timestamp>,
    /// When it ends unless it is used before; `None` without an idle timeout.
    pub idle_expires_at: Option<Timestamp>,
    /// When the token ends; `None` if it does not before its session.
    pub token_expires_at: Option<Timestamp>,
    /// The address that the user logged in from.
    pub ip: Option<IpAddr>,
    /// What the user logged in with. Bytes that are no UTF-8 are shown as `U+FFFD`.
    pub agent: Option<String>,
    /// Whether [`ValidateOptions::ip`](crate::ValidateOptions::ip) is another address than the session's.
    pub new_ip: bool,
    /// The application's fields.
    pub data: SessionData,
    /// How often that has been changed since the session began; `None` without a session.
    pub version: Option<u64>,
    /// The JSON object that [`CreateOptions::claims`](crate::CreateOptions::claims) gave it, such as the user's roles.
    pub claims: Option<String>,
    /// When the user signed in last; `None` without a session.
    pub auth_time: Option<Timestamp>,
    /// How strongly, 1 to 3; `None` if [`CreateOptions::level`](crate::CreateOptions::level) did not say it.
    pub level: Option<u8>,
}

impl Details {
    /// Whether the token has a session here. If not, it is good for
    /// [`ValidateOptions::stateless`](crate::ValidateOptions::stateless) alone.
    #[must_use]
    pub const fn has_session(&self) -> bool {
        self.created_at.is_some()
    }
}

pub(crate) fn validation(reply: Value) -> Result<Validation, ParsingError> {
    let reply = bare(reply);
    match reply {
        Value::Int(_) => {
            return Ok(Validation::Active(ActiveSession { id: None, expires_at: time(reply)?, details: None }));
        }
        Value::BulkString(_) | Value::SimpleString(_) => {
            let reason = InactiveReason::from_field(reply).ok_or("the reason of a check is no UTF-8 text")?;
            return Ok(Validation::Inactive(Inactive { reason }));
        }
        _ => {}
    }
    let mut fields = Fields::of("a check", reply)?;
    if !fields.required("active")? {
        return Ok(Validation::Inactive(Inactive { reason: fields.required("reason")? }));
    }
    let details = match fields.optional("user")? {
        None => None,
        Some(user) => Some(Box::new(Details {
            user,
            checked_at: fields.required("checked_at")?,
            created_at: fields.optional("created_at")?,
            last_seen_at: fields.optional("last_seen_at")?,
            idle_expires_at: fields.optional("idle_expires_at")?,
            token_expires_at: fields.optional("token_expires_at")?,
            ip: fields.optional("ip")?,
            agent: fields.optional("agent")?.map(|Agent(agent)| agent),
            new_ip: fields.optional("new_ip")?.unwrap_or(false),
            data: fields.optional("data")?.unwrap_or_default(),
            version: fields.optional("version")?,
            claims: fields.optional("claims")?,
            auth_time: fields.optional("auth_time")?,
            level: fields.optional("level")?.map(|Level(level)| level),
        })),
    };
    Ok(Validation::Active(ActiveSession {
        id: Some(fields.required("id")?),
        expires_at: fields.required("expires_at")?,
        details,
    }))
}

/// A live session: the reply of `SESSION.GET`, and each item of that of `SESSION.LIST`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// Its id. It is not a credential, so it can be shown in a list of devices.
    pub id: String,
    /// The user whose session it is.
    pub user: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it ends unless it is used before; `None` without an idle timeout.
    pub idle_expires_at: Option<Timestamp>,
    /// The address that the user logged in from.
    pub ip: Option<IpAddr>,
    /// What the user logged in with. Bytes that are no UTF-8 are shown as `U+FFFD`.
    pub agent: Option<String>,
    /// The application's fields.
    pub data: SessionData,
    /// How often that has been changed since the session began, for
    /// [`session_set_version`](crate::SessionCommands::session_set_version).
    pub version: u64,
    /// The JSON object that [`CreateOptions::claims`](crate::CreateOptions::claims) gave it, such as the user's roles.
    pub claims: Option<String>,
    /// When the user signed in last: as the session began, or by
    /// [`session_regenerate`](crate::SessionCommands::session_regenerate).
    pub auth_time: Timestamp,
    /// How strongly, 1 to 3; `None` if [`CreateOptions::level`](crate::CreateOptions::level) did not say it.
    pub level: Option<u8>,
}

pub(crate) fn session(reply: Value) -> Result<Session, ParsingError> {
    let mut fields = Fields::of("a session", reply)?;
    Ok(Session {
        id: fields.required("id")?,
        user: fields.required("user")?,
        created_at: fields.required("created_at")?,
        last_seen_at: fields.required("last_seen_at")?,
        expires_at: fields.required("expires_at")?,
        idle_expires_at: fields.optional("idle_expires_at")?,
        ip: fields.optional("ip")?,
        agent: fields.optional("agent")?.map(|Agent(agent)| agent),
        data: fields.optional("data")?.unwrap_or_default(),
        version: fields.required("version")?,
        claims: fields.optional("claims")?,
        auth_time: fields.required("auth_time")?,
        level: fields.optional("level")?.map(|Level(level)| level),
    })
}

pub(crate) fn session_if_any(reply: Value) -> Result<Option<Session>, ParsingError> {
    match bare(reply) {
        Value::Nil => Ok(None),
        reply => session(reply).map(Some),
    }
}

pub(crate) fn sessions(reply: Value) -> Result<Vec<Session>, ParsingError> {
    match bare(reply) {
        Value::Array(items) => items.into_iter().map(session).collect(),
        _ => Err("the reply is no list of sessions".into()),
    }
}

/// A session that has ended, or a JWT that was denied: an item of the reply of `SESSION.LIST` with `ENDED`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedSession {
    /// Its id.
    pub id: String,
    /// Why it has ended.
    pub reason: InactiveReason,
    /// When.
    pub ended_at: Timestamp,
    /// Until when that is remembered, unless very many end.
    pub remembered_until: Timestamp,
}

pub(crate) fn ended(reply: Value) -> Result<Vec<EndedSession>, ParsingError> {
    let one = |reply| {
        let mut fields = Fields::of("a session that has ended", reply)?;
        Ok(EndedSession {
            id: fields.required("id")?,
            reason: fields.required("reason")?,
            ended_at: fields.required("ended_at")?,
            remembered_until: fields.required("remembered_until")?,
        })
    };
    match bare(reply) {
        Value::Array(items) => items.into_iter().map(one).collect(),
        _ => Err("the reply is no list of sessions that have ended".into()),
    }
}

pub(crate) fn count(reply: Value) -> Result<u64, ParsingError> {
    match bare(reply) {
        Value::Int(count) => u64::try_from(count).map_err(|_| format!("the reply {count} is no count").into()),
        _ => Err("the reply is no count".into()),
    }
}

pub(crate) fn integer(reply: Value) -> Result<i64, ParsingError> {
    match bare(reply) {
        Value::Int(number) => Ok(number),
        _ => Err("the reply is no number".into()),
    }
}

pub(crate) fn truth(reply: Value) -> Result<bool, ParsingError> {
    Ok(count(reply)? > 0)
}

pub(crate) fn time(reply: Value) -> Result<Timestamp, ParsingError> {
    Timestamp::from_field(bare(reply)).ok_or_else(|| "the reply is no time".into())
}

pub(crate) fn text(reply: Value) -> Result<String, ParsingError> {
    String::from_field(bare(reply)).ok_or_else(|| "the reply is no text".into())
}

pub(crate) fn stats(reply: Value) -> Result<BTreeMap<String, u64>, ParsingError> {
    let wrong = || ParsingError::from("the reply is no map of figures");
    let figures = bare(reply).into_map_iter().map_err(|_| wrong())?;
    figures
        .map(|(name, figure)| Some((String::from_field(bare(name))?, count(figure).ok()?)))
        .collect::<Option<_>>()
        .ok_or_else(wrong)
}

pub(crate) fn time_left(reply: Value) -> Result<Option<Duration>, ParsingError> {
    match bare(reply) {
        Value::Int(-2) => Ok(None),
        Value::Int(millis) => match u64::try_from(millis) {
            Ok(millis) => Ok(Some(Duration::from_millis(millis))),
            Err(_) => Err(format!("the reply {millis} is no time left").into()),
        },
        _ => Err("the reply is no time left".into()),
    }
}

from_redis_value! {
    Validation = validation;
    Session = session;
}

/// How strongly a user has signed in.
struct Level(u8);

impl FromField for Level {
    const IS: &'static str = "level";

    fn from_field(value: Value) -> Option<Self> {
        match value {
            Value::Int(level) => u8::try_from(level).ok().map(Self),
            _ => None,
        }
    }
}

/// A session's agent, for show: one odd `User-Agent` header must not make a whole list of sessions unreadable.
struct Agent(String);

impl FromField for Agent {
    const IS: &'static str = "string";

    fn from_field(value: Value) -> Option<Self> {
        let bytes = Vec::from_field(value)?;
        Some(Self(String::from_utf8(bytes).unwrap_or_else(|no| String::from_utf8_lossy(no.as_bytes()).into_owned())))
    }
}

#[cfg(test)]
mod tests {
    use redis::FromRedisValue as _;

    use super::*;
    use crate::reason::Reason;
    use crate::testing::{array, both, map, text};

    const AT: i64 = 1_790_000_000_123;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_field(Value::Int(millis)).unwrap()
    }

    fn names(fields: &[(&str, &str)]) -> Value {
        Value::Map(fields.iter().map(|(field, value)| (text(field), text(value))).collect())
    }

    fn error<T: std::fmt::Debug>(result: Result<T, ParsingError>) -> String {
        result.unwrap_err().to_string()
    }

    fn full_session() -> Vec<(&'static str, Value)> {
        vec![
            ("id", text("one")),
            ("user", text("42")),
            ("created_at", Value::Int(AT)),
            ("last_seen_at", Value::Int(AT + 1)),
            ("expires_at", Value::Int(AT + 3)),
            ("idle_expires_at", Value::Int(AT + 2)),
            ("ip", text("203.0.113.7")),
            ("agent", text("Firefox")),
            ("data", names(&[("cart", "17"), ("theme", "dark")])),
            ("version", Value::Int(2)),
            ("auth_time", Value::Int(AT)),
            ("level", Value::Int(2)),
            ("claims", text(r#"{"role":"editor"}"#)),
        ]
    }

    #[test]
    fn an_active_token_is_read_from_both_protocols_with_either_boolean() {
        for yes in [Value::Boolean(true), Value::Int(1)] {
            for reply in both(&[("active", yes), ("id", text("one")), ("expires_at", Value::Int(AT))]) {
                let session = Validation::from_redis_value(reply).unwrap().active().unwrap();
                assert_eq!(session, ActiveSession { id: Some("one".into()), expires_at: at(AT), details: None });
            }
        }
    }

    #[test]
    fn a_brief_check_is_a_deadline_or_a_reason_and_nothing_else() {
        let active = validation(Value::Int(AT)).unwrap().active().unwrap();
        assert_eq!(active, ActiveSession { id: None, expires_at: at(AT), details: None });
        for reason in Reason::ALL {
            for reply in [text(reason.as_str()), Value::SimpleString(reason.as_str().into())] {
                assert_eq!(*validation(reply).unwrap().reason().unwrap(), reason);
            }
        }
        for unclear in [Value::Nil, Value::Okay, Value::Boolean(true), Value::Int(-1), Value::Int(1 << 48), array([])] {
            assert!(validation(unclear).is_err());
        }
        assert!(!validation(text("active")).unwrap().is_active());
        assert!(validation(Value::BulkString(vec![0xff])).is_err());
    }

    #[test]
    fn a_full_check_has_the_details() {
        let mut fields = full_session();
        fields.extend([
            ("active", Value::Int(1)),
            ("checked_at", Value::Int(AT + 4)),
            ("token_expires_at", Value::Int(AT + 1)),
            ("new_ip", Value::Boolean(true)),
        ]);
        for reply in both(&fields) {
            let session = validation(reply).unwrap().into_result().unwrap();
            let details = session.details.unwrap();
            assert_eq!((session.id.as_deref(), details.user.as_str()), (Some("one"), "42"));
            assert!(details.has_session());
            assert_eq!(details.checked_at, at(AT + 4));
            assert_eq!((details.created_at, details.last_seen_at), (Some(at(AT)), Some(at(AT + 1))));
            assert_eq!((details.idle_expires_at, details.token_expires_at), (Some(at(AT + 2)), Some(at(AT + 1))));
            assert_eq!(details.ip, Some(IpAddr::from([203, 0, 113, 7])));
            assert_eq!(details.agent.as_deref(), Some("Firefox"));
            assert!(details.new_ip);
            assert_eq!((details.data.text("theme"), details.version), (Some("dark"), Some(2)));
            assert_eq!((details.auth_time, details.level), (Some(at(AT)), Some(2)));
            assert_eq!(details.claims.as_deref(), Some(r#"{"role":"editor"}"#));
        }
    }

    #[test]
    fn a_full_check_of_a_bare_session_has_nulls() {
        for reply in both(&[
            ("active", Value::Int(1)),
            ("id", text("one")),
            ("expires_at", Value::Int(AT)),
            ("user", text("42")),
            ("checked_at", Value::Int(AT)),
            ("created_at", Value::Int(AT)),
            ("last_seen_at", Value::Int(AT)),
            ("idle_expires_at", Value::Nil),
            ("token_expires_at", Value::Nil),
            ("ip", Value::Nil),
            ("agent", Value::Nil),
            ("new_ip", Value::Int(0)),
            ("data", array([])),
        ]) {
            let details = validation(reply).unwrap().active().unwrap().details.unwrap();
            assert_eq!((details.idle_expires_at, details.token_expires_at), (None, None));
            assert_eq!((details.ip, details.agent), (None, None));
            assert!(!details.new_ip && details.data.is_empty());
        }
    }

    #[test]
    fn a_full_check_without_a_session_knows_the_user_and_the_tokens_end() {
        for reply in both(&[
            ("active", Value::Boolean(true)),
            ("id", text("one")),
            ("expires_at", Value::Int(AT)),
            ("token_expires_at", Value::Int(AT)),
            ("new_ip", Value::Boolean(false)),
            ("user", text("42")),
            ("checked_at", Value::Int(AT)),
            ("created_at", Value::Nil),
            ("last_seen_at", Value::Nil),
            ("idle_expires_at", Value::Nil),
            ("ip", Value::Nil),
            ("agent", Value::Nil),
            ("data", map(&[])),
        ]) {
            let session = validation(reply).unwrap().active().unwrap();
            assert_eq!((session.id.as_deref(), session.expires_at), (Some("one"), at(AT)));
            let details = session.details.unwrap();
            assert_eq!((details.user.as_str(), details.token_expires_at), ("42", Some(at(AT))));
            assert!(!details.has_session());
            assert_eq!((details.created_at, details.last_seen_at, details.idle_expires_at), (None, None, None));
            assert!(!details.new_ip && details.data.is_empty());
        }
    }

    #[test]
    fn every_reason_is_read_from_both_protocols() {
        for reason in Reason::ALL {
            for reply in both(&[("active", Value::Int(0)), ("reason", text(reason.as_str()))]) {
                let validation = validation(reply).unwrap();
                assert!(!validation.is_active());
                assert_eq!(validation.reason(), Some(&InactiveReason::Known(reason)));
                assert_eq!(*validation.reason().unwrap(), reason);
                let inactive = validation.into_result().unwrap_err();
                assert_eq!(inactive.to_string(), format!("no active session: {reason}"));
            }
        }
    }

    #[test]
    fn a_reason_of_a_newer_server_is_no_error() {
        let reply = map(&[("active", Value::Boolean(false)), ("reason", text("bad_moon"))]);
        let validation = validation(reply).unwrap();
        let reason = validation.reason().unwrap();
        assert_eq!((reason.as_str(), reason.known()), ("bad_moon", None));
        assert_ne!(*reason, Reason::Malformed);
    }

    #[test]
    fn a_session_is_read_from_both_protocols() {
        for reply in both(&full_session()) {
            let session = session_if_any(reply).unwrap().unwrap();
            assert_eq!((session.id.as_str(), session.user.as_str()), ("one", "42"));
            assert_eq!((session.created_at, session.last_seen_at), (at(AT), at(AT + 1)));
            assert_eq!((session.idle_expires_at, session.expires_at), (Some(at(AT + 2)), at(AT + 3)));
            assert_eq!(session.ip, Some(IpAddr::from([203, 0, 113, 7])));
            assert_eq!(session.agent.as_deref(), Some("Firefox"));
            assert_eq!((session.data.len(), session.version), (2, 2));
            assert_eq!(session.claims.as_deref(), Some(r#"{"role":"editor"}"#));
        }
        assert_eq!(session_if_any(Value::Nil).unwrap(), None);
        assert!(Session::from_redis_value(Value::Nil).is_err());
    }

    #[test]
    fn a_list_of_sessions_keeps_its_order() {
        for reply in both(&full_session()) {
            let mut other = full_session();
            other[0].1 = text("two");
            let list = sessions(array([map(&other), reply])).unwrap();
            assert_eq!(list.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(), ["two", "one"]);
        }
        assert_eq!(sessions(array([])).unwrap(), []);
    }

    #[test]
    fn fields_of_a_newer_server_and_attributes_are_skipped() {
        let mut fields = full_session();
        fields.insert(0, ("zodiac", map(&[("sign", array([Value::Nil]))])));
        for reply in both(&fields) {
            let reply = Value::Attribute { data: Box::new(reply), attributes: vec![(text("ttl"), Value::Int(1))] };
            assert_eq!(session(reply).unwrap().id, "one");
        }
        let odd_name = Value::Map(vec![(Value::Int(7), Value::Nil), (text("active"), Value::Int(0))]);
        assert!(error(validation(odd_name)).contains("`reason` of a check is missing"));
    }

    #[test]
    fn data_is_any_bytes_and_an_odd_agent_is_still_shown() {
        let mut fields = full_session();
        fields[7].1 = Value::BulkString(b"Fire\xfffox".to_vec());
        let raw = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        fields[8].1 = Value::Map(vec![(raw(b"\xff"), raw(b"\0\xfe")), (raw(b"cart"), raw(b""))]);
        let session = session(map(&fields)).unwrap();
        assert_eq!(session.agent.as_deref(), Some("Fire\u{fffd}fox"));
        assert_eq!(session.data.get(b"\xff"), Some(&b"\0\xfe"[..]));
        assert_eq!(session.data.text(b"\xff"), None);
        assert_eq!(session.data.text("cart"), Some(""));
        assert_eq!(session.data.get("none"), None);
        let shown = format!("{session:?}");
        assert!(shown.contains("SessionData { fields: 2, .. }") && !shown.contains("cart"), "{shown}");
        assert_eq!(session.data.into_iter().next().unwrap(), (vec![0xff], vec![0, 0xfe]));
    }

    #[test]
    fn counts_and_times_are_read() {
        assert_eq!(count(Value::Int(3)), Ok(3));
        assert!(count(Value::Int(-1)).is_err());
        assert!(count(Value::Nil).is_err());
        assert_eq!(time(Value::Int(7)).unwrap(), at(7));
        assert!(time(Value::Int(1 << 48)).is_err());
        assert_eq!([0, 1].map(|count| truth(Value::Int(count)).unwrap()), [false, true]);
        assert_eq!(time_left(Value::Int(1500)), Ok(Some(Duration::from_millis(1500))));
        assert_eq!(time_left(Value::Int(0)), Ok(Some(Duration::ZERO)));
        assert_eq!(time_left(Value::Int(-2)), Ok(None));
        assert!(time_left(Value::Int(-1)).is_err());
        assert!(time_left(text("soon")).is_err());
        assert_eq!(integer(Value::Int(-3)), Ok(-3));
        assert!(integer(Value::Nil).is_err());
    }

    #[test]
    fn a_check_that_does_not_clearly_say_yes_never_lets_in() {
        let rest = [("id", text("one")), ("expires_at", Value::Int(AT))];
        for unclear in [Value::Nil, Value::Int(2), Value::Int(-1), Value::Okay, text("1"), text("true"), array([])] {
            let mut fields = rest.to_vec();
            fields.push(("active", unclear));
            for reply in both(&fields) {
                assert!(validation(reply).is_err());
            }
        }
        assert!(error(validation(map(&rest))).contains("`active` of a check is missing"));
    }

    #[test]
    fn a_malformed_field_is_an_error_that_names_it() {
        for (field, bad, is) in [
            (0, Value::Int(1), "`id` of a session is no UTF-8 text"),
            (1, Value::BulkString(vec![0xff]), "`user` of a session is no UTF-8 text"),
            (2, Value::Int(-1), "`created_at` of a session is no time"),
            (3, Value::Int(1 << 48), "`last_seen_at` of a session is no time"),
            (4, Value::Nil, "`expires_at` of a session is missing"),
            (5, text("soon"), "`idle_expires_at` of a session is no time"),
            (6, text("nowhere"), "`ip` of a session is no IP address"),
            (7, array([]), "`agent` of a session is no string"),
            (8, array([text("cart")]), "`data` of a session is no map"),
            (8, Value::Map(vec![(text("cart"), Value::Int(1))]), "`data` of a session is no map"),
        ] {
            let mut fields = full_session();
            fields[field].1 = bad;
            for reply in both(&fields) {
                let error = error(session(reply));
                assert!(error.contains(is), "{error}");
            }
        }
    }

    #[test]
    fn what_is_no_map_is_an_error() {
        let odd = [Value::Nil, Value::Okay, array([text("id")]), array([Value::Nil, Value::Nil])];
        for reply in odd.clone() {
            assert!(validation(reply).is_err());
        }
        // Of a check, these are whole replies.
        for reply in odd.into_iter().chain([Value::Int(1), text("x")]) {
            assert!(session(reply.clone()).is_err());
            assert!(sessions(array([reply])).is_err());
        }
        assert!(sessions(map(&full_session())).is_err());
        assert!(sessions(Value::Nil).is_err());
    }
}
