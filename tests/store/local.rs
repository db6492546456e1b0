//! What a local verifier is told of the server's settings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis_session::Reason;
use redis_session_store::{Assurance, LocalVerifier, Policy, SessionStore, StoreError, Visitor};
use redis_session_tests::issuer::{HS256, header, set_of, sign};
use redis_session_tests::{Server, advance_to, cmd, now_ms};

use crate::{for_secs, login, store, token};

/// What is said of a token while there is no Redis.
async fn alone(not_before: Option<SystemTime>, token: &str) -> Result<Assurance, StoreError> {
    let verifier = LocalVerifier::from_jwk_set(set_of(&[HS256.jwk()])).unwrap();
    let verifier = match not_before {
        Some(moment) => verifier.not_before(moment),
        None => verifier,
    };
    let store = SessionStore::connect("redis://127.0.0.1:1").unwrap().when_away(verifier);
    store.touch(token, &Visitor::new()).await.map(|session| session.assurance)
}

#[track_caller]
fn assert_dead(answer: Result<Assurance, StoreError>) {
    let Err(StoreError::Refused(inactive)) = answer else { panic!("{answer:?}") };
    assert_eq!(inactive.reason, Reason::UserRevoked);
}

/// Its clock is behind that of this process, by which the store checks tokens alone: so tests can move it on.
fn server() -> Server {
    let server = Server::builder().clock_behind(Duration::from_secs(60));
    server.file("keys.json", set_of(&[HS256.jwk()])).config("session.keys-file keys.json").start()
}

#[tokio::test]
async fn what_not_before_ends_on_the_server_it_ends_without() {
    let server = server();
    let mut con = server.connection();
    let store = store(&server).await.policy(Policy::new(for_secs(3600)));
    let before = login(&store, "42").await;
    let began = now_ms(&mut con);
    // A JWT tells its second alone, so the next one.
    let moment = (began / 1000 + 1) * 1000;
    advance_to(&mut con, moment);
    let after = login(&store, "42").await;
    cmd(&mut con, &format!("CONFIG SET session.not-before {moment}")).unwrap();
    let not_before = Some(UNIX_EPOCH + Duration::from_millis(u64::try_from(moment).unwrap()));

    assert_dead(store.touch(token(&before), &Visitor::new()).await.map(|session| session.assurance));
    assert_dead(alone(not_before, token(&before)).await);
    assert!(store.touch(token(&after), &Visitor::new()).await.is_ok());
    assert_eq!(alone(not_before, token(&after)).await.unwrap(), Assurance::TokenOnly);
    let in_its_second = not_before.map(|moment| moment + Duration::from_millis(1000));
    assert_dead(alone(in_its_second, token(&after)).await);
    for none in [None, Some(UNIX_EPOCH), Some(UNIX_EPOCH - Duration::from_secs(1))] {
        assert_eq!(alone(none, token(&before)).await.unwrap(), Assurance::TokenOnly, "{none:?}");
    }
}

#[tokio::test]
async fn what_does_not_say_when_it_was_issued_is_from_before() {
    let claims = serde_json::json!({"sub": "42", "jti": "a", "exp": 4_000_000_000_u64});
    let token = sign(&header(), &claims);
    assert_eq!(alone(None, &token).await.unwrap(), Assurance::TokenOnly);
    assert_dead(alone(Some(UNIX_EPOCH + Duration::from_millis(1)), &token).await);
}
