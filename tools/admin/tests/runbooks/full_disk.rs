//! docs/runbooks/full-disk.md
//!
//! A limit on the size of files stands for the disk: a server that ignores the signal gets an error from each write.

use std::env;
use std::fs;
use std::process::Command;

use redis_session_tests::{Server, ServerBuilder, error, login, skipped, verdict, wait_until};

use super::{blocks, line, shell_on, starts_as_replica_of};
use crate::load::{Load, Losses};
use crate::program::{at, run};
use crate::verify::good;

const PAGE: &str = "full-disk.md";

/// A server whose disk can be full.
fn node() -> ServerBuilder {
    let server = env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    good().program(format!("env --ignore-signal=XFSZ {server}"))
}

/// Says so if there can be none here.
fn is_skipped() -> bool {
    let tried = Command::new("env").args(["--ignore-signal=XFSZ", "prlimit", "--version"]).output();
    let is_possible = tried.is_ok_and(|tried| tried.status.success());
    if !is_possible {
        skipped("a full disk: env --ignore-signal and prlimit limit the size of files");
    }
    !is_possible
}

/// No file grows beyond the append-only file.
fn fill(server: &Server) {
    let files = fs::read_dir(server.dir().join("appendonlydir")).unwrap();
    let sizes =
        files.map(|file| file.unwrap()).filter(|file| file.file_name().to_str().unwrap().ends_with(".incr.aof"));
    limit(server, &sizes.map(|file| file.metadata().unwrap().len()).max().unwrap().to_string());
}

fn make_room(server: &Server) {
    limit(server, "unlimited");
}

fn limit(server: &Server, size: &str) {
    let (pid, size) = (server.pid().to_string(), format!("--fsize={size}:"));
    let done = Command::new("prlimit").args(["--pid", &pid, &size]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn cannot_write(server: &Server) -> bool {
    server.info("persistence", "aof_last_write_status") == "err"
}

#[test]
fn writes_are_refused_until_there_is_room_and_nothing_is_lost() {
    if is_skipped() {
        return;
    }
    let mut server = node().start();
    let token = login(&mut server.connection(), "sessions:42");
    let load = Load::start(&[server.url()]);
    fill(&server);
    wait_until("the disk is full", || cannot_write(&server));
    let mut con = server.connection();
    for line in [
        "SESSION.CREATE sessions:43",
        &format!("SESSION.REVOKE sessions:42 {token}"),
        &format!("SESSION.TOUCH sessions:42 {token}"),
        "SESSION.REVOKEUSER sessions:42",
        "SESSION.REVOKEALL",
    ] {
        assert!(error(&mut con, line).starts_with("MISCONF"), "{line}");
    }
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
    let here = server.dir().display().to_string();
    assert!(shell_on(&server, &line(PAGE, "df -h"), &[("/var/lib/redis", &here)]).contains("appendonlydir"));
    make_room(&server);
    load.go_on(100);
    assert!(!cannot_write(&server));
    shell_on(&server, &blocks(PAGE)[1], &[]);
    let history = load.end();
    let losses = history.losses(&mut server.connection());
    history.report("full disk", &losses);
    assert_eq!(losses, Losses::NONE);
    server.kill();
    server.start_again();
    assert_eq!(history.losses(&mut server.connection()), Losses::NONE, "after a restart");
    assert_eq!(verdict(&mut server.connection(), "sessions:42", &token), "active");
}

#[test]
fn a_server_that_syncs_always_ends_and_has_all_when_it_starts_again() {
    if is_skipped() {
        return;
    }
    let mut server = node().config("appendfsync always").start();
    let load = Load::start(&[server.url()]);
    fill(&server);
    wait_until("the server ends", || !server.is_running());
    wait_until("it says why", || server.log_contains("Can't recover from AOF write error"));
    server.kill();
    server.start_again();
    load.go_on(100);
    let losses = load.stop("full disk, appendfsync always", &mut server.connection());
    assert_eq!(losses, Losses::NONE);
}

/// The write at which it notices was answered, and is in memory alone.
#[test]
fn a_restart_before_there_is_room_loses_the_last_moment() {
    if is_skipped() {
        return;
    }
    let mut server = node().start();
    let mut con = server.connection();
    let before = login(&mut con, "sessions:42");
    fill(&server);
    let last = login(&mut con, "sessions:43");
    wait_until("the disk is full", || cannot_write(&server));
    server.kill();
    server.start_again();
    let mut con = server.connection();
    assert_eq!(verdict(&mut con, "sessions:42", &before), "active");
    assert_eq!(verdict(&mut con, "sessions:43", &last), "unknown");
}

#[test]
fn a_replica_whose_disk_has_room_takes_over() {
    if is_skipped() {
        return;
    }
    let mut primary = node().start();
    let replica = node().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    let load = Load::start(&[primary.url(), replica.url()]);
    fill(&primary);
    wait_until("the disk is full", || cannot_write(&primary));
    // The program may see the old primary's end, or not yet.
    let ran = run(&format!("switchover {}", at(&primary)));
    assert!(ran.printed.contains(" is the primary in place of ") && ran.errors.is_empty(), "{ran:?}");
    load.go_on(100);
    // A replica that can't write ends.
    wait_until("the old primary ends", || !primary.is_running());
    wait_until("it says why", || primary.log_contains("Replica was unable to write command to disk"));
    primary.kill();
    starts_as_replica_of(&primary, &replica);
    primary.start_again();
    replica.wait_for_sync(&primary);
    let losses = load.stop("full disk, switchover", &mut replica.connection());
    assert_eq!(losses, Losses::NONE);
}
