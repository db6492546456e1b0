//! SESSION.TTL

use redis_session_core::SessionId;
use redis_session_core::sessions::Presented;

use super::command::Command;
use super::grammar::{arguments, key, value};
use super::kinds::Id;
use super::user::{User, reading};
use crate::ffi::{Arg, Call, Failure, KeyUse, Spec};
use crate::stored::Sessions;

pub(crate) struct Ttl;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        id: SessionId = value("id", Id),
    }
}

/// As PTTL answers for a key that is not there.
const NONE: i64 = -2;

impl Command for Ttl {
    const SPEC: Spec = Spec {
        name: "SESSION.TTL",
        summary: "Returns the milliseconds that a session has left unless it is used, or -2 if it is not alive.",
        complexity: "O(1) for the few sessions that users have; O(log(N)) where N is the number of the user's sessions",
        flags: "readonly fast",
        key: KeyUse::Reads,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, Arguments { key, id }: Arguments<'a>) -> Result<(), Failure> {
        let User { key, rules, .. } = reading(call, key)?;
        let id = Presented::id(id);
        let alive = key.sessions().and_then(|sessions| sessions.alive(&id, &rules).ok());
        let left = alive.map(|alive| alive.deadline.saturating_since(rules.now));
        call.reply().integer(left.map_or(NONE, |left| i64::try_from(left).unwrap_or(i64::MAX)));
        Ok(())
    }
}
