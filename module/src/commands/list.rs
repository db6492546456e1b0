//! SESSION.LIST

use super::check;
use super::command::Command;
use super::grammar::{arguments, flag, key};
use super::user::{User, reading};
use crate::ffi::{Arg, Call, Failure, KeyUse, Spec};
use crate::stored::Sessions;

pub(crate) struct List;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        is_json: bool = flag("JSON"),
    }
}

impl Command for List {
    const SPEC: Spec = Spec {
        name: "SESSION.LIST",
        summary: "Returns the user's live sessions, newest first.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "readonly",
        key: KeyUse::Reads,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, Arguments { key, is_json }: Arguments<'a>) -> Result<(), Failure> {
        let User { subject, key, rules, state } = reading(call, key)?;
        let agents = state.agents_as_they_are();
        let live: Vec<_> = key.sessions().into_iter().flat_map(|sessions| sessions.live(agents, &rules)).collect();
        call.reply_as(is_json, |reply| {
            reply.array(live.len());
            live.iter().rev().for_each(|session| check::session(reply, subject, session));
            Ok(())
        })
    }
}
