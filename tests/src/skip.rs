//! What cannot be tested on a machine.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// Says that a test cannot test something here, and why: at once, and at the end of the run, where `scripts/test` shows
/// all that was skipped.
pub fn skipped(what_and_why: &str) {
    // Not with `eprintln!`, which the test runner swallows where a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what_and_why}");
    if let Some(file) = env::var_os("REDIS_TEST_SKIPPED") {
        keep_skip(Path::new(&file), what_and_why);
    }
}

pub(crate) fn keep_skip(file: &Path, what_and_why: &str) {
    let line = format!("SKIPPED: {what_and_why}\n");
    let kept = OpenOptions::new().append(true).open(file).and_then(|mut file| file.write_all(line.as_bytes()));
    kept.expect("the file that REDIS_TEST_SKIPPED names");
}
