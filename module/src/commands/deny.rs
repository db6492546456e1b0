//! SESSION.DENY

use super::command::Command;
use super::parser::{Parser, session_id};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Call, Failure, Grammar, KeyUse, Kind, Spec};
use crate::stored::Sessions;

/// ```text
/// SESSION.DENY key id UNTIL unix-time-milliseconds
/// ```
pub(crate) struct Deny;

impl Command for Deny {
    const SPEC: Spec = Spec {
        name: "SESSION.DENY",
        summary: "Denies JWTs by their jti or sid alone, until they have expired. A live session of that id ends.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write deny-oom",
        arity: 5,
        key: KeyUse::Inserts,
        grammar: &[
            Grammar::Key,
            Grammar::Value("id"),
            Grammar::RequiredOption("UNTIL", "unix-time-milliseconds", Kind::UnixTime),
        ],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let mut parser = Parser::new(call);
        let (key, id) = (parser.key()?, session_id("id", parser.value()?)?);
        let word = parser.option().ok_or(Failure::Arity)?;
        if !word.is("UNTIL") {
            return Err(word.unknown());
        }
        let until = parser.time_of("UNTIL")?;
        let User { mut key, rules, state, .. } = writing(call, key)?;
        drop(state);
        let decision = key.sessions_or_none().deny(id, until, &rules);
        let is_new = commit(&mut key, decision);
        call.reply().count(usize::from(is_new));
        Ok(())
    }
}
