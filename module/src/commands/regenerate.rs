//! SESSION.REGENERATE

use std::borrow::Cow;
use std::net::IpAddr;

use redis_session_core::SessionId;
use redis_session_core::sessions::{Presented, Renewal};

use super::command::{Command, no_randomness};
use super::grammar::{arguments, flag, key, option, value};
use super::kinds::{Agent, IdOrToken, Ip, Level, Named, OwnClaims, seconds};
use super::tokens::{Tokens, bounded, inactive};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Arg, Call, Failure, KeyUse, Reply, Spec};
use crate::stored::Sessions;

pub(crate) struct Regenerate;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        old: Named<'a> = value("id-or-token", IdOrToken),
        claims: Option<&'a str> = option("CLAIMS", "json", OwnClaims),
        level: Option<u8> = option("LEVEL", "n", Level),
        ttl: Option<u64> = option("TTL", "seconds", seconds(1)),
        ip: Option<IpAddr> = option("IP", "ip", Ip),
        agent: Option<Cow<'a, str>> = option("AGENT", "text", Agent),
        is_json: bool = flag("JSON"),
    }
}

impl Command for Regenerate {
    const SPEC: Spec = Spec {
        name: "SESSION.REGENERATE",
        summary: "Gives a session a new id and new tokens, as its user has signed in again; the old ones are dead.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write deny-oom",
        key: KeyUse::Updates,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, arguments: Arguments<'a>) -> Result<(), Failure> {
        call.reply_as(arguments.is_json, |reply| regenerate(call, arguments, reply))
    }
}

fn regenerate<'a>(call: &Call<'a>, arguments: Arguments<'a>, reply: Reply<'_>) -> Result<(), Failure> {
    let Arguments { key, old, claims, level, ttl, ip, agent, .. } = arguments;
    let User { subject, mut key, rules, mut state } = writing(call, key)?;
    let (old, token) = match old {
        Named::Id(id) => (Presented::id(id), None),
        Named::Token(token) => match state.verify(subject, token, None, rules.now) {
            Ok(verified) => (Presented::from(verified), Some(token)),
            Err(cause) => return inactive(reply, Some(token), cause),
        },
    };
    bounded(claims, &state.settings)?;
    let expires_at = match ttl.map(|secs| rules.now.checked_add(secs.saturating_mul(1000))) {
        Some(None) => return Err(Failure::invalid("TTL ends past the range of times")),
        Some(expires_at) => expires_at,
        None => None,
    };
    let agent = agent.as_deref().filter(|agent| !agent.is_empty());
    let id = SessionId::random().map_err(no_randomness)?;
    let new = Renewal { id, expires_at, claims, level, ip, agent };
    let decision = match key.sessions_or_none().regenerate(&old, new, state.agents_as_they_are(), &rules) {
        Ok(decision) => decision,
        Err(reason) => return inactive(reply, token, reason),
    };
    let tokens = Tokens::mint(&state, subject, &decision.value)?;
    drop(state);
    let grant = commit(&mut key, decision);
    tokens.reply(reply, &grant);
    Ok(())
}
