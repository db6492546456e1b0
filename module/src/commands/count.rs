//! SESSION.COUNT

use super::parser::Parser;
use super::{Command, Grammar, KeyUse, Spec};
use crate::api::Call;
use crate::error::Failure;
use crate::state;

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
        let sessions = call.open_for_reading(key)?;
        let clock = {
            let state = state::lock();
            state.settings.subject_of(key.bytes())?;
            state.settings.clock(call.now())
        };
        call.reply().count(sessions.sessions().map_or(0, |sessions| sessions.count(clock)));
        Ok(())
    }
}
