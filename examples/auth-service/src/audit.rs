//! The audit log: a line with the target `audit` for each change and each refusal.
//!
//! The span around a line has the request's id. No line has a password or a token. The log's format escapes the text of
//! users, and the user agent has no control characters.

use std::net::IpAddr;

use redis_session::{Created, Inactive, InactiveReason, Reason, unverified_user};
use redis_session_store::Visitor;
use redis_session_web::Refused;

use crate::accounts::Account;

/// A login, by `what`: "Signed in", "Token issued".
pub(crate) fn signed_in(what: &'static str, account: &Account, visitor: &Visitor, created: &Created) {
    tracing::info!(
        target: "audit",
        user = account.id,
        name = account.name,
        session = created.id,
        ip = ip(visitor),
        agent = visitor.known_agent(),
        new_ip = created.new_ip,
        evicted = created.evicted.len(),
        "{what}"
    );
}

/// A login that was refused. The line has the typed name only if an account has it, because it may be a password in the
/// wrong field.
pub(crate) fn not_signed_in(why: &'static str, account: Option<&Account>, visitor: &Visitor) {
    tracing::warn!(
        target: "audit",
        user = account.map(|account| account.id.as_str()),
        name = account.map(|account| account.name.as_str()),
        ip = ip(visitor),
        agent = visitor.known_agent(),
        why,
        "Sign-in refused"
    );
}

/// A new account.
pub(crate) fn registered(account: &Account, visitor: &Visitor) {
    let Account { id: user, name, .. } = account;
    tracing::info!(target: "audit", user, name, ip = ip(visitor), agent = visitor.known_agent(), "Registered");
}

/// What an administrator did to a user's sessions.
pub(crate) fn administered(what: &'static str, admin: &str, user: &str, ended: u64, visitor: &Visitor) {
    tracing::info!(target: "audit", admin, user, ended, ip = ip(visitor), "{what}");
}

/// Anything else that a user did; `ended` is how many sessions it ended.
pub(crate) fn done(what: &'static str, user: &str, session: &str, ended: u64, visitor: &Visitor) {
    tracing::info!(target: "audit", user, session, ended, ip = ip(visitor), "{what}");
}

/// A logout with a token that was no longer good for anything else. It was genuine, as it ended a session.
pub(crate) fn signed_out_late(user: &str, visitor: &Visitor) {
    tracing::info!(target: "audit", user, ended = 1, ip = ip(visitor), "Signed out with an old token");
}

/// A token of a request that was refused.
pub(crate) fn token_refused(refused: &Refused) {
    refusal(&refused.reason, refused.user.as_deref(), &refused.visitor);
}

/// A refresh token that was refused, with its user if it is genuine.
pub(crate) fn refresh_refused(inactive: &Inactive, refresh_token: &str, visitor: &Visitor) {
    let user = unverified_user(refresh_token).filter(|_| inactive.reason.is_of_genuine_token());
    refusal(&inactive.reason, user.as_deref(), visitor);
}

fn refusal(reason: &InactiveReason, user: Option<&str>, visitor: &Visitor) {
    let agent = visitor.known_agent();
    tracing::warn!(target: "audit", user, reason = reason.as_str(), ip = ip(visitor), agent, "{}", text(reason));
}

fn text(reason: &InactiveReason) -> &'static str {
    match reason.known() {
        Some(Reason::Revoked) => "Token has been revoked",
        Some(Reason::UserRevoked) => "All user sessions have been revoked",
        Some(Reason::Evicted) => "Session has made room for a newer one",
        Some(Reason::Reused) => "Refresh token was used twice: session has been ended",
        Some(Reason::Expired) => "Session has expired",
        Some(Reason::Idle) => "Session was idle for too long",
        Some(Reason::TokenExpired) => "Token has expired",
        Some(Reason::Unknown) => "Session is not known, or not any more",
        Some(Reason::Level | Reason::Stale) => "Sign-in is not strong or recent enough",
        _ => "Token is not valid",
    }
}

fn ip(visitor: &Visitor) -> Option<String> {
    visitor.known_ip().as_ref().map(IpAddr::to_string)
}
