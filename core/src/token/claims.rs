//! A token's claims (RFC 7519 section 4): the registered ones that a check reads, and the caller's own.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use thiserror::Error;

use super::cause::Cause;
use super::json::{self, Fault, JsonError, Members, Text, Walk};
use super::policy::Audiences;
use crate::UnixMillis;

/// The claims that a caller cannot set: the token's own.
const RESERVED: [&str; 10] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "auth_time", "acr"];

/// The claims that a caller adds to a token: a JSON object, whose text is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// What is between the object's braces.
    members: Box<str>,
}

/// Why a text is no set of claims to add.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// Not JSON, not an object, or more bytes after it.
    #[error("is not a JSON object (line {line}, column {column})")]
    Json {
        /// Where reading stopped, from 1.
        line: usize,
        /// Where reading stopped, from 1.
        column: usize,
    },
    /// An object has a member twice. Its name is not told: errors repeat nothing of what they are about.
    #[error("has a member twice (line {line}, column {column})")]
    Duplicate {
        /// Where the second one was found, from 1.
        line: usize,
        /// Where the second one was found, from 1.
        column: usize,
    },
    /// This claim is the token's own.
    #[error("sets {0:?}, which is set by the server")]
    Reserved(&'static str),
    /// Arrays and objects inside each other for more than 16 levels.
    #[error("is nested deeper than 16 levels")]
    TooDeep,
}

impl Claims {
    /// The claims in the object `json`.
    ///
    /// Their size is the minting caller's to bound: a token longer than
    /// [`TokenPolicy::max_token_bytes`](super::TokenPolicy::max_token_bytes) verifies nowhere.
    ///
    /// # Errors
    /// If it is not a strict JSON object of at most 16 levels, has a member twice at any level, or sets one of `iss`,
    /// `sub`, `aud`, `exp`, `nbf`, `iat`, `jti`, `sid`, `auth_time` and `acr`.
    ///
    /// ```
    /// use redis_session_core::token::Claims;
    /// assert!(Claims::parse(br#"{"role":"admin"}"#).is_ok());
    /// assert_eq!(Claims::parse(br#"{"exp":0}"#).unwrap_err().to_string(), "sets \"exp\", which is set by the server");
    /// ```
    pub fn parse(json: &[u8]) -> Result<Self, ClaimsError> {
        let mut own = Own { reserved: None };
        json::read_object(json, &mut own)?;
        if let Some(name) = own.reserved {
            return Err(ClaimsError::Reserved(name));
        }
        let members = std::str::from_utf8(json)
            .ok()
            .and_then(|text| text.trim_matches(WHITE_SPACE).strip_prefix('{')?.strip_suffix('}'))
            .ok_or(ClaimsError::Json { line: 1, column: 1 })?;
        Ok(Self { members: members.trim_matches(WHITE_SPACE).into() })
    }

    /// The members as they follow others in an object: empty, or without a leading comma.
    pub(crate) fn members(&self) -> &str {
        &self.members
    }
}

/// RFC 8259 section 2.
const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

impl From<JsonError> for ClaimsError {
    fn from(JsonError { fault, line, column }: JsonError) -> Self {
        match fault {
            Fault::Syntax => Self::Json { line, column },
            Fault::Duplicate(_) => Self::Duplicate { line, column },
            Fault::TooDeep => Self::TooDeep,
        }
    }
}

/// Looks for reserved names, and leaves every value to be skipped.
struct Own {
    reserved: Option<&'static str>,
}

impl<'de> Members<'de> for Own {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, _: &mut A, _: Walk<'_>) -> Result<bool, A::Error> {
        self.reserved = self.reserved.or(RESERVED.into_iter().find(|reserved| *reserved == name));
        Ok(false)
    }
}

/// The registered claims of a token, borrowed from its payload; `aud` is compared while it is read. One that is `null` is
/// not there.
#[derive(Default)]
pub(crate) struct Registered<'de, 'a> {
    pub(crate) issuer: Option<Cow<'de, str>>,
    pub(crate) subject: Option<Cow<'de, str>>,
    pub(crate) expires_at: Option<UnixMillis>,
    pub(crate) not_before: Option<UnixMillis>,
    pub(crate) issued_at: Option<UnixMillis>,
    pub(crate) token_id: Option<Cow<'de, str>>,
    pub(crate) session: Option<Cow<'de, str>>,
    /// Whether `aud` holds a wanted audience.
    pub(crate) audience_matches: bool,
    wanted: Audiences<'a>,
    /// What is wrong if reading has stopped at a registered claim.
    wrong: Option<Cause>,
}

impl<'de, 'a> Registered<'de, 'a> {
    /// The claims in `payload`, or what is wrong if that is no strict JSON object or one of them has the wrong type.
    pub(crate) fn read(payload: &'de [u8], wanted: Audiences<'a>) -> Result<Self, Cause> {
        let mut claims = Self { wanted, ..Self::default() };
        match json::read_object(payload, &mut claims) {
            Ok(()) => Ok(claims),
            Err(JsonError { fault: Fault::Duplicate(_), .. }) => Err(Cause::MalformedDuplicate),
            Err(_) => Err(claims.wrong.unwrap_or(Cause::MalformedPayload)),
        }
    }

    fn text<A: MapAccess<'de>>(&mut self, values: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
        self.wrong = Some(Cause::MalformedClaim);
        let text = values.next_value::<Option<Text<'de>>>()?;
        self.wrong = None;
        Ok(text.map(|text| text.0))
    }

    fn user<A: MapAccess<'de>>(&mut self, values: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
        self.wrong = Some(Cause::MalformedClaim);
        let user = values.next_value::<Option<User<'de>>>()?;
        self.wrong = None;
        Ok(user.map(|user| user.0))
    }

    fn date<A: MapAccess<'de>>(&mut self, values: &mut A) -> Result<Option<UnixMillis>, A::Error> {
        self.wrong = Some(Cause::MalformedDate);
        let date = values.next_value::<Option<NumericDate>>()?;
        self.wrong = None;
        Ok(date.map(|date| date.0))
    }
}

impl<'de> Members<'de> for Registered<'de, '_> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A, _: Walk<'_>) -> Result<bool, A::Error> {
        match name {
            "iss" => self.issuer = self.text(values)?,
            "sub" => self.subject = self.user(values)?,
            "aud" => {
                self.wrong = Some(Cause::MalformedClaim);
                self.audience_matches = values.next_value_seed(Audience(self.wanted))?;
                self.wrong = None;
            }
            "exp" => self.expires_at = self.date(values)?,
            "nbf" => self.not_before = self.date(values)?,
            "iat" => self.issued_at = self.date(values)?,
            "jti" => self.token_id = self.text(values)?,
            "sid" => self.session = self.text(values)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The `iss` of a payload, for looking up whose keys are to verify the token.
pub(crate) fn issuer_of(payload: &[u8]) -> Result<Option<Cow<'_, str>>, Cause> {
    Registered::read(payload, Audiences::Any).map(|claims| claims.issuer)
}

/// A `sub`: a string, or a whole number of 64 bits, which stands for its digits. RFC 7519 section 4.1.2 knows strings
/// alone, but libraries sign what an application gives them, and that is often the number of a user.
struct User<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for User<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UserVisitor;
        impl<'de> Visitor<'de> for UserVisitor {
            type Value = User<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<User<'de>, E> {
                Ok(User(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<User<'de>, E> {
                Ok(User(Cow::Owned(text.to_owned())))
            }
            fn visit_u64<E>(self, number: u64) -> Result<User<'de>, E> {
                Ok(User(Cow::Owned(number.to_string())))
            }
            fn visit_i64<E>(self, number: i64) -> Result<User<'de>, E> {
                Ok(User(Cow::Owned(number.to_string())))
            }
        }
        deserializer.deserialize_any(UserVisitor)
    }
}

/// A string or an array of strings (RFC 7519 section 4.1.3): does it hold one wanted?
struct Audience<'a>(Audiences<'a>);

impl<'de> DeserializeSeed<'de> for Audience<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Audience<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or an array of strings")
    }
    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
    fn visit_str<E>(self, audience: &str) -> Result<bool, E> {
        Ok(self.0.include(audience))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(Text(audience)) = items.next_element()? {
            found |= self.0.include(audience.as_ref());
        }
        Ok(found)
    }
}

/// Seconds since the epoch, whole or not (RFC 7519 section 2), rounded down to the millisecond.
struct NumericDate(UnixMillis);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = NumericDate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since the epoch")
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
                UnixMillis::from_secs(seconds).map(NumericDate).ok_or_else(|| E::custom("out of range"))
            }
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
                let millis = (seconds * 1000.0).floor();
                #[allow(clippy::cast_precision_loss)] // 48 bits fit the 53 of a double
                let in_range = 0.0..=UnixMillis::MAX.get() as f64;
                if !in_range.contains(&millis) {
                    return Err(E::custom("out of range"));
                }
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // whole, and in range
                UnixMillis::new(millis as u64).map(NumericDate).ok_or_else(|| E::custom("out of range"))
            }
        }
        deserializer.deserialize_any(Seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_claims_are_kept_to_the_letter() {
        let members = |json: &str| Claims::parse(json.as_bytes()).unwrap().members().to_owned();
        assert_eq!(members(r#" { "role" : "admin", "n":1.0 } "#), r#""role" : "admin", "n":1.0"#);
        assert_eq!(members("{ }"), "");
        assert_eq!(members(r#"{"nested":{"exp":1}}"#), r#""nested":{"exp":1}"#);
    }

    #[test]
    fn reserved_claims_are_refused_by_name_however_they_are_spelled() {
        for name in RESERVED {
            let json = format!(r#"{{"a":1,"{name}":1}}"#);
            assert_eq!(Claims::parse(json.as_bytes()), Err(ClaimsError::Reserved(name)));
        }
        assert_eq!(Claims::parse(br#"{"\u0073id":1}"#), Err(ClaimsError::Reserved("sid")));
    }

    #[test]
    fn what_is_no_strict_object_is_refused() {
        assert_eq!(Claims::parse(br#"{"a":{"b":1,"b":2}}"#), Err(ClaimsError::Duplicate { line: 1, column: 15 }));
        assert_eq!(Claims::parse(format!("{{\"a\":{}", "[".repeat(16)).as_bytes()), Err(ClaimsError::TooDeep));
        for json in [&b"[]"[..], b"", b"{}{}", b"{\"a\":\"\xff\"}", b"null", b"\xc2\xa0{}", b"{}\x0b"] {
            assert!(matches!(Claims::parse(json), Err(ClaimsError::Json { .. })), "{}", json.escape_ascii());
        }
    }

    fn expiry(number: &str) -> Option<Option<u64>> {
        let payload = format!(r#"{{"exp":{number}}}"#);
        Registered::read(payload.as_bytes(), Audiences::Any).ok().map(|claims| claims.expires_at.map(UnixMillis::get))
    }

    #[test]
    fn dates_are_numbers_whole_or_not() {
        assert_eq!(expiry("0"), Some(Some(0)));
        assert_eq!(expiry("-0"), Some(Some(0)));
        assert_eq!(expiry("1700000000"), Some(Some(1_700_000_000_000)));
        assert_eq!(expiry("1700000000.25"), Some(Some(1_700_000_000_250)));
        assert_eq!(expiry("1.7e9"), Some(Some(1_700_000_000_000)));
        assert_eq!(expiry("281474976710"), Some(Some(281_474_976_710_000)));
        assert_eq!(expiry("281474976710.655"), Some(Some((1 << 48) - 1)));
    }

    #[test]
    fn dates_that_are_no_numbers_or_out_of_range_are_refused() {
        for bad in [
            "-1",
            "-0.1",
            "-1e-9",
            "281474976711",
            "281474976710.656",
            "1e300",
            "1e999",
            "18446744073709551616",
            "\"1\"",
            "true",
            "[1]",
            "{}",
            "NaN",
            "Infinity",
            "0x10",
        ] {
            assert_eq!(expiry(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_user_is_a_string_or_a_whole_number() {
        let user = |sub: &str| {
            let payload = format!(r#"{{"sub":{sub}}}"#).into_bytes();
            Registered::read(&payload, Audiences::Any).map(|claims| claims.subject.map(Cow::into_owned))
        };
        for (sub, name) in [
            (r#""ada""#, "ada"),
            (r#""\u0061da""#, "ada"),
            ("42", "42"),
            ("-7", "-7"),
            ("0", "0"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
        ] {
            assert_eq!(user(sub), Ok(Some(name.to_owned())), "{sub}");
        }
        assert_eq!(user("null"), Ok(None));
        for bad in ["4.0", "1e3", "-0", "18446744073709551616", "true", "[]", "[42]", "{}", "042", "+1", "0x1"] {
            assert!(user(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_audience_is_a_string_or_an_array_of_strings() {
        let holds = |aud: &str| {
            let payload = format!(r#"{{"aud":{aud}}}"#);
            Registered::read(payload.as_bytes(), Audiences::One("api")).ok().map(|claims| claims.audience_matches)
        };
        assert_eq!(holds(r#""api""#), Some(true));
        assert_eq!(holds(r#""\u0061pi""#), Some(true));
        assert_eq!(holds(r#"["web","api"]"#), Some(true));
        assert_eq!(holds(r#"["web"]"#), Some(false));
        assert_eq!(holds("[]"), Some(false));
        for bad in ["1", "{}", r#"["api",1]"#, r#"[["api"]]"#, r#"["api",null]"#] {
            assert_eq!(holds(bad), None, "{bad}");
        }
    }
}
