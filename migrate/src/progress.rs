//! How far it is, for whoever is waiting.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::{Counts, grouped};

/// How often a line is printed where no bar can be drawn.
const EVERY: Duration = Duration::from_secs(5);
/// The bar's length, in thousandths.
const WHOLE: u64 = 1000;

/// A bar on a terminal, and a line now and then elsewhere.
pub(crate) enum Progress {
    Bar(ProgressBar),
    Lines { what: &'static str, next: Instant },
}

impl Progress {
    /// Begins one of the things that take their time.
    pub(crate) fn new(what: &'static str) -> Self {
        if !stderr().is_terminal() {
            return Self::Lines { what, next: Instant::now() + EVERY };
        }
        let bar = ProgressBar::new(WHOLE).with_prefix(what);
        if let Ok(style) = ProgressStyle::with_template("{prefix:16} {wide_bar} {percent:>3} % {msg} {eta:>4}") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    /// Says how far it is, of 1.
    pub(crate) fn at(&mut self, part: f64, counts: &Counts, moves: bool) {
        let done = counts.moved + counts.already + counts.needless;
        let verb = if moves { "done" } else { "would do" };
        let not: u64 = counts.not_moved.values().sum();
        let text = format!("{} found, {} {verb}, {} not", grouped(counts.found), grouped(done), grouped(not));
        match self {
            Self::Bar(bar) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
                bar.set_position((part.clamp(0.0, 1.0) * WHOLE as f64) as u64);
                bar.set_message(text);
            }
            Self::Lines { what, next } => {
                if Instant::now() >= *next {
                    *next = Instant::now() + EVERY;
                    eprintln!("{what}: {:.0} %: {text}", part * 100.0);
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.abandon();
        }
    }
}
