//! Commands, on a value that anyone may have made.

use std::net::IpAddr;
use std::sync::LazyLock;

use redis_session_core::sessions::{
    AgentPool, Clock, Data, Device, Limit, LimitPolicy, NewSession, Origin, Presented, TokenFormat, TokenRules,
    UserSessions,
};
use redis_session_core::token::Issued;
use redis_session_core::{SessionId, Subject, UnixMillis};

use crate::input::Input;
use crate::oracle::{Command, User};

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
    let Some(mut user) = User::of(base) else { return };
    let (mut now, mut not_before) = (1_790_000_000_000, UnixMillis::ZERO);
    for _ in 0..16 {
        if input.is_empty() {
            break;
        }
        let kind = input.u8();
        match kind % 16 {
            0 => now = input.millis(),
            1 => not_before = UnixMillis::saturating_from(input.millis().cast_signed()),
            _ => now += u64::from(kind / 16) * 700,
        }
        let clock = Clock { now: UnixMillis::saturating_from(now.cast_signed()), not_before };
        if let Some(command) = command(kind % 16, &mut input, &user, clock.now) {
            user.run(command, clock);
        }
    }
    user.finish();
}

fn id(input: &mut Input<'_>) -> SessionId {
    let at = usize::from(input.u8());
    SessionId::from_text(IDS[at % IDS.len()].as_bytes()).expect("an id")
}

fn data(input: &mut Input<'_>, value: &[u8]) -> Data<'static> {
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
    Limit { sessions: u32::from(bits >> 1 & 7), policy, tombstones: usize::from(bits >> 4) }
}

fn new_session(input: &mut Input<'_>, now: UnixMillis) -> NewSession<'static> {
    let bits = input.u8();
    let given = |bit: u8| bits & (1 << bit) != 0;
    NewSession {
        id: id(input),
        external_id: given(0),
        expires_at: now.saturating_add(u64::from(input.u16()) * 1000),
        idle_secs: if given(1) { u32::from(input.u16()) } else { 0 },
        ip: ip(input),
        agent: agent(input),
        device: device(input),
        tokens: [TokenFormat::Jwt, TokenFormat::Opaque, TokenFormat::None][usize::from(bits >> 4) % 3],
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

/// The command that the next bytes choose; `None` if they choose none.
fn command(kind: u8, input: &mut Input<'_>, user: &User, now: UnixMillis) -> Option<Command<'static>> {
    Some(match kind {
        2 | 3 => {
            let (new, limit) = (new_session(input, now), limit(input));
            Command::Create { new, limit, rules: rules(input) }
        }
        4 => {
            let (id, behind) = (id(input), u32::from(input.u8() % 4));
            let origin = Origin { ip: ip(input), agent: agent(input), device: device(input) };
            Command::Refresh { id, behind, origin, rules: rules(input), limit: limit(input) }
        }
        5 => {
            let old = id(input);
            let old = Presented { issued: issued(input, user.began(&old)), id: old, until: None };
            // Ids made here are never there already: they are 128 random bits.
            let new = Some(SessionId::from_random([input.u8(); 16])).filter(|new| !user.has(new))?;
            Command::Regenerate { old, new, rules: rules(input), limit: limit(input) }
        }
        6 => {
            let (id, bound) = (id(input), usize::from(input.u8()));
            let limit = DataLimit { bytes: bound, fields: bound % 8 + 1 };
            let value = input.bytes(40);
            let data = Some(data(input, value)).filter(|data| !data.is_empty())?;
            Command::Set { id, data, limit }
        }
        7 => Command::Unset { id: id(input), names: data(input, b"") },
        8 | 9 => {
            let targets = (0..input.u8() % 4).map(|_| {
                let id = id(input);
                let issued = issued(input, user.began(&id));
                let until = match input.u8() % 3 {
                    0 => None,
                    _ => Some(UnixMillis::saturating_from(input.millis().cast_signed())),
                };
                Presented { id, issued, until }
            });
            Command::Revoke { targets: targets.collect(), limit: limit(input) }
        }
        10 => {
            let except = input.u8().is_multiple_of(2).then(|| id(input));
            Command::RevokeAll { except, horizon: u64::from(input.u16()) * 1000, limit: limit(input) }
        }
        11 => Command::Purge { most: limit(input).tombstones.max(1) },
        12..=15 => Command::Touch { id: id(input), granularity: u64::from(input.u16()) },
        _ => return None,
    })
}

/// Values to begin with, as logins and logouts make them: a few sessions, an indexed value, and tombstones and marks alone.
pub fn bases() -> &'static [Vec<u8>] {
    static BASES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| vec![few(), indexed(), dead()]);
    &BASES
}

const RULES: TokenRules = TokenRules { token_secs: 3600, leeway: 0, grace: 10_000 };
const LIMIT: Limit = Limit { sessions: 100, policy: LimitPolicy::Evict, tombstones: 200 };

fn at(secs: u64) -> Clock {
    let now = UnixMillis::from_secs(1_790_000_000 + secs).expect("a time");
    Clock { now, not_before: UnixMillis::ZERO }
}

fn session(id: &str, place: u8, clock: Clock) -> NewSession<'static> {
    let device = Device::of(Subject::new(b"42").expect("a user"), b"phone");
    NewSession {
        id: SessionId::from_text(id.as_bytes()).expect("an id"),
        external_id: place % 4 == 1,
        expires_at: clock.now.saturating_add(86_400_000),
        idle_secs: if place.is_multiple_of(2) { 1800 } else { 0 },
        ip: ip(&mut Input(&[place])),
        agent: agent(&mut Input(&[place])),
        device: place.is_multiple_of(3).then_some(device),
        tokens: [TokenFormat::Jwt, TokenFormat::Opaque, TokenFormat::None][usize::from(place) % 3],
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
    let target = Presented { id: SessionId::from_text(b"c").expect("an id"), issued: Issued::Unsaid, until: None };
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
    let few_traces = Limit { tombstones: 1, ..LIMIT };
    user.apply(&user.revoke_all(None, 86_400_000, few_traces, at(91)).effects, &mut agents);
    user.encode(&agents)
}
