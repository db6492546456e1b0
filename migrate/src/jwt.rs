//! What a JWT says of itself. Nothing is verified here.

use redis_session_core::token::is_token;
use redis_session_core::{SessionId, base64url};
use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// What a JWT says of itself. A claim of another type than it should have is as good as none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Jwt {
    pub(crate) alg: Option<String>,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
    pub(crate) iss: Option<String>,
    /// A whole number as its digits.
    pub(crate) sub: Option<String>,
    pub(crate) aud: Vec<String>,
    pub(crate) sid: Option<String>,
    pub(crate) jti: Option<String>,
    /// Unix seconds.
    pub(crate) exp: Option<f64>,
    /// Unix seconds.
    pub(crate) iat: Option<f64>,
    /// What no server takes it for, as far as its parts show.
    pub(crate) fault: Option<&'static str>,
}

impl Jwt {
    /// `None` if the token is no JWT.
    pub(crate) fn read(token: &[u8]) -> Option<Self> {
        if !is_token(token) || token.starts_with(b"rst1.") || token.starts_with(b"rsr1.") {
            return None;
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let mut part = || serde_json::from_slice::<Object>(&base64url::decode(parts.next()?)?).ok();
        let (header, payload) = (part(), part());
        let fault = fault(header.as_ref(), payload.as_ref());
        let (header, payload) = (header.unwrap_or_default(), payload.unwrap_or_default());
        let text = |object: &Object, name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        let aud = match payload.get("aud") {
            Some(Value::String(aud)) => vec![aud.clone()],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Some(Self {
            alg: text(&header, "alg"),
            kid: text(&header, "kid"),
            typ: text(&header, "typ"),
            iss: text(&payload, "iss"),
            sub: payload.get("sub").and_then(as_subject),
            aud,
            sid: text(&payload, "sid"),
            jti: text(&payload, "jti"),
            exp: payload.get("exp").and_then(Value::as_f64),
            iat: payload.get("iat").and_then(Value::as_f64),
            fault,
        })
    }

    /// What the old layout may call it: its `jti` and its `sid`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        [&self.jti, &self.sid].into_iter().flatten().map(String::as_str)
    }

    /// When it was issued, in Unix milliseconds.
    pub(crate) fn issued(&self) -> Option<i64> {
        self.iat.map(millis)
    }

    /// Whether it has expired at this time, in Unix milliseconds.
    pub(crate) fn is_expired(&self, now: i64) -> bool {
        self.exp.is_some_and(|exp| millis(exp) <= now)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

fn as_subject(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// Why no server takes it for a JWT, the first reason that shows.
fn fault(header: Option<&Object>, payload: Option<&Object>) -> Option<&'static str> {
    let Some(header) = header else { return Some("its header is no JSON object") };
    let Some(payload) = payload else { return Some("its payload is no JSON object") };
    let is = |object: &Object, name: &str, right: fn(&Value) -> bool| {
        object.get(name).is_none_or(|value| value.is_null() || right(value))
    };
    if ["crit", "b64"].iter().any(|name| header.contains_key(*name)) {
        return Some("it has an extension that must be understood (crit, b64)");
    }
    if !header.get("alg").is_some_and(Value::is_string) {
        return Some("its header names no alg");
    }
    if !["kid", "typ"].iter().all(|name| is(header, name, Value::is_string)) {
        return Some("its kid or typ is no string");
    }
    if !["iss", "jti", "sid"].iter().all(|name| is(payload, name, Value::is_string)) {
        return Some("its iss, jti or sid is no string");
    }
    if !is(payload, "sub", |sub| as_subject(sub).is_some()) {
        return Some("its sub is neither a string nor a whole number");
    }
    if !["exp", "nbf", "iat"].iter().all(|name| is(payload, name, Value::is_number)) {
        return Some("its exp, nbf or iat is no number");
    }
    if !payload.get("exp").is_some_and(Value::is_number) {
        return Some("it has no exp");
    }
    let name = ["sid", "jti"].iter().find_map(|name| payload.get(*name).and_then(Value::as_str));
    let name = name.filter(|name| name.len() <= SessionId::MAX_BYTES);
    if name.is_some_and(|name| SessionId::from_text(name.as_bytes()).is_err() || is_token(name.as_bytes())) {
        return Some("its sid, or its jti where it has no sid, cannot be a session's id");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> Vec<u8> {
        let [header, payload] = [header, payload].map(|part| base64url::encode(part.as_bytes()));
        format!("{header}.{payload}.c2ln").into_bytes()
    }

    fn jwt(payload: &str) -> Jwt {
        Jwt::read(&token(r#"{"alg":"HS256"}"#, payload)).unwrap()
    }

    #[test]
    fn a_jwt_is_told_from_other_tokens() {
        let jwt = jwt(r#"{"sub":"42","jti":"one","iat":1795600800,"exp":1795600900.5,"aud":["a","b"]}"#);
        assert_eq!((jwt.sub.as_deref(), jwt.jti.as_deref(), jwt.sid.as_deref()), (Some("42"), Some("one"), None));
        assert_eq!((jwt.issued(), &jwt.aud[..]), (Some(1_795_600_800_000), &["a".to_owned(), "b".to_owned()][..]));
        assert!(!jwt.is_expired(1_795_600_900_499) && jwt.is_expired(1_795_600_900_500));
        assert_eq!(jwt.fault, None);
        for other in ["abc", "a.b.c", "0190163d-8694-739b-aea5-966c26f8ad91", "rst1.NDI.aWQ.AA", "s:abc.def"] {
            assert_eq!(Jwt::read(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_subject_is_text_or_a_whole_number_and_takes_no_other_claim_with_it() {
        assert_eq!(jwt(r#"{"sub":42,"jti":"one"}"#).sub.as_deref(), Some("42"));
        for other in ["1.5", "true", "[]", "null", "{}"] {
            let jwt = jwt(&format!(r#"{{"sub":{other},"jti":"one"}}"#));
            assert_eq!((jwt.sub, jwt.jti.as_deref()), (None, Some("one")), "{other}");
        }
    }

    #[test]
    fn what_no_server_takes_shows() {
        let fault = |header: &str, payload: &str| Jwt::read(&token(header, payload)).unwrap().fault.unwrap();
        let of = |payload: &str| fault(r#"{"alg":"HS256"}"#, payload);
        assert_eq!(of("no JSON"), "its payload is no JSON object");
        assert_eq!(of(r#"{"sub":"42"}"#), "it has no exp");
        assert_eq!(of(r#"{"exp":"soon"}"#), "its exp, nbf or iat is no number");
        assert_eq!(of(r#"{"exp":1,"sub":1.5}"#), "its sub is neither a string nor a whole number");
        assert_eq!(of(r#"{"exp":1,"jti":7}"#), "its iss, jti or sid is no string");
        assert_eq!(of(r#"{"exp":1,"jti":""}"#), "its sid, or its jti where it has no sid, cannot be a session's id");
        assert_eq!(fault(r#"{"kid":"a"}"#, "{}"), "its header names no alg");
        assert_eq!(fault(r#"{"alg":"HS256","kid":7}"#, "{}"), "its kid or typ is no string");
        assert!(fault(r#"{"alg":"HS256","crit":[]}"#, "{}").contains("crit"));
    }
}
