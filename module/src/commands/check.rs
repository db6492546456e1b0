//! What SESSION.VALIDATE and SESSION.TOUCH have in common: their arguments, the check, and the reply.

use std::net::IpAddr;

use redis_session_core::sessions::{Alive, Clock, Session, UserSessions};
use redis_session_core::token::{Verified, is_token};
use redis_session_core::{Reason, SessionId, Subject, UnixMillis};

use super::parser::{Parser, once, session_id};
use super::{Grammar, Kind};
use crate::api::{Arg, Call, Reply};
use crate::error::Failure;
use crate::state::{self, State};

/// ```text
/// key token [IP ip] [AUD audience] [FULL]
/// ```
pub(super) const GRAMMAR: &[Grammar] = &[
    Grammar::Key,
    Grammar::Value("token"),
    Grammar::Option("IP", "ip", Kind::Text),
    Grammar::Option("AUD", "audience", Kind::Text),
    Grammar::Flag("FULL"),
];

/// The arguments.
pub(super) struct Request<'a> {
    pub(super) key: Arg<'a>,
    token: &'a [u8],
    ip: Option<IpAddr>,
    audience: Option<&'a str>,
    full: bool,
}

/// A token that was good, of a session that is alive.
pub(super) struct Passed {
    pub(super) verified: Verified,
    alive: Alive,
}

impl<'a> Request<'a> {
    pub(super) fn parse(call: &Call<'a>) -> Result<Self, Failure> {
        let mut parser = Parser::new(call);
        let (key, token) = (parser.key()?, parser.secret()?);
        let (mut ip, mut audience, mut full) = (None, None, None);
        while let Some(word) = parser.option() {
            if word.is("IP") {
                once(&mut ip, "IP", parser.ip_of("IP")?)?;
            } else if word.is("AUD") {
                once(&mut audience, "AUD", parser.text_of("AUD", 4096)?)?;
            } else if word.is("FULL") {
                once(&mut full, "FULL", ())?;
            } else {
                return Err(word.unknown());
            }
        }
        Ok(Self { key, token, ip, audience, full: full.is_some() })
    }

    /// The user, the clock, and what the token by itself is worth.
    #[allow(clippy::type_complexity)]
    pub(super) fn verify(
        &self,
        state: &mut State,
        now: UnixMillis,
    ) -> Result<(Subject<'a>, Clock, Result<Verified, Reason>), Failure> {
        let subject = state.settings.subject_of(self.key.bytes())?;
        let clock = state.settings.clock(now);
        Ok((subject, clock, state.verify(subject, self.token, self.audience, now)))
    }

    /// Writes the reply of a check.
    pub(super) fn reply(
        &self,
        reply: Reply,
        answer: Result<Passed, Reason>,
        subject: Subject<'_>,
        sessions: Option<&UserSessions>,
        clock: Clock,
    ) {
        let passed = match answer {
            Ok(passed) => passed,
            Err(reason) => return inactive(reply, reason),
        };
        let Passed { verified, alive } = &passed;
        let deadline = verified.expires_at.map_or(alive.deadline, |token| token.min(alive.deadline));
        if !self.full {
            let reply = reply.map(3);
            reply.name(c"active").boolean(true);
            reply.name(c"id").text(&verified.id.to_string());
            reply.name(c"expires_at").time(deadline);
            return;
        }
        let state = state::lock();
        let agents = state.agents_as_they_are();
        let Some(session) = sessions.and_then(|sessions| sessions.get(&verified.id, agents, clock)) else {
            return inactive(reply, Reason::Unknown);
        };
        let reply = reply.map(12);
        reply.name(c"active").boolean(true);
        reply.name(c"id").text(&verified.id.to_string());
        reply.name(c"expires_at").time(deadline);
        reply.name(c"token_expires_at").optional_time(verified.expires_at);
        reply.name(c"new_ip").boolean(self.ip.is_some_and(|ip| session.ip != Some(ip)));
        describe(reply, subject, &session);
    }
}

fn inactive(reply: Reply, reason: Reason) {
    let reply = reply.map(2);
    reply.name(c"active").boolean(false);
    reply.name(c"reason").text(reason.as_str());
}

/// Whether the session of a verified token is alive.
pub(super) fn look_up(
    verified: Result<Verified, Reason>,
    sessions: Option<&UserSessions>,
    clock: Clock,
) -> Result<Passed, Reason> {
    let verified = verified?;
    let none = UserSessions::new();
    let alive = sessions.unwrap_or(&none).check(&verified.id, verified.issued_for_revocation(), clock)?;
    Ok(Passed { verified, alive })
}

/// A whole session as a map: the reply of SESSION.GET and an element of that of SESSION.LIST.
pub(super) fn session(reply: Reply, subject: Subject<'_>, session: &Session<'_, &str>) {
    let reply = reply.map(9);
    reply.name(c"id").text(&session.id.to_string());
    reply.name(c"expires_at").time(session.expires_at);
    describe(reply, subject, session);
}

/// Seven entries.
fn describe(reply: Reply, subject: Subject<'_>, session: &Session<'_, &str>) {
    reply.name(c"user").text(subject.as_str());
    reply.name(c"created_at").time(session.created_at);
    reply.name(c"last_seen_at").time(session.last_seen_at());
    reply.name(c"idle_expires_at").optional_time(session.idle_expires_at());
    reply.name(c"ip").optional_text(session.ip.map(|ip| ip.to_string()).as_deref());
    reply.name(c"agent").optional_text(session.agent);
    reply.name(c"data").map(session.data.len());
    for (field, value) in session.data.iter() {
        reply.bytes(field);
        reply.bytes(value);
    }
}

/// The session that an id or a token names, as far as revoking goes: an expired token still names its session.
pub(super) fn named(
    state: &mut State,
    subject: Subject<'_>,
    text: &[u8],
    what: &str,
    now: UnixMillis,
) -> Result<Result<SessionId, Reason>, Failure> {
    if is_token(text) {
        return Ok(state.identify(subject, text, now).map(|verified| verified.id));
    }
    session_id(what, text).map(Ok)
}
