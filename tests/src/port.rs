//! Ports for servers.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Below the range that Linux and macOS give to outgoing connections (32768 and up), so that no client's connection
/// takes a server's port while the server is restarting. The cluster bus is 10,000 above: below that range too, and
/// where no server's own port is.
const FIRST: u16 = 12_000;
const LAST: u16 = 21_999;

/// A port of loopback that no other server of the tests gets for as long as this lives, also while nobody listens on it:
/// a server that is down while its test runs finds its port free when it comes back, and not another test's server.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// The UDP port with the same number, which no server uses: it tells all other processes that this one is taken,
    /// and ends with this process at the latest.
    _claim: Option<UdpSocket>,
}

impl Port {
    /// One that nobody listened on a moment ago. A program that knows nothing of claims may take it yet.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn free() -> Self {
        (0..1000)
            .filter_map(|_| Self::claim(random()))
            .find(|port| is_free(port.number))
            .expect("a free port on loopback")
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// This one, if no one else has it.
    pub(crate) fn claim(number: u16) -> Option<Self> {
        let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _claim: Some(claim) })
    }

    /// This one, even if another test has it.
    pub(crate) fn unclaimed(number: u16) -> Self {
        Self { number, _claim: None }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

/// Whether nobody listens on it.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Random, so that tests that run side by side in processes of their own rarely try the same.
fn random() -> u16 {
    let random = RandomState::new().hash_one(std::process::id());
    let span = u64::from(LAST - FIRST) + 1;
    FIRST + u16::try_from(random % span).expect("less than the span")
}
