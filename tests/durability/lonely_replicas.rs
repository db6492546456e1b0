//! Replicas whose primary has stopped or is out of reach: they tell the time by themselves, and change nothing.

use std::time::Duration;

use redis_session_tests::{Server, cmd, create, create_with, int, verdict, wait_until};

use crate::sweep::let_a_tick_pass;
use crate::users::{server, stored, users_in_every_state};

/// Lets sessions and a whole user come to their end on a replica that `part` has parted from its primary, and fails
/// unless it says so and keeps them.
fn assert_keeps_what_is_over<P>(part: impl FnOnce(&Server, &Server) -> P) {
    let primary = server().start();
    let replica = server().replica_of(&primary).start();
    let mut con = primary.connection();
    users_in_every_state(&mut con);
    create(&mut con, "sessions:42 TTL 3600 ID lasting TOKEN OPAQUE");
    let [short, idle, gone] = [
        create(&mut con, "sessions:42 TTL 1800 TOKEN OPAQUE"),
        create(&mut con, "sessions:42 IDLE 1800 TOKEN OPAQUE"),
        create_with(&mut con, "sessions:short", &["TTL", "1800", "TOKEN", "OPAQUE", "AGENT", "phone"]),
    ]
    .map(|created| created.str("token"));
    primary.wait_for_sync(&replica);
    let count = int(&mut con, "DBSIZE");
    let held = stored(&replica);
    let parted = part(&primary, &replica);

    let mut there = replica.connection();
    replica.advance(Duration::from_secs(1740));
    for (key, token) in [("sessions:42", &short), ("sessions:42", &idle), ("sessions:short", &gone)] {
        assert_eq!(verdict(&mut there, key, token), "active");
    }
    // A second more, for the primary's clock was moved on by some milliseconds.
    replica.advance(Duration::from_secs(61));
    assert_eq!(verdict(&mut there, "sessions:42", &short), "expired");
    assert_eq!(verdict(&mut there, "sessions:42", &idle), "idle");
    assert_eq!(verdict(&mut there, "sessions:short", &gone), "expired");
    assert_eq!(int(&mut there, "SESSION.COUNT sessions:42"), 1);
    assert_eq!(int(&mut there, "SESSION.COUNT sessions:short"), 0);
    // Half an hour is longer than the pause between walks: on a primary the sweep would begin one now.
    let_a_tick_pass(&mut there);
    assert_eq!(int(&mut there, "DBSIZE"), count);
    assert_eq!(stored(&replica), held);
    drop(parted);
}

#[test]
fn a_replica_whose_primary_has_stopped_says_what_is_over_and_keeps_it() {
    assert_keeps_what_is_over(|primary, _| primary.freeze());
}

#[test]
fn a_replica_that_has_lost_its_primary_says_what_is_over_and_keeps_it() {
    assert_keeps_what_is_over(|_, replica| {
        cmd(&mut replica.connection(), "REPLICAOF 127.0.0.1 1").unwrap();
        wait_until("the link is down", || replica.info("replication", "master_link_status") == "down");
    });
}
