//! What is said before anything is moved.

use std::fs;
use std::time::Duration;

use redis_session_tests::issuer::{HS256, RS256, claims, foreign, own, set_of, sign_with};
use redis_session_tests::{Server, cmd, fields, now_ms};
use serde_json::{Value, json};

use crate::old::{HOUR, id_of, ids, jwt, live, login, session, verdict};
use crate::program::Migration;

fn server() -> Server {
    Server::builder().keys(&["one"]).start()
}

fn issuers(migration: &Migration) -> Value {
    serde_json::from_str(&fs::read_to_string(migration.path().join("issuers.json")).unwrap()).unwrap()
}

#[test]
fn jwts_that_would_not_be_taken_are_counted_by_cause_and_nothing_is_moved() {
    let server = server();
    let mut con = server.connection();
    let good = jwt(&server, "42", "");
    cmd(&mut con, "FLUSHALL").unwrap();
    let now = now_ms(&mut con) / 1000;
    let with = |header: Value, claims: Value| {
        let header = if header.is_null() { json!({ "alg": "HS256", "typ": "JWT" }) } else { header };
        sign_with(b"a secret that the server does not have", &header.to_string(), &claims.to_string())
    };
    let exp = now + 3600;
    let bad = [
        with(json!({ "alg": "HS256", "kid": "v1" }), json!({ "sub": "42", "exp": exp })),
        with(json!({ "alg": "HS256", "kid": "v1" }), json!({ "sub": "43", "exp": exp })),
        with(Value::Null, json!({ "sub": "42", "exp": exp })),
        with(json!({ "alg": "HS512" }), json!({ "sub": "42", "exp": exp })),
    ];
    for token in bad.iter().chain([&good]) {
        login(&mut con, token, "{}", HOUR);
    }
    // These are dead, so their keys are not missed.
    login(&mut con, &with(Value::Null, json!({ "sub": "42", "exp": now - 1 })), "{}", HOUR);
    login(&mut con, &with(Value::Null, json!({ "sub": "44", "exp": exp })), r#"{"revoked":true}"#, HOUR);
    login(&mut con, "opaque", r#"{"user_id":42}"#, HOUR);

    let migration = Migration::on(&server);
    let dry = migration.run("");
    let stopped = migration.run("--apply");
    assert_eq!((dry.code, stopped.code, live(&server)), (3, 4, 0), "{stopped:?}");
    for run in [&dry, &stopped] {
        for line in [
            "5  JWTs checked",
            "1  good",
            "4  would not be taken",
            r#"2  unknown_key: no key has its kid "v1""#,
            r#"1  unknown_key: it names no kid, and no key is for its alg "HS512""#,
            r#"1  signature: its signature is by none of its issuer's keys for "HS256""#,
            &format!("such as {}", id_of(&bad[2])),
        ] {
            assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
        }
        assert!(!run.stdout.contains("eyJ"), "{run:?}");
    }
    assert!(stopped.stderr.contains("nothing was moved: 4 tokens would not be taken"), "{stopped:?}");
    assert!(!migration.path().join("state.json").exists(), "the next run decides again");

    assert_eq!(migration.run("--apply --skip-bad-tokens").code, 3);
    assert_eq!(live(&server), 2);
    for token in bad {
        assert!(["unknown_key", "signature"].contains(&&*migration.reason("report.jsonl", &token).unwrap()));
    }
    assert_eq!(verdict(&server, "42", &good, ""), "active");
}

#[test]
fn the_entries_that_are_needed_are_written_with_what_to_do() {
    let server = Server::builder().file("keys.json", set_of(&[own()])).config("session.keys-file keys.json").start();
    let mut con = server.connection();
    let header = |alg: &str| format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
    for (n, iss) in [None, Some("https://id.example.com/"), Some("../shop")].into_iter().enumerate() {
        let mut claims = claims(&mut con, "42", &n.to_string());
        if let Some(iss) = iss {
            claims["iss"] = iss.into();
            claims["aud"] = "web".into();
        }
        let token = match n {
            1 => RS256.sign_text(header("RS256").as_bytes(), claims.to_string().as_bytes()),
            _ => HS256.sign_text(header("HS256").as_bytes(), claims.to_string().as_bytes()),
        };
        login(&mut con, &token, "{}", HOUR);
    }
    let migration = Migration::on(&server);
    let dry = migration.run("");
    let entries = issuers(&migration)["issuers"].clone();
    assert_eq!(
        entries,
        json!([
            { "iss": null, "jwks": "application.json", "typ": "at+jwt", "algs": ["HS256"] },
            { "iss": "https://id.example.com/", "jwks": "id.example.com.json", "aud": ["web"], "typ": "at+jwt",
              "algs": ["RS256"] },
        ])
    );
    for line in [
        "JWTs without an iss need the entry",
        "and application.json beside that file, with the application's secret",
        r#"JWTs with the iss "../shop" need the application's secret"#,
        "redis-session-keys import --secret --alg HS256 --from SECRET KEYS-FILE",
        "and id.example.com.json beside that file, with the issuer's public keys",
    ] {
        assert!(dry.stdout.contains(line), "{line}: {}", dry.stdout);
    }

    // What is there for others stays.
    let path = migration.path().join("issuers.json");
    fs::write(&path, r#"{"issuers":[{"iss":"other","jwks":"x"},{"iss":null,"jwks":"old.json"}]}"#).unwrap();
    migration.run("");
    let names: Vec<_> =
        issuers(&migration)["issuers"].as_array().unwrap().iter().map(|it| it["jwks"].clone()).collect();
    assert_eq!(names, ["x", "application.json", "id.example.com.json"]);
}

#[test]
fn a_pass_that_goes_on_and_one_that_finds_nothing_new_ask_nothing_again() {
    let server = server();
    let mut con = server.connection();
    let token = jwt(&server, "42", "");
    login(&mut con, &token, "{}", HOUR);
    let migration = Migration::on(&server);
    assert!(migration.apply("").stdout.contains("1  JWTs checked"));
    assert!(!migration.apply("").stdout.contains("JWTs checked"));
    let late = jwt(&server, "43", "");
    login(&mut con, &late, "{}", HOUR);
    assert!(migration.apply("").stdout.contains("1  JWTs checked"));
}

#[test]
fn an_id_whose_jwt_is_another_users_is_not_kept() {
    let server = server();
    let mut con = server.connection();
    let token = jwt(&server, "ada", "ID by-jwt");
    let other = jwt(&server, "grace", "ID another");
    cmd(&mut con, "FLUSHALL").unwrap();
    // The JSON says it in a member of its own, or with the JWT itself.
    login(&mut con, "by-sub", r#"{"user_id":42,"sub":"ada"}"#, HOUR);
    login(&mut con, "by-jwt", &json!({ "user_id": 42, "access_token": token }).to_string(), HOUR);
    // A JWT that is not of this id says nothing about it.
    login(&mut con, "good", &json!({ "user_id": 42, "id_token": other }).to_string(), HOUR);
    let migration = Migration::on(&server);
    let dry = migration.run("--keep-ids");
    let stopped = migration.run("--apply --keep-ids");
    assert_eq!((dry.code, stopped.code, live(&server)), (3, 4, 0), "{stopped:?}");
    assert!(stopped.stdout.contains("2  subject: the JSON's sub, or a JWT in it, is of another user"), "{stopped:?}");

    assert_eq!(migration.run("--apply --keep-ids --skip-bad-tokens").code, 3);
    assert_eq!((ids(&server, "42"), live(&server)), (vec!["good".to_owned()], 1));
    let reasons: Vec<_> = migration.report("report.jsonl").iter().map(|line| line["reason"].clone()).collect();
    assert_eq!(reasons, ["subject", "subject"]);

    let by_sub = Migration::on(&server);
    cmd(&mut con, "DEL session:by-jwt session:good").unwrap();
    by_sub.apply("--keep-ids --user-member sub,user_id");
    assert!(session(&server, "ada", "by-sub").is_some());
    let named = Migration::on(&server);
    named.apply("--keep-ids --user-member user_id");
    assert!(session(&server, "42", "by-sub").is_some(), "the operator has said which member it is");
}

#[test]
fn a_sample_is_checked_against_the_sessions_of_its_ids() {
    let server = server();
    let mut con = server.connection();
    let [good, differs] = ["42", "ada"].map(|user| jwt(&server, user, &format!("ID of-{user}")));
    cmd(&mut con, "FLUSHALL").unwrap();
    for user in ["42", "ada"] {
        login(&mut con, &format!("of-{user}"), r#"{"user_id":42,"name":"ada"}"#, HOUR);
    }
    let file = server.dir().join("sample");
    let migration = Migration::on(&server);
    let args = format!("--keep-ids --sample {}", file.display());
    fs::write(&file, format!("{good}\n\n{differs}\n")).unwrap();
    let stopped = migration.run(&format!("--apply {args}"));
    assert_eq!((stopped.code, live(&server)), (4, 0), "{stopped:?}");
    let said = "1  subject: its sub is not the user that the JSON names; --user-member name does";
    assert!(stopped.stdout.contains(said), "{stopped:?}");
    fs::write(&file, &good).unwrap();
    migration.apply(&args);
    assert_eq!(verdict(&server, "42", &good, ""), "active");
    for (text, said) in [("no token", "line 1 is no JWT"), ("", "No JWT was checked")] {
        fs::write(&file, text).unwrap();
        let run = Migration::on(&server).run(&args);
        assert!(format!("{}{}", run.stdout, run.stderr).contains(said), "{run:?}");
    }
}

#[test]
fn a_jwt_that_lives_longer_than_the_settings_allow_is_said_to_be_so() {
    let server =
        Server::builder().keys(&["one"]).config("session.ttl 60\nsession.token-ttl 60\nsession.refresh-ttl 60").start();
    let mut con = server.connection();
    let token = fields(cmd(&mut con, "SESSION.CREATE sessions:42 TTL 864000 TOKENTTL 864000").unwrap()).str("token");
    cmd(&mut con, "FLUSHALL").unwrap();
    let token = foreign(&token);
    login(&mut con, &token, "{}", HOUR);
    server.advance(Duration::from_secs(1000));
    let migration = Migration::on(&server);
    let stopped = migration.run("--apply");
    assert_eq!(stopped.code, 4, "{stopped:?}");
    assert!(stopped.stdout.contains("1  horizon: its exp is ahead, but its iat is older"), "{stopped:?}");
    cmd(&mut con, "CONFIG SET session.refresh-ttl 864000").unwrap();
    migration.apply("");
    assert_eq!(verdict(&server, "42", &token, ""), "active");
}
