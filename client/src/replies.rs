//! The server's replies.

use std::net::IpAddr;
use std::time::Duration;

use redis::{ParsingError, Value};

use crate::data::SessionData;
use crate::json::{self, bare, from_object, from_redis_value};
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
    /// The token is not good. Let nobody in.
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

    /// The session; or, as an error for `?`, the reason why there is none.
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
    /// [`full`](crate::ValidateOptions::full) asked for it. For a token [without a
    /// session](crate::ValidateOptions::stateless), the id in the token.
    pub id: Option<String>,
    /// The earliest of the deadlines of the session and of the token.
    pub expires_at: Timestamp,
    /// The rest, if [`ValidateOptions::full`](crate::ValidateOptions::full) asked for it.
    pub details: Option<Box<Details>>,
}

/// What [`ValidateOptions::full`](crate::ValidateOptions::full) adds.
///
/// For a token [without a session](crate::ValidateOptions::stateless), only the user and the token's end are known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Details {
    /// The user of the session, verified.
    pub user: String,
    /// When the server made the check, by its own clock: compare its other times with this one.
    pub checked_at: Timestamp,
    /// When the session began; `None` without a session.
    pub created_at: Option<Timestamp>,
    /// When it was last used; `None` without a session.
    pub last_seen_at: Option<Timestamp>,
    /// When it ends if it is not used; `None` without an idle timeout.
    pub idle_expires_at: Option<Timestamp>,
    /// When the token ends; `None` if it lasts as long as its session.
    pub token_expires_at: Option<Timestamp>,
    /// The address that the user logged in from.
    pub ip: Option<IpAddr>,
    /// The user agent of the login.
    pub agent: Option<String>,
    /// Whether [`ValidateOptions::ip`](crate::ValidateOptions::ip) differs from the session's address.
    pub new_ip: bool,
    /// The application's fields.
    pub data: SessionData,
    /// How often the data has changed since the session began; `None` without a session.
    pub version: Option<u64>,
    /// The claims that [`CreateOptions::claims`](crate::CreateOptions::claims) set, such as the user's roles: a JSON
    /// object.
    pub claims: Option<String>,
    /// When the user last signed in; `None` without a session.
    pub auth_time: Option<Timestamp>,
    /// The level of the sign-in, 1 to 3; `None` if [`CreateOptions::level`](crate::CreateOptions::level) did not set
    /// it.
    pub level: Option<u8>,
}

impl Details {
    /// Whether the token has a session here. If not, it is good only because of
    /// [`ValidateOptions::stateless`](crate::ValidateOptions::stateless).
    #[must_use]
    pub const fn has_session(&self) -> bool {
        self.created_at.is_some()
    }
}

/// The part of a reply that every check has, unless it is brief.
struct Verdict {
    active: bool,
    reason: Option<InactiveReason>,
    id: Option<String>,
    expires_at: Option<Timestamp>,
    /// Present only if all other details are.
    user: Option<String>,
}

from_object! {
    Verdict {
        active: required,
        reason: optional,
        id: optional,
        expires_at: optional,
        user: optional,
    }
}

from_object! {
    Details {
        user: required,
        checked_at: required,
        created_at: optional,
        last_seen_at: optional,
        idle_expires_at: optional,
        token_expires_at: optional,
        ip: optional,
        agent: optional,
        new_ip: optional,
        data: optional,
        version: optional,
        claims: optional,
        auth_time: optional,
        level: optional,
    }
}

pub(crate) fn validation(reply: Value) -> Result<Validation, ParsingError> {
    const OF: &str = "a check";
    match bare(&reply) {
        Value::Int(_) => {
            return Ok(Validation::Active(ActiveSession { id: None, expires_at: time(reply)?, details: None }));
        }
        // The text of a JSON object begins with a brace, a reason does not.
        Value::BulkString(name) if name.first() != Some(&b'{') => {
            let name = std::str::from_utf8(name).map_err(|_| "the reason of a check is no UTF-8 text")?;
            return Ok(Validation::Inactive(Inactive { reason: InactiveReason::from_name(name) }));
        }
        _ => {}
    }
    let missing = |name| ParsingError::from(format!("`{name}` of {OF} is missing"));
    let Verdict { active, reason, id, expires_at, user } = json::read(OF, &reply)?;
    if !active {
        return Ok(Validation::Inactive(Inactive { reason: reason.ok_or_else(|| missing("reason"))? }));
    }
    Ok(Validation::Active(ActiveSession {
        id: Some(id.ok_or_else(|| missing("id"))?),
        expires_at: expires_at.ok_or_else(|| missing("expires_at"))?,
        details: if user.is_some() { Some(json::read(OF, &reply)?) } else { None },
    }))
}

/// A live session: the reply of `SESSION.GET`, and an item of the reply of `SESSION.LIST`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// Its id. It is not a credential, so you can show it in a list of devices.
    pub id: String,
    /// The user of the session.
    pub user: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it ends if it is not used; `None` without an idle timeout.
    pub idle_expires_at: Option<Timestamp>,
    /// The address that the user logged in from.
    pub ip: Option<IpAddr>,
    /// The user agent of the login.
    pub agent: Option<String>,
    /// The application's fields.
    pub data: SessionData,
    /// How often the data has changed since the session began, for
    /// [`session_set_version`](crate::SessionCommands::session_set_version).
    pub version: u64,
    /// The claims that [`CreateOptions::claims`](crate::CreateOptions::claims) set, such as the user's roles: a JSON
    /// object.
    pub claims: Option<String>,
    /// When the user last signed in: at the start of the session, or by
    /// [`session_regenerate`](crate::SessionCommands::session_regenerate).
    pub auth_time: Timestamp,
    /// The level of the sign-in, 1 to 3; `None` if [`CreateOptions::level`](crate::CreateOptions::level) did not set
    /// it.
    pub level: Option<u8>,
}

from_object! {
    Session {
        id: required,
        user: required,
        created_at: required,
        last_seen_at: required,
        expires_at: required,
        idle_expires_at: optional,
        ip: optional,
        agent: optional,
        data: optional,
        version: required,
        claims: optional,
        auth_time: required,
        level: optional,
    }
}

pub(crate) fn session(reply: Value) -> Result<Session, ParsingError> {
    json::read("a session", &reply)
}

pub(crate) fn session_if_any(reply: Value) -> Result<Option<Session>, ParsingError> {
    match bare(&reply) {
        Value::Nil => Ok(None),
        reply => json::read("a session", reply).map(Some),
    }
}

/// A session that has ended, or a JWT that was denied: an item of the reply of `SESSION.LIST` with `ENDED`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedSession {
    /// Its id.
    pub id: String,
    /// Why it ended.
    pub reason: InactiveReason,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Until when the server remembers it, unless very many sessions of the user end.
    pub remembered_until: Timestamp,
}

from_object! {
    EndedSession {
        id: required,
        reason: required,
        ended_at: required,
        remembered_until: required,
    }
}

pub(crate) fn count(reply: Value) -> Result<u64, ParsingError> {
    match *bare(&reply) {
        Value::Int(count) => u64::try_from(count).map_err(|_| format!("the reply {count} is no count").into()),
        _ => Err("the reply is no count".into()),
    }
}

pub(crate) fn integer(reply: Value) -> Result<i64, ParsingError> {
    match *bare(&reply) {
        Value::Int(number) => Ok(number),
        _ => Err("the reply is no number".into()),
    }
}

pub(crate) fn truth(reply: Value) -> Result<bool, ParsingError> {
    Ok(count(reply)? > 0)
}

pub(crate) fn time(reply: Value) -> Result<Timestamp, ParsingError> {
    count(reply).ok().and_then(Timestamp::from_unix_millis).ok_or_else(|| "the reply is no time".into())
}

pub(crate) fn text(reply: Value) -> Result<String, ParsingError> {
    match bare(&reply) {
        Value::BulkString(text) => Ok(std::str::from_utf8(text).map_err(|_| "the reply is no text")?.to_owned()),
        _ => Err("the reply is no text".into()),
    }
}

pub(crate) fn time_left(reply: Value) -> Result<Option<Duration>, ParsingError> {
    match *bare(&reply) {
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
    Session = session, list "a list of sessions";
    EndedSession = |reply| json::read("a session that has ended", &reply), list "a list of sessions that have ended";
}

#[cfg(test)]
mod tests {
    use redis::FromRedisValue as _;

    use super::*;
    use crate::reason::Reason;
    use crate::testing::{array, json, text};

    const AT: u64 = 1_790_000_000_123;
    const SESSION: &str = r#"{"id":"one","user":"42","created_at":1790000000123,"last_seen_at":1790000000124,
        "expires_at":1790000000126,"idle_expires_at":1790000000125,"ip":"203.0.113.7","agent":"Firefox",
        "data":{"cart":"18","theme":"dark"},"version":2,"claims":"{\"role\":\"editor\"}","auth_time":1790000000123,
        "level":2}"#;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix_millis(millis).unwrap()
    }

    fn error<T: std::fmt::Debug>(result: Result<T, ParsingError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_brief_check_is_one_element() {
        let active = validation(Value::Int(1_790_000_000_123)).unwrap().active().unwrap();
        assert_eq!((active.id, active.expires_at, active.details), (None, at(AT), None));
        assert_eq!(*validation(text("idle")).unwrap().reason().unwrap(), Reason::Idle);
        for odd in [Value::Int(-1), Value::Int(1 << 48), Value::BulkString(vec![0xff]), Value::Okay] {
            assert!(validation(odd).is_err());
        }
    }

    #[test]
    fn a_check_has_the_id_and_all_else_if_asked() {
        let reply = json(r#"{"active":true,"id":"one","expires_at":1790000000123}"#);
        let session = validation(reply).unwrap().active().unwrap();
        assert_eq!((session.id.as_deref(), session.expires_at, session.details), (Some("one"), at(AT), None));

        let rest = r#""active":true,"checked_at":1790000000124,"token_expires_at":1790000000126,"new_ip":true,"#;
        let session = validation(json(&SESSION.replacen('{', &format!("{{{rest}"), 1))).unwrap().active().unwrap();
        let details = session.details.unwrap();
        assert!(details.has_session() && details.new_ip);
        assert_eq!((details.user.as_str(), details.checked_at), ("42", at(AT + 1)));
        assert_eq!((details.created_at, details.last_seen_at), (Some(at(AT)), Some(at(AT + 1))));
        assert_eq!((details.idle_expires_at, details.token_expires_at), (Some(at(AT + 2)), Some(at(AT + 3))));
        assert_eq!((details.ip, details.agent.as_deref()), (Some(IpAddr::from([203, 0, 113, 7])), Some("Firefox")));
        assert_eq!((details.data.text("cart"), details.version, details.level), (Some("18"), Some(2), Some(2)));
        assert_eq!((details.claims.as_deref(), details.auth_time), (Some(r#"{"role":"editor"}"#), Some(at(AT))));
    }

    #[test]
    fn a_check_without_a_session_has_the_token_alone() {
        let reply = json(
            r#"{"active":true,"id":"one","expires_at":1790000000123,"checked_at":1,"token_expires_at":1790000000123,
                "new_ip":false,"user":"42","created_at":null,"last_seen_at":null,"idle_expires_at":null,"ip":null,
                "agent":null,"claims":null,"auth_time":null,"level":null,"version":null,"data":{}}"#,
        );
        let session = validation(reply).unwrap().active().unwrap();
        assert_eq!((session.id.as_deref(), session.expires_at), (Some("one"), at(AT)));
        let details = session.details.unwrap();
        assert_eq!((details.user.as_str(), details.token_expires_at), ("42", Some(at(AT))));
        assert!(!details.has_session() && !details.new_ip && details.data.is_empty());
        assert_eq!((details.created_at, details.last_seen_at, details.idle_expires_at), (None, None, None));
    }

    #[test]
    fn every_reason_is_read() {
        for reason in Reason::ALL {
            for reply in [json(&format!(r#"{{"active":false,"reason":"{reason}"}}"#)), text(reason.as_str())] {
                let validation = validation(reply).unwrap();
                assert!(!validation.is_active());
                assert_eq!(validation.reason(), Some(&InactiveReason::Known(reason)));
                let inactive = validation.into_result().unwrap_err();
                assert_eq!(inactive.to_string(), format!("no active session: {reason}"));
            }
        }
    }

    #[test]
    fn a_reason_of_a_newer_server_is_no_error() {
        let validation = validation(json(r#"{"active":false,"reason":"bad_moon"}"#)).unwrap();
        let reason = validation.reason().unwrap();
        assert_eq!((reason.as_str(), reason.known()), ("bad_moon", None));
        assert_ne!(*reason, Reason::Malformed);
    }

    #[test]
    fn a_session_is_read_whole_or_is_not_there() {
        let session = session_if_any(json(SESSION)).unwrap().unwrap();
        assert_eq!((session.id.as_str(), session.user.as_str()), ("one", "42"));
        assert_eq!((session.created_at, session.last_seen_at), (at(AT), at(AT + 1)));
        assert_eq!((session.idle_expires_at, session.expires_at), (Some(at(AT + 2)), at(AT + 3)));
        assert_eq!(session.ip, Some(IpAddr::from([203, 0, 113, 7])));
        assert_eq!(session.agent.as_deref(), Some("Firefox"));
        assert_eq!((session.data.len(), session.version), (2, 2));
        assert_eq!(session.claims.as_deref(), Some(r#"{"role":"editor"}"#));
        assert_eq!(session_if_any(Value::Nil).unwrap(), None);
        assert_eq!(redis::from_redis_value::<Option<Session>>(Value::Nil).unwrap(), None);
        assert!(Session::from_redis_value(Value::Nil).is_err() && session_if_any(json("null")).is_err());
    }

    #[test]
    fn lists_keep_their_order() {
        let sessions = redis::from_redis_value::<Vec<Session>>;
        let list = sessions(json(&format!("[{},{SESSION}]", SESSION.replace("one", "two")))).unwrap();
        assert_eq!(list.iter().map(|session| session.id.as_str()).collect::<Vec<_>>(), ["two", "one"]);
        assert_eq!(sessions(json("[]")).unwrap(), []);
        let reply = r#"[{"id":"one","reason":"evicted","ended_at":1,"remembered_until":2}]"#;
        let [one] = <[EndedSession; 1]>::try_from(redis::from_redis_value::<Vec<_>>(json(reply)).unwrap()).unwrap();
        assert_eq!((one.id.as_str(), one.reason, one.ended_at), ("one", Reason::Evicted.into(), at(1)));
        assert_eq!(one.remembered_until, at(2));
    }

    #[test]
    fn members_of_a_newer_server_and_attributes_are_skipped() {
        let reply = json(&SESSION.replacen('{', r#"{"zodiac":{"sign":[null]},"#, 1));
        let reply = Value::Attribute { data: Box::new(reply), attributes: vec![(text("ttl"), Value::Int(1))] };
        assert_eq!(session(reply).unwrap().id, "one");
    }

    #[test]
    fn data_is_any_bytes() {
        let with = |data: &str| session(json(&SESSION.replace(r#"{"cart":"18","theme":"dark"}"#, data)));
        let values = with(r#"{"cart":"","raw":{"base64":"AP4="},"quote":"\"\u0001"}"#).unwrap();
        assert_eq!(values.data.text("cart"), Some(""));
        assert_eq!((values.data.get("raw"), values.data.text("raw")), (Some(&b"\0\xfe"[..]), None));
        assert_eq!((values.data.text("quote"), values.data.get("none")), (Some("\"\u{1}"), None));
        let names = with(r#"[[{"base64":"/w=="},{"base64":"AP4="}],["cart",""]]"#).unwrap();
        assert_eq!(names.data.get(b"\xff"), Some(&b"\0\xfe"[..]));
        assert_eq!(names.data.text("cart"), Some(""));
        let shown = format!("{names:?}");
        assert!(shown.contains("SessionData { fields: 2, .. }") && !shown.contains("cart"), "{shown}");
        assert_eq!(names.data.into_iter().next().unwrap(), (vec![0xff], vec![0, 0xfe]));
        for odd in [r#"{"cart":1}"#, r#"{"cart":{"base64":"!"}}"#, r#"{"cart":{"base32":""}}"#, "[1]", "1"] {
            let error = error(with(odd));
            assert!(error.contains("`data` cannot be read"), "{error}");
        }
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
        assert!(time_left(super::tests::text("soon")).is_err());
        assert_eq!(integer(Value::Int(-3)), Ok(-3));
        assert!(integer(Value::Nil).is_err());
    }

    #[test]
    fn a_check_that_does_not_clearly_say_yes_never_lets_in() {
        for unclear in ["null", "1", "2", "\"1\"", "\"true\"", "[]"] {
            let reply = format!(r#"{{"id":"one","expires_at":1790000000123,"active":{unclear}}}"#);
            assert!(validation(json(&reply)).is_err());
        }
        let error = error(validation(json(r#"{"id":"one","expires_at":1790000000123}"#)));
        assert!(error.contains("`active` is missing"), "{error}");
    }

    #[test]
    fn a_malformed_member_is_an_error_that_names_it() {
        for (member, bad) in [
            (r#""id":"one""#, r#""id":1"#),
            (r#""user":"42""#, r#""user":42"#),
            (r#""created_at":1790000000123"#, r#""created_at":-1"#),
            (r#""last_seen_at":1790000000124"#, r#""last_seen_at":281474976710656"#),
            (r#""expires_at":1790000000126"#, r#""expires_at":null"#),
            (r#""idle_expires_at":1790000000125"#, r#""idle_expires_at":"soon""#),
            (r#""ip":"203.0.113.7""#, r#""ip":"nowhere""#),
            (r#""agent":"Firefox""#, r#""agent":[]"#),
            (r#""level":2"#, r#""level":256"#),
        ] {
            assert!(SESSION.contains(member));
            let name = bad.split(':').next().unwrap().trim_matches('"');
            let error = error(session(json(&SESSION.replace(member, bad))));
            assert!(error.contains(&format!("`{name}` cannot be read")), "{error}");
        }
    }

    #[test]
    fn a_reply_of_another_kind_is_an_error() {
        let odd = [Value::Nil, Value::Okay, array([text("id")]), array([Value::Nil, Value::Nil])];
        for reply in odd.clone() {
            assert!(validation(reply).is_err());
        }
        // For a check, these are whole replies.
        for reply in odd.into_iter().chain([Value::Int(1), text("x")]) {
            assert!(session(reply.clone()).is_err());
        }
        for reply in [Value::Okay, Value::Int(1), text("x"), json(SESSION), json("[1]")] {
            assert!(redis::from_redis_value::<Vec<Session>>(reply).is_err());
        }
    }
}
