//! Who may read and write a file with keys.

use thiserror::Error;

/// The owner and the mode of a file, as far as they matter for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileAccess {
    /// The permission bits (`st_mode`); others are not looked at.
    pub mode: u32,
    /// Whether root owns it.
    pub is_roots: bool,
}

/// Why a file with keys is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AccessProblem {
    /// Others than its owner can write it.
    #[error("can be written by others than its owner (mode {mode:o}): chmod go-w it")]
    Writable {
        /// Its permission bits.
        mode: u32,
    },
    /// It holds secrets that others can read.
    #[error("holds secrets and can be read by others than its owner (mode {mode:o}): chmod 600 it")]
    Readable {
        /// Its permission bits.
        mode: u32,
    },
}

impl FileAccess {
    /// The longest file with keys that is read, in bytes: some thousand keys.
    pub const MAX_BYTES: u64 = 1024 * 1024;

    /// Refuses a file that others than its owner can write, and one with secrets that others can read, as `ssh` does. Its
    /// writer decides who may log in as anybody.
    ///
    /// Root may give a file with secrets to the group of the server, to read: that is how packages, and secrets that are
    /// mounted into containers, have it.
    ///
    /// # Errors
    /// If others may do what they must not.
    ///
    /// ```
    /// use redis_session_core::token::FileAccess;
    /// let of_a_user = |mode| FileAccess { mode, is_roots: false };
    /// assert!(of_a_user(0o600).check(true).is_ok() && of_a_user(0o644).check(false).is_ok());
    /// assert!(of_a_user(0o640).check(true).is_err() && of_a_user(0o666).check(false).is_err());
    /// assert!(FileAccess { mode: 0o640, is_roots: true }.check(true).is_ok());
    /// ```
    pub fn check(self, has_secrets: bool) -> Result<(), AccessProblem> {
        let mode = self.mode & 0o777;
        if mode & 0o022 != 0 {
            return Err(AccessProblem::Writable { mode });
        }
        let readers = if self.is_roots { 0o004 } else { 0o044 };
        if has_secrets && mode & readers != 0 { Err(AccessProblem::Readable { mode }) } else { Ok(()) }
    }
}
