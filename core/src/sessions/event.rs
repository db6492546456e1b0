//! Decisions: what a command changes, and what that means to those who count, audit or subscribe.

use std::borrow::Cow;
use std::net::IpAddr;

use super::agents::{AgentId, AgentPool};
use super::effect::Effect;
use super::record::RecordRef;
use super::session::Session;
use crate::{Reason, SessionId};

/// A command that was decided and not carried out yet.
#[derive(Clone, Debug)]
pub struct Decision<'a, T> {
    /// What it changes, here, on replicas and in logs.
    pub effects: Vec<Effect<'a>>,
    /// What that means.
    pub events: Vec<Event<'a>>,
    /// What the command answers.
    pub value: T,
}

impl<'a, T> Decision<'a, T> {
    /// A decision to change nothing.
    pub(super) fn nothing(value: T) -> Self {
        Self { effects: Vec::new(), events: Vec::new(), value }
    }

    /// The same decision with another answer.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Decision<'a, U> {
        Decision { effects: self.effects, events: self.events, value: change(self.value) }
    }
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A session began.
    Created,
    /// Its refresh token was exchanged.
    Refreshed,
    /// It got another id.
    Regenerated,
    /// A use of it was replicated.
    Touched,
    /// Fields of its data were set.
    Set,
    /// Fields of its data were removed.
    Unset,
    /// It ended, or a JWT without a session was denied.
    Ended(Reason),
    /// All of the user's sessions ended, of which so many were alive.
    AllEnded(usize),
}

/// Something that happened to a user's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// The session, or the JWT without one; none if it was all of the user's.
    pub id: Option<SessionId>,
    /// The id that a regenerated session had before.
    pub old_id: Option<SessionId>,
    /// The session that was spared when all others ended.
    pub except: Option<SessionId>,
    /// The session's address.
    pub ip: Option<IpAddr>,
    /// The session's user agent.
    pub agent: Option<EventAgent<'a>>,
}

/// The user agent of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventAgent<'a> {
    /// The text.
    Text(Cow<'a, str>),
    /// The text is in the pool until the effects are carried out.
    Pooled(AgentId),
}

impl EventAgent<'_> {
    /// The text.
    #[must_use]
    pub fn text<'s>(&'s self, agents: &'s AgentPool) -> Option<&'s str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Pooled(agent) => agents.get(*agent),
        }
    }
}

impl<'a> Event<'a> {
    pub(super) fn of(kind: EventKind, id: Option<SessionId>) -> Self {
        Self { kind, id, old_id: None, except: None, ip: None, agent: None }
    }

    /// Something that happened to this session.
    pub(super) fn about(kind: EventKind, session: &Session<'a, Cow<'a, str>>) -> Self {
        let agent = session.agent.clone().map(EventAgent::Text);
        Self { ip: session.ip, agent, ..Self::of(kind, Some(session.id.clone())) }
    }

    /// The end of this session.
    pub(super) fn end(record: RecordRef<'_>, id: &SessionId, reason: Reason) -> Self {
        let agent = record.agent().map(EventAgent::Pooled);
        Self { ip: record.ip(), agent, ..Self::of(EventKind::Ended(reason), Some(id.clone())) }
    }
}
