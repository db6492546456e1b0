//! New tokens: the replies that contain them, or say why there are none.

use std::fmt;

use redis::{ParsingError, Value};

use crate::json::{self, from_object, from_redis_value};
use crate::reason::{Inactive, InactiveReason};
use crate::time::Timestamp;

/// A session's new tokens: the reply of `SESSION.CREATE`, and the content of a [`Grant`].
///
/// Its `Debug` form leaves the tokens out, so you can log it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Created {
    /// The session's id.
    pub id: String,
    /// When the session ends at the latest.
    pub expires_at: Timestamp,
    /// The credential for the user; the server does not store it. `None` after
    /// [`TokenFormat::None`](crate::TokenFormat::None).
    pub token: Option<String>,
    /// When the token ends.
    pub token_expires_at: Option<Timestamp>,
    /// The token for [`session_refresh`](crate::SessionCommands::session_refresh), to use once. `None` unless
    /// [`CreateOptions::refresh`](crate::CreateOptions::refresh) asked for it when the session began.
    pub refresh_token: Option<String>,
    /// When the refresh token ends.
    pub refresh_expires_at: Option<Timestamp>,
    /// The ids of the sessions that ended to make room for this one.
    pub evicted: Vec<String>,
    /// Whether no live session of the user has the given address; for a refresh, whether it differs from the session's.
    /// False if no address was given.
    pub new_ip: bool,
    /// Whether no live session of the user is bound to the given device. False if no device was given.
    pub new_device: bool,
}

impl fmt::Debug for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |token: &Option<String>| token.as_ref().map(|_| format_args!("(secret)"));
        f.debug_struct("Created")
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .field("token", &hidden(&self.token))
            .field("token_expires_at", &self.token_expires_at)
            .field("refresh_token", &hidden(&self.refresh_token))
            .field("refresh_expires_at", &self.refresh_expires_at)
            .field("evicted", &self.evicted)
            .field("new_ip", &self.new_ip)
            .field("new_device", &self.new_device)
            .finish()
    }
}

from_object! {
    Created {
        id: required,
        expires_at: required,
        token: optional,
        token_expires_at: optional,
        refresh_token: optional,
        refresh_expires_at: optional,
        evicted: optional,
        new_ip: optional,
        new_device: optional,
    }
}

pub(crate) fn created(reply: Value) -> Result<Created, ParsingError> {
    json::read("a new session", &reply)
}

/// The result of a request for tokens with a credential: the reply of `SESSION.REFRESH`, of `SESSION.REGENERATE`, and
/// of `SESSION.CREATE` with `FROM`. A bad credential is an answer, not an error.
///
/// ```no_run
/// use redis_session::{Grant, KeyPrefix, RefreshOptions, SessionCommands};
///
/// # fn main() -> redis::RedisResult<()> {
/// # let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
/// # let refresh_token = "";
/// let Some(key) = KeyPrefix::default().key_of_token(refresh_token) else { return Ok(()) }; // 401
/// match redis.session_refresh(key, refresh_token, &RefreshOptions::new())? {
///     Grant::Granted(tokens) => println!("both tokens are new, of session {}", tokens.id),
///     Grant::Refused(inactive) => println!("401: {}", inactive.reason),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "new tokens must reach the user, for the old ones end"]
pub enum Grant {
    /// The session is alive, and these are its tokens.
    Granted(Created),
    /// The credential is not good, and nothing was granted.
    Refused(Inactive),
}

impl Grant {
    /// Whether there are new tokens.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        matches!(self, Self::Granted(_))
    }

    /// The tokens, if there are any.
    #[must_use]
    pub fn granted(self) -> Option<Created> {
        self.into_result().ok()
    }

    /// Why there are none, if so.
    #[must_use]
    pub const fn reason(&self) -> Option<&InactiveReason> {
        match self {
            Self::Granted(_) => None,
            Self::Refused(inactive) => Some(&inactive.reason),
        }
    }

    /// The tokens; or, as an error for `?`, the reason why there are none.
    ///
    /// # Errors
    /// If the credential is not good.
    pub fn into_result(self) -> Result<Created, Inactive> {
        match self {
            Self::Granted(created) => Ok(created),
            Self::Refused(inactive) => Err(inactive),
        }
    }
}

/// A refusal.
struct Refused {
    active: bool,
    reason: InactiveReason,
}

from_object! {
    Refused {
        active: required,
        reason: required,
    }
}

pub(crate) fn grant(reply: Value) -> Result<Grant, ParsingError> {
    // A refusal is not a session, and a session is not a refusal: each lacks a required member of the other.
    match json::read("a refusal", &reply) {
        Ok(Refused { active: false, reason }) => Ok(Grant::Refused(Inactive { reason })),
        _ => json::read("a grant", &reply).map(Grant::Granted),
    }
}

from_redis_value! {
    Created = created;
    Grant = grant;
}

#[cfg(test)]
mod tests {
    use redis::FromRedisValue;

    use super::*;
    use crate::reason::Reason;
    use crate::testing::{array, json, text};

    const AT: u64 = 1_790_000_000_123;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix_millis(millis).unwrap()
    }

    fn error<T: fmt::Debug>(result: Result<T, ParsingError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_new_session_is_read_whole() {
        let reply = json(
            r#"{"id":"one","expires_at":1790000000123,"token":"a.b.c","token_expires_at":1790000000122,
                "refresh_token":"rsr1.x","refresh_expires_at":1790000000121,"evicted":["old","older"],"new_ip":true,
                "new_device":true}"#,
        );
        let created = Created::from_redis_value(reply).unwrap();
        assert_eq!(created.id, "one");
        assert_eq!(created.expires_at, at(AT));
        assert_eq!(created.token.as_deref(), Some("a.b.c"));
        assert_eq!(created.token_expires_at, Some(at(AT - 1)));
        assert_eq!(created.refresh_token.as_deref(), Some("rsr1.x"));
        assert_eq!(created.refresh_expires_at, Some(at(AT - 2)));
        assert_eq!(created.evicted, ["old", "older"]);
        assert!(created.new_ip && created.new_device);
    }

    #[test]
    fn a_new_session_can_be_without_tokens() {
        let reply = json(
            r#"{"id":"one","expires_at":1790000000123,"token":null,"token_expires_at":null,"refresh_token":null,
                "refresh_expires_at":null,"evicted":[],"new_ip":false,"new_device":false}"#,
        );
        let created = created(reply).unwrap();
        assert_eq!((created.token, created.token_expires_at), (None, None));
        assert_eq!((created.refresh_token, created.refresh_expires_at), (None, None));
        assert!(created.evicted.is_empty() && !created.new_ip && !created.new_device);
    }

    #[test]
    fn the_debug_form_of_new_tokens_keeps_them_secret() {
        let reply = |refresh: &str| json(&format!(r#"{{"id":"one","expires_at":1,"token":"a.b.c"{refresh}}}"#));
        let shown = format!("{:?}", created(reply("")).unwrap());
        assert!(shown.contains("one") && shown.contains("token: Some((secret))"), "{shown}");
        assert!(shown.contains("refresh_token: None") && !shown.contains("a.b.c"), "{shown}");
        let shown = format!("{:?}", grant(reply(r#","refresh_token":"rsr1.x""#)).unwrap());
        assert!(shown.contains("refresh_token: Some((secret))"), "{shown}");
        assert!(!shown.contains("a.b.c") && !shown.contains("rsr1.x"), "{shown}");
    }

    #[test]
    fn a_grant_has_the_tokens() {
        let reply = r#"{"id":"one","expires_at":1790000000123,"token":"a.b.c","refresh_token":"rsr1.x","new_ip":true}"#;
        let grant = Grant::from_redis_value(json(reply)).unwrap();
        assert!(grant.is_granted());
        assert_eq!(grant.reason(), None);
        let tokens = grant.granted().unwrap();
        assert_eq!((tokens.id.as_str(), tokens.expires_at), ("one", at(AT)));
        assert_eq!((tokens.token.as_deref(), tokens.refresh_token.as_deref()), (Some("a.b.c"), Some("rsr1.x")));
        assert!(tokens.new_ip && !tokens.new_device);
    }

    #[test]
    fn a_refusal_is_no_error_and_has_the_reason() {
        for (name, known) in [("reused", Some(Reason::Reused)), ("device", Some(Reason::Device)), ("bad_moon", None)] {
            let grant = grant(json(&format!(r#"{{"active":false,"reason":"{name}"}}"#))).unwrap();
            assert!(!grant.is_granted());
            assert_eq!(grant.reason().unwrap().known(), known);
            let inactive = grant.clone().into_result().unwrap_err();
            assert_eq!(inactive.to_string(), format!("no active session: {name}"));
            assert_eq!(grant.granted(), None);
        }
    }

    #[test]
    fn a_grant_that_is_neither_tokens_nor_a_refusal_is_an_error() {
        for (reply, why) in [
            (r#"{"id":"one"}"#, "`expires_at` is missing"),
            (r#"{"active":false}"#, "`id` is missing"),
            (r#"{"active":true,"reason":"revoked"}"#, "`id` is missing"),
            (r#"{"active":"no","reason":"revoked"}"#, "`id` is missing"),
        ] {
            let error = error(grant(json(reply)));
            assert!(error.contains(why), "{error}");
        }
        let both = r#"{"active":false,"reason":"revoked","id":"one","expires_at":1}"#;
        assert!(!grant(json(both)).unwrap().is_granted());
    }

    #[test]
    fn an_error_does_not_show_the_token() {
        for odd in [
            r#"{"id":1,"expires_at":1,"token":"a.b.c"}"#,
            r#"{"id":"one","expires_at":"a.b.c"}"#,
            r#"{"id":"one","token":"a.b.c"}"#,
            r#"{"id":"one","expires_at":1,"token":["a.b.c"]}"#,
            r#""a.b.c""#,
            r#"["a.b.c"]"#,
            r#"{"token":"a.b.c""#,
            "a.b.c",
        ] {
            for error in [error(created(json(odd))), error(grant(json(odd)))] {
                assert!(!error.contains("a.b.c"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for reply in
            [Value::Nil, Value::Okay, Value::Int(1), text("x"), array([text("id")]), array([Value::Nil, Value::Nil])]
        {
            assert!(created(reply.clone()).is_err());
            assert!(grant(reply).is_err());
        }
    }
}
