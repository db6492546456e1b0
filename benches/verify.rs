//! What a check and a signature cost, each from scratch: nothing remembers a token that was seen before.
//!
//! `cargo bench -p redis-session-benches --bench verify`

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use redis_session_core::token::{Claims, KeyRing, NewToken, Scratch, TokenPolicy, verify};
use redis_session_core::{SessionId, Subject, UnixMillis};

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "api";

fn tokens(criterion: &mut Criterion) {
    let ring = KeyRing::ephemeral().expect("randomness");
    let key = ring.signing_key().expect("an ephemeral key signs");
    let policy = TokenPolicy { issuer: Some(ISSUER.into()), audience: Some(AUDIENCE.into()), ..TokenPolicy::default() };
    let subject = Subject::new(b"7c9e6679-7425-40de-944b").expect("a user");
    let session = SessionId::from_random([7; 16]);
    let claims = Claims::parse(br#"{"role":"admin"}"#).expect("claims");
    let now = UnixMillis::new(1_790_000_000_000).expect("a time");
    let new = NewToken {
        subject,
        session: &session,
        token_id: "DDDDDDDDDDDDDDDDDDDDDw",
        issued_at: now,
        expires_at: now.saturating_add(3_600_000),
        issuer: Some(ISSUER),
        audience: Some(AUDIENCE),
        claims: Some(&claims),
    };
    let jwt = key.sign_jwt(&new).expect("a key that signs");
    let opaque = key.sign_opaque(subject, &session, now).expect("a key that signs");
    println!("a JWT of {} bytes, an opaque token of {}", jwt.len(), opaque.len());

    let mut scratch = Scratch::default();
    let mut check = |token: &str| verify(&ring, &policy, subject, token.as_bytes(), None, now, &mut scratch);
    check(&jwt).expect("a good token");
    check(&opaque).expect("a good token");
    criterion.bench_function("verify/hs256", |bench| bench.iter(|| check(black_box(&jwt))));
    criterion.bench_function("verify/opaque", |bench| bench.iter(|| check(black_box(&opaque))));
    criterion.bench_function("sign/hs256", |bench| bench.iter(|| key.sign_jwt(black_box(&new))));
    criterion.bench_function("sign/opaque", |bench| bench.iter(|| key.sign_opaque(black_box(subject), &session, now)));
}

criterion_group!(benches, tokens);
criterion_main!(benches);
