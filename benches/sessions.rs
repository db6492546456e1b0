//! What finding, touching, beginning and encoding sessions costs in core, by how many sessions the user has.
//!
//! `cargo bench -p redis-session-benches --bench sessions`

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use redis_session_core::sessions::{
    AgentPool, Clock, Data, Limit, LimitPolicy, NewSession, TokenFormat, TokenRules, UserSessions, decode_effects,
    encode_effects,
};
use redis_session_core::token::Issued;
use redis_session_core::{SessionId, UnixMillis};

const LIMIT: Limit = Limit { sessions: 1_000_000, policy: LimitPolicy::Evict, tombstones: 200 };

const RULES: TokenRules = TokenRules { token_secs: 3600, leeway: 0, grace: 10_000 };

fn clock(millis: u64) -> Clock {
    Clock { now: UnixMillis::ZERO.saturating_add(1_790_000_000_000 + millis), not_before: UnixMillis::ZERO }
}

fn id(number: u32) -> SessionId {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B9).to_le_bytes());
    SessionId::from_random(bytes)
}

fn new(number: u32, now: UnixMillis) -> NewSession<'static> {
    NewSession {
        id: id(number),
        expires_at: now.saturating_add(86_400_000),
        idle_secs: 0,
        ip: Some("203.0.113.9".parse().expect("an address")),
        agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        data: Data::default(),
        external_id: false,
        device: None,
        tokens: TokenFormat::Jwt,
        token_ttl: None,
        refresh_secs: None,
        claims: "",
    }
}

fn user(count: u32, agents: &mut AgentPool) -> UserSessions {
    let mut sessions = UserSessions::new();
    for number in 0..count {
        let clock = clock(0);
        let effects = sessions.create(new(number, clock.now), RULES, LIMIT, clock).expect("room").effects;
        sessions.apply(&effects, agents);
    }
    sessions
}

fn sessions(criterion: &mut Criterion) {
    let mut agents = AgentPool::new();
    for count in [1, 10, 70, 1000, 100_000] {
        let mut sessions = user(count, &mut agents);
        // In the middle: half of the others are looked at before it where there is no index.
        let one = id(count / 2);
        let issued = Issued::InSecondOf(clock(0).now);
        criterion.bench_with_input(BenchmarkId::new("check", count), &count, |bench, _| {
            bench.iter(|| sessions.check(black_box(&one), issued, clock(1)));
        });
        let mut time = 2;
        criterion.bench_with_input(BenchmarkId::new("touch", count), &count, |bench, _| {
            bench.iter(|| {
                time += 1;
                sessions.touch(black_box(&one), 60_000, clock(time % 3_600_000))
            });
        });
        criterion.bench_with_input(BenchmarkId::new("create", count), &count, |bench, _| {
            bench.iter(|| sessions.create(new(u32::MAX, clock(1).now), RULES, LIMIT, clock(1)).expect("room"));
        });
        if count > 1000 {
            continue;
        }
        criterion.bench_with_input(BenchmarkId::new("encode", count), &count, |bench, _| {
            bench.iter(|| sessions.encode(&agents));
        });
        let bytes = sessions.encode(&agents);
        criterion.bench_with_input(BenchmarkId::new("decode", count), &count, |bench, _| {
            bench.iter_batched(
                AgentPool::new,
                |mut agents| UserSessions::decode(black_box(&bytes), &mut agents).expect("what was encoded"),
                BatchSize::SmallInput,
            );
        });
    }
    let effects = UserSessions::new().create(new(1, clock(0).now), RULES, LIMIT, clock(0)).expect("room").effects;
    let bytes = encode_effects(&effects);
    println!("the effects of a login take {} bytes", bytes.len());
    criterion.bench_function("effects/encode", |bench| bench.iter(|| encode_effects(black_box(&effects))));
    criterion.bench_function("effects/decode", |bench| bench.iter(|| decode_effects(black_box(&bytes))));
}

criterion_group!(benches, sessions);
criterion_main!(benches);
