//! SESSION.REVOKE

use super::check::named;
use super::parser::Parser;
use super::{Command, Grammar, KeyUse, Spec};
use crate::api::Call;
use crate::error::Failure;
use crate::state;
use crate::stats;

/// ```text
/// SESSION.REVOKE key id-or-token [id-or-token ...]
/// ```
pub(crate) struct Revoke;

impl Command for Revoke {
    const SPEC: Spec = Spec {
        name: "SESSION.REVOKE",
        summary: "Revokes sessions, and returns how many were alive.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write",
        arity: -3,
        key: KeyUse::Deletes,
        grammar: &[Grammar::Key, Grammar::Values("id-or-token")],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let mut parser = Parser::new(call);
        let key = parser.key()?;
        let mut texts = vec![parser.id_or_token()?];
        while parser.has_more() {
            texts.push(parser.id_or_token()?);
        }
        let mut sessions = call.open_for_writing(key)?;

        let now = call.now();
        let mut state = state::lock();
        let subject = state.settings.subject_of(key.bytes())?;
        let mut targets = Vec::new();
        for text in texts {
            // A token that is not good names nothing, and that is success (RFC 7009 section 2.2).
            targets.extend(named(&mut state, subject, text, "id")?);
        }
        let (limit, clock) = (state.settings.limit(), state.settings.clock(now));
        drop(state);

        let none = Default::default();
        let revocation = sessions.sessions().unwrap_or(&none).revoke(&targets, limit, clock);
        sessions.commit(&revocation.effects, Some(c"session.revoke"), clock);
        stats::REVOKED.add(revocation.revoked);
        call.reply().count(revocation.revoked);
        Ok(())
    }
}
