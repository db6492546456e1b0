//! `session.token-type`.

use redis_session_tests::{Server, cmd, cmd_args, error, fields};
use serde_json::{Value, json};

use crate::foreign::answer;
use redis_session_tests::issuer::{PUBLIC, claims, server_with_public_keys};

fn set(con: &mut redis::Connection, value: &str) {
    cmd_args(con, ["CONFIG", "SET", "session.token-type", value]).unwrap();
}

fn header_of(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&redis_session_core::base64url::decode(header.as_bytes()).unwrap()).unwrap()
}

#[test]
fn what_is_made_has_the_type_that_is_demanded_and_passes() {
    let server = Server::start();
    let mut con = server.connection();
    let login = |con: &mut _| fields(cmd(con, "SESSION.CREATE sessions:42 REFRESH 0").unwrap());
    let old = login(&mut con);
    assert_eq!(header_of(&old.str("token"))["typ"], "JWT");
    set(&mut con, "at+jwt");
    let new = login(&mut con);
    assert_eq!(header_of(&new.str("token"))["typ"], "at+jwt");
    assert_eq!(answer(&mut con, &new.str("token"), &[]), "active");
    assert_eq!(answer(&mut con, &old.str("token"), &[]), "type");
    let refreshed = cmd(&mut con, &format!("SESSION.REFRESH sessions:42 {}", old.str("refresh_token"))).unwrap();
    assert_eq!(answer(&mut con, &fields(refreshed).str("token"), &[]), "active", "refresh tokens have no type");
    set(&mut con, "");
    for token in [old, new] {
        assert_eq!(answer(&mut con, &token.str("token"), &[]), "active");
    }
}

#[test]
fn opaque_tokens_have_no_type() {
    let server = Server::builder().config("session.token-type at+jwt").start();
    let mut con = server.connection();
    let created = fields(cmd(&mut con, "SESSION.CREATE sessions:42 TOKEN OPAQUE").unwrap());
    assert_eq!(answer(&mut con, &created.str("token"), &[]), "active");
}

#[test]
fn a_foreign_token_of_another_type_is_told_and_begins_no_session() {
    let server = server_with_public_keys();
    let mut con = server.connection();
    set(&mut con, "at+jwt");
    let claims = claims(&mut con, "42", "one");
    for key in PUBLIC {
        for (typ, reason) in [
            (json!("application/AT+JWT"), "active"),
            (json!("JWT"), "type"),
            (json!("id+jwt"), "type"),
            (Value::Null, "type"),
            (json!(7), "malformed"),
        ] {
            let mut header = json!({ "alg": key.name(), "kid": key.name(), "typ": typ });
            if typ.is_null() {
                header.as_object_mut().unwrap().remove("typ");
            }
            let token = key.sign(&header, &claims);
            assert_eq!(answer(&mut con, &token, &["STATELESS"]), reason, "{header}");
            if reason != "active" {
                let begun = fields(cmd(&mut con, &format!("SESSION.CREATE sessions:42 FROM {token}")).unwrap());
                assert_eq!(begun.str("reason"), reason);
            }
        }
    }
}

/// Also one that the type would refuse now: logging out must not fail because a setting has changed.
#[test]
fn a_token_of_any_type_names_the_session_to_revoke() {
    let server = Server::start();
    let mut con = server.connection();
    let token = fields(cmd(&mut con, "SESSION.CREATE sessions:42").unwrap()).str("token");
    set(&mut con, "at+jwt");
    assert_eq!(cmd(&mut con, &format!("SESSION.REVOKE sessions:42 {token}")).unwrap(), redis::Value::Int(1));
}

#[test]
fn a_type_is_a_media_type_or_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    for bad in ["at jwt", "at\"jwt", "/jwt", "jwt/", "a/b/c", "+jwt", "jwt;v=1", "j\u{e4}t"] {
        let why = cmd_args(&mut con, ["CONFIG", "SET", "session.token-type", bad]).unwrap_err().to_string();
        assert!(why.contains("must be a media type"), "{bad}: {why}");
    }
    assert!(error(&mut con, &format!("CONFIG SET session.token-type {}", "x".repeat(128))).contains("media type"));
    for good in ["JWT", "at+jwt", "application/at+jwt", "secevent+jwt", ""] {
        set(&mut con, good);
    }
}
