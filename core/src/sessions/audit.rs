//! What effects mean to somebody who reads about them later: which session began, went on or ended, and why.

use std::borrow::Cow;
use std::net::IpAddr;

use super::UserSessions;
use super::agents::AgentPool;
use super::effect::Effect;
use super::record::{IdKey, Record, RecordRef};
use super::session::{Trace, TraceReason};
use super::terms::Clock;
use crate::{Reason, SessionId};

/// What happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It began.
    Created,
    /// Its refresh token was exchanged.
    Refreshed,
    /// It got another id.
    Regenerated,
    /// It ended.
    Ended(Reason),
    /// It was one of so many that ended together, because all of the user's were revoked.
    AllRevoked(usize),
}

/// One line of an audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent<'a> {
    /// What happened.
    pub happening: Happening,
    /// The session, or that JWT without a session; none if it was all of the user's.
    pub id: Option<SessionId>,
    /// The id that a regenerated session had before.
    pub old_id: Option<SessionId>,
    /// The session that was spared when all others were revoked.
    pub except: Option<SessionId>,
    /// The session's address.
    pub ip: Option<IpAddr>,
    /// The session's user agent.
    pub agent: Option<Cow<'a, str>>,
}

impl AuditEvent<'_> {
    fn of(happening: Happening, id: Option<SessionId>) -> Self {
        AuditEvent { happening, id, old_id: None, except: None, ip: None, agent: None }
    }
}

impl UserSessions {
    /// What `effects`, decided by the same `clock` and not carried out yet, are to do. Changes of fields are nothing to
    /// tell, nor are traces that are forgotten.
    #[must_use]
    pub fn audit<'a>(&'a self, effects: &'a [Effect<'_>], agents: &'a AgentPool, clock: Clock) -> Vec<AuditEvent<'a>> {
        let begins = effects.iter().any(|effect| matches!(effect, Effect::Put(_)));
        let ended = |id: &SessionId, reason: Option<TraceReason>| -> Option<AuditEvent<'a>> {
            let known = self.store.find(id);
            let session = known.filter(|record| !record.is_trace());
            let reason = session.and_then(|record| clock.died_of(record)).or(reason);
            match (session, reason) {
                (_, Some(TraceReason::UserRevoked)) => None,
                // It is forgotten at once, as there are too many traces: it made room, or was revoked with many others.
                (Some(record), None) if clock.is_live(record) => {
                    let reason = if begins { Reason::Evicted } else { Reason::Revoked };
                    Some(self.describe(record, Happening::Ended(reason), agents))
                }
                (Some(record), Some(reason)) => Some(self.describe(record, Happening::Ended(reason.into()), agents)),
                // A JWT that has no session here, denied.
                (None, Some(reason)) if known.is_none() => {
                    Some(AuditEvent::of(Happening::Ended(reason.into()), Some(id.clone())))
                }
                _ => None,
            }
        };
        // One at most, as one command regenerates one session.
        let replaced: Vec<&SessionId> = effects
            .iter()
            .filter_map(|effect| if let Effect::Replace { old, .. } = effect { Some(old) } else { None })
            .collect();
        let event = |effect: &'a Effect<'_>| match effect {
            Effect::Put(session) | Effect::Replace { session, .. } => {
                let old_id = if let Effect::Replace { old, .. } = effect { Some(old.clone()) } else { None };
                let goes_on = self.store.find(&session.id).is_some_and(|record| clock.is_live(record));
                let happening = match &old_id {
                    Some(_) => Happening::Regenerated,
                    None if goes_on => Happening::Refreshed,
                    None => Happening::Created,
                };
                let agent = session.agent.as_deref().map(Cow::Borrowed);
                let event = AuditEvent::of(happening, Some(session.id.clone()));
                Some(AuditEvent { old_id, ip: session.ip, agent, ..event })
            }
            // The old id of a session that goes on under another.
            Effect::Bury(trace) if replaced.contains(&&trace.id) => None,
            Effect::Bury(Trace { id, reason, .. }) => ended(id, Some(*reason)),
            Effect::Forget(id) => ended(id, None),
            Effect::Clear { except } => {
                let spared = |record: RecordRef<'_>| except.as_ref().is_some_and(|id| record.has_id(IdKey::of(id)));
                let live = self.store.iter().filter(|record| clock.is_live(*record) && !spared(*record)).count();
                Some(AuditEvent { except: except.clone(), ..AuditEvent::of(Happening::AllRevoked(live), None) })
            }
            Effect::Seen { .. }
            | Effect::Set { .. }
            | Effect::Unset { .. }
            | Effect::Epoch(_)
            | Effect::Forgotten(_) => None,
        };
        // Those that had died of time and were not swept yet go with the others.
        let clears = effects.iter().any(|effect| matches!(effect, Effect::Clear { .. }));
        let all = clears.then(|| self.store.iter()).into_iter().flatten();
        let cleared = all.filter(|record| !clock.is_spent(*record)).filter_map(|record| {
            let reason = clock.died_of(record)?;
            Some(self.describe(record, Happening::Ended(reason.into()), agents))
        });
        cleared.chain(effects.iter().filter_map(event)).collect()
    }

    fn describe<'a>(&'a self, record: RecordRef<'a>, happening: Happening, agents: &'a AgentPool) -> AuditEvent<'a> {
        match record.decode() {
            Some(Record::Session(session)) => AuditEvent {
                ip: session.ip,
                agent: session.agent.and_then(|agent| agents.get(agent)).map(Cow::Borrowed),
                ..AuditEvent::of(happening, Some(session.id))
            },
            Some(Record::Trace(_)) | None => AuditEvent::of(happening, None),
        }
    }
}
