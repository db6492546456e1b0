//! What the module does for tests alone: it fails on request, and its clock can be moved.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::LazyLock;

#[cfg(not(debug_assertions))]
compile_error!("the feature `fault-injection` is for tests: it does not build with a release profile");

/// How many milliseconds the module's clock is ahead of the server's: eight bytes, little-endian, of the file
/// `test-clock` in the folder that the server starts in. Tests write there while the server runs. Without the file, 0.
///
/// The server's own clock, by which keys expire, stays as it is.
pub(super) fn ahead() -> i64 {
    static FILE: LazyLock<Option<File>> = LazyLock::new(|| File::open("test-clock").ok());
    let mut bytes = [0; 8];
    match &*FILE {
        Some(file) if file.read_exact_at(&mut bytes, 0).is_ok() => i64::from_le_bytes(bytes),
        _ => 0,
    }
}

/// Whether this server writes and reads the format after the present one: the file `test-format` is in the folder that it
/// starts in. So two servers stand for two versions of the module.
fn is_later() -> bool {
    static LATER: LazyLock<bool> = LazyLock::new(|| File::open("test-format").is_ok());
    *LATER
}

/// Makes of encoded effects what a later version writes.
pub(crate) fn written(bytes: &mut [u8]) {
    if let Some(version) = bytes.first_mut().filter(|_| is_later()) {
        *version += 1;
    }
}

/// Makes of what a later version has written what this one reads, if this server is such a one.
pub(crate) fn read(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(version) = bytes.first_mut().filter(|version| **version == 2 && is_later()) {
        *version = 1;
    }
    bytes
}

/// Fails if a call's last argument asks for it: in the worst place, while it holds what `lock` gives.
#[allow(clippy::panic)] // that is what it is for
pub(crate) fn inject<G>(last: Option<&[u8]>, lock: impl FnOnce() -> G) {
    match last {
        Some(b"INJECT-PANIC") => {
            let _held = lock();
            panic!("injected: secret");
        }
        Some(b"INJECT-ABORT") => std::process::abort(),
        _ => {}
    }
}
