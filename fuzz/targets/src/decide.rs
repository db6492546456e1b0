//! Commands, on a value that anyone may have made.

use std::net::IpAddr;
use std::sync::LazyLock;

use redis_session_core::sessions::{
    AgentPool, Cutoff, Data, DataLimit, Device, IdSource, LimitPolicy, MAX_LEEWAY, NewSession, Origin, Presented,
    Renewal, Rules, TokenFormat, UserSessions,
};
use redis_session_core::token::{Issued, TokenKind};
use redis_session_core::{SessionId, Subject, UnixMillis};

use crate::input::Input;
use crate::oracle::{Command, User};

/// The ids that commands are about, so that they meet: each spelling, and the shortest text.
pub(crate) const IDS: [&str; 8] = [
    "a",
    "b",
    "c",
    "an id that an application chose",
    "AAECAwQFBgcICQoLDA0ODw",
    "0190163d-8694-739b-aea5-966c26f8ad91",
    "0190163d8694739baea5966c26f8ad91",
    "é",
];

const AGENTS: [&str; 3] = ["Firefox", "Safari", "curl/8.5.0"];

/// Whatever a value holds, a command decides without a panic, replicas that see nothing but its effects come to the same
/// value, and it keeps what it promises.
///
/// The bytes: which value to begin with, or its own bytes after a length, and then commands.
pub fn decide(data: &[u8]) {
    let mut input = Input(data);
    let bases = bases();
    let base = match bases.get(usize::from(input.u8())) {
        Some(base) => base,
        None => input.counted(),
    };
    let Some(mut user) = User::of(base) else { return };
    let mut rules = Rules { horizon: 3_600_000, grace: 10_000, recovery: 60_000, ..Rules::default() };
    let mut now = 1_790_000_000_000;
    for _ in 0..16 {
        if input.is_empty() {
            break;
        }
        let kind = input.u8();
        match kind % 16 {
            // Also back: the latest time stays.
            0 => now = input.millis(),
            1 => cutoff(&mut input, &mut rules),
            _ => now += u64::from(kind / 16) * 700,
        }
        rules.latest = rules.latest.max(user.latest());
        rules = rules.at(UnixMillis::saturating_from(now.cast_signed()));
        if let Some(command) = command(kind % 16, &mut input, &user, &mut rules) {
            user.run(command, &rules);
        }
    }
    user.finish();
}

fn time(input: &mut Input<'_>) -> UnixMillis {
    UnixMillis::saturating_from(input.millis().cast_signed())
}

/// One for all users: `session.not-before`, which may be taken back, or SESSION.REVOKEALL; or a greater leeway.
fn cutoff(input: &mut Input<'_>, rules: &mut Rules) {
    match input.u8() % 8 {
        0 => rules.revoked_before = rules.revoked_before.max(Cutoff::at(rules.latest, rules.leeway)),
        1 => {
            rules.leeway = (rules.leeway * 10 + 60_000).min(MAX_LEEWAY);
            rules.ahead = rules.leeway;
        }
        2 => rules.not_before = Cutoff::default(),
        _ => rules.not_before = Cutoff::at(time(input), rules.leeway),
    }
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

fn limit(input: &mut Input<'_>, rules: &mut Rules) {
    let bits = input.u8();
    rules.policy = if bits & 1 == 0 { LimitPolicy::Evict } else { LimitPolicy::Reject };
    (rules.sessions, rules.tombstones) = (u32::from(bits >> 1 & 7), usize::from(bits >> 4));
}

fn new_session(input: &mut Input<'_>, user: &User, now: UnixMillis) -> NewSession<'static> {
    let bits = input.u8();
    let given = |bit: u8| bits & (1 << bit) != 0;
    let id = id(input);
    let (source, expires_at) = if given(0) && given(7) {
        let token = jwt(input, id.clone(), user.began(&id), now);
        (IdSource::Token(token.issued), token.expires_at.unwrap_or(now))
    } else {
        (IdSource::Caller, now.saturating_add(u64::from(input.u16()) * 1000))
    };
    // Ids made here are never there already: they are 128 random bits.
    let random = SessionId::from_random([input.u8(); 16]);
    let (id, source) = if given(0) || user.knew(&random) { (id, source) } else { (random, IdSource::Random) };
    NewSession {
        id,
        source,
        expires_at,
        idle_secs: if given(1) { u32::from(input.u16()) } else { 0 },
        ip: ip(input),
        agent: agent(input),
        device: device(input),
        tokens: [TokenFormat::Jwt, TokenFormat::Opaque, TokenFormat::None][usize::from(bits >> 4) % 3],
        token_ttl: given(2).then(|| input.u32()),
        refresh_secs: given(3).then(|| input.u32()),
        level: bits >> 4 & 3,
        claims: if given(6) { r#"{"role":"admin"}"# } else { "" },
        data: data(input, b"value"),
    }
}

fn issued(input: &mut Input<'_>, began: Option<UnixMillis>) -> Issued {
    match (input.u8() % 4, began) {
        (0, _) => Issued::Unsaid,
        (1, Some(began)) => Issued::ForSessionOf(began),
        (2, _) => Issued::InSecondOf(time(input)),
        (_, began) => Issued::InSecondOf(began.unwrap_or_default()),
    }
}

/// A JWT, mostly one of about now.
fn jwt(input: &mut Input<'_>, id: SessionId, began: Option<UnixMillis>, now: UnixMillis) -> Presented {
    let bits = input.u8();
    let second = UnixMillis::from_secs(now.as_secs()).expect("an earlier time");
    let back = UnixMillis::saturating_from(second.as_i64() - i64::from(bits >> 3) * 1000);
    let issued = if bits & 1 == 0 { Issued::InSecondOf(back) } else { issued(input, began) };
    let expires_at = match bits >> 1 & 3 {
        0 => time(input),
        _ => now.saturating_add(u64::from(input.u16()) * 100),
    };
    Presented { kind: Some(TokenKind::Jwt), issued, expires_at: Some(expires_at), ..Presented::id(id) }
}

/// A bare id, an opaque token, or a JWT.
fn presented(input: &mut Input<'_>, user: &User, now: UnixMillis) -> Presented {
    let id = id(input);
    let began = user.began(&id);
    match input.u8() % 4 {
        0 => Presented::id(id),
        1 => {
            let kind = Some(TokenKind::Opaque);
            Presented { kind, issued: issued(input, began), expires_at: Some(time(input)), id }
        }
        _ => jwt(input, id, began, now),
    }
}

/// The command that the next bytes choose; `None` if they choose none.
fn command(kind: u8, input: &mut Input<'_>, user: &User, rules: &mut Rules) -> Option<Command<'static>> {
    let now = rules.now;
    Some(match kind {
        2 | 3 => {
            let new = new_session(input, user, now);
            limit(input, rules);
            rules.token_secs = u64::from(input.u16());
            Command::Create { new }
        }
        4 => {
            let (id, behind) = (id(input), u32::from(input.u8() % 4));
            let origin = Origin { ip: ip(input), agent: agent(input), device: device(input) };
            limit(input, rules);
            Command::Refresh { id, behind, origin }
        }
        5 => {
            let old = presented(input, user, now);
            // Ids made here are never there already: they are 128 random bits.
            let new = Some(SessionId::from_random([input.u8(); 16])).filter(|new| !user.knew(new))?;
            let bits = input.u8();
            let given = |bit: u8| bits & (1 << bit) != 0;
            let new = Renewal {
                id: new,
                expires_at: given(0).then(|| now.saturating_add(u64::from(input.u16()) * 1000)),
                claims: given(1).then_some(r#"{"role":"user"}"#),
                level: given(2).then_some(bits >> 6),
                ip: ip(input),
                agent: agent(input),
            };
            limit(input, rules);
            Command::Regenerate { old, new }
        }
        6 => {
            let (id, how) = (id(input), input.u8());
            let bytes = usize::from(input.u8());
            rules.data = DataLimit { bytes, fields: 1 + bytes % 4 };
            if how >= 128 {
                let by = [1, -1, i64::MAX, i64::MIN][usize::from(how % 4)];
                return Some(Command::Increment { id, field: [&b"cart"[..], b"role"][usize::from(how / 4 % 2)], by });
            }
            let value = if how % 2 == 0 { &b"41"[..] } else { input.bytes(40) };
            let expected = if how < 64 { None } else { Some(u64::from(how % 8)) };
            let data = Some(data(input, value)).filter(|data| !data.is_empty())?;
            Command::Set { id, data, expected }
        }
        7 => Command::Unset { id: id(input), names: data(input, b"") },
        8 => {
            let presented = (0..input.u8() % 4).map(|_| presented(input, user, now)).collect();
            limit(input, rules);
            Command::Revoke { presented }
        }
        9 => {
            let id = id(input);
            limit(input, rules);
            Command::Deny { id, until: time(input) }
        }
        10 => {
            let except = input.u8().is_multiple_of(2).then(|| presented(input, user, now));
            limit(input, rules);
            Command::RevokeAll { except }
        }
        11 => Command::Purge { most: usize::from(input.u8() >> 4).max(1) },
        12 | 13 => Command::LookUp { presented: presented(input, user, now) },
        14 | 15 => {
            let presented = presented(input, user, now);
            rules.touch_granularity = u64::from(input.u16());
            let bits = input.u8();
            let device = [None, Some(&b"phone"[..]), Some(b"laptop"), None][usize::from(bits >> 1 & 3)];
            let max_age = (bits & 8 != 0).then(|| u64::from(input.u16()));
            Command::Touch { presented, stateless: bits & 1 == 0, device, level: bits >> 6, max_age }
        }
        _ => return None,
    })
}

/// Values to begin with, as logins and logouts make them: a few sessions, an indexed value, and tombstones and cutoffs alone.
pub fn bases() -> &'static [Vec<u8>] {
    static BASES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| vec![few(), indexed(), dead()]);
    &BASES
}

fn at(secs: u64) -> Rules {
    Rules::default().at(UnixMillis::from_secs(1_790_000_000 + secs).expect("a time"))
}

fn session(id: &str, place: u8, now: UnixMillis) -> NewSession<'static> {
    let device = Device::of(Subject::new(b"42").expect("a user"), b"phone");
    NewSession {
        id: SessionId::from_text(id.as_bytes()).expect("an id"),
        source: if place % 4 == 1 { IdSource::Caller } else { IdSource::Random },
        expires_at: now.saturating_add(86_400_000),
        idle_secs: if place.is_multiple_of(2) { 1800 } else { 0 },
        ip: ip(&mut Input(&[place])),
        agent: agent(&mut Input(&[place])),
        device: place.is_multiple_of(3).then_some(device),
        tokens: [TokenFormat::Jwt, TokenFormat::Opaque, TokenFormat::None][usize::from(place) % 3],
        token_ttl: place.is_multiple_of(5).then_some(60),
        refresh_secs: (place % 3 == 1).then_some(86_400),
        level: place % 4,
        claims: if place.is_multiple_of(7) { r#"{"role":"admin"}"# } else { "" },
        data: data(&mut Input(&[place]), b"value"),
    }
}

fn few() -> Vec<u8> {
    let mut agents = AgentPool::new();
    let mut user = UserSessions::new();
    for (id, place) in IDS.iter().zip(0..).take(7) {
        let rules = at(u64::from(place));
        let creation = user.create(session(id, place, rules.now), &rules).expect("a login");
        user.apply(&creation.effects, &mut agents);
    }
    let id = SessionId::from_text(b"c").expect("an id");
    user.apply(&user.revoke(&[Presented::id(id)], &at(60)).effects, &mut agents);
    user.encode(&agents)
}

/// So large that it has an index: few records, for speed, and one of them with much data.
fn indexed() -> Vec<u8> {
    let mut agents = AgentPool::new();
    let mut user = UserSessions::new();
    let large = vec![b'x'; 4200];
    for (id, place) in IDS.iter().zip(0..) {
        let rules = at(u64::from(place));
        let new = session(id, place, rules.now);
        let data = if place == 1 { Data::pack([(&b"cart"[..], &large[..])]).expect("a field") } else { new.data };
        let creation = user.create(NewSession { data, ..new }, &rules).expect("a login");
        user.apply(&creation.effects, &mut agents);
    }
    user.encode(&agents)
}

fn dead() -> Vec<u8> {
    let mut agents = AgentPool::new();
    let few = few();
    let mut user = UserSessions::decode(&few, &mut agents).expect("a value");
    for id in ["a", "b"] {
        let id = SessionId::from_text(id.as_bytes()).expect("an id");
        user.apply(&user.revoke(&[Presented::id(id)], &at(80)).effects, &mut agents);
    }
    user.apply(&user.revoke_all(None, &at(90)).effects, &mut agents);
    let few_tombstones = Rules { tombstones: 2, ..at(91) };
    user.apply(&user.revoke_all(None, &few_tombstones).effects, &mut agents);
    user.encode(&agents)
}
