//! SESSION.GET

use super::check;
use super::command::Command;
use super::parser::{Parser, session_id};
use super::user::{User, reading};
use crate::ffi::{Call, Failure, Grammar, KeyUse, Spec};
use crate::stored::Sessions;

/// ```text
/// SESSION.GET key id
/// ```
pub(crate) struct Get;

impl Command for Get {
    const SPEC: Spec = Spec {
        name: "SESSION.GET",
        summary: "Returns a live session.",
        complexity: "O(1) for the few sessions that users have; O(log(N)) where N is the number of the user's sessions",
        flags: "readonly fast",
        arity: 3,
        key: KeyUse::Reads,
        grammar: &[Grammar::Key, Grammar::Value("id")],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let mut parser = Parser::new(call);
        let (key, id) = (parser.key()?, session_id("id", parser.value()?)?);
        let User { subject, key, rules, state } = reading(call, key)?;
        match key.sessions().and_then(|sessions| sessions.get(&id, state.agents_as_they_are(), &rules)) {
            Some(session) => check::session(call.reply(), subject, &session),
            None => call.reply().null(),
        }
        Ok(())
    }
}
