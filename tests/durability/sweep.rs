//! The sweep: what is dead goes from values that live on, on the primary, and everywhere else by replication.

use std::time::Duration;

use redis::Connection;
use redis_session_tests::{
    Server, ServerBuilder, cmd, cmd_args, create, create_with, fields, int, verdict, wait_until,
};

use crate::users::{server, session, stored};

/// How many sessions a server stores, dead ones that it has not swept among them.
fn stored_sessions(server: &Server) -> u64 {
    figure(server, "sessions")
}

fn figure(server: &Server, name: &str) -> u64 {
    server.info("session", &format!("session_{name}")).parse().unwrap()
}

/// A server without a sweep, until it is switched on.
fn still() -> ServerBuilder {
    server().config("session.sweep-time 0")
}

fn sweep(server: &Server) {
    cmd(&mut server.connection(), "CONFIG SET session.sweep-time 1000").unwrap();
}

/// How long sessions here last without a use, or at all, if they are to be over before others.
const SHORT: Duration = Duration::from_secs(1800);

/// Returns after the sweep's timer has gone off, whether the sweep may work or not.
///
/// DEBUG SLEEP keeps the server busy for longer than the 100 ms of the timer, and the server runs timers that are due
/// before it sends the reply.
pub fn let_a_tick_pass(con: &mut Connection) {
    cmd(con, "DEBUG SLEEP 0.15").unwrap();
}

/// Moves the clock by more than the pause between two walks, and returns after ticks that could have begun one.
fn let_a_walk_pass(server: &Server) {
    server.advance(Duration::from_secs(2));
    for _ in 0..2 {
        let_a_tick_pass(&mut server.connection());
    }
}

#[test]
fn a_session_that_died_of_time_goes_while_the_users_other_sessions_stay() {
    let server = server().start();
    let mut con = server.connection();
    let long = "x".repeat(10_000);
    let dead = create_with(&mut con, "sessions:42", &["IDLE", "1800", "DATA", "1", "note", &long, "AGENT", "phone"]);
    let live = create_with(&mut con, "sessions:42", &["AGENT", "desktop"]);
    let walks = figure(&server, "sweep_cycles");
    server.advance(SHORT - Duration::from_secs(60));
    wait_until("a walk finds nothing", || figure(&server, "sweep_cycles") > walks);
    assert_eq!(stored_sessions(&server), 2);
    server.advance(Duration::from_secs(60));
    wait_until("the sweep", || stored_sessions(&server) == 1);
    assert!(int(&mut con, "MEMORY USAGE sessions:42") < 1000);
    assert_eq!(verdict(&mut con, "sessions:42", &dead.str("token")), "idle");
    assert_eq!(session(&mut con, "sessions:42", &live.str("id")).str("agent"), "desktop");
    assert_eq!((figure(&server, "expired"), figure(&server, "agents")), (1, 1));
    assert!(figure(&server, "sweep_examined") > 0 && figure(&server, "sweep_time_us") > 0);
}

#[test]
fn a_tombstone_goes_ten_minutes_after_its_last_token() {
    let server = server().start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 TOKEN NONE ID other");
    let revoked = create(&mut con, "sessions:42 TOKENTTL 1800");
    let with_one = int(&mut con, "MEMORY USAGE sessions:42");
    assert_eq!(
        cmd_args(&mut con, ["SESSION.REVOKE", "sessions:42", &revoked.str("id")]).unwrap(),
        redis::Value::Int(1)
    );
    assert_eq!(verdict(&mut con, "sessions:42", &revoked.str("token")), "revoked");
    let with_a_tombstone = int(&mut con, "MEMORY USAGE sessions:42");
    server.advance(SHORT);
    assert_eq!(verdict(&mut con, "sessions:42", &revoked.str("token")), "token_expired");
    server.advance(Duration::from_secs(600));
    wait_until("the sweep", || int(&mut con, "MEMORY USAGE sessions:42") < with_a_tombstone);
    assert!(with_a_tombstone < with_one);
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 1);
}

#[test]
fn a_user_without_anything_left_goes_before_the_key_would_expire() {
    let server = server().start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 IDLE 1800 TTL 90000 TOKENTTL 1800");
    assert!(int(&mut con, "TTL sessions:42") > 80_000);
    server.advance(SHORT);
    wait_until("the sweep", || int(&mut con, "DBSIZE") == 0);
    assert_eq!(server.info("stats", "expired_keys"), "0");
    assert_eq!((figure(&server, "users"), figure(&server, "expired")), (0, 1));
}

#[test]
fn a_sweep_is_told_to_subscribers() {
    let server = still().config("notify-keyspace-events KEA").start();
    let mut con = server.connection();
    create(&mut con, "sessions:41 IDLE 1800 ID a");
    create(&mut con, "sessions:42 IDLE 1800 TOKENTTL 1800");
    server.advance(SHORT);
    let mut listener = server.connection();
    let mut listener = listener.as_pubsub();
    listener.psubscribe("__keyspace@0__:sessions:4*").unwrap();
    sweep(&server);
    let mut told = Vec::new();
    while told.len() < 3 {
        let message = listener.get_message().unwrap();
        let event: String = message.get_payload().unwrap();
        if event != "expire" {
            told.push(format!("{} {event}", message.get_channel_name()));
        }
    }
    told.sort_unstable();
    let expected =
        ["1 session.expire", "2 del", "2 session.expire"].map(|end| format!("__keyspace@0__:sessions:4{end}"));
    assert_eq!(told, expected);
}

#[test]
fn a_write_that_comes_across_a_dead_session_tells_of_it_too() {
    let server = still().config("notify-keyspace-events KEA").start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 TTL 1800 ID one");
    create(&mut con, "sessions:42 ID two");
    server.advance(SHORT);
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 1);
    assert_eq!(stored_sessions(&server), 2);
    let mut listener = server.connection();
    let mut listener = listener.as_pubsub();
    listener.psubscribe("__keyspace@0__:sessions:42").unwrap();
    cmd(&mut con, "SESSION.REVOKE sessions:42 two").unwrap();
    let mut told = Vec::new();
    while told.last().is_none_or(|event| event != "session.revoke") {
        told.push(listener.get_message().unwrap().get_payload::<String>().unwrap());
    }
    told.retain(|event| event != "expire");
    assert_eq!(told, ["session.expire", "session.revoke"]);
    assert_eq!((stored_sessions(&server), figure(&server, "expired")), (0, 1));
}

#[test]
fn many_dead_sessions_of_one_user_are_swept_in_parts() {
    let server = still().start();
    let mut con = server.connection();
    let mut pipe = redis::pipe();
    for n in 0..3000 {
        let idle = if n % 3 == 0 { "0" } else { "1800" };
        pipe.cmd("SESSION.CREATE").arg(&["sessions:42", "MAX", "5000", "TOKEN", "OPAQUE", "IDLE", idle]);
    }
    pipe.exec(&mut con).unwrap();
    server.advance(SHORT);
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 1000);
    sweep(&server);
    wait_until("the sweep", || stored_sessions(&server) == 1000);
    assert_eq!(figure(&server, "expired"), 2000);
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 1000);
}

/// How many ticks it takes to sweep so many dead sessions of one user if none may take longer than a microsecond: less
/// than any part of them does.
fn shortest_ticks_for(server: &Server, sessions: u32) -> i64 {
    let mut con = server.connection();
    let mut pipe = redis::pipe();
    for _ in 0..sessions {
        pipe.cmd("SESSION.CREATE").arg(&["sessions:42", "MAX", "100000", "TOKEN", "OPAQUE", "IDLE", "1800"]);
    }
    pipe.exec(&mut con).unwrap();
    server.advance(SHORT);
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 0);
    assert_eq!((stored_sessions(server), figure(server, "sweep_ticks")), (u64::from(sessions), 0));
    cmd(&mut con, "CONFIG SET session.sweep-time 1").unwrap();
    let mut ticks = 0;
    wait_until("the sweep", || {
        let stats = fields(cmd(&mut con, "SESSION.STATS").unwrap());
        ticks = stats.int("sweep_ticks");
        stats.int("sessions") == 0
    });
    ticks
}

#[test]
fn a_tick_ends_with_the_first_part_behind_its_time() {
    // 64 sessions are a part.
    let ticks = shortest_ticks_for(&still().start(), 1000);
    assert!(ticks >= 1000 / 64, "{ticks}");
}

#[test]
fn a_part_is_smaller_where_each_of_it_is_an_entry_of_the_audit_stream() {
    let ticks = shortest_ticks_for(&still().config("session.audit-stream audit").start(), 100);
    assert!(ticks >= 100 / 8, "{ticks}");
}

/// Stores this many users, each with a live session and one that is idle after [`SHORT`].
fn half_of_each(con: &mut Connection, users: usize) {
    let mut pipe = redis::pipe();
    for n in 0..users {
        pipe.cmd("SESSION.CREATE").arg(&[&format!("sessions:{n}"), "TOKEN", "OPAQUE", "IDLE", "1800"]);
        pipe.cmd("SESSION.CREATE").arg(&[&format!("sessions:{n}"), "TOKEN", "OPAQUE"]);
    }
    pipe.exec(con).unwrap();
}

#[test]
fn what_waits_for_the_sweep_is_told() {
    let server = still().start();
    let mut con = server.connection();
    half_of_each(&mut con, 2000);
    server.advance(SHORT + Duration::from_secs(600));
    // So little that the walk takes long.
    cmd(&mut con, "CONFIG SET session.sweep-time 1").unwrap();
    wait_until("the sweep finds the dead", || figure(&server, "sweep_backlog") > 100);
    assert!(figure(&server, "sweep_oldest_seconds") >= 600);
    assert!(figure(&server, "sweep_backlog") < 4000, "about 2000 wait");
    sweep(&server);
    wait_until("the sweep", || stored_sessions(&server) == 2000);
    wait_until("the end of the walk", || figure(&server, "sweep_backlog") == 0);
    wait_until("a walk that finds nothing", || figure(&server, "sweep_oldest_seconds") == 0);
    // A sweep that is off knows nothing.
    cmd(&mut con, "CONFIG SET session.sweep-time 1").unwrap();
    server.advance(SHORT * 100);
    wait_until("the sweep finds the dead", || figure(&server, "sweep_backlog") > 100);
    cmd(&mut con, "CONFIG SET session.sweep-time 0").unwrap();
    wait_until("it is off", || figure(&server, "sweep_backlog") == 0 && figure(&server, "sweep_oldest_seconds") == 0);
}

#[test]
fn many_users_and_one_with_many_sessions_are_swept_and_the_longest_turn_is_a_figure() {
    let server = still().start();
    let mut con = server.connection();
    half_of_each(&mut con, 500);
    let mut pipe = redis::pipe();
    for n in 0..2000 {
        let idle = if n % 2 == 0 { "0" } else { "1800" };
        pipe.cmd("SESSION.CREATE").arg(&["sessions:crowd", "MAX", "100000", "TOKEN", "OPAQUE", "IDLE", idle]);
    }
    pipe.exec(&mut con).unwrap();
    server.advance(SHORT);
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:crowd"), 1000);
    sweep(&server);
    wait_until("the sweep", || stored_sessions(&server) == 1500);
    assert!(figure(&server, "sweep_longest_tick_us") > 0);
}

#[test]
fn the_dead_sessions_of_one_user_go_by_one_command() {
    let primary = still().start();
    let replica = server().replica_of(&primary).start();
    // Else the snapshot may have the sessions, and the replica applies nothing.
    primary.wait_for_sync(&replica);
    let mut con = primary.connection();
    create(&mut con, "sessions:42 TTL 90000");
    for _ in 0..10 {
        create(&mut con, "sessions:42 IDLE 1800 AGENT phone");
    }
    primary.wait_for_sync(&replica);
    let applied = || -> u64 {
        let stats = replica.info("commandstats", "cmdstat_SESSION.APPLY");
        stats.split(',').find_map(|part| part.strip_prefix("calls=")).unwrap().parse().unwrap()
    };
    let before = applied();
    primary.advance(SHORT);
    sweep(&primary);
    wait_until("the sweep", || stored_sessions(&primary) == 1);
    primary.wait_for_sync(&replica);
    assert_eq!((stored_sessions(&replica), applied() - before), (1, 1));
    assert_eq!(stored(&replica), stored(&primary));
}

#[test]
fn a_tick_goes_on_until_its_time_is_over() {
    let server = still().start();
    let mut con = server.connection();
    cmd(&mut con, "CONFIG SET session.sweep-time 25000").unwrap();
    wait_until("a walk through the 16 databases", || figure(&server, "sweep_cycles") > 0);
    let stats = fields(cmd(&mut con, "SESSION.STATS").unwrap());
    let (ticks, walks) = (stats.int("sweep_ticks"), stats.int("sweep_cycles"));
    assert!(ticks < 16 * walks, "{ticks} ticks, {walks} walks");
}

#[test]
fn every_database_is_swept() {
    let server = server().start();
    for db in [0, 3, 15] {
        let mut con = server.connection();
        cmd(&mut con, &format!("SELECT {db}")).unwrap();
        create(&mut con, "sessions:42 IDLE 1800 TOKENTTL 1800");
        cmd(&mut con, "SET another text").unwrap();
    }
    server.advance(SHORT);
    wait_until("the sweep", || stored_sessions(&server) == 0);
    wait_until("the keys are gone", || server.info("keyspace", "db15").starts_with("keys=1,"));
    assert!(server.info("keyspace", "db0").starts_with("keys=1,"));
}

#[test]
fn what_is_swept_is_replicated_and_logged() {
    // The test waits for the replica itself, so SHUTDOWN need not: that takes it up to a second.
    let mut primary = still().appendonly().config("shutdown-timeout 0").start();
    let replica = server().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    let mut con = primary.connection();
    let dead = create(&mut con, "sessions:42 IDLE 1800");
    create(&mut con, "sessions:42 TTL 90000");
    create(&mut con, "sessions:43 IDLE 1800 TOKENTTL 1800");
    primary.wait_for_sync(&replica);
    let before = stored(&primary);
    primary.advance(SHORT);
    replica.advance(SHORT);
    assert_eq!(verdict(&mut replica.connection(), "sessions:42", &dead.str("token")), "idle");
    // Its sweep is on, but it is a replica.
    let_a_walk_pass(&replica);
    assert_eq!(stored(&replica), before);
    assert_eq!(figure(&replica, "sweep_examined"), 0);
    assert_eq!(stored_sessions(&replica), 3);
    sweep(&primary);
    wait_until("the sweep", || stored_sessions(&primary) == 1);
    primary.wait_for_sync(&replica);
    let after = stored(&primary);
    assert_ne!(before, after);
    assert_eq!(stored(&replica), after);
    assert_eq!(stored_sessions(&replica), 1);
    assert_eq!(verdict(&mut replica.connection(), "sessions:42", &dead.str("token")), "idle");
    primary.restart_without_saving();
    assert_eq!(stored(&primary), after);
    assert_eq!(stored_sessions(&primary), 1);
}

#[test]
fn a_replica_that_is_promoted_sweeps() {
    let primary = still().start();
    let replica = server().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    create(&mut primary.connection(), "sessions:42 IDLE 1800");
    primary.wait_for_sync(&replica);
    replica.advance(SHORT);
    cmd(&mut replica.connection(), "REPLICAOF NO ONE").unwrap();
    wait_until("the sweep", || stored_sessions(&replica) == 0);
}

/// What a primary may do while writes are paused, as before a failover, is nothing: Redis 7.0 would stop itself.
#[test]
fn the_sweep_waits_while_writes_are_paused() {
    let server = server().appendonly().start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 IDLE 1800");
    create(&mut con, "sessions:42 TTL 90000");
    cmd(&mut con, "CLIENT PAUSE 100000 WRITE").unwrap();
    server.advance(SHORT);
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 1);
    let_a_walk_pass(&server);
    assert_eq!(stored_sessions(&server), 2);
    cmd(&mut con, "CLIENT UNPAUSE").unwrap();
    wait_until("the sweep", || stored_sessions(&server) == 1);
}

#[test]
fn a_sweep_time_of_zero_is_no_sweep() {
    let server = still().start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 IDLE 1800");
    server.advance(SHORT);
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 0);
    let_a_walk_pass(&server);
    assert_eq!((stored_sessions(&server), figure(&server, "sweep_examined")), (1, 0));
    sweep(&server);
    wait_until("the sweep", || stored_sessions(&server) == 0);
}

#[test]
fn the_sweep_does_not_make_a_key_look_used() {
    // With these settings OBJECT FREQ counts every use of a key.
    let server = server().config("maxmemory-policy allkeys-lfu\nlfu-log-factor 0\nlfu-decay-time 0").start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 IDLE 1800");
    create(&mut con, "sessions:42 TTL 90000");
    let before = int(&mut con, "OBJECT FREQ sessions:42");
    server.advance(SHORT);
    wait_until("the sweep", || stored_sessions(&server) == 1);
    assert_eq!(int(&mut con, "OBJECT FREQ sessions:42"), before);
    int(&mut con, "SESSION.COUNT sessions:42");
    assert_eq!(int(&mut con, "OBJECT FREQ sessions:42"), before + 1);
}

#[test]
fn a_watched_user_may_be_swept() {
    let server = still().start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 IDLE 1800");
    create(&mut con, "sessions:42 TTL 90000");
    server.advance(SHORT);
    cmd(&mut con, "WATCH sessions:42").unwrap();
    sweep(&server);
    wait_until("the sweep", || stored_sessions(&server) == 1);
    let done: Option<Vec<String>> = redis::pipe().atomic().cmd("PING").query(&mut con).unwrap();
    assert_eq!(done, None, "the value has changed");
}
