//! SESSION.REGENERATE

use redis_session_core::SessionId;
use redis_session_core::sessions::Presented;
use redis_session_core::token::is_token;

use super::command::{Command, no_randomness};
use super::parser::{Parser, session_id};
use super::tokens::{News, Tokens, inactive};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Call, Failure, Grammar, KeyUse, Spec};
use crate::stored::Sessions;

/// ```text
/// SESSION.REGENERATE key id-or-token
/// ```
pub(crate) struct Regenerate;

impl Command for Regenerate {
    const SPEC: Spec = Spec {
        name: "SESSION.REGENERATE",
        summary: "Gives a session a new id and new tokens, as after a change of privileges; the old ones are dead.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write deny-oom",
        arity: 3,
        key: KeyUse::Updates,
        grammar: &[Grammar::Key, Grammar::Value("id-or-token")],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let mut parser = Parser::new(call);
        let (key, text) = (parser.key()?, parser.value()?);
        let User { subject, mut key, rules, mut state } = writing(call, key)?;
        let old = if is_token(text) {
            match state.verify(subject, text, None, rules.now) {
                Ok(token) => Presented::from(token),
                Err(reason) => return inactive(call.reply(), reason),
            }
        } else {
            Presented::id(session_id("id", text)?)
        };
        let new = SessionId::random().map_err(no_randomness)?;
        let decision = match key.sessions_or_none().regenerate(&old, new, state.agents_as_they_are(), &rules) {
            Ok(decision) => decision,
            Err(reason) => return inactive(call.reply(), reason),
        };
        let tokens = Tokens::mint(&state, subject, &decision.value.session, decision.value.issued_at)?;
        drop(state);
        let grant = commit(&mut key, decision);
        tokens.reply(call.reply(), &grant.session, &News::default());
        Ok(())
    }
}
