//! The files with keys: reading them, and who may else read or write them.

use std::fmt::Display;
use std::fs::{Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use redis_session_core::token::{FileAccess, Issuers, KeyRing};

/// Which files something was read from, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The file that is set, as it is set.
    pub(crate) path: String,
    /// All files that were read for it.
    files: Vec<(PathBuf, FileState)>,
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
    /// When one of the files was last written, as of the time at which they were read.
    pub(crate) fn written_at(&self) -> Option<SystemTime> {
        self.files.iter().filter_map(|(_, state)| state.modified).max()
    }

    /// Whether one of the files is no longer the one that was read.
    pub(crate) fn has_changed(&self) -> bool {
        let is_same = |(path, state): &(PathBuf, FileState)| {
            std::fs::metadata(path).is_ok_and(|file| FileState::of(&file) == *state)
        };
        !self.files.iter().all(is_same)
    }
}

/// Reads the own ring from the file at `path`.
pub(crate) fn read_ring(path: &str, active_kid: &str) -> Result<(KeyRing, Source), String> {
    let refused = |why: &dyn Display| format!("session.keys-file {path}: {why}");
    let (json, file) = contents(Path::new(path)).map_err(|why| refused(&why))?;
    let active = Some(active_kid).filter(|kid| !kid.is_empty());
    let ring = KeyRing::from_jwk_set(&json, active).map_err(|why| refused(&why))?;
    access(&file).check(ring.has_secrets()).map_err(|why| refused(&why))?;
    let files = vec![(path.into(), FileState::of(&file))];
    Ok((ring, Source { path: path.to_owned(), files }))
}

/// Reads other issuers from the file at `path`, and their key sets from those that it names.
pub(crate) fn read_issuers(path: &str) -> Result<(Issuers, Source), String> {
    let refused = |why: &dyn Display| format!("session.issuers-file {path}: {why}");
    let (json, file) = contents(Path::new(path)).map_err(|why| refused(&why))?;
    access(&file).check(false).map_err(|why| refused(&why))?;
    let mut files = vec![(PathBuf::from(path), FileState::of(&file))];
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut sets = Vec::new();
    let issuers = Issuers::read(&json, |set| {
        let path = folder.join(set);
        let (json, file) = contents(&path)?;
        files.push((path, FileState::of(&file)));
        sets.push((set.to_owned(), file));
        Ok::<_, String>(json)
    });
    let issuers = issuers.map_err(|why| refused(&why))?;
    for (set, file) in sets {
        let checked = access(&file).check(issuers.has_secrets_in(&set));
        checked.map_err(|why| refused(&format_args!("{set}: {why}")))?;
    }
    Ok((issuers, Source { path: path.to_owned(), files }))
}

/// A file's bytes, and what it was when it was read.
///
/// The server does nothing else meanwhile. So it opens no pipe that could keep it waiting, and reads no more than a key
/// file can have.
fn contents(path: &Path) -> Result<(Vec<u8>, Metadata), String> {
    let regular = |metadata: Metadata| {
        let is_file = metadata.is_file();
        is_file.then_some(metadata).ok_or_else(|| "is not a regular file".to_owned())
    };
    // Opening a device can have an effect, so the path is looked at first. O_NONBLOCK: opening a pipe waits for no writer.
    regular(std::fs::metadata(path).map_err(|error| error.to_string())?)?;
    // The path may lead elsewhere by now, so the open file is looked at too.
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = open.map_err(|error| error.to_string())?;
    // Before it is read, so that a change meanwhile is taken for one afterwards.
    let metadata = regular(file.metadata().map_err(|error| error.to_string())?)?;
    let mut bytes = Vec::new();
    file.take(FileAccess::MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FileAccess::MAX_BYTES {
        return Err(format!("is longer than {} bytes", FileAccess::MAX_BYTES));
    }
    Ok((bytes, metadata))
}

fn access(file: &Metadata) -> FileAccess {
    FileAccess { mode: file.mode(), is_roots: file.uid() == 0 }
}
