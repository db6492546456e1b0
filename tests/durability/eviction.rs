//! What becomes of sessions when the server runs out of memory.

use std::ops::Range;

use redis::Connection;
use redis_session_tests::{Server, cmd, cmd_args, create, error, fields, int, verdict, wait_until};

use crate::users::{server, stored};

/// Every policy that makes room.
const EVICTING: [&str; 7] =
    ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"];

const USERS: usize = 240;

fn number(server: &Server, section: &str, name: &str) -> i64 {
    server.info(section, name).parse().unwrap()
}

/// What it takes to be asked for the figures, at most: the server makes room before that, and no more than it must.
const ASKING: i64 = 10_000;

/// What is compared with `maxmemory`: all that is used, but not what waits to be sent to replicas.
fn used(server: &Server) -> i64 {
    number(server, "memory", "used_memory") - number(server, "memory", "mem_not_counted_for_evict")
}

/// Logs in each user twice, with about three kilobytes. The token of one session of each.
fn log_in(con: &mut Connection, users: Range<usize>) -> Vec<String> {
    let mut pipe = redis::pipe();
    let data = "x".repeat(2500);
    for user in users {
        let (key, agent) = (format!("sessions:{user}"), format!("{user:0>400}"));
        pipe.cmd("SESSION.CREATE").arg(&key).arg(&["TOKEN", "NONE", "AGENT", &agent, "DATA", "1", "f", &data]).ignore();
        pipe.cmd("SESSION.CREATE").arg(&key).arg(&["TOKEN", "OPAQUE", "AGENT", &agent]);
    }
    let replies: Vec<redis::Value> = pipe.query(con).unwrap();
    replies.into_iter().map(|reply| fields(reply).str("token")).collect()
}

/// Empties the server, and sets the policy by which it makes room. All memory is free when this returns: some servers
/// leave that to a background thread.
fn empty_with(server: &Server, policy: &str) {
    let policy = format!("CONFIG SET maxmemory 0 maxmemory-policy {policy}");
    for line in [&policy, "FLUSHALL SYNC", "CONFIG RESETSTAT"] {
        cmd(&mut server.connection(), line).unwrap();
    }
    wait_until("evicted users are freed", || number(server, "memory", "lazyfree_pending_objects") == 0);
}

#[test]
fn whole_users_make_room_and_replicas_follow() {
    let primary = server().config("repl-backlog-size 16kb\nlazyfree-lazy-eviction yes").start();
    let replica = server().replica_of(&primary).start();
    let mut con = primary.connection();
    for policy in EVICTING {
        empty_with(&primary, policy);
        primary.wait_for_sync(&replica);
        let empty = used(&primary);
        let tokens = log_in(&mut con, 0..USERS);
        primary.wait_for_sync(&replica);
        let full = used(&primary);
        assert!(full > empty + USERS as i64 * 2500, "{policy}: {empty} {full}");

        // Room for half of them.
        let half = empty + (full - empty) / 2;
        cmd(&mut con, &format!("CONFIG SET maxmemory {half}")).unwrap();
        wait_until("there is room", || {
            cmd(&mut con, "PING").unwrap();
            used(&primary) <= half + ASKING
        });
        cmd(&mut con, "CONFIG SET maxmemory 0").unwrap();
        let left = int(&mut con, "DBSIZE");
        // As many went as had to.
        assert!((USERS as i64 / 5..USERS as i64 * 4 / 5).contains(&left), "{policy}: {left} are left");
        assert_eq!(number(&primary, "stats", "evicted_keys"), USERS as i64 - left, "{policy}");
        primary.wait_for_sync(&replica);
        let kept = stored(&primary);
        assert_eq!(stored(&replica), kept, "{policy}");
        for (user, token) in tokens.iter().enumerate() {
            let key = format!("sessions:{user}");
            // All of a user or nothing.
            let (count, expected) = if kept.contains_key(&key) { (2, "active") } else { (0, "unknown") };
            assert_eq!(int(&mut con, &format!("SESSION.COUNT {key}")), count, "{policy} {key}");
            assert_eq!(verdict(&mut con, &key, token), expected, "{policy} {key}");
        }
        // Who was evicted can log in again.
        log_in(&mut con, 0..USERS);
        assert_eq!(int(&mut con, "DBSIZE"), USERS as i64, "{policy}");
    }
}

/// Or the server would evict ever more users to get what those hold who are gone.
#[test]
fn user_agents_go_with_their_users_at_once() {
    let server = server().config("maxmemory-policy allkeys-random").start();
    let mut con = server.connection();
    let empty = used(&server);
    let mut pipe = redis::pipe();
    for user in 0..2000 {
        let create = pipe.cmd("SESSION.CREATE").arg(format!("sessions:{user}")).arg(&["TOKEN", "NONE", "AGENT"]);
        create.arg(format!("{user:0>500}")).ignore();
    }
    pipe.exec(&mut con).unwrap();
    let limit = empty + (used(&server) - empty) * 3 / 4;
    cmd(&mut con, &format!("CONFIG SET maxmemory {limit}")).unwrap();
    wait_until("there is room", || {
        cmd(&mut con, "PING").unwrap();
        used(&server) <= limit + ASKING
    });
    let left = int(&mut con, "DBSIZE");
    assert!((1000..2000).contains(&left), "{left} are left");
}

#[test]
fn logins_under_pressure_make_room_for_themselves() {
    let server = server().start();
    let mut con = server.connection();
    for policy in EVICTING {
        empty_with(&server, policy);
        let limit = used(&server) + 500_000;
        cmd(&mut con, &format!("CONFIG SET maxmemory {limit}")).unwrap();
        for first in (0..USERS).step_by(40) {
            let tokens = log_in(&mut con, first..first + 40);
            // The newest may go at once, with the policies that look at deadlines, or at nothing.
            for (user, token) in (first..).zip(tokens) {
                let verdict = verdict(&mut con, &format!("sessions:{user}"), &token);
                assert!(["active", "unknown"].contains(&&verdict[..]), "{policy}: {verdict}");
            }
        }
        assert!(number(&server, "stats", "evicted_keys") > 100, "{policy}");
        assert!(int(&mut con, "DBSIZE") > 10, "{policy}");
        // One command may have gone beyond it.
        assert!(used(&server) < limit + 200_000, "{policy}: {} of {limit}", used(&server));
    }
}

#[test]
fn without_eviction_nothing_new_begins_and_everything_can_be_ended() {
    let server = server().config("maxmemory-policy noeviction").start();
    let mut con = server.connection();
    let session = create(&mut con, "sessions:42 TOKEN OPAQUE REFRESH 0 IDLE 600 DATA 1 theme dark");
    let (id, token, refresh) = (session.str("id"), session.str("token"), session.str("refresh_token"));
    let other = create(&mut con, "sessions:42 TOKEN OPAQUE").str("id");
    cmd(&mut con, "CONFIG SET maxmemory 1").unwrap();
    let before = server.digest("sessions:42");
    for line in [
        "SESSION.CREATE sessions:42",
        "SESSION.CREATE sessions:43",
        &format!("SESSION.REFRESH sessions:42 {refresh}"),
        &format!("SESSION.REGENERATE sessions:42 {token}"),
        &format!("SESSION.SET sessions:42 {id} theme light"),
    ] {
        assert!(error(&mut con, line).starts_with("OOM"), "{line}");
    }
    assert_eq!(server.digest("sessions:42"), before);
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
    assert!(fields(cmd_args(&mut con, ["SESSION.TOUCH", "sessions:42", &token]).unwrap()).bool("active"));
    assert_eq!(int(&mut con, &format!("SESSION.UNSET sessions:42 {id} theme")), 1);
    assert_eq!(int(&mut con, &format!("SESSION.REVOKE sessions:42 {other}")), 1);
    // A JWT without a session here is denied too: that takes memory, but not much.
    cmd(&mut con, "CONFIG SET maxmemory 0").unwrap();
    let foreign = create(&mut con, "sessions:43").str("token");
    cmd(&mut con, "DEL sessions:43").unwrap();
    cmd(&mut con, "CONFIG SET maxmemory 1").unwrap();
    assert_eq!(int(&mut con, &format!("SESSION.REVOKE sessions:43 {foreign}")), 1);
    assert_eq!(verdict(&mut con, "sessions:43", &foreign), "revoked");
    assert_eq!(int(&mut con, "SESSION.REVOKEUSER sessions:42"), 1);
    assert_eq!(verdict(&mut con, "sessions:42", &token), "user_revoked");
    assert_eq!(number(&server, "stats", "evicted_keys"), 0);
}

#[test]
fn a_replica_out_of_memory_takes_what_its_primary_sends() {
    let primary = server().start();
    let replica = server().config("maxmemory-policy noeviction").replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    cmd(&mut replica.connection(), "CONFIG SET maxmemory 1").unwrap();
    let mut con = primary.connection();
    log_in(&mut con, 0..20);
    primary.wait_for_sync(&replica);
    assert_eq!(stored(&replica), stored(&primary));
}

/// Why `noeviction` is the policy to have: what was denied goes with the rest.
#[test]
fn an_evicted_user_is_logged_out_and_what_was_denied_is_forgotten() {
    let server = server().config("maxmemory-policy volatile-ttl").start();
    let mut con = server.connection();
    let live = create(&mut con, "sessions:42").str("token");
    let revoked = create(&mut con, "sessions:42").str("token");
    assert_eq!(cmd_args(&mut con, ["SESSION.REVOKE", "sessions:42", &revoked]).unwrap(), redis::Value::Int(1));
    let ended = create(&mut con, "sessions:43").str("token");
    cmd(&mut con, "SESSION.REVOKEUSER sessions:43").unwrap();
    let stateless = |con: &mut Connection, key: &str, token: &str| {
        let reply = fields(cmd_args(con, ["SESSION.VALIDATE", key, token, "STATELESS"]).unwrap());
        if reply.bool("active") { "active".to_owned() } else { reply.str("reason") }
    };
    assert_eq!(stateless(&mut con, "sessions:42", &revoked), "revoked");
    assert_eq!(stateless(&mut con, "sessions:43", &ended), "user_revoked");
    cmd(&mut con, "CONFIG SET maxmemory 1").unwrap();
    wait_until("both users are evicted", || {
        cmd(&mut con, "PING").unwrap();
        int(&mut con, "DBSIZE") == 0
    });
    cmd(&mut con, "CONFIG SET maxmemory 0").unwrap();
    for (key, token) in [("sessions:42", &live), ("sessions:42", &revoked), ("sessions:43", &ended)] {
        assert_eq!(verdict(&mut con, key, token), "unknown", "a check that asks for the session refuses");
        assert_eq!(stateless(&mut con, key, token), "active", "one that does not, does not");
    }
}
