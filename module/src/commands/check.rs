//! What SESSION.VALIDATE and SESSION.TOUCH have in common: their arguments, the check, and the reply.

use std::net::IpAddr;

use redis_session_core::sessions::{Check, Fingerprint, Presented, Session, Standing};
use redis_session_core::token::Cause;
use redis_session_core::{Subject, UnixMillis};

use super::grammar::{Alternative as _, arguments, bare, flag, key, option, optional, value_or, worded};
use super::kinds::{DeviceFingerprint, Id, Ip, Level, Named, Text, Token, seconds};
use super::tokens::inactive;
use super::user::User;
use crate::ffi::{Arg, Failure, Reply};
use crate::refusals;
use crate::state::State;
use crate::stats::Counter;
use crate::stored::Sessions;

/// How much a reply says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// One element: the deadline, or the reason.
    Brief,
    /// Everything.
    Full,
}

arguments! {
    pub(super) struct Request<'a> {
        key: Arg<'a> = key(),
        named: Named<'a> = value_or("token", Token, worded("ID", "id", Id).to(Named::Id)),
        ip: Option<IpAddr> = option("IP", "ip", Ip),
        device: Option<&'a [u8]> = option("DEVICE", "fingerprint", DeviceFingerprint),
        audience: Option<&'a str> = option("AUD", "audience", Text { max: 4096 }),
        level: Option<u8> = option("LEVEL", "n", Level),
        max_age: Option<u64> = option("MAXAGE", "seconds", seconds(0)),
        stateless: bool = flag("STATELESS"),
        extent: Option<Extent> = optional(bare("BRIEF", Extent::Brief).or(bare("FULL", Extent::Full))),
        is_json: bool = flag("JSON"),
    }
}

impl<'a> Request<'a> {
    /// Refuses options that say something of a token where there is none.
    pub(super) fn agree(&self) -> Result<(), Failure> {
        if let Named::Id(_) = self.named {
            for (word, given) in [("AUD", self.audience.is_some()), ("STATELESS", self.stateless)] {
                if given {
                    return Err(Failure::invalid(format!("{word} does not go with ID: it is about a token")));
                }
            }
        }
        Ok(())
    }

    /// What the token by itself is worth. An id is worth what its session is.
    pub(super) fn verify(&self, state: &mut State, subject: Subject<'_>, now: UnixMillis) -> Result<Presented, Cause> {
        match &self.named {
            Named::Token(token) => state.verify(subject, token, self.audience, now).map(Presented::from),
            Named::Id(id) => Ok(Presented::id(id.clone())),
        }
    }

    /// What is asked of its session.
    pub(super) fn check(&self, user: Subject<'a>) -> Check<'a> {
        let device = self.device.map(|bytes| Fingerprint { user, bytes });
        let max_age = self.max_age.map(|secs| secs.saturating_mul(1000));
        Check { stateless: self.stateless, device, level: self.level.unwrap_or(0), max_age }
    }

    /// Writes the reply of a check, and counts it under `passed` or its reason.
    pub(super) fn reply<K: Sessions>(
        &self,
        reply: Reply<'_>,
        passed: &Counter,
        answer: Result<(Presented, Standing), Cause>,
        user: &User<'_, K>,
    ) -> Result<(), Failure> {
        let (token, standing) = match answer {
            Ok(answer) => answer,
            Err(cause) => {
                let token = match self.named {
                    Named::Token(token) => Some(token),
                    Named::Id(_) => None,
                };
                if self.extent != Some(Extent::Brief) {
                    return inactive(reply, token, cause);
                }
                refusals::note(cause, token);
                reply.text(cause.reason().as_str());
                return Ok(());
            }
        };
        passed.add(1);
        let alive = match standing {
            Standing::Alive(alive) => Some(alive),
            Standing::Absent => None,
        };
        let deadline = alive.map(|alive| alive.deadline).into_iter().chain(token.own_expiry()).min();
        if self.extent == Some(Extent::Brief) {
            reply.optional_time(deadline);
            return Ok(());
        }
        let is_full = self.extent == Some(Extent::Full);
        let reply = reply.map(if is_full { 17 } else { 3 });
        reply.name("active").boolean(true);
        reply.name("id").id(&token.id);
        reply.name("expires_at").optional_time(deadline);
        if is_full {
            let agents = user.state.agents_as_they_are();
            let sessions = user.key.sessions();
            let session = sessions.and_then(|sessions| sessions.get(&token.id, agents, &user.rules));
            let known_ip = session.as_ref().and_then(|session| session.ip);
            reply.name("checked_at").time(user.rules.now);
            reply.name("token_expires_at").optional_time(token.own_expiry());
            reply.name("new_ip").boolean(alive.is_some() && self.ip.is_some_and(|ip| known_ip != Some(ip)));
            describe(reply, user.subject, session.as_ref());
        }
        Ok(())
    }
}

/// A whole session as a map: the reply of SESSION.GET and an element of that of SESSION.LIST.
pub(super) fn session(reply: Reply<'_>, subject: Subject<'_>, session: &Session<'_, &str>) {
    let reply = reply.map(13);
    reply.name("id").id(&session.id);
    reply.name("expires_at").time(session.expires_at);
    describe(reply, subject, Some(session));
}

/// Eleven entries; null where a token is good without a session.
fn describe(reply: Reply<'_>, subject: Subject<'_>, session: Option<&Session<'_, &str>>) {
    reply.name("user").text(subject.as_str());
    reply.name("created_at").optional_time(session.map(|session| session.created_at));
    reply.name("last_seen_at").optional_time(session.map(Session::last_seen_at));
    reply.name("idle_expires_at").optional_time(session.and_then(Session::idle_expires_at));
    let ip = session.and_then(Session::ip_text);
    reply.name("ip").optional_text(ip.as_deref());
    reply.name("agent").optional_text(session.and_then(|session| session.agent));
    let claims = session.map(|session| &*session.claims).filter(|claims| !claims.is_empty());
    reply.name("claims").optional_text(claims);
    reply.name("auth_time").optional_time(session.map(Session::auth_time));
    let level = session.map(|session| u64::from(session.level)).filter(|level| *level > 0);
    reply.name("level").optional_integer(level);
    reply.name("version").optional_integer(session.map(|session| session.version));
    match session {
        Some(session) => reply.name("data").map_of_bytes(session.data.iter()),
        None => _ = reply.name("data").map(0),
    }
}

/// What an id or a token stands for, as far as revoking goes: an expired token still names its session.
pub(super) fn named(state: &mut State, subject: Subject<'_>, named: Named<'_>) -> Result<Presented, Cause> {
    match named {
        Named::Id(id) => Ok(Presented::id(id)),
        Named::Token(token) => state.identify(subject, token),
    }
}
