//! The administrator's program, on real servers.

// Clippy knows only functions marked as tests for tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

mod everyone_out;
mod keys;
mod load;
mod plan;
mod program;
mod runbooks;
mod switchover;
mod user;
mod verify;
mod watch;
