//! How often a user may try to sign in.
//!
//! Redis counts, so all instances of the service count together, and a restart forgets nothing. It takes one transaction
//! and no script: begin the window unless there is one, count, and ask how much of it is left.
//!
//! Attempts count by account, because an attacker can guess a password from many addresses. So an attacker can lock a user
//! out for the rest of a window, which is the lesser evil; live sessions stay. They also count by address, because an
//! attacker can try one password on many accounts.

use std::net::IpAddr;
use std::time::Duration;

use redis_session::redis::{self, RedisResult};
use redis_session_store::ReconnectingConnection;

use crate::settings::AttemptLimits;

#[derive(Clone)]
pub(crate) struct Attempts {
    redis: ReconnectingConnection,
    limits: AttemptLimits,
}

impl Attempts {
    pub(crate) fn new(redis: ReconnectingConnection, limits: AttemptLimits) -> Self {
        Self { redis, limits }
    }

    /// Counts an attempt on an account. After too many, returns how long the user must wait.
    pub(crate) async fn on_account(&self, name: &str) -> RedisResult<Option<Duration>> {
        self.count(&account_key(name), self.limits.per_account).await
    }

    /// Counts a code of an authenticator app. It has a count of its own: the right password must not forget wrong codes, or
    /// a thief who has the password could guess without end.
    pub(crate) async fn with_code(&self, name: &str) -> RedisResult<Option<Duration>> {
        self.count(&code_key(name), self.limits.per_account).await
    }

    /// Counts an attempt from an address. After too many, returns how long the user must wait.
    pub(crate) async fn at_address(&self, ip: Option<IpAddr>) -> RedisResult<Option<Duration>> {
        // The owner of a /64 network has all addresses in it.
        let network = match ip.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V6(ip)) => (u128::from(ip) >> 64).to_string(),
            Some(ip) => ip.to_string(),
            None => "unknown".to_owned(),
        };
        self.count(&format!("attempts:address:{network}"), self.limits.per_address).await
    }

    /// Forgets the attempts on an account whose password was right. Those from the address stay counted: otherwise the
    /// owner of one account could guess the passwords of others.
    pub(crate) async fn forget_account(&self, name: &str) -> RedisResult<()> {
        redis::cmd("DEL").arg(account_key(name)).exec_async(&mut self.redis.clone()).await
    }

    /// Forgets the codes of an account, after a right one.
    pub(crate) async fn forget_codes(&self, name: &str) -> RedisResult<()> {
        redis::cmd("DEL").arg(code_key(name)).exec_async(&mut self.redis.clone()).await
    }

    async fn count(&self, key: &str, limit: u64) -> RedisResult<Option<Duration>> {
        let window = u64::try_from(self.limits.window.as_millis()).unwrap_or(u64::MAX);
        let (attempts, left): (u64, i64) = redis::pipe()
            .atomic()
            .cmd("SET")
            .arg(key)
            .arg(0)
            .arg("NX")
            .arg("PX")
            .arg(window)
            .ignore()
            .cmd("INCR")
            .arg(key)
            .cmd("PTTL")
            .arg(key)
            .query_async(&mut self.redis.clone())
            .await?;
        Ok((attempts > limit).then(|| Duration::from_millis(u64::try_from(left).unwrap_or(0))))
    }
}

/// Account names have no characters with a meaning here: see [`crate::sign_in::Credentials`].
fn account_key(name: &str) -> String {
    format!("attempts:account:{name}")
}

fn code_key(name: &str) -> String {
    format!("attempts:code:{name}")
}
