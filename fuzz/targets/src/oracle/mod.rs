//! What one user's sessions must be, the slow and obvious way: two plain lists, what must stay dead, and a user whose
//! sessions are held to them.
//!
//! ```text
//! list.rs      what effects leave: records, in their order
//! history.rs   what commands leave: sessions and tombstones, in their order, and what a check must answer
//! ended.rs     what somebody has ended, and whether any of it is good again
//! user.rs      the product's value and a replica, each command compared with all of them
//! ```

mod ended;
mod history;
mod list;
mod user;

pub(crate) use list::{List, assert_holds, assert_same};
pub use user::{Command, User};
