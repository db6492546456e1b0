//! What a log may say of a token that was refused.

use std::borrow::Cow;
use std::fmt;

use serde::de::MapAccess;

use super::claims::issuer_of;
use super::json::{self, Members, Text, Walk};
use super::shape::{OPAQUE, REFRESH, holds_token};
use crate::base64url;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 65_536;
/// How many characters of each text are shown.
const MAX_CHARS: usize = 64;

/// Which key a token says it is signed with, by which issuer and algorithm: unverified, so it may be anything.
///
/// Its text has a bounded length, no control characters, and never the token or another one.
///
/// ```
/// use redis_session_core::token::Label;
/// let label = Label::of(b"eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tLyJ9.AA");
/// assert_eq!(label.to_string(), r#"alg "RS256", kid "a", iss "https://id.example.com/""#);
/// assert_eq!(Label::of(b"rst1.NDI.aWQ.AA").to_string(), "an opaque token");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    kind: Option<&'static str>,
    alg: Option<String>,
    kid: Option<String>,
    iss: Option<String>,
}

#[derive(Default)]
struct Names<'de> {
    alg: Option<Cow<'de, str>>,
    kid: Option<Cow<'de, str>>,
}

impl<'de> Members<'de> for Names<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A, _: Walk<'_>) -> Result<bool, A::Error> {
        let place = match name {
            "alg" => &mut self.alg,
            "kid" => &mut self.kid,
            _ => return Ok(false),
        };
        *place = values.next_value::<Option<Text<'de>>>()?.map(|text| text.0);
        Ok(true)
    }
}

impl Label {
    /// The label of a token, however broken that is.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        let of_kind = |kind| Self { kind: Some(kind), ..Self::default() };
        if token.len() > MAX_TOKEN_BYTES {
            return of_kind("a token too long to look at");
        }
        for (prefix, kind) in [(OPAQUE, "an opaque token"), (REFRESH, "a refresh token")] {
            if token.starts_with(prefix.as_bytes()) {
                return of_kind(kind);
            }
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let mut part = || base64url::decode(parts.next()?);
        let Some(header) = part() else { return of_kind("no token") };
        let mut names = Names::default();
        // What was read up to a fault is worth telling.
        let _ = json::read_object(&header, &mut names);
        let payload = part().unwrap_or_default();
        let iss = issuer_of(&payload).ok().flatten();
        let [alg, kid, iss] = [names.alg, names.kid, iss].map(|text| text.map(|text| shown(&text)));
        Self { kind: None, alg, kid, iss }
    }
}

/// A text in quotes, bounded and escaped.
fn shown(text: &str) -> String {
    if holds_token(text.as_bytes()) {
        return "(a token)".into();
    }
    let end = text.char_indices().nth(MAX_CHARS).map(|(at, _)| at);
    match end.and_then(|end| text.get(..end)) {
        Some(start) => format!("{start:?}..."),
        None => format!("{text:?}"),
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            return f.write_str(kind);
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
        write!(f, "alg {}, kid {}, iss {}", text(&self.alg), text(&self.kid), text(&self.iss))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jwt(header: &str, payload: &str) -> String {
        format!("{}.{}.AA", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()))
    }

    #[test]
    fn what_is_missing_or_unreadable_is_none() {
        let label = |header: &str, payload: &str| Label::of(jwt(header, payload).as_bytes()).to_string();
        assert_eq!(label("{}", "{}"), "alg none, kid none, iss none");
        assert_eq!(label(r#"{"alg":"none","kid":7}"#, r#"{"iss":[]}"#), r#"alg "none", kid none, iss none"#);
        assert_eq!(label(r#"{"kid":null,"alg":"RS256"}"#, "{}"), r#"alg "RS256", kid none, iss none"#);
        assert_eq!(label("no JSON", "no JSON"), "alg none, kid none, iss none");
        assert_eq!(Label::of(b"Bearer x").to_string(), "no token");
        assert_eq!(Label::of(&[b'A'; 65_537]).to_string(), "a token too long to look at");
        assert_eq!(Label::of(b"rsr1.").to_string(), "a refresh token");
    }

    #[test]
    fn texts_are_cut_escaped_and_never_a_token() {
        let label = |kid: &str| {
            let header = serde_json::json!({ "kid": kid }).to_string();
            Label::of(jwt(&header, "{}").as_bytes()).kid.unwrap()
        };
        assert_eq!(label("a\nb\u{1b}[2J\u{202e}\"c"), r#""a\nb\u{1b}[2J\u{202e}\"c""#);
        assert_eq!(label(&"é".repeat(65)), format!("\"{}\"...", "é".repeat(64)));
        assert_eq!(label(&format!("Bearer {}", jwt(r#"{"alg":"none"}"#, "{}"))), "(a token)");
        assert_eq!(label("rst1.NDI.aWQ.AA"), "(a token)");
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_label_of_bounded_length(bytes: Vec<u8>, kid: String, iss: String) {
            let _ = Label::of(&bytes);
            let header = serde_json::json!({ "alg": iss, "kid": kid }).to_string();
            let payload = serde_json::json!({ "iss": iss }).to_string();
            let text = Label::of(jwt(&header, &payload).as_bytes()).to_string();
            prop_assert!(text.len() < 3 * 12 * MAX_CHARS && !text.chars().any(char::is_control), "{text}");
        }
    }
}
