//! SESSION.REGENERATE

use redis_session_core::SessionId;
use redis_session_core::sessions::Presented;

use super::command::{Command, no_randomness};
use super::grammar::{arguments, key, value};
use super::kinds::{IdOrToken, Named};
use super::tokens::{Tokens, inactive};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Arg, Call, Failure, KeyUse, Spec};
use crate::stored::Sessions;

pub(crate) struct Regenerate;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        old: Named<'a> = value("id-or-token", IdOrToken),
    }
}

impl Command for Regenerate {
    const SPEC: Spec = Spec {
        name: "SESSION.REGENERATE",
        summary: "Gives a session a new id and new tokens, as after a change of privileges; the old ones are dead.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write deny-oom",
        key: KeyUse::Updates,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, Arguments { key, old }: Arguments<'a>) -> Result<(), Failure> {
        let User { subject, mut key, rules, mut state } = writing(call, key)?;
        let (old, token) = match old {
            Named::Id(id) => (Presented::id(id), None),
            Named::Token(token) => match state.verify(subject, token, None, rules.now) {
                Ok(verified) => (Presented::from(verified), Some(token)),
                Err(cause) => return inactive(call.reply(), Some(token), cause),
            },
        };
        let new = SessionId::random().map_err(no_randomness)?;
        let decision = match key.sessions_or_none().regenerate(&old, new, state.agents_as_they_are(), &rules) {
            Ok(decision) => decision,
            Err(reason) => return inactive(call.reply(), token, reason),
        };
        let tokens = Tokens::mint(&state, subject, &decision.value)?;
        drop(state);
        let grant = commit(&mut key, decision);
        tokens.reply(call.reply(), &grant);
        Ok(())
    }
}
