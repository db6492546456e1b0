//! SESSION.TTL

use redis_session_core::sessions::Presented;

use super::command::Command;
use super::parser::{Parser, session_id};
use super::user::{User, reading};
use crate::ffi::{Call, Failure, Grammar, KeyUse, Spec};
use crate::stored::Sessions;

/// ```text
/// SESSION.TTL key id
/// ```
pub(crate) struct Ttl;

/// As PTTL answers for a key that is not there.
const NONE: i64 = -2;

impl Command for Ttl {
    const SPEC: Spec = Spec {
        name: "SESSION.TTL",
        summary: "Returns the milliseconds that a session has left unless it is used, or -2 if it is not alive.",
        complexity: "O(1) for the few sessions that users have; O(log(N)) where N is the number of the user's sessions",
        flags: "readonly fast",
        arity: 3,
        key: KeyUse::Reads,
        grammar: &[Grammar::Key, Grammar::Value("id")],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let mut parser = Parser::new(call);
        let (key, id) = (parser.key()?, session_id("id", parser.value()?)?);
        let User { key, rules, .. } = reading(call, key)?;
        let id = Presented::id(id);
        let alive = key.sessions().and_then(|sessions| sessions.alive(&id, &rules).ok());
        let left = alive.map(|alive| alive.deadline.saturating_since(rules.now));
        call.reply().integer(left.map_or(NONE, |left| i64::try_from(left).unwrap_or(i64::MAX)));
        Ok(())
    }
}
