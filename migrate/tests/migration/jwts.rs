//! Sessions whose token is a JWT, or whose key has the id that JWTs name.

use std::time::Duration;

use redis_session_tests::Server;

use crate::old::{HOUR, id_of, ids, jwt, login, moved, session, verdict};
use crate::program::Migration;

/// A server to move on, and the application's own issuer with the same key.
fn servers() -> (Server, Server) {
    let server = || Server::builder().keys(&["one"]).start();
    (server(), server())
}

#[test]
fn a_jwt_stays_good_as_it_is() {
    let (server, issuer) = servers();
    let mut con = server.connection();
    let (named, unnamed) = (jwt(&issuer, "42", ""), jwt(&issuer, "ada", ""));
    login(&mut con, &named, r#"{"user_id":42,"ip":"203.0.113.7"}"#, HOUR);
    login(&mut con, &unnamed, "{}", HOUR);
    assert_eq!(verdict(&server, "42", &named, ""), "unknown");
    Migration::on(&server).apply("");
    assert_eq!(verdict(&server, "42", &named, ""), "active");
    assert_eq!(verdict(&server, "ada", &unnamed, ""), "active");
    let ids = ids(&server, "42");
    assert_eq!(ids, crate::old::ids(&issuer, "42"), "its sid is the id");
    assert_eq!(session(&server, "42", &ids[0]).unwrap().str("ip"), "203.0.113.7");
}

#[test]
fn its_session_lasts_as_long_as_the_old_key_and_not_as_the_jwt() {
    let (server, issuer) = servers();
    let mut con = server.connection();
    let token = jwt(&issuer, "42", "TOKENTTL 86400");
    login(&mut con, &token, "{}", 600);
    Migration::on(&server).apply("");
    let end: i64 = redis::cmd("PEXPIRETIME").arg(format!("session:{token}")).query(&mut con).unwrap();
    let expires_at = session(&server, "42", &ids(&server, "42")[0]).unwrap().int("expires_at");
    assert!(expires_at >= end && expires_at < end + 30_000);
}

#[test]
fn a_jwt_that_the_server_does_not_take_is_reported_with_its_reason() {
    let (server, issuer) = servers();
    let stranger = Server::builder().keys(&["two"]).start();
    let short = jwt(&issuer, "42", "TOKENTTL 60");
    let good = jwt(&issuer, "42", "");
    let tokens = [
        (jwt(&stranger, "42", ""), "{}", "unknown_key"),
        (format!("{}AAAA", &good[..good.len() - 4]), "{}", "signature"),
        (good, r#"{"user_id":43}"#, "subject"),
        (short.clone(), "{}", "token_expired"),
    ];
    for (token, json, _) in &tokens {
        login(&mut server.connection(), token, json, HOUR);
    }
    server.advance(Duration::from_secs(61));
    assert_eq!(verdict(&server, "42", &short, ""), "token_expired");
    let migration = Migration::on(&server);
    assert_eq!((migration.run("").code, migration.run("--apply --skip-bad-tokens").code), (3, 3));
    for (token, _, reason) in tokens {
        for file in ["dry-run.jsonl", "report.jsonl"] {
            assert_eq!(migration.reason(file, &token).as_deref(), Some(reason));
        }
    }
    assert_eq!(crate::old::live(&server), 0);
}

#[test]
fn an_id_that_jwts_name_can_be_kept() {
    let (server, issuer) = servers();
    let token = jwt(&issuer, "42", "ID 0190163d-8694-739b-aea5-966c26f8ad91");
    login(&mut server.connection(), "0190163d-8694-739b-aea5-966c26f8ad91", r#"{"uid":"42"}"#, HOUR);
    login(&mut server.connection(), &"x".repeat(129), r#"{"uid":"42"}"#, HOUR);
    let migration = Migration::on(&server);
    assert_eq!(migration.run("--apply --keep-ids").code, 3);
    assert_eq!(ids(&server, "42"), ["0190163d-8694-739b-aea5-966c26f8ad91"]);
    assert_eq!(verdict(&server, "42", &token, ""), "active");
    assert_eq!(migration.report("report.jsonl")[0]["reason"], "bad_id");
}

#[test]
fn without_keep_ids_the_id_is_a_hash() {
    let server = Server::start();
    login(&mut server.connection(), "0190163d-8694-739b-aea5-966c26f8ad91", r#"{"uid":"42"}"#, HOUR);
    Migration::on(&server).apply("");
    assert_eq!(ids(&server, "42"), [id_of("0190163d-8694-739b-aea5-966c26f8ad91")]);
}

#[test]
fn a_jwt_whose_session_has_ended_here_does_not_begin_it_again() {
    let (server, issuer) = servers();
    let mut con = server.connection();
    let token = jwt(&issuer, "42", "");
    login(&mut con, &token, "{}", HOUR);
    login(&mut con, "opaque", r#"{"uid":"42"}"#, HOUR);
    let migration = Migration::on(&server);
    migration.apply("");
    for id in ids(&server, "42") {
        redis_session_tests::cmd(&mut con, &format!("SESSION.REVOKE sessions:42 {id}")).unwrap();
    }
    migration.apply("");
    assert_eq!(ids(&server, "42"), Vec::<String>::new());
    assert!(moved(&server, "42", "opaque").is_none());
    assert_eq!(migration.reason("report.jsonl", &token).as_deref(), Some("ended_here"));
}
