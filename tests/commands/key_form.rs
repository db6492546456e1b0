//! One spelling of a user's key: `session.key-form`.

use std::collections::BTreeMap;

use redis::Connection;
use redis_session_tests::issuer::payload;
use redis_session_tests::{Server, ServerBuilder, cmd, cmd_args, create, error, fields, int, login, refusal, verdict};
use serde_json::json;

use crate::misuse::{args, calls};

const PLAIN: &str = "has a { before the user, and this server takes plain keys (session.key-form plain)";
const BRACES: &str = "has no braces around the user, and this server takes keys with braces (session.key-form braces)";
const BRACE: &str = "names a user that begins with {";

/// Over both protocols, on a server with this setting.
fn with_form(form: &str, each: impl Fn(&mut Connection)) {
    let server = ServerBuilder::new().config(format!("session.key-form {form}")).start();
    for mut con in [server.connection(), server.connection_resp3()] {
        cmd(&mut con, "FLUSHALL").unwrap();
        each(&mut con);
    }
}

#[track_caller]
fn assert_refused(con: &mut Connection, key: &str, expected: &str) {
    let deny = args(["SESSION.DENY", key, "one", "UNTIL", "1900000000000"]);
    for call in calls(key.as_bytes()).into_iter().chain([deny]) {
        assert_eq!(refusal(con, &call), format!("ERR the key {expected}"), "{key}");
    }
}

#[test]
fn plain_keys_are_the_default_and_refuse_braces() {
    let server = Server::start();
    for mut con in [server.connection(), server.connection_resp3()] {
        let con = &mut con;
        let token = login(con, "sessions:42");
        assert_eq!(payload(&token)["sub"], json!("42"));
        assert_eq!(verdict(con, "sessions:42", &token), "active");
        for key in ["sessions:{42}", "sessions:{42", "sessions:{4}2", "sessions:{{42}}", "sessions:{}"] {
            assert_refused(con, key, &format!("{PLAIN}: expected sessions:<user>"));
        }
    }
    assert_eq!(int(&mut server.connection(), "DBSIZE"), 1);
}

#[test]
fn a_server_with_braces_refuses_plain_keys() {
    with_form("braces", |con| {
        let token = login(con, "sessions:{42}");
        assert_eq!(payload(&token)["sub"], json!("42"));
        assert_eq!(verdict(con, "sessions:{42}", &token), "active");
        let expected = "expected sessions:{<user>}";
        for key in ["sessions:42", "sessions:{42", "sessions:42}", "sessions:{4}2", "sessions:a{42}"] {
            assert_refused(con, key, &format!("{BRACES}: {expected}"));
        }
        for key in ["sessions:{{42}}", "sessions:{{42}", "sessions:{{}"] {
            assert_refused(con, key, &format!("{BRACE}: {expected}"));
        }
        assert_refused(con, "sessions:{}", &format!("names no user: {expected}"));
        assert_refused(con, "cart:{42}", &format!("does not start with the session.key-prefix: {expected}"));
        assert_eq!(int(con, "DBSIZE"), 1);
    });
}

#[test]
fn a_server_with_any_form_takes_both_as_two_keys_of_one_user() {
    with_form("any", |con| {
        let token = login(con, "sessions:{42}");
        assert_eq!(payload(&token)["sub"], json!("42"));
        assert_eq!(verdict(con, "sessions:{42}", &token), "active");
        // The token is the user's, but its session is not at this key.
        assert_eq!(verdict(con, "sessions:42", &token), "unknown");
        // That is the risk: a logout of one key leaves the other.
        create(con, "sessions:42");
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        assert_eq!(verdict(con, "sessions:{42}", &token), "active");

        let expected = "expected sessions:<user> or sessions:{<user>}";
        for key in ["sessions:{{42}}", "sessions:{42", "sessions:{4}2", "sessions:{"] {
            assert_refused(con, key, &format!("{BRACE}: {expected}"));
        }
        assert_refused(con, "sessions:{}", &format!("names no user: {expected}"));
    });
}

/// What is at `sessions:{42}` from before says nothing of user 42 where keys are plain.
#[test]
fn a_user_who_is_called_as_anothers_key_gets_no_token_of_the_other() {
    with_form("any", |con| {
        cmd(con, "CONFIG SET session.key-form plain").unwrap();
        let theirs = login(con, "sessions:42 ID order-1");
        let name = "{42}";
        let refused = format!("ERR the key {PLAIN}: expected sessions:<user>");
        assert_eq!(error(con, &format!("SESSION.CREATE sessions:{name} ID order-1")), refused);
        assert_eq!(error(con, &format!("SESSION.REVOKE sessions:{name} {theirs}")), refused);
        assert_eq!(error(con, &format!("SESSION.VALIDATE sessions:{name} {theirs} STATELESS")), refused);
        assert_eq!(error(con, &format!("SESSION.REVOKEUSER sessions:{name}")), refused);
        assert_eq!(verdict(con, "sessions:42", &theirs), "active");
        cmd(con, "CONFIG SET session.key-form any").unwrap();
    });
}

#[test]
fn no_two_keys_are_of_one_user() {
    let long = ["x".repeat(255), "x".repeat(256), format!("{{{}}}", "x".repeat(255))];
    let names = [
        "42",
        "{42}",
        "{{42}}",
        "{42",
        "42}",
        "{",
        "}",
        "{}",
        "{a}b}",
        "{a}{b}",
        "a",
        "{a}",
        " 42",
        "42 ",
        "\u{ff14}2",
        "42\u{200d}",
        "\u{e9}",
        "{\u{e9}}",
        "e\u{301}",
        "sessions:42",
        "42:",
        "..",
    ];
    for form in ["plain", "braces"] {
        with_form(form, |con| {
            let mut users = BTreeMap::new();
            for name in names.into_iter().chain(long.iter().map(String::as_str)) {
                let Ok(reply) = cmd_args(con, ["SESSION.CREATE", &format!("sessions:{name}")]) else { continue };
                let user = payload(&fields(reply).str("token"))["sub"].as_str().unwrap().to_owned();
                assert!(!user.starts_with('{'), "{user}");
                assert_eq!(users.insert(user, name), None, "{name:?}");
            }
            assert!(users.len() >= 5, "{users:?}");
        });
    }
}
