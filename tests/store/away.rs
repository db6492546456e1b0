//! When Redis is away.

use std::time::Duration;

use redis_session::{
    Assurance, CreateOptions, LocalVerifier, Login, Policy, Reason, SessionStore, StoreError, TokenKind, Visitor,
};
use redis_session_tests::{Server, ServerBuilder, jwk_set};

use crate::{for_secs, token};

fn server() -> Server {
    ServerBuilder::new().keys(&["one"]).appendonly().config("appendfsync always").start()
}

fn verifier() -> LocalVerifier {
    LocalVerifier::from_jwk_set(jwk_set(&["one"])).unwrap()
}

fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn nobody_is_let_in_while_redis_is_away() {
    let mut server = server();
    let store = SessionStore::connect(server.url()).unwrap();
    let created = store.login(&Login::new("42")).await.unwrap();
    server.kill();
    for _ in 0..3 {
        assert!(is_unavailable(&store.touch(token(&created), &Visitor::new()).await));
        assert!(is_unavailable(&store.login(&Login::new("42")).await));
        assert!(is_unavailable(&store.logout(token(&created)).await));
        assert!(is_unavailable(&store.devices("42").await));
    }
    server.start_again();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while is_unavailable(&store.touch(token(&created), &Visitor::new()).await) {
        assert!(std::time::Instant::now() < deadline, "the connection does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(store.logout(token(&created)).await.unwrap(), "the session has outlived the outage");
}

#[tokio::test]
async fn a_store_can_be_made_before_redis_is_there() {
    let mut server = server();
    let url = server.url();
    server.kill();
    let store = SessionStore::connect(url).unwrap();
    assert!(is_unavailable(&store.count("42").await));
    server.start_again();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while store.count("42").await.is_err() {
        assert!(std::time::Instant::now() < deadline, "the connection does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn with_a_local_verifier_a_jwt_is_good_by_itself_and_that_is_said() {
    let mut server = server();
    let store = SessionStore::connect(server.url()).unwrap().when_away(verifier());
    let created = store.login(&Login::new("42")).await.unwrap();
    let session = store.touch(token(&created), &Visitor::new()).await.unwrap();
    assert_eq!(session.assurance, Assurance::Session, "Redis is asked while it is there");
    let logged_out = store.login(&Login::new("42")).await.unwrap();
    store.logout(token(&logged_out)).await.unwrap();
    server.kill();
    let checked = store.touch(token(&created), &Visitor::new()).await.unwrap();
    assert_eq!(checked.assurance, Assurance::TokenOnly);
    assert_eq!((checked.user.as_str(), checked.id), ("42", session.id));
    assert_eq!(checked.expires_at, created.token_expires_at.unwrap());
    // That is what the assurance means.
    assert_eq!(store.touch(token(&logged_out), &Visitor::new()).await.unwrap().assurance, Assurance::TokenOnly);
    // What changes something needs Redis.
    assert!(is_unavailable(&store.login(&Login::new("42")).await));
    assert!(is_unavailable(&store.logout(token(&created)).await));
}

#[tokio::test]
async fn a_local_verifier_lets_nobody_in_whom_redis_would_not() {
    let mut server = server();
    let store = SessionStore::connect(server.url()).unwrap().when_away(verifier());
    let policy = |kind| Policy::new(CreateOptions::new().token(kind));
    let opaque = store.clone().policy(policy(TokenKind::Opaque)).login(&Login::new("42")).await.unwrap();
    let short = store.clone().policy(Policy::new(for_secs(1))).login(&Login::new("42")).await.unwrap();
    let refreshable = Policy::new(CreateOptions::new().refreshable());
    let good = store.clone().policy(refreshable).login(&Login::new("42")).await.unwrap();
    let mut con = server.connection();
    let over = short.expires_at.unix_millis();
    redis_session_tests::wait_until("the short one is over", || {
        u64::try_from(redis_session_tests::now_ms(&mut con)).unwrap() > over
    });
    let mut forged = token(&good).to_owned();
    forged.truncate(forged.len() - 4);
    forged.push_str("AAAA");
    server.kill();
    let refresh_token = good.refresh_token.as_deref().unwrap();
    for (token, reason) in [
        (token(&opaque), Reason::Type),
        (token(&short), Reason::TokenExpired),
        (forged.as_str(), Reason::Signature),
        (refresh_token, Reason::Type),
        ("nonsense", Reason::Malformed),
    ] {
        let refused = store.touch(token, &Visitor::new()).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Refused(inactive) if inactive.reason == reason), "{reason}: {refused}");
    }
    for (verifier, reason) in [
        (verifier().issuer("https://issuer.example"), Reason::Issuer),
        (verifier().audience("another"), Reason::Audience),
        (verifier().token_type("at+jwt"), Reason::Type),
    ] {
        let elsewhere = SessionStore::connect(server.url()).unwrap().when_away(verifier);
        let refused = elsewhere.touch(token(&good), &Visitor::new()).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Refused(inactive) if inactive.reason == reason), "{reason}: {refused}");
    }
}

#[tokio::test]
async fn a_server_that_may_not_answer_is_away() {
    let server = server();
    let mut con = server.connection();
    let store = SessionStore::connect(server.url()).unwrap();
    store.login(&Login::new("42")).await.unwrap();
    // A replica without its primary, told not to answer from what it has.
    redis_session_tests::cmd(&mut con, "CONFIG SET replica-serve-stale-data no").unwrap();
    redis_session_tests::cmd(&mut con, "REPLICAOF 127.0.0.1 1").unwrap();
    assert!(is_unavailable(&store.count("42").await));
}
