//! What cannot be tested on a machine.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;

/// Says that a test cannot test something here, and why: at once, and at the end of the run, where `scripts/test` shows
/// all that was skipped.
pub fn skipped(what_and_why: &str) {
    // Not with `eprintln!`, which the test runner swallows where a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what_and_why}");
    if let Some(file) = env::var_os("REDIS_TEST_SKIPPED") {
        let line = OpenOptions::new().append(true).open(file);
        line.and_then(|mut file| file.write_all(format!("SKIPPED: {what_and_why}\n").as_bytes()))
            .expect("the file that REDIS_TEST_SKIPPED names");
    }
}
