//! What the server's own commands do with keys that hold sessions.

use redis::Value;
use redis_session_tests::{ServerBuilder, cmd, cmd_args, create, create_with, int, text, verdict};

use crate::users::{agents, assert_verdicts, server, stored, users_in_every_state};

#[test]
fn a_copy_goes_its_own_way() {
    let server = server().start();
    let mut con = server.connection();
    let created = create_with(&mut con, "sessions:42", &["TOKEN", "OPAQUE", "AGENT", "shared agent"]);
    let token = created.str("token");
    assert_eq!(int(&mut con, "COPY sessions:42 sessions:42 DB 1"), 1);
    let original = server.digest("sessions:42");
    let expires_at = int(&mut con, "PEXPIRETIME sessions:42");

    let mut elsewhere = server.connection();
    cmd(&mut elsewhere, "SELECT 1").unwrap();
    assert_eq!(int(&mut elsewhere, "PEXPIRETIME sessions:42"), expires_at);
    assert_eq!(cmd_args(&mut elsewhere, ["SESSION.REVOKE", "sessions:42", &token]).unwrap(), Value::Int(1));
    create_with(&mut elsewhere, "sessions:42", &["AGENT", "another agent"]);
    assert_eq!(verdict(&mut elsewhere, "sessions:42", &token), "revoked");
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
    assert_eq!(server.digest("sessions:42"), original);
}

#[test]
fn a_copy_outlives_its_source() {
    let server = server().start();
    let mut con = server.connection();
    for n in 0..100 {
        create_with(&mut con, "sessions:42", &["AGENT", &format!("agent {}", n % 9)]);
    }
    let before = agents(&mut con, "sessions:42");
    cmd(&mut con, "COPY sessions:42 sessions:43").unwrap();
    cmd(&mut con, "DEL sessions:42").unwrap();
    for n in 0..20 {
        create_with(&mut con, "sessions:44", &["AGENT", &format!("a new agent {n}")]);
    }
    assert_eq!(agents(&mut con, "sessions:43"), before);
}

#[test]
fn a_copy_in_the_place_of_another_user_leaves_nothing_of_it() {
    let server = server().start();
    let mut con = server.connection();
    create_with(&mut con, "sessions:42", &["AGENT", "copied"]);
    create_with(&mut con, "sessions:43", &["AGENT", "replaced"]);
    assert_eq!(int(&mut con, "COPY sessions:42 sessions:43"), 0);
    assert_eq!(int(&mut con, "COPY sessions:42 sessions:43 REPLACE"), 1);
    create_with(&mut con, "sessions:44", &["AGENT", "new"]);
    assert_eq!(agents(&mut con, "sessions:43"), ["copied"]);
    assert_eq!(server.digest("sessions:42"), server.digest("sessions:43"));
}

#[test]
fn copies_of_every_kind_of_user_equal_their_source() {
    let server = server().start();
    users_in_every_state(&mut server.connection());
    let mut con = server.connection();
    for (key, before) in stored(&server) {
        let copy = format!("{key}:copy");
        assert_eq!(cmd_args(&mut con, ["COPY", &key, &copy]).unwrap(), Value::Int(1));
        assert_eq!((server.digest(&copy), int(&mut con, &format!("PEXPIRETIME {copy}"))), before, "{key}");
    }
}

#[test]
fn swapped_databases_keep_their_sessions() {
    let server = server().start();
    let mut con = server.connection();
    let credentials = users_in_every_state(&mut con);
    let before = stored(&server);
    let mut other = server.connection();
    cmd(&mut other, "SELECT 1").unwrap();
    let there = create(&mut other, "sessions:there TOKEN OPAQUE").str("token");

    cmd(&mut con, "SWAPDB 0 1").unwrap();
    assert_eq!(verdict(&mut con, "sessions:there", &there), "active");
    assert_eq!(int(&mut con, "DBSIZE"), 1);
    assert_verdicts(&mut other, &credentials);
    cmd(&mut con, "SWAPDB 0 1").unwrap();
    assert_eq!(stored(&server), before);
}

#[test]
fn a_moved_user_keeps_sessions_and_deadline() {
    let server = server().start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42 TOKEN OPAQUE").str("token");
    let expires_at = int(&mut con, "PEXPIRETIME sessions:42");
    assert_eq!(int(&mut con, "MOVE sessions:42 9"), 1);
    assert_eq!(verdict(&mut con, "sessions:42", &token), "unknown");
    cmd(&mut con, "SELECT 9").unwrap();
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
    assert_eq!(int(&mut con, "PEXPIRETIME sessions:42"), expires_at);
}

#[test]
fn a_renamed_user_keeps_sessions_and_deadline() {
    let server = server().start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42 TOKEN OPAQUE").str("token");
    let before = stored(&server);
    // The same user: only where the key lives in a cluster changes.
    cmd(&mut con, "RENAME sessions:42 sessions:{42}").unwrap();
    assert_eq!(verdict(&mut con, "sessions:{42}", &token), "active");
    assert_eq!(stored(&server)["sessions:{42}"], before["sessions:42"]);
}

#[test]
fn a_token_is_worth_nothing_for_the_user_it_was_renamed_to() {
    let server = server().start();
    let mut con = server.connection();
    let jwt = create(&mut con, "sessions:42").str("token");
    let opaque = create(&mut con, "sessions:42 TOKEN OPAQUE").str("token");
    cmd(&mut con, "RENAME sessions:42 sessions:43").unwrap();
    assert_eq!(verdict(&mut con, "sessions:43", &jwt), "subject");
    assert_eq!(verdict(&mut con, "sessions:43", &opaque), "subject");
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:43"), 1 + 1);
}

#[test]
fn databases_have_users_of_their_own() {
    let server = server().start();
    let (mut zero, mut one) = (server.connection(), server.connection());
    cmd(&mut one, "SELECT 1").unwrap();
    let token = create(&mut zero, "sessions:42 TOKEN OPAQUE").str("token");
    assert_eq!(verdict(&mut one, "sessions:42", &token), "unknown");
    cmd(&mut one, "SESSION.REVOKEUSER sessions:42").unwrap();
    assert_eq!(verdict(&mut zero, "sessions:42", &token), "active");
}

#[test]
fn a_migrated_user_goes_on_at_the_other_server() {
    let (here, there) = (server().start(), server().start());
    let mut con = here.connection();
    let credentials = users_in_every_state(&mut con);
    let before = stored(&here);
    for key in before.keys() {
        let port = there.port().to_string();
        let reply = cmd_args(&mut con, ["MIGRATE", "127.0.0.1", &port, key, "0", "10000"]).unwrap();
        assert_eq!(text(&reply), "OK", "{key}");
    }
    assert_eq!(int(&mut con, "DBSIZE"), 0);
    assert_verdicts(&mut there.connection(), &credentials);
    let digests =
        |stored: crate::users::Stored| stored.into_iter().map(|(key, (digest, _))| (key, digest)).collect::<Vec<_>>();
    assert_eq!(digests(stored(&there)), digests(before));
}

#[test]
fn a_deleted_user_is_gone() {
    for delete in ["DEL", "UNLINK"] {
        let server = ServerBuilder::new().start();
        let mut con = server.connection();
        let token = create(&mut con, "sessions:42 TOKEN OPAQUE").str("token");
        assert_eq!(int(&mut con, &format!("{delete} sessions:42")), 1);
        assert_eq!(verdict(&mut con, "sessions:42", &token), "unknown");
        assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 0);
    }
}
