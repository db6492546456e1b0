//! One user's sessions: the value of one key.
//!
//! Reading ([`UserSessions::look_up`], [`UserSessions::check`], [`UserSessions::live`]) changes nothing and measures every
//! session by the [`Rules`] that it is given. Commands that write are decided first, without changing anything
//! ([`UserSessions::create`], [`UserSessions::refresh`], [`UserSessions::revoke`] and so on): a [`Decision`] holds the
//! [`Effect`]s, and [`UserSessions::apply`] carries them out, here, on replicas and when a log is replayed. Only
//! [`UserSessions::touch`] changes the value by itself, because most uses need not be replicated at all.
//!
//! ```text
//! rule.rs       which credential is good         rules.rs     what it is measured by
//! cutoff.rs     moments up to which all has been ended
//! decide.rs     what a command is to do          event.rs     what that means
//! effect.rs     what it changes, as bytes        apply.rs     carrying that out
//! store.rs      where the records are            record.rs    their bytes       data.rs   fields
//! session.rs    a session and its tombstone      agents.rs    user agents       reader.rs reading bytes from outside
//! ```

mod agents;
mod apply;
mod cutoff;
mod data;
mod decide;
mod effect;
mod event;
mod reader;
mod record;
mod rule;
mod rules;
mod session;
mod store;

pub use agents::{AgentId, AgentPool};
pub use cutoff::{Cutoff, Everyone, UserCutoff};
pub use data::{Data, DataLimit};
pub use decide::{ChangeError, CreateError, Dead, Grant, Refreshed};
pub use effect::{DecodeError, Effect, decode as decode_effects, encode as encode_effects};
pub use event::{Decision, Event, EventAgent, EventKind};
pub use rule::{Alive, Standing};
pub use rules::{
    Check, Fingerprint, IdSource, LimitPolicy, MAX_LEEWAY, NewSession, Origin, Outage, Presented, REMEMBERED, Renewal,
    Rules,
};
pub use session::{Device, EndReason, MAX_AGENT_BYTES, Refresh, Session, TokenFormat, Tombstone, agent_text};

use std::cmp::Reverse;

use crate::{Reason, SessionId, UnixMillis};
use record::{Record, RecordRef};
use store::Store;

/// A session that has ended, or a JWT that was denied, as far as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its id.
    pub id: SessionId,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: UnixMillis,
    /// Until when that is remembered, unless it is one of too many.
    pub until: UnixMillis,
}

/// All sessions of one user, tombstones of ended ones, and the user's cutoffs.
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

    /// The session with this id, if it is alive.
    #[must_use]
    pub fn get<'a>(&'a self, id: &SessionId, agents: &'a AgentPool, rules: &Rules) -> Option<Session<'a, &'a str>> {
        self.store.find(id).filter(|record| rules.is_live(*record)).and_then(|record| view(record, agents))
    }

    /// The live sessions, oldest first.
    pub fn live<'a>(&'a self, agents: &'a AgentPool, rules: &'a Rules) -> impl Iterator<Item = Session<'a, &'a str>> {
        self.store.iter().filter(|record| rules.is_live(*record)).filter_map(|record| view(record, agents))
    }

    /// At most `count` live sessions, the newest first, after the newest `offset` ones.
    pub fn page<'a>(
        &'a self,
        offset: usize,
        count: usize,
        agents: &'a AgentPool,
        rules: &'a Rules,
    ) -> impl Iterator<Item = Session<'a, &'a str>> {
        let live = self.store.iter_back().filter(|record| rules.is_live(*record));
        live.skip(offset).take(count).filter_map(|record| view(record, agents))
    }

    /// What has ended and is remembered, the latest end first: sessions that ended one by one, those that have died of time,
    /// and denied JWTs.
    #[must_use]
    pub fn ended(&self, rules: &Rules) -> Vec<Ended> {
        let ended = self.store.iter().filter(|record| !rules.is_spent(*record)).filter_map(|record| {
            let (reason, cutoff) = rules.end_of(record)?;
            Some(Ended { id: record.id()?, reason, at: cutoff.began, until: rules.remembered_until(record, cutoff) })
        });
        let mut ended: Vec<_> = ended.collect();
        ended.sort_by_key(|ended| Reverse(ended.at));
        ended
    }

    /// How many sessions are stored: the live ones and those that have died of time and not been swept yet.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.store.sessions()
    }

    /// How many sessions are alive.
    #[must_use]
    pub fn count(&self, rules: &Rules) -> usize {
        self.store.iter().filter(|record| rules.is_live(*record)).count()
    }
}

fn view<'a>(record: RecordRef<'a>, agents: &'a AgentPool) -> Option<Session<'a, &'a str>> {
    match record.decode()? {
        Record::Session(session) => {
            let agent = session.agent.and_then(|agent| agents.get(agent));
            Some(session.with_agent(agent))
        }
        Record::Tombstone(_) => None,
    }
}

#[cfg(test)]
mod tests;
