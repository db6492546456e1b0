//! A user whose sessions are held to the two lists, command by command.

use redis_session_core::sessions::{
    AgentPool, ChangeError, Clock, CreateError, Data, Effect, Limit, LimitPolicy, NewSession, Origin, Presented,
    Refreshed, TokenRules, UserSessions, decode_effects, encode_effects,
};
use redis_session_core::token::{Issued, RefreshToken};
use redis_session_core::{Reason, SessionId, UnixMillis};

use super::history::{Covered, History, Known, Worth, fields, merged};
use super::list::{List, assert_same};

/// A command with all that it brings along, but the clock.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is an argument of the method of `UserSessions` with the same name")]
pub enum Command<'a> {
    /// A login.
    Create { new: NewSession<'a>, rules: TokenRules, limit: Limit },
    /// A use.
    Touch { id: SessionId, granularity: u64 },
    /// A refresh, with the token that was the present one so many generations ago.
    Refresh { id: SessionId, behind: u32, origin: Origin<'a>, rules: TokenRules, limit: Limit },
    /// Another id for a session.
    Regenerate { old: Presented, new: SessionId, rules: TokenRules, limit: Limit },
    /// Fields to set.
    Set { id: SessionId, data: Data<'a>, limit: DataLimit },
    /// Fields to remove.
    Unset { id: SessionId, names: Data<'a> },
    /// The end of some sessions.
    Revoke { targets: Vec<Presented>, limit: Limit },
    /// The end of all sessions but one.
    RevokeAll { except: Option<SessionId>, horizon: u64, limit: Limit },
    /// A whole sweep, in parts of so many records.
    Purge { most: usize },
}

/// One user's sessions as the product has them, a replica that sees nothing but encoded effects, and the two lists.
#[derive(Default)]
pub struct User {
    sessions: UserSessions,
    agents: AgentPool,
    replica: UserSessions,
    replica_agents: AgentPool,
    list: List,
    history: History,
}

impl User {
    /// The user whose value these bytes are, if they are one.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (mut agents, mut replica_agents) = (AgentPool::new(), AgentPool::new());
        let sessions = UserSessions::decode(bytes, &mut agents).ok()?;
        let replica = UserSessions::decode(bytes, &mut replica_agents).ok()?;
        let (list, history) = (List::of(bytes), History::of(bytes));
        Some(Self { sessions, agents, replica, replica_agents, list, history })
    }

    /// When the session with this id began, dead or alive.
    #[must_use]
    pub fn began(&self, id: &SessionId) -> Option<UnixMillis> {
        self.history.find(id).filter(|known| known.ended.is_none()).map(|known| known.created)
    }

    /// When the present tokens of the session with this id were issued, dead or alive.
    #[must_use]
    pub fn issued(&self, id: &SessionId) -> Option<UnixMillis> {
        self.history.find(id).map(|known| known.issued)
    }

    /// The moments from which on the session with this id, or one of its tokens, is not good any more; `grace` is how
    /// long a refresh token may be used again.
    #[must_use]
    pub fn moments(&self, id: &SessionId, grace: u64) -> Vec<UnixMillis> {
        self.history.find(id).map_or_else(Vec::new, |known| known.moments(grace))
    }

    /// Whether a session or a trace is kept under this id.
    #[must_use]
    pub fn has(&self, id: &SessionId) -> bool {
        self.history.find(id).is_some()
    }

    /// Runs a command.
    ///
    /// # Panics
    ///
    /// If it answers or leaves anything else than the lists say.
    pub fn run(&mut self, command: Command<'_>, clock: Clock) {
        self.history.begin(clock);
        match command {
            Command::Create { new, rules, limit } => self.create(new, rules, limit, clock),
            Command::Touch { id, granularity } => self.touch(&id, granularity, clock),
            Command::Refresh { id, behind, origin, rules, limit } => {
                self.refresh(id, behind, origin, rules, limit, clock);
            }
            Command::Regenerate { old, new, rules, limit } => self.regenerate(&old, &new, rules, limit, clock),
            Command::Set { id, data, limit } => self.set(&id, &data, limit, clock),
            Command::Unset { id, names } => self.unset(&id, &names, clock),
            Command::Revoke { targets, limit } => self.revoke(&targets, limit, clock),
            Command::RevokeAll { except, horizon, limit } => self.revoke_all(except.as_ref(), horizon, limit, clock),
            Command::Purge { most } => self.purge(most, clock),
        }
        self.assert_promises(clock);
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
        let bytes = encode_effects(effects);
        let read = decode_effects(&bytes).expect("effects that were encoded decode");
        assert_eq!(&read[..], effects, "a replica reads what was decided");
        self.sessions.apply(effects, &mut self.agents);
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

    /// Notes what a command has forgotten, and whether it was allowed to: only what is spent, and the oldest of the
    /// dead where these and the `buried` ones are more than `limit` has tombstones.
    fn note_forgotten(&mut self, dead: usize, buried: usize, limit: Option<Limit>, clock: Clock) {
        let may_forget = limit.is_some_and(|limit| dead + buried > limit.tombstones);
        for known in self.history.known.iter_mut().filter(|known| !known.is_gone) {
            if self.list.at(&known.id).is_some() {
                continue;
            }
            known.is_gone = true;
            if known.is_spent {
                continue;
            }
            assert!(may_forget && known.status(clock).is_err(), "{} is forgotten too early", known.id);
            known.covered = (known.issued <= clock.now).then_some(Covered::ByForgotten);
        }
        if let Some(limit) = limit.filter(|_| buried > 0) {
            let (tombstones, most) = (self.list.tombstones(), limit.tombstones.max(1));
            assert!(tombstones <= most, "{tombstones} tombstones, and the limit is {most}");
        }
    }

    /// Whether all that can be asked is answered as the commands so far have promised.
    fn assert_promises(&self, clock: Clock) {
        let is_stored = |known: &&Known| !known.is_gone && known.ended.is_none();
        assert_eq!(self.sessions.stored(), self.history.known.iter().filter(is_stored).count());
        assert_eq!(self.sessions.count(clock), self.history.live(clock).count());
        let mut live = self.sessions.live(&self.agents, clock);
        for known in self.history.live(clock) {
            let session = live.next().expect("every live session is listed");
            assert_eq!(session.id, known.id, "in the order in which they began");
            assert_eq!(session.last_seen_at(), known.seen);
            assert_eq!((session.created_at, session.expires_at), (known.created, known.expires));
            assert_eq!((session.token_until, session.refresh), (known.token_until, known.refresh));
            assert_eq!((session.ip, session.agent), (known.ip, known.agent.as_deref()));
            assert_eq!(session.device, known.device);
            assert_eq!(fields(&session.data), known.data);
        }
        assert!(live.next().is_none(), "no dead session is listed");
        for known in &self.history.known {
            let issued = known.issued.max(known.created);
            let answer = self.sessions.check(&known.id, Issued::InSecondOf(issued), clock).map(|alive| alive.deadline);
            if !known.is_gone {
                assert_eq!(answer, known.status(clock), "{}", known.id);
                assert_eq!(self.sessions.get(&known.id, &self.agents, clock).is_some(), known.is_live(clock));
                continue;
            }
            match self.history.covered(known) {
                Some(Covered::ByEpoch) => assert_eq!(answer, Err(Reason::UserRevoked), "{}", known.id),
                Some(Covered::ByForgotten) => {
                    let is_marked = self.sessions.may_have_forgotten(Issued::InSecondOf(issued));
                    let is_dead = answer == Err(Reason::UserRevoked) || is_marked && answer == Err(Reason::Unknown);
                    assert!(is_dead, "{} was forgotten early, and is taken for good", known.id);
                }
                None => {
                    let is_dead = matches!(answer, Err(Reason::Unknown | Reason::UserRevoked));
                    assert!(is_dead, "{}: {answer:?}", known.id);
                }
            }
        }
    }

    /// What a check of this id must answer to a credential that tells of its time what `issued` says.
    fn expected(&self, id: &SessionId, issued: Issued, clock: Clock) -> Result<UnixMillis, Reason> {
        let seconds = UnixMillis::as_secs;
        let Some(known) = self.history.find(id) else {
            let is_old = match issued {
                Issued::Unsaid => false,
                Issued::InSecondOf(time) => {
                    let epoch = self.list.epoch.is_some_and(|epoch| seconds(time) <= seconds(epoch.at));
                    epoch || time < clock.not_before
                }
                Issued::ForSessionOf(time) => {
                    self.list.epoch.is_some_and(|epoch| time <= epoch.at) || time < clock.not_before
                }
            };
            return Err(if is_old { Reason::UserRevoked } else { Reason::Unknown });
        };
        let deadline = known.status(clock)?;
        // A token of an earlier second may be of an earlier session with this id.
        match issued {
            Issued::ForSessionOf(time) if time != known.created => Err(Reason::Unknown),
            Issued::InSecondOf(time) if seconds(time) < seconds(known.created) => {
                let is_covered = |at: UnixMillis| known.created > at && seconds(time) <= seconds(at);
                if time < clock.not_before || self.list.epoch.is_some_and(|epoch| is_covered(epoch.at)) {
                    Err(Reason::UserRevoked)
                } else if self.list.forgotten.is_some_and(|forgotten| is_covered(forgotten.at)) {
                    Err(Reason::Unknown)
                } else {
                    Ok(deadline)
                }
            }
            _ => Ok(deadline),
        }
    }

    fn create(&mut self, new: NewSession<'_>, rules: TokenRules, limit: Limit, clock: Clock) {
        let known = Known::new(&new, rules, clock.now);
        let is_taken = self.history.find(&new.id).is_some_and(|known| !known.is_spent);
        let live: Vec<_> = self.history.live(clock).cloned().collect();
        let most = usize::try_from(limit.sessions.max(1)).expect("not that many");
        let excess = (live.len() + 1).saturating_sub(most);
        let got = self.sessions.create(new, rules, limit, clock);
        if is_taken {
            assert_eq!(got.err(), Some(CreateError::Exists), "an id is taken while tokens of it are around");
            return;
        }
        if excess > 0 && limit.policy == LimitPolicy::Reject {
            assert_eq!(got.err(), Some(CreateError::Limit));
            return;
        }
        let creation = got.expect("a login");
        let evicted: Vec<_> = live[..excess].iter().map(|known| known.id.clone()).collect();
        assert_eq!(creation.evicted, evicted, "the oldest make room");
        assert_eq!(creation.new_ip, known.ip.is_some() && live.iter().all(|live| live.ip != known.ip));
        let is_new_device = known.device.is_some() && live.iter().all(|live| live.device != known.device);
        assert_eq!(creation.new_device, is_new_device);
        let dead = self.history.dead(clock);
        evicted.iter().for_each(|id| self.history.end(id, Reason::Evicted));
        self.history.create(known);
        self.carry_out(&creation.effects);
        self.note_forgotten(dead, excess, Some(limit), clock);
        assert!(self.sessions.count(clock) <= most, "the cap is kept");
    }

    fn touch(&mut self, id: &SessionId, granularity: u64, clock: Clock) {
        let effect = self.sessions.touch(id, granularity, clock);
        let known = self.history.find_mut(id).filter(|known| known.status(clock).is_ok() && known.seen < clock.now);
        assert!(known.is_some() || effect.is_none(), "a use brings nothing to life");
        if let Some(known) = known {
            known.seen = clock.now;
        }
        if let Some(effect) = effect {
            let bytes = encode_effects(&[effect]);
            let read = decode_effects(&bytes).expect("effects");
            self.replica.apply(&read, &mut self.replica_agents);
            self.list.apply(&read);
        }
        self.assert_equal();
    }

    fn refresh(
        &mut self,
        id: SessionId,
        behind: u32,
        origin: Origin<'_>,
        rules: TokenRules,
        limit: Limit,
        clock: Clock,
    ) {
        let known = self.history.find(&id);
        let generation = known.and_then(|known| known.refresh).map_or(0, |refresh| refresh.generation);
        let generation = generation.wrapping_sub(behind);
        let session_began_at = self.began(&id).unwrap_or_default();
        let worth = match self.expected(&id, Issued::ForSessionOf(session_began_at), clock) {
            Ok(_) => known.expect("it is alive").worth(generation, origin, rules, clock.now),
            Err(reason) => Worth::Refused(reason),
        };
        let token = RefreshToken { id: id.clone(), generation, session_began_at };
        let got = self.sessions.refresh(&token, origin, rules, &self.agents, limit, clock);
        match (worth, got) {
            (Worth::Refused(reason), Refreshed::Refused(got)) => assert_eq!(got, reason),
            (Worth::Repeated, Refreshed::Granted(grant)) => {
                assert!(grant.effects.is_empty(), "the loser of a race changes nothing");
                let refresh = known.and_then(|known| known.refresh);
                assert_eq!(grant.session.refresh, refresh, "and gets the winner's tokens");
                assert_eq!(Some(grant.issued_at), refresh.map(|refresh| refresh.rotated_at));
            }
            (Worth::New, Refreshed::Granted(grant)) => {
                let known = self.history.find_mut(&id).expect("it is alive");
                assert_eq!(grant.new_ip, origin.ip.is_some_and(|ip| known.ip != Some(ip)));
                known.rotate(generation, origin, rules, clock.now);
                assert_eq!((grant.session.refresh, grant.issued_at), (known.refresh, clock.now));
                let effects = grant.effects;
                self.carry_out(&effects);
                self.note_forgotten(0, 0, None, clock);
            }
            (Worth::Reused, Refreshed::Reused { effects }) => {
                let dead = self.history.dead(clock);
                self.history.end(&id, Reason::Reused);
                self.carry_out(&effects);
                self.note_forgotten(dead, 1, Some(limit), clock);
            }
            (worth, got) => panic!("{got:?} for what is worth {worth:?}"),
        }
    }

    fn regenerate(&mut self, old: &Presented, new: &SessionId, rules: TokenRules, limit: Limit, clock: Clock) {
        let expected = self.expected(&old.id, old.issued, clock);
        let got = self.sessions.regenerate(old, new.clone(), rules, &self.agents, limit, clock);
        assert_eq!(got.as_ref().err(), expected.as_ref().err());
        if let Ok(grant) = got {
            let dead = self.history.dead(clock);
            self.history.regenerate(&old.id, new.clone(), rules, clock.now);
            self.carry_out(&grant.effects);
            self.note_forgotten(dead, 1, Some(limit), clock);
        }
    }

    fn set(&mut self, id: &SessionId, data: &Data<'_>, limit: DataLimit, clock: Clock) {
        let expected = self.expected(id, Issued::Unsaid, clock).map_err(ChangeError::Dead).and_then(|_| {
            let fields = merged(&self.history.find(id).expect("it is alive").data, data);
            match fields.iter().map(|(name, value)| name.len() + value.len()).sum() {
                _ if fields.len() > limit.fields => Err(ChangeError::TooMany(fields.len())),
                size if size > limit.bytes => Err(ChangeError::TooLarge(size)),
                _ => Ok(()),
            }
        });
        let got = self.sessions.set(id, data.clone(), limit, clock);
        assert_eq!(got.as_ref().err(), expected.as_ref().err());
        if let Ok(effects) = got {
            self.history.find_mut(id).expect("it is alive").set(data);
            self.carry_out(&effects);
        }
    }

    fn unset(&mut self, id: &SessionId, names: &Data<'_>, clock: Clock) {
        let expected = self.expected(id, Issued::Unsaid, clock);
        match self.sessions.unset(id, names.clone(), clock) {
            Ok((effects, removed)) => {
                assert!(expected.is_ok());
                let data = &mut self.history.find_mut(id).expect("it is alive").data;
                let before = data.len();
                data.retain(|(name, _)| names.iter().all(|(gone, _)| gone != name));
                assert_eq!(removed, before - data.len());
                self.carry_out(&effects);
            }
            Err(error) => assert_eq!(Some(error), expected.err().map(ChangeError::Dead)),
        }
    }

    fn revoke(&mut self, targets: &[Presented], limit: Limit, clock: Clock) {
        let revocation = self.sessions.revoke(targets, limit, clock);
        let dead = self.history.dead(clock);
        let (mut revoked, mut buried) = (0, Vec::new());
        // Of several tokens of one session, the one that is good longest counts.
        let mut targets: Vec<_> = targets.iter().collect();
        targets.sort_by_key(|target| std::cmp::Reverse(target.until));
        for Presented { id, issued, until } in targets {
            if buried.contains(&id) {
                continue;
            }
            let until = until.filter(|until| clock.now < *until);
            let expected = self.expected(id, *issued, clock);
            match (self.history.find_mut(id), until) {
                (Some(known), _) if expected.is_ok() => {
                    known.ended = Some(Reason::Revoked);
                    known.token_until = known.token_until.max(until.unwrap_or_default());
                    revoked += 1;
                }
                // A token from elsewhere is denied.
                (None, Some(until)) if expected == Err(Reason::Unknown) => {
                    self.history.deny(id.clone(), Reason::Revoked, until);
                    revoked += 1;
                }
                // The server remembers a dead session until its last token expires.
                (Some(known), Some(until)) if known.status(clock).is_err() && known.token_until < until => {
                    known.ended = known.ended.or(Some(Reason::Revoked));
                    known.token_until = until;
                    known.is_spent = false;
                }
                _ => continue,
            }
            buried.push(id);
        }
        assert_eq!(revocation.revoked, revoked);
        self.carry_out(&revocation.effects);
        self.note_forgotten(dead, buried.len(), Some(limit), clock);
    }

    fn revoke_all(&mut self, except: Option<&SessionId>, horizon: u64, limit: Limit, clock: Clock) {
        let spared = except.filter(|id| self.history.find(id).is_some_and(|known| known.is_live(clock)));
        let revocation = self.sessions.revoke_all(except, horizon, limit, clock);
        assert_eq!(revocation.revoked, self.history.live(clock).count() - usize::from(spared.is_some()));
        let dead = self.history.dead(clock);
        let buried = revocation.effects.iter().filter(|effect| matches!(effect, Effect::End(_))).count();
        self.history.revoke_all(spared, clock.now);
        let known = self.history.known.iter();
        let ended = known.filter(|known| !known.is_gone && known.ended == Some(Reason::UserRevoked)).count();
        self.carry_out(&revocation.effects);
        self.note_forgotten(dead, ended.max(buried), Some(limit), clock);
        assert_eq!(self.sessions.count(clock), usize::from(spared.is_some()));
    }

    fn purge(&mut self, most: usize, clock: Clock) {
        let mut from = Some(0);
        self.history.sweep(clock);
        while let Some(at) = from {
            let (purge, stored) = (self.sessions.purge(at, most, clock), self.sessions.stored());
            let expired = self.sessions.expired_among(&purge.effects, clock);
            self.carry_out(&purge.effects);
            // What `not_before` has ended too has not died of time, but goes likewise once it is spent.
            assert!(self.sessions.stored() <= stored - expired, "what has died of time is no session any more");
            from = purge.next;
        }
        self.note_forgotten(0, 0, None, clock);
        let is_freed = self.history.known.iter().all(|known| known.is_gone || !known.is_spent);
        assert!(is_freed && (self.list.is_empty() || self.list.deadline() > clock.now), "what is spent is freed");
    }
}
