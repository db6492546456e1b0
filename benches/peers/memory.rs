//! Bytes per session: what a server's `used_memory` has grown by, for each of its sessions.

use crate::contenders::Contender;
use crate::population::populate;

/// More sessions than these on one user are those of an attack.
pub(crate) const MOST_ON_ONE: usize = 100_000;

/// How many sessions each user has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PerUser {
    One,
    Four,
    All,
}

impl PerUser {
    pub(crate) const ALL: [Self; 3] = [Self::One, Self::Four, Self::All];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::One => "1 session per user",
            Self::Four => "4 sessions per user",
            Self::All => "all on one user",
        }
    }
}

/// `None` where there is no server for it.
pub(crate) fn bytes_per_session(
    contender: Contender,
    redis_8: Option<&str>,
    sessions: usize,
    per_user: PerUser,
) -> Option<f64> {
    let per_user = match per_user {
        PerUser::One => 1,
        PerUser::Four => 4,
        PerUser::All => sessions,
    };
    let server = contender.server(redis_8, per_user)?;
    let mut layout = contender.layout();
    let mut con = server.connection();
    if !layout.prepare(&mut con) {
        return None;
    }
    drop(con);
    let used = || server.info("memory", "used_memory").parse::<f64>().expect("a number");
    let before = used();
    // On a connection of their own, whose buffers are gone when its end is seen: they are no session's.
    populate(layout.as_ref(), &mut server.connection(), |user| user.to_string(), sessions, per_user, usize::MAX);
    Some((used() - before) / sessions as f64)
}
