//! The kinds of values that arguments have: how each is read, checked, documented and kept secret.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use redis_session_core::sessions::{Data, agent_text};
use redis_session_core::token::{Claims, holds_token, is_token};
use redis_session_core::{SessionId, UnixMillis};

use crate::ffi::{Failure, Form};
use crate::settings::MAX_SECONDS;

/// A kind of value.
pub(super) trait Kind<'a> {
    type Value;

    /// Its type in `COMMAND DOCS`.
    const FORM: Form = Form::Text;

    const REDACTED: Redacted;

    /// Reads the value that errors call `what`.
    fn read(&self, what: &str, bytes: &'a [u8]) -> Result<Self::Value, Failure>;
}

/// When MONITOR and SLOWLOG do not show a value.
#[derive(Clone, Copy)]
pub(super) enum Redacted {
    /// It is a token.
    Always,
    /// It may hold a token, if only by mistake, and is redacted if it does.
    Tokens,
    /// It cannot hold a token: the command is refused, and a refused command shows none.
    Never,
}

/// A token.
pub(super) struct Token;

impl<'a> Kind<'a> for Token {
    type Value = &'a [u8];

    const REDACTED: Redacted = Redacted::Always;

    fn read(&self, _: &str, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        Ok(bytes)
    }
}

/// The id of a session.
pub(super) struct Id;

impl Kind<'_> for Id {
    type Value = SessionId;

    const REDACTED: Redacted = Redacted::Tokens;

    fn read(&self, what: &str, bytes: &[u8]) -> Result<SessionId, Failure> {
        no_token(what, bytes)?;
        SessionId::from_text(bytes).map_err(|why| Failure::invalid(format!("{what} {why}")))
    }
}

/// What a JWT made elsewhere calls its session: a text of any length.
pub(super) struct ForeignId;

impl<'a> Kind<'a> for ForeignId {
    type Value = &'a [u8];

    const REDACTED: Redacted = Redacted::Tokens;

    fn read(&self, what: &str, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        no_token(what, bytes).map(|()| bytes)
    }
}

/// A text with a token in it is no id. A client that sends `Bearer` with a token learns its mistake, instead of that
/// nothing was found.
fn no_token(what: &str, bytes: &[u8]) -> Result<(), Failure> {
    match holds_token(bytes) {
        true => Err(Failure::invalid(format!("{what} looks like a token; an id must not"))),
        false => Ok(()),
    }
}

/// The id of a session, or a token, which names its session.
pub(super) struct IdOrToken;

/// What an application names a session by.
pub(super) enum Named<'a> {
    Id(SessionId),
    Token(&'a [u8]),
}

impl<'a> From<&'a [u8]> for Named<'a> {
    fn from(token: &'a [u8]) -> Self {
        Self::Token(token)
    }
}

impl<'a> Kind<'a> for IdOrToken {
    type Value = Named<'a>;

    const REDACTED: Redacted = Redacted::Tokens;

    fn read(&self, what: &str, bytes: &'a [u8]) -> Result<Named<'a>, Failure> {
        if is_token(bytes) {
            return Ok(Named::Token(bytes));
        }
        // It is no token, so errors speak of the id.
        let what = what.strip_suffix("-or-token").unwrap_or(what);
        Id.read(what, bytes).map(Named::Id)
    }
}

/// A whole number from `min` to `max`.
pub(super) struct Whole {
    pub(super) min: i64,
    pub(super) max: i64,
}

/// An Authenticator Assurance Level of NIST SP 800-63B.
pub(super) struct Level;

impl Kind<'_> for Level {
    type Value = u8;

    const FORM: Form = Form::Integer;
    const REDACTED: Redacted = Redacted::Never;

    fn read(&self, what: &str, bytes: &[u8]) -> Result<u8, Failure> {
        Whole { min: 1, max: 3 }.read(what, bytes).map(|level| u8::try_from(level).unwrap_or(3))
    }
}

/// A time span in seconds of at least `min`.
pub(super) const fn seconds(min: i64) -> Whole {
    Whole { min, max: MAX_SECONDS }
}

impl Kind<'_> for Whole {
    type Value = u64;

    const FORM: Form = Form::Integer;
    const REDACTED: Redacted = Redacted::Never;

    fn read(&self, what: &str, bytes: &[u8]) -> Result<u64, Failure> {
        let Self { min, max } = *self;
        let number = number::<i64>(bytes).filter(|number| (min..=max).contains(number));
        let number = number.and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| Failure::invalid(format!("{what} must be a whole number from {min} to {max}")))
    }
}

/// A number as in the server's own commands: digits and perhaps a minus sign, but no plus sign and no spaces.
fn number<T: FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok())
}

/// A whole number of 64 bits.
pub(super) struct Integer;

impl Kind<'_> for Integer {
    type Value = i64;

    const FORM: Form = Form::Integer;
    const REDACTED: Redacted = Redacted::Never;

    fn read(&self, what: &str, bytes: &[u8]) -> Result<i64, Failure> {
        number(bytes).ok_or_else(|| Failure::invalid(format!("{what} must be a whole number of 64 bits")))
    }
}

/// The version of a session's data, or `*` for any.
pub(super) struct DataVersion;

impl Kind<'_> for DataVersion {
    type Value = Option<u64>;

    const REDACTED: Redacted = Redacted::Never;

    fn read(&self, what: &str, bytes: &[u8]) -> Result<Option<u64>, Failure> {
        if bytes == b"*" {
            return Ok(None);
        }
        let wrong = || Failure::invalid(format!("{what} must be * or a whole number from 0 to {}", u64::MAX));
        number(bytes).map(Some).ok_or_else(wrong)
    }
}

/// A point in time in Unix milliseconds.
pub(super) struct Time;

impl Kind<'_> for Time {
    type Value = UnixMillis;

    const FORM: Form = Form::UnixTime;
    const REDACTED: Redacted = Redacted::Never;

    fn read(&self, what: &str, bytes: &[u8]) -> Result<UnixMillis, Failure> {
        let time = Whole { min: 0, max: UnixMillis::MAX.as_i64() }.read(what, bytes)?;
        Ok(UnixMillis::new(time).unwrap_or(UnixMillis::MAX))
    }
}

/// UTF-8 text of at most `max` bytes without control characters.
pub(super) struct Text {
    pub(super) max: usize,
}

impl<'a> Kind<'a> for Text {
    type Value = &'a str;

    const REDACTED: Redacted = Redacted::Tokens;

    fn read(&self, what: &str, bytes: &'a [u8]) -> Result<&'a str, Failure> {
        let max = self.max;
        let text =
            std::str::from_utf8(bytes).ok().filter(|text| text.len() <= max && !text.chars().any(char::is_control));
        text.ok_or_else(|| {
            Failure::invalid(format!("{what} must be at most {max} bytes of UTF-8 text without control characters"))
        })
    }
}

/// A user agent, of which none is refused.
pub(super) struct Agent;

impl<'a> Kind<'a> for Agent {
    type Value = Cow<'a, str>;

    const REDACTED: Redacted = Redacted::Tokens;

    fn read(&self, _: &str, bytes: &'a [u8]) -> Result<Cow<'a, str>, Failure> {
        Ok(agent_text(bytes))
    }
}

/// An IPv4 or IPv6 address, as it is or as sockets and proxies write it: with a port, in brackets, with a zone. These are
/// left out.
pub(super) struct Ip;

impl Kind<'_> for Ip {
    type Value = IpAddr;

    const REDACTED: Redacted = Redacted::Never;

    fn read(&self, what: &str, bytes: &[u8]) -> Result<IpAddr, Failure> {
        let ip = std::str::from_utf8(bytes).ok().and_then(address);
        // One client, one address: a dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d.
        ip.map(|ip| ip.to_canonical())
            .ok_or_else(|| Failure::invalid(format!("{what} must be an IPv4 or IPv6 address")))
    }
}

fn address(text: &str) -> Option<IpAddr> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (ip, behind) = bracketed.split_once(']')?;
        let is_port = behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port);
        return zoned(ip).filter(|_| is_port);
    }
    match text.split_once(':') {
        // Of an IPv6 address the first part has no dot.
        Some((ip, port)) if ip.contains('.') => ip.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::V4),
        Some(_) => zoned(text),
        None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// An IPv6 address, perhaps with a zone (RFC 4007 section 11).
fn zoned(text: &str) -> Option<IpAddr> {
    let ip = match text.split_once('%') {
        Some((_, "")) => return None,
        Some((ip, _)) => ip,
        None => text,
    };
    ip.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// What an application knows a device by.
pub(super) struct DeviceFingerprint;

impl<'a> Kind<'a> for DeviceFingerprint {
    type Value = &'a [u8];

    const REDACTED: Redacted = Redacted::Tokens;

    fn read(&self, what: &str, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        if bytes.is_empty() || bytes.len() > 4096 {
            return Err(Failure::invalid(format!("{what} must have 1 to 4096 bytes")));
        }
        Ok(bytes)
    }
}

/// A JSON object of an application's own claims.
pub(super) struct OwnClaims;

impl<'a> Kind<'a> for OwnClaims {
    type Value = &'a str;

    const REDACTED: Redacted = Redacted::Tokens;

    fn read(&self, what: &str, bytes: &'a [u8]) -> Result<&'a str, Failure> {
        Claims::parse(bytes).map_err(|why| Failure::invalid(format!("{what} {why}")))?;
        std::str::from_utf8(bytes).map_err(|_| Failure::invalid(format!("{what} is not UTF-8")))
    }
}

/// The name of a field of a session's data.
pub(super) struct FieldName;

impl<'a> Kind<'a> for FieldName {
    type Value = &'a [u8];

    const REDACTED: Redacted = Redacted::Tokens;

    fn read(&self, _: &str, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        if bytes.is_empty() || bytes.len() > 1024 {
            return Err(Failure::invalid("field names must have 1 to 1024 bytes"));
        }
        Ok(bytes)
    }
}

/// The value of a field of a session's data: any bytes.
pub(super) struct FieldValue;

impl<'a> Kind<'a> for FieldValue {
    type Value = &'a [u8];

    const REDACTED: Redacted = Redacted::Tokens;

    fn read(&self, _: &str, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        Ok(bytes)
    }
}

/// Packs fields that were given; `twice` says that one was given twice.
pub(super) fn pack(fields: Vec<(&[u8], &[u8])>, twice: &str) -> Result<Data<'static>, Failure> {
    Data::pack(fields).ok_or_else(|| Failure::invalid(twice))
}

/// Encoded effects, of a command that MONITOR and SLOWLOG never show.
pub(super) struct Effects;

impl<'a> Kind<'a> for Effects {
    type Value = &'a [u8];

    const REDACTED: Redacted = Redacted::Never;

    fn read(&self, _: &str, bytes: &'a [u8]) -> Result<&'a [u8], Failure> {
        Ok(bytes)
    }
}
