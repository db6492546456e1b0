//! SESSION.APPLY

use super::command::Command;
use super::parser::Parser;
use crate::commit;
use crate::ffi::{Call, Failure, Grammar, KeyUse, Spec};

/// ```text
/// SESSION.APPLY key effects
/// ```
///
/// What other commands did, for replicas and append-only files. It decides nothing and looks at no clock or setting.
pub(crate) struct Apply;

impl Command for Apply {
    const SPEC: Spec = Spec {
        name: "SESSION.APPLY",
        summary: "Internal: carries out on replicas and from append-only files what other commands decided.",
        complexity: "O(N) where N is the number of effects",
        flags: "write no-monitor no-slowlog",
        arity: 3,
        key: KeyUse::Inserts,
        grammar: &[Grammar::Key, Grammar::Value("effects")],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        if !call.is_replay() {
            return Err(Failure::invalid("SESSION.APPLY is for replication and append-only files, not for clients"));
        }
        let mut parser = Parser::new(call);
        let (key, bytes) = (parser.key()?, parser.unchecked_value()?);
        let mut sessions = call.open_for_writing(key)?;
        let outcome = commit::apply(&mut sessions, bytes);
        // On to this server's own replicas and append-only file, unchanged. They may understand more than this server.
        sessions.replicate(bytes);
        let count = outcome.map_err(|why| Failure::invalid(format!("effects: {why}")))?;
        call.reply().count(count);
        Ok(())
    }
}
