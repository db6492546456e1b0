//! What is stored at a key: one user's sessions, as a value of the module's own type.
//!
//! Saving may run in a forked child, freeing in a background thread: nothing here waits for a lock that another thread
//! could hold at a fork. See [`crate::state`] for how agents are released.

use std::ffi::{CStr, c_int};
use std::sync::LazyLock;

use redis_session_core::sessions::{Everyone, UserSessions};

use crate::ffi::{self, Numbers, Type, Value, log_warning};
use crate::state;
use crate::stats::{self, Share};

/// The type of a key that holds sessions, `sessions1` in DUMP payloads and RDB files.
pub(crate) static TYPE: Type<UserSessions> = Type::new();

/// A key whose sessions are only looked at.
pub(crate) type KeyForReading<'a> = ffi::KeyForReading<'a, UserSessions>;
/// A key whose sessions may be changed.
pub(crate) type KeyForWriting<'a> = ffi::KeyForWriting<'a, UserSessions>;

/// What stands for a key that does not exist.
static NONE: LazyLock<UserSessions> = LazyLock::new(UserSessions::new);

/// A key that may hold sessions.
pub(crate) trait Sessions {
    /// The sessions stored there.
    fn sessions(&self) -> Option<&UserSessions>;

    /// The sessions stored there; none if the key does not exist.
    fn sessions_or_none(&self) -> &UserSessions {
        self.sessions().unwrap_or_else(|| &NONE)
    }
}

impl Sessions for KeyForReading<'_> {
    fn sessions(&self) -> Option<&UserSessions> {
        self.value()
    }
}

impl Sessions for KeyForWriting<'_> {
    fn sessions(&self) -> Option<&UserSessions> {
        self.value()
    }
}

impl Value for UserSessions {
    const NAME: &'static str = "sessions1";
    /// Of the file format, see `redis_session_core::sessions`.
    const VERSION: c_int = 1;
    const COMMAND: &'static CStr = c"SESSION.APPLY";

    fn native() -> &'static Type<Self> {
        &TYPE
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let sessions = Self::decode(bytes, state::lock().agents()).map_err(|why| why.to_string())?;
        state::lock().saw(sessions.last_change_at());
        Ok(counted(sessions))
    }

    /// Closes this user, so that nothing revoked comes back. The other users keep their sessions.
    fn unreadable() -> Self {
        failed_to_apply();
        counted(Self::closed())
    }

    fn encode(&self) -> Vec<u8> {
        self.encode(state::lock().agents_as_they_are())
    }

    fn canonical(&self) -> Vec<u8> {
        self.canonical(state::lock().agents_as_they_are())
    }

    fn duplicate(&self) -> Self {
        counted(self.copy(state::lock().agents()))
    }

    fn freed(self) {
        Share::of(&self).becomes(Share::default());
        state::release(self.agents());
    }

    fn bytes(&self) -> usize {
        self.allocated_bytes()
    }

    fn parts(&self) -> usize {
        self.allocations()
    }

    fn parts_from(&mut self, from: u64) -> impl Iterator<Item = (u64, &mut Box<[u8]>)> {
        self.allocations_from(from)
    }

    /// The cutoff of all users.
    fn beside() -> (impl AsRef<[u8]>, bool) {
        let everyone = state::lock().everyone();
        (everyone.to_bytes(), everyone != Everyone::default())
    }

    fn set_beside(bytes: &[u8]) -> Result<(), &'static str> {
        let everyone = Everyone::from_bytes(bytes).ok_or("the cutoff of SESSION.REVOKEALL is damaged")?;
        state::lock().set_everyone(everyone);
        Ok(())
    }

    fn beside_as_command() -> Option<Numbers> {
        let everyone = state::lock().everyone();
        (everyone != Everyone::default()).then(|| as_command(everyone))
    }
}

/// Counts what the server is to store.
fn counted(sessions: UserSessions) -> UserSessions {
    Share::default().becomes(Share::of(&sessions));
    sessions
}

/// The cutoff of all users, as replicas and append-only files get it.
pub(crate) fn as_command(Everyone { cutoff, seen }: Everyone) -> Numbers {
    let numbers = [cutoff.began.as_i64(), cutoff.iat.as_i64(), seen.as_i64()];
    Numbers { command: c"SESSION.REVOKEALL", word: c"CUTOFF", numbers }
}

/// Counts a user that was closed. Logs the first, the tenth, the hundredth and so on.
pub(crate) fn failed_to_apply() {
    stats::APPLY_FAILURES.add(1);
    let failures = stats::APPLY_FAILURES.get();
    if failures == 10_u64.pow(failures.ilog10()) {
        log_warning(&format!(
            "session: what this server was sent, or has in its file, is of a later version of the module or damaged. It \
             has closed the sessions of {failures} users so far, as they may have been revoked. Upgrade the module here"
        ));
    }
}
