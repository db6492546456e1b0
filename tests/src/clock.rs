//! The clock of the module, which tests move instead of waiting.
//!
//! Keys expire by the server's own clock, which nobody moves: a key outlives its sessions until the sweep empties it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{ConnectionLike, RedisResult};

/// In the folder of each server that the harness starts. The module reads it, see `module/src/ffi/fault.rs`.
const FILE: &str = "test-clock";

/// The module's clock, in Unix milliseconds. On a server without the module, the server's own.
#[track_caller]
pub fn now_ms(con: &mut impl ConnectionLike) -> i64 {
    let (seconds, micros): (i64, i64) = redis::cmd("TIME").query(con).expect("TIME");
    let ahead = folder(con).map_or(0, |folder| ahead(&folder));
    seconds * 1000 + micros / 1000 + ahead
}

/// Moves the module's clock forward, on the server of this connection alone.
///
/// # Panics
///
/// If the server was not started by this harness.
#[track_caller]
pub fn advance(con: &mut impl ConnectionLike, by: Duration) {
    advance_in(&folder(con).expect("the server's folder"), by);
}

/// Sets the module's clock back, on the server of this connection alone.
///
/// # Panics
///
/// If the server was not started by this harness.
#[track_caller]
pub fn set_back(con: &mut impl ConnectionLike, by: Duration) {
    move_in(&folder(con).expect("the server's folder"), -i64::try_from(by.as_millis()).expect("a span of time"));
}

/// Moves the module's clock on to `time`, unless it shows that or a later time already.
#[track_caller]
pub fn advance_to(con: &mut impl ConnectionLike, time: i64) {
    let ahead = time - now_ms(con);
    if let Ok(millis @ 1..) = u64::try_from(ahead) {
        advance(con, Duration::from_millis(millis));
    }
}

/// Moves the module's clock on, unless it shows a later time than `time` already, so that it does.
#[track_caller]
pub fn advance_past(con: &mut impl ConnectionLike, time: i64) {
    advance_to(con, time + 1);
}

/// Makes the clock of a server that is to start in `folder`, so many milliseconds behind the server's own.
pub(crate) fn create_in(folder: &Path, behind: i64) {
    std::fs::write(folder.join(FILE), (-behind).to_le_bytes()).expect("the test clock");
}

/// Moves the clock of the server in `folder`.
pub(crate) fn advance_in(folder: &Path, by: Duration) {
    move_in(folder, i64::try_from(by.as_millis()).expect("a span of time"));
}

fn move_in(folder: &Path, by: i64) {
    let ahead = ahead(folder) + by;
    let file = OpenOptions::new().write(true).open(folder.join(FILE)).expect("the test clock");
    file.write_all_at(&ahead.to_le_bytes(), 0).expect("the test clock");
}

fn ahead(folder: &Path) -> i64 {
    let mut bytes = [0; 8];
    let read = File::open(folder.join(FILE)).and_then(|file| file.read_exact_at(&mut bytes, 0));
    read.map_or(0, |()| i64::from_le_bytes(bytes))
}

/// The server's folder, unless this user may not ask for it.
fn folder(con: &mut impl ConnectionLike) -> RedisResult<PathBuf> {
    let (_, folder): (String, String) = redis::cmd("CONFIG").arg("GET").arg("dir").query(con)?;
    Ok(folder.into())
}
