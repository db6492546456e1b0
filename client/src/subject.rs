//! The user that a token names, which determines the key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

/// The longest token to read, in bytes: the greatest `session.max-token-bytes`.
const MAX_TOKEN_BYTES: usize = 65_536;
/// The longest user, in bytes (OpenID Connect Core 1.0 section 2).
const MAX_USER_BYTES: usize = 255;
/// The beginnings of opaque session tokens and refresh tokens.
const PREFIXES: [&[u8]; 2] = [b"rst1.", b"rsr1."];

/// The user that a token names: a JWT's `sub`, with a whole number as its digits, or the user part of a token that
/// starts with `rst1.` or `rsr1.`. `None` if the text is not such a token, if it is longer than 64 KiB, or if the name
/// is invalid: a user has 1 to 255 bytes of UTF-8 without control characters, and does not begin with `{`.
///
/// **Nothing is verified.** Anyone can write a token with any user in it. Trust the name after
/// [`session_validate`](crate::SessionCommands::session_validate) with that user's key has answered that the token is
/// active.
///
/// ```
/// // {"alg":"HS256"} . {"sub":"42"} . a signature that nobody looks at
/// let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2ln";
/// assert_eq!(redis_session::unverified_user(token).as_deref(), Some("42"));
/// ```
#[must_use]
pub fn unverified_user(token: impl AsRef<[u8]>) -> Option<String> {
    let token = token.as_ref();
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let user = match PREFIXES.into_iter().find_map(|prefix| token.strip_prefix(prefix)) {
        Some(rest) => String::from_utf8(decode(rest.split(|byte| *byte == b'.').next()?)?).ok()?,
        None => subject_of_jwt(token)?,
    };
    let is_user =
        (1..=MAX_USER_BYTES).contains(&user.len()) && !user.starts_with('{') && !user.chars().any(char::is_control);
    is_user.then_some(user)
}

fn subject_of_jwt(token: &[u8]) -> Option<String> {
    let mut parts = token.split(|byte| *byte == b'.');
    let (header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !opens_object(header) {
        return None;
    }
    let payload = decode(payload)?;
    let mut json = serde_json::Deserializer::from_slice(&payload);
    let subject = json.deserialize_map(Subject).ok()?;
    json.end().ok()?;
    subject
}

/// Whether this is the base64url of the beginning of a JSON object. `eyJ` is that of `{"`, as issuers write it.
fn opens_object(header: &[u8]) -> bool {
    let is_object = |json: Vec<u8>| json.into_iter().find(|byte| !b" \t\n\r".contains(byte)) == Some(b'{');
    header.starts_with(b"eyJ") || decode(header).is_some_and(is_object)
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Reads `sub` from an object. Two of them are an error: readers of the first and of the last would see different
/// users.
struct Subject;

impl<'de> Visitor<'de> for Subject {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut subject = None;
        while let Some(is_subject) = members.next_key_seed(IsSubject)? {
            if !is_subject {
                members.next_value::<IgnoredAny>()?;
            } else if subject.replace(members.next_value::<Name>()?.0).is_some() {
                return Err(serde::de::Error::duplicate_field("sub"));
            }
        }
        Ok(subject)
    }
}

/// A string, or a whole number of 64 bits as its digits: some applications write the numbers of their users.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_any(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a whole number")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(Name(name.to_owned()))
    }

    fn visit_u64<E>(self, name: u64) -> Result<Name, E> {
        Ok(Name(name.to_string()))
    }

    fn visit_i64<E>(self, name: i64) -> Result<Name, E> {
        Ok(Name(name.to_string()))
    }
}

struct IsSubject;

impl<'de> DeserializeSeed<'de> for IsSubject {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<bool, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for IsSubject {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == "sub")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::jwt;

    #[test]
    fn every_kind_of_token_names_its_user() {
        // The server must refuse it, and here it uses no stack.
        let deep = jwt(&format!(r#"{{"sub":"42","x":{}1{}}}"#, "[".repeat(20_000), "]".repeat(20_000)));
        for (token, user) in [
            (jwt(r#"{"sid":"x","sub":"42","roles":["a",{"b":1}]}"#).as_str(), "42"),
            (&jwt(r#"{"sub":"J\u00fcrgen \"J\""}"#), "Jürgen \"J\""),
            (&jwt(r#"{"sub":42}"#), "42"),
            (&jwt(r#"{"sub":-7}"#), "-7"),
            (&jwt(r#"{"sub":18446744073709551615}"#), "18446744073709551615"),
            (&jwt("\n { \"\\u0073ub\" : \"42\" } \n"), "42"),
            // `{ "alg": "HS256" }`
            ("eyAiYWxnIjogIkhTMjU2IiB9.eyJzdWIiOiI0MiJ9.c2ln", "42"),
            (&deep, "42"),
            ("rst1.NDI.AAECAwQFBgcICQoLDA0ODw.c2ln", "42"),
            ("rsr1.NDI.AAECAwQFBgcICQoLDA0ODw.AA.c2ln", "42"),
        ] {
            assert_eq!(unverified_user(token).as_deref(), Some(user), "{token}");
        }
    }

    #[test]
    fn what_is_no_token_names_nobody() {
        let deep = jwt(&format!(r#"{{"sub":{}1{}}}"#, "[".repeat(20_000), "]".repeat(20_000)));
        let long = jwt(&format!(r#"{{"sub":"{}"}}"#, "x".repeat(256)));
        let huge = jwt(&format!(r#"{{"sub":"42","x":"{}"}}"#, "x".repeat(65_536)));
        for garbage in [
            "",
            ".",
            "..",
            "...",
            "....",
            "a.b.c",
            "Bearer x",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2ln.x",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9=.c2ln",
            "x.eyJzdWIiOiI0MiJ9.c2ln",
            "rst1..AAECAwQFBgcICQoLDA0ODw.c2ln",
            "rst1.!.AAECAwQFBgcICQoLDA0ODw.c2ln",
            "rst1._w.AAECAwQFBgcICQoLDA0ODw.c2ln",
            "rst1.ezQyfQ.AAECAwQFBgcICQoLDA0ODw.c2ln",
            "rst2.NDI.AAECAwQFBgcICQoLDA0ODw.c2ln",
            &jwt(""),
            &jwt("null"),
            &jwt("{}"),
            &jwt(r#"{"sub":42.0}"#),
            &jwt(r#"{"sub":4e1}"#),
            &jwt(r#"{"sub":18446744073709551616}"#),
            &jwt(r#"{"sub":true}"#),
            &jwt(r#"{"sub":""}"#),
            &jwt(r#"{"sub":null}"#),
            &jwt(r#"{"sub":"a","sub":"b"}"#),
            &jwt(r#"{"sub":"a\u0000b"}"#),
            &jwt(r#"{"sub":"{42}"}"#),
            &jwt(r#"{"sub":"42"} x"#),
            &jwt(r#"[{"sub":"42"}]"#),
            &long,
            &huge,
            &deep,
        ] {
            let start = garbage.get(..60).unwrap_or(garbage);
            assert_eq!(unverified_user(garbage), None, "{start:?}");
        }
        assert_eq!(unverified_user([0xff, b'.', 0, b'.', 0xfe]), None);
    }
}
