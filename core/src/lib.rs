//! Login sessions and JWT checks, without Redis.

#![forbid(unsafe_code)]

pub mod base64url;
mod id;
mod reason;
mod subject;
mod time;
pub mod token;

pub use id::{SessionId, SessionIdError};
pub use reason::Reason;
pub use subject::{Subject, SubjectError};
pub use time::UnixMillis;
