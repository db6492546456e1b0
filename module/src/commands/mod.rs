//! The commands: a file each, and the table that registers them.

mod apply;
mod check;
mod command;
mod count;
mod create;
mod deny;
mod get;
mod grammar;
mod jwks;
mod keys;
mod kinds;
mod list;
mod parser;
mod refresh;
mod regenerate;
mod reload_keys;
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

use command::entry;

use crate::ffi::Entry;

/// All commands.
pub(crate) static TABLE: [Entry; 21] = [
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
    entry::<set::Incrby>(),
    entry::<set::Unset>(),
    entry::<revoke::Revoke>(),
    entry::<revoke_user::RevokeUser>(),
    entry::<deny::Deny>(),
    entry::<revoke_all::RevokeAll>(),
    entry::<stats::Stats>(),
    entry::<keys::Keys>(),
    entry::<reload_keys::ReloadKeys>(),
    entry::<jwks::Jwks>(),
    entry::<apply::Apply>(),
];
