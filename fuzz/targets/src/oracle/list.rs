//! One user's sessions as a plain list of records, the slow and obvious way: what [`UserSessions`] must agree with.

use std::borrow::Cow;
use std::collections::HashSet;
use std::rc::Rc;

use redis_session_core::sessions::{
    AgentPool, Check, Cutoff, Data, Device, Effect, Fingerprint, Presented, Rules, Session, Standing, Tombstone,
    UserCutoff, UserSessions, decode_effects, encode_effects,
};
use redis_session_core::token::{Issued, TokenKind};
use redis_session_core::{Reason, SessionId, Subject, UnixMillis};

/// The cutoff of a value that could not be read, which says no time and never goes.
pub(crate) const CLOSED: UserCutoff =
    UserCutoff { cutoff: Cutoff { began: UnixMillis::MAX, iat: UnixMillis::MAX }, until: UnixMillis::MAX };

/// Sessions and tombstones in their order, and the two cutoffs.
#[derive(Clone, Default)]
pub(crate) struct List {
    pub(crate) revoked_before: Option<UserCutoff>,
    pub(crate) tombstones_dropped_before: Option<UserCutoff>,
    pub(crate) records: Vec<Rc<Record>>,
}

/// A session or a tombstone, as the effect that makes it.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) id: SessionId,
    pub(crate) tombstone: Option<Tombstone>,
    /// Kind, flags, id, and so on: what [`encode_effects`] writes after the version.
    bytes: Vec<u8>,
    agent: Option<String>,
    deadline: UnixMillis,
}

fn body(effect: &Effect<'_>) -> Vec<u8> {
    encode_effects(std::slice::from_ref(effect)).split_off(1)
}

impl Record {
    fn new(effect: &Effect<'_>) -> Self {
        let bytes = body(effect);
        match effect {
            Effect::Put(session) => Self {
                id: session.id.clone(),
                tombstone: None,
                bytes,
                agent: session.agent.as_deref().map(str::to_owned),
                deadline: session.token_until.max(session.expires_at),
            },
            Effect::End(tombstone) => Self {
                id: tombstone.id.clone(),
                tombstone: Some(tombstone.clone()),
                bytes,
                agent: None,
                deadline: tombstone.until,
            },
            other => panic!("no record: {other:?}"),
        }
    }

    /// Where `seen` is, with `unreplicated` next to it: after kind, flags, id, and two times.
    fn seen(&self) -> std::ops::Range<usize> {
        // An effect that forgets is a kind, the form of the id (one byte), and the id as records have it.
        let id = body(&Effect::Forget(self.id.clone())).len() - 2;
        let at = 1 + 2 + id + 6 + 6;
        at..at + 10
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn canonical(&self) -> Cow<'_, [u8]> {
        if self.tombstone.is_some() {
            return self.bytes();
        }
        let (mut bytes, seen) = (self.bytes.clone(), self.seen());
        bytes[seen.start + 6..seen.end].fill(0);
        Cow::Owned(bytes)
    }

    fn change_data(&mut self, version: u64, change: impl FnOnce(&Data<'_>) -> Vec<(Vec<u8>, Vec<u8>)>) {
        let bytes = [&[1], &self.bytes[..]].concat();
        let effects = decode_effects(&bytes).expect("a record is an effect");
        let Some(Effect::Put(session)) = effects.first() else { panic!("no session: {effects:?}") };
        let mut session = session.clone();
        let fields = change(&session.data);
        session.data = Data::pack(fields.iter().map(|(name, value)| (&name[..], &value[..]))).expect("fields");
        session.version = version;
        *self = Self::new(&Effect::Put(session));
    }
}

impl List {
    /// What effects make of nothing.
    pub(crate) fn of(effects: &[u8]) -> Self {
        let mut list = Self::default();
        list.apply(&decode_effects(effects).expect("effects"));
        list
    }

    pub(crate) fn apply(&mut self, effects: &[Effect<'_>]) {
        effects.iter().for_each(|effect| self.apply_one(effect));
    }

    pub(crate) fn at(&self, id: &SessionId) -> Option<usize> {
        self.records.iter().position(|record| record.id == *id)
    }

    fn session_mut(&mut self, id: &SessionId) -> Option<&mut Record> {
        let record = self.records.iter_mut().find(|record| record.id == *id)?;
        record.tombstone.is_none().then(|| Rc::make_mut(record))
    }

    fn remove(&mut self, id: &SessionId) {
        self.records.retain(|record| record.id != *id);
    }

    fn apply_one(&mut self, effect: &Effect<'_>) {
        match effect {
            // What was closed, as it could not be read, stays so.
            Effect::RevokedBefore(None) if self.is_closed() => {}
            Effect::RevokedBefore(cutoff) => self.revoked_before = *cutoff,
            Effect::TombstonesDroppedBefore(cutoff) => self.tombstones_dropped_before = *cutoff,
            Effect::Put(session) => match self.at(&session.id) {
                Some(at) => self.records[at] = Rc::new(Record::new(effect)),
                None => self.records.push(Rc::new(Record::new(effect))),
            },
            Effect::Seen { id, at } => {
                if let Some(record) = self.session_mut(id) {
                    let seen = record.seen();
                    record.bytes[seen.clone()].fill(0);
                    record.bytes[seen.start..seen.start + 6].copy_from_slice(&at.get().to_le_bytes()[..6]);
                }
            }
            Effect::End(tombstone) => {
                self.remove(&tombstone.id);
                self.records.push(Rc::new(Record::new(effect)));
            }
            Effect::Forget(id) => self.remove(id),
            Effect::ClearOldest { sessions } => {
                let mut left = *sessions;
                self.records.retain(|record| {
                    let goes = record.tombstone.is_none() && left > 0;
                    left -= u32::from(goes);
                    !goes
                });
            }
            Effect::Clear { except } => {
                self.records.retain(|record| record.tombstone.is_some() || Some(&record.id) == except.as_ref());
            }
            Effect::Replace { old, session } => {
                if session.id != *old {
                    self.remove(&session.id);
                }
                let record = Rc::new(Record::new(&Effect::Put(session.clone())));
                match self.at(old) {
                    Some(at) => self.records[at] = record,
                    None => self.records.push(record),
                }
            }
            Effect::Set { id, version, data } => {
                if let Some(record) = self.session_mut(id) {
                    record.change_data(*version, |known| {
                        let mut fields: Vec<_> = known.iter().map(owned).collect();
                        for (name, value) in data.iter().map(owned) {
                            match fields.iter_mut().find(|(known, _)| *known == name) {
                                Some(field) => field.1 = value,
                                None => fields.push((name, value)),
                            }
                        }
                        fields
                    });
                }
            }
            Effect::Unset { id, version, names } => {
                if let Some(record) = self.session_mut(id) {
                    record.change_data(*version, |known| {
                        known.iter().map(owned).filter(|(name, _)| names.iter().all(|(gone, _)| gone != name)).collect()
                    });
                }
            }
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.revoked_before == Some(CLOSED)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cutoffs().next().is_none() && self.records.is_empty()
    }

    fn write(&self, record: for<'r> fn(&'r Record) -> Cow<'r, [u8]>) -> Vec<u8> {
        let mut cutoffs = Vec::new();
        cutoffs.extend(self.revoked_before.map(|cutoff| Effect::RevokedBefore(Some(cutoff))));
        cutoffs.extend(self.tombstones_dropped_before.map(|cutoff| Effect::TombstonesDroppedBefore(Some(cutoff))));
        let mut bytes = encode_effects(&cutoffs);
        self.records.iter().for_each(|each| bytes.extend_from_slice(&record(each)));
        bytes
    }

    pub(crate) fn deadline(&self) -> UnixMillis {
        let cutoffs = self.cutoffs().map(|cutoff| cutoff.until);
        self.records.iter().map(|record| record.deadline).chain(cutoffs).max().unwrap_or_default()
    }

    fn cutoffs(&self) -> impl Iterator<Item = UserCutoff> {
        self.revoked_before.into_iter().chain(self.tombstones_dropped_before)
    }

    /// What [`UserSessions::canonical`] must be.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        self.write(Record::canonical)
    }

    /// How many user agents there are, each counted once.
    pub(crate) fn agents(&self) -> usize {
        self.records.iter().filter_map(|record| record.agent.as_deref()).collect::<HashSet<_>>().len()
    }
}

fn owned((name, value): (&[u8], &[u8])) -> (Vec<u8>, Vec<u8>) {
    (name.to_vec(), value.to_vec())
}

/// Whether `sessions` holds what `list` holds.
pub(crate) fn assert_holds(sessions: &UserSessions, agents: &AgentPool, list: &List) {
    assert_eq!(sessions.encode(agents), list.write(Record::bytes));
    assert_eq!(sessions.is_empty(), list.is_empty());
    assert_eq!(sessions.last_deadline(), list.deadline());
}

/// Whether `sessions` is what `list` is, in every way that it can be looked at.
pub(crate) fn assert_same(sessions: &UserSessions, agents: &AgentPool, list: &List) {
    let (encoded, canonical) = (sessions.encode(agents), sessions.canonical(agents));
    assert_eq!(encoded, list.write(Record::bytes), "what it holds");
    assert_eq!(canonical, list.canonical(), "what it holds without uses");
    assert_eq!(sessions.is_empty(), list.is_empty());
    assert_eq!(sessions.last_deadline(), list.deadline());
    assert_eq!(agents.len(), list.agents(), "user agents in the pool");
    assert_eq!(sessions.agents().count(), list.records.iter().filter(|record| record.agent.is_some()).count());
    assert!(sessions.allocations() >= 1);
    let allocated = sessions.allocated_bytes();
    assert!(allocated <= 1024 + 12 * encoded.len(), "{allocated} bytes for {}", encoded.len());
    assert_reads(sessions, agents, list);
    if !list.is_empty() {
        assert_stored(sessions, agents, &encoded, &canonical);
    }
}

/// Whether it can be stored, loaded, and copied.
fn assert_stored(sessions: &UserSessions, agents: &AgentPool, encoded: &[u8], canonical: &[u8]) {
    let mut pool = AgentPool::new();
    let loaded = UserSessions::decode(encoded, &mut pool).expect("what was encoded decodes");
    assert_eq!(loaded.encode(&pool), encoded);
    assert_eq!(loaded.canonical(&pool), canonical);
    assert_eq!(loaded.last_deadline(), sessions.last_deadline());
    assert_eq!(pool.len(), agents.len());
    if canonical != encoded {
        let again = UserSessions::decode(canonical, &mut AgentPool::new()).expect("the canonical form decodes");
        assert_eq!(again.last_deadline(), sessions.last_deadline());
    }

    let copy = loaded.copy(&mut pool);
    loaded.agents().for_each(|agent| pool.release(agent));
    assert_eq!(copy.encode(&pool), encoded, "a copy outlives what it was made from");
    copy.agents().for_each(|agent| pool.release(agent));
    assert!(pool.is_empty(), "the last value's user agents go with it");
}

fn assert_reads(sessions: &UserSessions, agents: &AgentPool, list: &List) {
    let last = sessions.last_deadline();
    let cutoff = |time| Cutoff::at(time, 0);
    for (now, not_before) in [
        (UnixMillis::ZERO, Cutoff::default()),
        (UnixMillis::saturating_from(last.as_i64() - 1), Cutoff::default()),
        (UnixMillis::MAX, cutoff(last)),
    ] {
        assert_reads_at(sessions, agents, list, &Rules { not_before, ..Rules::default() }.at(now));
        let revoked_before = not_before;
        assert_reads_at(sessions, agents, list, &Rules { revoked_before, ..Rules::default() }.at(now));
    }
}

fn assert_reads_at(sessions: &UserSessions, agents: &AgentPool, list: &List, rules: &Rules) {
    let live: Vec<_> = sessions.live(agents, rules).collect();
    assert_eq!(sessions.count(rules), live.len());
    assert!(
        live.iter().all(|session| rules.now < session.deadline() && session.deadline() <= sessions.last_deadline())
    );
    let mut live = live.iter().peekable();
    for record in &list.records {
        let Record { id, tombstone, .. } = &**record;
        let (found, alive) = (sessions.get(id, agents, rules), sessions.alive(&Presented::id(id.clone()), rules));
        let in_order = live.next_if(|session| session.id == *id);
        assert_eq!(found.as_ref(), in_order, "a session that is found is listed");
        assert_eq!(found.is_some(), alive.is_ok());
        if let Some(tombstone) = tombstone {
            assert_eq!(alive.err(), Some(tombstone.reason.into()));
        }
        if let (Some(session), Ok(alive)) = (found, alive) {
            assert_eq!(alive.deadline, session.deadline());
            assert_token_checks(sessions, list, &session, rules);
            assert_device_check(sessions, &session, rules);
        }
    }
    assert!(live.next().is_none());
    let stranger = SessionId::from_text(b"nobody's id").expect("an id");
    if list.at(&stranger).is_none() {
        assert_eq!(sessions.look_up(&Presented::id(stranger), rules), Err(Reason::Unknown));
    }
}

fn assert_token_checks(sessions: &UserSessions, list: &List, session: &Session<'_, &str>, rules: &Rules) {
    let (id, began) = (&session.id, session.created_at);
    let look_up = |issued| {
        let jwt = Presented { kind: Some(TokenKind::Jwt), issued, ..Presented::id(id.clone()) };
        sessions.look_up(&jwt, rules).map(|standing| matches!(standing, Standing::Alive(_)))
    };
    let revoked = list.revoked_before.map(|revoked| revoked.cutoff).unwrap_or_default();
    let unless = |is_revoked| Err(if is_revoked { Reason::UserRevoked } else { Reason::Unknown });
    assert_eq!(look_up(Issued::ForSessionOf(began)), Ok(true));
    if let Some(other) = began.checked_add(1) {
        let cutoff = rules.not_before.began.max(rules.revoked_before.began).max(revoked.began);
        assert_eq!(look_up(Issued::ForSessionOf(other)), unless(other <= cutoff));
    }
    for iat in [UnixMillis::ZERO, began, rules.now.max(began)] {
        let ends = |cutoff: UnixMillis| cutoff > UnixMillis::ZERO && iat.as_secs() <= cutoff.as_secs();
        let is_ended = ends(rules.not_before.iat.max(rules.revoked_before.iat));
        let expected = match session.accepts_from {
            _ if iat > rules.latest.saturating_add(rules.ahead) => Err(Reason::NotYetValid),
            Some(from) if is_ended || iat < from => unless(is_ended || ends(revoked.iat)),
            _ => Ok(true),
        };
        assert_eq!(look_up(Issued::InSecondOf(iat)), expected);
    }
    let _ = (session.token_expires_at(rules.now, u64::MAX), session.last_seen_at());
}

fn assert_device_check(sessions: &UserSessions, session: &Session<'_, &str>, rules: &Rules) {
    let user = Subject::new(b"42").expect("a user");
    for bytes in [&b"phone"[..], b"laptop"] {
        let check = Check { device: Some(Fingerprint { user, bytes }), ..Check::default() };
        let is_another = session.device.is_some_and(|device| device != Device::of(user, bytes));
        let got = sessions.check(&Presented::id(session.id.clone()), check, rules);
        assert_eq!(got.err(), is_another.then_some(Reason::Device));
    }
}
