//! A user whose sessions are held to the lists, command by command.

use std::collections::HashSet;
use std::net::IpAddr;

use redis_session_core::sessions::{
    AgentPool, ChangeError, Check, CreateError, Data, Decision, Device, Effect, EndReason, Event, EventKind,
    Fingerprint, IdSource, LimitPolicy, NewSession, Origin, Presented, Refreshed, Renewal, Rules, Standing,
    UserSessions, decode_effects, encode_effects,
};
use redis_session_core::token::{Issued, RefreshToken, TokenKind};
use redis_session_core::{Reason, SessionId, Subject, UnixMillis};

use super::ended::Ended;
use super::history::{Ends, History, Known, Worth, fields, lasting, merged};
use super::list::{List, assert_same};

/// A command with all that it brings along, but the rules.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is an argument of the method of `UserSessions` with the same name")]
pub enum Command<'a> {
    /// A login.
    Create { new: NewSession<'a> },
    /// A check.
    LookUp { presented: Presented },
    /// A use, by a device of the user 42.
    Touch { presented: Presented, stateless: bool, device: Option<&'static [u8]>, level: u8, max_age: Option<u64> },
    /// A refresh, with the token that was the present one so many generations ago.
    Refresh { id: SessionId, behind: u32, origin: Origin<'a> },
    /// Another id for a session.
    Regenerate { old: Presented, new: Renewal<'a> },
    /// Fields to set.
    Set { id: SessionId, data: Data<'a>, expected: Option<u64> },
    /// A field to count up.
    Increment { id: SessionId, field: &'static [u8], by: i64 },
    /// Fields to remove.
    Unset { id: SessionId, names: Data<'a> },
    /// The end of some sessions.
    Revoke { presented: Vec<Presented> },
    /// The end of JWTs by their id.
    Deny { id: SessionId, until: UnixMillis },
    /// The end of all sessions but one.
    RevokeAll { except: Option<Presented> },
    /// A whole sweep, in parts of so many records.
    Purge { most: usize },
}

/// One user's sessions as the product has them, a replica that sees nothing but encoded effects, the two lists, and what
/// must stay dead.
#[derive(Default)]
pub struct User {
    sessions: UserSessions,
    agents: AgentPool,
    replica: UserSessions,
    replica_agents: AgentPool,
    list: List,
    history: History,
    ended: Ended,
    used: HashSet<SessionId>,
    latest: UnixMillis,
}

/// What an event must say: what, of which session, which id it had, which one was spared, and from where.
type Told<'a> = (EventKind, Option<&'a SessionId>, Option<&'a SessionId>, Option<&'a SessionId>, From<'a>);

/// An address and a user agent.
type From<'a> = (Option<IpAddr>, Option<&'a str>);

impl User {
    /// The user whose value these bytes are, if they are one.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (mut agents, mut replica_agents) = (AgentPool::new(), AgentPool::new());
        let sessions = UserSessions::decode(bytes, &mut agents).ok()?;
        let replica = UserSessions::decode(bytes, &mut replica_agents).ok()?;
        let (list, history) = (List::of(bytes), History::of(bytes));
        let latest = history.last_change();
        assert_eq!(sessions.last_change_at(), latest);
        Some(Self { sessions, agents, replica, replica_agents, list, history, latest, ..Self::default() })
    }

    /// The latest time that the server has seen: by its clock, and in what it has loaded and decided.
    #[must_use]
    pub fn latest(&self) -> UnixMillis {
        self.latest
    }

    /// When the session with this id began, dead or alive.
    #[must_use]
    pub fn began(&self, id: &SessionId) -> Option<UnixMillis> {
        self.history.find(id).filter(|known| known.tombstone.is_none()).map(|known| known.created)
    }

    /// The moments from which on the session with this id, or one of its tokens, is not good any more, or its tombstone
    /// goes; `grace` is how long a refresh token may be used again.
    #[must_use]
    pub fn moments(&self, id: &SessionId, grace: u64) -> Vec<UnixMillis> {
        self.history.find(id).map_or_else(Vec::new, |known| known.moments(grace))
    }

    /// Whether a session or a tombstone is kept under this id.
    #[must_use]
    pub fn has(&self, id: &SessionId) -> bool {
        self.history.find(id).is_some()
    }

    /// Whether a session or a tombstone has ever been kept under this id.
    #[must_use]
    pub fn knew(&self, id: &SessionId) -> bool {
        self.has(id) || self.used.contains(id)
    }

    /// Runs a command.
    ///
    /// # Panics
    ///
    /// If it answers or leaves anything else than the lists say.
    pub fn run(&mut self, command: Command<'_>, rules: &Rules) {
        assert!(rules.latest >= rules.now && rules.latest >= self.latest, "time runs back");
        self.latest = rules.latest;
        self.used.extend(self.history.known.iter().map(|known| known.id.clone()));
        match command {
            Command::Create { new } => self.create(new, rules),
            Command::LookUp { presented } => self.look_up(&presented, rules),
            Command::Touch { presented, stateless, device, level, max_age } => {
                self.touch(&presented, stateless, device, (level, max_age), rules);
            }
            Command::Refresh { id, behind, origin } => self.refresh(id, behind, origin, rules),
            Command::Regenerate { old, new } => self.regenerate(&old, &new, rules),
            Command::Set { id, data, expected } => self.set(&id, &data, expected, rules),
            Command::Increment { id, field, by } => self.increment(&id, field, by, rules),
            Command::Unset { id, names } => self.unset(&id, &names, rules),
            Command::Revoke { presented } => self.revoke(&presented, rules),
            Command::Deny { id, until } => self.deny(&id, until, rules),
            Command::RevokeAll { except } => self.revoke_all(except.as_ref(), rules),
            Command::Purge { most } => self.purge(most, rules),
        }
        self.assert_promises(rules);
    }

    /// Ends the run.
    ///
    /// # Panics
    ///
    /// If the value is not what the lists say, or cannot be stored.
    pub fn finish(mut self) {
        self.assert_equal();
        let stored = List::of(&self.sessions.encode(&self.agents));
        assert_same(&self.sessions, &self.agents, &stored);
        self.sessions.agents().for_each(|agent| self.agents.release(agent));
        self.replica.agents().for_each(|agent| self.replica_agents.release(agent));
        assert!(self.agents.is_empty() && self.replica_agents.is_empty());
    }

    fn carry_out(&mut self, effects: &[Effect<'_>]) {
        if effects.is_empty() {
            return;
        }
        self.sessions.apply(effects, &mut self.agents);
        self.replicate(effects);
    }

    /// What has been done here already is done elsewhere.
    fn replicate(&mut self, effects: &[Effect<'_>]) {
        let bytes = encode_effects(effects);
        let read = decode_effects(&bytes).expect("effects that were encoded decode");
        assert_eq!(&read[..], effects, "a replica reads what was decided");
        // A login comes after all that it could be taken for.
        let known = self.list.tombstones_dropped_before.map(|dropped| dropped.cutoff.began);
        let soon = known.unwrap_or_default().max(self.latest).saturating_add(1);
        let last = read.iter().filter_map(Effect::time).max().unwrap_or_default();
        assert!(last <= soon, "{last:?} is a time to come");
        self.latest = self.latest.max(last);
        self.replica.apply(&read, &mut self.replica_agents);
        self.list.apply(&read);
        self.assert_equal();
    }

    fn assert_equal(&self) {
        let canonical = self.sessions.canonical(&self.agents);
        assert_eq!(canonical, self.replica.canonical(&self.replica_agents), "a replica holds what its primary does");
        assert_eq!(canonical, self.list.canonical(), "effects do what they say");
        let last = self.sessions.last_deadline();
        assert_eq!((last, self.replica.last_deadline()), (self.list.deadline(), self.list.deadline()));
        assert_eq!(self.sessions.is_empty(), self.list.is_empty());
        assert_eq!((self.agents.len(), self.replica_agents.len()), (self.list.agents(), self.list.agents()));
    }

    /// Whether the events say what the effects do to what is known, of which the command has `ends`.
    fn assert_told<T>(&self, decision: &Decision<'_, T>, ends: &Ends, rules: &Rules) {
        let mut told = Vec::new();
        let from = |known: &'_ Known| (known.ip, known.agent.clone());
        let bare = |kind, id: &SessionId| (kind, Some(id.clone()), None, None, (None, None));
        let died = |known: &Known| {
            let reason: Reason = known.died_of(rules)?.into();
            Some((EventKind::Ended(reason), Some(known.id.clone()), None, None, from(known)))
        };
        let replaced = decision.effects.iter().find_map(|effect| match effect {
            Effect::Replace { old, .. } => Some(old),
            _ => None,
        });
        for effect in &decision.effects {
            match effect {
                Effect::Put(session) | Effect::Replace { session, .. } => {
                    let goes_on = self.history.find(&session.id).is_some_and(|known| known.is_live(rules));
                    let (kind, old) = match effect {
                        Effect::Replace { old, .. } => (EventKind::Regenerated, Some(old.clone())),
                        _ if goes_on => (EventKind::Refreshed, None),
                        _ => (EventKind::Created, None),
                    };
                    let from = (session.ip, session.agent.as_deref().map(str::to_owned));
                    told.push((kind, Some(session.id.clone()), old, None, from));
                }
                // The old id of a session that goes on under another.
                Effect::End(_) | Effect::Forget(_) if effect_id(effect) == replaced => {}
                Effect::End(_) | Effect::Forget(_) => {
                    let id = effect_id(effect).expect("an id");
                    let reason = ends.iter().find(|(ended, _)| ended == id).map(|(_, reason)| (*reason).into());
                    match (self.history.find(id), reason) {
                        // A JWT that has no session here, denied.
                        (None, Some(reason)) => told.push(bare(EventKind::Ended(reason), id)),
                        (Some(known), Some(reason)) if known.tombstone.is_none() => {
                            told.push(died(known).unwrap_or((
                                EventKind::Ended(reason),
                                Some(id.clone()),
                                None,
                                None,
                                from(known),
                            )));
                        }
                        (Some(known), None) => told.extend(died(known)),
                        _ => {}
                    }
                }
                Effect::Clear { except } => {
                    let others = || self.history.known.iter().filter(|known| Some(&known.id) != except.as_ref());
                    // Those that had died of time, and nothing had noticed yet.
                    told.extend(others().filter_map(died));
                    let live = others().filter(|known| known.is_live(rules)).count();
                    told.push((EventKind::AllEnded(live), None, None, except.clone(), (None, None)));
                }
                Effect::ClearOldest { .. } => panic!("no user of the oracle has so many sessions"),
                Effect::Seen { id, .. } => told.push(bare(EventKind::Touched, id)),
                Effect::Set { id, .. } => told.push(bare(EventKind::Set, id)),
                Effect::Unset { id, .. } => told.push(bare(EventKind::Unset, id)),
                Effect::RevokedBefore(_) | Effect::TombstonesDroppedBefore(_) => {}
            }
        }
        let told: Vec<Told<'_>> = told
            .iter()
            .map(|(kind, id, old, except, (ip, agent))| {
                (*kind, id.as_ref(), old.as_ref(), except.as_ref(), (*ip, agent.as_deref()))
            })
            .collect();
        let events: Vec<_> = decision.events.iter().map(|event| self.told(event)).collect();
        assert_eq!(events, told, "events tell what {:?} do", decision.effects);
    }

    fn told<'a>(&'a self, event: &'a Event<'_>) -> Told<'a> {
        let agent = event.agent.as_ref().map(|agent| agent.text(&self.agents).expect("a user agent in the pool"));
        (event.kind, event.id.as_ref(), event.old_id.as_ref(), event.except.as_ref(), (event.ip, agent))
    }

    /// Carries out a decision that is to leave what the history says.
    fn commit<T>(&mut self, decision: &Decision<'_, T>, ends: &Ends, after: History, rules: &Rules) {
        self.assert_told(decision, ends, rules);
        let lasting = lasting(rules);
        for (id, reason) in ends {
            if let Some(known) = self.history.find(id).filter(|known| known.is_live(&lasting)) {
                assert!(!matches!(reason, EndReason::Expired | EndReason::Idle));
                self.ended.end(known, rules);
            }
        }
        self.history = after;
        self.carry_out(&decision.effects);
    }

    /// Whether all that can be asked is answered as the commands so far have promised.
    fn assert_promises(&self, rules: &Rules) {
        assert!(self.history.is(&self.list), "what is kept");
        let is_session = |known: &&Known| known.tombstone.is_none();
        let last = self.history.last_change();
        assert_eq!(self.sessions.last_change_at(), last);
        assert!(last <= self.latest, "an effect says when it happened");
        assert_eq!(self.sessions.stored(), self.history.known.iter().filter(is_session).count());
        assert_eq!(self.sessions.count(rules), self.history.live(rules).count());
        let mut live = self.sessions.live(&self.agents, rules);
        for known in self.history.live(rules) {
            let session = live.next().expect("every live session is listed");
            assert_eq!(session.id, known.id, "in the order in which they began");
            assert_eq!(session.last_seen_at(), known.seen);
            assert_eq!((session.created_at, session.expires_at), (known.created, known.expires));
            assert_eq!((session.token_until, session.refresh), (known.token_until, known.refresh));
            assert_eq!((session.ip, session.agent), (known.ip, known.agent.as_deref()));
            assert_eq!((session.device, session.accepts_from), (known.device, known.accepts_from));
            assert_eq!(fields(&session.data), known.data);
            assert_eq!((session.version, session.level), (known.version, known.level));
            assert_eq!(
                (session.auth_time(), &*session.claims),
                (known.signed_in_again.unwrap_or(known.created), &*known.claims)
            );
        }
        assert!(live.next().is_none(), "no dead session is listed");
        for known in &self.history.known {
            let presented = Presented::id(known.id.clone());
            let alive = self.sessions.alive(&presented, rules).map(|alive| alive.deadline);
            assert_eq!(alive, known.status(rules), "{}", known.id);
            assert_eq!(self.sessions.get(&known.id, &self.agents, rules).is_some(), known.is_live(rules));
            // The last that it ends, and the first that comes later.
            let ended = known.death(rules).map_or(known.last_issued(), |(_, ended)| ended.iat);
            let iats = [known.last_issued().as_secs(), ended.as_secs(), ended.as_secs() + 1].map(UnixMillis::from_secs);
            let iats = iats.into_iter().flatten().map(Issued::InSecondOf);
            for issued in iats.chain([Issued::ForSessionOf(known.created)]) {
                for expires_at in [Some(known.token_until), Some(rules.now.saturating_add(5000))] {
                    let kind = Some(TokenKind::Jwt);
                    self.assert_stands(&Presented { kind, issued, expires_at, ..presented.clone() }, rules);
                }
            }
        }
        self.ended.assert_stays_dead(&self.sessions, &self.history.known, rules);
    }

    /// Whether a credential stands where the history says.
    fn assert_stands(&self, presented: &Presented, rules: &Rules) {
        let expected = self.history.look_up(presented, rules);
        let got = self.sessions.look_up(presented, rules).map(deadline);
        assert_eq!(got, expected, "{presented:?}");
        let alive = self.sessions.alive(presented, rules).map(|alive| alive.deadline);
        assert_eq!(alive, expected.and_then(|deadline| deadline.ok_or(Reason::Unknown)));
    }

    fn look_up(&mut self, presented: &Presented, rules: &Rules) {
        self.ended.present(presented);
        self.assert_stands(presented, rules);
    }

    fn create(&mut self, new: NewSession<'_>, rules: &Rules) {
        if let IdSource::Token(issued) = new.source {
            let expires_at = Some(new.expires_at);
            let token = Presented { kind: Some(TokenKind::Jwt), issued, expires_at, ..Presented::id(new.id.clone()) };
            self.look_up(&token, rules);
        }
        let known = self.history.begin(&new, rules);
        let live: Vec<_> = self.history.live(rules).cloned().collect();
        let most = usize::try_from(rules.sessions.max(1)).expect("not that many");
        let excess = (live.len() + 1).saturating_sub(most);
        let id = new.id.clone();
        let got = self.sessions.create(new, rules);
        let known = match known {
            Ok(_) if excess > 0 && rules.policy == LimitPolicy::Reject => {
                assert_eq!(got.err(), Some(CreateError::Limit));
                return;
            }
            Ok(known) => known,
            Err(error) => {
                assert_eq!(got.err(), Some(error));
                return;
            }
        };
        let creation = got.expect("a login");
        let evicted: Vec<_> = live[..excess].iter().map(|known| known.id.clone()).collect();
        assert_eq!(creation.value.evicted, evicted, "the oldest make room");
        assert_eq!(creation.value.new_ip, known.ip.is_some() && live.iter().all(|live| live.ip != known.ip));
        let is_new_device = known.device.is_some() && live.iter().all(|live| live.device != known.device);
        assert_eq!(creation.value.new_device, is_new_device);
        let ends: Ends = evicted.into_iter().map(|id| (id, EndReason::Evicted)).collect();
        let mut after = self.history.clone();
        after.forget(&id);
        ends.iter().for_each(|(id, reason)| after.end(id, *reason, rules));
        let mut tidied = after.clone();
        tidied.tidy(&ends, |known| !known.is_live(rules), rules);
        [&mut after, &mut tidied].into_iter().for_each(|history| history.known.push(known.clone()));
        // Where there is room for certain, the dead may wait for the next login, or for a sweep.
        let effects = encode_effects(&creation.effects);
        let mut list = self.list.clone();
        list.apply(&decode_effects(&effects).expect("effects"));
        let waits = excess == 0 && after.is(&list);
        self.commit(&creation, &ends, if waits { after } else { tidied }, rules);
        assert!(self.sessions.count(rules) <= most, "the cap is kept");
    }

    fn touch(
        &mut self,
        presented: &Presented,
        stateless: bool,
        device: Option<&[u8]>,
        (level, max_age): (u8, Option<u64>),
        rules: &Rules,
    ) {
        self.ended.present(presented);
        let user = Subject::new(b"42").expect("a user");
        let fingerprint = device.map(|bytes| Fingerprint { user, bytes });
        let expected = self.history.look_up(presented, rules).and_then(|deadline| match deadline {
            None if !stateless || presented.kind != Some(TokenKind::Jwt) => Err(Reason::Unknown),
            None => Ok(None),
            Some(deadline) => {
                let bound = self.history.find(&presented.id).expect("it is alive").device;
                let is_another = |bytes| bound.is_some_and(|bound| bound != Device::of(user, bytes));
                if device.is_some_and(is_another) { Err(Reason::Device) } else { Ok(Some(deadline)) }
            }
        });
        let expected = expected.and_then(|deadline| {
            let known = self.history.find(&presented.id).filter(|_| deadline.is_some());
            let signed_in = known.map(|known| known.signed_in_again.unwrap_or(known.created));
            let is_recent = |max| signed_in.is_some_and(|time| time.saturating_add(max) >= rules.latest);
            match known.map_or(0, |known| known.level) {
                known if known < level => Err(Reason::Level),
                _ if max_age.is_some_and(|max| !is_recent(max)) => Err(Reason::Stale),
                _ => Ok(deadline),
            }
        });
        let check = Check { stateless, device: fingerprint, level, max_age };
        assert_eq!(self.sessions.check(presented, check, rules).map(deadline), expected);
        let got = self.sessions.touch(presented, check, rules);
        if let Ok(touch) = &got {
            self.assert_told(touch, &Ends::new(), rules);
        }
        if let Ok(Some(_)) = expected {
            let known = self.history.find_mut(&presented.id).expect("it is alive");
            known.seen = known.seen.max(rules.now);
        }
        assert_eq!(got.as_ref().err(), expected.as_ref().err());
        if let Ok(touch) = got {
            let after = expected.map(|_| self.history.look_up(presented, rules).expect("it was good before"));
            assert_eq!(Ok(deadline(touch.value)), after);
            self.replicate(&touch.effects);
        }
    }

    fn refresh(&mut self, id: SessionId, behind: u32, origin: Origin<'_>, rules: &Rules) {
        let known = self.history.find(&id);
        let generation = known.and_then(|known| known.refresh).map_or(0, |refresh| refresh.generation);
        let generation = generation.wrapping_sub(behind);
        let session_began_at = self.began(&id).unwrap_or_default();
        let issued = Issued::ForSessionOf(session_began_at);
        let presented = Presented { kind: Some(TokenKind::Refresh), issued, ..Presented::id(id.clone()) };
        let worth = match self.history.look_up(&presented, rules) {
            Ok(_) => known.expect("it is alive").worth(generation, origin, rules),
            Err(reason) => Worth::Refused(reason),
        };
        let token = RefreshToken { id: id.clone(), generation, session_began_at };
        let got = self.sessions.refresh(&token, origin, &self.agents, rules);
        let decision = match (&worth, got) {
            (Worth::Refused(reason), got) => {
                assert_eq!(got.map(drop), Err(*reason));
                return;
            }
            (_, Ok(decision)) => decision,
            (worth, Err(reason)) => panic!("{reason} for what is worth {worth:?}"),
        };
        match (worth, &decision.value) {
            (Worth::Repeated, Refreshed::Granted(grant)) => {
                assert!(decision.effects.is_empty(), "the loser of a race changes nothing");
                let known = known.expect("it is alive");
                assert_eq!(grant.session.refresh, known.refresh, "and gets the winner's tokens");
                assert_eq!(Some(grant.issued_at), known.refresh.map(|refresh| refresh.rotated_at));
                let told = (EventKind::Refreshed, Some(&id), None, None, (known.ip, known.agent.as_deref()));
                assert_eq!(decision.events.iter().map(|event| self.told(event)).collect::<Vec<_>>(), [told]);
            }
            (Worth::New, Refreshed::Granted(grant)) => {
                let mut after = self.history.clone();
                let known = after.find_mut(&id).expect("it is alive");
                assert_eq!(grant.new_ip, origin.ip.is_some_and(|ip| known.ip != Some(ip)));
                known.rotate(generation, origin, rules);
                assert_eq!((grant.session.refresh, grant.issued_at), (known.refresh, rules.now));
                self.commit(&decision, &Ends::new(), after, rules);
            }
            (Worth::Reused, Refreshed::Reused) => {
                let (mut after, ends) = (self.history.clone(), vec![(id.clone(), EndReason::Reused)]);
                after.end(&id, EndReason::Reused, rules);
                after.tidy(&ends, |known| !known.is_live(rules), rules);
                self.commit(&decision, &ends, after, rules);
            }
            (worth, got) => panic!("{got:?} for what is worth {worth:?}"),
        }
    }

    fn regenerate(&mut self, old: &Presented, new: &Renewal<'_>, rules: &Rules) {
        self.ended.present(old);
        let expected = match old.issued {
            Issued::InSecondOf(_) => Err(Reason::Type),
            _ => self.history.look_up(old, rules).and_then(|deadline| deadline.ok_or(Reason::Unknown)),
        };
        let got = self.sessions.regenerate(old, new.clone(), &self.agents, rules);
        assert_eq!(got.as_ref().err(), expected.as_ref().err());
        if let Ok(grant) = got {
            let (mut after, ends) = (self.history.clone(), vec![(old.id.clone(), EndReason::Revoked)]);
            after.regenerate(&old.id, new, rules);
            after.tidy(&ends, |known| !known.is_live(rules), rules);
            self.commit(&grant, &ends, after, rules);
        }
    }

    /// A live session whose fields can be changed.
    fn changeable(&self, id: &SessionId, rules: &Rules) -> Result<&Known, ChangeError> {
        let known = self.history.find(id).ok_or(ChangeError::Dead(Reason::Unknown))?;
        known.status(rules).map_err(ChangeError::Dead)?;
        Ok(known)
    }

    /// Carries out a decision to set fields, if that is what it must be.
    fn set_as<T: PartialEq + std::fmt::Debug>(
        &mut self,
        id: &SessionId,
        got: Result<Decision<'_, T>, ChangeError>,
        expected: Result<(T, Data<'_>), ChangeError>,
        rules: &Rules,
    ) {
        let expected = expected.and_then(|(value, data)| {
            let fields = merged(&self.changeable(id, rules)?.data, &data);
            if fields.len() > rules.data.fields {
                return Err(ChangeError::TooMany(fields.len()));
            }
            match fields.iter().map(|(name, value)| name.len() + value.len()).sum() {
                size if size > rules.data.bytes => Err(ChangeError::TooLarge(size)),
                _ => Ok((value, data)),
            }
        });
        match (got, expected) {
            (Ok(decision), Ok((value, data))) => {
                assert_eq!(decision.value, value);
                let mut after = self.history.clone();
                after.find_mut(id).expect("it is alive").set(&data);
                self.commit(&decision, &Ends::new(), after, rules);
            }
            (got, expected) => assert_eq!(got.map(drop), expected.map(drop)),
        }
    }

    fn set(&mut self, id: &SessionId, data: &Data<'_>, version: Option<u64>, rules: &Rules) {
        let expected = self.changeable(id, rules).and_then(|known| match version {
            Some(version) if version != known.version => Err(ChangeError::Conflict(known.version)),
            _ => Ok(((), data.clone())),
        });
        let got = self.sessions.set(id, data.clone(), version, rules);
        self.set_as(id, got, expected, rules);
    }

    fn increment(&mut self, id: &SessionId, field: &[u8], by: i64, rules: &Rules) {
        let expected = self.changeable(id, rules).and_then(|known| {
            let known = known.data.iter().find(|(name, _)| name == field);
            let text = known.map_or("0", |(_, value)| std::str::from_utf8(value).unwrap_or("no text"));
            let number = text.parse::<i64>().ok().filter(|_| !text.starts_with(['+', '0']) && !text.starts_with("-0"));
            let number = if text == "0" { Some(0) } else { number };
            let sum = i128::from(number.ok_or(ChangeError::NoNumber)?) + i128::from(by);
            let sum = i64::try_from(sum).map_err(|_| ChangeError::Overflow)?;
            Ok((sum, Data::pack([(field, sum.to_string().as_bytes())]).expect("a field")))
        });
        let got = self.sessions.increment(id, field, by, rules);
        self.set_as(id, got, expected, rules);
    }

    fn unset(&mut self, id: &SessionId, names: &Data<'_>, rules: &Rules) {
        let expected = self.changeable(id, rules).map(|known| known.data.len());
        let got = self.sessions.unset(id, names.clone(), rules);
        assert_eq!(got.as_ref().err(), expected.as_ref().err());
        if let (Ok(decision), Ok(before)) = (got, expected) {
            let mut after = self.history.clone();
            let known = after.find_mut(id).expect("it is alive");
            known.data.retain(|(name, _)| names.iter().all(|(gone, _)| gone != name));
            assert_eq!(decision.value, before - known.data.len());
            known.version += u64::from(decision.value > 0);
            self.commit(&decision, &Ends::new(), after, rules);
        }
    }

    fn revoke(&mut self, presented: &[Presented], rules: &Rules) {
        let revocation = self.sessions.revoke(presented, rules);
        let mut after = self.history.clone();
        let (revoked, ends) = after.revoke(presented, rules);
        assert_eq!(revocation.value, revoked);
        if !ends.is_empty() {
            after.tidy(&ends, |known| !known.is_live(rules), rules);
        }
        let lasting = lasting(rules);
        for presented in presented {
            self.ended.present(presented);
            // This ends good credentials, and those that are dead for now. But a live session may be of another JWT.
            let is_live = self.history.find(&presented.id).is_some_and(|known| known.is_live(&lasting));
            let expires = presented.expires_at.filter(|_| presented.kind == Some(TokenKind::Jwt));
            match (self.history.look_up(presented, &lasting), expires) {
                (Ok(_), Some(expires)) => self.ended.end_good(presented, expires, rules),
                (Err(_), Some(_)) if !is_live => self.ended.end_alone(presented, rules),
                _ => {}
            }
        }
        self.commit(&revocation, &ends, after, rules);
    }

    fn deny(&mut self, id: &SessionId, until: UnixMillis, rules: &Rules) {
        let denial = self.sessions.deny(id.clone(), until, rules);
        let mut after = self.history.clone();
        let ends = after.deny(id, until, rules);
        assert_eq!(denial.value, !ends.is_empty());
        if !ends.is_empty() {
            after.tidy(&ends, |known| !known.is_live(rules), rules);
        }
        self.ended.deny(id, until, rules);
        self.commit(&denial, &ends, after, rules);
    }

    fn revoke_all(&mut self, except: Option<&Presented>, rules: &Rules) {
        except.into_iter().for_each(|except| self.ended.present(except));
        let spared = except.filter(|except| matches!(self.history.look_up(except, rules), Ok(Some(_))));
        let spared = spared.map(|spared| &spared.id);
        let revocation = self.sessions.revoke_all(except, rules);
        assert_eq!(revocation.value, self.history.live(rules).count() - usize::from(spared.is_some()));
        let mut after = self.history.clone();
        after.revoke_all(spared, rules);
        let sessions = self.history.known.iter().filter(|known| known.tombstone.is_none());
        self.ended.end_all(sessions, spared, rules);
        self.commit(&revocation, &Ends::new(), after, rules);
        assert_eq!(self.sessions.count(rules), usize::from(spared.is_some()));
    }

    fn purge(&mut self, most: usize, rules: &Rules) {
        let mut from = Some(0);
        let mut after = self.history.clone();
        after.sweep(rules);
        while let Some(at) = from {
            let purge = self.sessions.purge(at, most, rules);
            self.assert_told(&purge, &Ends::new(), rules);
            from = purge.value;
            self.carry_out(&purge.effects);
        }
        self.history = after;
        assert!(self.history.known.iter().all(|known| !known.is_spent(rules)), "what is spent is freed");
        let last = self.list.deadline().saturating_add(rules.leeway);
        assert!(self.list.is_empty() || self.list.is_closed() || last > rules.now, "and what is not is of use");
    }
}

fn deadline(standing: Standing) -> Option<UnixMillis> {
    match standing {
        Standing::Alive(alive) => Some(alive.deadline),
        Standing::Absent => None,
    }
}

fn effect_id<'a>(effect: &'a Effect<'_>) -> Option<&'a SessionId> {
    match effect {
        Effect::End(tombstone) => Some(&tombstone.id),
        Effect::Forget(id) => Some(id),
        _ => None,
    }
}
