//! SESSION.DENY

use redis_session_core::{SessionId, UnixMillis};

use super::command::Command;
use super::grammar::{arguments, key, required, value};
use super::kinds::{Id, Time};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Arg, Call, Failure, KeyUse, Spec};
use crate::stored::Sessions;

pub(crate) struct Deny;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        id: SessionId = value("id", Id),
        until: UnixMillis = required("UNTIL", "unix-time-milliseconds", Time),
    }
}

impl Command for Deny {
    const SPEC: Spec = Spec {
        name: "SESSION.DENY",
        summary: "Denies JWTs by their jti or sid alone, until they have expired. A live session of that id ends.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write deny-oom",
        key: KeyUse::Inserts,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, Arguments { key, id, until }: Arguments<'a>) -> Result<(), Failure> {
        let User { mut key, rules, state, .. } = writing(call, key)?;
        drop(state);
        let decision = key.sessions_or_none().deny(id, until, &rules);
        let is_new = commit(&mut key, decision);
        call.reply().count(usize::from(is_new));
        Ok(())
    }
}
