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
//! let token = login.token.expect("there is one, unless TokenFormat::None was asked for");
//!
//! // Each request: is the token genuine, and its session alive? The token alone tells where to ask.
//! let Some(key) = keys.key_of_token(&token) else { return Ok(()) }; // 401
//! match redis.session_touch(key, &token, &ValidateOptions::new())? {
//!     Validation::Active(session) => println!("until {:?}", session.expires_at),
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
//! The server decides everything: it makes and verifies the tokens, and enforces the deadlines and the limit of
//! sessions, each command in one atomic step. This crate holds no keys and no state.
//!
//! # Staying logged in
//!
//! With a refresh token, access tokens can be short-lived and sessions long. You exchange it for two new tokens. The
//! server detects a stolen one at its second use:
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
//! with the same methods. Both work with every connection of the [`redis`] crate: a plain one, one of a pool, one to a
//! cluster, where each command goes straight to the node that has the user's key. Other requirements of a connection
//! (reconnecting, a cluster, Sentinel, TLS, another runtime than Tokio) are features of `redis`:
//!
//! ```toml
//! [dependencies]
//! redis = { version = "1.8", features = ["connection-manager"] }
//! redis-session = { version = "0.1", features = ["aio"] }
//! ```
//!
//! For pipelines and transactions, [`commands`] has each command as a function.
//!
//! # Cluster and Sentinel
//!
//! The connections come with the features `cluster`, `cluster-async` and `sentinel` of `redis`. Every server needs the
//! same key file.
//!
//! ```no_run
//! # fn main() -> redis::RedisResult<()> {
//! use redis_session::redis::cluster::ClusterClient;
//! use redis_session::{KeyPrefix, SessionCommands};
//!
//! let nodes = ClusterClient::new(["redis://10.0.0.1/", "redis://10.0.0.2/", "redis://10.0.0.3/"])?;
//! let mut redis = nodes.get_connection()?; // or get_async_connection
//! // `sessions:{42}`, in one slot with `cart:{42}`: the servers have `session.key-form braces`.
//! let keys = KeyPrefix::default().hash_tag();
//! let login = redis.session_create(keys.key("42"), &Default::default())?;
//! # Ok(())
//! # }
//! ```
//!
//! A logout survives a crash of the primary if all replicas have it. `WAIT` returns how many have it. Send it over the
//! same connection, in one pipeline with the command:
//!
//! ```no_run
//! # fn main() -> redis::RedisResult<()> {
//! use redis_session::commands::session_revoke;
//! use redis_session::redis::sentinel::{SentinelClient, SentinelServerType};
//!
//! let sentinels = vec!["redis://10.0.0.1:26379/", "redis://10.0.0.2:26379/", "redis://10.0.0.3:26379/"];
//! let mut primary = SentinelClient::build(sentinels, "sessions".to_owned(), None, SentinelServerType::Master)?;
//! let mut redis = primary.get_connection()?; // a new one after an error: the primary may be another
//! # let token = "";
//! let (revoked, replicas): (u64, u64) = redis::pipe()
//!     .add_command(session_revoke("sessions:42", token))
//!     .cmd("WAIT").arg(2).arg(1000) // replicas, milliseconds
//!     .query(&mut redis)?;
//! # Ok(())
//! # }
//! ```
//!
//! A pipeline's `query_async` does the same on an asynchronous cluster connection. A synchronous one takes pipelines
//! only as [`ConnectionLike::req_packed_commands`](redis::ConnectionLike::req_packed_commands):
//!
//! ```no_run
//! # fn main() -> redis::RedisResult<()> {
//! # use redis_session::commands::session_revoke;
//! # use redis_session::redis::cluster::ClusterClient;
//! use redis_session::redis::{ConnectionLike, from_redis_value, pipe};
//!
//! # let mut redis = ClusterClient::new(["redis://10.0.0.1/"])?.get_connection()?;
//! # let token = "";
//! let mut both = pipe();
//! both.add_command(session_revoke("sessions:42", token)).cmd("WAIT").arg(1).arg(1000);
//! let replies = redis.req_packed_commands(&both.get_packed_pipeline(), 0, 2)?;
//! let [revoked, replicas]: [u64; 2] = from_redis_value(redis::Value::Array(replies))?;
//! # Ok(())
//! # }
//! ```
//!
//! A cluster connection sends a command again after its connection broke, so the command may run twice.
//! `docs/operations.md` says what each command does then, and which errors a failover shows. After an I/O error get a
//! new synchronous connection from the `ClusterClient`: the old one keeps asking the lost node.
//!
//! # Packages on top of it
//!
//! `redis-session-store` is the high-level layer for asynchronous applications: one policy, the user taken from the
//! token, typed data, a connection that reconnects by itself, and errors that say 401 or 503. `redis-session-web` adds
//! a layer for web applications.
//!
//! # Errors
//!
//! A bad token is an answer, not an error. Errors are [`redis::RedisError`]s as for any command;
//! [`SessionErrorCode::of`] returns the code of the session errors. No error shows an argument of a command: a server
//! without the module repeats them, and this crate replaces its text. For pipelines there is [`redact`].

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod commands;
mod data;
mod error;
mod json;
mod keys;
mod options;
mod reason;
mod replies;
mod routing;
mod subject;
#[cfg(test)]
mod testing;
mod time;
mod tokens;

#[cfg(feature = "aio")]
pub use commands::AsyncSessionCommands;
pub use commands::SessionCommands;
pub use data::SessionData;
pub use error::{SessionErrorCode, redact};
pub use keys::{Key, KeyRing};
pub use options::{CreateOptions, LimitPolicy, RefreshOptions, RegenerateOptions, TokenFormat, ValidateOptions};
pub use reason::{Inactive, InactiveReason, Reason};
pub use redis;
pub use replies::{ActiveSession, Details, EndedSession, Session, Validation};
pub use routing::KeyPrefix;
pub use subject::unverified_user;
pub use time::Timestamp;
pub use tokens::{Created, Grant};

/// The Rust of this package's README, to be compiled as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
