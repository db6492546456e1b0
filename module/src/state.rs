//! What the commands share: settings, the key ring and the pool of user agents.
//!
//! All of it is used by the server's main thread alone, one command at a time; the lock only makes that visible to the
//! compiler. Two rules keep it free. Nobody holds it while calling anything that may call back into this module. And
//! values that are freed, perhaps in a background thread or while a key is being opened, do not take it: they leave
//! their agents in a list that the next writer empties.

use std::os::unix::fs::MetadataExt as _;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use redis_session_core::UnixMillis;
use redis_session_core::sessions::{AgentId, AgentPool, Clock, Limit, LimitPolicy, Target, TokenRules};
use redis_session_core::token::{Issued, KeyRing, RefreshToken, Scratch, TokenCache, TokenPolicy, Verified};
use redis_session_core::{Reason, Subject};

use crate::settings::Settings;

static STATE: LazyLock<Mutex<State>> = LazyLock::new(|| Mutex::new(State::default()));
static RELEASED: Mutex<Vec<AgentId>> = Mutex::new(Vec::new());

/// What the commands share.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    ring: Option<KeyRing>,
    /// The key file as it was when it was read.
    ring_file: Option<FileState>,
    policy: TokenPolicy,
    agents: AgentPool,
    scratch: Scratch,
    cache: TokenCache,
    /// For how many tokens the cache was made.
    cache_size: usize,
}

/// What tells one version of a file from another.
#[derive(PartialEq, Eq)]
struct FileState {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl FileState {
    fn of(path: &str) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self { modified: file.modified().ok(), length: file.len(), inode: file.ino() })
    }
}

/// The state, for as long as the guard lives.
pub(crate) fn lock() -> MutexGuard<'static, State> {
    // A handler that panicked was stopped between two whole changes or has left a value that is still in bounds.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves the agents of a value that is freed for the next writer to release.
pub(crate) fn release_later(agents: impl Iterator<Item = AgentId>) {
    RELEASED.lock().unwrap_or_else(PoisonError::into_inner).extend(agents);
}

impl State {
    /// The pool, for changes.
    pub(crate) fn agents(&mut self) -> &mut AgentPool {
        let released = std::mem::take(&mut *RELEASED.lock().unwrap_or_else(PoisonError::into_inner));
        for agent in released {
            self.agents.release(agent);
        }
        &mut self.agents
    }

    /// The pool, to read from: also in a forked child, where a lock of another thread would never be given back.
    pub(crate) fn agents_as_they_are(&self) -> &AgentPool {
        &self.agents
    }

    /// Takes over what has been set.
    pub(crate) fn settings_changed(&mut self) {
        self.policy = self.settings.token_policy();
        let size = usize::try_from(self.settings.token_cache).unwrap_or(0);
        if self.cache_size != size {
            self.cache.resize(size);
            self.cache_size = size;
        }
    }

    /// The ring of keys.
    pub(crate) fn ring(&self) -> Option<&KeyRing> {
        self.ring.as_ref()
    }

    /// Reads the key ring from `session.keys-file`, or makes one of a random key. If that fails the old ring stays.
    pub(crate) fn reload_keys(&mut self) -> Result<(), String> {
        let (file, active) = (&self.settings.keys_file, &self.settings.active_kid);
        let active = Some(active.as_str()).filter(|kid| !kid.is_empty());
        if file.is_empty() {
            if active.is_some() {
                return Err("session.active-kid names a key, but session.keys-file is empty".into());
            }
            // A ring that lasts as long as the process is made once, not whenever a setting changes.
            if !self.ring.as_ref().is_some_and(KeyRing::is_ephemeral) {
                self.cache.clear();
                self.ring = Some(KeyRing::ephemeral().map_err(|error| format!("no randomness for a key: {error}"))?);
            }
            return Ok(());
        }
        let refused = |why: &dyn std::fmt::Display| format!("session.keys-file {file}: {why}");
        // Before it is read, so that a change meanwhile is taken for one afterwards.
        let state = FileState::of(file);
        let json = std::fs::read(file).map_err(|error| refused(&error))?;
        let ring = KeyRing::from_jwk_set(&json, active).map_err(|error| refused(&error))?;
        self.cache.clear();
        self.ring = Some(ring);
        self.ring_file = state;
        Ok(())
    }

    /// `session.keys-file`, as CONFIG shows it.
    ///
    /// A server keeps a setting to itself that is set to what it is, but setting this one again is to read the file
    /// again. So once the file is not the one that was read, its name is shown in another spelling.
    pub(crate) fn shown_keys_file(&self) -> String {
        let file = &self.settings.keys_file;
        if file.is_empty() || FileState::of(file) == self.ring_file {
            file.clone()
        } else if file.starts_with('/') {
            format!("/.{file}")
        } else {
            format!("./{file}")
        }
    }

    /// Checks a token by itself: everything but whether its session is alive.
    pub(crate) fn verify(
        &mut self,
        subject: Subject<'_>,
        token: &[u8],
        audience: Option<&str>,
        now: UnixMillis,
    ) -> Result<Verified, Reason> {
        let ring = self.ring.as_ref().ok_or(Reason::UnknownKey)?;
        self.cache.verify(ring, &self.policy, subject, token, audience, now, &mut self.scratch)
    }

    /// Checks a refresh token by itself.
    pub(crate) fn verify_refresh(&mut self, subject: Subject<'_>, token: &[u8]) -> Result<RefreshToken, Reason> {
        let ring = self.ring.as_ref().ok_or(Reason::UnknownKey)?;
        let max = usize::try_from(self.settings.max_token_bytes).unwrap_or(usize::MAX);
        redis_session_core::token::verify_refresh(ring, subject, token, max, &mut self.scratch)
    }

    /// Which session a token of the user names, be it expired or not yet valid: that is enough to revoke it.
    pub(crate) fn identify(&mut self, subject: Subject<'_>, token: &[u8], now: UnixMillis) -> Result<Target, Reason> {
        match self.verify_refresh(subject, token) {
            Err(Reason::Type) => {}
            other => {
                let token = other?;
                return Ok(Target { id: token.id, issued: Issued::ForSessionOf(token.session_began_at), until: None });
            }
        }
        let policy = TokenPolicy { issuer: None, audience: None, leeway_secs: u32::MAX, ..self.policy };
        let ring = self.ring.as_ref().ok_or(Reason::UnknownKey)?;
        let token = redis_session_core::token::verify(ring, &policy, subject, token, None, now, &mut self.scratch)?;
        let leeway = self.settings.token_rules().leeway;
        let until = token.expires_at.map(|expires_at| expires_at.saturating_add(leeway));
        Ok(Target { id: token.id, issued: token.issued, until })
    }
}

impl Settings {
    pub(crate) fn clock(&self, now: UnixMillis) -> Clock {
        Clock { now, not_before: UnixMillis::saturating_from(self.not_before) }
    }

    /// How long tokens of this user that were made elsewhere may live, milliseconds: as long as our own at most.
    pub(crate) fn token_horizon(&self) -> u64 {
        millis(self.ttl.max(self.token_ttl).max(self.refresh_ttl))
    }

    /// How long tokens live.
    pub(crate) fn token_rules(&self) -> TokenRules {
        TokenRules {
            token_secs: u64::try_from(self.token_ttl).unwrap_or(0),
            leeway: millis(self.leeway),
            grace: millis(self.refresh_grace),
        }
    }

    /// The limit that a call may override.
    pub(crate) fn limit(&self) -> Limit {
        let sessions = u32::try_from(self.max_per_user).unwrap_or(u32::MAX);
        let policy = if self.limit_policy == 0 { LimitPolicy::Evict } else { LimitPolicy::Reject };
        Limit { sessions, policy, traces: usize::try_from(self.max_per_user).unwrap_or(usize::MAX).saturating_mul(2) }
    }
}

fn millis(secs: i64) -> u64 {
    u64::try_from(secs).unwrap_or(0).saturating_mul(1000)
}
