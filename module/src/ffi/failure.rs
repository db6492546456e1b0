//! Why a command was refused.

use std::fmt;

/// A refused command, as the client reads it: a stable upper-case code, then a sentence for people.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong number of arguments.
    Arity,
    /// The key holds a value of another type.
    WrongType,
    /// Bad syntax or a bad value; the text names the argument.
    Invalid(String),
    /// Anything that a program should be able to tell apart: a code of its own, and why.
    Coded(&'static str, String),
}

impl Failure {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arity => f.write_str("ERR wrong number of arguments"),
            Self::WrongType => f.write_str("WRONGTYPE Operation against a key holding the wrong kind of value"),
            Self::Invalid(text) => write!(f, "ERR {text}"),
            Self::Coded(code, text) => write!(f, "{code} {text}"),
        }
    }
}
