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
//! (reconnecting, TLS, another runtime than Tokio) are features of `redis`:
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
//! The features `cluster`, `cluster-async` (with `aio`) and `sentinel` turn on those of `redis`. Every server needs the
//! same key file.
//!
//! ```no_run
//! # #[cfg(feature = "cluster")]
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
//! # #[cfg(not(feature = "cluster"))]
//! # fn main() {}
//! ```
//!
//! A logout stands after a crash of the primary if all replicas have it. `WAIT` tells how many do; it must go over the
//! same connection, so it goes in one pipeline with the command:
//!
//! ```no_run
//! # #[cfg(feature = "sentinel")]
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
//! # #[cfg(not(feature = "sentinel"))]
//! # fn main() {}
//! ```
//!
//! A pipeline's `query_async` does the same on an asynchronous cluster connection. A synchronous one takes pipelines
//! only as [`ConnectionLike::req_packed_commands`](redis::ConnectionLike::req_packed_commands):
//!
//! ```no_run
//! # #[cfg(feature = "cluster")]
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
//! # #[cfg(not(feature = "cluster"))]
//! # fn main() {}
//! ```
//!
//! A cluster connection sends a command again whose connection broke, and so may do it twice. What each of them does
//! then, and which errors a failover shows, is in `docs/operations.md`. After an I/O error get a new synchronous
//! connection from the `ClusterClient`: the old one goes on asking the node that is gone.
//!
//! # A store
//!
//! `SessionStore` (feature `store`) is the comfortable layer for asynchronous applications: a policy in one place, the
//! user taken from the token, typed data, errors that say 401 or 503. What else there is, none of it by default:
//!
//! | feature | |
//! |---|---|
//! | `aio` | asynchronous commands |
//! | `cluster`, `cluster-async`, `sentinel` | connections to Redis Cluster and by Redis Sentinel |
//! | `store` | `SessionStore` |
//! | `connection-manager` | `SessionStore::connect`: a connection that comes back by itself, with every wait bounded |
//! | `offline` | while Redis is away, JWTs can be checked without it, and the answer says so |
//! | `encryption` | session data whose values Redis, its files and its replicas cannot read; the names of the fields and the lengths of the values they can |
//! | `axum` | a layer and extractors for web applications |
//!
//! A store takes every asynchronous connection that can be cloned. One to a cluster goes to the node that has the user, and
//! follows when that changes:
//!
//! ```no_run
//! # #[cfg(all(feature = "cluster-async", feature = "store"))]
//! # async fn example() -> redis::RedisResult<()> {
//! use redis_session::SessionStore;
//! use redis_session::redis::cluster::ClusterClient;
//!
//! let nodes = ClusterClient::new(["redis://10.0.0.1/", "redis://10.0.0.2/", "redis://10.0.0.3/"])?;
//! let sessions = SessionStore::new(nodes.get_async_connection().await?);
//! # Ok(())
//! # }
//! ```
//!
//! One that asks Sentinel for the primary whenever it reconnects:
//!
//! ```no_run
//! # #[cfg(all(feature = "connection-manager", feature = "sentinel"))]
//! # fn example() {
//! use redis_session::redis::sentinel::{SentinelClient, SentinelServerType};
//! use redis_session::{ReconnectingConnection, SessionStore};
//!
//! let sessions = SessionStore::new(ReconnectingConnection::from_fn(|| async {
//!     let sentinels = vec!["redis://10.0.0.1:26379/", "redis://10.0.0.2:26379/", "redis://10.0.0.3:26379/"];
//!     let mut primary = SentinelClient::build(sentinels, "sessions".to_owned(), None, SentinelServerType::Master)?;
//!     primary.get_async_connection().await
//! }));
//! # }
//! ```
//!
//! For TLS, `rediss://` in the URL, and a feature of `redis`, without which the URL is refused:
//!
//! ```toml
//! [dependencies]
//! redis = { version = "1.8", features = ["tokio-rustls-comp"] }
//! redis-session = { version = "0.1", features = ["connection-manager"] }
//! ```
//!
//! ```no_run
//! # #[cfg(feature = "connection-manager")]
//! # async fn example() -> redis::RedisResult<()> {
//! use redis_session::SessionStore;
//!
//! let sessions = SessionStore::connect("rediss://app:change-me@redis.example.com:6379/")?;
//! # Ok(())
//! # }
//! ```
//!
//! The certificate must be one that the system trusts. With an authority of your own, give its file to
//! `redis::Client::build_with_tls`, and what that client's `get_connection_info` says to `SessionStore::connect`.
//!
//! # Errors
//!
//! A bad token is an answer and not an error. Errors are [`redis::RedisError`]s as for any command;
//! [`SessionErrorCode::of`] tells those of the sessions apart.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod axum;
pub mod commands;
mod error;
mod fields;
mod keys;
mod options;
mod replies;
mod routing;
#[cfg(feature = "store")]
mod store;
#[cfg(test)]
mod testing;
mod tokens;

#[cfg(feature = "aio")]
pub use commands::AsyncSessionCommands;
pub use commands::SessionCommands;
pub use error::SessionErrorCode;
pub use keys::{Key, KeyRing};
pub use options::{CreateOptions, LimitPolicy, RefreshOptions, TokenFormat, ValidateOptions};
pub use redis;
pub use redis_session_core::Reason;
pub use replies::{ActiveSession, Details, Inactive, InactiveReason, Session, SessionData, Timestamp, Validation};
pub use routing::{KeyPrefix, unverified_user};
#[cfg(feature = "connection-manager")]
#[cfg_attr(docsrs, doc(cfg(feature = "connection-manager")))]
pub use store::ReconnectingConnection;
#[cfg(feature = "store")]
#[cfg_attr(docsrs, doc(cfg(feature = "store")))]
pub use store::{Assurance, Authenticated, DataError, Login, Policy, SessionStore, StoreError, Visitor};
#[cfg(feature = "encryption")]
#[cfg_attr(docsrs, doc(cfg(feature = "encryption")))]
pub use store::{DataKeys, DataKeysError, Resealing};
#[cfg(feature = "offline")]
#[cfg_attr(docsrs, doc(cfg(feature = "offline")))]
pub use store::{LocalVerifier, LocalVerifierError};
pub use tokens::{Created, Grant};

/// The Rust of the README, to be compiled as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
