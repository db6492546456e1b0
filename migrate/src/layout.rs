//! What an old session's JSON says.

use std::collections::BTreeMap;
use std::net::IpAddr;

use redis_session_core::sessions::MAX_AGENT_BYTES;
use serde_json::value::RawValue;

use crate::dates::{Date, NaiveDates};
use crate::jwt::Jwt;
use crate::options::Members;

/// A JSON object, each value as the text it is.
type Object<'a> = BTreeMap<String, &'a RawValue>;

/// What an old session's JSON says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct OldSession {
    /// The user, and what the member is called that says so.
    pub(crate) user: Option<(String, String)>,
    /// When it began, if that can be known.
    pub(crate) created: Option<i64>,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) agent: Option<String>,
    /// Whether it says of itself that it has ended.
    pub(crate) is_over: bool,
    /// Everything else: strings as they are, other values as their JSON.
    pub(crate) data: Vec<(String, String)>,
}

impl OldSession {
    /// `None` if it is no JSON object.
    pub(crate) fn read(json: &[u8], members: &Members, naive: NaiveDates) -> Option<Self> {
        let mut object: Object<'_> = serde_json::from_slice(json).ok()?;
        let mut old = Self::default();
        if let Some((name, user)) = first(&object, &members.user, as_user) {
            // An object that has the user in it has more in it.
            object.remove(name);
            old.user = Some((user, name.to_owned()));
        }
        old.created = first(&object, &members.created, |value| as_time(value, naive)).map(|(_, time)| time);
        if let Some((name, ip)) = first(&object, &members.ip, |value| text(value)?.parse().ok()) {
            object.remove(name);
            old.ip = Some(ip);
        }
        if let Some((name, agent)) = first(&object, &members.agent, as_agent) {
            object.remove(name);
            old.agent = Some(agent);
        }
        let says = |name: &str, value: &str| object.get(name).is_some_and(|raw| raw.get() == value);
        old.is_over = ["revoked", "is_revoked", "isRevoked"].iter().any(|name| says(name, "true"))
            || ["active", "is_active", "isActive"].iter().any(|name| says(name, "false"));
        let field = |(name, value): (String, &RawValue)| (name, text(value).unwrap_or_else(|| value.get().to_owned()));
        old.data = object.into_iter().map(field).collect();
        Some(old)
    }
}

/// The first of the names whose value will do.
fn first<'a, T>(
    object: &Object<'_>,
    names: &'a [String],
    read: impl Fn(&RawValue) -> Option<T>,
) -> Option<(&'a str, T)> {
    names.iter().find_map(|name| {
        let value = object.get(name).and_then(|value| read(value));
        value.or_else(|| read(inner(object, name)?.as_ref())).map(|value| (name.as_str(), value))
    })
}

/// The value at `a.b`: `b` in the object `a`.
fn inner(object: &Object<'_>, path: &str) -> Option<Box<RawValue>> {
    let (outer, name) = path.split_once('.')?;
    let object: Object<'_> = serde_json::from_str(object.get(outer)?.get()).ok()?;
    match object.get(name) {
        Some(value) => Some((*value).to_owned()),
        None => inner(&object, name),
    }
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Text, or a whole number as it is written.
fn as_user(value: &RawValue) -> Option<String> {
    let is_whole = |number: &str| {
        let digits = number.strip_prefix('-').unwrap_or(number);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    match text(value) {
        Some(text) => (!text.is_empty()).then_some(text),
        None => is_whole(value.get()).then(|| value.get().to_owned()),
    }
}

fn as_agent(value: &RawValue) -> Option<String> {
    text(value).filter(|agent| agent.len() <= MAX_AGENT_BYTES && !agent.chars().any(char::is_control))
}

fn as_time(value: &RawValue, naive: NaiveDates) -> Option<i64> {
    Date::read(&text(value).unwrap_or_else(|| value.get().to_owned()))?.earliest(naive)
}

/// The first member of the JSON, by name, that says this user.
pub(crate) fn member_that_says(json: &[u8], user: &str) -> Option<String> {
    let object: Object<'_> = serde_json::from_slice(json).ok()?;
    object.into_iter().find(|(_, value)| as_user(value).as_deref() == Some(user)).map(|(name, _)| name)
}

/// Who the JSON of the key that is called after a JWT's id says that this JWT's `sub` is: by a JWT in it that names the
/// id, or else, if `by_sub`, by a member `sub`.
pub(crate) fn subject_of_id(json: &[u8], id: &[u8], by_sub: bool) -> Option<String> {
    let object: Object<'_> = serde_json::from_slice(json).ok()?;
    let jwts = object.values().filter_map(|value| Jwt::read(text(value)?.as_bytes()));
    let mut of_id = jwts.filter(|jwt| jwt.names().any(|name| name.as_bytes() == id));
    let said = || object.get("sub").copied().and_then(as_user);
    of_id.find_map(|jwt| jwt.sub).or_else(|| if by_sub { said() } else { None })
}

#[cfg(test)]
mod tests {
    use redis_session_core::base64url;

    use super::*;
    use crate::options::Options;

    fn read(json: &str) -> OldSession {
        OldSession::read(json.as_bytes(), &Options::default().members, NaiveDates::Utc).unwrap()
    }

    fn user(json: &str) -> Option<String> {
        read(json).user.map(|(user, _)| user)
    }

    #[test]
    fn the_usual_members_are_known() {
        let old = read(
            r#"{"userId": 42, "ip": "203.0.113.7", "userAgent": "Firefox", "createdAt": "2026-11-25T10:00:00.5Z",
                "cart": {"items": [1, 2]}, "theme": "dark", "big": 123456789012345678901234567890, "none": null}"#,
        );
        assert_eq!(old.user, Some(("42".into(), "userId".into())));
        assert_eq!(old.ip, Some("203.0.113.7".parse().unwrap()));
        assert_eq!(old.agent.as_deref(), Some("Firefox"));
        assert_eq!(old.created, Some(1_795_600_800_500));
        let data: Vec<_> = old.data.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            data,
            [
                ("big", "123456789012345678901234567890"),
                ("cart", r#"{"items": [1, 2]}"#),
                ("createdAt", "2026-11-25T10:00:00.5Z"),
                ("none", "null"),
                ("theme", "dark"),
            ]
        );
    }

    #[test]
    fn a_user_is_text_or_a_whole_number_also_inside_another_object() {
        assert_eq!(user(r#"{"user_id": "ada"}"#).as_deref(), Some("ada"));
        assert_eq!(user(r#"{"user_id": -7}"#).as_deref(), Some("-7"));
        assert_eq!(user(r#"{"user": {"id": 7, "name": "Ada"}}"#).as_deref(), Some("7"));
        assert_eq!(user(r#"{"cookie": {}, "passport": {"user": "7"}}"#).as_deref(), Some("7"));
        assert_eq!(user(r#"{"user_id": null, "uid": 8}"#).as_deref(), Some("8"));
        for none in [r#"{"user_id": 1.5}"#, r#"{"user_id": 1e3}"#, r#"{"user_id": ""}"#, r#"{"user_id": true}"#, "{}"] {
            assert_eq!(user(none), None, "{none}");
        }
        assert_eq!(read(r#"{"user": {"id": 7, "name": "Ada"}}"#).data.len(), 1, "what else is in it is kept");
    }

    #[test]
    fn what_is_no_address_or_agent_is_kept_as_data() {
        let old = read(r#"{"ip": "203.0.113.7:4711", "agent": "a\u0000b"}"#);
        assert_eq!((old.ip, old.agent, old.data.len()), (None, None, 2));
    }

    #[test]
    fn what_is_no_object_cannot_be_read() {
        let read = |json: &[u8]| OldSession::read(json, &Options::default().members, NaiveDates::Always);
        for json in ["", "null", "42", "[]", "\"text\"", "{", "{\"a\":1}x", "gASVHgAAAAAAAAB9"] {
            assert_eq!(read(json.as_bytes()), None, "{json}");
        }
        assert_eq!(read(b"\xff"), None);
    }

    #[test]
    fn a_date_without_an_offset_counts_if_it_is_said_what_it_is() {
        let json = br#"{"created_at": "2026-11-25T10:00:00", "iat": 1795600801}"#;
        let created = |naive| OldSession::read(json, &Options::default().members, naive).unwrap().created;
        assert_eq!(created(NaiveDates::Utc), Some(1_795_600_800_000));
        assert_eq!(created(NaiveDates::Always), Some(1_795_600_801_000), "the next that says a time");
    }

    #[test]
    fn the_json_of_an_id_says_whose_its_jwt_is() {
        let jwt = |payload: &str| format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", base64url::encode(payload.as_bytes()));
        let json = |token: &str| format!(r#"{{"user_id":42,"sub":"ada","access_token":"{token}","n":null}}"#);
        let of = |json: &str, by_sub| subject_of_id(json.as_bytes(), b"one", by_sub);
        let (its, other) = (json(&jwt(r#"{"sub":7,"jti":"one"}"#)), json(&jwt(r#"{"sub":"7","jti":"two"}"#)));
        assert_eq!(of(&its, false).as_deref(), Some("7"));
        assert_eq!((of(&other, true).as_deref(), of(&other, false)), (Some("ada"), None));
        assert_eq!(of("[]", true), None);
    }

    #[test]
    fn a_session_can_say_that_it_is_over() {
        assert!(read(r#"{"revoked": true}"#).is_over && read(r#"{"active":false}"#).is_over);
        assert!(!read(r#"{"revoked": false, "active": true, "is_active": 0}"#).is_over);
    }
}
