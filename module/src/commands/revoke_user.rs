//! SESSION.REVOKEUSER

use super::check::named;
use super::parser::{Parser, once};
use super::{Command, Grammar, KeyUse, Kind, Spec};
use crate::api::Call;
use crate::error::Failure;
use crate::state;
use crate::stats;

/// ```text
/// SESSION.REVOKEUSER key [EXCEPT id-or-token]
/// ```
pub(crate) struct RevokeUser;

impl Command for RevokeUser {
    const SPEC: Spec = Spec {
        name: "SESSION.REVOKEUSER",
        summary: "Revokes all of a user's sessions, or all but one, with every token issued until now.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write",
        arity: -2,
        key: KeyUse::Deletes,
        grammar: &[Grammar::Key, Grammar::Option("EXCEPT", "id-or-token", Kind::Text)],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let mut parser = Parser::new(call);
        let key = parser.key()?;
        let mut except = None;
        while let Some(word) = parser.option() {
            if !word.is("EXCEPT") {
                return Err(word.unknown());
            }
            if !parser.has_more() {
                return Err(Failure::invalid("EXCEPT needs a value"));
            }
            once(&mut except, "EXCEPT", parser.id_or_token()?)?;
        }
        let mut sessions = call.open_for_writing(key)?;

        let now = call.now();
        let mut state = state::lock();
        let subject = state.settings.subject_of(key.bytes())?;
        let except =
            match except {
                None => None,
                // Whoever asks to be spared and cannot be told must not be logged out by mistake.
                Some(text) => Some(named(&mut state, subject, text, "EXCEPT")?.map_err(|reason| {
                    Failure::invalid(format!("EXCEPT is not a valid token of this user: {reason}"))
                })?),
            };
        let (limit, clock) = (state.settings.limit(), state.settings.clock(now));
        let horizon = state.settings.token_horizon();
        drop(state);

        let none = Default::default();
        let revocation = sessions.sessions().unwrap_or(&none).revoke_all(
            except.as_ref().map(|except| &except.id),
            horizon,
            limit,
            clock,
        );
        sessions.commit(&revocation.effects, Some(c"session.revokeuser"), clock);
        stats::REVOKED.add(revocation.revoked);
        call.reply().count(revocation.revoked);
        Ok(())
    }
}
