//! Login sessions and JWT checks, without Redis: what the module decides and the client knows.
//!
//! Nothing here does input or output or looks at a clock; the time is passed in. The module stores one
//! [`UserSessions`](sessions::UserSessions) under each user's key and translates commands into calls of it.
//!
//! ```text
//! sessions/    one user's sessions: begin, check, use, refresh, revoke; their bytes
//! token/       JWTs, opaque session tokens and refresh tokens, and the keys they are made with
//! id.rs        session ids          subject.rs   users           reason.rs   why something is not active
//! time.rs      points in time       base64url.rs strict base64url      json_text.rs writing JSON
//! sweep.rs     how far a sweep is   readers.rs   how far readers are   agreement.rs what servers share
//! ```
//!
//! ```
//! use redis_session_core::sessions::{AgentPool, Data, IdSource, NewSession, Presented, Rules, TokenFormat, UserSessions};
//! use redis_session_core::{Reason, SessionId, UnixMillis};
//!
//! let (mut user, mut agents) = (UserSessions::new(), AgentPool::new());
//! let rules = |secs| Rules::default().at(UnixMillis::from_secs(secs).unwrap());
//! let id = SessionId::random()?;
//! let login = NewSession {
//!     id: id.clone(), source: IdSource::Random, expires_at: rules(1000).now, idle_secs: 60, ip: None, agent: None,
//!     device: None, tokens: TokenFormat::Jwt, token_ttl: None, refresh_secs: None, claims: "", level: 0, data: Data::default(),
//! };
//!
//! // What a login changes is decided first and carried out then, here and on every replica.
//! let creation = user.create(login, &rules(0)).unwrap();
//! user.apply(&creation.effects, &mut agents);
//! assert!(user.alive(&Presented::id(id.clone()), &rules(59)).is_ok());
//! assert_eq!(user.alive(&Presented::id(id), &rules(60)), Err(Reason::Idle));
//! # Ok::<(), getrandom::Error>(())
//! ```

#![forbid(unsafe_code)]

pub mod agreement;
pub mod base64url;
mod id;
mod json_text;
pub mod readers;
mod reason;
pub mod sessions;
mod subject;
pub mod sweep;
mod time;
pub mod token;

pub use id::{SessionId, SessionIdError};
pub use json_text::JsonText;
pub use reason::Reason;
pub use subject::{KeyForm, Subject, SubjectError};
pub use time::UnixMillis;
