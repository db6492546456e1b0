//! The memory of verified tokens changes how fast an answer comes, and never which.

use redis::{Connection, Value};
use redis_session_tests::issuer::{header, sign, tampered, trust};
use redis_session_tests::{Server, ServerBuilder, advance_to, create, fields, now_ms, verdict_with};
use serde_json::json;

use crate::steps::{KEY, answer_of, outcome, refresh, set};

/// What every check says of every token, over and over, while the sessions live their lives.
fn answers(con: &mut Connection, foreign: &[String], exp: i64) -> Vec<String> {
    let mut log = Vec::new();
    let mut tokens = foreign.to_vec();
    for (id, options) in [
        ("jwt", "REFRESH 1000"),
        ("opaque", "TOKEN OPAQUE REFRESH 1000"),
        ("bound", "DEVICE phone REFRESH 1000"),
        ("stolen", "REFRESH 1000"),
        ("named", ""),
        ("brief", "TOKENTTL 60"),
        ("everyone", "TOKEN OPAQUE"),
    ] {
        let created = create(con, &format!("{KEY} ID {id} {options}"));
        tokens.push(created.str("token"));
        if id == "brief" {
            // It is remembered, and then expires.
            verdict_with(con, ["SESSION.VALIDATE", KEY, &created.str("token")]);
            advance_to(con, created.int("token_expires_at"));
        }
        if !created.is_null("refresh_token") {
            tokens.push(created.str("refresh_token"));
        }
    }
    let bad: Vec<_> = tokens.iter().map(|token| tampered(token)).collect();
    tokens.extend(bad);
    let stolen = tokens.iter().filter(|token| token.starts_with("rsr1.")).nth(3).unwrap().clone();
    let jwt = tokens[foreign.len()].clone();
    for step in [
        "".to_owned(),
        "CONFIG SET session.issuer good".into(),
        "CONFIG SET session.audience api".into(),
        "back".into(),
        format!("SESSION.REVOKE {KEY} named"),
        format!("SESSION.REVOKE {KEY} {}", foreign[0]),
        format!("SESSION.CREATE {KEY} FROM {}", foreign[1]),
        format!("SESSION.CREATE {KEY} FROM {}", foreign[0]),
        "stolen".into(),
        format!("SESSION.REGENERATE {KEY} {jwt}"),
        format!("CONFIG SET session.not-before {exp}"),
        "CONFIG SET session.not-before 0".into(),
        format!("SESSION.REVOKEUSER {KEY} EXCEPT opaque"),
        "keys".into(),
    ] {
        match step.as_str() {
            "" => {}
            "back" => {
                for name in ["session.issuer", "session.audience"] {
                    redis::cmd("CONFIG").arg("SET").arg(name).arg("").exec(con).unwrap();
                }
            }
            "stolen" => {
                set(con, "session.refresh-grace 0");
                refresh(con, &stolen);
                log.push(outcome(con, &format!("SESSION.REFRESH {KEY} {stolen}")));
            }
            "keys" => set(con, "session.active-kid HS384"),
            line => {
                let answer = redis_session_tests::cmd(con, line);
                log.push(match answer {
                    Ok(redis::Value::Int(number)) => number.to_string(),
                    Ok(_) => "ok".into(),
                    Err(error) => redis_session_tests::error_text(&error),
                });
            }
        }
        let mut checks = redis::pipe();
        for token in &tokens {
            for options in [&[][..], &["FULL"], &["STATELESS"], &["AUD", "api"], &["DEVICE", "phone"], &["DEVICE", "x"]]
            {
                for command in ["SESSION.VALIDATE", "SESSION.TOUCH", "SESSION.VALIDATE"] {
                    for key in [KEY, "sessions:43"] {
                        checks.cmd(command).arg(key).arg(token).arg(options);
                    }
                }
            }
        }
        let replies: Vec<Value> = checks.query(con).unwrap();
        log.extend(replies.into_iter().map(|reply| {
            let answer = fields(reply);
            if answer.bool("active") { "active".to_owned() } else { answer.str("reason") }
        }));
    }
    log
}

#[test]
fn without_the_memory_of_verified_tokens_every_answer_is_the_same() {
    let servers: Vec<Server> =
        [0, 16_384, 2].map(|size| ServerBuilder::new().config(format!("session.token-cache {size}")).start()).into();
    let now = now_ms(&mut servers[0].connection()) / 1000;
    let foreign: Vec<_> = [
        json!({ "sub": "42", "sid": "denied", "iat": now, "exp": now + 3600 }),
        json!({ "sub": "42", "sid": "begun", "iat": now, "exp": now + 3600, "aud": "api" }),
        json!({ "sub": "42", "iat": now - 5, "exp": now + 3600, "iss": "good", "aud": ["api"] }),
        json!({ "sub": "43", "sid": "begun", "iat": now, "exp": now + 3600 }),
        json!({ "sub": "42", "sid": "jwt", "exp": 1 }),
        json!({ "sub": "42", "sid": "jwt", "nbf": now + 3600, "exp": now + 7200 }),
    ]
    .iter()
    .map(|claims| sign(&header(), claims))
    .collect();
    let all: Vec<_> = std::thread::scope(|scope| {
        let foreign = &foreign;
        let runs: Vec<_> = servers
            .iter()
            .map(|server| {
                scope.spawn(move || {
                    trust(server);
                    answers(&mut server.connection(), foreign, (now + 3600) * 1000)
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for reason in [
        "active",
        "signature",
        "type",
        "token_expired",
        "not_yet_valid",
        "issuer",
        "audience",
        "subject",
        "unknown",
        "revoked",
        "user_revoked",
        "reused",
        "device",
    ] {
        assert!(all[0].iter().any(|answer| answer == reason), "no {reason} among the answers");
    }
    for other in &all[1..] {
        let differing = all[0].iter().zip(other).position(|(one, other)| one != other);
        assert_eq!(differing.map(|at| (at, &all[0][at], &other[at])), None);
        assert_eq!(all[0].len(), other.len());
    }
}

#[test]
fn a_token_of_a_key_that_is_gone_is_not_remembered() {
    let server = Server::start();
    let mut con = server.connection();
    let token = create(&mut con, &format!("{KEY} ID one")).str("token");
    assert_eq!(verdict_with(&mut con, ["SESSION.VALIDATE", KEY, &token]), "active");
    trust(&server);
    assert_eq!(verdict_with(&mut con, ["SESSION.VALIDATE", KEY, &token]), "unknown_key");
    assert!(answer_of(&mut con, &format!("SESSION.REGENERATE {KEY} {token}")).unwrap().has("reason"));
}
