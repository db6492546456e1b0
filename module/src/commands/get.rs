//! SESSION.GET

use redis_session_core::SessionId;

use super::check;
use super::command::Command;
use super::grammar::{arguments, flag, key, value};
use super::kinds::Id;
use super::user::{User, reading};
use crate::ffi::{Arg, Call, Failure, KeyUse, Spec};
use crate::stored::Sessions;

pub(crate) struct Get;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        id: SessionId = value("id", Id),
        is_json: bool = flag("JSON"),
    }
}

impl Command for Get {
    const SPEC: Spec = Spec {
        name: "SESSION.GET",
        summary: "Returns a live session.",
        complexity: "O(1) for the few sessions that users have; O(log(N)) where N is the number of the user's sessions",
        flags: "readonly fast",
        key: KeyUse::Reads,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, Arguments { key, id, is_json }: Arguments<'a>) -> Result<(), Failure> {
        let User { subject, key, rules, state } = reading(call, key)?;
        let session = key.sessions().and_then(|sessions| sessions.get(&id, state.agents_as_they_are(), &rules));
        let Some(session) = &session else {
            // Also with JSON: so clients have their own way to say that there is nothing.
            call.reply().null();
            return Ok(());
        };
        call.reply_as(is_json, |reply| {
            check::session(reply, subject, session);
            Ok(())
        })
    }
}
