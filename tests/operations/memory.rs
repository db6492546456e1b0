//! Memory: what sessions take, and what happens when there is none left.

use redis::{Connection, Value};
use redis_session_tests::{Server, ServerBuilder, cmd, cmd_args, create, int, verdict, wait_until};

use crate::commands::error_code;

fn usage(con: &mut Connection, key: &str) -> i64 {
    int(con, &format!("MEMORY USAGE {key}"))
}

fn create_with_agent(con: &mut Connection, key: &str, agent: &str) {
    cmd_args(con, ["SESSION.CREATE", key, "TOKEN", "NONE", "MAX", "100000", "AGENT", agent]).unwrap();
}

#[test]
fn memory_usage_grows_with_every_session() {
    let server = Server::start();
    let mut con = server.connection();
    let mut before = 0;
    for n in 0..200 {
        create(&mut con, "sessions:42 MAX 1000");
        let now = usage(&mut con, "sessions:42");
        assert!(now > before, "session {n}: {before} {now}");
        before = now;
    }
}

#[test]
fn memory_usage_grows_with_data_and_shrinks_with_revocations() {
    let server = Server::start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 ID mine");
    let small = usage(&mut con, "sessions:42");
    create(&mut con, &format!("sessions:42 ID large DATA 1 field {}", "x".repeat(5000)));
    assert!(usage(&mut con, "sessions:42") > small + 5000);
    cmd(&mut con, "SESSION.REVOKE sessions:42 large").unwrap();
    assert!(usage(&mut con, "sessions:42") < small + 200);
}

#[test]
fn a_session_with_address_and_agent_is_small() {
    let server = Server::start();
    let mut con = server.connection();
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    for n in 0..4 {
        let ip = format!("192.0.2.{n}");
        let create = ["SESSION.CREATE", "sessions:42", "IP", &ip, "AGENT", agent, "TOKEN", "NONE"];
        cmd_args(&mut con, create).unwrap();
    }
    let each = usage(&mut con, "sessions:42") / 4;
    assert!(each <= 110, "{each} bytes for each of four sessions");
}

#[test]
fn an_agent_that_many_have_is_stored_once() {
    const USERS: usize = 500;
    let used = |agents: usize| {
        let server = Server::start();
        let mut con = server.connection();
        let before: i64 = server.info("memory", "used_memory").parse().unwrap();
        for n in 0..USERS {
            create_with_agent(&mut con, &format!("sessions:{n}"), &format!("{:0400}", n % agents));
        }
        server.info("memory", "used_memory").parse::<i64>().unwrap() - before
    };
    let (shared, separate) = (used(1), used(USERS));
    assert!(separate - shared > USERS as i64 * 350, "{shared} {separate}");
}

#[test]
fn without_memory_nobody_logs_in_but_checks_and_logouts_work() {
    let server = ServerBuilder::new().config("maxmemory-policy noeviction").start();
    let mut con = server.connection();
    let kept = create(&mut con, "sessions:42 TOKEN OPAQUE IDLE 600").str("token");
    let gone = create(&mut con, "sessions:42 TOKEN OPAQUE").str("token");
    cmd(&mut con, "CONFIG SET maxmemory 1").unwrap();
    assert_eq!(error_code(&mut con, "SESSION.CREATE sessions:43"), "OOM");
    for line in ["SESSION.LIST sessions:42", "SESSION.COUNT sessions:42", &format!("SESSION.TOUCH sessions:42 {kept}")]
    {
        cmd(&mut con, line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    assert_eq!(verdict(&mut con, "sessions:42", &kept), "active");
    assert_eq!(cmd_args(&mut con, ["SESSION.REVOKE", "sessions:42", &gone]).unwrap(), Value::Int(1));
    assert_eq!(verdict(&mut con, "sessions:42", &gone), "revoked");
    assert_eq!(cmd(&mut con, "SESSION.REVOKEUSER sessions:42").unwrap(), Value::Int(1));
    assert_eq!(verdict(&mut con, "sessions:42", &kept), "user_revoked");
    cmd(&mut con, "CONFIG SET maxmemory 0").unwrap();
    create(&mut con, "sessions:43");
}

#[test]
fn an_evicted_key_is_a_user_without_sessions() {
    let server = ServerBuilder::new().config("maxmemory-policy allkeys-lru").start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42 TOKEN OPAQUE").str("token");
    cmd(&mut con, "CONFIG SET maxmemory 1").unwrap();
    // Any command that may need memory makes the server evict.
    let _ = cmd(&mut con, "SET key value");
    wait_until("the key is evicted", || int(&mut con, "DBSIZE") == 0);
    cmd(&mut con, "CONFIG SET maxmemory 0").unwrap();
    assert_eq!(verdict(&mut con, "sessions:42", &token), "unknown");
    let new = create(&mut con, "sessions:42 TOKEN OPAQUE").str("token");
    assert_eq!(verdict(&mut con, "sessions:42", &new), "active");
}

#[test]
fn showing_the_settings_takes_no_memory() {
    let server = Server::start();
    let mut con = server.connection();
    let mut show = || {
        let mut pipe = redis::pipe();
        for _ in 0..100 {
            pipe.cmd("CONFIG").arg("GET").arg("session.*").ignore();
        }
        pipe.exec(&mut con).unwrap();
        server.info("memory", "used_memory").parse::<i64>().unwrap()
    };
    let before = show();
    let after = (0..20).map(|_| show()).last().unwrap();
    // 44,000 texts were shown, so even one byte for each would be more. A connection's buffers may differ by 16 kB.
    assert!(after - before < 40_000, "{before} {after}");
}
