//! When keys go by themselves. The sweep is off where it may come first.
//!
//! Keys expire by the server's own clock, which no test can move. These tests wait for it, with the shortest lifetime
//! that a session can have.

use redis_session_tests::{ServerBuilder, cmd, create, int, now_ms, verdict, wait_until};

use crate::users::server;

/// Milliseconds for which the end of a session is remembered beyond its last token.
const REMEMBERED: i64 = 600_000;

#[test]
fn a_key_lasts_as_long_as_its_last_session() {
    let server = ServerBuilder::new().start();
    let mut con = server.connection();
    let first = create(&mut con, "sessions:42 TTL 1000");
    assert_eq!(int(&mut con, "PEXPIRETIME sessions:42"), first.int("expires_at"));
    let longer = create(&mut con, "sessions:42 TTL 5000 ID longer TOKENTTL 100");
    assert_eq!(int(&mut con, "PEXPIRETIME sessions:42"), longer.int("expires_at"));
    create(&mut con, "sessions:42 TTL 10");
    assert_eq!(int(&mut con, "PEXPIRETIME sessions:42"), longer.int("expires_at"));
}

#[test]
fn a_key_lasts_as_long_as_a_token_of_a_dead_session_is_remembered() {
    let server = ServerBuilder::new().start();
    let mut con = server.connection();
    let created = create(&mut con, "sessions:42 TTL 1000 TOKEN OPAQUE");
    cmd(&mut con, &format!("SESSION.REVOKE sessions:42 {}", created.str("id"))).unwrap();
    assert_eq!(int(&mut con, "PEXPIRETIME sessions:42"), created.int("expires_at") + REMEMBERED);
}

#[test]
fn a_key_lasts_as_long_as_there_may_be_tokens_from_elsewhere_for_a_dead_session() {
    let server = ServerBuilder::new().config("session.refresh-ttl 90000").start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 TTL 1000 TOKEN OPAQUE ID one");
    let before = now_ms(&mut con);
    cmd(&mut con, "SESSION.REVOKE sessions:42 one").unwrap();
    let revoked = int(&mut con, "PEXPIRETIME sessions:42") - 90_000_000 - REMEMBERED;
    assert!((before..=now_ms(&mut con)).contains(&revoked));
}

#[test]
fn a_user_whose_sessions_are_all_over_vanishes() {
    let server = ServerBuilder::new().config("session.sweep-time 0").start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 TTL 1 TOKEN OPAQUE");
    create(&mut con, "sessions:42 TTL 1 IDLE 1 ID one");
    wait_until("the key is gone without anyone's asking for it", || int(&mut con, "DBSIZE") == 0);
    assert_eq!(server.info("stats", "expired_keys"), "1");
}

#[test]
fn a_login_after_the_key_expired_finds_nothing_of_before() {
    let server = ServerBuilder::new().config("session.sweep-time 0").start();
    let mut con = server.connection();
    cmd(&mut con, "DEBUG SET-ACTIVE-EXPIRE 0").unwrap();
    let old = create(&mut con, "sessions:42 TTL 1 ID mine");
    wait_until("the session is over", || now_ms(&mut con) >= old.int("expires_at"));
    assert_eq!(int(&mut con, "DBSIZE"), 1);
    let new = create(&mut con, "sessions:42 TTL 100 ID mine");
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 1);
    assert_eq!(int(&mut con, "PEXPIRETIME sessions:42"), new.int("expires_at"));
}

#[test]
fn a_replica_keeps_an_expired_key_until_its_primary_deletes_it() {
    let primary = server().config("session.sweep-time 0").start();
    let replicas = [server().replica_of(&primary).start(), server().replica_of(&primary).start()];
    let mut con = primary.connection();
    cmd(&mut con, "DEBUG SET-ACTIVE-EXPIRE 0").unwrap();
    replicas.iter().for_each(|replica| primary.wait_for_sync(replica));
    let token = create(&mut con, "sessions:42 TTL 1 TOKEN OPAQUE").str("token");
    replicas.iter().for_each(|replica| primary.wait_for_sync(replica));
    let [linked, lonely] = &replicas;
    cmd(&mut lonely.connection(), "REPLICAOF 127.0.0.1 1").unwrap();
    let digest = primary.digest("sessions:42");
    for replica in &replicas {
        let mut there = replica.connection();
        // Hidden, as with every type.
        wait_until("the key is over", || int(&mut there, "EXISTS sessions:42") == 0);
        // The token says by itself when its session ended.
        assert_eq!(verdict(&mut there, "sessions:42", &token), "expired");
        assert_eq!(int(&mut there, "SESSION.COUNT sessions:42"), 0);
        assert_eq!(int(&mut there, "DBSIZE"), 1);
        assert_eq!(replica.digest("sessions:42"), digest);
    }
    cmd(&mut con, "DEBUG SET-ACTIVE-EXPIRE 1").unwrap();
    wait_until("the primary deletes it", || int(&mut linked.connection(), "DBSIZE") == 0);
    assert_eq!(int(&mut lonely.connection(), "DBSIZE"), 1, "nobody told it");
}
