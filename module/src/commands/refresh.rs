//! SESSION.REFRESH

use std::borrow::Cow;
use std::net::IpAddr;

use redis_session_core::Reason;
use redis_session_core::sessions::{Device, Origin, Refreshed};

use super::command::Command;
use super::grammar::{arguments, flag, key, option, value};
use super::kinds::{Agent, DeviceFingerprint, Ip, Token};
use super::tokens::{Tokens, inactive};
use super::user::{User, writing};
use crate::commit::commit;
use crate::ffi::{Arg, Call, Failure, KeyUse, Reply, Spec};
use crate::stored::Sessions;

pub(crate) struct Refresh;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        token: &'a [u8] = value("refresh-token", Token),
        ip: Option<IpAddr> = option("IP", "ip", Ip),
        agent: Option<Cow<'a, str>> = option("AGENT", "text", Agent),
        device: Option<&'a [u8]> = option("DEVICE", "fingerprint", DeviceFingerprint),
        is_json: bool = flag("JSON"),
    }
}

impl Command for Refresh {
    const SPEC: Spec = Spec {
        name: "SESSION.REFRESH",
        summary: "Exchanges a refresh token for new tokens; one that was used before ends its session as stolen.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "write deny-oom",
        key: KeyUse::Updates,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, arguments: Arguments<'a>) -> Result<(), Failure> {
        call.reply_as(arguments.is_json, |reply| refresh(call, arguments, reply))
    }
}

fn refresh<'a>(call: &Call<'a>, arguments: Arguments<'a>, reply: Reply<'_>) -> Result<(), Failure> {
    let Arguments { key, token, ip, agent, device, .. } = arguments;
    let User { subject, mut key, rules, mut state } = writing(call, key)?;
    let offered = Some(token);
    let token = match state.verify_refresh(subject, token) {
        Ok(token) => token,
        Err(cause) => return inactive(reply, offered, cause),
    };
    let device = device.map(|fingerprint| Device::of(subject, fingerprint));
    let origin = Origin { ip, agent: agent.as_deref().filter(|agent| !agent.is_empty()), device };
    let decision = match key.sessions_or_none().refresh(&token, origin, state.agents_as_they_are(), &rules) {
        Ok(decision) => decision,
        Err(reason) => return inactive(reply, offered, reason),
    };
    let tokens = match &decision.value {
        Refreshed::Granted(grant) => Some(Tokens::mint(&state, subject, grant)?),
        Refreshed::Reused => None,
    };
    drop(state);
    let (Refreshed::Granted(grant), Some(tokens)) = (commit(&mut key, decision), tokens) else {
        return inactive(reply, offered, Reason::Reused);
    };
    tokens.reply(reply, &grant);
    Ok(())
}
