//! SESSION.LIST

use redis_session_core::sessions::{Ended, Session};

use super::check;
use super::command::Command;
use super::grammar::{arguments, flag, key, optional, several};
use super::kinds::Whole;
use super::user::{User, reading};
use crate::ffi::{Arg, Call, Failure, KeyUse, Reply, Spec};
use crate::stored::Sessions;

pub(crate) struct List;

/// The most sessions in one reply: they take a few milliseconds.
const MOST: i64 = 1000;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        limit: Option<[u64; 2]> = optional(several(
            "LIMIT",
            [("offset", Whole { min: 0, max: 1_000_000_000 }), ("count", Whole { min: 1, max: MOST })],
        )),
        ended: bool = flag("ENDED"),
        is_json: bool = flag("JSON"),
    }
}

impl Command for List {
    const SPEC: Spec = Spec {
        name: "SESSION.LIST",
        summary: "Returns the user's live sessions, or those that have ended, newest first.",
        complexity: "O(N+M) where N is the number of the user's sessions up to the last that is returned and M how many are",
        flags: "readonly",
        key: KeyUse::Reads,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, Arguments { key, limit, ended, is_json }: Arguments<'a>) -> Result<(), Failure> {
        let User { subject, key, rules, state } = reading(call, key)?;
        let [offset, count] =
            limit.unwrap_or([0, MOST.unsigned_abs()]).map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let sessions = key.sessions_or_none();
        call.reply_as(is_json, |reply| {
            if ended {
                let ended = sessions.ended(&rules);
                let page: Vec<_> = ended.iter().skip(offset).take(count).collect();
                reply.array(page.len());
                page.into_iter().for_each(|ended| describe(reply, ended));
            } else {
                let page: Vec<Session<'_, &str>> =
                    sessions.page(offset, count, state.agents_as_they_are(), &rules).collect();
                reply.array(page.len());
                page.iter().for_each(|session| check::session(reply, subject, session));
            }
            Ok(())
        })
    }
}

fn describe(reply: Reply<'_>, ended: &Ended) {
    let reply = reply.map(4);
    reply.name("id").id(&ended.id);
    reply.name("reason").text(ended.reason.as_str());
    reply.name("ended_at").time(ended.at);
    reply.name("remembered_until").time(ended.until);
}
