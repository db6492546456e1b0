//! SESSION.STATS and the section of INFO.

use std::time::Duration;

use redis::Connection;
use redis_session_tests::{Fields, Server, ServerBuilder, cmd, cmd_args, create, fields, verdict, wait_until};

fn stats(con: &mut Connection) -> Fields {
    fields(cmd(con, "SESSION.STATS").unwrap())
}

/// Users and sessions that are stored.
fn stored(server: &Server) -> (i64, i64) {
    let stats = stats(&mut server.connection());
    (stats.int("users"), stats.int("sessions"))
}

#[test]
fn info_says_what_session_stats_says() {
    let server = Server::start();
    for mut con in [server.connection(), server.connection_resp3()] {
        create(&mut con, "sessions:42 AGENT phone");
        let stats = stats(&mut con);
        assert!(stats.names().len() > 30);
        let moves = |name: &&str| name.starts_with("sweep_") || *name == "keys_age_seconds";
        for name in stats.names().into_iter().filter(|name| !moves(name)) {
            assert_eq!(server.info("session", &format!("session_{name}")), stats.int(name).to_string(), "{name}");
        }
    }
}

#[test]
fn what_clients_do_is_counted() {
    let server = Server::builder().config("session.sweep-time 0").start();
    let mut con = server.connection();
    let first = create(&mut con, "sessions:42 ID one REFRESH 600");
    create(&mut con, "sessions:42 ID two MAX 1");
    assert_eq!(verdict(&mut con, "sessions:42", &first.str("token")), "evicted");
    let login = create(&mut con, "sessions:43 REFRESH 600");
    for _ in 0..3 {
        assert_eq!(verdict(&mut con, "sessions:43", &login.str("token")), "active");
    }
    cmd_args(&mut con, ["SESSION.TOUCH", "sessions:43", &login.str("token")]).unwrap();
    cmd_args(&mut con, ["SESSION.TOUCH", "sessions:43", "nonsense"]).unwrap();
    let refresh =
        |con: &mut Connection, token: &str| fields(cmd_args(con, ["SESSION.REFRESH", "sessions:43", token]).unwrap());
    let next = refresh(&mut con, &login.str("refresh_token"));
    let id = refresh(&mut con, &next.str("refresh_token")).str("id");
    refresh(&mut con, &login.str("refresh_token"));
    let login = create(&mut con, "sessions:44");
    cmd_args(&mut con, ["SESSION.REGENERATE", "sessions:44", &login.str("id")]).unwrap();
    cmd_args(&mut con, ["SESSION.REGENERATE", "sessions:43", &id]).unwrap();
    create(&mut con, "sessions:44");
    cmd(&mut con, "SESSION.REVOKEUSER sessions:44").unwrap();
    cmd(&mut con, "SESSION.REVOKE sessions:42 one two").unwrap();
    let stats = stats(&mut con);
    let is_counted = |(name, count): &(&str, i64)| {
        *count != 0
            && !name.ends_with("_fingerprint")
            && !["keys_age_seconds", "audit_maxlen", "audit_headroom"].contains(name)
    };
    let counted: Vec<_> = stats.names().into_iter().map(|name| (name, stats.int(name))).filter(is_counted).collect();
    let expected = [
        ("created", 5),
        ("validated", 3),
        ("touched", 1),
        ("refreshed", 2),
        ("reused", 1),
        ("regenerated", 1),
        ("evicted", 1),
        ("revoked", 3),
        ("refused_malformed", 1),
        ("refused_evicted", 1),
        // The old refresh token, and the id of the session that it ended.
        ("refused_reused", 2),
        ("malformed_parts", 1),
        ("token_cache_hits", 3),
        // What is shorter than a code is not looked up.
        ("token_cache_misses", 2),
        ("keys", 1),
    ];
    assert_eq!(counted, expected);
}

#[test]
fn what_is_refused_as_misuse_is_not_counted() {
    let server = Server::start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 ID one");
    for line in ["SESSION.CREATE sessions:42 ID one", "SESSION.CREATE sessions:42 MAX 1 REJECT", "SESSION.VALIDATE a b"]
    {
        cmd(&mut con, line).unwrap_err();
    }
    let stats = stats(&mut con);
    assert_eq!((stats.int("created"), stats.int("refused_malformed")), (1, 0));
}

#[test]
fn what_is_stored_is_counted_however_it_comes_and_goes() {
    let server = Server::start();
    let mut con = server.connection();
    for n in 0..40 {
        create(&mut con, &format!("sessions:crowd ID s{n}"));
    }
    create(&mut con, "sessions:42 ID one");
    assert_eq!(stored(&server), (2, 41));
    cmd(&mut con, "COPY sessions:crowd sessions:copy").unwrap();
    assert_eq!(stored(&server), (3, 81));
    cmd(&mut con, "RENAME sessions:copy sessions:42").unwrap();
    assert_eq!(stored(&server), (2, 80));
    let payload: Vec<u8> = redis::cmd("DUMP").arg("sessions:42").query(&mut con).unwrap();
    redis::cmd("RESTORE").arg("sessions:43").arg(0).arg(&payload).exec(&mut con).unwrap();
    redis::cmd("RESTORE").arg("sessions:43").arg(0).arg(&payload).exec(&mut con).unwrap_err();
    redis::cmd("RESTORE").arg("sessions:43").arg(0).arg(&payload).arg("REPLACE").exec(&mut con).unwrap();
    assert_eq!(stored(&server), (3, 120));
    cmd(&mut con, "SESSION.REVOKE sessions:43 s1 s2 s3 s2").unwrap();
    assert_eq!(stored(&server), (3, 117));
    cmd(&mut con, "SESSION.REVOKEUSER sessions:43").unwrap();
    assert_eq!(stored(&server), (2, 80));
    cmd(&mut con, "SESSION.REGENERATE sessions:42 s7").unwrap();
    assert_eq!(stored(&server), (2, 80));
    cmd(&mut con, "UNLINK sessions:42").unwrap();
    wait_until("the value is freed", || stored(&server) == (1, 40));
    cmd(&mut con, "MOVE sessions:crowd 5").unwrap();
    cmd(&mut con, "SWAPDB 0 5").unwrap();
    assert_eq!(stored(&server), (1, 40));
    cmd(&mut con, "FLUSHALL ASYNC").unwrap();
    wait_until("everything is freed", || stored(&server) == (0, 0));
}

#[test]
fn what_is_stored_is_counted_after_a_restart_and_on_replicas() {
    // The test waits for the replica itself, so SHUTDOWN need not: that takes it up to a second.
    let quick = "shutdown-timeout 0";
    let mut server = Server::builder().appendonly().config("session.sweep-time 0").config(quick).start();
    let mut con = server.connection();
    for n in 0..40 {
        create(&mut con, &format!("sessions:{}", n % 3));
    }
    cmd(&mut con, "SESSION.REVOKEUSER sessions:2").unwrap();
    let replica = ServerBuilder::new().replica_of(&server).start();
    server.wait_for_sync(&replica);
    create(&mut con, "sessions:1");
    server.wait_for_sync(&replica);
    assert_eq!(stored(&server), (2, 28));
    assert_eq!(stored(&replica), (2, 28));
    assert_eq!(stats(&mut replica.connection()).int("created"), 0, "the primary's doing");
    server.restart_without_saving();
    assert_eq!(stored(&server), (2, 28));
    assert_eq!(stats(&mut server.connection()).int("created"), 0, "it was before the start");
    cmd(&mut server.connection(), "DEBUG RELOAD").unwrap();
    wait_until("the values from before are freed", || stored(&server) == (2, 28));
}

#[test]
fn what_is_stored_is_counted_after_each_kind_of_flush() {
    let server = Server::builder().config("lazyfree-lazy-user-flush no").start();
    let mut con = server.connection();
    for flush in ["FLUSHDB SYNC", "FLUSHDB ASYNC", "FLUSHALL SYNC", "FLUSHALL ASYNC"] {
        for n in 0..100 {
            create(&mut con, &format!("sessions:{} AGENT browser-{n}", n % 2));
        }
        cmd(&mut con, "SELECT 1").unwrap();
        create(&mut con, "sessions:elsewhere AGENT phone");
        cmd(&mut con, "SELECT 0").unwrap();
        // What is flushed was in the other database, and keeps its count on the way.
        cmd(&mut con, "SWAPDB 0 1").unwrap();
        cmd(&mut con, "SWAPDB 0 1").unwrap();
        assert_eq!(stored(&server), (3, 101), "{flush}");
        cmd(&mut con, "DEBUG RELOAD").unwrap();
        // Valkey frees what was there in the background.
        wait_until("the values from before are freed", || stored(&server) == (3, 101));
        cmd(&mut con, flush).unwrap();
        let left = if flush.starts_with("FLUSHDB") { (1, 1) } else { (0, 0) };
        wait_until(flush, || stored(&server) == left);
        cmd(&mut con, "FLUSHALL").unwrap();
        wait_until("all user agents are released", || stats(&mut con).int("agents") == 0);
    }
}

#[test]
fn what_is_stored_is_counted_on_a_server_that_takes_over_anothers_data() {
    let primary = Server::start();
    create(&mut primary.connection(), "sessions:42 AGENT phone");
    for load in ["disabled", "on-empty-db", "swapdb"] {
        let replica = Server::builder().config(format!("repl-diskless-load {load}")).start();
        for n in 0..40 {
            create(&mut replica.connection(), &format!("sessions:{n} AGENT browser-{n}"));
        }
        assert_eq!(stored(&replica), (40, 40));
        cmd(&mut replica.connection(), &format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap();
        primary.wait_for_sync(&replica);
        wait_until(load, || stored(&replica) == (1, 1));
        create(&mut primary.connection(), "sessions:43");
        primary.wait_for_sync(&replica);
        assert_eq!(stored(&replica), (2, 2), "{load}");
        cmd(&mut primary.connection(), "FLUSHALL").unwrap();
        primary.wait_for_sync(&replica);
        wait_until("the replica is empty", || stored(&replica) == (0, 0));
        create(&mut primary.connection(), "sessions:42 AGENT phone");
    }
}

#[test]
fn keys_that_expire_or_are_evicted_are_not_counted_any_more() {
    let server = Server::start();
    let mut con = server.connection();
    for n in 0..20 {
        create(&mut con, &format!("sessions:{n} TOKEN NONE"));
    }
    cmd(&mut con, "PEXPIRE sessions:7 1").unwrap();
    wait_until("one is expired", || stored(&server) == (19, 19));
    cmd(&mut con, "CONFIG SET maxmemory-policy allkeys-random").unwrap();
    cmd(&mut con, "CONFIG SET maxmemory 1").unwrap();
    wait_until("the others are evicted", || stored(&server) == (0, 0));
}

#[test]
fn servers_that_are_set_alike_have_the_same_fingerprints() {
    let fingerprints = |server: &Server| {
        let stats = stats(&mut server.connection());
        (stats.int("keys_fingerprint"), stats.int("settings_fingerprint"))
    };
    let one = Server::builder().keys(&["one", "two"]).start();
    let mut two = Server::builder().keys(&["one", "two"]).start();
    let known = fingerprints(&one);
    assert_eq!(fingerprints(&two), known);
    let mut con = two.connection();
    for line in ["session.sweep-time 2000", "session.token-cache 100", "session.active-kid one"] {
        cmd(&mut con, &format!("CONFIG SET {line}")).unwrap();
    }
    assert_eq!(fingerprints(&two), known, "how much of a machine is used, and the key that signs by itself");
    cmd(&mut con, "CONFIG SET session.active-kid two").unwrap();
    let other = fingerprints(&two);
    assert!(other.0 != known.0 && other.1 == known.1, "another key signs");
    cmd_args(&mut con, ["CONFIG", "SET", "session.active-kid", ""]).unwrap();
    assert_eq!(fingerprints(&two), known);
    cmd(&mut con, "CONFIG SET session.not-before 1000").unwrap();
    let other = fingerprints(&two);
    assert!(other.0 == known.0 && other.1 != known.1, "an emergency switch");
    cmd(&mut con, "CONFIG SET session.not-before 0").unwrap();
    two.write("keys.json", redis_session_tests::jwk_set(&["one", "three"]));
    cmd(&mut con, "SESSION.RELOADKEYS").unwrap();
    let other = fingerprints(&two);
    assert!(other.0 != known.0 && other.1 == known.1, "another key");
    two.restart();
    assert_eq!(fingerprints(&two), other);
}

#[test]
fn the_age_of_keys_is_that_of_their_file_over_restarts() {
    let mut server = Server::builder().keys(&["one"]).start();
    let day = 86_400;
    server.advance(Duration::from_secs(200 * day));
    let age = |server: &Server| u64::try_from(stats(&mut server.connection()).int("keys_age_seconds")).unwrap() / day;
    assert_eq!(age(&server), 200);
    server.restart();
    assert_eq!(age(&server), 200, "a restart makes no key younger");
    cmd(&mut server.connection(), "SESSION.RELOADKEYS").unwrap();
    assert_eq!(age(&server), 200, "neither does reading the same file");
}

#[test]
fn entries_of_the_audit_stream_are_counted() {
    let server = Server::builder().config("session.audit-stream audit\nsession.audit-maxlen 5000").start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 ID one");
    cmd(&mut con, "SESSION.REVOKE sessions:42 one").unwrap();
    cmd(&mut con, "SESSION.REVOKEALL").unwrap();
    let figures = |con: &mut Connection| {
        let stats = stats(con);
        ["audit_added", "audit_failures", "audit_maxlen"].map(|name| stats.int(name))
    };
    assert_eq!(figures(&mut con), [3, 0, 5000]);
    cmd(&mut con, "DEL audit").unwrap();
    cmd(&mut con, "SET audit text").unwrap();
    create(&mut con, "sessions:42");
    assert_eq!(figures(&mut con), [3, 1, 5000]);
}

#[test]
fn a_command_that_panicked_is_counted() {
    let server = Server::start();
    let mut con = server.connection();
    cmd(&mut con, "SESSION.GET sessions:42 INJECT-PANIC").unwrap_err();
    assert_eq!(stats(&mut con).int("panics"), 1);
}
