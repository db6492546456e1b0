//! What WAIT and min-replicas-to-write say of a logout.

use redis_session::commands::session_revoke;
use redis_session::redis::Connection;
use redis_session::{CreateOptions, SessionCommands, ValidateOptions};
use redis_session_tests::{Server, ServerBuilder, cmd, error, wait_until};

use crate::links::Link;

const KEY: &str = "sessions:42";

fn pair() -> (Server, Server) {
    let node = || ServerBuilder::new().keys(&["one"]);
    let primary = node().start();
    let replica = node().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    // Until its first sign of life, a replica is not counted.
    wait_until("the primary counts its replica", || primary.info("replication", "slave0").contains("state=online"));
    (primary, replica)
}

fn is_active(con: &mut Connection, token: &str) -> bool {
    con.session_validate(KEY, token, &ValidateOptions::new()).unwrap().is_active()
}

#[test]
fn a_logout_stands_after_a_failover_if_wait_says_that_the_replica_has_it() {
    let (primary, replica) = pair();
    let (mut old, mut new) = (primary.connection(), replica.connection());
    let known = old.session_create(KEY, &CreateOptions::new()).unwrap().token.unwrap();
    let unknown = old.session_create(KEY, &CreateOptions::new()).unwrap().token.unwrap();

    assert_eq!(old.session_revoke(KEY, &known).unwrap(), 1);
    assert_eq!(cmd(&mut old, "WAIT 1 30000").unwrap(), redis::Value::Int(1));
    cmd(&mut new, "REPLICAOF NO ONE").unwrap();
    let (_, replicas) = old.send_and_wait(&session_revoke(KEY, &unknown), 1).unwrap();
    assert_eq!(replicas, 0);

    assert!(!is_active(&mut old, &known) && !is_active(&mut old, &unknown));
    assert!(!is_active(&mut new, &known));
    assert!(is_active(&mut new, &unknown), "it was never told");
}

#[test]
fn a_primary_without_replicas_can_refuse_logouts_and_go_on_checking() {
    let (primary, mut replica) = pair();
    let mut con = primary.connection();
    let token = con.session_create(KEY, &CreateOptions::new()).unwrap().token.unwrap();
    cmd(&mut con, "CONFIG SET min-replicas-to-write 1").unwrap();
    wait_until("its replica is good", || primary.info("replication", "min_slaves_good_slaves") == "1");
    assert!(con.session_touch(KEY, &token, &ValidateOptions::new()).unwrap().is_active());

    replica.kill();
    wait_until("the primary misses its replica", || primary.info("replication", "connected_slaves") == "0");
    for line in ["SESSION.CREATE sessions:42", "SESSION.REVOKEUSER sessions:42"] {
        assert!(error(&mut con, line).starts_with("NOREPLICAS"), "{line}");
    }
    let touch = con.session_touch(KEY, &token, &ValidateOptions::new()).unwrap_err();
    assert_eq!(touch.code(), Some("NOREPLICAS"));
    assert!(is_active(&mut con, &token));

    replica.start_again();
    wait_until("the primary has its replica back", || primary.info("replication", "min_slaves_good_slaves") == "1");
    assert_eq!(con.session_revoke(KEY, &token).unwrap(), 1);
}

#[test]
fn a_logout_that_is_repeated_on_another_connection_waits_with_a_write_of_its_own() {
    let (primary, replica) = pair();
    let mut con = primary.connection();
    let id = con.session_create(KEY, &CreateOptions::new()).unwrap().id;
    // It stays connected, and has nothing of what follows.
    let frozen = replica.freeze();
    assert_eq!(con.send_and_wait(&session_revoke(KEY, &id), 1).unwrap().1, 0);

    // The session has ended already, so this writes nothing, and newer servers would wait for nothing.
    let mut again = redis::pipe();
    again.add_command(session_revoke(KEY, &id));
    again.cmd("SET").arg("logout:42").arg(1).arg("EX").arg(60).ignore();
    again.cmd("WAIT").arg(1).arg(100);
    let ask = || again.query::<(u64, u32)>(&mut primary.connection()).unwrap();
    assert_eq!(ask(), (0, 0));
    drop(frozen);
    wait_until("the replica has it", || ask() == (0, 1));
}
