//! A primary under Redis Sentinel that crashes while clients are at work.
//!
//! `REDIS_TEST_ROUNDS` says how often.

use std::collections::BTreeMap;

use redis_session_tests::{Sentinels, Server, amount};

use crate::links::to_primary;
use crate::load::Load;
use crate::nodes::node;

#[test]
fn a_crash_of_the_primary_loses_no_login_and_undoes_no_logout_that_all_replicas_had() {
    // With a file: on a busy machine, Sentinels may take a server for down that is not, and make one the primary that
    // has only just begun again. Without a file, that one is empty.
    let node = || node().config("appendonly yes");
    let first = node().start();
    let second = node().replica_of(&first).start();
    let third = node().replica_of(&first).start();
    first.wait_for_sync(&second);
    first.wait_for_sync(&third);
    let sentinels = Sentinels::start(&first, 2);
    let mut servers: BTreeMap<u16, Server> =
        [first, second, third].into_iter().map(|server| (server.port(), server)).collect();

    // Of both replicas, because either of them may be the next primary.
    let connects = (0..3).map(|_| to_primary(&sentinels)).collect();
    let load = Load::start(connects, 12, Some(2));
    for round in 1..=amount("REDIS_TEST_ROUNDS", 1) {
        load.go_on(100);
        let primary = sentinels.primary_port();
        servers.get_mut(&primary).expect("a server").kill();
        sentinels.wait_for_another_than(primary);
        load.go_on(5);
        // The Sentinels make it a replica.
        servers.get_mut(&primary).expect("a server").start_again();
        sentinels.wait_for_replicas(2);
        eprintln!("round {round}: {primary} is followed by {}", sentinels.primary_port());
    }
    load.go_on(100);
    let outcome = load.stop();

    let tally = outcome.verify(&to_primary(&sentinels));
    eprintln!("{tally:?}, {:?}, {} unacknowledged, {:?}", outcome.successes, outcome.unacknowledged, outcome.errors);
    assert!(tally.alive > 0 && tally.ended > 0 && tally.unknown > 0, "{tally:?}");
    // As docs/operations.md says.
    outcome.assert_no_errors_but(&[
        "Connection refused",
        "Connection reset by peer",
        "Broken pipe",
        "unexpected end of file",
        "master name not found by sentinel",
        "READONLY",
        "LOADING",
    ]);
    let primary = servers.remove(&sentinels.primary_port()).expect("a server");
    for replica in servers.values() {
        primary.wait_for_sync(replica);
        assert_eq!(replica.digest_of_all(), primary.digest_of_all());
    }
}
