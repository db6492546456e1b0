//! What was revoked in the old layout stays revoked.

use redis_session_tests::{Server, advance_past, cmd, fields};

use crate::old::{HOUR, del, ids, jwt, login, moved, set, verdict};
use crate::program::Migration;

const THEN: i64 = 1_790_000_000;

fn server() -> Server {
    Server::builder().keys(&["one"]).start()
}

#[test]
fn a_blacklisted_session_is_not_moved() {
    let (server, issuer) = (server(), server());
    let mut con = server.connection();
    let (whole, by_id) = (jwt(&issuer, "42", "TOKENTTL 600"), jwt(&issuer, "42", "ID by-id"));
    for token in ["out", "in", &whole, &by_id] {
        login(&mut con, token, r#"{"uid":"42"}"#, HOUR);
    }
    for name in ["out", &whole, "by-id"] {
        set(&mut con, &format!("blacklist:{name}"), "1");
    }
    let migration = Migration::on(&server);
    migration.apply("");
    assert_eq!(ids(&server, "42"), [crate::old::id_of("in")]);
    for token in ["out", &whole, &by_id] {
        assert_eq!(migration.reason("report.jsonl", token).as_deref(), Some("blacklisted"));
    }
}

#[test]
fn a_blacklisted_jwt_is_denied_also_without_a_session() {
    let (server, issuer) = (server(), server());
    let mut con = server.connection();
    let (out, other) = (jwt(&issuer, "42", ""), jwt(&issuer, "42", ""));
    set(&mut con, &format!("blacklist:{out}"), "1");
    set(&mut con, "blacklist:opaque", "1");
    let migration = Migration::on(&server);
    assert_eq!(verdict(&server, "42", &out, "STATELESS"), "active");
    assert!(migration.run("").stdout.contains("1  JWTs would be denied"));
    assert_eq!(verdict(&server, "42", &out, "STATELESS"), "active", "a dry run denies nothing");
    migration.apply("");
    assert_eq!(verdict(&server, "42", &out, "STATELESS"), "revoked");
    assert_eq!(verdict(&server, "42", &other, "STATELESS"), "active");
    assert_eq!((migration.count("/blacklist/moved"), migration.count("/blacklist/needless")), (1, 1));
    migration.apply("");
    assert_eq!((migration.count("/blacklist/moved"), migration.count("/blacklist/already")), (0, 1));
}

#[test]
fn sessions_older_than_their_users_blacklisting_are_not_moved() {
    let server = server();
    let mut con = server.connection();
    let at = |seconds: i64| format!(r#"{{"uid":"42","created_at":{seconds}}}"#);
    login(&mut con, "older", &at(THEN - 1), HOUR);
    login(&mut con, "same-second", &at(THEN), HOUR);
    login(&mut con, "newer", &at(THEN + 1), HOUR);
    login(&mut con, "unknown", r#"{"uid":"42"}"#, HOUR);
    login(&mut con, "another", r#"{"uid":"43"}"#, HOUR);
    set(&mut con, "user_blacklist:42", &THEN.to_string());
    let migration = Migration::on(&server);
    migration.apply("");
    assert!(moved(&server, "42", "newer").is_some() && moved(&server, "43", "another").is_some());
    assert_eq!(crate::old::live(&server), 2);
    for token in ["older", "same-second", "unknown"] {
        assert_eq!(migration.reason("report.jsonl", token).as_deref(), Some("user_blacklisted"), "{token}");
    }
}

#[test]
fn a_blacklisting_without_a_time_ends_all() {
    let server = server();
    let mut con = server.connection();
    login(&mut con, "old", &format!(r#"{{"uid":"42","created_at":{}}}"#, THEN + 1_000_000), HOUR);
    set(&mut con, "user_blacklist:42", "1");
    // Whatever is there, it is there.
    login(&mut con, "other", r#"{"uid":"43"}"#, HOUR);
    cmd(&mut con, "HSET user_blacklist:43 by admin").unwrap();
    Migration::on(&server).apply("");
    assert_eq!(crate::old::live(&server), 0);
}

#[test]
fn a_blacklisted_user_is_logged_out_unless_they_have_logged_in_since() {
    let (server, issuer) = (server(), server());
    let mut con = server.connection();
    let (gone, back) = (jwt(&issuer, "gone", ""), jwt(&issuer, "back", ""));
    // A JWT of this hour is newer than a blacklisting of long ago.
    login(&mut con, &back, "{}", HOUR);
    let now: i64 = redis_session_tests::now_ms(&mut con);
    set(&mut con, "user_blacklist:back", &(now / 1000 - 86_400).to_string());
    set(&mut con, "user_blacklist:gone", &(now / 1000).to_string());
    let long = "x".repeat(256);
    set(&mut con, &format!("user_blacklist:{long}"), "1");
    let migration = Migration::on(&server);
    assert_eq!(migration.run("").code, 3);
    assert_eq!(verdict(&server, "gone", &gone, "STATELESS"), "active", "a dry run logs nobody out");
    assert_eq!(migration.run("--apply").code, 3);
    assert_eq!(verdict(&server, "gone", &gone, "STATELESS"), "user_revoked");
    assert_eq!(verdict(&server, "back", &back, ""), "active");
    let report = migration.report("report.jsonl");
    assert_eq!(report.len(), 1);
    assert_eq!((report[0]["kind"].as_str(), report[0]["reason"].as_str()), (Some("user_blacklist"), Some("bad_user")));
}

#[test]
fn what_is_blacklisted_after_it_was_moved_is_ended_by_the_next_pass() {
    let (server, issuer) = (server(), server());
    let mut con = server.connection();
    let token = jwt(&issuer, "jwt", "");
    login(&mut con, &token, "{}", HOUR);
    for (name, user) in [("by-token", "1"), ("by-user", "2"), ("deleted-too", "3")] {
        login(&mut con, name, &format!(r#"{{"uid":"{user}","created_at":{THEN}}}"#), HOUR);
    }
    let migration = Migration::on(&server);
    migration.apply("");
    assert_eq!(crate::old::live(&server), 4);

    set(&mut con, &format!("blacklist:{token}"), "1");
    set(&mut con, "blacklist:by-token", "1");
    set(&mut con, "user_blacklist:2", &(THEN + 1).to_string());
    // Not a whole second, which would stand for all of it.
    let now = redis_session_tests::now_ms(&mut con) | 1;
    set(&mut con, "user_blacklist:3", &now.to_string());
    del(&mut con, "session:deleted-too");
    advance_past(&mut con, now);
    let later = fields(cmd(&mut con, "SESSION.CREATE sessions:3 ID later").unwrap());
    assert!(later.int("expires_at") > 0);
    migration.apply("");
    for (user, rest) in [("jwt", vec![]), ("1", vec![]), ("2", vec![]), ("3", vec!["later"])] {
        assert_eq!(ids(&server, user), rest, "user {user}");
    }
    assert_eq!(verdict(&server, "jwt", &token, ""), "revoked");
}

#[test]
fn kinds_of_keys_can_be_left_out() {
    let server = server();
    let mut con = server.connection();
    login(&mut con, "out", r#"{"uid":"42"}"#, HOUR);
    set(&mut con, "blacklist:out", "1");
    set(&mut con, "user_blacklist:42", "1");
    let run = Migration::on(&server).run("--apply --blacklist= --user-blacklist=");
    assert_eq!(run.code, 0);
    assert!(moved(&server, "42", "out").is_some());
    assert!(!run.stdout.contains("blacklist"), "{run:?}");
}
