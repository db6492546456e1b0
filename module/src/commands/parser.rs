//! A cursor over a command's arguments, which keeps tokens out of MONITOR and SLOWLOG as it goes.

use redis_session_core::token::holds_token;

use super::kinds::{Kind, Redacted};
use crate::ffi::{Arg, Args, Call, Failure};

/// Takes arguments from front to back.
#[derive(Clone, Copy)]
pub(super) struct Parser<'c, 'a> {
    call: &'c Call<'a>,
    args: &'c Args<'a>,
    next: usize,
}

impl<'c, 'a> Parser<'c, 'a> {
    /// Begins after the command's name.
    pub(super) fn new(call: &'c Call<'a>, args: &'c Args<'a>) -> Self {
        Self { call, args, next: 1 }
    }

    /// Whether the arguments come from the primary or an append-only file.
    pub(super) fn is_replay(&self) -> bool {
        self.call.is_replay()
    }

    /// Whether there is another argument.
    pub(super) fn has_more(&self) -> bool {
        self.args.get(self.next).is_some()
    }

    /// The next argument as it is.
    pub(super) fn arg(&mut self) -> Option<Arg<'a>> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        Some(arg)
    }

    /// The next argument as the word of an option.
    pub(super) fn word(&mut self) -> Option<Word<'a>> {
        self.arg().map(|arg| Word(arg.bytes()))
    }

    /// The next argument as a value without a word, which errors call `name`.
    pub(super) fn value<K: Kind<'a>>(&mut self, name: &str, kind: &K) -> Result<K::Value, Failure> {
        let bytes = self.bytes(K::REDACTED).ok_or(Failure::Arity)?;
        kind.read(name, bytes)
    }

    /// The next argument as the value of the option `word`.
    pub(super) fn value_of<K: Kind<'a>>(&mut self, word: &str, kind: &K) -> Result<K::Value, Failure> {
        let bytes = self.bytes(K::REDACTED).ok_or_else(|| Failure::invalid(format!("{word} needs a value")))?;
        kind.read(word, bytes)
    }

    fn bytes(&mut self, redacted: Redacted) -> Option<&'a [u8]> {
        let (index, bytes) = (self.next, self.arg()?.bytes());
        let redact = match redacted {
            Redacted::Always => true,
            // Every token has a dot, and most values have none, which takes much less time to find out.
            Redacted::Tokens => bytes.contains(&b'.') && holds_token(bytes),
            Redacted::Never => false,
        };
        if redact {
            self.args.redact(index);
        }
        Some(bytes)
    }
}

/// The word of an option as it was given.
#[derive(Clone, Copy)]
pub(super) struct Word<'a>(&'a [u8]);

impl Word<'_> {
    /// Whether it is `word`, in any case.
    #[inline(always)]
    pub(super) fn is(self, word: &str) -> bool {
        self.0.eq_ignore_ascii_case(word.as_bytes())
    }

    /// The error for a word that is no option here. What might be a secret in the wrong place is not repeated.
    pub(super) fn unknown(self) -> Failure {
        let harmless = (1..=20).contains(&self.0.len()) && self.0.iter().all(u8::is_ascii_alphabetic);
        let word = std::str::from_utf8(self.0).ok().filter(|_| harmless);
        Failure::invalid(match word {
            Some(word) => format!("unknown option {word}"),
            None => "syntax error: an option was expected".into(),
        })
    }
}
