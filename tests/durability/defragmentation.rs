//! Active defragmentation: the server asks the module to move what it has allocated while clients are at work.
//!
//! The allocator must be able to say what is worth a move. Those of Debian's packages cannot; `make test-servers` builds
//! servers from source that can.

use std::collections::BTreeSet;

use redis::{Connection, Value};
use redis_session_tests::{Server, cmd, cmd_args, create_with, int, now_ms, skipped, verdict, wait_until};

use crate::users::{server, stored};

/// What each session carries, so that records make up most of what is stored.
const NOTE: &str = "a note that makes a record of some hundreds of bytes, as those of real applications are";

/// A primary that can defragment, but does not yet, and its replica, which never does; none, said aloud, where the
/// server cannot.
fn pair() -> Option<(Server, Server)> {
    // Nothing changes by itself, and no key is too small to be moved in parts.
    let still = || {
        server().config(
            "session.sweep-time 0\nsession.max-per-user 100000\nactivedefrag no\nactive-defrag-max-scan-fields 100",
        )
    };
    let primary = still().start();
    let mut con = primary.connection();
    if let Err(refused) = cmd(&mut con, "CONFIG SET activedefrag yes") {
        assert!(refused.to_string().contains("Jemalloc"), "{refused}");
        skipped("defragmentation: this server was built without it");
        return None;
    }
    // However little there is to gain.
    let eager = "CONFIG SET activedefrag no active-defrag-ignore-bytes 1 active-defrag-threshold-lower 0";
    cmd(&mut con, eager).unwrap();
    let replica = still().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    Some((primary, replica))
}

fn defragment(con: &mut Connection, more: &str) {
    cmd(con, &format!("CONFIG SET activedefrag yes {more}")).unwrap();
}

/// How many allocations have been moved.
fn moved(server: &Server) -> u64 {
    server.info("stats", "active_defrag_hits").parse().unwrap()
}

/// Bytes that the allocator has taken and that nothing is in.
fn lost(server: &Server) -> u64 {
    server.info("memory", "allocator_frag_bytes").parse().unwrap()
}

/// What is lost once the server has seen it: it looks ten times in a second, and some of it is freed in the background.
fn holes(server: &Server) -> u64 {
    wait_until("there are holes", || lost(server) > 4_000_000);
    lost(server)
}

/// Many sessions without tokens, for one user after another, over and over.
fn create_in_turn(con: &mut Connection, keys: &[&str], times: usize) {
    let note = NOTE.repeat(4);
    for _ in 0..times / 100 {
        let mut pipe = redis::pipe();
        for key in (0..100).flat_map(|_| keys) {
            pipe.cmd("SESSION.CREATE").arg(key).arg(&["TOKEN", "NONE", "DATA", "1", "note", &note]).ignore();
        }
        pipe.exec(con).unwrap();
    }
}

#[test]
fn memory_between_the_sessions_of_small_users_goes_back() {
    let Some((primary, replica)) = pair() else { return };
    let mut con = primary.connection();
    // Side by side, so that what goes leaves holes of the same size.
    let note = NOTE.repeat(8);
    let user = |n: usize| format!("sessions:{n}");
    for some in (0..8000).collect::<Vec<_>>().chunks(500) {
        let mut pipe = redis::pipe();
        for n in some {
            pipe.cmd("SESSION.CREATE").arg(user(*n)).arg(&["TOKEN", "NONE", "DATA", "1", "note", &note]).ignore();
        }
        pipe.exec(&mut con).unwrap();
    }
    for some in (0..8000).filter(|n| n % 4 != 0).collect::<Vec<_>>().chunks(500) {
        cmd_args(&mut con, std::iter::once("DEL".to_owned()).chain(some.iter().map(|n| user(*n)))).unwrap();
    }
    let token = create_with(&mut con, "sessions:42", &["AGENT", "phone"]).str("token");
    primary.wait_for_sync(&replica);
    let (before, holes) = (stored(&primary), holes(&primary));

    // Beside each value the server moves things of its own, but they are few bytes.
    defragment(&mut con, "active-defrag-cycle-min 25 active-defrag-cycle-max 25");
    wait_until("the holes are closed", || lost(&primary) < holes / 3);
    assert!(moved(&primary) > 1000, "{} allocations were moved", moved(&primary));
    assert_eq!(stored(&primary), before);
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
    assert_eq!(stored(&replica), before);
    emptied(&primary);
}

#[test]
fn a_large_user_is_moved_in_parts_while_sessions_come_and_go() {
    let Some((primary, replica)) = pair() else { return };
    let mut con = primary.connection();
    let crowd = "sessions:crowd";
    create_in_turn(&mut con, &[crowd, "sessions:other", "sessions:other"], 10_000);
    let token = create_with(&mut con, crowd, &["AGENT", "phone"]).str("token");
    assert_eq!(int(&mut con, "DEL sessions:other"), 1);
    primary.wait_for_sync(&replica);
    let (before, holes) = (stored(&primary), holes(&primary));

    // As little at a time as there is. With one key, what is moved is in it.
    defragment(&mut con, "active-defrag-cycle-min 1 active-defrag-cycle-max 1");
    let mut steps = BTreeSet::new();
    let mut created = 0;
    wait_until("the holes are closed", || {
        steps.insert(moved(&primary));
        // At both ends of what the cursor goes through: a session that stays, and one that goes.
        let ended = create_with(&mut con, crowd, &["AGENT", "tablet"]).str("id");
        create_with(&mut con, crowd, &["AGENT", "tablet"]);
        assert_eq!(cmd_args(&mut con, ["SESSION.REVOKE", crowd, &ended]).unwrap(), Value::Int(1));
        assert_eq!(verdict(&mut con, crowd, &token), "active");
        created += 1;
        lost(&primary) < holes / 3
    });
    let all = moved(&primary);
    assert!(all > 5000, "{all} allocations were moved");
    assert!(steps.range(all / 10..all / 10 * 9).next().is_some(), "it went through in one: {steps:?} of {all}");
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:crowd"), 10_001 + created);
    primary.wait_for_sync(&replica);
    let after = stored(&primary);
    assert_ne!(after, before);
    assert_eq!(stored(&replica), after);
    emptied(&primary);
}

/// What was moved can be freed: all of it, without a crash.
fn emptied(server: &Server) {
    let mut con = server.connection();
    cmd(&mut con, "FLUSHALL").unwrap();
    // Some servers free in the background.
    wait_until("all is freed", || server.info("session", "session_sessions") == "0");
    assert!(now_ms(&mut con) > 0);
}
