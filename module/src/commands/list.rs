//! SESSION.LIST

use super::check;
use super::command::Command;
use super::parser::Parser;
use super::user::{User, reading};
use crate::ffi::{Call, Failure, Grammar, KeyUse, Spec};
use crate::stored::Sessions;

/// ```text
/// SESSION.LIST key
/// ```
pub(crate) struct List;

impl Command for List {
    const SPEC: Spec = Spec {
        name: "SESSION.LIST",
        summary: "Returns the user's live sessions, newest first.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "readonly",
        arity: 2,
        key: KeyUse::Reads,
        grammar: &[Grammar::Key],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let key = Parser::new(call).key()?;
        let User { subject, key, rules, state } = reading(call, key)?;
        let agents = state.agents_as_they_are();
        let live: Vec<_> = key.sessions().into_iter().flat_map(|sessions| sessions.live(agents, &rules)).collect();
        call.reply().array(live.len());
        live.iter().rev().for_each(|session| check::session(call.reply(), subject, session));
        Ok(())
    }
}
