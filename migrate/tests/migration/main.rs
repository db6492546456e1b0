//! The program as others see it: run on real servers, with keys as applications write them.

// A panic is how a test reports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

mod between;
mod checks;
mod clusters;
mod dates;
mod interruptions;
mod jwts;
mod layouts;
mod libraries;
mod old;
mod passes;
mod program;
mod races;
mod revocations;
mod scale;
mod tls;
mod users;
