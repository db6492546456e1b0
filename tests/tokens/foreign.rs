//! Tokens of an issuer whose public keys the server has.

use redis::Connection;
use redis_session_core::SessionId;
use redis_session_tests::{Fields, cmd, cmd_args, error, fields};
use serde_json::json;

use redis_session_tests::issuer::{Key, PUBLIC, claims, load, own, server_with_public_keys};

const KEY: &str = "sessions:42";

#[track_caller]
fn ask<'a>(con: &mut Connection, line: impl IntoIterator<Item = &'a str>) -> Fields {
    fields(cmd_args(con, line).unwrap())
}

/// `active`, or the reason why not, with what else the command is given.
#[track_caller]
pub(crate) fn answer(con: &mut Connection, token: &str, more: &[&str]) -> String {
    let line = ["SESSION.VALIDATE", KEY, token].into_iter().chain(more.iter().copied());
    let reply = ask(con, line);
    if reply.bool("active") { "active".into() } else { reply.str("reason") }
}

#[test]
fn a_token_of_every_algorithm_is_good_without_a_session_and_with_the_one_it_begins() {
    let server = server_with_public_keys();
    for mut con in [server.connection(), server.connection_resp3()] {
        for key in PUBLIC {
            let token = key.good(&mut con, "42", &key.name());
            assert_eq!(answer(&mut con, &token, &[]), "unknown");
            // Twice: the second is from memory.
            for _ in 0..2 {
                assert_eq!(answer(&mut con, &token, &["STATELESS"]), "active", "{key:?}");
            }
            let created = ask(&mut con, ["SESSION.CREATE", KEY, "FROM", &token]);
            // Its ids are in a namespace of their own.
            let id = SessionId::of_issuer("", key.name().as_bytes()).unwrap().to_string();
            assert_eq!(created.str("id"), id);
            for command in ["SESSION.VALIDATE", "SESSION.TOUCH"] {
                let reply = ask(&mut con, [command, KEY, &token]);
                assert_eq!((reply.bool("active"), reply.str("id")), (true, id.clone()));
            }
            assert_eq!(ask(&mut con, ["SESSION.VALIDATE", "sessions:43", &token]).str("reason"), "subject");
        }
        cmd(&mut con, "DEL sessions:42").unwrap();
    }
}

#[test]
fn a_token_that_was_changed_is_told() {
    let server = server_with_public_keys();
    let mut con = server.connection();
    for key in PUBLIC {
        let token = key.good(&mut con, "42", "one");
        let (input, signature) = token.rsplit_once('.').unwrap();
        let (other, _) = key.good(&mut con, "42", "two").rsplit_once('.').map(own_parts).unwrap();
        assert_eq!(answer(&mut con, &format!("{other}.{signature}"), &["STATELESS"]), "signature", "{key:?}");
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        let changed = format!("{input}.{first}{}", &signature[1..]);
        assert_eq!(answer(&mut con, &changed, &["STATELESS"]), "signature", "{key:?}");
        assert_eq!(answer(&mut con, &token, &["STATELESS"]), "active", "{key:?}");
    }
}

fn own_parts((input, signature): (&str, &str)) -> (String, String) {
    (input.to_owned(), signature.to_owned())
}

#[test]
fn a_token_of_every_algorithm_can_be_revoked_by_itself() {
    let server = server_with_public_keys();
    let mut con = server.connection();
    for key in PUBLIC {
        let token = key.good(&mut con, "42", &key.name());
        assert_eq!(cmd(&mut con, &format!("SESSION.REVOKE {KEY} {token}")).unwrap(), redis::Value::Int(1));
        assert_eq!(answer(&mut con, &token, &["STATELESS"]), "revoked", "{key:?}");
    }
}

/// Of an ECDSA signature (r, s) anybody can make another, (r, n - s), so a deny list must not go by the token's text.
#[test]
fn revoking_a_token_revokes_it_under_every_other_signature() {
    let server = server_with_public_keys();
    let mut con = server.connection();
    for key in PUBLIC {
        let mut claims = claims(&mut con, "42", "-");
        // Without sid and jti: told by what is signed.
        claims.as_object_mut().unwrap().remove("sid");
        claims["n"] = json!(key.name());
        let token = key.sign(&key.header(), &claims);
        // A new signature: ECDSA and PSS have a random part.
        let again = key.sign_parts(token.rsplit_once('.').unwrap().0);
        cmd(&mut con, &format!("SESSION.REVOKE {KEY} {token}")).unwrap();
        assert_eq!(answer(&mut con, &again, &["STATELESS"]), "revoked", "{key:?}");
    }
}

#[test]
fn removing_a_key_makes_its_tokens_unknown_at_once() {
    let server = server_with_public_keys();
    let mut con = server.connection();
    for key in PUBLIC {
        let token = key.good(&mut con, "42", "one");
        assert_eq!(answer(&mut con, &token, &["STATELESS"]), "active");
        load(&server, &[own()]).unwrap();
        assert_eq!(answer(&mut con, &token, &["STATELESS"]), "unknown_key", "{key:?}");
        let others: Vec<_> = std::iter::once(own()).chain(PUBLIC.map(Key::jwk)).collect();
        load(&server, &others).unwrap();
        assert_eq!(answer(&mut con, &token, &["STATELESS"]), "active", "{key:?}");
    }
}

#[test]
fn a_server_with_public_keys_alone_checks_tokens_and_makes_none() {
    let server = server_with_public_keys();
    load(&server, &PUBLIC.map(Key::jwk)).unwrap();
    let mut con = server.connection();
    for line in ["SESSION.CREATE sessions:42", "SESSION.CREATE sessions:42 TOKEN OPAQUE"] {
        assert!(error(&mut con, line).starts_with("NOSIGNINGKEY"), "{line}");
    }
    for key in PUBLIC {
        let token = key.good(&mut con, "42", &key.name());
        let refresh = format!("SESSION.CREATE {KEY} FROM {token} REFRESH 0");
        assert!(error(&mut con, &refresh).starts_with("NOSIGNINGKEY"));
        let created = ask(&mut con, ["SESSION.CREATE", KEY, "FROM", &token]);
        assert!(created.is_null("token"));
        assert_eq!(answer(&mut con, &token, &[]), "active");
    }
}

/// RFC 8725 section 3.1: the oldest trick is to take a public key for an HMAC's secret.
#[test]
fn the_servers_own_tokens_and_the_issuers_are_told_apart_by_their_keys() {
    let server = server_with_public_keys();
    let mut con = server.connection();
    let claims = claims(&mut con, "42", "one");
    for key in PUBLIC {
        for named in PUBLIC.into_iter().filter(|named| *named != key) {
            // The other key's name with this key, and the other key's header over this signature.
            let header = json!({ "alg": key.name(), "kid": named.name() });
            assert_eq!(answer(&mut con, &key.sign(&header, &claims), &["STATELESS"]), "algorithm");
            let lying = key.sign(&named.header(), &claims);
            assert_eq!(answer(&mut con, &lying, &["STATELESS"]), "signature", "{key:?} {named:?}");
        }
        let header = json!({ "alg": "HS256", "kid": key.name() });
        assert_eq!(answer(&mut con, &key.sign(&header, &claims), &["STATELESS"]), "algorithm");
    }
}
