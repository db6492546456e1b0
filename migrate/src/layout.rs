//! What an old session's JSON says.

use std::collections::BTreeMap;
use std::net::IpAddr;

use redis_session_core::sessions::MAX_AGENT_BYTES;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
    pub(crate) fn read(json: &[u8], members: &Members) -> Option<Self> {
        let mut object: Object<'_> = serde_json::from_slice(json).ok()?;
        let mut old = Self::default();
        if let Some((name, user)) = first(&object, &members.user, as_user) {
            // An object that has the user in it has more in it.
            object.remove(name);
            old.user = Some((user, name.to_owned()));
        }
        old.created = first(&object, &members.created, as_time).map(|(_, time)| time);
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

fn as_time(value: &RawValue) -> Option<i64> {
    unix_millis(&text(value).unwrap_or_else(|| value.get().to_owned()))
}

/// The point in time that a text says: Unix seconds, milliseconds or microseconds, or a date as of RFC 3339. `None` for
/// all else: a flag as `1`, a date without an offset, which could be of any zone.
pub(crate) fn unix_millis(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        // The years 2001 to 2286, in each of the units.
        let per_millisecond = [(1e9..1e10, 1000.0), (1e12..1e13, 1.0), (1e15..1e16, 0.001)];
        let factor = per_millisecond.iter().find_map(|(range, factor)| range.contains(&number).then_some(factor))?;
        #[expect(clippy::cast_possible_truncation, reason = "less than 1e13")]
        return Some((number * factor) as i64);
    }
    // `2026-11-25 10:00:00+00:00`, as databases write it.
    let with_t = text.replacen(' ', "T", 1);
    let date = OffsetDateTime::parse(&with_t, &Rfc3339).ok()?;
    i64::try_from(date.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn read(json: &str) -> OldSession {
        OldSession::read(json.as_bytes(), &Options::default().members).unwrap()
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
        for json in ["", "null", "42", "[]", "\"text\"", "{", "{\"a\":1}x", "gASVHgAAAAAAAAB9"] {
            assert_eq!(OldSession::read(json.as_bytes(), &Options::default().members), None, "{json}");
        }
        assert_eq!(OldSession::read(b"\xff", &Options::default().members), None);
    }

    #[test]
    fn a_session_can_say_that_it_is_over() {
        assert!(read(r#"{"revoked": true}"#).is_over && read(r#"{"active":false}"#).is_over);
        assert!(!read(r#"{"revoked": false, "active": true, "is_active": 0}"#).is_over);
    }

    #[test]
    fn times_are_read_in_every_unit() {
        for text in [
            "1795600800",
            "1795600800.25",
            "1795600800250",
            "1795600800250000",
            "2026-11-25T10:00:00.250Z",
            "2026-11-25T12:00:00.25+02:00",
            "2026-11-25 10:00:00.250123+00:00",
        ] {
            let millis = unix_millis(text).unwrap();
            assert_eq!(millis / 1000, 1_795_600_800, "{text}");
        }
        for text in ["1", "true", "", "soon", "0", "-1795600800", "NaN", "2026-11-25T10:00:00", "20261125"] {
            assert_eq!(unix_millis(text), None, "{text}");
        }
    }
}
