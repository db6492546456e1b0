//! The commands: a file each, and the table that registers them.

mod apply;
mod check;
mod count;
mod create;
mod deny;
mod get;
mod keys;
mod list;
mod parser;
mod refresh;
mod regenerate;
mod revoke;
mod revoke_all;
mod revoke_user;
mod set;
mod stats;
mod tokens;
mod touch;
mod ttl;
mod user;
mod validate;

use std::ffi::c_int;

use redis_module::raw;

use crate::ffi::Failure;
use crate::ffi::{Call, guarded};

/// A command: what it is called and takes, and what it does.
pub(crate) trait Command {
    const SPEC: Spec;

    /// Parses, opens, asks core, replicates and notifies, replies.
    fn run(call: &Call<'_>) -> Result<(), Failure>;
}

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
    pub(crate) fn categories(&self) -> String {
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

const fn entry<C: Command>() -> Entry {
    Entry { spec: &C::SPEC, callback: guarded::<C> }
}

/// All commands.
pub(crate) static TABLE: [Entry; 18] = [
    entry::<create::Create>(),
    entry::<validate::Validate>(),
    entry::<touch::Touch>(),
    entry::<refresh::Refresh>(),
    entry::<regenerate::Regenerate>(),
    entry::<get::Get>(),
    entry::<list::List>(),
    entry::<count::Count>(),
    entry::<ttl::Ttl>(),
    entry::<set::Set>(),
    entry::<set::Unset>(),
    entry::<revoke::Revoke>(),
    entry::<revoke_user::RevokeUser>(),
    entry::<deny::Deny>(),
    entry::<revoke_all::RevokeAll>(),
    entry::<stats::Stats>(),
    entry::<keys::Keys>(),
    entry::<apply::Apply>(),
];

fn no_randomness(error: impl std::fmt::Display) -> Failure {
    Failure::invalid(format!("the operating system has no randomness to give: {error}"))
}
