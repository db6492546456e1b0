//! The harness of the integration tests: real servers on loopback, each with a port and a folder of its own.
//!
//! ```no_run
//! use redis_session_tests::{Server, cmd, fields};
//!
//! let server = Server::start(); // with the module, without persistence; killed when dropped
//! let mut con = server.connection();
//! let created = fields(cmd(&mut con, "SESSION.CREATE sessions:42 TTL 60").unwrap());
//! assert!(created.int("expires_at") > redis_session_tests::now_ms(&mut con));
//! ```
//!
//! - [`Server`], [`ServerBuilder`]: start, restart, kill and replicate servers; read their log.
//! - [`cmd`], [`cmd_args`]: send a command as it is written in the documentation.
//! - [`create`], [`login`], [`verdict`], [`ask`], [`int`], [`ids`], [`error`]: what tests ask for most.
//! - [`fields`], [`list`], [`text`]: read replies, whichever protocol version they came over.
//! - [`jwk_set`]: keys for a [`ServerBuilder::keys`] file, so that tokens outlive a server.
//! - [`issuer`]: tokens that were made elsewhere, good and bad ones.
//! - [`Cluster`], [`Sentinels`]: servers that are one Redis Cluster, or watched by Redis Sentinel.
//! - [`Port`]: for programs beside them.
//! - [`Server::advance`], [`advance`], [`advance_to`], [`advance_past`], [`set_back`], [`now_ms`]: the module's clock, which tests move
//!   instead of waiting.
//! - [`wait_until`]: await a condition, where one would otherwise sleep.
//! - [`restore_backup`]: what an operator does with a backup.
//! - [`amount`]: how much a random test does.
//! - [`skipped`]: what a test cannot test here.
//! - [`near`]: what a store with a near cache says.
//! - [`Browser`]: Chromium, for tests of pages.
//! - [`pyjwt`]: another library that checks tokens, in Python.
//!
//! Everything here panics when something is not as expected: a panic is how a test reports.
//!
//! Variables of the environment choose other programs: `REDIS_SERVER` and `REDIS_CLI` (a command, or a command
//! with arguments separated by white space) and `REDIS_SESSION_MODULE` (the path of the module); `REDIS_TEST_WAIT`
//! is how many seconds a wait may take, 30 by default. With `REDIS_TEST_ORDERLY_END`, a server that is dropped is asked
//! to end rather than killed, so that a checker of memory around it can report; with `REDIS_TEST_DEFRAGMENT`, all
//! servers defragment as often as they can.

mod amount;
mod ask;
mod binaries;
mod builder;
mod clock;
mod cluster;
mod command;
mod fields;
mod format;
pub mod issuer;
mod keys;
pub mod near;
mod port;
mod pyjwt;
mod restore;
mod sentinel;
mod server;
mod skip;
mod wait;
mod webdriver;

pub use amount::amount;
pub use ask::{
    ask, create, create_with, error, error_text, ids, int, login, on_both, on_both_of, refusal, verdict, verdict_with,
};
pub use binaries::{module_path, program_path};
pub use builder::{ServerBuilder, users_acl};
pub use clock::{advance, advance_past, advance_to, now_ms, set_back};
pub use cluster::Cluster;
pub use command::{cmd, cmd_args};
pub use fields::{Fields, fields, list, text};
pub use keys::{jwk_set, write_private};
pub use port::Port;
pub use pyjwt::pyjwt;
pub use restore::restore_backup;
pub use sentinel::Sentinels;
pub use server::{Frozen, Output, Server};
pub use skip::skipped;
pub use wait::wait_until;
pub use webdriver::Browser;

#[cfg(test)]
mod circles;
#[cfg(test)]
mod tests;

/// The Rust of the project's README, to be compiled as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The same of the page for clients.
#[cfg(doctest)]
#[doc = include_str!("../../docs/clients.md")]
struct Clients;
