//! The key file: reading it, and what its owner should know about it.

use std::fs::{Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::time::SystemTime;

use redis_session_core::token::KeyRing;

/// The longest file that is read, in bytes: some thousand keys.
const MAX_BYTES: u64 = 1024 * 1024;

/// O_NONBLOCK, with which opening a pipe does not wait for a writer. The number stands here because the module needs
/// nothing else of the crate `libc`. It is from <asm-generic/fcntl.h> on Linux (x86-64, Arm, RISC-V, POWER, s390x), and
/// from <fcntl.h> on macOS and the BSDs.
const NONBLOCK: i32 = if cfg!(target_os = "linux") { 0o4000 } else { 0x4 };

/// Which file a ring was read from, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) active_kid: String,
    state: FileState,
}

/// What tells one version of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileState {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl FileState {
    fn of(file: &Metadata) -> Self {
        Self { modified: file.modified().ok(), length: file.len(), inode: file.ino() }
    }
}

impl Source {
    /// Whether the file is no longer the one that was read.
    pub(crate) fn has_changed(&self) -> bool {
        std::fs::metadata(&self.path).map(|file| FileState::of(&file)).ok().as_ref() != Some(&self.state)
    }
}

/// Reads a ring from the file at `path`. Also returns warnings for its owner.
///
/// The server is blocked while this runs. So it never waits for a pipe, and reads [`MAX_BYTES`] at most.
pub(crate) fn read(path: &str, active_kid: &str) -> Result<(KeyRing, Source, Vec<String>), String> {
    let refused = |why: &dyn std::fmt::Display| format!("session.keys-file {path}: {why}");
    let regular = |metadata: Metadata| {
        let is_file = metadata.is_file();
        is_file.then_some(metadata).ok_or_else(|| refused(&"is not a regular file"))
    };
    // Opening a device can have an effect, so the path is looked at first.
    regular(std::fs::metadata(path).map_err(|error| refused(&error))?)?;
    // The path may lead elsewhere by now, so the open file is looked at too.
    let file = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path).map_err(|error| refused(&error))?;
    // Taken before the file is read, so that a change during the read shows up as a change later.
    let metadata = regular(file.metadata().map_err(|error| refused(&error))?)?;
    let mut json = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut json).map_err(|error| refused(&error))?;
    if u64::try_from(json.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(refused(&format_args!("is longer than {MAX_BYTES} bytes")));
    }
    let active = Some(active_kid).filter(|kid| !kid.is_empty());
    let ring = KeyRing::from_jwk_set(&json, active).map_err(|error| refused(&error))?;
    let (mode, mut warnings) = (metadata.mode() & 0o777, Vec::new());
    let mut warn = |what: &str| {
        warnings.push(format!("session.keys-file {path} can be {what} by others (mode {mode:o}): chmod 600 {path}"));
    };
    if ring.has_secrets() && mode & 0o044 != 0 {
        warn("read");
    }
    if mode & 0o022 != 0 {
        warn("written");
    }
    let state = FileState::of(&metadata);
    let source = Source { path: path.to_owned(), active_kid: active_kid.to_owned(), state };
    Ok((ring, source, warnings))
}

/// The same path, spelled with `more` steps that lead nowhere.
pub(crate) fn spelled(path: &str, more: usize) -> String {
    let step = if path.starts_with('/') { "/." } else { "./" };
    step.repeat(more) + path
}

/// Whether two paths are the same but for how they are [`spelled`].
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

fn plain(mut path: &str) -> &str {
    loop {
        let rest = match path.strip_prefix("./") {
            Some(rest) => Some(rest).filter(|rest| !rest.starts_with('/')),
            None => path.strip_prefix("/.").filter(|rest| rest.starts_with('/')),
        };
        match rest {
            Some(rest) => path = rest,
            None => return path,
        }
    }
}
