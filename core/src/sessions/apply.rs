//! Carrying effects out, and the value as a whole: encoded, copied, measured.

use std::borrow::Cow;
use std::collections::HashSet;

use super::agents::{AgentId, AgentPool};
use super::cutoff::UserCutoff;
use super::data::Data;
use super::effect::{self, DecodeError, Effect};
use super::record::{IdKey, Record, RecordRef, set_seen};
use super::session::{Session, Tombstone};
use super::store::Cutoffs;
use super::{SessionId, UnixMillis, UserSessions};

/// How many effects are carried out in one pass, at most: each is compared with each record of a packed store.
const TOGETHER: usize = 32;

/// The record that an effect takes out.
fn buried<'a>(effect: &'a Effect<'_>) -> Option<&'a SessionId> {
    match effect {
        Effect::Forget(id) | Effect::End(Tombstone { id, .. }) => Some(id),
        _ => None,
    }
}

impl UserSessions {
    /// Carries out effects, in order. It decides nothing and reads no clock.
    pub fn apply(&mut self, effects: &[Effect<'_>], agents: &mut AgentPool) {
        let mut bytes = Vec::new();
        let mut rest = effects;
        while let Some((effect, after)) = rest.split_first() {
            if let Some(after) = self.bury(rest, agents) {
                rest = after;
                continue;
            }
            rest = after;
            match effect {
                // A closed value stays closed: its tombstones are lost, and nothing else covers their tokens.
                Effect::RevokedBefore(None) if self.is_closed() => {}
                Effect::RevokedBefore(cutoff) => {
                    self.store.set_cutoffs(Cutoffs { revoked_before: *cutoff, ..self.store.cutoffs() });
                }
                Effect::TombstonesDroppedBefore(cutoff) => {
                    self.store.set_cutoffs(Cutoffs { tombstones_dropped_before: *cutoff, ..self.store.cutoffs() });
                }
                Effect::Put(session) => {
                    let agent = session.agent.as_deref().map(|text| agents.acquire(text));
                    self.release_agent(&session.id, agents);
                    bytes.clear();
                    session.clone().with_agent(agent).write(&mut bytes);
                    self.store.put(&bytes);
                }
                Effect::Seen { id, at } => {
                    if let Some(record) = self.store.find_mut(id) {
                        set_seen(record, *at, 0);
                    }
                }
                Effect::End(tombstone) => {
                    self.release_agent(&tombstone.id, agents);
                    bytes.clear();
                    tombstone.write(&mut bytes);
                    self.store.put_last(&bytes);
                }
                Effect::Forget(id) => {
                    self.release_agent(id, agents);
                    self.store.remove(id);
                }
                Effect::Replace { old, session } => {
                    let agent = session.agent.as_deref().map(|text| agents.acquire(text));
                    self.release_agent(old, agents);
                    if session.id != *old {
                        self.release_agent(&session.id, agents);
                        self.store.remove(&session.id);
                    }
                    bytes.clear();
                    session.clone().with_agent(agent).write(&mut bytes);
                    self.store.replace(old, &bytes);
                }
                Effect::Set { id, version, data } => self.change_data(id, *version, |known| known.merged(data)),
                Effect::Unset { id, version, names } => {
                    self.change_data(id, *version, |known| known.without(names));
                }
                Effect::ClearOldest { sessions } => {
                    let mut left = *sessions;
                    self.store.retain(|record| {
                        if record.is_tombstone() || left == 0 {
                            return true;
                        }
                        left -= 1;
                        if let Some(agent) = record.agent() {
                            agents.release(agent);
                        }
                        false
                    });
                }
                Effect::Clear { except } => self.store.retain(|record| {
                    let kept = record.is_tombstone() || except.as_ref().is_some_and(|id| record.has_id(IdKey::of(id)));
                    if let Some(agent) = record.agent().filter(|_| !kept) {
                        agents.release(agent);
                    }
                    kept
                }),
            }
        }
        self.store.settle();
    }

    /// Carries out the first effects in one pass through the records if several in turn take records out, as a sweep has
    /// them. The answer is those that are left, or `None` if nothing was done.
    fn bury<'a, 'b>(&mut self, effects: &'a [Effect<'b>], agents: &mut AgentPool) -> Option<&'a [Effect<'b>]> {
        let run = effects.iter().map_while(buried).take(TOGETHER).count();
        if run < 2 || !self.store.is_packed() {
            return None;
        }
        let (now, after) = effects.split_at_checked(run)?;
        self.store.retain(|record| {
            let stays = !now.iter().filter_map(buried).any(|id| record.has_id(IdKey::of(id)));
            if let Some(agent) = record.agent().filter(|_| !stays) {
                agents.release(agent);
            }
            stays
        });
        let mut bytes = Vec::new();
        for (at, effect) in now.iter().enumerate() {
            let Effect::End(tombstone) = effect else { continue };
            // As if carried out one by one: the last effect on an id counts.
            if now.iter().skip(at + 1).filter_map(buried).all(|later| *later != tombstone.id) {
                tombstone.write(&mut bytes);
            }
        }
        self.store.append(&bytes);
        Some(after)
    }

    fn change_data(&mut self, id: &SessionId, version: u64, change: impl FnOnce(&Data<'_>) -> Data<'static>) {
        let Some(Record::Session(session)) = self.store.find(id).and_then(RecordRef::decode) else { return };
        let mut bytes = Vec::new();
        Session { data: change(&session.data), version, ..session }.write(&mut bytes);
        self.store.put(&bytes);
    }

    fn release_agent(&self, id: &SessionId, agents: &mut AgentPool) {
        if let Some(agent) = self.store.find(id).and_then(RecordRef::agent) {
            agents.release(agent);
        }
    }

    /// The effects that rebuild this value from nothing, encoded: its form in RDB files and rewritten logs.
    #[must_use]
    pub fn encode(&self, agents: &AgentPool) -> Vec<u8> {
        self.encode_as(agents, |unreplicated| unreplicated)
    }

    /// The encoding without uses that are not replicated: equal on a primary and its replicas.
    #[must_use]
    pub fn canonical(&self, agents: &AgentPool) -> Vec<u8> {
        self.encode_as(agents, |_| 0)
    }

    fn encode_as(&self, agents: &AgentPool, unreplicated: impl Fn(u32) -> u32) -> Vec<u8> {
        let mut out = effect::start(self.store.allocated_bytes());
        let Cutoffs { revoked_before, tombstones_dropped_before } = self.store.cutoffs();
        let revoked = revoked_before.map(|cutoff| Effect::RevokedBefore(Some(cutoff)));
        let dropped = tombstones_dropped_before.map(|cutoff| Effect::TombstonesDroppedBefore(Some(cutoff)));
        revoked.iter().chain(&dropped).for_each(|cutoff| effect::push(cutoff, &mut out));
        for record in self.store.iter() {
            match record.decode() {
                Some(Record::Session(session)) => {
                    let agent = session.agent.and_then(|agent| agents.get(agent)).map(Cow::Borrowed);
                    let session =
                        Session { unreplicated_ms: unreplicated(session.unreplicated_ms), ..session.with_agent(agent) };
                    effect::push(&Effect::Put(session), &mut out);
                }
                Some(Record::Tombstone(tombstone)) => effect::push(&Effect::End(tombstone), &mut out),
                None => {}
            }
        }
        out
    }

    /// The value that [`UserSessions::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are anything else; nothing is claimed from `agents` then.
    pub fn decode(bytes: &[u8], agents: &mut AgentPool) -> Result<Self, DecodeError> {
        let effects = effect::decode(bytes)?;
        if !is_value(&effects) {
            return Err(DecodeError::Damaged);
        }
        let mut sessions = Self::default();
        sessions.apply(&effects, agents);
        Ok(sessions)
    }

    /// A value that stands for one that could not be read: it has no session, and every credential counts as revoked.
    #[must_use]
    pub fn closed() -> Self {
        let mut sessions = Self::default();
        sessions.store.set_cutoffs(Cutoffs { revoked_before: Some(UserCutoff::CLOSED), ..Cutoffs::default() });
        sessions
    }

    fn is_closed(&self) -> bool {
        self.store.cutoffs().revoked_before == Some(UserCutoff::CLOSED)
    }

    /// A copy with claims of its own on its agents.
    #[must_use]
    pub fn copy(&self, agents: &mut AgentPool) -> Self {
        self.agents().for_each(|agent| agents.retain(agent));
        self.clone()
    }

    /// The agents claimed by these sessions: to be released when the value is dropped.
    pub fn agents(&self) -> impl Iterator<Item = AgentId> {
        self.store.iter().filter_map(RecordRef::agent)
    }

    /// The time of the latest change that the value tells of. It is no later than the clock of the server that wrote
    /// it.
    #[must_use]
    pub fn last_change_at(&self) -> UnixMillis {
        let revoked_before = self.store.cutoffs().revoked_before.and_then(UserCutoff::time);
        let records = self.store.iter().map(RecordRef::last_issued_at);
        records.chain(revoked_before).max().unwrap_or_default()
    }

    /// Whether there is nothing to keep: no session, no tombstone, no cutoff.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.store.is_empty()
    }

    /// The last deadline of all sessions, tombstones and cutoffs, after which the value can be deleted.
    #[must_use]
    pub fn last_deadline(&self) -> UnixMillis {
        self.store.deadline()
    }

    /// The allocations of the records from the place `from` on, each with its place; the first place is 0. A
    /// defragmentation moves them and keeps their contents.
    pub fn allocations_from(&mut self, from: u64) -> impl Iterator<Item = (u64, &mut Box<[u8]>)> {
        self.store.allocations_from(from)
    }

    /// How many allocations the value consists of.
    #[must_use]
    pub fn allocations(&self) -> usize {
        1 + self.store.allocations()
    }

    /// Bytes allocated for the value, without shared agents and without the allocator's own.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        size_of::<Self>() + self.store.allocated_bytes()
    }
}

/// Whether these effects are the encoding of a value: cutoffs, then each record once.
///
/// Other effects are refused, although they could be carried out. Some of them visit the whole value, so a small file
/// could hold enough of them to keep the server busy for hours.
fn is_value(effects: &[Effect<'_>]) -> bool {
    let mut records = effects;
    if let [Effect::RevokedBefore(Some(_)), rest @ ..] = records {
        records = rest;
    }
    if let [Effect::TombstonesDroppedBefore(Some(_)), rest @ ..] = records {
        records = rest;
    }
    let mut ids = HashSet::with_capacity(records.len());
    // What holds nothing is not stored: its key would never expire.
    !effects.is_empty()
        && records.iter().all(|effect| match effect {
            Effect::Put(session) => ids.insert(&session.id),
            Effect::End(tombstone) => ids.insert(&tombstone.id),
            _ => false,
        })
}
