//! Files that the first version of the encoding wrote: see `fixtures/README.md`.

use redis::{Connection, Value};
use redis_session_core::base64url;
use redis_session_tests::{Server, ServerBuilder, cmd, cmd_args, fields, int, list, verdict};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::payloads::{dump, value_of};

const SNAPSHOT: &[u8] = include_bytes!("fixtures/version-1.rdb");
const DESCRIPTION: &[u8] = include_bytes!("fixtures/version-1.json");

/// A server that has loaded the file, and what is to be in it.
fn loaded() -> (Server, Json) {
    // Revocations are remembered as long as the longest of the lifetimes.
    let settings = "rdbcompression no\nsession.refresh-ttl 3162240000\nsession.key-form any";
    let server = ServerBuilder::new().keys(&["one"]).config(settings).file("dump.rdb", SNAPSHOT).start();
    (server, serde_json::from_slice(DESCRIPTION).unwrap())
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

/// A reply as the description has it: bytes that are no text in hexadecimal digits.
fn described(value: &Value) -> Json {
    match value {
        Value::Int(number) => json!(number),
        Value::BulkString(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => json!(text),
            _ => json!({ "bytes": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
        },
        Value::Array(pairs) => pairs.chunks(2).map(|pair| json!([described(&pair[0]), described(&pair[1])])).collect(),
        Value::Nil => Json::Null,
        other => panic!("{other:?}"),
    }
}

fn sessions(con: &mut Connection, key: &str) -> Json {
    let sessions = list(cmd_args(con, ["SESSION.LIST", key]).unwrap()).into_iter().map(fields);
    let names =
        |session: &redis_session_tests::Fields| session.names().iter().map(|name| name.to_string()).collect::<Vec<_>>();
    sessions
        .map(|session| {
            let pairs = names(&session).into_iter().map(|name| (name.clone(), described(session.get(&name).unwrap())));
            Json::Object(pairs.collect())
        })
        .collect()
}

#[test]
fn the_files_are_those_of_then() {
    let checksum = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let why =
        "a file of an earlier version was changed: servers in the field have such files, so a change hides a break";
    assert_eq!(checksum(SNAPSHOT), "662f63997580af2fe6982c36e39a0ec4df6d116c8e0f715b337e0b1fea18d6b4", "{why}");
    assert_eq!(checksum(DESCRIPTION), "dda087932b02a5a7528cd2790b1bef410db6abc303236b068ff47af7e09f77f4", "{why}");
}

#[test]
fn every_field_is_read() {
    let (server, description) = loaded();
    let mut con = server.connection();
    let users = description["sessions"].as_object().unwrap();
    assert_eq!(int(&mut con, "DBSIZE"), i64::try_from(users.len()).unwrap());
    for (key, expected) in users {
        assert_eq!(sessions(&mut con, key), *expected, "{key}");
        assert_eq!(json!(int(&mut con, &format!("PEXPIRETIME {key}"))), description["expires_at"][key], "{key}");
    }
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:crowd"), 40);
    let stats = fields(cmd(&mut con, "SESSION.STATS").unwrap());
    assert_eq!((stats.int("revoked_before"), stats.int("apply_failures")), (1_699_999_999_999, 0));
}

#[test]
fn every_token_is_worth_what_it_was() {
    let (server, description) = loaded();
    let mut con = server.connection();
    let tokens = description["tokens"].as_array().unwrap();
    for token in tokens {
        let found = verdict(&mut con, text(&token["key"]), text(&token["token"]));
        assert_eq!(found, text(&token["verdict"]), "{}", token["name"]);
    }
    let token = |name: &str| {
        let token = tokens.iter().find(|token| text(&token["name"]) == name).unwrap();
        (text(&token["key"]), text(&token["token"]))
    };
    // The device, and what was forgotten.
    let mut reason = |(key, token): (&str, &str), more: &[&str]| {
        let reply = cmd_args(&mut con, ["SESSION.VALIDATE", key, token].iter().chain(more)).unwrap();
        let reply = fields(reply);
        if reply.bool("active") { "active".to_owned() } else { reply.str("reason") }
    };
    let phone = token("hex, IPv6, device, opaque");
    assert_eq!(reason(phone, &["DEVICE", "fingerprint of the phone"]), "active");
    assert_eq!(reason(phone, &["DEVICE", "another"]), "device");
    assert_eq!(reason(token("forgotten early"), &["STATELESS"]), "unknown");
}

#[test]
fn a_refresh_token_of_then_is_good_once_with_the_claims_of_then() {
    let (server, description) = loaded();
    let mut con = server.connection();
    let refresh = &description["refresh"];
    let mut offer =
        |token: &Json| fields(cmd_args(&mut con, ["SESSION.REFRESH", text(&refresh["key"]), text(token)]).unwrap());
    let granted = offer(&refresh["good"]);
    assert_eq!(granted.str("id"), text(&refresh["id"]));
    assert_eq!(granted.int("refresh_expires_at"), granted.int("expires_at"));
    let token = granted.str("token");
    let claims = base64url::decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&claims).unwrap()["role"], "reader");
    assert_eq!(offer(&refresh["too_old"]).str("reason"), "reused");
    assert_eq!(verdict(&mut con, text(&refresh["key"]), &token), "reused");
}

/// Should this fail, the encoding has changed, and what it is called must too: `ENCODING_VERSION`, and the version of effects.
#[test]
fn what_is_written_now_is_what_was_written_then() {
    let (server, description) = loaded();
    let mut con = server.connection();
    for key in description["sessions"].as_object().unwrap().keys() {
        let payload = dump(&mut con, key);
        // The type stands before the key in a file, and before the value in a payload.
        let value = &value_of(&payload)[1..];
        assert!(SNAPSHOT.windows(value.len()).any(|bytes| bytes == value), "{key}");
    }
    cmd(&mut con, "DEBUG RELOAD").unwrap();
    for (key, expected) in description["sessions"].as_object().unwrap() {
        assert_eq!(sessions(&mut con, key), *expected, "{key}");
    }
}
