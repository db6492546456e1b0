//! What the commands share: settings, the key ring and the pool of user agents.
//!
//! All of it is used by the server's main thread alone, one command at a time; the lock only makes that visible to the
//! compiler. Two rules keep it free. Nobody holds it while calling anything that may call back into this module. And
//! values that are freed in a background thread, or while the lock is held, do not take it: they leave their agents in a
//! list that the next writer empties.

use std::cell::Cell;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use redis_session_core::UnixMillis;
use redis_session_core::sessions::{AgentId, AgentPool, Clock, Limit, LimitPolicy, Target, TokenRules};
use redis_session_core::token::{KeyRing, Named, RefreshToken, Verified, Verifier};
use redis_session_core::{Reason, Subject};

use crate::api::{clock, log_notice, log_warning};
use crate::key_file::{self, Source};
use crate::settings::Settings;

static STATE: LazyLock<Mutex<State>> = LazyLock::new(|| {
    LazyLock::force(&MAIN_THREAD);
    Mutex::new(State::default())
});
/// The thread that loads the module.
static MAIN_THREAD: LazyLock<ThreadId> = LazyLock::new(|| thread::current().id());
static RELEASED: Mutex<Vec<AgentId>> = Mutex::new(Vec::new());

/// More than anyone reads before setting one, and few enough that the path stays one.
const MAX_SPELLINGS: usize = 64;

/// What the commands share.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    verifier: Verifier,
    /// The key file that the ring was read from.
    ring_source: Option<Source>,
    ring_loaded_at: UnixMillis,
    /// Whether the last attempt to read another ring was refused.
    ring_refused: bool,
    /// Of the spellings of the key file, the one that was shown last.
    keys_file_shown: Cell<usize>,
    agents: AgentPool,
}

/// The state, for as long as the guard lives.
pub(crate) fn lock() -> MutexGuard<'static, State> {
    // A handler that panicked was stopped between two whole changes or has left a value that is still in bounds.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Releases the agents of a value that is freed: now, so that a server that evicts sees what it has gained, or else with
/// the next writer. A background thread may not even try to lock: the main thread could fork meanwhile.
pub(crate) fn release(agents: impl Iterator<Item = AgentId>) {
    if *MAIN_THREAD == thread::current().id()
        && let Ok(mut state) = STATE.try_lock()
    {
        agents.for_each(|agent| state.agents.release(agent));
        return;
    }
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
        self.verifier.set_policy(self.settings.token_policy());
        self.verifier.resize(usize::try_from(self.settings.token_cache).unwrap_or(0));
        if !self.settings.audit_stream.is_empty() {
            crate::slots::prepare();
        }
    }

    /// The ring of keys.
    pub(crate) fn ring(&self) -> Option<&KeyRing> {
        self.verifier.ring()
    }

    /// Reads the key ring from `session.keys-file`, or makes one of a random key. If that fails the old ring stays.
    pub(crate) fn reload_keys(&mut self) -> Result<(), String> {
        let refused = std::mem::replace(&mut self.ring_refused, true);
        let (file, active) = (&self.settings.keys_file, &self.settings.active_kid);
        if file.is_empty() {
            if !active.is_empty() {
                return Err("session.active-kid names a key, but session.keys-file is empty".into());
            }
            // A ring that lasts as long as the process is made once, not whenever a setting changes.
            if !self.ring().is_some_and(KeyRing::is_ephemeral) {
                let ring = KeyRing::ephemeral().map_err(|error| format!("no randomness for a key: {error}"))?;
                self.take_over(ring, None);
            }
            self.ring_refused = false;
            return Ok(());
        }
        // A server that was refused a setting sets the old one again, as it was shown, and is not to get a file for it
        // that is another by now.
        let restored = |source: &&Source| key_file::is_same(&source.path, file) && source.active_kid == *active;
        if let Some(source) = self.ring_source.as_ref().filter(restored).filter(|_| refused) {
            self.settings.keys_file.clone_from(&source.path);
        } else {
            let (ring, source, warnings) = key_file::read(file, active)?;
            warnings.iter().for_each(|warning| log_warning(warning));
            log_notice(&summary(file, &ring));
            self.take_over(ring, Some(source));
        }
        self.ring_refused = false;
        Ok(())
    }

    fn take_over(&mut self, ring: KeyRing, source: Option<Source>) {
        self.verifier.set_ring(ring);
        self.ring_source = source;
        self.ring_loaded_at = clock();
    }

    /// The file that the ring was read from, unless it is a random key, and when.
    pub(crate) fn ring_origin(&self) -> (Option<&Source>, UnixMillis) {
        (self.ring_source.as_ref(), self.ring_loaded_at)
    }

    /// `session.keys-file`, as CONFIG shows it.
    ///
    /// A server keeps a setting to itself that is set to what it is, but setting this one again is to read the file
    /// again. So once the file is not the one that was read, its name is shown in another spelling, and in a new one each
    /// time: whoever sets it to what CONFIG GET has shown means it, too.
    pub(crate) fn shown_keys_file(&self) -> String {
        let file = &self.settings.keys_file;
        if !self.ring_source.as_ref().is_some_and(Source::has_changed) {
            return file.clone();
        }
        let shown = self.keys_file_shown.get() % MAX_SPELLINGS + 1;
        self.keys_file_shown.set(shown);
        key_file::spelled(file, shown)
    }

    /// How many checks found their token in the cache, and how many did not.
    pub(crate) fn cache_hits_and_misses(&self) -> (u64, u64) {
        self.verifier.hits_and_misses()
    }

    /// Checks a token by itself: everything but whether its session is alive.
    pub(crate) fn verify(
        &mut self,
        subject: Subject<'_>,
        token: &[u8],
        audience: Option<&str>,
        now: UnixMillis,
    ) -> Result<Verified, Reason> {
        self.verifier.verify(subject, token, audience, now)
    }

    /// Checks a refresh token by itself.
    pub(crate) fn verify_refresh(&mut self, subject: Subject<'_>, token: &[u8]) -> Result<RefreshToken, Reason> {
        self.verifier.verify_refresh(subject, token)
    }

    /// Which session a token of the user names, be it expired or not yet valid: that is enough to revoke it.
    pub(crate) fn identify(&mut self, subject: Subject<'_>, token: &[u8]) -> Result<Target, Reason> {
        let Named { id, issued, expires_at } = self.verifier.identify(subject, token)?;
        let leeway = self.settings.token_rules().leeway;
        Ok(Target { id, issued, until: expires_at.map(|expires_at| expires_at.saturating_add(leeway)) })
    }
}

/// What was read, for the log.
fn summary(file: &str, ring: &KeyRing) -> String {
    let signs = ring.signing_key().map_or_else(|| "none signs".into(), |key| format!("{:?} signs", key.kid()));
    let (keys, ignored) = (ring.keys().len(), ring.ignored().len());
    format!("session.keys-file {file}: keys {keys}, of which {signs}; ignored {ignored}")
}

impl Settings {
    /// How long the sweep may take at each tick; `None` if it is off.
    pub(crate) fn sweep(&self) -> Option<Duration> {
        u64::try_from(self.sweep_time).ok().filter(|micros| *micros > 0).map(Duration::from_micros)
    }

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
