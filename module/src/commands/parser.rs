//! A cursor over a command's arguments: parsing reads like the grammar.

use std::net::IpAddr;

use redis_session_core::token::holds_token;
use redis_session_core::{SessionId, UnixMillis};

use crate::ffi::{Arg, Call, Failure};
use crate::settings::MAX_SECONDS;

/// Takes arguments from front to back.
pub(crate) struct Parser<'c, 'a> {
    call: &'c Call<'a>,
    next: usize,
}

impl<'c, 'a> Parser<'c, 'a> {
    /// Begins after the command's name.
    pub(crate) fn new(call: &'c Call<'a>) -> Self {
        Self { call, next: 1 }
    }

    fn arg(&mut self) -> Option<Arg<'a>> {
        let arg = self.call.arg(self.next)?;
        self.next += 1;
        Some(arg)
    }

    /// The key, which every command has first.
    pub(crate) fn key(&mut self) -> Result<Arg<'a>, Failure> {
        self.arg().ok_or(Failure::Arity)
    }

    /// A positional argument. If it holds a token, even by mistake, it is kept out of MONITOR and SLOWLOG.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], Failure> {
        let value = self.unchecked_value()?;
        self.redact_token(value);
        Ok(value)
    }

    /// A positional argument of a command that MONITOR and SLOWLOG never show.
    pub(crate) fn unchecked_value(&mut self) -> Result<&'a [u8], Failure> {
        self.arg().map(Arg::bytes).ok_or(Failure::Arity)
    }

    /// A positional argument that is a token, and so is kept out of MONITOR and SLOWLOG.
    pub(crate) fn secret(&mut self) -> Result<&'a [u8], Failure> {
        let value = self.unchecked_value()?;
        self.call.redact(self.next - 1);
        Ok(value)
    }

    /// Keeps the argument that was just taken out of MONITOR and SLOWLOG if it holds a token.
    fn redact_token(&self, value: &[u8]) {
        // Every token has a dot, and most values have none, which takes much less time to find out.
        if value.contains(&b'.') && holds_token(value) {
            self.call.redact(self.next - 1);
        }
    }

    /// Another value if there is one.
    pub(crate) fn has_more(&self) -> bool {
        self.call.arg(self.next).is_some()
    }

    /// The next option's word, in upper case.
    pub(crate) fn option(&mut self) -> Option<Word<'a>> {
        self.arg().map(|arg| Word(arg.bytes()))
    }

    /// The value of the option `word`. If it holds a token, even by mistake, it is kept out of MONITOR and SLOWLOG.
    pub(crate) fn of(&mut self, word: &str) -> Result<&'a [u8], Failure> {
        let value = self.unchecked_of(word)?;
        self.redact_token(value);
        Ok(value)
    }

    /// The value of `word`, of which a token is refused: a refused command shows no token.
    fn unchecked_of(&mut self, word: &str) -> Result<&'a [u8], Failure> {
        self.arg().map(Arg::bytes).ok_or_else(|| Failure::invalid(format!("{word} needs a value")))
    }

    /// The value of `word`, a token, which is kept out of MONITOR and SLOWLOG.
    pub(crate) fn secret_of(&mut self, word: &str) -> Result<&'a [u8], Failure> {
        let value = self.unchecked_of(word)?;
        self.call.redact(self.next - 1);
        Ok(value)
    }

    /// The value of `word`, what an application knows a device by.
    pub(crate) fn fingerprint_of(&mut self, word: &str) -> Result<&'a [u8], Failure> {
        let value = self.of(word)?;
        if value.is_empty() || value.len() > 4096 {
            return Err(Failure::invalid(format!("{word} must have 1 to 4096 bytes")));
        }
        Ok(value)
    }

    /// The value of `word`, a whole number from `min` to `max`.
    pub(crate) fn integer_of(&mut self, word: &str, min: i64, max: i64) -> Result<u64, Failure> {
        let number = std::str::from_utf8(self.unchecked_of(word)?).ok().and_then(parse_integer);
        let number = number.filter(|number| (min..=max).contains(number)).and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| Failure::invalid(format!("{word} must be a whole number from {min} to {max}")))
    }

    /// The value of `word`, a time span in seconds of at least `min`.
    pub(crate) fn seconds_of(&mut self, word: &str, min: i64) -> Result<u64, Failure> {
        self.integer_of(word, min, MAX_SECONDS)
    }

    /// The value of `word`, a point in time in Unix milliseconds.
    pub(crate) fn time_of(&mut self, word: &str) -> Result<UnixMillis, Failure> {
        let time = self.integer_of(word, 0, UnixMillis::MAX.as_i64())?;
        Ok(UnixMillis::new(time).unwrap_or(UnixMillis::MAX))
    }

    /// The value of `word`, UTF-8 text of at most `max` bytes without control characters.
    pub(crate) fn text_of(&mut self, word: &str, max: usize) -> Result<&'a str, Failure> {
        let bytes = self.of(word)?;
        let text =
            std::str::from_utf8(bytes).ok().filter(|text| text.len() <= max && !text.chars().any(char::is_control));
        text.ok_or_else(|| {
            Failure::invalid(format!("{word} must be at most {max} bytes of UTF-8 text without control characters"))
        })
    }

    /// The value of `word`, an IPv4 or IPv6 address.
    pub(crate) fn ip_of(&mut self, word: &str) -> Result<IpAddr, Failure> {
        let ip = std::str::from_utf8(self.unchecked_of(word)?).ok().and_then(|text| text.parse::<IpAddr>().ok());
        // One client, one address: a dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d.
        ip.map(|ip| ip.to_canonical())
            .ok_or_else(|| Failure::invalid(format!("{word} must be an IPv4 or IPv6 address")))
    }

    /// The value of `word`, one of `words`; the answer is which.
    pub(crate) fn choice_of(&mut self, word: &str, words: &[&str]) -> Result<usize, Failure> {
        let given = Word(self.unchecked_of(word)?);
        words
            .iter()
            .position(|known| given.is(known))
            .ok_or_else(|| Failure::invalid(format!("{word} must be {}", words.join(" or "))))
    }
}

/// The session id that is given as `what`. A text with a token in it is refused: a client that sends `Bearer` with a token
/// learns its mistake, instead of that nothing was found.
pub(crate) fn session_id(what: &str, text: &[u8]) -> Result<SessionId, Failure> {
    if holds_token(text) {
        return Err(Failure::invalid(format!("{what} looks like a token; an id must not")));
    }
    SessionId::from_text(text).map_err(|why| Failure::invalid(format!("{what} {why}")))
}

/// The name of a field of a session's data.
pub(crate) fn field_name(name: &[u8]) -> Result<&[u8], Failure> {
    if name.is_empty() || name.len() > 1024 {
        return Err(Failure::invalid("field names must have 1 to 1024 bytes"));
    }
    Ok(name)
}

/// Digits only, with a minus sign perhaps: no plus sign, no spaces, as in the server's own commands.
fn parse_integer(text: &str) -> Option<i64> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// Fills the place of an option that may be given once.
pub(crate) fn once<T>(place: &mut Option<T>, word: &str, value: T) -> Result<(), Failure> {
    if place.replace(value).is_some() {
        return Err(Failure::invalid(format!("{word} is given twice")));
    }
    Ok(())
}

/// The word of an option as it was given.
#[derive(Clone, Copy)]
pub(crate) struct Word<'a>(&'a [u8]);

impl Word<'_> {
    /// Whether it is `word`, in any case.
    pub(crate) fn is(self, word: &str) -> bool {
        self.0.eq_ignore_ascii_case(word.as_bytes())
    }

    /// The error for a word that is no option here. What might be a secret in the wrong place is not repeated.
    pub(crate) fn unknown(self) -> Failure {
        let harmless = (1..=20).contains(&self.0.len()) && self.0.iter().all(u8::is_ascii_alphabetic);
        let word = std::str::from_utf8(self.0).ok().filter(|_| harmless);
        Failure::invalid(match word {
            Some(word) => format!("unknown option {word}"),
            None => "syntax error: an option was expected".into(),
        })
    }
}
