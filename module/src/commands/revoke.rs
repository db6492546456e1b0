//! SESSION.REVOKE

use super::check::named;
use super::command::Command;
use super::grammar::{arguments, key, values};
use super::kinds::{IdOrToken, Named};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Arg, Call, Failure, KeyUse, Spec};
use crate::stored::Sessions;

pub(crate) struct Revoke;

/// The most ids and tokens of one call: verifying a thousand tokens with public keys takes up to a tenth of a second.
const MOST: usize = 1000;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        sessions: Vec<Named<'a>> = values("id-or-token", IdOrToken).at_most(MOST, "ids and tokens"),
    }
}

impl Command for Revoke {
    const SPEC: Spec = Spec {
        name: "SESSION.REVOKE",
        summary: "Revokes sessions, and returns how many were alive.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write",
        key: KeyUse::Deletes,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, Arguments { key, sessions }: Arguments<'a>) -> Result<(), Failure> {
        let User { subject, mut key, rules, mut state } = writing(call, key)?;
        // A token that is not good names nothing, and that is success (RFC 7009 section 2.2).
        let presented: Vec<_> =
            sessions.into_iter().filter_map(|session| named(&mut state, subject, session).ok()).collect();
        drop(state);
        let decision = key.sessions_or_none().revoke(&presented, &rules);
        let revoked = commit(&mut key, decision);
        call.reply().count(revoked);
        Ok(())
    }
}
