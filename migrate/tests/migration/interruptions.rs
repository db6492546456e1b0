//! Runs that do not come to their end.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use redis_session_tests::Server;

use crate::between::Between;
use crate::old::{HOUR, ids, live, login, set};
use crate::program::{Migration, Run, end, signal};

const SESSIONS: usize = 300;
/// How long to wait for a program that should have come to a point.
const PATIENCE: Duration = Duration::from_secs(60);

fn with_sessions(server: &Server) {
    let mut con = server.connection();
    for n in 0..SESSIONS {
        login(&mut con, &format!("token{n}"), &format!(r#"{{"uid":{}}}"#, n % 100), HOUR);
    }
    for n in 0..SESSIONS / 10 {
        set(&mut con, &format!("session:forever{n}"), r#"{"uid":7}"#);
    }
}

/// A way to the server on which everything stops when a command is sent, the first, the fifth or whichever time over all
/// runs; and what then lets it go on.
struct Stops {
    between: Between,
    reached: Receiver<()>,
    go_on: Sender<()>,
}

impl Stops {
    fn at(server: &Server, command: &'static str, times: &'static [usize]) -> Self {
        let (tell, reached) = channel();
        let (go_on, gone_on) = channel();
        let mut count = 0;
        let between = Between::start(server, move |sent| {
            if sent.windows(command.len()).any(|part| part == command.as_bytes()) {
                count += 1;
                if times.contains(&count) {
                    tell.send(()).unwrap();
                    gone_on.recv().unwrap();
                }
            }
        });
        Self { between, reached, go_on }
    }

    /// Starts the program, sends it this signal at the next stop, and lets it end.
    fn signal_next(&self, migration: &Migration, args: &str, name: &str) -> Run {
        let child = migration.start(args);
        self.reached.recv_timeout(PATIENCE).expect("a stop");
        signal(child.id(), name);
        self.go_on.send(()).unwrap();
        end(child)
    }
}

fn all_is_there_once(server: &Server) {
    assert_eq!(live(server), SESSIONS);
    for user in 0..100 {
        let mut ids = ids(server, &user.to_string());
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }
}

#[test]
fn killed_at_any_moment_all_are_moved_exactly_once_in_the_end() {
    let server = Server::start();
    with_sessions(&server);
    let stops = Stops::at(&server, "SESSION.CREATE", &[2, 3, 9, 20]);
    let migration = Migration::between(server.url(), stops.between.url());
    for _ in 0..4 {
        assert_eq!(stops.signal_next(&migration, "--apply --batch 10", "KILL").code, -1);
        // As a batch leaves it that is cut off between its report and its state.
        let report = migration.path().join("report.jsonl");
        let line = "{\"id\":\"cut off\"}\n";
        std::fs::write(&report, std::fs::read_to_string(&report).unwrap() + line).unwrap();
    }
    let run = migration.run("--apply --batch 10");
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains("pass 1 goes on"), "{run:?}");
    all_is_there_once(&server);
    // What was moved by a batch that was cut off is found to be there already.
    let (moved, already) = (migration.count("/sessions/moved"), migration.count("/sessions/already"));
    assert_eq!(moved + already, SESSIONS as u64);
    assert!(already > 0 && already < 100, "the runs before the last were not repeated: {already}");
    // What could not be moved is in the report once.
    let mut lines: Vec<_> = migration.report("report.jsonl").iter().map(|line| line["id"].to_string()).collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!((lines.len(), migration.report("report.jsonl").len()), (SESSIONS / 10, SESSIONS / 10));
    assert_eq!(migration.count("/sessions/not_moved/no_ttl"), (SESSIONS / 10) as u64);
}

#[test]
fn control_c_ends_a_run_after_its_batch() {
    for name in ["INT", "TERM"] {
        let server = Server::start();
        with_sessions(&server);
        let stops = Stops::at(&server, "SESSION.CREATE", &[5]);
        let migration = Migration::between(server.url(), stops.between.url());
        let run = stops.signal_next(&migration, "--apply --batch 10", name);
        assert_eq!(run.code, 130);
        assert!(run.stderr.contains("stopped; the same command goes on from here"), "{run:?}");
        assert!(live(&server) < SESSIONS);
        assert_eq!(migration.run("--apply --batch 10").code, 3);
        all_is_there_once(&server);
        assert_eq!(migration.count("/sessions/already"), 0, "no batch was cut in two");
    }
}

#[test]
fn two_runs_do_not_work_at_one_migration() {
    let server = Server::start();
    with_sessions(&server);
    let stops = Stops::at(&server, "SESSION.CREATE", &[2]);
    let mut migration = Migration::between(server.url(), stops.between.url());
    let first = migration.start("--apply --batch 10");
    stops.reached.recv_timeout(PATIENCE).expect("a stop");
    migration.through(server.url(), server.url());
    let second = migration.run("--apply --batch 10");
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another run is at work here"), "{second:?}");
    assert_eq!(migration.run("").code, 3, "a dry run disturbs nobody");
    stops.go_on.send(()).unwrap();
    assert_eq!(end(first).code, 3);
    all_is_there_once(&server);
    assert_eq!(migration.count("/sessions/moved"), SESSIONS as u64, "the second one has moved none");
}

#[test]
fn a_state_of_another_migration_is_refused() {
    let (server, other) = (Server::start(), Server::start());
    with_sessions(&server);
    let mut migration = Migration::on(&server);
    migration.run("--apply");
    let before = migration.files();
    for (args, why) in [
        ("--apply --sessions sess:", r#"--sessions was "session:" there and is "sess:" now; give another --dir"#),
        ("--apply --keep-ids", r#"--keep-ids was "false" there and is "true" now"#),
        ("--apply --ttl 60", r#"--ttl was "" there and is "60" now"#),
    ] {
        let run = migration.run(args);
        assert_eq!(run.code, 1);
        assert!(run.stderr.contains(why), "{run:?}");
    }
    migration.through(other.url(), server.url());
    assert!(migration.run("--apply").stderr.contains("is of another migration: --source was"));
    assert_eq!(migration.files(), before);
    assert_eq!(migration.run("").code, 0, "a dry run of anything is free");
}

#[test]
fn a_state_that_is_none_is_refused() {
    let server = Server::start();
    let migration = Migration::on(&server);
    migration.apply("");
    std::fs::write(migration.path().join("state.json"), "{").unwrap();
    let run = migration.run("--apply");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("state.json: is no state"), "{run:?}");
}

#[test]
fn a_source_that_was_started_again_is_passed_over_from_the_beginning() {
    let (mut source, target) = (Server::builder().without_module().start(), Server::start());
    with_sessions(&source);
    let stops = Stops::at(&target, "SESSION.CREATE", &[5]);
    let migration = Migration::between(source.url(), stops.between.url());
    assert_eq!(stops.signal_next(&migration, "--apply --batch 10", "KILL").code, -1);
    // With its keys in another order: a cursor of before means nothing.
    source.restart();
    let run = migration.run("--apply --batch 10");
    assert_eq!(run.code, 3);
    assert!(run.stderr.contains("the source was started again, or is another: the pass begins again"), "{run:?}");
    all_is_there_once(&target);
    assert_eq!(migration.count("/sessions/found"), (SESSIONS + SESSIONS / 10) as u64);
}

#[test]
fn a_logout_is_found_though_the_pass_began_again() {
    let (mut source, target) = (Server::builder().without_module().start(), Server::start());
    login(&mut source.connection(), "old", r#"{"uid":"42"}"#, HOUR);
    login(&mut source.connection(), "other", r#"{"uid":"43"}"#, HOUR);
    set(&mut source.connection(), "user_blacklist:7", "1");
    // All sessions are moved, and the pass is not at its end.
    let stops = Stops::at(&target, "SESSION.LIST", &[1]);
    let migration = Migration::between(source.url(), stops.between.url());
    assert_eq!(stops.signal_next(&migration, "--apply", "KILL").code, -1);
    assert_eq!(live(&target), 2);
    crate::old::del(&mut source.connection(), "session:old");
    source.restart();
    let run = migration.apply("--revoke-gone");
    assert!(run.stdout.contains("the old key was deleted since: 1; they were ended"), "{run:?}");
    assert_eq!((ids(&target, "42").len(), ids(&target, "43").len()), (0, 1));
}

#[test]
fn what_cannot_go_on_says_why() {
    let (server, bare) = (Server::start(), Server::builder().without_module().start());
    let run = Migration::between(server.url(), bare.url()).run("");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("there is no redis-session module"), "{run:?}");
    let mut gone = Server::start();
    gone.shutdown("NOSAVE");
    let run = Migration::on(&gone).run("");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("onnection refused"), "{run:?}");
    let run = Migration::on(&server).run("--colour red");
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("--colour"), "{run:?}");
    let run = Migration::on(&server).run("--help");
    assert_eq!(run.code, 0);
    assert!(run.stdout.contains("--apply"), "{run:?}");
}

#[test]
fn a_target_that_takes_no_writes_ends_the_run_and_not_each_key() {
    let server = Server::start();
    with_sessions(&server);
    let migration = Migration::on(&server);
    redis_session_tests::cmd(&mut server.connection(), "CONFIG SET maxmemory 1").unwrap();
    let run = migration.run("--apply --batch 10");
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("OOM"), "{run:?}");
    redis_session_tests::cmd(&mut server.connection(), "CONFIG SET maxmemory 0").unwrap();
    assert_eq!(migration.run("--apply --batch 10").code, 3);
    all_is_there_once(&server);
}
