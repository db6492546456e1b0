//! Commands, on a value that anyone may have made.

use std::net::IpAddr;
use std::sync::LazyLock;

use redis_session_core::sessions::{
    AgentPool, Clock, Data, Device, Effect, Limit, LimitPolicy, NewSession, Origin, Refreshed, Target, TokenForm,
    TokenRules, UserSessions, decode_effects, encode_effects,
};
use redis_session_core::token::{Issued, RefreshToken};
use redis_session_core::{Reason, SessionId, Subject, UnixMillis};

use crate::input::Input;
use crate::list::{List, assert_same};

/// The ids that commands are about, so that they meet: each spelling, and the shortest text.
pub(crate) const IDS: [&str; 8] = [
    "a",
    "b",
    "c",
    "an id that an application brought",
    "AAECAwQFBgcICQoLDA0ODw",
    "0190163d-8694-739b-aea5-966c26f8ad91",
    "0190163d8694739baea5966c26f8ad91",
    "é",
];

const AGENTS: [&str; 3] = ["Firefox", "Safari", "curl/8.5.0"];

/// Whatever a value holds, a command decides without a panic, replicas that see nothing but its effects come to the same
/// value, and it keeps what it promises.
///
/// The bytes: which value to begin with, or its own bytes behind a length, and then commands.
pub fn decide(data: &[u8]) {
    let mut input = Input(data);
    let bases = bases();
    let base = match bases.get(usize::from(input.u8())) {
        Some(base) => base,
        None => input.counted(),
    };
    let Some(mut pair) = Pair::of(base) else { return };
    let (mut now, mut not_before) = (1_790_000_000_000, UnixMillis::ZERO);
    for _ in 0..16 {
        if input.is_empty() {
            break;
        }
        let command = input.u8();
        match command % 16 {
            0 => now = input.millis(),
            1 => not_before = UnixMillis::saturating_from(input.millis().cast_signed()),
            _ => now += u64::from(command / 16) * 700,
        }
        let clock = Clock { now: UnixMillis::saturating_from(now.cast_signed()), not_before };
        pair.command(command % 16, &mut input, clock);
    }
    pair.finish();
}

fn id(input: &mut Input<'_>) -> SessionId {
    let at = usize::from(input.u8());
    SessionId::from_text(IDS[at % IDS.len()].as_bytes()).expect("an id")
}

fn data<'a>(input: &mut Input<'_>, value: &'a [u8]) -> Data<'a> {
    let names: [&[u8]; 4] = [b"cart", b"role", b"\0", b"\xff\xfe"];
    let bits = input.u8();
    let fields = names.into_iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
    Data::pack(fields.map(|(_, name)| (name, value))).expect("fields")
}

fn ip(input: &mut Input<'_>) -> Option<IpAddr> {
    match input.u8() % 4 {
        0 => Some(IpAddr::from([203, 0, 113, 9])),
        1 => Some(IpAddr::from([198, 51, 100, 7])),
        2 => Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])),
        _ => None,
    }
}

fn agent(input: &mut Input<'_>) -> Option<&'static str> {
    AGENTS.get(usize::from(input.u8() % 4)).copied()
}

fn device(input: &mut Input<'_>) -> Option<Device> {
    let user = Subject::new(b"42").expect("a user");
    match input.u8() % 4 {
        0 => Some(Device::of(user, b"phone")),
        1 => Some(Device::of(user, b"laptop")),
        _ => None,
    }
}

fn rules(input: &mut Input<'_>) -> TokenRules {
    let leeway = if input.u8().is_multiple_of(2) { 0 } else { 60_000 };
    TokenRules { token_secs: u64::from(input.u16()), leeway, grace: 10_000 }
}

fn limit(input: &mut Input<'_>) -> Limit {
    let bits = input.u8();
    let policy = if bits & 1 == 0 { LimitPolicy::Evict } else { LimitPolicy::Reject };
    Limit { sessions: u32::from(bits >> 1 & 7), policy, traces: usize::from(bits >> 4) }
}

fn new_session(input: &mut Input<'_>, now: UnixMillis) -> NewSession<'static> {
    let bits = input.u8();
    let given = |bit: u8| bits & (1 << bit) != 0;
    NewSession {
        id: id(input),
        brought: given(0),
        expires_at: now.saturating_add(u64::from(input.u16()) * 1000),
        idle_secs: if given(1) { u32::from(input.u16()) } else { 0 },
        ip: ip(input),
        agent: agent(input),
        device: device(input),
        tokens: [TokenForm::Jwt, TokenForm::Opaque, TokenForm::None][usize::from(bits >> 4) % 3],
        token_ttl: given(2).then(|| input.u32()),
        refresh_secs: given(3).then(|| input.u32()),
        claims: if given(6) { r#"{"role":"admin"}"# } else { "" },
        data: data(input, b"value"),
    }
}

fn issued(input: &mut Input<'_>, began: Option<UnixMillis>) -> Issued {
    match (input.u8() % 4, began) {
        (0, _) => Issued::Unsaid,
        (1, Some(began)) => Issued::ForSessionOf(began),
        (2, _) => Issued::InSecondOf(UnixMillis::saturating_from(input.millis().cast_signed())),
        (_, began) => Issued::InSecondOf(began.unwrap_or_default()),
    }
}

/// A value together with its replica, which sees nothing but encoded effects.
struct Pair {
    sessions: UserSessions,
    agents: AgentPool,
    replica: UserSessions,
    replica_agents: AgentPool,
}

impl Pair {
    fn of(bytes: &[u8]) -> Option<Self> {
        let (mut agents, mut replica_agents) = (AgentPool::new(), AgentPool::new());
        let sessions = UserSessions::decode(bytes, &mut agents).ok()?;
        let replica = UserSessions::decode(bytes, &mut replica_agents).ok()?;
        Some(Self { sessions, agents, replica, replica_agents })
    }

    /// When the session with this id began, dead or alive.
    fn began(&self, id: &SessionId) -> Option<UnixMillis> {
        let whenever = Clock { now: UnixMillis::ZERO, not_before: UnixMillis::ZERO };
        self.sessions.get(id, &self.agents, whenever).map(|session| session.created_at)
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
        self.assert_equal();
    }

    fn command(&mut self, command: u8, input: &mut Input<'_>, clock: Clock) {
        match command {
            2 | 3 => self.create(input, clock),
            4 => self.refresh(input, clock),
            5 => self.regenerate(input, clock),
            6 => self.set(input, clock),
            7 => self.unset(input, clock),
            8 | 9 => self.revoke(input, clock),
            10 => self.revoke_all(input, clock),
            11 => {
                let before = self.sessions.count(clock);
                let (most, mut from) = (limit(input).traces.max(1), Some(0));
                while let Some(at) = from {
                    let (purge, stored) = (self.sessions.purge(at, most, clock), self.sessions.stored());
                    let expired = self.sessions.expired_among(&purge.effects, clock);
                    self.carry_out(&purge.effects);
                    assert!(self.sessions.stored() <= stored - expired, "what has died of time is no session any more");
                    from = purge.next;
                }
                assert_eq!(self.sessions.count(clock), before, "what is alive stays");
            }
            12..=15 => self.touch(input, clock),
            _ => {}
        }
    }

    fn create(&mut self, input: &mut Input<'_>, clock: Clock) {
        let (new, limit) = (new_session(input, clock.now), limit(input));
        let (id, before) = (new.id.clone(), self.sessions.count(clock));
        let was_alive = self.sessions.check(&id, Issued::Unsaid, clock).is_ok();
        match self.sessions.create(new, rules(input), limit, clock) {
            Ok(creation) => {
                assert!(!was_alive, "an id is taken while its session is alive");
                self.carry_out(&creation.effects);
                let most = usize::try_from(limit.sessions.max(1)).unwrap_or(usize::MAX);
                let count = self.sessions.count(clock);
                assert!(count <= most.max(1), "{count} sessions, and the limit is {most}");
                assert!(count + creation.evicted.len() <= before + 1);
                for evicted in &creation.evicted {
                    assert!(self.sessions.check(evicted, Issued::Unsaid, clock).is_err());
                }
                let dead_at_once = clock.now < clock.not_before || clock.now >= creation.session.deadline();
                assert_eq!(self.sessions.check(&id, Issued::Unsaid, clock).is_ok(), !dead_at_once);
            }
            Err(_) => assert_eq!(self.sessions.count(clock), before),
        }
    }

    fn refresh(&mut self, input: &mut Input<'_>, clock: Clock) {
        let (id, back) = (id(input), u32::from(input.u8() % 4));
        let known = self.sessions.get(&id, &self.agents, clock);
        let refresh = known.and_then(|session| session.refresh);
        let generation = refresh.map_or(0, |refresh| refresh.generation);
        let session_began_at = self.began(&id).unwrap_or_default();
        let token = RefreshToken { id: id.clone(), generation: generation.wrapping_sub(back), session_began_at };
        let origin = Origin { ip: ip(input), agent: agent(input), device: device(input) };
        let was = self.sessions.check(&id, Issued::Unsaid, clock);
        match self.sessions.refresh(&token, origin, rules(input), &self.agents, limit(input), clock) {
            Refreshed::Granted(grant) => {
                assert!(was.is_ok(), "nothing is refreshed that is dead");
                let grace = refresh.map(|refresh| refresh.rotated_at.saturating_add(10_000));
                let is_repeated = token.generation.checked_add(1) == Some(generation) && grace > Some(clock.now);
                assert!(token.generation >= generation || is_repeated, "a token that was replaced is good");
                self.carry_out(&grant.effects);
                assert!(self.sessions.get(&id, &self.agents, clock).is_some_and(|session| session.refresh.is_some()));
            }
            Refreshed::Refused(_) => {}
            Refreshed::Reused { effects } => {
                self.carry_out(&effects);
                assert!(self.sessions.check(&id, Issued::Unsaid, clock).is_err(), "what was stolen is dead");
            }
        }
    }

    fn regenerate(&mut self, input: &mut Input<'_>, clock: Clock) {
        let old = id(input);
        let target = Target { issued: issued(input, self.began(&old)), id: old.clone(), until: None };
        let new = SessionId::from_random([input.u8(); 16]);
        let was = self.sessions.check(&old, Issued::Unsaid, clock);
        // Ids made here are never there already: they are 128 random bits.
        if self.sessions.check(&new, Issued::Unsaid, clock) != Err(Reason::Unknown) {
            return;
        }
        let (rules, limit) = (rules(input), limit(input));
        if let Ok(grant) = self.sessions.regenerate(&target, new.clone(), rules, &self.agents, limit, clock) {
            assert!(was.is_ok());
            let before = self.sessions.count(clock);
            self.carry_out(&grant.effects);
            assert!(self.sessions.check(&old, Issued::Unsaid, clock).is_err(), "the old id is dead");
            assert!(self.sessions.check(&new, Issued::Unsaid, clock).is_ok());
            assert_eq!(self.sessions.count(clock), before);
        }
    }

    fn set(&mut self, input: &mut Input<'_>, clock: Clock) {
        let id = id(input);
        let (max, value) = (usize::from(input.u8()), input.bytes(40));
        let data = data(input, value);
        if data.is_empty() {
            return;
        }
        let was = self.sessions.check(&id, Issued::Unsaid, clock);
        if let Ok(effects) = self.sessions.set(&id, data.clone(), max, clock) {
            assert!(was.is_ok(), "no field is set of what is dead");
            self.carry_out(&effects);
            let session = self.sessions.get(&id, &self.agents, clock).expect("it is alive");
            assert!(data.iter().all(|(name, value)| session.data.get(name) == Some(value)));
            assert!(session.data.size() <= max);
        }
    }

    fn unset(&mut self, input: &mut Input<'_>, clock: Clock) {
        let (id, names) = (id(input), data(input, b""));
        if let Ok((effects, removed)) = self.sessions.unset(&id, names.clone(), clock) {
            let fields =
                |pair: &Self| pair.sessions.get(&id, &pair.agents, clock).map_or(0, |session| session.data.len());
            let before = fields(self);
            self.carry_out(&effects);
            assert_eq!(before - fields(self), removed);
        }
    }

    fn revoke(&mut self, input: &mut Input<'_>, clock: Clock) {
        let mut targets = Vec::new();
        for _ in 0..input.u8() % 4 {
            let id = id(input);
            let issued = issued(input, self.began(&id));
            let until = match input.u8() % 3 {
                0 => None,
                _ => Some(UnixMillis::saturating_from(input.millis().cast_signed())),
            };
            targets.push(Target { id, issued, until });
        }
        let named: Vec<_> = targets.iter().filter(|target| target.issued == Issued::Unsaid).map(|t| &t.id).collect();
        let before = self.sessions.count(clock);
        let revocation = self.sessions.revoke(&targets, limit(input), clock);
        self.carry_out(&revocation.effects);
        for id in named {
            assert!(self.sessions.check(id, Issued::Unsaid, clock).is_err(), "what is named is dead");
        }
        assert!(before - self.sessions.count(clock) <= revocation.revoked);
    }

    fn revoke_all(&mut self, input: &mut Input<'_>, clock: Clock) {
        let except = input.u8().is_multiple_of(2).then(|| id(input));
        let before = self.sessions.count(clock);
        let horizon = u64::from(input.u16()) * 1000;
        let spared = except.as_ref().is_some_and(|id| self.sessions.check(id, Issued::Unsaid, clock).is_ok());
        let revocation = self.sessions.revoke_all(except.as_ref(), horizon, limit(input), clock);
        self.carry_out(&revocation.effects);
        assert_eq!(self.sessions.count(clock), usize::from(spared));
        assert_eq!(revocation.revoked, before - usize::from(spared));
    }

    fn touch(&mut self, input: &mut Input<'_>, clock: Clock) {
        let (id, granularity) = (id(input), u64::from(input.u16()));
        let was = self.sessions.get(&id, &self.agents, clock).map(|session| session.deadline());
        let effect = self.sessions.touch(&id, granularity, clock);
        let is = self.sessions.get(&id, &self.agents, clock).map(|session| session.deadline());
        assert!(was <= is && was.is_some() == is.is_some(), "a use brings nothing to life and shortens none");
        if let Some(effect) = effect {
            assert!(was.is_some());
            let read = encode_effects(&[effect]);
            let read = decode_effects(&read).expect("effects");
            self.replica.apply(&read, &mut self.replica_agents);
        }
    }

    fn assert_equal(&self) {
        let canonical = self.sessions.canonical(&self.agents);
        assert_eq!(canonical, self.replica.canonical(&self.replica_agents));
        assert_eq!(self.sessions.last_deadline(), self.replica.last_deadline());
        assert_eq!(self.agents.len(), self.replica_agents.len());
    }

    fn finish(mut self) {
        self.assert_equal();
        let list = List::of(&self.sessions.encode(&self.agents));
        assert_same(&self.sessions, &self.agents, &list);
        self.sessions.agents().for_each(|agent| self.agents.release(agent));
        self.replica.agents().for_each(|agent| self.replica_agents.release(agent));
        assert!(self.agents.is_empty() && self.replica_agents.is_empty());
    }
}

/// Values to begin with, as logins and logouts make them: a few sessions, an indexed value, and traces and marks alone.
pub fn bases() -> &'static [Vec<u8>] {
    static BASES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| vec![few(), indexed(), dead()]);
    &BASES
}

const RULES: TokenRules = TokenRules { token_secs: 3600, leeway: 0, grace: 10_000 };
const LIMIT: Limit = Limit { sessions: 100, policy: LimitPolicy::Evict, traces: 200 };

fn at(secs: u64) -> Clock {
    let now = UnixMillis::from_secs(1_790_000_000 + secs).expect("a time");
    Clock { now, not_before: UnixMillis::ZERO }
}

fn session(id: &str, place: u8, clock: Clock) -> NewSession<'static> {
    let device = Device::of(Subject::new(b"42").expect("a user"), b"phone");
    NewSession {
        id: SessionId::from_text(id.as_bytes()).expect("an id"),
        brought: place % 4 == 1,
        expires_at: clock.now.saturating_add(86_400_000),
        idle_secs: if place.is_multiple_of(2) { 1800 } else { 0 },
        ip: ip(&mut Input(&[place])),
        agent: agent(&mut Input(&[place])),
        device: place.is_multiple_of(3).then_some(device),
        tokens: [TokenForm::Jwt, TokenForm::Opaque, TokenForm::None][usize::from(place) % 3],
        token_ttl: place.is_multiple_of(5).then_some(60),
        refresh_secs: (place % 3 == 1).then_some(86_400),
        claims: if place.is_multiple_of(7) { r#"{"role":"admin"}"# } else { "" },
        data: data(&mut Input(&[place]), b"value"),
    }
}

fn few() -> Vec<u8> {
    let mut agents = AgentPool::new();
    let mut user = UserSessions::new();
    for (id, place) in IDS.iter().zip(0..).take(7) {
        let new = session(id, place, at(u64::from(place)));
        let creation = user.create(new, RULES, LIMIT, at(u64::from(place))).expect("a login");
        user.apply(&creation.effects, &mut agents);
    }
    let target = Target { id: SessionId::from_text(b"c").expect("an id"), issued: Issued::Unsaid, until: None };
    user.apply(&user.revoke(&[target], LIMIT, at(60)).effects, &mut agents);
    user.encode(&agents)
}

/// So large that it has an index: few records, for speed, and one of them with much data.
fn indexed() -> Vec<u8> {
    let mut agents = AgentPool::new();
    let mut user = UserSessions::new();
    let large = vec![b'x'; 4200];
    for (id, place) in IDS.iter().zip(0..) {
        let new = session(id, place, at(u64::from(place)));
        let data = if place == 1 { Data::pack([(&b"cart"[..], &large[..])]).expect("a field") } else { new.data };
        let creation = user.create(NewSession { data, ..new }, RULES, LIMIT, at(u64::from(place))).expect("a login");
        user.apply(&creation.effects, &mut agents);
    }
    user.encode(&agents)
}

fn dead() -> Vec<u8> {
    let mut agents = AgentPool::new();
    let few = few();
    let mut user = UserSessions::decode(&few, &mut agents).expect("a value");
    user.apply(&user.revoke_all(None, 86_400_000, LIMIT, at(90)).effects, &mut agents);
    let few_traces = Limit { traces: 1, ..LIMIT };
    user.apply(&user.revoke_all(None, 86_400_000, few_traces, at(91)).effects, &mut agents);
    user.encode(&agents)
}
