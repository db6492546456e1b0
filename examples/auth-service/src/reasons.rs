//! Why a session is over, for the people who used it.

use redis_session::{InactiveReason, Reason};

/// A sentence for the page, and for the answer's `error_description`.
pub(crate) fn for_people(reason: &InactiveReason) -> &'static str {
    match reason.known() {
        Some(Reason::Reused) => "You were signed out because the session was used from two places.",
        Some(Reason::Evicted) => "You were signed out because you signed in on too many other devices.",
        Some(Reason::Idle) => "You were signed out because you were away for a while.",
        Some(Reason::Expired | Reason::TokenExpired) => "Your session has expired. Please sign in again.",
        Some(Reason::Revoked) => "This device was signed out.",
        Some(Reason::UserRevoked) => "You were signed out on all devices, or your password was changed.",
        Some(Reason::Level | Reason::Stale) => "Please confirm that it is you.",
        _ => "You are signed out. Please sign in again.",
    }
}

/// How a session ended, in a list of sessions. `None` is a session that is alive, as far as the history knows.
pub(crate) fn ending(reason: Option<&str>) -> &'static str {
    match reason.and_then(Reason::from_name) {
        Some(Reason::Revoked) => "Signed out",
        Some(Reason::UserRevoked) => "Signed out everywhere",
        Some(Reason::Evicted) => "Too many devices",
        Some(Reason::Reused) => "Used from two places",
        Some(Reason::Idle) => "Not used for a while",
        Some(Reason::Expired) => "Expired",
        _ => "Ended",
    }
}
