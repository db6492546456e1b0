//! Replicas whose primary has stopped or is out of reach: they tell the time by themselves, and change nothing.

use std::collections::BTreeSet;
use std::process::Command;

use redis_session_tests::{Server, cmd, create, create_with, int, verdict, wait_until};

use crate::users::{server, stored, users_in_every_state};

/// A process that is stopped as long as this lives.
struct Stopped(u32);

impl Stopped {
    fn new(server: &Server) -> Self {
        let stopped = Self(server.pid());
        stopped.signal("-STOP");
        stopped
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0.to_string()]).status().unwrap().success());
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// Lets sessions and a whole user come to their end on a replica that `part` has parted from its primary, and fails
/// unless it says so and keeps them.
fn assert_keeps_what_is_over<P>(part: impl FnOnce(&Server, &Server) -> P) {
    let primary = server().start();
    let replica = server().replica_of(&primary).start();
    let mut con = primary.connection();
    // What is over is to be there as long as it can be compared.
    cmd(&mut con, "DEBUG SET-ACTIVE-EXPIRE 0").unwrap();
    users_in_every_state(&mut con);
    create(&mut con, "sessions:42 TTL 3600 ID lasting TOKEN OPAQUE");
    let [short, idle, gone] = [
        create(&mut con, "sessions:42 TTL 2 TOKEN OPAQUE"),
        create(&mut con, "sessions:42 IDLE 2 TOKEN OPAQUE"),
        create_with(&mut con, "sessions:short", &["TTL", "2", "TOKEN", "OPAQUE", "AGENT", "phone"]),
    ]
    .map(|created| created.str("token"));
    primary.wait_for_sync(&replica);
    let count = int(&mut con, "DBSIZE");
    let keys: BTreeSet<_> = stored(&replica).into_keys().chain(["sessions:short".to_owned()]).collect();
    // Also of what is over, which DEBUG shows.
    let digests = || keys.iter().map(|key| replica.digest(key)).collect::<Vec<_>>();
    let held = digests();
    let parted = part(&primary, &replica);

    let mut there = replica.connection();
    wait_until("all three are over", || {
        verdict(&mut there, "sessions:42", &short) == "expired"
            && verdict(&mut there, "sessions:42", &idle) == "idle"
            && verdict(&mut there, "sessions:short", &gone) == "unknown"
    });
    assert_eq!(int(&mut there, "SESSION.COUNT sessions:42"), 1);
    assert_eq!(int(&mut there, "SESSION.COUNT sessions:short"), 0);
    assert_eq!(int(&mut there, "DBSIZE"), count, "a key that is over is hidden, not deleted");
    assert_eq!(digests(), held);
    drop(parted);
}

#[test]
fn a_replica_whose_primary_has_stopped_says_what_is_over_and_keeps_it() {
    assert_keeps_what_is_over(|primary, _| Stopped::new(primary));
}

#[test]
fn a_replica_that_has_lost_its_primary_says_what_is_over_and_keeps_it() {
    assert_keeps_what_is_over(|_, replica| {
        cmd(&mut replica.connection(), "REPLICAOF 127.0.0.1 1").unwrap();
        wait_until("the link is down", || replica.info("replication", "master_link_status") == "down");
    });
}
