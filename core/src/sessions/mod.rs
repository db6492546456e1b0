//! One user's sessions: what lives under one key.
//!
//! Reading ([`UserSessions::check`], [`UserSessions::live`]) changes nothing and measures every session against the
//! [`Clock`] it is given. Commands that write are decided first, without changing anything
//! ([`UserSessions::create`], [`UserSessions::refresh`], [`UserSessions::revoke`] and so on): the decision is a list of
//! [`Effect`]s, and [`UserSessions::apply`] carries it out, here, on replicas and when a log is replayed. Only
//! [`UserSessions::touch`] changes the value by itself, because most uses need not be replicated at all.
//!
//! ```text
//! decide.rs     what a command is to do          terms.rs     what it brings along: clock, limits, whom
//! effect.rs     decisions, and their encoding
//! apply.rs      carrying them out                audit.rs     what they mean
//!                                                session.rs   what is known of a session
//! store.rs      where the records are            record.rs    their bytes       data.rs   fields
//! agents.rs     user agents, shared              reader.rs    reading bytes from outside
//! ```

mod agents;
mod apply;
mod audit;
mod data;
mod decide;
mod effect;
mod reader;
mod record;
mod session;
mod store;
mod terms;

pub use agents::{AgentId, AgentPool};
pub use audit::{AuditEvent, Happening};
pub use data::{Data, DataLimit};
pub use decide::{ChangeError, CreateError, Creation, Grant, Purge, Refreshed, Revocation};
pub use effect::{DecodeError, Effect, decode as decode_effects, encode as encode_effects};
pub use session::{Device, MAX_AGENT_BYTES, Refresh, Session, TokenForm, Trace, TraceReason};
pub use store::Epoch;
pub use terms::{Clock, Limit, LimitPolicy, NewSession, Origin, Target, TokenRules};

use crate::token::Issued;
use crate::{Reason, SessionId, UnixMillis};
use record::{Record, RecordRef, set_seen};
use store::{Marks, Store};

/// A live session, as far as a check must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive {
    /// The nearer of its two deadlines.
    pub deadline: UnixMillis,
}

/// All sessions of one user, traces of dead ones, and when all or too many were revoked.
#[derive(Clone, Debug, Default)]
pub struct UserSessions {
    store: Store,
}

impl UserSessions {
    /// No sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the session with this id is alive, for a credential that tells of its time what `issued` says.
    ///
    /// # Errors
    /// With the reason why it is not: `unknown`, `expired`, `idle`, `revoked`, `user_revoked`, `evicted` or `reused`.
    pub fn check(&self, id: &SessionId, issued: Issued, clock: Clock) -> Result<Alive, Reason> {
        let Marks { epoch, forgotten } = self.store.marks();
        let Some(record) = self.store.find(id) else {
            let user_revoked = match issued {
                Issued::Unsaid => false,
                // A JWT shows whole seconds, so one of the epoch's own second counts as older. Its session, had it
                // begun after the epoch, would be here.
                Issued::InSecondOf(time) => {
                    time < clock.not_before || epoch.is_some_and(|epoch| time.as_secs() <= epoch.at.as_secs())
                }
                Issued::ForSessionOf(time) => time < clock.not_before || epoch.is_some_and(|epoch| time <= epoch.at),
            };
            return Err(if user_revoked { Reason::UserRevoked } else { Reason::Unknown });
        };
        let alive = clock.status(record)?;
        // An id that an application used before may be an earlier session's in this credential: one that was revoked
        // with all, of this user or of everyone, or alone and that forgotten. In the very second of that only if this
        // session had not begun, for a login right after it is good.
        let began = record.created_at();
        let of_earlier = |time: UnixMillis, mark: Option<Epoch>| {
            mark.is_some_and(|mark| {
                began > mark.at && time.as_secs() <= mark.at.as_secs() && time.as_secs() < began.as_secs()
            })
        };
        let before_all = |time: UnixMillis| time < clock.not_before && time.as_secs() < began.as_secs();
        match issued {
            Issued::ForSessionOf(time) if time != began => Err(Reason::Unknown),
            Issued::InSecondOf(time) if before_all(time) => Err(Reason::UserRevoked),
            Issued::InSecondOf(time) if of_earlier(time, epoch) => Err(Reason::UserRevoked),
            Issued::InSecondOf(time) if of_earlier(time, forgotten) => Err(Reason::Unknown),
            Issued::ForSessionOf(_) | Issued::InSecondOf(_) | Issued::Unsaid => Ok(alive),
        }
    }

    /// Whether a credential whose session is not here may have been revoked and that been forgotten, as too many traces
    /// are: then what is good without a session must be taken for dead.
    #[must_use]
    pub fn may_have_forgotten(&self, issued: Issued) -> bool {
        let forgotten = self.store.marks().forgotten;
        forgotten.is_some_and(|forgotten| match issued {
            Issued::Unsaid => false,
            Issued::InSecondOf(time) => time.as_secs() <= forgotten.at.as_secs(),
            Issued::ForSessionOf(time) => time <= forgotten.at,
        })
    }

    /// The session with this id, if it is alive.
    #[must_use]
    pub fn get<'a>(&'a self, id: &SessionId, agents: &'a AgentPool, clock: Clock) -> Option<Session<'a, &'a str>> {
        self.store.find(id).filter(|record| clock.is_live(*record)).and_then(|record| view(record, agents))
    }

    /// The live sessions, oldest first.
    pub fn live<'a>(&'a self, agents: &'a AgentPool, clock: Clock) -> impl Iterator<Item = Session<'a, &'a str>> {
        self.store.iter().filter(move |record| clock.is_live(*record)).filter_map(|record| view(record, agents))
    }

    /// The device that the session with this id is bound to.
    #[must_use]
    pub fn device(&self, id: &SessionId) -> Option<Device> {
        self.store.find(id).and_then(RecordRef::device)
    }

    /// How many sessions are stored: the live ones and those that have died of time and not been swept yet.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.store.sessions()
    }

    /// How many sessions are alive.
    #[must_use]
    pub fn count(&self, clock: Clock) -> usize {
        self.store.iter().filter(|record| clock.is_live(*record)).count()
    }

    /// Records a use of a live session. The value is always changed, but there is an effect to replicate only once the
    /// last use has moved by more than `granularity` milliseconds or a tenth of the idle timeout, whichever is less:
    /// so a session can idle out that much early after a failover, never late.
    pub fn touch(&mut self, id: &SessionId, granularity: u64, clock: Clock) -> Option<Effect<'static>> {
        let record = self.store.find(id)?;
        let (seen, idle_secs) = (record.seen(), record.idle_secs());
        if clock.now <= record.last_seen_at() || !clock.is_live(record) {
            return None;
        }
        let granularity = if idle_secs > 0 { granularity.min(u64::from(idle_secs) * 100) } else { granularity };
        let moved = clock.now.saturating_since(seen);
        let ahead = u32::try_from(moved).ok().filter(|_| moved <= granularity);
        let bytes = self.store.find_mut(id)?;
        match ahead {
            Some(ahead) => {
                set_seen(bytes, seen, ahead);
                None
            }
            None => {
                set_seen(bytes, clock.now, 0);
                Some(Effect::Seen { id: id.clone(), at: clock.now })
            }
        }
    }
}

fn view<'a>(record: RecordRef<'a>, agents: &'a AgentPool) -> Option<Session<'a, &'a str>> {
    match record.decode()? {
        Record::Session(session) => {
            let agent = session.agent.and_then(|agent| agents.get(agent));
            Some(session.with_agent(agent))
        }
        Record::Trace(_) => None,
    }
}

#[cfg(test)]
mod tests;
