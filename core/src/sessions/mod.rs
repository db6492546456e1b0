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
//! apply.rs      carrying them out                session.rs   what is known of a session
//! store.rs      where the records are            record.rs    their bytes       data.rs   fields
//! agents.rs     user agents, shared              reader.rs    reading bytes from outside
//! ```

mod agents;
mod apply;
mod data;
mod decide;
mod effect;
mod reader;
mod record;
mod session;
mod store;
mod terms;

pub use agents::{AgentId, AgentPool};
pub use data::Data;
pub use decide::{ChangeError, CreateError, Creation, Grant, Refreshed, Revocation};
pub use effect::{DecodeError, Effect, decode as decode_effects, encode as encode_effects};
pub use session::{Device, MAX_AGENT_BYTES, Refresh, Session, TokenForm, Trace, TraceReason};
pub use store::Epoch;
pub use terms::{Clock, Limit, LimitPolicy, NewSession, Origin, Target, TokenRules};

use crate::token::Issued;
use crate::{Reason, SessionId, UnixMillis};
use record::{Record, RecordRef, set_seen};
use store::Store;

/// A live session, as far as a check must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive {
    /// The nearer of its two deadlines.
    pub deadline: UnixMillis,
}

/// All sessions of one user, traces of dead ones, and the epoch.
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
        let epoch = self.store.epoch();
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
        // An id that an application used before may be an earlier session's in this credential.
        match (issued, epoch) {
            (Issued::ForSessionOf(time), _) if time != record.created_at() => Err(Reason::Unknown),
            // In the epoch's own second only if this one had not begun: a login right after a revocation is good.
            (Issued::InSecondOf(time), Some(epoch))
                if record.created_at() > epoch.at
                    && time.as_secs() <= epoch.at.as_secs()
                    && time.as_secs() < record.created_at().as_secs() =>
            {
                Err(Reason::UserRevoked)
            }
            _ => Ok(alive),
        }
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
