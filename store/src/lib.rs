//! Logins, checks and logouts of an application, on the `redis-session` module.
//!
//! [`SessionStore`] has an application's policy in one place, takes the user from the token, keeps typed data, and has
//! errors that say 401 or 503. Below it is [`redis_session`], the thin client.
//!
//! ```no_run
//! use std::time::Duration;
//! use redis_session::CreateOptions;
//! use redis_session_store::{Login, Policy, SessionStore, StoreError, Visitor};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::new(CreateOptions::new().idle(Duration::from_secs(1800)));
//! let sessions = SessionStore::connect("redis://127.0.0.1/")?.policy(policy);
//!
//! // The password was right.
//! let visitor = Visitor::new().agent("Firefox on Linux");
//! let login = sessions.login(&Login::new("42").visitor(&visitor)).await?;
//! let token = login.token.expect("there is one, unless the policy says otherwise");
//!
//! // Each request.
//! match sessions.touch(&token, &visitor).await {
//!     Ok(session) => println!("user {}", session.user),
//!     Err(StoreError::Refused(inactive)) => println!("401, and for the log: {}", inactive.reason),
//!     Err(error) => println!("503, and for the log: {error}"),
//! }
//!
//! // Log out, here or everywhere.
//! sessions.logout(&token).await?;
//! sessions.logout_everywhere("42").await?;
//! # Ok(())
//! # }
//! ```
//!
//! | feature | |
//! |---|---|
//! | `signatures` (default) | forged JWTs are refused [before they cost the server](SessionStore#forged-tokens) the check of a public key's signature |
//! | `offline` | while Redis is away, JWTs can be checked without it, and the answer says so: [`LocalVerifier`] |
//! | `testing` | a store in this process, with a clock to move, for an application's own tests: [`testing`] |
//! | `near-cache` | checks that are answered from memory while Redis would say the same: [`NearCache`] |
//! | `cluster` | the same where Redis is a cluster: [`SessionStore::near_cache_of_cluster`] |
//! | `encryption` | session data with encrypted values. Redis, its files and its replicas can read only the names of fields and the lengths of values: [`DataKeys`] |
//!
//! # Connections
//!
//! [`SessionStore::connect`] makes a [connection that reconnects by itself](ReconnectingConnection) and bounds every
//! wait. But a store takes every asynchronous connection of the [`redis`] crate that can be cloned. A connection to a
//! cluster (feature `cluster-async` of `redis`) sends each command to the node that has the user:
//!
//! ```no_run
//! # async fn example() -> redis::RedisResult<()> {
//! use redis::cluster::ClusterClient;
//! use redis_session_store::SessionStore;
//!
//! let nodes = ClusterClient::new(["redis://10.0.0.1/", "redis://10.0.0.2/", "redis://10.0.0.3/"])?;
//! let sessions = SessionStore::new(nodes.get_async_connection().await?);
//! # Ok(())
//! # }
//! ```
//!
//! This one asks Sentinel for the primary whenever it reconnects (feature `sentinel` of `redis`):
//!
//! ```no_run
//! # fn example() {
//! use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
//! use redis::{ProtocolVersion, RedisConnectionInfo};
//! use redis_session_store::{ReconnectingConnection, SessionStore};
//!
//! let sessions = SessionStore::reconnecting(ReconnectingConnection::from_fn(|config| async move {
//!     let sentinels = vec!["redis://10.0.0.1:26379/", "redis://10.0.0.2:26379/", "redis://10.0.0.3:26379/"];
//!     // RESP3, for a near cache.
//!     let redis = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
//!     let node = SentinelNodeConnectionInfo::default().set_redis_connection_info(redis);
//!     let primary = SentinelServerType::Master;
//!     let mut primary = SentinelClient::build(sentinels, "sessions".to_owned(), Some(node), primary)?;
//!     primary.get_async_connection_with_config(&config).await
//! }));
//! # }
//! ```
//!
//! For TLS, use `rediss://` in the URL and a feature of `redis`. Without the feature, the URL is refused:
//!
//! ```toml
//! [dependencies]
//! redis = { version = "1.8", features = ["tokio-rustls-comp"] }
//! redis-session-store = "0.1"
//! ```
//!
//! ```no_run
//! # async fn example() -> redis::RedisResult<()> {
//! use redis_session_store::SessionStore;
//!
//! let sessions = SessionStore::connect("rediss://app:change-me@redis.example.com:6379/")?;
//! # Ok(())
//! # }
//! ```
//!
//! The system must trust the certificate. If you have your own authority, give its file to
//! [`redis::Client::build_with_tls`], and that client's `get_connection_info` to [`SessionStore::connect`].

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod authenticated;
mod connect;
mod data;
mod error;
mod guest;
mod id;
#[cfg(feature = "offline")]
mod local;
mod login;
mod logouts;
#[cfg(feature = "near-cache")]
mod near;
mod outage;
mod pause;
mod policy;
#[cfg(feature = "encryption")]
mod seal;
#[cfg(feature = "signatures")]
mod signatures;
mod store;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;

pub use authenticated::{Assurance, Authenticated};
pub use connect::ReconnectingConnection;
#[cfg(any(feature = "offline", feature = "testing"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "offline", feature = "testing"))))]
pub use error::KeySetError;
#[cfg(feature = "encryption")]
#[cfg_attr(docsrs, doc(cfg(feature = "encryption")))]
pub use error::Resealing;
pub use error::{DataError, StoreError};
#[cfg(feature = "offline")]
#[cfg_attr(docsrs, doc(cfg(feature = "offline")))]
pub use local::LocalVerifier;
pub use login::{Login, Visitor};
#[cfg(feature = "near-cache")]
#[cfg_attr(docsrs, doc(cfg(feature = "near-cache")))]
pub use near::{NearCache, NearCacheFigures};
pub use policy::Policy;
pub use redis_session;
#[cfg(feature = "encryption")]
#[cfg_attr(docsrs, doc(cfg(feature = "encryption")))]
pub use seal::{DataKeys, DataKeysError};
pub use store::SessionStore;

/// The Rust of this package's README, to be compiled as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
