//! SESSION.REVOKEALL

use redis_session_core::UnixMillis;
use redis_session_core::sessions::{Cutoff, Everyone};

use super::command::Command;
use super::grammar::{Alternative as _, arguments, bare, optional, several, worded};
use super::kinds::Time;
use crate::ffi::{Call, Failure, KeyUse, Spec, log_notice};
use crate::{audit, commit, state, stats, stored};

/// Replicas and append-only files get the cutoff itself: `SESSION.REVOKEALL CUTOFF began iat seen`.
pub(crate) struct RevokeAll;

#[derive(Clone)]
pub(super) enum Change {
    Before(UnixMillis),
    Clear,
    Everyone(Everyone),
}

arguments! {
    pub(super) struct Arguments {
        change: Option<Change> = optional(
            worded("BEFORE", "unix-time-milliseconds", Time)
                .to(Change::Before)
                .or(bare("CLEAR", Change::Clear))
                .or(several("CUTOFF", [("began", Time), ("iat", Time), ("seen", Time)])
                    .to(|[began, iat, seen]| Change::Everyone(Everyone { cutoff: Cutoff { began, iat }, seen }))
                    .replayed()),
        ),
    }
}

impl Command for RevokeAll {
    const SPEC: Spec = Spec {
        name: "SESSION.REVOKEALL",
        summary: "Revokes the sessions and tokens of all users of this server and its replicas, and returns the cutoff.",
        complexity: "O(1)",
        flags: "write admin",
        key: KeyUse::None,
    };

    type Arguments<'a> = Arguments;

    fn run(call: &Call<'_>, Arguments { change }: Arguments) -> Result<(), Failure> {
        let everyone = {
            let mut state = state::lock();
            let rules = state.rules();
            match change {
                None => state.set_revoked_before(rules.revoke_everyone(None)),
                Some(Change::Before(before)) => state.set_revoked_before(rules.revoke_everyone(Some(before))),
                Some(Change::Clear) => state.set_revoked_before(rules.readmit()),
                Some(Change::Everyone(everyone)) => state.set_everyone(everyone),
            }
            state.everyone()
        };
        let cutoff = everyone.cutoff;
        state::announce();
        call.replicate(&stored::as_command(everyone));
        if !call.is_replay() {
            stats::REVOKE_ALL.add(1);
            log_notice(&format!("session: SESSION.REVOKEALL: all that began up to {} is dead", cutoff.began.get()));
            commit::audit(call, audit::everyone(cutoff, || call.is_cluster()));
        }
        call.reply().integer(cutoff.began.saturating_add(1).as_i64());
        Ok(())
    }
}
