//! What the server is told of a command: its name and flags, its key, and its arguments.

use std::ffi::c_int;

use redis_module::raw;

/// What the server, `COMMAND DOCS` and the documentation say of a command.
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) complexity: &'static str,
    /// As in RedisModule_CreateCommand.
    pub(crate) flags: &'static str,
    /// The number of arguments with the name; negative for at least so many.
    pub(crate) arity: i16,
    pub(crate) key: KeyUse,
    pub(crate) grammar: &'static [Grammar],
}

/// What a command does with its key, the first argument.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyUse {
    /// It has none.
    None,
    Reads,
    Updates,
    Inserts,
    Deletes,
}

/// One part of a command's arguments.
#[derive(Clone, Copy)]
pub(crate) enum Grammar {
    Key,
    /// A value that must be there.
    Value(&'static str),
    /// One or more values.
    Values(&'static str),
    /// `[WORD value]`
    Option(&'static str, &'static str, Kind),
    /// `WORD value`
    RequiredOption(&'static str, &'static str, Kind),
    /// `[WORD unix-time-milliseconds | OTHER]`
    TimeOr(&'static str, &'static str),
    /// `[WORD value | OTHER value]`
    EitherOption(&'static [(&'static str, &'static str)]),
    /// `name value [name value ...]`
    Pairs(&'static str, &'static str),
    /// `[WORD]`
    Flag(&'static str),
    /// `[ONE | OTHER]`
    Either(&'static [&'static str]),
    /// `[WORD ONE | OTHER]`
    Choice(&'static str, &'static [&'static str]),
    /// `[WORD n field value ...]`
    Fields(&'static str),
}

/// The type of a value.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Integer,
    /// Unix milliseconds.
    UnixTime,
}

impl Spec {
    /// The ACL categories, where the server lets modules name them.
    pub(super) fn categories(&self) -> String {
        let kind = match self.key {
            // As INFO and CONFIG: for operators, not for who may read some keys.
            KeyUse::None => "admin",
            KeyUse::Reads => "read",
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
    pub(crate) callback: Callback,
}
