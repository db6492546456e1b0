//! What finding, touching, beginning and encoding sessions costs in core, by how many sessions the user has.
//!
//! `cargo bench -p redis-session-benches --bench sessions`

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use redis_session_core::sessions::{
    AgentPool, Check, Data, IdSource, NewSession, Presented, Rules, TokenFormat, UserSessions, decode_effects,
    encode_effects,
};
use redis_session_core::token::{Issued, TokenKind};
use redis_session_core::{SessionId, UnixMillis};

fn rules(millis: u64) -> Rules {
    let now = UnixMillis::ZERO.saturating_add(1_790_000_000_000 + millis);
    Rules { sessions: 1_000_000, ..Rules::default() }.at(now)
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
        source: IdSource::Random,
        device: None,
        tokens: TokenFormat::Jwt,
        token_ttl: None,
        refresh_secs: None,
        level: 0,
        claims: "",
    }
}

fn user(count: u32, agents: &mut AgentPool) -> UserSessions {
    let mut sessions = UserSessions::new();
    for number in 0..count {
        let rules = rules(0);
        let effects = sessions.create(new(number, rules.now), &rules).expect("room").effects;
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
        let (issued, expires_at) = (Issued::InSecondOf(rules(0).now), Some(rules(3_600_000).now));
        let jwt = Presented { id: one, kind: Some(TokenKind::Jwt), issued, expires_at };
        criterion.bench_with_input(BenchmarkId::new("check", count), &count, |bench, _| {
            bench.iter(|| sessions.check(black_box(&jwt), Check::default(), &rules(1)));
        });
        let mut time = 2;
        criterion.bench_with_input(BenchmarkId::new("touch", count), &count, |bench, _| {
            bench.iter(|| {
                time += 1;
                sessions.touch(black_box(&jwt), Check::default(), &rules(time % 3_600_000))
            });
        });
        criterion.bench_with_input(BenchmarkId::new("create", count), &count, |bench, _| {
            bench.iter(|| sessions.create(new(u32::MAX, rules(1).now), &rules(1)).expect("room"));
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
    let effects = UserSessions::new().create(new(1, rules(0).now), &rules(0)).expect("room").effects;
    let bytes = encode_effects(&effects);
    println!("the effects of a login take {} bytes", bytes.len());
    criterion.bench_function("effects/encode", |bench| bench.iter(|| encode_effects(black_box(&effects))));
    criterion.bench_function("effects/decode", |bench| bench.iter(|| decode_effects(black_box(&bytes))));
}

criterion_group!(benches, sessions);
criterion_main!(benches);
