//! Credentials that were refused: how many for which cause, and lines in the log that say whose they may be.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use redis_session_core::Reason;
use redis_session_core::token::{Cause, Label};

use crate::ffi::{clock, log_notice};

/// How long the log has no second line of a cause, in milliseconds. Anybody can send bad tokens; so they must not fill the
/// disk.
const PAUSE: u64 = 10_000;

/// What is known of one cause. Only the server's main thread changes it.
struct Known {
    count: AtomicU64,
    /// When the log has had its last line, Unix milliseconds.
    told_at: AtomicU64,
    /// How many have had none since.
    untold: AtomicU64,
}

static KNOWN: [Known; Cause::ALL.len()] =
    [const { Known { count: AtomicU64::new(0), told_at: AtomicU64::new(0), untold: AtomicU64::new(0) } };
        Cause::ALL.len()];

/// Counts a refusal, and logs it if it is a fault of `token` that was not logged lately.
pub(crate) fn note(cause: Cause, token: Option<&[u8]>) {
    let at = Cause::ALL.iter().position(|known| *known == cause);
    let Some(known) = at.and_then(|at| KNOWN.get(at)) else { return };
    known.count.store(known.count.load(Relaxed).wrapping_add(1), Relaxed);
    let Some(token) = token.filter(|_| cause.is_fault()) else { return };
    let (now, untold) = (clock().get(), known.untold.load(Relaxed));
    // A clock that has stepped back does not silence it either.
    if now.abs_diff(known.told_at.load(Relaxed)) < PAUSE {
        known.untold.store(untold.saturating_add(1), Relaxed);
        return;
    }
    known.told_at.store(now, Relaxed);
    known.untold.store(0, Relaxed);
    let more = if untold > 0 { format!("; {untold} more since the last such line") } else { String::new() };
    log_notice(&format!("session: refused for {cause}: {}{more}", Label::of(token)));
}

/// How many there were.
pub(crate) fn all() -> u64 {
    KNOWN.iter().fold(0, |sum, known| sum.wrapping_add(known.count.load(Relaxed)))
}

/// How many there were for each reason, and for each cause of a reason that has several.
pub(crate) fn figures() -> impl Iterator<Item = (String, u64)> {
    let counted = || Cause::ALL.iter().zip(&KNOWN).map(|(cause, known)| (*cause, known.count.load(Relaxed)));
    let reasons = Reason::ALL.into_iter().map(move |reason| {
        let of_reason = counted().filter(|(cause, _)| cause.reason() == reason);
        (format!("refused_{reason}"), of_reason.fold(0, |sum: u64, (_, count)| sum.wrapping_add(count)))
    });
    let causes = counted().filter(|(cause, _)| cause.is_one_of_several());
    reasons.chain(causes.map(|(cause, count)| (cause.as_str().to_owned(), count)))
}
