//! SESSION.DENY

use redis_session_core::{SessionId, UnixMillis};

use super::command::Command;
use super::grammar::{arguments, key, option, required, value};
use super::kinds::{ForeignId, Text, Time};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Arg, Call, Failure, KeyUse, Spec};
use crate::stored::Sessions;

pub(crate) struct Deny;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        id: &'a [u8] = value("id", ForeignId),
        until: UnixMillis = required("UNTIL", "unix-time-milliseconds", Time),
        issuer: Option<&'a str> = option("ISS", "issuer", Text { max: 4096 }),
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

    fn run<'a>(call: &Call<'a>, Arguments { key, id, until, issuer }: Arguments<'a>) -> Result<(), Failure> {
        let id = match issuer {
            Some(issuer) => SessionId::of_issuer(issuer, id),
            None => SessionId::of_application(id),
        };
        let id = id.map_err(|why| Failure::invalid(format!("id {why}")))?;
        let User { mut key, rules, state, .. } = writing(call, key)?;
        drop(state);
        let decision = key.sessions_or_none().deny(id, until, &rules);
        let is_new = commit(&mut key, decision);
        call.reply().count(usize::from(is_new));
        Ok(())
    }
}
