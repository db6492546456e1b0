//! SESSION.REVOKE

use super::check::named;
use super::command::Command;
use super::parser::Parser;
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Call, Failure, Grammar, KeyUse, Spec};
use crate::stored::Sessions;

/// ```text
/// SESSION.REVOKE key id-or-token [id-or-token ...]
/// ```
pub(crate) struct Revoke;

/// The most ids and tokens of one call: verifying a thousand tokens with public keys takes up to a tenth of a second.
const MOST: usize = 1000;

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
        let mut texts = vec![parser.value()?];
        while parser.has_more() {
            if texts.len() == MOST {
                return Err(Failure::invalid(format!("more than {MOST} ids and tokens at once")));
            }
            texts.push(parser.value()?);
        }
        let User { subject, mut key, rules, mut state } = writing(call, key)?;
        let mut presented = Vec::new();
        for text in texts {
            // A token that is not good names nothing, and that is success (RFC 7009 section 2.2).
            presented.extend(named(&mut state, subject, text, "id")?);
        }
        drop(state);
        let decision = key.sessions_or_none().revoke(&presented, &rules);
        let revoked = commit(&mut key, decision);
        call.reply().count(revoked);
        Ok(())
    }
}
