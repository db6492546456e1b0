//! Dates without an offset, as Python's `datetime.utcnow().isoformat()` writes them.

use redis_session_tests::Server;

use crate::old::{HOUR, live, login, moved, set};
use crate::program::Migration;

/// Sessions of before and after a blacklisting of 10:00 in the zone that is to be found out.
fn with_sessions(created: [&str; 2]) -> Server {
    let server = Server::start();
    let mut con = server.connection();
    for (token, created) in ["older", "newer"].into_iter().zip(created) {
        login(&mut con, token, &format!(r#"{{"uid":"42","created_at":"{created}"}}"#), HOUR);
    }
    set(&mut con, "user_blacklist:42", "2026-11-25T10:00:00.123456");
    server
}

/// What is moved: the older one, the newer one.
fn are_moved(server: &Server) -> [bool; 2] {
    ["older", "newer"].map(|token| moved(server, "42", token).is_some())
}

#[test]
fn what_they_mean_must_be_said_where_they_end_sessions() {
    let server = with_sessions(["2026-11-25T09:00:00", "2026-11-25T11:00:00"]);
    let migration = Migration::on(&server);
    let dry = migration.run("");
    assert!(dry.stdout.contains("dates without an offset: 1. --naive-dates says what they mean"), "{dry:?}");
    let stopped = migration.run("--apply");
    assert_eq!((stopped.code, live(&server)), (4, 0), "{stopped:?}");
    assert!(stopped.stderr.contains("--naive-dates"), "{stopped:?}");
    migration.apply("--naive-dates always");
    assert_eq!(are_moved(&server), [false, false], "it says no time: all are ended");
}

#[test]
fn a_fresh_login_is_not_ended_by_each_pass() {
    let server = with_sessions(["2026-11-25T09:00:00", "2026-11-25T11:00:00"]);
    let migration = Migration::on(&server);
    for _ in 0..3 {
        migration.apply("--naive-dates utc");
        assert_eq!(are_moved(&server), [false, true]);
    }
}

#[test]
fn they_can_be_in_the_systems_time_zone() {
    // 10:00 is 16:00 in UTC there (POSIX turns the sign around).
    let server = with_sessions(["2026-11-25T15:59:00Z", "2026-11-25T16:01:00Z"]);
    Migration::on(&server).in_zone("EST6").apply("--naive-dates local");
    assert_eq!(are_moved(&server), [false, true]);
    let server = with_sessions(["2026-11-25T09:59:00Z", "2026-11-25T10:01:00Z"]);
    Migration::on(&server).in_zone("EST6").apply("--naive-dates utc");
    assert_eq!(are_moved(&server), [false, true]);
}
