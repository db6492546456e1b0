//! SESSION.REVOKEALL

use redis_session_core::UnixMillis;
use redis_session_core::sessions::Cutoff;

use super::command::Command;
use super::parser::{Parser, once};
use crate::ffi::{Call, Failure, Grammar, KeyUse, Spec, log_notice};
use crate::{audit, commit, state, stats, stored};

/// ```text
/// SESSION.REVOKEALL [BEFORE unix-time-milliseconds | CLEAR]
/// ```
///
/// Replicas and append-only files get the cutoff itself: `SESSION.REVOKEALL CUTOFF began iat`.
pub(crate) struct RevokeAll;

enum Change {
    Before(UnixMillis),
    Clear,
    Cutoff(Cutoff),
}

impl Command for RevokeAll {
    const SPEC: Spec = Spec {
        name: "SESSION.REVOKEALL",
        summary: "Revokes the sessions and tokens of all users of this server and its replicas, and returns the cutoff.",
        complexity: "O(1)",
        flags: "write admin",
        arity: -1,
        key: KeyUse::None,
        grammar: &[Grammar::TimeOr("BEFORE", "CLEAR")],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let change = parse(call)?;
        let cutoff = {
            let mut state = state::lock();
            let rules = state.rules();
            let cutoff = match change {
                None => rules.revoke_everyone(None),
                Some(Change::Before(before)) => rules.revoke_everyone(Some(before)),
                Some(Change::Clear) => rules.readmit(),
                Some(Change::Cutoff(cutoff)) => cutoff,
            };
            state.set_revoked_before(cutoff);
            cutoff
        };
        call.replicate(&stored::as_command(cutoff));
        if !call.is_replay() {
            stats::REVOKE_ALL.add(1);
            log_notice(&format!("session: SESSION.REVOKEALL: all that began up to {} is dead", cutoff.began.get()));
            commit::audit(call, audit::everyone(cutoff, || call.is_cluster()));
        }
        call.reply().integer(cutoff.began.saturating_add(1).as_i64());
        Ok(())
    }
}

fn parse(call: &Call<'_>) -> Result<Option<Change>, Failure> {
    let (mut parser, mut change) = (Parser::new(call), None);
    while let Some(word) = parser.option() {
        let given = if word.is("BEFORE") {
            Change::Before(parser.time_of("BEFORE")?)
        } else if word.is("CLEAR") {
            Change::Clear
        } else if word.is("CUTOFF") && call.is_replay() {
            Change::Cutoff(Cutoff { began: parser.time_of("CUTOFF")?, iat: parser.time_of("CUTOFF")? })
        } else {
            return Err(word.unknown());
        };
        once(&mut change, "BEFORE or CLEAR", given)?;
    }
    Ok(change)
}
