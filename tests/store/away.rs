//! When Redis is away.

use std::time::Duration;

use redis_session::{CreateOptions, Reason, TokenFormat};
use redis_session_store::{Assurance, LocalVerifier, Login, Policy, SessionStore, StoreError, Visitor};
use redis_session_tests::{Sentinels, Server, ServerBuilder, jwk_set};

use crate::forwarder::Forwarder;
use crate::{for_secs, sentinels_primary, token};

fn server() -> Server {
    durable().start()
}

fn durable() -> ServerBuilder {
    ServerBuilder::new().keys(&["one"]).appendonly()
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
    let store = SessionStore::connect(server.url()).unwrap().policy(Policy::new(for_secs(600))).when_away(verifier());
    let created = store.login(&Login::new("42")).await.unwrap();
    let session = store.touch(token(&created), &Visitor::new()).await.unwrap();
    assert_eq!(session.assurance, Assurance::Session, "Redis is asked while it is there");
    let logged_out = store.login(&Login::new("42")).await.unwrap();
    store.logout(token(&logged_out)).await.unwrap();
    server.kill();
    let checked = store.touch(token(&created), &Visitor::new()).await.unwrap();
    assert_eq!(checked.assurance, Assurance::TokenOnly);
    assert_eq!((checked.user.as_str(), &checked.id), ("42", &session.id));
    assert_eq!(checked.expires_at, created.token_expires_at.unwrap());
    // That is what the assurance means.
    assert_eq!(store.touch(token(&logged_out), &Visitor::new()).await.unwrap().assurance, Assurance::TokenOnly);
    // What changes something needs Redis.
    assert!(is_unavailable(&store.login(&Login::new("42")).await));
    assert!(is_unavailable(&store.logout(token(&created)).await));
}

#[tokio::test]
async fn a_local_verifier_lets_nobody_in_whom_redis_would_not() {
    // The verifier goes by this process's clock, which nobody moves.
    let mut server = durable().clock_behind(Duration::from_secs(60)).start();
    let store = SessionStore::connect(server.url()).unwrap().policy(Policy::new(for_secs(600))).when_away(verifier());
    let policy = |kind| Policy::new(CreateOptions::new().token(kind));
    let opaque = store.clone().policy(policy(TokenFormat::Opaque)).login(&Login::new("42")).await.unwrap();
    let short = store.clone().policy(Policy::new(for_secs(1))).login(&Login::new("42")).await.unwrap();
    let refreshable = Policy::new(for_secs(600).refreshable());
    let good = store.clone().policy(refreshable).login(&Login::new("42")).await.unwrap();
    let mut forged = token(&good).to_owned();
    forged.truncate(forged.len() - 4);
    forged.push_str("AAAA");
    server.kill();
    let refresh_token = good.refresh_token.as_deref().unwrap();
    for (token, reason) in [
        (token(&short), Reason::TokenExpired),
        (forged.as_str(), Reason::Signature),
        (refresh_token, Reason::Type),
        ("nonsense", Reason::Malformed),
    ] {
        let refused = store.touch(token, &Visitor::new()).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Refused(inactive) if inactive.reason == reason), "{reason}: {refused}");
    }
    // What it cannot tell is left to Redis, so that an outage logs nobody out.
    assert!(is_unavailable(&store.touch(token(&opaque), &Visitor::new()).await));
    let other_keys = LocalVerifier::from_jwk_set(jwk_set(&["another"])).unwrap();
    assert!(is_unavailable(&store.clone().when_away(other_keys).touch(token(&good), &Visitor::new()).await));
    for (verifier, reason) in [
        (verifier().issuer("https://issuer.example"), Reason::Issuer),
        (verifier().audience("another"), Reason::Audience),
        (verifier().token_type("at+jwt"), Reason::Type),
    ] {
        let elsewhere =
            SessionStore::connect(server.url()).unwrap().policy(Policy::new(for_secs(600))).when_away(verifier);
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

/// What a call of this store answers, in time.
async fn soon<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(Duration::from_secs(30), call).await.expect("every wait is bounded")
}

/// Waits until a call of this store succeeds.
async fn recovers<T>(what: &str, call: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        match soon(call()).await {
            Ok(answer) => return answer,
            Err(StoreError::Unavailable(error)) => {
                assert!(std::time::Instant::now() < deadline, "{what}: the connection does not come back: {error}");
            }
            Err(error) => panic!("{what}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// As when the host loses its power: nobody closes the connection.
#[tokio::test]
async fn a_connection_that_fell_silent_is_replaced() {
    let server = server();
    let forwarder = Forwarder::to(server.port());
    let store = SessionStore::connect(forwarder.url()).unwrap();
    let created = store.login(&Login::new("42")).await.unwrap();
    forwarder.silence_connections();
    assert!(is_unavailable(&soon(store.touch(token(&created), &Visitor::new())).await));
    recovers("silence", async || store.touch(token(&created), &Visitor::new()).await).await;
}

/// After an idle night behind a firewall, say. Over RESP3 its end is told, if that has been read by then.
#[tokio::test]
async fn over_resp3_a_connection_that_was_closed_costs_no_call() {
    let server = server();
    let store = SessionStore::connect(format!("{}?protocol=resp3", server.url())).unwrap();
    let created = store.login(&Login::new("42")).await.unwrap();
    for pause in [100, 300, 1000, 3000] {
        let mut kill = redis::cmd("CLIENT");
        let killed: u32 = kill.arg("KILL").arg("TYPE").arg("normal").query(&mut server.connection()).unwrap();
        assert_eq!(killed, 1);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if soon(store.touch(token(&created), &Visitor::new())).await.is_ok() {
            return;
        }
        recovers("a closed connection", async || store.touch(token(&created), &Visitor::new()).await).await;
    }
    panic!("each time a call failed");
}

#[tokio::test]
async fn a_connection_that_does_not_succeed_at_first_is_made_later() {
    let server = server();
    let acl = |line: &str| redis_session_tests::cmd(&mut server.connection(), line).unwrap();
    let url = format!("redis://app:secret@127.0.0.1:{}/", server.port());
    let store = SessionStore::connect(url).unwrap();
    assert!(soon(store.count("42")).await.is_err(), "there is no such user yet");
    acl("ACL SETUSER app on >secret ~* +@all");
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while soon(store.count("42")).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "the connection is not made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn after_a_failover_that_closes_no_connection_the_new_primary_is_found() {
    let (old, new) = (server(), server());
    let forwarder = Forwarder::to(old.port());
    let store = SessionStore::connect(forwarder.url()).unwrap();
    let created = store.login(&Login::new("42")).await.unwrap();
    redis_session_tests::cmd(&mut old.connection(), &format!("REPLICAOF 127.0.0.1 {}", new.port())).unwrap();
    forwarder.lead_to(new.port());
    assert!(is_unavailable(&store.login(&Login::new("42")).await), "the old one is a replica now");
    let again = recovers("demotion", async || store.login(&Login::new("42")).await).await;
    assert_ne!(again.id, created.id);
    let count: u64 = redis::cmd("SESSION.COUNT").arg("sessions:42").query(&mut new.connection()).unwrap();
    assert!(count > 0, "it is at the new primary");
}

#[tokio::test]
async fn a_replica_refuses_changes_and_answers_questions() {
    let (primary, replica) = (server(), server());
    let created = SessionStore::connect(primary.url()).unwrap().login(&Login::new("42")).await.unwrap();
    redis_session_tests::cmd(&mut replica.connection(), &format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap();
    primary.wait_for_sync(&replica);
    let connections = || replica.info("stats", "total_connections_received").parse::<u64>().unwrap();
    let store = SessionStore::connect(replica.url()).unwrap();
    let before = connections();
    for _ in 0..200 {
        assert!(is_unavailable(&store.touch(token(&created), &Visitor::new()).await));
        store.authenticate(token(&created), &Visitor::new()).await.unwrap();
    }
    assert_eq!(store.devices("42").await.unwrap().len(), 1);
    let made = connections() - before;
    assert!((2..100).contains(&made), "a primary is looked for, and not each time: {made}");
}

fn was_not_asked<T: std::fmt::Debug>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable(error)) if error.to_string().contains("was away a moment ago"))
}

#[tokio::test]
async fn a_server_that_hangs_is_away_until_it_goes_on() {
    let server = server();
    let store = SessionStore::connect(server.url()).unwrap();
    let created = store.login(&Login::new("42")).await.unwrap();
    let stopped = server.freeze();
    let mut at_once = 0;
    for _ in 0..8 {
        let answer = soon(store.touch(token(&created), &Visitor::new())).await;
        assert!(is_unavailable(&answer), "{answer:?}");
        at_once += u32::from(was_not_asked(&answer));
    }
    assert!(at_once > 0, "after some slow answers, calls do not wait");
    drop(stopped);
    recovers("a hang", async || store.touch(token(&created), &Visitor::new()).await).await;
}

/// What many calls find out at the same time is one thing.
#[tokio::test]
async fn one_slow_moment_is_no_outage_however_many_calls_it_meets() {
    let server = server();
    let store = SessionStore::connect(server.url()).unwrap();
    let created = store.login(&Login::new("42")).await.unwrap();
    let stopped = server.freeze();
    let calls = (0..50).map(|_| {
        let (store, token) = (store.clone(), token(&created).to_owned());
        tokio::spawn(async move { store.touch(&token, &Visitor::new()).await.map(|_| ()) })
    });
    for call in calls.collect::<Vec<_>>() {
        let answer = soon(async { call.await.unwrap() }).await;
        assert!(is_unavailable(&answer) && !was_not_asked(&answer), "{answer:?}");
    }
    drop(stopped);
    let answer = soon(store.touch(token(&created), &Visitor::new())).await;
    assert!(!was_not_asked(&answer), "{answer:?}");
}

/// How a server comes to take no changes, and how it comes to take them again.
const NO_CHANGES: [[&str; 2]; 3] = [
    ["CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"],
    ["CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"],
    // A snapshot that failed, as on a full disk: its file would be in the place of a folder.
    ["BGSAVE", "CONFIG SET stop-writes-on-bgsave-error no"],
];

/// A server that cannot write a snapshot, and stops taking changes when it has tried.
fn server_without_snapshots() -> Server {
    let server = ServerBuilder::new().keys(&["one"]).config("save 3600 1000000\ndbfilename folder.rdb").start();
    std::fs::create_dir(server.config_path().parent().unwrap().join("folder.rdb")).unwrap();
    server
}

fn stop_changes(server: &Server, line: &str) {
    redis_session_tests::cmd(&mut server.connection(), line).unwrap();
    if line == "BGSAVE" {
        redis_session_tests::wait_until("the snapshot has failed", || {
            server.info("persistence", "rdb_last_bgsave_status") == "err"
        });
    }
}

#[tokio::test]
async fn a_server_that_takes_no_changes_now_is_away_for_what_changes_something() {
    let server = server_without_snapshots();
    let store = SessionStore::connect(server.url()).unwrap();
    let created = store.login(&Login::new("42")).await.unwrap();
    for [on, off] in NO_CHANGES {
        stop_changes(&server, on);
        for _ in 0..3 {
            let refused = store.login(&Login::new("42")).await;
            assert!(is_unavailable(&refused), "{on}: {refused:?}");
            store.authenticate(token(&created), &Visitor::new()).await.unwrap();
        }
        redis_session_tests::cmd(&mut server.connection(), off).unwrap();
        store.login(&Login::new("42")).await.unwrap();
    }
}

/// A verifier speaks where Redis cannot, not where it only cannot note that a session is in use.
#[tokio::test]
async fn with_a_local_verifier_a_server_that_takes_no_changes_is_still_asked() {
    let mut server = server_without_snapshots();
    let store = SessionStore::connect(server.url()).unwrap().policy(Policy::new(for_secs(600))).when_away(verifier());
    let created = store.login(&Login::new("42")).await.unwrap();
    let logged_out = store.login(&Login::new("42")).await.unwrap();
    assert!(store.logout(token(&logged_out)).await.unwrap());
    for [on, off] in NO_CHANGES.into_iter().chain([["REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"]]) {
        stop_changes(&server, on);
        for _ in 0..3 {
            let session = store.touch(token(&created), &Visitor::new()).await.unwrap();
            assert_eq!(session.assurance, Assurance::Session, "{on}");
            let refused = store.touch(token(&logged_out), &Visitor::new()).await.unwrap_err();
            let is_revoked = matches!(&refused, StoreError::Refused(inactive) if inactive.reason == Reason::Revoked);
            assert!(is_revoked, "{on}: {refused}");
        }
        redis_session_tests::cmd(&mut server.connection(), off).unwrap();
    }
    server.kill();
    assert_eq!(store.touch(token(&created), &Visitor::new()).await.unwrap().assurance, Assurance::TokenOnly);
}

#[tokio::test]
async fn a_store_finds_the_primary_that_sentinel_names_after_a_crash() {
    let mut primary = server();
    let replica = server();
    redis_session_tests::cmd(&mut replica.connection(), &format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap();
    primary.wait_for_sync(&replica);
    let sentinels = Sentinels::start(&primary, 1);
    let store = SessionStore::reconnecting(sentinels_primary(sentinels.urls()));
    let created = soon(store.login(&Login::new("42"))).await.unwrap();
    primary.wait_for_sync(&replica);
    primary.kill();
    assert!(is_unavailable(&soon(store.touch(token(&created), &Visitor::new())).await));
    sentinels.wait_for_another_than(primary.port());
    let session = recovers("a crash", async || store.touch(token(&created), &Visitor::new()).await).await;
    assert_eq!(session.id, created.id);
    let count: u64 = redis::cmd("SESSION.COUNT").arg("sessions:42").query(&mut replica.connection()).unwrap();
    assert_eq!(count, 1);
}
