//! What a check and a signature cost: of each algorithm, a token that was never seen (`cold`), one that is remembered
//! (`remembered`), and the same check by the library `jsonwebtoken` with its RustCrypto backend (`jsonwebtoken`).
//!
//! `cargo bench -p redis-session-benches --bench verify`

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use jsonwebtoken::Validation;
use redis_session_core::token::{Claims, KeyRing, NewToken, TokenPolicy, Verifier};
use redis_session_core::{SessionId, Subject, UnixMillis};
use redis_session_tests::issuer::{self, KEYS, Key};
use serde_json::json;

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "api";
const USER: &str = "7c9e6679-7425-40de-944b";
/// As late as the other library's clock can be.
const EXP: u64 = 9_000_000_000;

fn algorithms(criterion: &mut Criterion) {
    let keys = KeyRing::from_jwk_set(issuer::set_of(&KEYS.map(Key::jwk)).as_bytes(), None);
    let policy = TokenPolicy { issuer: Some(ISSUER.into()), audience: Some(AUDIENCE.into()), ..TokenPolicy::default() };
    let subject = Subject::new(USER.as_bytes()).expect("a user");
    let now = UnixMillis::new(1_790_000_000_000).expect("a time");
    let claims = json!({
        "iss": ISSUER, "sub": USER, "aud": AUDIENCE, "exp": EXP, "iat": 1_790_000_000,
        "jti": "DDDDDDDDDDDDDDDDDDDDDw", "sid": "BwcHBwcHBwcHBwcHBwcHBw", "role": "admin",
    });
    let mut forgetful = Verifier::new(keys.expect("good keys"), policy);
    let mut verifier = forgetful.clone();
    verifier.resize(16);
    for issued in KEYS {
        let token = issued.sign(&issued.header(), &claims);
        let name = issued.name().to_lowercase();
        let mut group = criterion.benchmark_group(format!("verify/{name}"));
        let mut cold = || forgetful.verify(subject, black_box(token.as_bytes()), None, now);
        cold().expect("a good token");
        group.bench_function("cold", |bench| bench.iter(&mut cold));
        let mut remembered = || verifier.verify(subject, black_box(token.as_bytes()), None, now);
        remembered().expect("a good token");
        group.bench_function("remembered", |bench| bench.iter(&mut remembered));

        let key = issued.decoding();
        let mut validation = Validation::new(issued.0);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.sub = Some(USER.into());
        let theirs = || jsonwebtoken::decode::<serde_json::Value>(black_box(&token), &key, &validation);
        theirs().expect("a good token");
        group.bench_function("jsonwebtoken", |bench| bench.iter(theirs));
        group.finish();
    }
}

fn ours(criterion: &mut Criterion) {
    let ring = Arc::new(KeyRing::ephemeral().expect("randomness"));
    let key = ring.signing_key().expect("an ephemeral key signs");
    let policy = TokenPolicy { issuer: Some(ISSUER.into()), audience: Some(AUDIENCE.into()), ..TokenPolicy::default() };
    let subject = Subject::new(USER.as_bytes()).expect("a user");
    let session = SessionId::from_random([7; 16]);
    let claims = Claims::parse(br#"{"role":"admin"}"#).expect("claims");
    let now = UnixMillis::new(1_790_000_000_000).expect("a time");
    let later = now.saturating_add(3_600_000);
    let new = NewToken {
        subject,
        session: &session,
        began_at: now,
        generation: 0,
        issued_at: now,
        expires_at: later,
        auth_time: now,
        level: 0,
        token_type: None,
        issuer: Some(ISSUER),
        audience: Some(AUDIENCE),
        claims: Some(&claims),
    };
    let jwt = key.sign_jwt(&new).expect("a key that signs");
    let opaque = key.sign_opaque(subject, &session, now, later).expect("a key that signs");
    println!("a JWT of {} bytes, an opaque token of {}", jwt.len(), opaque.len());

    let mut forgetful = Verifier::new(Arc::clone(&ring), policy);
    let mut verifier = forgetful.clone();
    verifier.resize(16);
    for (name, token) in [("ours", &jwt), ("opaque", &opaque)] {
        let mut group = criterion.benchmark_group(format!("verify/{name}"));
        let mut cold = || forgetful.verify(subject, black_box(token.as_bytes()), None, now);
        cold().expect("a good token");
        group.bench_function("cold", |bench| bench.iter(&mut cold));
        let mut remembered = || verifier.verify(subject, black_box(token.as_bytes()), None, now);
        remembered().expect("a good token");
        group.bench_function("remembered", |bench| bench.iter(&mut remembered));
        group.finish();
    }
    criterion.bench_function("sign/hs256", |bench| bench.iter(|| key.sign_jwt(black_box(&new))));
    let typed = NewToken { token_type: Some("at+jwt"), ..new };
    criterion.bench_function("sign/hs256_of_a_type", |bench| bench.iter(|| key.sign_jwt(black_box(&typed))));
    let opaque = || key.sign_opaque(black_box(subject), &session, now, later);
    criterion.bench_function("sign/opaque", |bench| bench.iter(opaque));
}

/// What a token costs whose key has a public half, by the algorithm.
fn signing(criterion: &mut Criterion) {
    let ring = KeyRing::from_jwk_set(include_bytes!("../fuzz/targets/public/private.json"), None).expect("good keys");
    let subject = Subject::new(USER.as_bytes()).expect("a user");
    let session = SessionId::from_random([7; 16]);
    let now = UnixMillis::new(1_790_000_000_000).expect("a time");
    let new = NewToken {
        subject,
        session: &session,
        began_at: now,
        generation: 0,
        issued_at: now,
        expires_at: now.saturating_add(3_600_000),
        auth_time: now,
        level: 0,
        token_type: None,
        issuer: Some(ISSUER),
        audience: Some(AUDIENCE),
        claims: None,
    };
    for key in ring.keys() {
        let name = format!("sign/{}", key.algorithm().as_str().to_lowercase());
        criterion.bench_function(&name, |bench| bench.iter(|| key.sign_jwt(black_box(&new))));
    }
}

criterion_group!(benches, ours, algorithms, signing);
criterion_main!(benches);
