//! Large users, freed in the background.

use redis::Connection;
use redis_session_tests::{Server, cmd, create_with, fields, int, wait_until};

use crate::users::{agents, server};

/// A user with many sessions, each with an agent of its own.
fn large_user(con: &mut Connection, key: &str, sessions: usize) {
    let mut pipe = redis::pipe();
    for n in 0..sessions {
        let create = pipe.cmd("SESSION.CREATE").arg(key).arg(&["MAX", "100000", "TOKEN", "NONE", "AGENT"]);
        create.arg(format!("{key} {n} {}", "x".repeat(400))).ignore();
    }
    pipe.exec(con).unwrap();
}

fn wait_until_freed(server: &Server) {
    wait_until("the background thread is done", || server.info("memory", "lazyfree_pending_objects") == "0");
}

fn freed_in_the_background(server: &Server) -> i64 {
    server.info("memory", "lazyfreed_objects").parse().unwrap()
}

#[test]
fn agents_are_right_after_a_large_user_was_unlinked() {
    let server = server().start();
    let mut con = server.connection();
    create_with(&mut con, "sessions:kept", &["AGENT", "kept"]);
    large_user(&mut con, "sessions:large", 500);
    cmd(&mut con, "UNLINK sessions:large").unwrap();
    create_with(&mut con, "sessions:new", &["AGENT", "while it is being freed"]);
    wait_until_freed(&server);
    assert_eq!(freed_in_the_background(&server), 1);
    for n in 0..600 {
        create_with(&mut con, "sessions:new", &["MAX", "1000", "AGENT", &format!("afterwards {n}")]);
    }
    assert_eq!(agents(&mut con, "sessions:kept"), ["kept"]);
    let mut expected: Vec<_> = (0..600).rev().map(|n| format!("afterwards {n}")).collect();
    expected.push("while it is being freed".into());
    assert_eq!(agents(&mut con, "sessions:new"), expected);
}

#[test]
fn agents_are_right_after_everything_was_flushed() {
    for flush in ["FLUSHALL ASYNC", "FLUSHALL SYNC", "FLUSHDB ASYNC", "FLUSHDB SYNC"] {
        let server = server().start();
        let mut con = server.connection();
        large_user(&mut con, "sessions:large", 300);
        create_with(&mut con, "sessions:42", &["AGENT", "before"]);
        cmd(&mut con, flush).unwrap();
        create_with(&mut con, "sessions:42", &["AGENT", "first"]);
        wait_until_freed(&server);
        create_with(&mut con, "sessions:42", &["AGENT", "second"]);
        create_with(&mut con, "sessions:43", &["AGENT", "first"]);
        assert_eq!(int(&mut con, "DBSIZE"), 2, "{flush}");
        assert_eq!(agents(&mut con, "sessions:42"), ["second", "first"], "{flush}");
        assert_eq!(agents(&mut con, "sessions:43"), ["first"], "{flush}");
    }
}

#[test]
fn agents_go_with_the_users_that_had_them() {
    for delete in ["UNLINK sessions:large", "DEL sessions:large", "FLUSHALL ASYNC"] {
        let server = server().start();
        let mut con = server.connection();
        let used = || server.info("memory", "used_memory").parse::<i64>().unwrap();
        create_with(&mut con, "sessions:42", &["AGENT", "before"]);
        let before = used();
        large_user(&mut con, "sessions:large", 1500);
        let full = used();
        assert!(full - before > 1500 * 400, "{before} {full}");
        cmd(&mut con, delete).unwrap();
        wait_until(&format!("{delete} gives the memory back"), || used() - before < (full - before) / 10);
    }
}

/// A login waits for a few of another user's agents to be released, not for all of them.
#[test]
fn one_login_releases_two_hundred_agents_at_most_and_time_the_others() {
    let server = server().start();
    let mut con = server.connection();
    large_user(&mut con, "sessions:large", 5000);
    // While a script runs, no time passes: nobody else releases any.
    let script = "local function agents()
            local stats = redis.call('SESSION.STATS')
            for at = 1, #stats, 2 do
                if stats[at] == 'agents' then return stats[at + 1] end
            end
        end
        redis.call('UNLINK', KEYS[1])
        repeat until redis.call('INFO', 'memory'):find('lazyfree_pending_objects:0')
        local before = agents()
        redis.call('SESSION.CREATE', KEYS[2], 'AGENT', 'new')
        return {before, agents()}";
    let eval = redis::cmd("EVAL").arg(script).arg(2).arg(&["sessions:large", "sessions:42"]).query(&mut con);
    assert_eq!(eval, Ok((5000, 4801)));
    wait_until("the others are released", || fields(cmd(&mut con, "SESSION.STATS").unwrap()).int("agents") == 1);
    assert_eq!(agents(&mut con, "sessions:42"), ["new"]);
}

#[test]
fn a_large_user_that_expires_is_freed_too() {
    let server = server().config("lazyfree-lazy-expire yes").start();
    let mut con = server.connection();
    large_user(&mut con, "sessions:large", 200);
    cmd(&mut con, "PEXPIRE sessions:large 1").unwrap();
    wait_until("the user is gone", || int(&mut con, "DBSIZE") == 0);
    wait_until_freed(&server);
    assert_eq!(freed_in_the_background(&server), 1);
    create_with(&mut con, "sessions:42", &["AGENT", "after"]);
    assert_eq!(agents(&mut con, "sessions:42"), ["after"]);
}
