//! docs/drills.md, under load. The commands of the page itself run in the tests of the documents.

use std::time::Instant;

use redis_session_tests::{Server, cmd, jwk_set};

use super::node;
use crate::load::{Load, Losses};
use crate::program::{at, well};

fn pair() -> [Server; 2] {
    let primary = node().start();
    let replica = node().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    [primary, replica]
}

/// All servers have this file, and have read it.
fn give(servers: &[Server; 2], kids: &[&str]) {
    for server in servers {
        server.write("keys.json", jwk_set(kids));
    }
    well(&format!("keys reload {}", at(&servers[0])));
}

fn sign_with(servers: &[Server; 2], kid: &str) {
    for server in servers {
        cmd(&mut server.connection(), &format!("CONFIG SET session.active-kid {kid}")).unwrap();
    }
}

#[test]
fn a_new_key_logs_nobody_out() {
    let servers = pair();
    let load = Load::start(&[servers[0].url()]);
    give(&servers, &["one", "two"]);
    load.go_on(100);
    sign_with(&servers, "two");
    load.go_on(100);
    let history = load.end();
    servers[0].wait_for_sync(&servers[1]);
    assert_eq!(history.losses(&mut servers[1].connection()), Losses::NONE);
    let losses = history.losses(&mut servers[0].connection());
    history.report("a new key", &losses);
    assert_eq!(losses, Losses::NONE);
    assert!(history.errors.is_empty(), "{:?}", history.errors);
}

#[test]
fn a_leaked_key_is_gone_and_so_are_all_sessions_from_before() {
    let servers = pair();
    let load = Load::start(&[servers[0].url()]);
    give(&servers, &["one", "two"]);
    sign_with(&servers, "two");
    give(&servers, &["two"]);
    well(&format!("keys revoke one {}", at(&servers[0])));
    load.go_on(100);
    let sent = Instant::now();
    well(&format!("everyone-out --yes {}", at(&servers[0])));
    let done = Instant::now();
    load.go_on(100);
    let mut history = load.end();
    history.everyone_is_out(sent, done);
    let losses = history.losses(&mut servers[0].connection());
    history.report("a leaked key", &losses);
    assert_eq!(losses, Losses::NONE);
    assert!(history.errors.is_empty(), "{:?}", history.errors);
    servers[0].wait_for_sync(&servers[1]);
    assert_eq!(history.losses(&mut servers[1].connection()), Losses::NONE);
}
