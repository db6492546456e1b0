//! SESSION.COUNT

use super::command::Command;
use super::parser::Parser;
use super::user::{User, reading};
use crate::ffi::{Call, Failure, Grammar, KeyUse, Spec};
use crate::stored::Sessions;

/// ```text
/// SESSION.COUNT key
/// ```
pub(crate) struct Count;

impl Command for Count {
    const SPEC: Spec = Spec {
        name: "SESSION.COUNT",
        summary: "Returns how many of the user's sessions are alive.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "readonly",
        arity: 2,
        key: KeyUse::Reads,
        grammar: &[Grammar::Key],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let key = Parser::new(call).key()?;
        let User { key, rules, .. } = reading(call, key)?;
        call.reply().count(key.sessions().map_or(0, |sessions| sessions.count(&rules)));
        Ok(())
    }
}
