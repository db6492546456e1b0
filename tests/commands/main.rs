//! What each command does and answers, over real connections.
//!
//! ```text
//! create, check, reasons, read, list, revoke, revoke_user, revoke_all, deny    what each command does
//! grammar, misuse, secrets, hostile                    what it refuses, and what it never tells
//! keyspace, key_expiry, watchers, many, races          one key per user: as a key, watched, large, and contended
//! key_form                                             and one spelling of it
//! json                                                 replies as one JSON text
//! client                                               the same through the client crate
//! ```

mod check;
mod client;
mod create;
mod deny;
mod grammar;
mod hostile;
mod json;
mod key_expiry;
mod key_form;
mod keyspace;
mod list;
mod many;
mod misuse;
mod panics;
mod races;
mod read;
mod reasons;
mod revoke;
mod revoke_all;
mod revoke_user;
mod secrets;
mod watchers;
