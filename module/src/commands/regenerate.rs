//! SESSION.REGENERATE

use redis_session_core::SessionId;
use redis_session_core::sessions::Target;
use redis_session_core::token::{Issued, is_token};

use super::parser::{Parser, session_id};
use super::tokens::{News, Tokens, inactive};
use super::{Command, Grammar, KeyUse, Spec};
use crate::api::Call;
use crate::error::Failure;
use crate::state;
use crate::stats;

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
        let mut key_sessions = call.open_for_writing(key)?;
        let now = call.now();

        let mut state = state::lock();
        let subject = state.settings.subject_of(key.bytes())?;
        let (clock, limit, rules) = (state.settings.clock(now), state.settings.limit(), state.settings.token_rules());
        let old = if is_token(text) {
            match state.verify(subject, text, None, now) {
                Ok(token) => Target { id: token.id, issued: token.issued, until: None },
                Err(reason) => return inactive(call.reply(), reason),
            }
        } else {
            Target { id: session_id("id", text)?, issued: Issued::Unsaid, until: None }
        };
        let new = SessionId::random().map_err(super::no_randomness)?;
        let none = Default::default();
        let sessions = key_sessions.sessions().unwrap_or(&none);
        let grant = match sessions.regenerate(&old, new, rules, state.agents_as_they_are(), limit, clock) {
            Ok(grant) => grant,
            Err(reason) => return inactive(call.reply(), reason),
        };
        let tokens = Tokens::mint(&state, subject, &grant.session, grant.issued_at)?;
        drop(state);

        key_sessions.commit(&grant.effects, Some(c"session.regenerate"), clock);
        stats::REGENERATED.add(1);
        tokens.reply(call.reply(), &grant.session, &News::default());
        Ok(())
    }
}
