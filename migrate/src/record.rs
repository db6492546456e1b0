//! The folder of a migration: how far it has come, what it has moved and what it could not.
//!
//! ```text
//! state.json      the position and the counts, replaced as a whole after each batch
//! report.jsonl    a line for each thing that the latest pass did not move
//! moved.next      a line for each session that this pass has found alive in the old layout, written before it is moved:
//!                 id, end (Unix milliseconds), digest of the old key, digest of its value, and user, with tabs between
//!                 them
//! moved           the same of the passes before this one
//! dry-run.jsonl   what the latest dry run would not move; a dry run has none of the others
//! issuers.json    the entries that session.issuers-file needs for the JWTs that would not be taken, if there are such
//! ```
//!
//! The digests tell a later pass which keys have not changed since.
//!
//! A line of `moved.next` that is behind what `state.json` knows is of a batch that was cut off: its sessions may have
//! begun without the second look at the old keys. Each is *unconfirmed* until it is found again, and is ended if it is
//! not found in the rest of the pass.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use redis_session_core::base64url;
use serde::{Deserialize, Serialize};

use crate::error::Failure;
use crate::old_key::digest;
use crate::options::Options;
use crate::report::{Line, Tally};

const VERSION: u32 = 2;
/// How often the state is saved while nothing changes but the position.
const OFTEN: Duration = Duration::from_millis(250);
/// Longer than any line of the lists: an id has 128 bytes at most, a user 255.
const LINE: usize = 512;

/// What is done one after the other in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Blacklist,
    Sessions,
    UserBlacklist,
    Gone,
    Done,
}

/// How far a migration has come.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    options: BTreeMap<String, String>,
    /// The source's servers and their runs, within which the cursor is good.
    runs: BTreeMap<String, String>,
    pub(crate) pass: u32,
    pub(crate) phase: Phase,
    pub(crate) node: usize,
    pub(crate) cursor: u64,
    report_bytes: u64,
    moved_bytes: u64,
    /// Sessions that may have begun without a second look at their old keys, and their users.
    unconfirmed: BTreeMap<String, String>,
    /// Whether old keys were deleted here, so that a key that is missing means nothing any more.
    has_deleted: bool,
    pub(crate) tally: Tally,
}

/// A session that was found alive in the old layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) id: String,
    /// Unix milliseconds.
    pub(crate) ends_at: i64,
    pub(crate) user: String,
    pub(crate) seen: Seen,
}

/// What an old key was when it was moved, by digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    key: [u8; 16],
    value: [u8; 8],
}

impl Seen {
    pub(crate) fn of(key: &[u8], value: &[u8]) -> Self {
        Self { key: digest(key), value: value_digest(value) }
    }
}

fn value_digest(value: &[u8]) -> [u8; 8] {
    digest(value).first_chunk().copied().unwrap_or_default()
}

/// What the list says of an old key: the digest of its value, and where its line is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Earlier {
    value: [u8; 8],
    at: u64,
}

/// A session that was found again as it was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Again {
    pub(crate) id: String,
    pub(crate) user: String,
    line: String,
}

impl Moved {
    fn line(&self) -> String {
        let Self { id, ends_at, user, seen: Seen { key, value } } = self;
        format!("{id}\t{ends_at}\t{}\t{}\t{user}\n", base64url::encode(key), base64url::encode(value))
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(5, '\t');
        let mut next = || parts.next();
        let (id, ends_at, key, value, user) = (next()?, next()?, next()?, next()?, next()?);
        let bytes = |text: &str| base64url::decode(text.as_bytes());
        let seen = Seen { key: bytes(key)?.try_into().ok()?, value: bytes(value)?.try_into().ok()? };
        Some(Self { id: id.to_owned(), ends_at: ends_at.parse().ok()?, user: user.to_owned(), seen })
    }
}

/// The old keys that earlier passes have moved: by the key's digest, the value's, and where its line is in the list.
#[derive(Default)]
pub(crate) struct Known {
    list: Option<File>,
    keys: HashMap<[u8; 16], ([u8; 8], u64)>,
}

impl Known {
    fn read(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("moved");
        let mut known = Self { list: File::open(&path).ok(), keys: HashMap::new() };
        let mut at = 0;
        each(&path, |line| {
            if let Some(Moved { seen, .. }) = Moved::parse(line) {
                known.keys.insert(seen.key, (seen.value, at));
            }
            at += line.len() as u64 + 1;
        })?;
        Ok(known)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What is known of this key, if there was such a key.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Earlier> {
        if self.is_empty() {
            return None;
        }
        self.keys.get(&digest(key)).map(|(value, at)| Earlier { value: *value, at: *at })
    }

    /// What it was moved to, if its value is still the same.
    pub(crate) fn unchanged(&self, earlier: Earlier, value: &[u8]) -> Option<Again> {
        if earlier.value != value_digest(value) {
            return None;
        }
        let mut bytes = [0; LINE];
        let length = self.list.as_ref()?.read_at(&mut bytes, earlier.at).ok()?;
        let line = bytes.get(..length)?.split(|byte| *byte == b'\n').next()?;
        let line = std::str::from_utf8(line).ok()?;
        let mut parts = line.split('\t');
        let (id, user) = (parts.next()?.to_owned(), parts.nth(3)?.to_owned());
        Some(Again { id, user, line: format!("{line}\n") })
    }
}

/// The folder, with its files open.
pub(crate) struct Record {
    dir: PathBuf,
    pub(crate) state: State,
    /// Locked, so that no two runs work at one migration.
    report: BufWriter<File>,
    /// None in a dry run.
    moved: Option<File>,
    /// Whether something of it may not be on the disk yet.
    is_unsynced: bool,
    saved: Instant,
}

impl Record {
    /// Opens the folder, and makes it if it is not there. The other result is what is to be said about it.
    pub(crate) fn open(options: &Options, runs: BTreeMap<String, String>) -> Result<(Self, Option<String>), Failure> {
        let dir = options.dir.clone();
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(Failure::io(&dir))?;
        let new = State {
            version: VERSION,
            options: options.fixed(),
            runs: runs.clone(),
            pass: 1,
            phase: Phase::Blacklist,
            node: 0,
            cursor: 0,
            report_bytes: 0,
            moved_bytes: 0,
            unconfirmed: BTreeMap::new(),
            has_deleted: false,
            tally: Tally::default(),
        };
        let report_path = dir.join(if options.apply { "report.jsonl" } else { "dry-run.jsonl" });
        let mut report = open(&report_path, false)?;
        lock(&report, &dir, &report_path)?;
        if !options.apply {
            report.set_len(0).map_err(Failure::io(&report_path))?;
            let record = Self {
                dir,
                state: new,
                report: BufWriter::new(report),
                moved: None,
                is_unsynced: false,
                saved: Instant::now(),
            };
            return Ok((record, None));
        }
        let (mut state, mut said) = (new, None);
        let old = read_state(&dir)?;
        let is_new = old.is_none();
        if let Some(old) = old {
            same_migration(&dir, &old.options, &state.options)?;
            if options.revoke_gone && old.has_deleted {
                let why = "--delete-moved was used here, so a missing key no longer means a logout";
                return Err(Failure::Folder { file: dir, why: why.into() });
            }
            let begins_again = old.phase == Phase::Done || old.runs != runs;
            if old.phase == Phase::Done {
                said = Some(format!("pass {}", old.pass + 1));
            } else if begins_again {
                said = Some("the source was started again, or is another: the pass begins again".to_owned());
            } else {
                said = Some(format!("pass {} goes on", old.pass));
            }
            let pass = if old.phase == Phase::Done { old.pass + 1 } else { old.pass };
            let State { unconfirmed, has_deleted, moved_bytes, .. } = old;
            state = if begins_again {
                State { pass, unconfirmed, has_deleted, moved_bytes, ..state }
            } else {
                State { unconfirmed, ..old }
            };
            if begins_again {
                // Before the list below is emptied.
                state.unconfirmed.extend(cut_off(&dir, state.moved_bytes)?);
                append(&dir.join("moved"), &dir.join("moved.next"))?;
                state.moved_bytes = 0;
            }
        }
        report.set_len(state.report_bytes).map_err(Failure::io(&report_path))?;
        report.seek(SeekFrom::End(0)).map_err(Failure::io(&report_path))?;
        state.unconfirmed.extend(cut_off(&dir, state.moved_bytes)?);
        let mut record = Self {
            moved: Some(open_moved(&dir, state.moved_bytes)?),
            dir,
            state,
            report: BufWriter::new(report),
            is_unsynced: false,
            saved: Instant::now(),
        };
        // A run that ends before it has moved anything decides nothing for the next.
        if !is_new {
            record.save()?;
        }
        Ok((record, said))
    }

    /// Notes something that is not moved.
    pub(crate) fn report(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        let mut json = serde_json::to_string(line).map_err(|error| self.failed(&error.to_string()))?;
        json.push('\n');
        self.state.report_bytes += json.len() as u64;
        let path = self.report_path();
        self.report.write_all(json.as_bytes()).map_err(Failure::io(&path))
    }

    pub(crate) fn report_path(&self) -> PathBuf {
        self.dir.join(if self.moved.is_some() { "report.jsonl" } else { "dry-run.jsonl" })
    }

    /// Notes sessions that are about to be moved. When this has returned, a cut finds them noted.
    pub(crate) fn moving(&mut self, sessions: impl Iterator<Item = Moved>) -> Result<(), Failure> {
        self.note(&sessions.map(|session| session.line()).collect::<String>())?;
        self.sync()
    }

    /// Notes sessions that were found again as they were.
    pub(crate) fn found(&mut self, sessions: &[Again]) -> Result<(), Failure> {
        self.note(&sessions.iter().map(|session| session.line.as_str()).collect::<String>())
    }

    fn note(&mut self, lines: &str) -> Result<(), Failure> {
        let Some(file) = &mut self.moved else { return Ok(()) };
        self.is_unsynced |= !lines.is_empty();
        file.write_all(lines.as_bytes()).map_err(Failure::io(&self.dir.join("moved.next")))
    }

    fn sync(&mut self) -> Result<(), Failure> {
        let Some(file) = self.moved.as_ref().filter(|_| self.is_unsynced) else { return Ok(()) };
        file.sync_data().map_err(Failure::io(&self.dir.join("moved.next")))?;
        self.is_unsynced = false;
        Ok(())
    }

    /// The old keys that earlier passes have moved.
    pub(crate) fn known(&self) -> Result<Known, Failure> {
        Known::read(&self.dir)
    }

    /// A file in the folder, for its owner alone.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.dir.join(name);
        open(&path, true)?.write_all(text.as_bytes()).map_err(Failure::io(&path))?;
        Ok(path)
    }

    /// A file in the folder, if it is there.
    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.dir.join(name)).ok()
    }

    /// Whether the run goes on with a pass that an earlier one has begun.
    pub(crate) fn is_under_way(&self) -> bool {
        let State { phase, node, cursor, .. } = self.state;
        (phase, node, cursor) != (Phase::Blacklist, 0, 0)
    }

    /// Notes that the old key of a session was there after the session had begun.
    pub(crate) fn confirm(&mut self, id: &str) {
        self.state.unconfirmed.remove(id);
    }

    /// The sessions that were not found again.
    pub(crate) fn unconfirmed(&self) -> Vec<(String, String)> {
        self.state.unconfirmed.iter().map(|(id, user)| (id.clone(), user.clone())).collect()
    }

    pub(crate) fn forget_unconfirmed(&mut self) {
        self.state.unconfirmed.clear();
    }

    pub(crate) fn has_deleted(&self) -> bool {
        self.state.has_deleted
    }

    pub(crate) fn deleting(&mut self) {
        self.state.has_deleted = true;
    }

    /// Saves the state now and then: where nothing has changed but the position, it need not be done at once.
    pub(crate) fn save_often(&mut self) -> Result<(), Failure> {
        if self.saved.elapsed() < OFTEN { Ok(()) } else { self.save() }
    }

    /// Puts the state on the disk, in one step.
    pub(crate) fn save(&mut self) -> Result<(), Failure> {
        self.sync()?;
        self.saved = Instant::now();
        let path = self.report_path();
        self.report.flush().map_err(Failure::io(&path))?;
        let Some(moved) = &mut self.moved else { return Ok(()) };
        self.state.moved_bytes = moved.metadata().map_err(Failure::io(&self.dir))?.len();
        let json = serde_json::to_vec(&self.state).map_err(|error| self.failed(&error.to_string()))?;
        let (path, new) = (self.dir.join("state.json"), self.dir.join("state.json.new"));
        let mut file = open(&new, true)?;
        file.write_all(&json).and_then(|()| file.sync_data()).map_err(Failure::io(&new))?;
        fs::rename(&new, &path).map_err(Failure::io(&path))
    }

    /// The sessions of earlier passes that this pass has not found any more, and that have not ended by themselves.
    pub(crate) fn gone(&self, now: i64) -> Result<Vec<Moved>, Failure> {
        let earlier = self.dir.join("moved");
        // A first pass need not keep all of its sessions in memory.
        if !earlier.exists() {
            return Ok(Vec::new());
        }
        let mut seen = HashSet::new();
        each(&self.dir.join("moved.next"), |line| {
            if let Some(session) = Moved::parse(line) {
                seen.insert(of_user(&session.id, &session.user));
            }
        })?;
        let mut gone = Vec::new();
        each(&earlier, |line| {
            let session = Moved::parse(line).filter(|session| session.ends_at > now);
            if let Some(session) = session
                && seen.insert(of_user(&session.id, &session.user))
            {
                gone.push(session);
            }
        })?;
        Ok(gone)
    }

    /// Ends the pass; `kept` are sessions that later passes are to ask after once more.
    pub(crate) fn finish(&mut self, kept: &[Moved]) -> Result<(), Failure> {
        let (next, moved, new) = (self.dir.join("moved.next"), self.dir.join("moved"), self.dir.join("moved.new"));
        fs::copy(&next, &new).map_err(Failure::io(&new))?;
        let mut file = OpenOptions::new().append(true).open(&new).map_err(Failure::io(&new))?;
        let lines: String = kept.iter().map(Moved::line).collect();
        file.write_all(lines.as_bytes()).and_then(|()| file.sync_data()).map_err(Failure::io(&new))?;
        // Cut off between these two, the pass ends once more, with the same result.
        fs::rename(&new, &moved).map_err(Failure::io(&moved))?;
        self.state.phase = Phase::Done;
        self.save()?;
        // Not before: an empty list would say that all that was ever moved is gone.
        self.moved = Some(open(&next, true)?);
        Ok(())
    }

    fn failed(&self, why: &str) -> Failure {
        Failure::Folder { file: self.dir.clone(), why: why.to_owned() }
    }
}

/// For its owner alone: there are users in it.
fn open(path: &Path, truncate: bool) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(truncate).mode(0o600);
    options.open(path).map_err(Failure::io(path))
}

/// Until the file is closed, however the run ends (flock(2)).
fn lock(file: &File, dir: &Path, path: &Path) -> Result<(), Failure> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Failure::Folder { file: dir.to_owned(), why: "another run is at work here".into() },
        TryLockError::Error(error) => Failure::io(path)(error),
    })
}

fn open_moved(dir: &Path, known: u64) -> Result<File, Failure> {
    let path = dir.join("moved.next");
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(Failure::io(&path))?;
    // Half a line behind what the state knows is of sessions that were not begun.
    let mut rest = Vec::new();
    let mut reader = File::open(&path).map_err(Failure::io(&path))?;
    let known = known.min(file.metadata().map_err(Failure::io(&path))?.len());
    reader.seek(SeekFrom::Start(known)).and_then(|_| reader.read_to_end(&mut rest)).map_err(Failure::io(&path))?;
    let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    file.set_len(known + whole as u64).map_err(Failure::io(&path))?;
    Ok(file)
}

fn read_state(dir: &Path) -> Result<Option<State>, Failure> {
    let path = dir.join("state.json");
    if !path.exists() {
        return Ok(None);
    }
    let json = fs::read(&path).map_err(Failure::io(&path))?;
    let state: Result<State, _> = serde_json::from_slice(&json);
    match state {
        Ok(state) if state.version == VERSION => Ok(Some(state)),
        Ok(_) => Err(Failure::Folder { file: path, why: "is of another version of this program".into() }),
        Err(error) => Err(Failure::Folder { file: path, why: format!("is no state: {error}") }),
    }
}

fn same_migration(dir: &Path, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Result<(), Failure> {
    let other = new.iter().find(|(name, value)| old.get(*name) != Some(value));
    let Some((name, value)) = other else { return Ok(()) };
    let before = old.get(name).map(String::as_str).unwrap_or_default();
    let why =
        format!("is of another migration: --{name} was {before:?} there and is {value:?} now; give another --dir");
    Err(Failure::Folder { file: dir.to_owned(), why })
}

/// The sessions that are noted behind what the state knows.
fn cut_off(dir: &Path, known: u64) -> Result<Vec<(String, String)>, Failure> {
    let path = dir.join("moved.next");
    let Ok(mut file) = File::open(&path) else { return Ok(Vec::new()) };
    let mut text = String::new();
    file.seek(SeekFrom::Start(known)).and_then(|_| file.read_to_string(&mut text)).map_err(Failure::io(&path))?;
    Ok(text.lines().filter_map(Moved::parse).map(|Moved { id, user, .. }| (id, user)).collect())
}

/// Puts one list at the end of another, and empties it.
fn append(to: &Path, from: &Path) -> Result<(), Failure> {
    let Ok(mut lines) = File::open(from) else { return Ok(()) };
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(to).map_err(Failure::io(to))?;
    std::io::copy(&mut lines, &mut file).and_then(|_| file.sync_data()).map_err(Failure::io(to))?;
    open(from, true).map(|_| ())
}

/// Reads the lines of a list, which need not be there.
fn each(path: &Path, mut of: impl FnMut(&str)) -> Result<(), Failure> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    for line in BufReader::new(file).lines() {
        of(&line.map_err(Failure::io(path))?);
    }
    Ok(())
}

/// A session by 16 bytes: there may be millions.
fn of_user(id: &str, user: &str) -> [u8; 16] {
    digest(format!("{id}\t{user}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_key_is_known_by_its_digests() {
        let dir = tempfile::tempdir().unwrap();
        let moved = |n: usize| Moved {
            id: format!("id{n}"),
            ends_at: 1,
            user: "u".repeat(n),
            seen: Seen::of(format!("session:{n}").as_bytes(), b"{}"),
        };
        let lines: String = [1, 200, 3].map(|n| moved(n).line()).concat();
        fs::write(dir.path().join("moved"), lines).unwrap();
        let known = Known::read(dir.path()).unwrap();
        for n in [1, 200, 3] {
            let key = format!("session:{n}");
            let earlier = known.find(key.as_bytes()).unwrap();
            let again = known.unchanged(earlier, b"{}").unwrap();
            assert_eq!((again.id, again.user, again.line), (format!("id{n}"), "u".repeat(n), moved(n).line()));
            assert_eq!(known.unchanged(earlier, b"{ }"), None);
        }
        assert!(known.find(b"session:2").is_none());
    }
}
