//! Keys of all servers: shown, read again, and gone.

use redis_session_tests::{Server, ServerBuilder, cmd, jwk_set, login, verdict};

use crate::program::{at, findings, well};

fn pair() -> (Server, Server) {
    let node = || ServerBuilder::new().keys(&["old"]);
    let primary = node().start();
    let replica = node().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    (primary, replica)
}

#[test]
fn a_key_is_added_and_another_revoked_on_all_servers() {
    let (primary, replica) = pair();
    let printed = well(&format!("keys {}", at(&replica)));
    assert!(printed.contains("All servers that answered have the same keys"), "{printed}");
    assert!(!printed.contains("\"k\""), "{printed}");
    let token = login(&mut primary.connection(), "sessions:42");

    // The file is on one of them only, so far.
    primary.write("keys.json", jwk_set(&["new", "old"]));
    let changed = well(&format!("keys {}", at(&primary)));
    assert!(changed.contains("has changed since it was read"), "{changed}");
    let apart = findings(&format!("keys reload {}", at(&primary)));
    assert!(apart.contains("THE SERVERS DIFFER: there are 2 sets of keys"), "{apart}");
    replica.write("keys.json", jwk_set(&["new", "old"]));
    well(&format!("keys reload {}", at(&primary)));
    assert_eq!(verdict(&mut primary.connection(), "sessions:42", &token), "active");

    // Gone on one of them.
    primary.write("keys.json", jwk_set(&["new"]));
    let left = findings(&format!("keys revoke old {}", at(&primary)));
    assert!(left.contains(&format!("127.0.0.1:{} still takes tokens of old", replica.port())), "{left}");
    replica.write("keys.json", jwk_set(&["new"]));
    let gone = well(&format!("keys revoke old {}", at(&primary)));
    assert!(gone.contains("No server takes a token of old") && gone.contains("everyone-out"), "{gone}");
    assert_eq!(verdict(&mut primary.connection(), "sessions:42", &token), "unknown_key");
}

#[test]
fn a_file_that_will_not_do_is_reported_and_the_keys_stay() {
    let (primary, replica) = pair();
    replica.write("keys.json", "no JSON");
    let printed = findings(&format!("keys reload {}", at(&primary)));
    assert!(printed.contains(&format!("127.0.0.1:{}: SESSION.RELOADKEYS", replica.port())), "{printed}");
    let stays = cmd(&mut replica.connection(), "SESSION.KEYS JSON").unwrap();
    assert!(redis_session_tests::text(&stays).contains("\"old\""));
    // A revocation that was not done everywhere is none.
    primary.write("keys.json", jwk_set(&["new"]));
    let printed = findings(&format!("keys revoke old {}", at(&primary)));
    assert!(printed.contains(&format!("127.0.0.1:{} still takes", replica.port())), "{printed}");
}
