//! SESSION.VALIDATE and SESSION.TOUCH, where the token is good.

use std::time::Duration;

use redis::Value;
use redis_session_tests::issuer::{claims, header, sign, trusting_server};
use redis_session_tests::{
    Server, advance, ask, cmd, cmd_args, create, error, fields, int, login, now_ms, on_both, on_both_of, verdict,
    verdict_with, wait_until,
};

use crate::read::NAMES;

const BOTH: [&str; 2] = ["SESSION.VALIDATE", "SESSION.TOUCH"];

#[test]
fn a_check_answers_which_session_it_is_and_until_when() {
    on_both(|_, con| {
        let created = create(con, "sessions:42");
        for command in BOTH {
            let answer = ask(con, &format!("{command} sessions:42 {}", created.str("token")));
            assert_eq!(answer.names(), ["active", "id", "expires_at"]);
            assert!(answer.bool("active"));
            assert_eq!(answer.str("id"), created.str("id"));
            assert_eq!(answer.int("expires_at"), created.int("token_expires_at"));
        }
    });
}

#[test]
fn the_replies_have_maps_and_booleans_on_resp3_and_flat_arrays_and_integers_on_resp2() {
    let server = Server::start();
    let (mut two, mut three) = (server.connection(), server.connection_resp3());
    let token = login(&mut two, "sessions:42");
    let name = |name: &str| Value::BulkString(name.into());
    for command in BOTH {
        let line = format!("{command} sessions:42 {token}");
        let Value::Map(pairs) = cmd(&mut three, &line).unwrap() else { panic!("no map") };
        assert_eq!(pairs[0], (name("active"), Value::Boolean(true)));
        let Value::Array(flat) = cmd(&mut two, &line).unwrap() else { panic!("no array") };
        assert_eq!(flat[..2], [name("active"), Value::Int(1)]);

        let line = format!("{command} sessions:42 nonsense");
        let reason = Value::BulkString(b"malformed".to_vec());
        let map = vec![(name("active"), Value::Boolean(false)), (name("reason"), reason.clone())];
        assert_eq!(cmd(&mut three, &line).unwrap(), Value::Map(map));
        let flat = vec![name("active"), Value::Int(0), name("reason"), reason];
        assert_eq!(cmd(&mut two, &line).unwrap(), Value::Array(flat));
    }
}

#[test]
fn full_answers_with_all_there_is_to_know() {
    on_both(|_, con| {
        let line = "sessions:42 ID one TTL 1000 IDLE 100 IP 203.0.113.7 AGENT Firefox DATA 1 cart 17";
        let created = create(con, line);
        for command in BOTH {
            let answer = ask(con, &format!("{command} sessions:42 {} full", created.str("token")));
            let expected =
                [&["active", "id", "expires_at", "checked_at", "token_expires_at", "new_ip"], &NAMES[2..]].concat();
            assert_eq!(answer.names(), expected);
            assert!(answer.bool("active") && !answer.bool("new_ip"));
            assert_eq!((answer.str("id"), answer.str("user")), ("one".into(), "42".into()));
            assert_eq!(answer.int("created_at"), created.int("expires_at") - 1_000_000);
            assert!(answer.int("last_seen_at") >= answer.int("created_at"));
            let now = now_ms(con);
            assert!((answer.int("last_seen_at")..=now).contains(&answer.int("checked_at")));
            assert_eq!(answer.int("idle_expires_at"), answer.int("last_seen_at") + 100_000);
            assert_eq!(answer.int("expires_at"), answer.int("idle_expires_at"));
            assert_eq!(answer.int("token_expires_at"), created.int("token_expires_at"));
            assert_eq!((answer.str("ip"), answer.str("agent")), ("203.0.113.7".into(), "Firefox".into()));
            assert_eq!(answer.fields("data").str("cart"), "17");
        }
    });
}

#[test]
fn full_has_nulls_where_nothing_is_known() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 TOKEN OPAQUE");
        let answer = ask(con, &format!("SESSION.VALIDATE sessions:42 {token} FULL"));
        for name in ["token_expires_at", "idle_expires_at", "ip", "agent"] {
            assert!(answer.has(name) && answer.is_null(name), "{name}");
        }
        assert!(answer.fields("data").names().is_empty());
    });
}

#[test]
fn the_deadline_is_the_nearest_of_token_session_and_idle_timeout() {
    on_both(|_, con| {
        let deadline = |con: &mut redis::Connection, options: &str| {
            let created = create(con, &format!("sessions:42 {options}"));
            let session = ask(con, &format!("SESSION.GET sessions:42 {}", created.str("id")));
            let answer = ask(con, &format!("SESSION.VALIDATE sessions:42 {}", created.str("token")));
            (answer.int("expires_at"), created, session)
        };
        let (found, created, _) = deadline(con, "TTL 1000 IDLE 900 TOKENTTL 100");
        assert_eq!(found, created.int("token_expires_at"));
        let (found, _, session) = deadline(con, "TTL 1000 IDLE 100 TOKENTTL 900");
        assert_eq!(found, session.int("idle_expires_at"));
        let (found, created, _) = deadline(con, "TTL 100 IDLE 900 TOKEN OPAQUE");
        assert_eq!(found, created.int("expires_at"));
    });
}

#[test]
fn another_address_than_that_of_the_login_is_told() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 IP 203.0.113.7");
        for command in BOTH {
            let mut new_ip = |ip: &str| ask(con, &format!("{command} sessions:42 {token} FULL IP {ip}")).bool("new_ip");
            assert!(!new_ip("203.0.113.7"));
            assert!(!new_ip("::ffff:203.0.113.7"));
            assert!(new_ip("203.0.113.8"));
            assert!(new_ip("2001:db8::1"));
            let answer = ask(con, &format!("{command} sessions:42 {token} IP 203.0.113.8"));
            assert_eq!(answer.names(), ["active", "id", "expires_at"]);
            // It was told, not noted: the session is still the one of the login.
            assert_eq!(ask(con, &format!("{command} sessions:42 {token} FULL")).str("ip"), "203.0.113.7");
        }
    });
}

#[test]
fn options_come_in_any_order_and_case_and_with_any_token() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        create(con, "sessions:42 ID one");
        let mut claims = claims(con, "42", "one");
        claims["aud"] = "api".into();
        let token = sign(&header(), &claims);
        for command in BOTH {
            let answer = ask(con, &format!("{command} sessions:42 {token} full aud api iP ::1"));
            assert!(answer.bool("new_ip"));
            assert!(ask(con, &format!("{command} sessions:42 {token} AUD api")).bool("active"));
        }
    });
}

#[test]
fn an_audience_may_be_one_of_several() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        create(con, "sessions:42 ID one");
        let mut claims = claims(con, "42", "one");
        claims["aud"] = serde_json::json!(["web", "api"]);
        let token = sign(&header(), &claims);
        for command in BOTH {
            for (audience, expected) in [("web", "active"), ("api", "active"), ("ap", "audience"), ("", "audience")] {
                assert_eq!(verdict_with(con, [command, "sessions:42", &token, "AUD", audience]), expected);
            }
        }
    });
}

#[test]
fn a_call_can_ask_for_another_audience_than_the_settings_do() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        cmd(con, "CONFIG SET session.audience api").unwrap();
        create(con, "sessions:42 ID one");
        let mut claims = claims(con, "42", "one");
        claims["aud"] = "web".into();
        let token = sign(&header(), &claims);
        assert_eq!(verdict(con, "sessions:42", &token), "audience");
        assert_eq!(verdict_with(con, ["SESSION.VALIDATE", "sessions:42", &token, "AUD", "web"]), "active");
    });
}

#[test]
fn an_opaque_token_is_for_every_audience_of_its_server() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 TOKEN OPAQUE");
        assert_eq!(verdict_with(con, ["SESSION.VALIDATE", "sessions:42", &token, "AUD", "api"]), "active");
    });
}

#[test]
fn a_token_from_elsewhere_is_good_for_the_session_that_it_names() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        create(con, "sessions:42 ID one TOKEN NONE");
        create(con, "sessions:42 ID two TOKEN NONE");
        let both = serde_json::json!({ "sid": "one", "jti": "two", "sub": "42", "exp": 9_999_999_999_i64 });
        let by_jti = serde_json::json!({ "jti": "two", "sub": "42", "exp": 9_999_999_999.5 });
        for (claims, id) in [(both, "one"), (by_jti, "two")] {
            let token = sign(&header(), &claims);
            assert_eq!(ask(con, &format!("SESSION.VALIDATE sessions:42 {token}")).str("id"), id);
        }
    });
}

#[test]
fn a_header_may_leave_the_key_out_where_only_one_fits() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        create(con, "sessions:42 ID one TOKEN NONE");
        let claims = claims(con, "42", "one");
        let token = sign(&serde_json::json!({ "alg": "HS256" }), &claims);
        assert_eq!(verdict(con, "sessions:42", &token), "active");
        let token = sign(&serde_json::json!({ "alg": "HS256", "jku": "https://evil.example", "jwk": {} }), &claims);
        assert_eq!(verdict(con, "sessions:42", &token), "active");
    });
}

#[test]
fn validating_changes_nothing() {
    on_both(|server, con| {
        cmd(con, "CONFIG SET session.touch-granularity 0").unwrap();
        let created = create(con, "sessions:42 IDLE 100");
        let (digest, dump) = (server.digest("sessions:42"), cmd(con, "DUMP sessions:42").unwrap());
        advance(con, Duration::from_secs(50));
        for options in ["", "FULL", "IP ::1"] {
            ask(con, &format!("SESSION.VALIDATE sessions:42 {} {options}", created.str("token")));
        }
        assert_eq!(server.digest("sessions:42"), digest);
        assert_eq!(cmd(con, "DUMP sessions:42").unwrap(), dump);
    });
}

#[test]
fn a_touch_slides_the_idle_deadline_and_not_the_absolute_one() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 ID one TTL 1000 IDLE 100 TOKEN OPAQUE");
        let before = ask(con, "SESSION.GET sessions:42 one");
        advance(con, Duration::from_secs(50));
        let touched = ask(con, &format!("SESSION.TOUCH sessions:42 {}", created.str("token")));
        let after = ask(con, "SESSION.GET sessions:42 one");
        assert!(after.int("last_seen_at") >= before.int("last_seen_at") + 50_000);
        assert_eq!(after.int("idle_expires_at"), after.int("last_seen_at") + 100_000);
        assert_eq!(touched.int("expires_at"), after.int("idle_expires_at"));
        assert_eq!(after.int("expires_at"), before.int("expires_at"));
        assert_eq!(after.int("created_at"), before.int("created_at"));
    });
}

/// The default of `session.touch-granularity`.
const GRANULARITY: Duration = Duration::from_secs(60);
const PAST_GRANULARITY: Duration = Duration::from_secs(61);

#[test]
fn a_touch_within_the_granularity_moves_memory_alone() {
    on_both(|server, con| {
        let token = login(con, "sessions:42 ID one TOKEN OPAQUE");
        let (digest, began) = (server.digest("sessions:42"), now_ms(con));
        advance(con, GRANULARITY / 2);
        let written = server.info("persistence", "rdb_changes_since_last_save");
        let answer = ask(con, &format!("SESSION.TOUCH sessions:42 {token} FULL"));
        assert!(answer.int("last_seen_at") >= began + 30_000);
        assert_eq!(ask(con, "SESSION.GET sessions:42 one").int("last_seen_at"), answer.int("last_seen_at"));
        assert_eq!(server.digest("sessions:42"), digest);
        assert_eq!(server.info("persistence", "rdb_changes_since_last_save"), written);
    });
}

#[test]
fn a_touch_past_the_granularity_is_replicated() {
    on_both(|server, con| {
        let token = login(con, "sessions:42 TOKEN OPAQUE");
        let digest = server.digest("sessions:42");
        advance(con, PAST_GRANULARITY);
        let written = server.info("persistence", "rdb_changes_since_last_save");
        ask(con, &format!("SESSION.TOUCH sessions:42 {token}"));
        assert_ne!(server.digest("sessions:42"), digest);
        assert_ne!(server.info("persistence", "rdb_changes_since_last_save"), written);
    });
}

#[test]
fn a_touch_with_a_bad_token_changes_nothing() {
    on_both(|server, con| {
        let token = login(con, "sessions:42 TOKEN OPAQUE");
        let digest = server.digest("sessions:42");
        advance(con, PAST_GRANULARITY);
        assert_eq!(
            verdict_with(con, ["SESSION.TOUCH", "sessions:42", &redis_session_tests::issuer::tampered(&token)]),
            "signature"
        );
        assert_eq!(verdict_with(con, ["SESSION.TOUCH", "sessions:43", &token]), "subject");
        assert_eq!(server.digest("sessions:42"), digest);
        assert_eq!(int(con, "EXISTS sessions:43"), 0);
    });
}

#[test]
fn a_touch_does_not_wake_a_session_that_was_idle_too_long() {
    on_both(|_, con| {
        create(con, "sessions:42");
        let token = login(con, "sessions:42 ID one IDLE 1800");
        advance(con, Duration::from_secs(1800));
        assert_eq!(verdict(con, "sessions:42", &token), "idle");
        assert_eq!(verdict_with(con, ["SESSION.TOUCH", "sessions:42", &token]), "idle");
        assert_eq!(verdict_with(con, ["SESSION.TOUCH", "sessions:42", &token, "FULL"]), "idle");
        assert_eq!(cmd(con, "SESSION.GET sessions:42 one").unwrap(), Value::Nil);
    });
}

#[test]
fn a_touch_moves_its_own_session_alone() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one");
        let two = login(con, "sessions:42 ID two");
        let before = ask(con, "SESSION.GET sessions:42 one");
        advance(con, PAST_GRANULARITY);
        ask(con, &format!("SESSION.TOUCH sessions:42 {two}"));
        assert_eq!(ask(con, "SESSION.GET sessions:42 one"), before);
    });
}

#[test]
fn a_check_of_nobody_makes_no_key() {
    on_both(|_, con| {
        for command in BOTH {
            assert_eq!(verdict_with(con, [command, "sessions:42", "nonsense"]), "malformed");
        }
        assert_eq!(int(con, "DBSIZE"), 0);
    });
}

#[test]
fn a_script_reads_the_reply_as_its_own_protocol_has_it() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 ID one");
        let mut run = |script: &str, token: &str| -> String {
            redis::cmd("EVAL").arg(script).arg(1).arg("sessions:42").arg(token).query(con).unwrap()
        };
        let flat = "return redis.call('SESSION.TOUCH', KEYS[1], ARGV[1])[4]";
        assert_eq!(run(flat, &token), "one");
        let map = "redis.setresp(3)
                   local fields = redis.call('SESSION.VALIDATE', KEYS[1], ARGV[1]).map
                   return tostring(fields.active) .. ' ' .. (fields.id or fields.reason)";
        assert_eq!(run(map, &token), "true one");
        assert_eq!(run(map, "nonsense"), "false malformed");
    });
}

#[test]
fn a_full_check_answers_raw_data() {
    on_both(|_, con| {
        let value: &[u8] = b"\xff\0";
        let args: [&[u8]; 6] = [b"SESSION.CREATE", b"sessions:42", b"DATA", b"1", b"k", value];
        let token = fields(cmd_args(con, args).unwrap()).str("token");
        let answer = ask(con, &format!("SESSION.VALIDATE sessions:42 {token} FULL"));
        assert_eq!(answer.fields("data").bytes("k"), value);
    });
}

/// Each answer of a check as a text: a deadline as a number, a reason as itself.
fn brief(con: &mut redis::Connection, line: &str) -> String {
    match cmd(con, &format!("{line} BRIEF")).unwrap() {
        Value::Int(deadline) => deadline.to_string(),
        Value::BulkString(reason) => String::from_utf8(reason).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_brief_answer_is_the_deadline_or_the_reason_of_the_short_one() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let jwt = login(con, "sessions:42 ID one IDLE 100 DEVICE laptop");
        let opaque = login(con, "sessions:42 ID two TOKEN OPAQUE");
        let claims = claims(con, "42", "elsewhere");
        let elsewhere = sign(&header(), &claims);
        let dead = login(con, "sessions:42 ID three");
        cmd(con, "SESSION.REVOKE sessions:42 three").unwrap();
        for command in BOTH {
            for asked in [
                &*jwt,
                &format!("{jwt} DEVICE laptop IP ::1"),
                &format!("{jwt} DEVICE phone"),
                &format!("{jwt} AUD other"),
                &opaque,
                &format!("{elsewhere} STATELESS"),
                &elsewhere,
                &dead,
                "nonsense",
                "ID one",
                "ID two",
                "ID three",
                "ID nobody",
                "id one DEVICE phone",
            ] {
                let line = format!("{command} sessions:42 {asked}");
                let told = brief(con, &line);
                // Another touch may come a millisecond later.
                let answer = ask(con, &line.replace("TOUCH", "VALIDATE"));
                let expected =
                    if answer.bool("active") { answer.int("expires_at").to_string() } else { answer.str("reason") };
                assert_eq!(told, expected, "{line}");
            }
        }
        assert_eq!(brief(con, &format!("SESSION.VALIDATE sessions:43 {jwt}")), "subject");
    });
}

#[test]
fn a_brief_answer_counts_as_any_other() {
    let server = Server::start();
    let mut con = server.connection();
    let token = login(&mut con, "sessions:42 ID one");
    let before = ask(&mut con, "SESSION.STATS");
    for command in BOTH {
        for asked in [&*token, "ID one", "nonsense", "ID nobody"] {
            brief(&mut con, &format!("{command} sessions:42 {asked}"));
        }
    }
    let after = ask(&mut con, "SESSION.STATS");
    for name in ["validated", "touched", "refused_malformed", "refused_unknown"] {
        assert_eq!(after.int(name), before.int(name) + 2, "{name}");
    }
}

#[test]
fn an_id_is_checked_as_a_token_of_its_session_is() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 ID one TTL 1000 IDLE 100 TOKEN NONE IP ::1 DATA 1 cart 17");
        for command in BOTH {
            let answer = ask(con, &format!("{command} sessions:42 ID one"));
            assert_eq!(answer.names(), ["active", "id", "expires_at"]);
            assert_eq!(answer.str("id"), "one");
            let answer = ask(con, &format!("{command} sessions:42 id one FULL IP 203.0.113.7"));
            assert!(answer.bool("new_ip") && answer.is_null("token_expires_at"));
            assert_eq!(answer.fields("data").str("cart"), "17");
            assert_eq!(ask(con, &format!("{command} sessions:43 ID one")).str("reason"), "unknown");
        }
        advance(con, Duration::from_secs(60));
        let touched = ask(con, "SESSION.TOUCH sessions:42 ID one");
        let session = ask(con, "SESSION.GET sessions:42 one");
        assert_eq!(touched.int("expires_at"), session.int("last_seen_at") + 100_000);
        assert_eq!(session.int("expires_at"), created.int("expires_at"));
        advance(con, Duration::from_secs(100));
        for command in BOTH {
            assert_eq!(verdict_with(con, [command, "sessions:42", "ID", "one"]), "idle");
        }
        create(con, "sessions:42 ID two TOKEN NONE");
        cmd(con, "SESSION.REVOKE sessions:42 two").unwrap();
        for command in BOTH {
            assert_eq!(verdict_with(con, [command, "sessions:42", "ID", "two"]), "revoked");
        }
    });
}

#[test]
fn what_is_about_a_token_does_not_go_with_an_id() {
    let server = Server::start();
    let mut con = server.connection();
    let token = login(&mut con, "sessions:42 ID one");
    for command in BOTH {
        for (rest, expected) in [
            ("ID one AUD api".to_owned(), "ERR AUD does not go with ID: it is about a token"),
            ("ID one STATELESS".to_owned(), "ERR STATELESS does not go with ID: it is about a token"),
            ("ID".to_owned(), "ERR ID needs a value"),
            ("ID one one".to_owned(), "ERR unknown option one"),
            (format!("ID {token}"), "ERR ID looks like a token; an id must not"),
        ] {
            let line = format!("{command} sessions:42 {rest}");
            assert_eq!(error(&mut con, &line), expected, "{line}");
        }
    }
}

#[test]
fn a_replica_checks_ids_and_touches_none() {
    let primary = Server::start();
    let replica = Server::builder().replica_of(&primary).start();
    let (mut con, mut other) = (primary.connection(), replica.connection());
    create(&mut con, "sessions:42 ID one");
    wait_until("the replica has the session", || int(&mut other, "EXISTS sessions:42") == 1);
    assert!(brief(&mut other, "SESSION.VALIDATE sessions:42 ID one").parse::<i64>().is_ok());
    let refused = error(&mut other, "SESSION.TOUCH sessions:42 ID one BRIEF");
    assert!(refused.starts_with("READONLY"), "{refused}");
}
