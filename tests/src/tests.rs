//! The harness's own tests, against servers without the module where they do not need it.

use std::net::TcpListener;
use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use redis::{Commands, Value};

use crate::port::{Port, is_free};
use crate::skip::keep_skip;
use crate::{
    Cluster, Server, ServerBuilder, advance_to, cmd, cmd_args, create, error, fields, int, list, now_ms, text,
    wait_until,
};

fn plain() -> ServerBuilder {
    ServerBuilder::new().without_module()
}

#[test]
fn a_started_server_answers_on_its_own_port_and_folder() {
    let (a, b) = (plain().start(), plain().start());
    assert_ne!(a.port(), b.port());
    assert_ne!(a.dir(), b.dir());
    let _: () = a.connection().set("key", "value").unwrap();
    assert_eq!(b.connection().get::<_, Option<String>>("key").unwrap(), None);
    assert!(a.log_contains("Ready to accept connections"));
    assert_eq!(a.info("server", "process_id"), a.pid().to_string());
}

#[test]
fn a_dropped_server_frees_its_port_and_folder() {
    let server = plain().start();
    let (port, dir) = (server.port(), server.dir().to_owned());
    drop(server);
    assert!(is_free(port));
    assert!(!dir.exists());
}

#[test]
fn a_taken_port_is_passed_over() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    assert_ne!(plain().first_port(port).start().port(), port);
}

#[test]
fn another_server_on_the_port_is_not_taken_for_ours() {
    let other = plain().start();
    let ours = plain().first_port(other.port()).start();
    assert_ne!(ours.port(), other.port());
    assert_ne!(ours.info("server", "run_id"), other.info("server", "run_id"));
}

#[test]
fn two_servers_that_share_a_port_by_chance_both_start() {
    let port = Port::free().number();
    let start = || plain().first_port(port).start();
    let (a, b) = std::thread::scope(|scope| {
        let b = scope.spawn(start);
        (start(), b.join().unwrap())
    });
    assert_ne!(a.port(), b.port());
}

#[test]
fn a_port_has_one_owner_also_while_its_server_is_down() {
    let mut server = plain().start();
    let port = server.port();
    server.kill();
    assert!(is_free(port) && Port::claim(port).is_none());
    server.start_again();
    drop(server);
    assert!(Port::claim(port).is_some());
}

#[test]
fn a_restart_keeps_port_folder_and_saved_data() {
    let mut server = plain().start();
    let (port, run_id) = (server.port(), server.info("server", "run_id"));
    let _: () = server.connection().set("key", "value").unwrap();
    server.restart();
    assert_eq!(server.port(), port);
    assert_ne!(server.info("server", "run_id"), run_id);
    assert_eq!(server.connection().get::<_, String>("key").unwrap(), "value");
}

#[test]
fn a_restart_without_saving_forgets() {
    let mut server = plain().start();
    let _: () = server.connection().set("key", "value").unwrap();
    server.restart_without_saving();
    assert_eq!(server.connection().get::<_, Option<String>>("key").unwrap(), None);
}

#[test]
fn a_killed_server_has_what_its_append_only_file_has() {
    let mut server = plain().appendonly().start();
    let mut con = server.connection();
    let _: () = con.set("key", "value").unwrap();
    server.kill();
    assert!(!server.is_running());
    assert!(con.get::<_, String>("key").is_err());
    server.start_again();
    assert_eq!(server.connection().get::<_, String>("key").unwrap(), "value");
}

#[test]
fn a_rewritten_configuration_outlives_a_restart() {
    let mut server = plain().start();
    cmd(&mut server.connection(), "CONFIG SET maxmemory 123456789").unwrap();
    cmd(&mut server.connection(), "CONFIG REWRITE").unwrap();
    server.restart();
    let reply = fields(cmd(&mut server.connection(), "CONFIG GET maxmemory").unwrap());
    assert_eq!(reply.str("maxmemory"), "123456789");
}

#[test]
fn a_replica_has_the_primarys_data_after_the_wait() {
    let primary = plain().start();
    let replica = plain().replica_of(&primary).start();
    let mut con = primary.connection();
    for i in 0..100 {
        let _: () = con.set(format!("key:{i}"), i).unwrap();
    }
    primary.wait_for_sync(&replica);
    assert_eq!(replica.connection().get::<_, i64>("key:99").unwrap(), 99);
    assert_eq!(primary.digest_of_all(), replica.digest_of_all());
}

#[test]
fn a_replica_finds_its_primary_again_after_a_crash_of_either() {
    let mut primary = plain().appendonly().start();
    let mut replica = plain().replica_of(&primary).start();
    let _: () = primary.connection().set("key", 1).unwrap();
    primary.wait_for_sync(&replica);

    replica.kill();
    let _: () = primary.connection().set("key", 2).unwrap();
    replica.start_again();
    primary.wait_for_sync(&replica);
    assert_eq!(primary.digest("key"), replica.digest("key"));

    primary.kill();
    primary.start_again();
    let _: () = primary.connection().set("key", 3).unwrap();
    primary.wait_for_sync(&replica);
    assert_eq!(replica.connection().get::<_, i64>("key").unwrap(), 3);
}

#[test]
fn a_slots_primary_is_named_once_all_nodes_know_its_epoch() {
    let cluster = Cluster::start(plain());
    let (slot, to) = (cluster.slot_of("key"), 1);
    assert_ne!(cluster.primary_of(slot), to);
    let epoch_of_to_as_seen_by = |n: usize| -> u64 {
        let seen = text(&cmd(&mut cluster.nodes()[n].connection(), "CLUSTER NODES").unwrap());
        let line = seen.lines().find(|line| line.starts_with(cluster.id(to))).unwrap();
        line.split(' ').nth(6).unwrap().parse().unwrap()
    };
    let before = epoch_of_to_as_seen_by(to);

    // A node that takes a slot tells all others at once by a PONG. This node hears of it by the next PING only.
    let late = 2;
    cmd(&mut cluster.nodes()[late].connection(), "DEBUG DROP-CLUSTER-PACKET-FILTER 1").unwrap();
    cluster.move_slot(slot, to);
    assert_eq!(cluster.primary_of(slot), to);
    assert_eq!(epoch_of_to_as_seen_by(late), epoch_of_to_as_seen_by(to));
    assert!(epoch_of_to_as_seen_by(to) > before);
}

#[test]
fn digests_tell_values_apart() {
    let server = plain().start();
    let mut con = server.connection();
    let _: () = con.set("a", "same").unwrap();
    let _: () = con.set("b", "same").unwrap();
    let _: () = con.set("c", "different").unwrap();
    assert_eq!(server.digest("a"), server.digest("b"));
    assert_ne!(server.digest("a"), server.digest("c"));
    assert_eq!(server.digest("none"), "0".repeat(40));
}

#[test]
fn a_server_that_refuses_to_start_says_why() {
    let log = plain().config("no-such-setting 1").try_start().unwrap_err();
    assert!(log.contains("did not start"), "{log}");
    assert!(log.contains("no-such-setting"), "{log}");
}

#[test]
fn a_server_with_a_password_starts() {
    let server = plain().config("requirepass secret").start();
    assert_eq!(error(&mut server.connection(), "GET key").split(' ').next(), Some("NOAUTH"));
    assert_eq!(server.cli(&["-a", "secret", "--no-auth-warning", "PING"]).stdout, "PONG");
}

#[test]
fn a_server_that_went_down_by_itself_fails_its_test() {
    let mut server = plain().start();
    let _ = cmd(&mut server.connection(), "DEBUG SEGFAULT");
    wait_until("the server is down", || !server.is_running());
    let crash = panic::catch_unwind(AssertUnwindSafe(|| drop(server))).unwrap_err();
    let message = crash.downcast_ref::<String>().unwrap();
    assert!(message.contains("went down by itself"), "{message}");
    assert!(message.contains("BUG REPORT START"), "{message}");
}

#[test]
fn maps_read_the_same_over_both_protocols() {
    let server = plain().start();
    for mut con in [server.connection(), server.connection_resp3()] {
        cmd(&mut con, "DEL hash").unwrap();
        cmd(&mut con, "HSET hash name 42").unwrap();
        let reply = fields(cmd(&mut con, "HGETALL hash").unwrap());
        assert_eq!(reply.names(), ["name"]);
        assert_eq!(reply.str("name"), "42");
        assert_eq!(reply.bytes("name"), b"42");
        assert!(reply.is_null("none") && !reply.has("none") && !reply.is_null("name"));
    }
    let protocol = |mut con| cmd(&mut con, "DEBUG PROTOCOL true").unwrap();
    assert_eq!(protocol(server.connection()), Value::Int(1));
    assert_eq!(protocol(server.connection_resp3()), Value::Boolean(true));
}

#[test]
fn fields_read_numbers_truth_lists_and_maps() {
    let name = |name: &str| Value::BulkString(name.into());
    let reply = fields(Value::Array(vec![
        name("int"),
        Value::Int(7),
        name("truth"),
        Value::Int(1),
        name("list"),
        Value::Array(vec![name("a"), name("b")]),
        name("map"),
        Value::Map(vec![(name("lie"), Value::Boolean(false))]),
        name("null"),
        Value::Nil,
    ]));
    assert_eq!(reply.int("int"), 7);
    assert!(reply.bool("truth"));
    assert_eq!(reply.strings("list"), ["a", "b"]);
    assert!(!reply.fields("map").bool("lie"));
    assert!(reply.has("null") && reply.is_null("null"));
}

#[test]
fn commands_carry_any_bytes() {
    let server = plain().start();
    let mut con = server.connection();
    let value: &[u8] = b"\0 \xff\r\n";
    cmd_args(&mut con, [b"SET", &b"a key"[..], value]).unwrap();
    assert_eq!(cmd_args(&mut con, ["GET", "a key"]).unwrap(), Value::BulkString(value.to_vec()));
    assert_eq!(list(cmd(&mut con, "KEYS *").unwrap()).iter().map(text).collect::<Vec<_>>(), ["a key"]);
}

#[test]
fn errors_come_with_their_code() {
    let server = plain().start();
    let mut con = server.connection();
    cmd(&mut con, "LPUSH list 1").unwrap();
    assert_eq!(error(&mut con, "GET list"), "WRONGTYPE Operation against a key holding the wrong kind of value");
    assert!(error(&mut con, "GET").starts_with("ERR wrong number of arguments"));
}

#[test]
fn the_command_line_client_reaches_the_server() {
    let server = plain().start();
    assert_eq!(server.cli(&["SET", "key", "two words"]).stdout, "OK");
    assert_eq!(server.cli(&["GET", "key"]).to_string(), "two words");
    assert!(server.cli(&["PING"]).status.success());
}

#[test]
fn the_clock_is_in_milliseconds() {
    let server = plain().start();
    let mut con = server.connection();
    let (before, after) = (now_ms(&mut con), now_ms(&mut con));
    assert!(before > 1_700_000_000_000 && before <= after);
}

#[test]
fn the_modules_clock_moves_alone_and_stays_ahead_over_a_restart() {
    let mut server = Server::start();
    let hour = Duration::from_secs(3600);
    let ends = |server: &Server| create(&mut server.connection(), "sessions:42 TTL 100").int("expires_at");
    let (first, servers_own) = (ends(&server), server_time(&server));
    assert!((servers_own..servers_own + 200_000).contains(&first));
    server.advance(hour);
    let later = ends(&server);
    assert!(later >= first + 3_600_000, "{first} {later}");
    assert!(now_ms(&mut server.connection()) >= servers_own + 3_600_000);
    assert!(server_time(&server) < servers_own + 3_600_000, "the server has a clock of its own");
    server.restart();
    assert!(ends(&server) >= later);
    advance_to(&mut server.connection(), later);
    assert_eq!(int(&mut server.connection(), "SESSION.COUNT sessions:42"), 1, "the last one began later");
}

fn server_time(server: &Server) -> i64 {
    let (seconds, _): (i64, i64) = redis::cmd("TIME").query(&mut server.connection()).unwrap();
    seconds * 1000
}

#[test]
fn what_is_skipped_is_kept_for_the_end_of_the_run() {
    let file = tempfile::NamedTempFile::new().unwrap();
    keep_skip(file.path(), "a test, because of this");
    keep_skip(file.path(), "another, because of that");
    let kept = std::fs::read_to_string(file.path()).unwrap();
    assert_eq!(kept, "SKIPPED: a test, because of this\nSKIPPED: another, because of that\n");
}
