//! A store without a server, for an application's own tests.
//!
//! [`MemoryStore`] is a [`SessionStore`] in this process. It decides with the server's own code, and you can move its
//! clock. It is no server: its sessions end with the process, it has the default settings, and one lock.
//!
//! ```
//! use std::time::Duration;
//! use redis_session_store::redis_session::CreateOptions;
//! use redis_session_store::testing::MemoryStore;
//! use redis_session_store::{Login, Policy, StoreError, Visitor};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let half_an_hour = Duration::from_secs(1800);
//! let sessions = MemoryStore::in_memory().policy(Policy::new(CreateOptions::new().idle(half_an_hour)));
//! let login = sessions.login(&Login::new("42")).await?;
//! let token = login.token.expect("a token");
//! assert_eq!(sessions.touch(&token, &Visitor::new()).await?.user, "42");
//!
//! sessions.advance(half_an_hour);
//! assert!(matches!(sessions.touch(&token, &Visitor::new()).await, Err(StoreError::Refused(_))));
//!
//! sessions.set_away(true);
//! assert!(matches!(sessions.touch(&token, &Visitor::new()).await, Err(StoreError::Unavailable(_))));
//! # Ok::<(), StoreError>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arguments;
mod commands;
mod replies;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};

use self::commands::Memory;
use crate::error::KeySetError;
use crate::store::SessionStore;

/// A [`SessionStore`] in this process: see [the module](self).
pub type MemoryStore = SessionStore<MemoryConnection>;

/// The connection of a [`MemoryStore`]: sessions in this process, which all clones share. You can also send it the
/// commands of [`redis_session`].
#[derive(Clone)]
pub struct MemoryConnection(Arc<Mutex<Memory>>);

impl fmt::Debug for MemoryConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConnection").finish_non_exhaustive()
    }
}

impl Default for MemoryConnection {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Memory::new())))
    }
}

impl MemoryConnection {
    /// One that trusts the keys of this JWK Set, as a server trusts its key file: for tokens of another issuer. The
    /// first key that can sign makes the tokens. By default it has a random key.
    ///
    /// ```
    /// use redis_session_store::SessionStore;
    /// use redis_session_store::testing::MemoryConnection;
    ///
    /// let keys = r#"{"keys":[{"kty":"OKP","kid":"one","alg":"EdDSA","crv":"Ed25519",
    ///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let sessions = SessionStore::new(MemoryConnection::with_keys(keys)?);
    /// # Ok::<(), redis_session_store::KeySetError>(())
    /// ```
    ///
    /// # Errors
    /// If the text is no JWK Set, or has a key that cannot be used.
    pub fn with_keys(jwk_set: impl AsRef<[u8]>) -> Result<Self, KeySetError> {
        let memory = Memory::with_keys(jwk_set.as_ref()).map_err(KeySetError::new)?;
        Ok(Self(Arc::new(Mutex::new(memory))))
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Memory) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self, command: &Cmd) -> RedisResult<Value> {
        self.with(|memory| if memory.is_away { Err(away()) } else { memory.run(command) })
    }
}

fn away() -> RedisError {
    io::Error::from(io::ErrorKind::ConnectionRefused).into()
}

impl ConnectionLike for MemoryConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(std::future::ready(self.ask(command)))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let replies: RedisResult<Vec<_>> = pipeline.cmd_iter().map(|command| self.ask(command)).collect();
        Box::pin(std::future::ready(replies.map(|replies| replies.into_iter().skip(offset).take(count).collect())))
    }

    fn get_db(&self) -> i64 {
        0
    }
}

impl SessionStore<MemoryConnection> {
    /// A store in this process, without sessions.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(MemoryConnection::default())
    }

    /// Moves its clock forward. The clock otherwise follows this machine's.
    pub fn advance(&self, by: Duration) {
        self.connection_itself().with(|memory| memory.advance(by));
    }

    /// Makes every call fail as if Redis could not be reached, or ends that.
    pub fn set_away(&self, is_away: bool) {
        self.connection_itself().with(|memory| memory.is_away = is_away);
    }

    /// Logs everyone out, as `SESSION.REVOKEALL` does.
    pub fn logout_everyone(&self) {
        self.connection_itself().with(Memory::revoke_everyone);
    }
}
