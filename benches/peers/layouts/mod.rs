//! The ways to keep sessions in Redis that are compared: each does the same job, as an application would with it.
//!
//! [`module`]: this module. [`jwt`]: a JWT and three EXISTS. [`set`]: a string per session and a set per user.
//! [`hash`]: a hash per user whose fields expire. [`lua`]: the strings and sets, by scripts.

mod hash;
mod jwt;
mod lua;
mod module;
mod record;
mod set;

use std::net::Ipv4Addr;

use redis::Connection;

pub(crate) use hash::Hash;
pub(crate) use jwt::{Jwt, RoundTrips, Walk};
pub(crate) use lua::Lua;
pub(crate) use module::Module;
pub(crate) use set::Set;

/// How long a session lasts, and its token, in seconds.
pub(crate) const TTL: u64 = 86_400;

/// What is known of a user who logs in.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) ip: Ipv4Addr,
    pub(crate) agent: String,
}

/// What a client brings with each request. A token that does not name its user is one of a cookie that does.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub(crate) user: String,
    pub(crate) token: String,
}

/// A live session, as the page "your devices" shows it.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "what is measured is that it was read; the test looks at it")]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) ip: Ipv4Addr,
    pub(crate) agent: String,
    /// In Unix seconds.
    pub(crate) created: u64,
}

/// A way to keep sessions in Redis. What fails panics: there is nothing to measure then.
pub(crate) trait Layout: Sync {
    /// Whether this server has the commands that it needs. Called once, before all else.
    fn prepare(&mut self, _con: &mut Connection) -> bool {
        true
    }

    /// Logs users in, in one pipeline. What is measured is one login at a time.
    fn login(&self, con: &mut Connection, logins: &[Login]) -> Vec<Credential>;

    /// Whether the request that brings this may pass.
    fn check(&self, con: &mut Connection, credential: &Credential) -> bool;

    /// The user's live sessions.
    fn list(&self, con: &mut Connection, user: &str) -> Vec<Session>;

    /// Ends one session.
    fn logout(&self, con: &mut Connection, credential: &Credential);

    /// Ends all sessions of a user.
    fn logout_all(&self, con: &mut Connection, user: &str);

    /// Whether [`Layout::list`] and [`Layout::logout_all`] walk through the sessions of all users.
    fn walks(&self) -> bool {
        false
    }
}
