//! Looks at how far readers of the audit stream are: on a cluster, of the stream of each slot that this server has.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis_session_core::readers::Readers;

use crate::ffi::Tick;
use crate::{audit, state, stats};

/// How long one turn looks at streams, each of which takes some microseconds.
const TURN: Duration = Duration::from_micros(100);
/// From one turn to the next: half a percent of the time, in which 5,000 streams take less than a minute.
const PAUSE: Duration = Duration::from_millis(20);
/// From the end of one walk through all streams to the start of the next.
const REST: Duration = Duration::from_secs(1);

static WALK: Mutex<Option<Walk>> = Mutex::new(None);

/// How far a walk through the streams has come.
struct Walk {
    /// How many of the places of streams it has seen.
    place: usize,
    found: Readers,
    /// When the next turn is due.
    due: Instant,
}

/// Looks at streams for one turn, if one is due. The answer is when the next one is.
pub(crate) fn tick(tick: &Tick) -> Duration {
    let mut walk = WALK.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    if let Some(wait) = walk.as_ref().map(|walk| walk.due.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    {
        return wait;
    }
    let name = state::lock().settings.audit_stream.clone();
    if name.is_empty() || !tick.may_look() || !tick.select(0) {
        *walk = None;
        stats::set_readers(Readers::default());
        return REST;
    }
    let is_cluster = tick.is_cluster();
    let walk = walk.get_or_insert_with(|| Walk { place: 0, found: Readers::default(), due: now });
    while now.elapsed() < TURN {
        let Some(stream) = audit::stream_at(&name, is_cluster, walk.place) else {
            stats::set_readers(walk.found);
            *walk = Walk { place: 0, found: Readers::default(), due: now + REST };
            return REST;
        };
        if let Some(stream) = tick.stream(&stream) {
            walk.found.saw(&stream);
        }
        walk.place += 1;
    }
    walk.due = now + PAUSE;
    PAUSE
}
