//! Free ports for servers.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener};

/// Below the range that Linux and macOS give to outgoing connections (32768 and up), so that no client's connection
/// takes a server's port while the server is restarting, and with room for the cluster bus 10,000 above.
const FIRST: u16 = 12_000;
const LAST: u16 = 31_999;

/// A port that nobody listened on a moment ago. Somebody else may take it before the server does: try again then.
///
/// # Panics
///
/// If there is none.
pub fn free_port() -> u16 {
    (0..1000).map(|_| random_port()).find(|&port| is_free(port)).expect("a free port on loopback")
}

pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Random, so that tests that run side by side in processes of their own rarely meet.
fn random_port() -> u16 {
    let random = RandomState::new().hash_one(std::process::id());
    let span = u64::from(LAST - FIRST) + 1;
    FIRST + u16::try_from(random % span).expect("less than the span")
}
