//! Restarts from an append-only file, as it grew and as it was rewritten.

use std::fs::{self, OpenOptions};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use redis::Value;
use redis_session_tests::{Server, cmd, cmd_args, create, create_with, fields, int, verdict, wait_until};

use crate::restarts::assert_all_survives;
use crate::users::{let_a_moment_pass, listed, server, session, stored, users_in_every_state};
use crate::wire::{append_only_file, commands, names};

fn crash(server: &mut Server) {
    server.kill();
    server.start_again();
}

/// Rewrites the append-only file.
#[track_caller]
pub fn rewrite(server: &Server) {
    // One may be under way already.
    let idle = || server.info("persistence", "aof_rewrite_in_progress") == "0";
    wait_until("no rewrite is under way", idle);
    cmd(&mut server.connection(), "BGREWRITEAOF").unwrap();
    wait_until("the log is rewritten", || idle() && server.info("persistence", "aof_rewrite_scheduled") == "0");
    assert_eq!(server.info("persistence", "aof_last_bgrewrite_status"), "ok");
}

/// The one file with this ending in the folder of the append-only file.
#[track_caller]
pub fn part(server: &Server, ending: &str) -> std::path::PathBuf {
    let parts = fs::read_dir(server.dir().join("appendonlydir")).unwrap().map(|entry| entry.unwrap().path());
    let parts: Vec<_> = parts.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    assert_eq!(parts.len(), 1, "{ending}: {parts:?}");
    parts[0].clone()
}

#[test]
fn a_crash_loses_nothing_that_was_logged() {
    assert_all_survives(server().appendonly().start(), crash);
}

#[test]
fn a_log_that_begins_with_a_snapshot_loses_nothing() {
    assert_all_survives(server().appendonly().config("aof-use-rdb-preamble yes").start(), |server| {
        rewrite(server);
        let base = fs::read(part(server, ".base.rdb")).unwrap();
        // Valkey 9 has its own name at the start of its files.
        assert!(base.starts_with(b"REDIS") || base.starts_with(b"VALKEY"));
        crash(server);
    });
}

#[test]
fn a_log_that_was_rewritten_as_commands_loses_nothing() {
    assert_all_survives(server().appendonly().config("aof-use-rdb-preamble no").start(), |server| {
        rewrite(server);
        let base = fs::read(part(server, ".base.aof")).unwrap();
        assert!(base.windows(13).any(|bytes| bytes == b"SESSION.APPLY"));
        crash(server);
    });
}

#[test]
fn what_follows_a_rewrite_is_replayed_on_top_of_it() {
    for preamble in ["yes", "no"] {
        let server = server().appendonly().config(format!("aof-use-rdb-preamble {preamble}")).start();
        let mut con = server.connection();
        let early = create(&mut con, "sessions:42 TOKEN OPAQUE AGENT early");
        rewrite(&server);
        cmd_args(&mut con, ["SESSION.REVOKE", "sessions:42", &early.str("token")]).unwrap();
        let late = create(&mut con, "sessions:42 TOKEN OPAQUE AGENT late");
        let before = stored(&server);
        let mut server = server;
        crash(&mut server);
        assert_eq!(stored(&server), before, "preamble {preamble}");
        let mut con = server.connection();
        assert_eq!(verdict(&mut con, "sessions:42", &early.str("token")), "revoked");
        assert_eq!(verdict(&mut con, "sessions:42", &late.str("token")), "active");
    }
}

#[test]
fn a_rewritten_log_has_uses_that_were_not_worth_logging() {
    for preamble in ["yes", "no"] {
        let preamble = format!("aof-use-rdb-preamble {preamble}");
        let mut server = server().appendonly().config("session.touch-granularity 3600").config(&preamble).start();
        let mut con = server.connection();
        let created = create(&mut con, "sessions:42 IDLE 86400");
        let id = created.str("id");
        let logged = session(&mut con, "sessions:42", &id).int("last_seen_at");
        let_a_moment_pass(&mut con);
        cmd_args(&mut con, ["SESSION.TOUCH", "sessions:42", &created.str("token")]).unwrap();
        let touched = session(&mut con, "sessions:42", &id);
        assert!(touched.int("last_seen_at") > logged);
        rewrite(&server);
        crash(&mut server);
        assert_eq!(session(&mut server.connection(), "sessions:42", &id), touched, "{preamble}");
    }
}

#[test]
fn a_user_with_three_thousand_sessions_is_rewritten_and_replayed() {
    let mut server = server().appendonly().config("aof-use-rdb-preamble no").start();
    let mut con = server.connection();
    let mut pipe = redis::pipe();
    for n in 0..3000 {
        let create = pipe.cmd("SESSION.CREATE").arg("sessions:crawler").arg(&["MAX", "5000", "TOKEN", "NONE"]);
        create.arg("AGENT").arg(format!("crawler {n}")).ignore();
    }
    pipe.exec(&mut con).unwrap();
    rewrite(&server);
    let (stored_before, listed_before) = (stored(&server), listed(&server));
    crash(&mut server);
    assert_eq!(int(&mut server.connection(), "SESSION.COUNT sessions:crawler"), 3000);
    assert_eq!(stored(&server), stored_before);
    assert_eq!(listed(&server), listed_before);
}

#[test]
fn a_log_replayed_later_gives_the_same_value() {
    let server = server().appendonly().start();
    users_in_every_state(&mut server.connection());
    let (stored_before, listed_before) = (stored(&server), listed(&server));
    server.advance(Duration::from_secs(600));
    cmd(&mut server.connection(), "DEBUG LOADAOF").unwrap();
    assert_eq!(stored(&server), stored_before);
    assert_eq!(listed(&server), listed_before);
}

#[test]
fn settings_have_no_say_when_a_log_is_replayed() {
    let mut server = server().appendonly().start();
    let mut con = server.connection();
    for _ in 0..10 {
        create(&mut con, "sessions:42 TTL 5000 IDLE 4000 DATA 1 note twelve-bytes");
    }
    let (stored_before, listed_before) = (stored(&server), listed(&server));
    server.kill();
    let config = fs::read_to_string(server.config_path()).unwrap();
    let stricter = "session.ttl 60\nsession.idle-timeout 30\nsession.max-per-user 3\nsession.limit-policy reject\n\
                    session.max-data-bytes 4\nsession.max-fields 1\nsession.key-prefix elsewhere:\n";
    fs::write(server.config_path(), config + stricter).unwrap();
    server.start_again();
    assert_eq!(stored(&server), stored_before);
    cmd(&mut server.connection(), "CONFIG SET session.key-prefix sessions:").unwrap();
    assert_eq!(listed(&server), listed_before);
}

#[test]
fn a_crash_makes_idle_timers_run_out_early_rather_than_late() {
    let mut server = server().appendonly().config("session.touch-granularity 3600").start();
    let mut con = server.connection();
    let created = create(&mut con, "sessions:42 IDLE 86400");
    let id = created.str("id");
    let replicated = session(&mut con, "sessions:42", &id).int("idle_expires_at");
    let_a_moment_pass(&mut con);
    cmd_args(&mut con, ["SESSION.TOUCH", "sessions:42", &created.str("token")]).unwrap();
    assert!(session(&mut con, "sessions:42", &id).int("idle_expires_at") > replicated);
    crash(&mut server);
    assert_eq!(session(&mut server.connection(), "sessions:42", &id).int("idle_expires_at"), replicated);
}

/// Clients log in and out until the server is killed under them; then it must have all that it had answered.
#[test]
fn what_was_acknowledged_before_a_crash_holds_after_it() {
    let mut server = server().appendonly().start();
    let (created, revoked) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let acknowledged = AtomicUsize::new(0);
    let connections: Vec<_> = (0..4).map(|_| server.connection()).collect();
    thread::scope(|scope| {
        for (n, mut con) in connections.into_iter().enumerate() {
            let (created, revoked, acknowledged) = (&created, &revoked, &acknowledged);
            scope.spawn(move || {
                for round in 0.. {
                    // Two clients for each user.
                    let key = format!("sessions:{}", n / 2);
                    let login = cmd(&mut con, &format!("SESSION.CREATE {key} TOKEN OPAQUE MAX 100000"));
                    let Ok(login) = login else { break };
                    let token = fields(login).str("token");
                    if round % 3 > 0 {
                        created.lock().unwrap().push((key, token));
                    } else {
                        match cmd_args(&mut con, ["SESSION.REVOKE", &key, &token]) {
                            Ok(reply) => assert_eq!(reply, Value::Int(1)),
                            Err(_) => break,
                        }
                        revoked.lock().unwrap().push((key, token));
                    }
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until("some logins and logouts", || acknowledged.load(Ordering::Relaxed) > 300);
        server.kill();
    });
    server.start_again();
    let mut con = server.connection();
    for (key, token) in created.into_inner().unwrap() {
        assert_eq!(verdict(&mut con, &key, &token), "active", "{key} {token}");
    }
    let revoked = revoked.into_inner().unwrap();
    assert!(!revoked.is_empty());
    for (key, token) in revoked {
        assert_eq!(verdict(&mut con, &key, &token), "revoked", "{key} {token}");
    }
}

#[test]
fn half_a_command_at_the_end_of_the_log_is_left_out() {
    let mut server = server().appendonly().start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 AGENT whole");
    let before = stored(&server);
    create(&mut con, "sessions:42 AGENT half");
    server.kill();
    let file = OpenOptions::new().write(true).open(part(&server, ".incr.aof")).unwrap();
    file.set_len(file.metadata().unwrap().len() - 10).unwrap();
    server.start_again();
    assert_eq!(stored(&server), before);
}

#[test]
fn a_log_of_a_transaction_is_one_transaction() {
    let mut server = server().appendonly().start();
    let mut con = server.connection();
    let old = create(&mut con, "sessions:42 TOKEN OPAQUE");
    let written = append_only_file(&server).len();
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("SESSION.REVOKE").arg("sessions:42").arg(old.str("token"));
    pipe.cmd("SESSION.CREATE").arg("sessions:42").arg(&["TOKEN", "OPAQUE"]);
    pipe.cmd("SESSION.CREATE").arg("sessions:43");
    pipe.exec(&mut con).unwrap();
    let written = commands(&append_only_file(&server)[written..]);
    assert_eq!(names(&written), ["MULTI", "SESSION.APPLY", "SESSION.APPLY", "SESSION.APPLY", "EXEC"]);
    let before = stored(&server);
    crash(&mut server);
    assert_eq!(stored(&server), before);
}

#[test]
fn a_script_logs_what_it_did_and_not_itself() {
    let mut server = server().appendonly().start();
    let mut con = server.connection();
    let script = "redis.call('SESSION.CREATE', KEYS[1], 'ID', 'first', 'TOKEN', 'NONE') \
                  redis.call('SESSION.CREATE', KEYS[1], 'ID', 'second', 'TOKEN', 'NONE') \
                  return redis.call('SESSION.REVOKE', KEYS[1], 'first')";
    assert_eq!(cmd_args(&mut con, ["EVAL", script, "1", "sessions:42"]).unwrap(), Value::Int(1));
    let written = commands(&append_only_file(&server));
    // Servers differ in where they name the database.
    let names: Vec<_> = names(&written).into_iter().filter(|name| *name != "SELECT").collect();
    assert_eq!(names, ["MULTI", "SESSION.APPLY", "SESSION.APPLY", "SESSION.APPLY", "EXEC"]);
    let (stored_before, listed_before) = (stored(&server), listed(&server));
    crash(&mut server);
    assert_eq!(stored(&server), stored_before);
    assert_eq!(listed(&server), listed_before);
}

#[test]
fn users_moved_between_keys_and_databases_are_replayed_where_they_went() {
    let mut server = server().appendonly().start();
    let mut con = server.connection();
    create_with(&mut con, "sessions:a", &["ID", "renamed", "AGENT", "one agent"]);
    create_with(&mut con, "sessions:b", &["ID", "copied"]);
    create_with(&mut con, "sessions:c", &["ID", "deleted"]);
    create_with(&mut con, "sessions:d", &["ID", "restored"]);
    for line in ["RENAME sessions:a sessions:A", "COPY sessions:b sessions:B", "UNLINK sessions:c"] {
        cmd(&mut con, line).unwrap();
    }
    let payload: Vec<u8> = redis::cmd("DUMP").arg("sessions:d").query(&mut con).unwrap();
    redis::cmd("RESTORE").arg("sessions:D").arg(0).arg(payload).exec(&mut con).unwrap();
    let (stored_before, listed_before) = (stored(&server), listed(&server));
    assert_eq!(stored_before.len(), 5);
    crash(&mut server);
    assert_eq!(stored(&server), stored_before);
    assert_eq!(listed(&server), listed_before);
}
