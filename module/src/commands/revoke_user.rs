//! SESSION.REVOKEUSER

use super::check::named;
use super::command::Command;
use super::grammar::{arguments, key, option};
use super::kinds::{IdOrToken, Named};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Arg, Call, Failure, KeyUse, Spec};
use crate::stored::Sessions;

pub(crate) struct RevokeUser;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        except: Option<Named<'a>> = option("EXCEPT", "id-or-token", IdOrToken),
    }
}

impl Command for RevokeUser {
    const SPEC: Spec = Spec {
        name: "SESSION.REVOKEUSER",
        summary: "Revokes all of a user's sessions, or all but one, with every token issued until now.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write",
        key: KeyUse::Deletes,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, Arguments { key, except }: Arguments<'a>) -> Result<(), Failure> {
        let User { subject, mut key, rules, mut state } = writing(call, key)?;
        let except = except.map(|session| named(&mut state, subject, session)).transpose();
        // An application that asks to spare a session must not log its user out by mistake.
        let except = except.map_err(|cause| {
            Failure::invalid(format!("EXCEPT is not a valid token of this user: {}", cause.reason()))
        })?;
        drop(state);
        let decision = key.sessions_or_none().revoke_all(except.as_ref(), &rules);
        let revoked = commit(&mut key, decision);
        call.reply().count(revoked);
        Ok(())
    }
}
