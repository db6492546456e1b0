//! SESSION.KEYS: what an operator sees of the keys.

use std::fs;

use redis::Connection;
use redis_session_tests::{Fields, Server, ServerBuilder, cmd, cmd_args, error, fields, jwk_set, list, now_ms};
use serde_json::json;

use redis_session_tests::issuer::{KEYS, Key, N, PUBLIC, SECRET, load, own, server_with_public_keys};

#[track_caller]
fn shown(con: &mut Connection) -> Fields {
    fields(cmd(con, "SESSION.KEYS").unwrap())
}

fn keys(shown: &Fields) -> Vec<Fields> {
    list(shown.get("keys").unwrap().clone()).into_iter().map(fields).collect()
}

#[test]
fn every_key_is_shown_with_what_it_does() {
    let server = server_with_public_keys();
    for mut con in [server.connection(), server.connection_resp3()] {
        let shown = shown(&mut con);
        assert_eq!(shown.names(), ["file", "issuers_file", "file_changed", "loaded_at", "active_kid", "keys"]);
        assert_eq!((shown.str("file"), shown.str("active_kid")), ("keys.json".into(), "own".into()));
        assert!(!shown.bool("file_changed"));
        let keys = keys(&shown);
        let names =
            ["issuer", "kid", "status", "alg", "kty", "bits", "can_sign", "thumbprint", "fingerprint", "ignored"];
        assert!(keys.iter().all(|key| key.names() == names));
        let row = |key: &Fields| (key.str("kid"), key.str("status"), key.str("alg"), key.str("kty"), key.int("bits"));
        let row_of = |kid: &str, status: &str, alg: &str, kty: &str, bits| {
            (kid.to_owned(), status.to_owned(), alg.to_owned(), kty.to_owned(), bits)
        };
        assert_eq!(
            keys.iter().map(row).collect::<Vec<_>>(),
            [
                row_of("own", "active", "HS256", "oct", 256),
                row_of("ES256", "verifies", "ES256", "EC", 256),
                row_of("RS256", "verifies", "RS256", "RSA", 2048),
                row_of("PS256", "verifies", "PS256", "RSA", 2048),
                row_of("EdDSA", "verifies", "EdDSA", "OKP", 256),
                row_of("ES384", "verifies", "ES384", "EC", 384),
                row_of("RS384", "verifies", "RS384", "RSA", 2048),
                row_of("RS512", "verifies", "RS512", "RSA", 2048),
                row_of("PS384", "verifies", "PS384", "RSA", 2048),
                row_of("PS512", "verifies", "PS512", "RSA", 2048),
            ]
        );
        assert!(keys.iter().all(|key| key.bool("can_sign") == (key.str("kid") == "own")));
        assert!(keys[0].is_null("thumbprint") && keys.iter().all(|key| key.is_null("ignored")));
        assert!(keys.iter().all(|key| key.is_null("issuer") && !key.str("fingerprint").is_empty()));
        // RFC 8037 appendix A.3.
        assert_eq!(keys[4].str("thumbprint"), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}

#[test]
fn a_random_key_is_told_by_having_no_file() {
    let server = Server::start();
    let mut con = server.connection();
    let before = now_ms(&mut con);
    let first = shown(&mut con);
    assert!(first.is_null("file") && !first.bool("file_changed"));
    assert!(first.int("loaded_at") <= before && first.int("loaded_at") > before - 3_600_000);
    let keys = keys(&first);
    assert_eq!((keys.len(), keys[0].str("status")), (1, "active".into()));
    assert_eq!(keys[0].str("kid"), first.str("active_kid"));
    // The key that a file replaced does not come back.
    load(&server, &[own()]).unwrap();
    cmd_args(&mut con, ["CONFIG", "SET", "session.keys-file", ""]).unwrap();
    let second = shown(&mut con);
    assert!(second.is_null("file") && second.str("active_kid") != first.str("active_kid"));
}

#[test]
fn a_file_that_is_another_by_now_is_told_until_it_is_read() {
    let server = ServerBuilder::new().keys(&["one"]).start();
    let mut con = server.connection();
    let before = shown(&mut con);
    server.write("keys.json", jwk_set(&["one", "two"]));
    let changed = shown(&mut con);
    assert!(changed.bool("file_changed"));
    assert_eq!((keys(&changed).len(), changed.int("loaded_at")), (1, before.int("loaded_at")));
    cmd(&mut con, "SESSION.RELOADKEYS").unwrap();
    let after = shown(&mut con);
    assert!(!after.bool("file_changed"));
    assert_eq!(keys(&after).len(), 2);
    assert!(after.int("loaded_at") >= before.int("loaded_at"));
    fs::remove_file(server.dir().join("keys.json")).unwrap();
    assert!(shown(&mut con).bool("file_changed"));
}

#[test]
fn rotation_shows_which_key_signs() {
    let server = ServerBuilder::new().keys(&["old", "new"]).start();
    let mut con = server.connection();
    let rows = |con: &mut Connection| {
        keys(&shown(con))
            .iter()
            .map(|key| (key.str("kid"), key.str("status"), key.bool("can_sign")))
            .collect::<Vec<_>>()
    };
    let (old, new) = ("old".to_owned(), "new".to_owned());
    let (active, verifies) = ("active".to_owned(), "verifies".to_owned());
    assert_eq!(rows(&mut con), [(old.clone(), active.clone(), true), (new.clone(), verifies.clone(), true)]);
    cmd(&mut con, "CONFIG SET session.active-kid new").unwrap();
    assert_eq!(rows(&mut con), [(old, verifies, true), (new, active, true)]);
}

#[test]
fn keys_that_are_left_out_are_named_with_the_reason() {
    let server = Server::start();
    let enc = json!({ "kty": "RSA", "kid": "enc-1", "use": "enc", "alg": "RSA-OAEP", "n": N, "e": "AQAB" });
    let nameless = json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA" });
    load(&server, &[enc, own(), nameless]).unwrap();
    let keys = keys(&shown(&mut server.connection()));
    assert_eq!(keys.iter().map(|key| key.str("status")).collect::<Vec<_>>(), ["active", "ignored", "ignored"]);
    assert_eq!(
        (keys[1].str("kid"), keys[1].str("ignored")),
        ("enc-1".into(), r#"it is not for signatures ("use", "key_ops")"#.into())
    );
    assert!(keys[2].is_null("kid"));
    assert_eq!(keys[2].str("ignored"), r#"its type ("kty") is not supported"#);
    for name in ["alg", "kty", "bits", "thumbprint"] {
        assert!(keys[1].is_null(name), "{name}");
    }
}

#[test]
fn no_secret_is_shown() {
    let server = Server::start();
    let mut jwks: Vec<_> = KEYS.map(Key::jwk).to_vec();
    jwks.push(own());
    load(&server, &jwks).unwrap();
    let shown = format!("{:?}", cmd(&mut server.connection(), "SESSION.KEYS").unwrap());
    use sha2::Digest as _;
    for secret in [&SECRET[..], &[7; 32]] {
        // Nor anything by which a guess could be checked: the thumbprint would be.
        let k = redis_session_core::base64url::encode(secret);
        let thumbprint = sha2::Sha256::digest(format!(r#"{{"k":"{k}","kty":"oct"}}"#));
        for text in [k, redis_session_core::base64url::encode(&thumbprint)] {
            assert!(!shown.contains(&text));
        }
    }
    assert!(PUBLIC.into_iter().all(|key| shown.contains(&key.name())));
}

#[test]
fn it_takes_no_arguments_and_is_for_operators() {
    let server = Server::start();
    let mut con = server.connection();
    assert!(error(&mut con, "SESSION.KEYS sessions:42").contains("an option was expected"));
    cmd(&mut con, "ACL SETUSER monitor on nopass resetkeys -@all +session.keys").unwrap();
    cmd(&mut con, "ACL SETUSER app on nopass ~sessions:* +@all -session.keys").unwrap();
    cmd(&mut con, "AUTH monitor x").unwrap();
    shown(&mut con);
    cmd(&mut con, "AUTH app x").unwrap();
    assert!(error(&mut con, "SESSION.KEYS").starts_with("NOPERM"));
}
