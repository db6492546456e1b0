//! Sessions as JSON behind opaque tokens, with and without sets, and those that cannot be moved.

use redis_session_tests::{Server, cmd, cmd_args, fields};

use crate::old::{HOUR, ask, del, id_of, ids, jwt, login, moved, set, verdict};
use crate::program::Migration;

/// The session with a JSON of these members, after a move without problems.
fn after_a_move(json: &str, args: &str) -> (Server, redis_session_tests::Fields) {
    let server = Server::start();
    login(&mut server.connection(), "old", json, HOUR);
    Migration::on(&server).apply(args);
    let session = moved(&server, "42", "old").expect("the session");
    (server, session)
}

#[test]
fn a_session_keeps_its_user_address_agent_and_fields() {
    let json = r#"{"user_id":42,"ip":"203.0.113.7","user_agent":"Firefox on Linux","created_at":1795600800,
                   "cart":{"items":[1,2]},"theme":"dark"}"#;
    let (_server, session) = after_a_move(json, "");
    assert_eq!(session.str("user"), "42");
    assert_eq!((session.str("ip"), session.str("agent")), ("203.0.113.7".into(), "Firefox on Linux".into()));
    let data = session.fields("data");
    assert_eq!((data.str("cart"), data.str("theme")), (r#"{"items":[1,2]}"#.into(), "dark".into()));
    assert_eq!(data.str("created_at"), "1795600800");
    assert!(!data.has("user_id") && !data.has("ip") && !data.has("user_agent"));
}

#[test]
fn members_can_have_other_names() {
    let json = r#"{"who":{"no":"42"},"from":"::1","with":"Opera","user_id":7}"#;
    let (_server, session) = after_a_move(json, "--user-member who.no --ip-member x,from --agent-member with");
    assert_eq!((session.str("ip"), session.str("agent")), ("::1".into(), "Opera".into()));
    assert_eq!(session.fields("data").str("user_id"), "7");
}

#[test]
fn a_session_lasts_as_long_as_its_old_key() {
    let server = Server::start();
    let mut con = server.connection();
    for (token, ttl) in [("short", 60), ("long", 90 * 86_400)] {
        login(&mut con, token, r#"{"uid":"42"}"#, ttl);
    }
    cmd(&mut con, "PEXPIRE session:short 59500").unwrap();
    Migration::on(&server).apply("");
    for token in ["short", "long"] {
        let end: i64 = redis::cmd("PEXPIRETIME").arg(format!("session:{token}")).query(&mut con).unwrap();
        let expires_at = moved(&server, "42", token).unwrap().int("expires_at");
        // Never shorter. Up to a second longer, and what the move itself took.
        assert!(expires_at >= end && expires_at < end + 30_000, "{token}: {expires_at} instead of {end}");
    }
}

#[test]
fn lifetimes_can_be_others() {
    let json = r#"{"uid":"42"}"#;
    let left = |session: &redis_session_tests::Fields| session.int("expires_at") - session.int("created_at");
    let (_server, session) = after_a_move(json, "--ttl 7200 --idle 600");
    assert_eq!(left(&session), 7_200_000);
    assert_eq!(session.int("idle_expires_at") - session.int("created_at"), 600_000);

    let server = Server::start();
    set(&mut server.connection(), "session:old", json);
    Migration::on(&server).apply("--ttl-if-none 600");
    assert_eq!(left(&moved(&server, "42", "old").unwrap()), 600_000);
}

#[test]
fn nothing_that_is_kept_or_said_has_a_token_in_it() {
    let (server, token) = (Server::start(), "secret-tKxU5b2QfWq");
    let mut con = server.connection();
    login(&mut con, token, r#"{"uid":"42"}"#, HOUR);
    login(&mut con, &format!("{token}-bad"), "no JSON", HOUR);
    set(&mut con, &format!("blacklist:{token}-out"), "1");
    let migration = Migration::on(&server);
    let run = migration.run("--apply");
    assert_eq!(run.code, 3);
    let dump: Vec<u8> = redis::cmd("DUMP").arg("sessions:42").query(&mut con).unwrap();
    let all = format!("{}{}{}{}", migration.files(), run.stdout, run.stderr, String::from_utf8_lossy(&dump));
    assert!(!all.contains("secret"), "{all}");
    assert!(all.contains(&id_of(token)));
}

#[test]
fn an_old_cookie_leads_to_its_session_and_is_swapped_for_a_token() {
    for (kind, begins) in [("jwt", "eyJ"), ("opaque", "rst1.")] {
        let (server, _) = after_a_move(r#"{"uid":"42","cart":17}"#, &format!("--token {kind} --refresh 7200"));
        let id = id_of("old");
        let swapped = fields(cmd(&mut server.connection(), &format!("SESSION.REGENERATE sessions:42 {id}")).unwrap());
        let token = swapped.str("token");
        assert!(token.starts_with(begins) && swapped.has("refresh_token"), "{swapped:?}");
        assert_eq!(verdict(&server, "42", &token, ""), "active");
        assert!(moved(&server, "42", "old").is_none(), "the old cookie is worth nothing");
        assert_eq!(ids(&server, "42"), [swapped.str("id")]);
    }
}

#[test]
fn a_move_ends_no_other_session_of_the_user() {
    let server = Server::builder().config("session.max-per-user 2").start();
    for n in 0..5 {
        login(&mut server.connection(), &format!("token{n}"), r#"{"uid":"42"}"#, HOUR);
    }
    Migration::on(&server).apply("");
    assert_eq!(ids(&server, "42").len(), 5);
}

#[test]
fn keys_and_prefixes_can_have_other_names() {
    let server = Server::builder().config("session.key-prefix app:s:\nsession.key-form braces").start();
    let mut con = server.connection();
    set(&mut con, "sess[1]:old", r#"{"uid":"42"}"#);
    set(&mut con, "sess1:other", r#"{"uid":"43"}"#);
    Migration::on(&server).apply("--sessions sess[1]: --key-prefix app:s: --hash-tag --ttl-if-none 60");
    assert_eq!(ask(&server, "SESSION.COUNT app:s:{42}"), "1");
    assert_eq!(ask(&server, "SESSION.COUNT app:s:{43}"), "0");
}

#[test]
fn sets_say_whose_a_session_is() {
    let server = Server::start();
    let mut con = server.connection();
    for token in ["in-set", "in-sorted-set", "whole-key", "in-none"] {
        login(&mut con, token, r#"{"cart":17}"#, HOUR);
    }
    login(&mut con, "named", r#"{"uid":"42"}"#, HOUR);
    login(&mut con, "disputed", r#"{"uid":"43"}"#, HOUR);
    for line in [
        "SADD session:user:42 in-set session:whole-key named disputed",
        "ZADD session:user:7 1795600800 in-sorted-set",
        "HSET session:user:8 in-none 1",
    ] {
        cmd(&mut con, line).unwrap();
    }
    let migration = Migration::on(&server);
    assert_eq!(migration.run("--apply --user-sets session:user:").code, 3);
    for (user, token) in [("42", "in-set"), ("42", "whole-key"), ("42", "named"), ("7", "in-sorted-set")] {
        assert!(moved(&server, user, token).is_some(), "{token}");
    }
    assert_eq!(migration.reason("report.jsonl", "in-none").as_deref(), Some("no_user"));
    assert_eq!(migration.reason("report.jsonl", "disputed").as_deref(), Some("users_differ"));
    assert_eq!(migration.report("report.jsonl").len(), 2, "the sets themselves are no sessions");
}

#[test]
fn what_cannot_be_moved_is_reported_with_its_reason() {
    let server = Server::builder().config("session.max-data-bytes 100").start();
    let mut con = server.connection();
    cmd(&mut con, "HSET session:hash user 42").unwrap();
    cmd_args(&mut con, ["SET", "session:forever", r#"{"uid":"42"}"#]).unwrap();
    let (long, big) = ("x".repeat(256), "x".repeat(200));
    for (token, json) in [
        ("text", "42"),
        ("stranger", r#"{"cart":17}"#),
        ("control", "{\"uid\":\"a\\u0000b\"}"),
        ("long", &format!(r#"{{"uid":"{long}"}}"#)),
        ("brace", r#"{"uid":"{42}"}"#),
        ("big", &format!(r#"{{"uid":"42","notes":"{big}"}}"#)),
        ("flagged", r#"{"uid":"42","revoked":true}"#),
        ("", r#"{"uid":"42"}"#),
        ("good", r#"{"uid":"42"}"#),
    ] {
        login(&mut con, token, json, HOUR);
    }
    let migration = Migration::on(&server);
    let reasons = [
        ("hash", "wrong_type"),
        ("forever", "no_ttl"),
        ("text", "bad_json"),
        ("stranger", "no_user"),
        ("control", "bad_user"),
        ("long", "bad_user"),
        ("brace", "bad_user"),
        ("flagged", "over"),
        ("", "no_token"),
        ("big", "refused"),
    ];
    let dry = migration.run("");
    let run = migration.run("--apply");
    assert_eq!((dry.code, run.code), (3, 3), "{run:?}");
    for (token, reason) in reasons {
        assert_eq!(migration.reason("report.jsonl", token).as_deref(), Some(reason), "{token}");
        // Whether the server takes it is seen when it is asked to.
        if reason != "refused" {
            assert_eq!(migration.reason("dry-run.jsonl", token).as_deref(), Some(reason), "{token}");
        }
        assert!(run.stdout.contains(reason), "{}", run.stdout);
    }
    assert_eq!((migration.count("/sessions/found"), migration.count("/sessions/moved")), (11, 1));
    let refused = migration.report("report.jsonl").into_iter().find(|line| line["reason"] == "refused").unwrap();
    assert!(refused["detail"].as_str().unwrap().contains("session.max-data-bytes is 100"), "{refused}");
    assert!(moved(&server, "42", "good").is_some());
}

#[test]
fn a_key_that_is_in_the_way_is_reported() {
    let server = Server::builder().keys(&["one"]).start();
    let mut con = server.connection();
    login(&mut con, "old", r#"{"uid":"42"}"#, HOUR);
    set(&mut con, "sessions:42", "text");
    // Whatever else is asked for of such a user.
    login(&mut con, "over", r#"{"uid":"42"}"#, HOUR);
    let (own, denied) = (jwt(&server, "7", ""), jwt(&server, "8", ""));
    set(&mut con, "sessions:7", "text");
    for name in ["over", &own, &denied] {
        set(&mut con, &format!("blacklist:{name}"), "1");
    }
    set(&mut con, "user_blacklist:42", "1");
    del(&mut con, "sessions:8");
    let migration = Migration::on(&server);
    assert_eq!(migration.run("").code, 3);
    assert_eq!(migration.run("--apply").code, 3);
    for file in ["dry-run.jsonl", "report.jsonl"] {
        assert_eq!(migration.reason(file, "old").as_deref(), Some("user_blacklisted"));
        assert_eq!(migration.reason(file, "over").as_deref(), Some("blacklisted"));
        let refused: Vec<_> = migration.report(file).into_iter().filter(|line| line["reason"] == "refused").collect();
        let mut whose: Vec<_> = refused.iter().map(|line| (line["kind"].as_str().unwrap(), &line["user"])).collect();
        whose.sort_by_key(|(_, user)| user.to_string());
        assert_eq!(whose, [("user_blacklist", &"42".into()), ("blacklist", &"7".into())]);
    }
    assert_eq!(verdict(&server, "8", &denied, "STATELESS"), "revoked", "the others are moved");
    del(&mut con, "user_blacklist:42");
    assert_eq!(migration.run("--apply").code, 3);
    assert_eq!(migration.reason("report.jsonl", "old").as_deref(), Some("refused"));
}
