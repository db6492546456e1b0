//! Waiting for a condition rather than for a length of time.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(5);

/// Polls `condition` until it holds.
///
/// # Panics
///
/// After 30 seconds (`REDIS_TEST_WAIT` sets another number), naming `what` was awaited.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Deadline::new();
    while !condition() {
        assert!(!deadline.has_passed(), "still waiting after {:?}: {what}", deadline.patience);
        deadline.pause();
    }
}

/// The end of the time that a wait may take.
pub(crate) struct Deadline {
    start: Instant,
    pub(crate) patience: Duration,
}

impl Deadline {
    pub(crate) fn new() -> Self {
        let seconds = env::var("REDIS_TEST_WAIT").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(30);
        Self { start: Instant::now(), patience: Duration::from_secs(seconds) }
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.start.elapsed() >= self.patience
    }

    pub(crate) fn pause(&self) {
        thread::sleep(POLL);
    }
}
