//! How far the run is, for the person who waits.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::ZonedDateTime;

use crate::report::{Counts, grouped};

/// How often a line is printed where no bar can be drawn.
const EVERY: Duration = Duration::from_secs(5);
/// The bar's length, in thousandths.
const WHOLE: u64 = 1000;

/// A bar on a terminal, and a line now and then elsewhere.
pub(crate) enum Progress {
    Bar(ProgressBar),
    Lines {
        what: &'static str,
        next: Instant,
        began: Instant,
        /// How far it was then, of 1.
        from: f64,
    },
}

impl Progress {
    /// Begins one of the things that take their time.
    pub(crate) fn new(what: &'static str, from: f64) -> Self {
        if !stderr().is_terminal() {
            let began = Instant::now();
            return Self::Lines { what, next: began + EVERY, began, from };
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
            Self::Lines { what, next, began, from } => {
                if Instant::now() >= *next {
                    *next = Instant::now() + EVERY;
                    let end = rest(began.elapsed(), part - *from, 1.0 - part).map(end).unwrap_or_default();
                    eprintln!("{what}: {:.0} %: {text}{end}", part * 100.0);
                }
            }
        }
    }
}

/// How long the rest takes, if what is done took so long; `None` as long as nothing is done.
fn rest(took: Duration, done: f64, left: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(took.as_secs_f64() * left.max(0.0) / done).ok()
}

/// The time of day at which it ends, after so long, in the system's time zone; the day too if that is another.
fn end(rest: Duration) -> String {
    let now = ZonedDateTime::now();
    let Ok(end) = now.checked_add(rest) else { return String::new() };
    let format = if end.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
    format!("; ends at about {}", end.strftime(&format!("{format} %Z")))
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_is_done_did() {
        let seconds = Duration::from_secs;
        assert_eq!(rest(seconds(10), 0.25, 0.75), Some(seconds(30)));
        assert_eq!(rest(seconds(10), 0.5, 0.0), Some(seconds(0)));
        assert_eq!(rest(seconds(10), 0.0, 1.0), None);
        let today = end(seconds(0));
        assert!(today.starts_with("; ends at about ") && today.matches(':').count() >= 1, "{today}");
        let later = end(seconds(100_000));
        assert!(later.matches('-').count() >= 2, "{later}");
    }
}
