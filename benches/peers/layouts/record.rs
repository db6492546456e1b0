//! A session as the value of a string or of a field: compact JSON, which is what session libraries write.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use redis_session_core::SessionId;
use serde::{Deserialize, Serialize};

use super::{Login, Session};

#[derive(Serialize, Deserialize)]
pub(super) struct Record<'a> {
    /// None where the key says it.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<Cow<'a, str>>,
    ip: Ipv4Addr,
    #[serde(borrow)]
    agent: Cow<'a, str>,
    created: u64,
}

impl<'a> Record<'a> {
    /// That of a session which begins now.
    pub(super) fn of(login: &'a Login) -> Self {
        Self {
            user: Some(Cow::Borrowed(&login.user)),
            ip: login.ip,
            agent: Cow::Borrowed(&login.agent),
            created: now(),
        }
    }

    pub(super) fn without_user(self) -> Self {
        Self { user: None, ..self }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("JSON")
    }

    pub(super) fn read(json: &'a [u8]) -> Self {
        serde_json::from_slice(json).expect("a record")
    }

    pub(super) fn into_session(self, id: &str) -> Session {
        Session { id: id.to_owned(), ip: self.ip, agent: self.agent.into_owned(), created: self.created }
    }
}

/// In Unix seconds.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// An id as long as the module's: 22 letters for 128 bits. The 36 of a UUID would take more memory. These are spread
/// evenly but not secret, which costs less than random ones.
pub(super) fn new_id() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // The finalizer of SplitMix64, which is a permutation: no id comes twice.
    let mut mixed = LAST.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    SessionId::from_random((u128::from(mixed) << 64 | u128::from(!mixed)).to_be_bytes()).to_string()
}
