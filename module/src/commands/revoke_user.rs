//! SESSION.REVOKEUSER

use super::check::named;
use super::command::Command;
use super::parser::{Parser, once};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Call, Failure, Grammar, KeyUse, Kind, Spec};
use crate::stored::Sessions;

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
            once(&mut except, "EXCEPT", parser.of("EXCEPT")?)?;
        }
        let User { subject, mut key, rules, mut state } = writing(call, key)?;
        let except =
            match except {
                None => None,
                // An application that asks to spare a session must not log its user out by mistake.
                Some(text) => Some(named(&mut state, subject, text, "EXCEPT")?.map_err(|reason| {
                    Failure::invalid(format!("EXCEPT is not a valid token of this user: {reason}"))
                })?),
            };
        drop(state);
        let decision = key.sessions_or_none().revoke_all(except.as_ref(), &rules);
        let revoked = commit(&mut key, decision);
        call.reply().count(revoked);
        Ok(())
    }
}
