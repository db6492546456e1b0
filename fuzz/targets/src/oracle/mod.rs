//! What one user's sessions must be, the slow and obvious way: two plain lists, and a user whose sessions are held to
//! them.
//!
//! ```text
//! list.rs      what effects leave: records, in their order
//! history.rs   what commands promise: every session that anybody may still ask for, and how it ended
//! user.rs      the product's value and a replica, each command compared with both
//! ```

mod history;
mod list;
mod user;

pub(crate) use list::{List, assert_holds, assert_same};
pub use user::{Command, User};
