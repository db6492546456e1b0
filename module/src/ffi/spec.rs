//! What the server is told of a command: its name, flags, key and arguments.

use std::ffi::c_int;

use redis_module::raw;

/// What the server, `COMMAND DOCS` and the documentation say of a command.
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) complexity: &'static str,
    /// As in RedisModule_CreateCommand.
    pub(crate) flags: &'static str,
    pub(crate) key: KeyUse,
}

/// What a command does with its key, the first argument.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyUse {
    /// It has none, and what it does or tells is for operators.
    None,
    /// It has none, and what it tells is for everybody.
    NoneForAll,
    Reads,
    Updates,
    Inserts,
    Deletes,
}

/// One argument in `COMMAND DOCS`.
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) form: Form,
    /// The option's word, which comes before the value.
    pub(crate) word: Option<&'static str>,
    pub(crate) is_optional: bool,
    /// Whether it may be there again and again.
    pub(crate) is_repeated: bool,
}

/// What an argument consists of.
pub(crate) enum Form {
    Key,
    Text,
    Integer,
    /// Unix milliseconds.
    UnixTime,
    /// Nothing but its word.
    Word,
    OneOf(Vec<Argument>),
    /// All of these, one after the other.
    Block(Vec<Argument>),
}

impl Argument {
    /// An argument that must be there, once.
    pub(crate) fn new(name: impl Into<String>, word: Option<&'static str>, form: Form) -> Self {
        Self { name: name.into(), form, word, is_optional: false, is_repeated: false }
    }

    pub(crate) fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    pub(crate) fn repeated(self) -> Self {
        Self { is_repeated: true, ..self }
    }

    /// The fewest words that it takes, and whether it may take more.
    fn words(&self) -> (i16, bool) {
        let word = i16::from(self.word.is_some());
        let (fewest, open) = match &self.form {
            Form::Word => (word, false),
            Form::Key | Form::Text | Form::Integer | Form::UnixTime => (word.saturating_add(1), false),
            Form::OneOf(parts) => {
                let fewest = parts.iter().map(|part| part.words().0).min().unwrap_or(0);
                (fewest.saturating_add(word), parts.iter().any(|part| part.words() != (fewest, false)))
            }
            Form::Block(parts) => {
                let (fewest, open) = all_words(parts);
                (fewest.saturating_add(word), open)
            }
        };
        (if self.is_optional { 0 } else { fewest }, open || self.is_optional || self.is_repeated)
    }
}

fn all_words(arguments: &[Argument]) -> (i16, bool) {
    arguments
        .iter()
        .map(Argument::words)
        .fold((0, false), |(sum, any), (fewest, open)| (sum.saturating_add(fewest), any || open))
}

/// The number of words of a command with its name; negative for at least so many.
pub(super) fn arity(arguments: &[Argument]) -> i16 {
    let (fewest, open) = all_words(arguments);
    let words = fewest.saturating_add(1);
    if open { words.saturating_neg() } else { words }
}

impl Spec {
    /// The ACL categories, where the server lets modules name them.
    pub(super) fn categories(&self) -> String {
        let kind = match self.key {
            // As INFO and CONFIG: not for who may read some keys.
            KeyUse::None => "admin",
            KeyUse::NoneForAll | KeyUse::Reads => "read",
            KeyUse::Updates | KeyUse::Inserts | KeyUse::Deletes => "write",
        };
        let speed = if self.flags.split(' ').any(|flag| flag == "fast") { "fast" } else { "slow" };
        format!("{kind} {speed}")
    }
}

type Callback = extern "C" fn(*mut raw::RedisModuleCtx, *mut *mut raw::RedisModuleString, c_int) -> c_int;

/// A row of the table.
pub(crate) struct Entry {
    pub(crate) spec: &'static Spec,
    /// The arguments, as the command parses them.
    pub(crate) arguments: fn() -> Vec<Argument>,
    pub(crate) callback: Callback,
}
