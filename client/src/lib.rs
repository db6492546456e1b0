//! Login sessions and JWT checks inside Redis: the client for the `redis-session` module.
//!
//! It adds the `SESSION.*` commands to the connections of the [`redis`] crate, with typed options and replies.
//!
//! ```no_run
//! use std::time::Duration;
//! use redis_session::{CreateOptions, KeyPrefix, SessionCommands, ValidateOptions, Validation};
//!
//! # fn main() -> redis::RedisResult<()> {
//! let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
//! let keys = KeyPrefix::default();
//!
//! // Log in: one session, and a signed JWT for it.
//! let options = CreateOptions::new().idle(Duration::from_secs(1800)).agent("Firefox on Linux");
//! let login = redis.session_create(keys.key("42"), &options)?;
//! let token = login.token.expect("there is one, unless TokenKind::None was asked for");
//!
//! // Each request: is the token genuine, and its session alive? The token alone tells where to ask.
//! let Some(key) = keys.key_of_token(&token) else { return Ok(()) }; // 401
//! match redis.session_touch(key, &token, &ValidateOptions::new())? {
//!     Validation::Active(session) => println!("session {}", session.id),
//!     Validation::Inactive(inactive) => println!("401: {}", inactive.reason),
//! }
//!
//! // Log out, here or everywhere: the token is dead at once.
//! redis.session_revoke(keys.key("42"), &token)?;
//! redis.session_revoke_user(keys.key("42"))?;
//! # Ok(())
//! # }
//! ```
//!
//! The server decides everything: it makes and verifies the tokens, keeps the deadlines and the number of sessions,
//! each command in one atomic step. This crate holds no keys and no state.
//!
//! # Staying logged in
//!
//! With a refresh token, access tokens can be short-lived and sessions long. It is exchanged for two new tokens, and
//! one that was stolen gives itself away by being used twice:
//!
//! ```no_run
//! use std::time::Duration;
//! use redis_session::{CreateOptions, Grant, RefreshOptions, SessionCommands};
//!
//! # fn main() -> redis::RedisResult<()> {
//! # let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
//! let options = CreateOptions::new().ttl(Duration::from_secs(30 * 86_400)).refreshable();
//! let login = redis.session_create("sessions:42", &options)?;
//! let refresh_token = login.refresh_token.expect("there is one, as `refreshable` asked for it");
//!
//! match redis.session_refresh("sessions:42", &refresh_token, &RefreshOptions::new())? {
//!     Grant::Granted(tokens) => println!("two new tokens, until {:?}", tokens.refresh_expires_at),
//!     Grant::Refused(inactive) => println!("401, log in again: {}", inactive.reason),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Connections
//!
//! [`SessionCommands`] is for synchronous connections, [`AsyncSessionCommands`] (feature `aio`) for asynchronous ones,
//! with the same methods. Both work with every connection of the [`redis`] crate: a plain one, one of a pool, one of
//! a cluster, where each command goes straight to the node that has the user's key. What else a connection needs
//! (reconnecting, TLS, clusters, another runtime than Tokio) are features of `redis`:
//!
//! ```toml
//! [dependencies]
//! redis = { version = "1.8", features = ["connection-manager"] }
//! redis-session = { version = "0.1", features = ["aio"] }
//! ```
//!
//! For pipelines and transactions, [`commands`] has each command as a function.
//!
//! # Errors
//!
//! A bad token is an answer and not an error. Errors are [`redis::RedisError`]s as for any command;
//! [`SessionErrorCode::of`] tells those of the sessions apart.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod commands;
mod error;
mod fields;
mod options;
mod replies;
mod routing;
#[cfg(test)]
mod testing;
mod tokens;

#[cfg(feature = "aio")]
pub use commands::AsyncSessionCommands;
pub use commands::SessionCommands;
pub use error::SessionErrorCode;
pub use options::{CreateOptions, LimitPolicy, RefreshOptions, TokenKind, ValidateOptions};
pub use redis;
pub use redis_session_core::Reason;
pub use replies::{ActiveSession, Details, Inactive, InactiveReason, Session, SessionData, Timestamp, Validation};
pub use routing::{KeyPrefix, unverified_user};
pub use tokens::{Created, Grant};

/// The Rust of the README, to be compiled as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
