//! What the commands share: settings, the key ring and the pool of user agents.
//!
//! Only the server's main thread uses it, one command at a time; the lock makes that visible to the compiler. Two rules
//! prevent deadlocks. First, no code holds the lock while it calls anything that may call back into this module.
//! Second, a value that is freed in a background thread, or while the lock is held, does not take the lock. It leaves
//! its agents in a list, which the next writers and ticks empty, a slice each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant, SystemTime};

use redis_session_core::sessions::{AgentId, AgentPool, Cutoff, Everyone, LimitPolicy, Outage, Presented, Rules};
use redis_session_core::token::{Cause, Issuers, Key, KeyRing, RefreshToken, Verified, Verifier};
use redis_session_core::{Subject, UnixMillis, agreement};

use crate::ffi::{Values, clock, log_notice, publish};
use crate::key_file::{self, Source};
use crate::settings::Settings;
use crate::slots;

static STATE: LazyLock<Mutex<State>> = LazyLock::new(|| {
    LazyLock::force(&MAIN_THREAD);
    Mutex::new(State::default())
});
/// The thread that loads the module.
static MAIN_THREAD: LazyLock<ThreadId> = LazyLock::new(|| thread::current().id());
/// Whether the module has been loaded, so that there may be clients.
static LOADED: AtomicBool = AtomicBool::new(false);
/// Where changes are announced that concern everyone and touch no key.
const CHANNEL: &str = "__redis_session__";
/// Agents of freed values, in slices of at most [`SLICE`].
static RELEASED: Mutex<Vec<Vec<AgentId>>> = Mutex::new(Vec::new());

/// How many agents are released at once: 100 microseconds of the main thread's time if each is the last of its text.
const SLICE: usize = 200;

/// Which files are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Those that were not read yet.
    New,
    /// All.
    Again,
}

/// What the commands share.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    verifier: Verifier,
    /// The key file that the ring was read from, and the `session.active-kid` that it was read with.
    ring_source: Option<Source>,
    ring_active_kid: String,
    issuers_source: Option<Source>,
    keys_loaded_at: UnixMillis,
    agents: AgentPool,
    /// What decisions are measured by, at the last time that anything was decided.
    rules: Rules,
    /// The latest time that was seen since the server last began to load data.
    seen_while_loading: UnixMillis,
}

/// The state, for as long as the guard lives.
pub(crate) fn lock() -> MutexGuard<'static, State> {
    // A panic poisons the lock. The state stays usable: it was between two changes, or each value is still in its
    // bounds.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Announces changes from now on.
pub(crate) fn loaded() {
    LOADED.store(true, Ordering::Relaxed);
}

/// Tells clients that what they remember of checks may be wrong now, for any session. The caller must not hold the lock.
pub(crate) fn announce() {
    if LOADED.load(Ordering::Relaxed) {
        publish(CHANNEL, "changed");
    }
}

/// Releases the agents of a freed value. The main thread does that at once, so that eviction sees the memory it gains.
/// Other threads leave the agents for the next writers and ticks. They must not even try to take the lock: the main
/// thread could fork while they hold it, and the child could never take it.
pub(crate) fn release(mut agents: impl Iterator<Item = AgentId>) {
    if *MAIN_THREAD == thread::current().id()
        && let Ok(mut state) = STATE.try_lock()
    {
        agents.for_each(|agent| state.agents.release(agent));
        return;
    }
    loop {
        // Collected without the lock, which the main thread waits for.
        let slice: Vec<_> = agents.by_ref().take(SLICE).collect();
        if slice.is_empty() {
            return;
        }
        let mut released = RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
        match released.last_mut().filter(|last| last.len() + slice.len() <= SLICE) {
            Some(last) => last.extend(slice),
            None => released.push(slice),
        }
    }
}

/// Releases agents of values that were freed in the background, for as long as `budget` or a slice longer; false if there
/// are no more.
pub(crate) fn release_more(budget: Duration) -> bool {
    let start = Instant::now();
    loop {
        let more = lock().release_slice();
        if !more || start.elapsed() >= budget {
            return more;
        }
    }
}

impl State {
    /// The pool, for changes. A writer releases some agents first, so that writers make texts no faster than texts go.
    pub(crate) fn agents(&mut self) -> &mut AgentPool {
        self.release_slice();
        &mut self.agents
    }

    /// Releases a slice of the agents of freed values; false if there is none.
    fn release_slice(&mut self) -> bool {
        let slice = {
            let mut released = RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
            let slice = released.pop();
            if released.is_empty() {
                *released = Vec::new();
            }
            slice
        };
        let Some(slice) = slice else { return false };
        slice.into_iter().for_each(|agent| self.agents.release(agent));
        true
    }

    /// The pool, to read from: also in a forked child, where a lock of another thread would never be given back.
    pub(crate) fn agents_as_they_are(&self) -> &AgentPool {
        &self.agents
    }

    /// What decisions are measured by now.
    pub(crate) fn rules(&mut self) -> Rules {
        self.rules.now = clock();
        self.rules.latest = self.rules.latest.max(self.rules.now);
        self.rules
    }

    /// Notes a time that another server has seen, or that a session begins at. No cutoff set from now on is earlier.
    pub(crate) fn saw(&mut self, time: UnixMillis) {
        self.rules.latest = self.rules.latest.max(time);
        self.seen_while_loading = self.seen_while_loading.max(time);
    }

    /// The server begins to load data.
    pub(crate) fn loading(&mut self) {
        self.seen_while_loading = UnixMillis::ZERO;
    }

    /// The server has loaded data. From the latest time that they tell of until now, nobody could ask.
    pub(crate) fn loaded(&mut self) {
        self.rules.outage = Outage { from: self.seen_while_loading, until: clock() };
    }

    /// The cutoff of SESSION.REVOKEALL, as files and replicas get it.
    pub(crate) fn everyone(&self) -> Everyone {
        self.rules.everyone()
    }

    /// Sets the cutoff of SESSION.REVOKEALL.
    pub(crate) fn set_revoked_before(&mut self, cutoff: Cutoff) {
        self.rules.revoked_before = cutoff;
    }

    /// Takes over the cutoff of SESSION.REVOKEALL from a primary or a file.
    pub(crate) fn set_everyone(&mut self, Everyone { cutoff, seen }: Everyone) {
        self.saw(seen);
        self.set_revoked_before(cutoff);
    }

    /// How far the clock is behind the latest time that this server has seen.
    pub(crate) fn clock_behind(&self) -> u64 {
        self.rules.latest.saturating_since(clock())
    }

    /// Takes over what has been set.
    pub(crate) fn settings_changed(&mut self) {
        self.rules = self.settings.rules(self.rules);
        self.verifier.set_policy(self.settings.token_policy());
        self.verifier.resize(usize::try_from(self.settings.token_cache).unwrap_or(0));
        if !self.settings.audit_stream.is_empty() {
            slots::prepare();
        }
    }

    /// The ring of keys.
    pub(crate) fn ring(&self) -> Option<&KeyRing> {
        self.verifier.ring()
    }

    /// Reads the own ring and the other issuers from their files, or makes a ring of a random key. If anything fails, all
    /// that was read before stays.
    pub(crate) fn load_keys(&mut self, load: Load) -> Result<(), String> {
        let (ring, issuers) = (self.ring_to_load(load)?, self.issuers_to_load(load)?);
        if let Some((ring, source)) = ring {
            if let Some(Source { path, .. }) = &source {
                log_notice(&summary(path, &ring));
                tell_ignored(&format!("session.keys-file {path}"), &ring);
            }
            self.verifier.set_ring(ring);
            self.ring_source = source;
            self.ring_active_kid.clone_from(&self.settings.active_kid);
            self.keys_loaded_at = clock();
        }
        if let Some((issuers, source)) = issuers {
            if let Some(Source { path, .. }) = &source {
                log_notice(&format!("session.issuers-file {path}: issuers {}", issuers.iter().len()));
                for issuer in issuers.iter() {
                    tell_ignored(&format!("session.issuers-file {path}: {}", issuer.jwks()), issuer.keys());
                }
            }
            self.verifier.set_issuers(issuers);
            self.issuers_source = source;
            self.keys_loaded_at = clock();
        }
        Ok(())
    }

    /// The ring to take over, if it is another than that there is.
    fn ring_to_load(&self, load: Load) -> Result<Option<(KeyRing, Option<Source>)>, String> {
        let (file, active) = (&self.settings.keys_file, &self.settings.active_kid);
        if file.is_empty() {
            if !active.is_empty() {
                return Err("session.active-kid names a key, but session.keys-file is empty".into());
            }
            // A ring that lasts as long as the process is made once, not whenever a setting changes.
            if self.ring().is_some_and(KeyRing::is_ephemeral) {
                return Ok(None);
            }
            let ring = KeyRing::ephemeral().map_err(|error| format!("no randomness for a key: {error}"))?;
            return Ok(Some((ring, None)));
        }
        let is_known = self.ring_active_kid == *active && is_of(self.ring_source.as_ref(), file);
        if is_known && load == Load::New {
            return Ok(None);
        }
        key_file::read_ring(file, active).map(|(ring, source)| Some((ring, Some(source))))
    }

    /// The issuers to take over, if they are others than there are.
    fn issuers_to_load(&self, load: Load) -> Result<Option<(Issuers, Option<Source>)>, String> {
        let file = &self.settings.issuers_file;
        if file.is_empty() {
            return Ok(self.issuers_source.is_some().then(|| (Issuers::default(), None)));
        }
        if is_of(self.issuers_source.as_ref(), file) && load == Load::New {
            return Ok(None);
        }
        key_file::read_issuers(file).map(|(issuers, source)| Some((issuers, Some(source))))
    }

    /// The other issuers.
    pub(crate) fn issuers(&self) -> &Issuers {
        self.verifier.issuers()
    }

    /// All public keys, as a JWK Set.
    pub(crate) fn public_jwks(&self) -> String {
        self.verifier.public_jwks()
    }

    /// The files that the ring and the issuers were read from, if there are such, and when.
    pub(crate) fn keys_origin(&self) -> (Option<&Source>, Option<&Source>, UnixMillis) {
        (self.ring_source.as_ref(), self.issuers_source.as_ref(), self.keys_loaded_at)
    }

    /// For how many milliseconds the keys of the own ring have been what they are: since their file was last written, which a
    /// restart does not change, or since a random key was made.
    pub(crate) fn keys_age(&self) -> u64 {
        let written = self.ring_source.as_ref().and_then(Source::written_at);
        let written = written.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let written =
            written.map(|time| UnixMillis::saturating_from(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)));
        clock().saturating_since(written.unwrap_or(self.keys_loaded_at))
    }

    /// A number that servers share which have the same keys.
    pub(crate) fn keys_number(&self) -> u64 {
        self.ring().map_or(0, |ring| agreement::number_of_keys(ring, self.issuers()))
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
    ) -> Result<Verified, Cause> {
        self.verifier.verify(subject, token, audience, now)
    }

    /// Checks a refresh token by itself.
    pub(crate) fn verify_refresh(&mut self, subject: Subject<'_>, token: &[u8]) -> Result<RefreshToken, Cause> {
        self.verifier.verify_refresh(subject, token)
    }

    /// Which session a token of the user names. One that has expired or is not valid yet names it too: that is enough to
    /// revoke it.
    pub(crate) fn identify(&mut self, subject: Subject<'_>, token: &[u8]) -> Result<Presented, Cause> {
        self.verifier.identify(subject, token).map(Presented::from)
    }
}

/// Whether this is the source that `file` would be.
///
/// Setting one of several files reads that one alone. So does the server when it was refused a setting and sets the old one
/// again: it must not get a file that is another by now.
fn is_of(source: Option<&Source>, file: &str) -> bool {
    source.is_some_and(|source| source.path == file)
}

/// How many keys that were left out have a line in the log.
const MOST_TOLD: usize = 20;

/// Says which keys of a file are left out, and why.
fn tell_ignored(file: &str, ring: &KeyRing) {
    let ignored = ring.ignored();
    let more = ignored.len().saturating_sub(MOST_TOLD);
    for key in ignored.take(MOST_TOLD) {
        let named = key.kid.as_ref().map_or_else(|| "a key without a kid".into(), |kid| format!("key {kid:?}"));
        log_notice(&format!("{file}: {named} is left out: {}", key.why));
    }
    if more > 0 {
        log_notice(&format!("{file}: {more} more keys are left out"));
    }
}

/// What was read, for the log.
fn summary(file: &str, ring: &KeyRing) -> String {
    let signs =
        ring.signing_key().and_then(Key::kid).map_or_else(|| "none signs".into(), |kid| format!("{kid:?} signs"));
    let (keys, ignored) = (ring.keys().len(), ring.ignored().len());
    format!("session.keys-file {file}: keys {keys}, of which {signs}; ignored {ignored}")
}

impl Values for Settings {
    fn read<R>(read: impl FnOnce(&mut Self) -> R) -> R {
        read(&mut lock().settings)
    }

    fn change(set: impl FnOnce(&mut Self)) {
        let mut state = lock();
        set(&mut state.settings);
        state.settings_changed();
        drop(state);
        announce();
    }

    fn reload() -> Result<(), String> {
        let outcome = lock().load_keys(Load::New);
        announce();
        outcome
    }
}

impl Settings {
    /// How many microseconds of each tenth of a second the sweep takes at rest; `None` if it is off.
    pub(crate) fn sweep(&self) -> Option<u64> {
        u64::try_from(self.sweep_time).ok().filter(|micros| *micros > 0)
    }

    /// Seconds that an access token lives, unless its session says otherwise.
    pub(crate) fn token_secs(&self) -> u64 {
        u64::try_from(self.token_ttl).unwrap_or(0)
    }

    /// What decisions are measured by, where `known` has what is no setting.
    fn rules(&self, known: Rules) -> Rules {
        // A larger leeway has let tokens in, which cutoffs must end after it was lowered too.
        let leeway = millis(self.leeway).max(known.leeway);
        // The setting ends sessions that began before that moment. A cutoff ends those of its own moment too, so it
        // lies one millisecond earlier.
        let not_before = UnixMillis::saturating_from(self.not_before.saturating_sub(1));
        let not_before = if self.not_before > 0 { Cutoff::at(not_before, leeway) } else { Cutoff::default() };
        Rules {
            leeway,
            ahead: millis(self.leeway),
            // JWTs made elsewhere are good for as long as our own tokens at most.
            horizon: millis(self.ttl.max(self.token_ttl).max(self.refresh_ttl)),
            not_before,
            token_secs: self.token_secs(),
            grace: millis(self.refresh_grace),
            recovery: millis(self.refresh_recovery),
            sessions: u32::try_from(self.max_per_user).unwrap_or(u32::MAX),
            policy: if self.limit_policy == 0 { LimitPolicy::Evict } else { LimitPolicy::Reject },
            tombstones: usize::try_from(self.max_per_user).unwrap_or(usize::MAX).saturating_mul(2),
            touch_granularity: millis(self.touch_granularity),
            data: self.data_limit(),
            ..known
        }
    }
}

fn millis(secs: i64) -> u64 {
    u64::try_from(secs).unwrap_or(0).saturating_mul(1000)
}
