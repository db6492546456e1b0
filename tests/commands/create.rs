//! SESSION.CREATE

use redis::Value;
use redis_session_tests::{
    Server, ServerBuilder, advance_to, ask, cmd, cmd_args, create, error, fields, ids, int, login, now_ms, on_both,
    refusal, verdict, verdict_with,
};
use serde_json::json;

use redis_session_tests::issuer::payload;

#[test]
fn a_new_session_has_an_id_a_deadline_a_token_and_evicts_nobody() {
    on_both(|_, con| {
        let before = now_ms(con);
        let created = create(con, "sessions:42");
        let after = now_ms(con);
        assert_eq!(
            created.names(),
            [
                "id",
                "expires_at",
                "token",
                "token_expires_at",
                "refresh_token",
                "refresh_expires_at",
                "evicted",
                "new_ip",
                "new_device"
            ]
        );
        assert_eq!(created.str("id").len(), 22);
        assert!((before..=after).contains(&(created.int("expires_at") - 86_400_000)));
        assert!(created.str("token").starts_with("eyJ"));
        assert!(created.int("token_expires_at") <= after + 3_600_000);
        assert!(created.int("token_expires_at") > before + 3_598_000);
        assert_eq!(created.strings("evicted"), Vec::<String>::new());
    });
}

#[test]
fn the_reply_is_a_map_on_resp3_and_a_flat_array_on_resp2() {
    let server = Server::start();
    let Value::Map(pairs) = cmd(&mut server.connection_resp3(), "SESSION.CREATE sessions:42 TOKEN NONE").unwrap()
    else {
        panic!("no map")
    };
    let name = |name: &str| Value::BulkString(name.into());
    assert_eq!(pairs.len(), 9);
    assert_eq!(pairs[2], (name("token"), Value::Nil));
    assert_eq!(pairs[6..8], [(name("evicted"), Value::Array(vec![])), (name("new_ip"), Value::Boolean(false))]);

    let Value::Array(flat) = cmd(&mut server.connection(), "SESSION.CREATE sessions:42 TOKEN NONE").unwrap() else {
        panic!("no array")
    };
    assert_eq!(flat.len(), 18);
    assert_eq!(flat[4..6], [name("token"), Value::Nil]);
    assert_eq!(flat[14..16], [name("new_ip"), Value::Int(0)]);
}

#[test]
fn every_session_has_an_id_and_a_token_of_its_own() {
    on_both(|_, con| {
        let (one, two) = (create(con, "sessions:42"), create(con, "sessions:42"));
        assert_ne!(one.str("id"), two.str("id"));
        assert_ne!(one.str("token"), two.str("token"));
        assert_ne!(payload(&one.str("token"))["jti"], payload(&two.str("token"))["jti"]);
    });
}

#[test]
fn an_id_that_is_brought_is_kept_to_the_letter() {
    let long = "x".repeat(128);
    let texts = [
        "AAECAwQFBgcICQoLDA0ODw",
        "0190163d-8694-739b-aea5-966c26f8ad91",
        "0190163D-8694-739B-AEA5-966C26F8AD91",
        "0190163d8694739baea5966c26f8ad91",
        "0190163D8694739BAEA5966C26F8AD91",
        "a",
        "two words",
        "caf\u{e9} \u{1f511}",
        "-1",
        "{}",
        "a.b.c",
        &long,
    ];
    on_both(|_, con| {
        for id in texts {
            let created = fields(cmd_args(con, ["SESSION.CREATE", "sessions:42", "ID", id]).unwrap());
            assert_eq!(created.str("id"), id);
            assert_eq!(payload(&created.str("token"))["sid"], json!(id));
            let session = fields(cmd_args(con, ["SESSION.GET", "sessions:42", id]).unwrap());
            assert_eq!(session.str("id"), id);
            assert_eq!(verdict(con, "sessions:42", &created.str("token")), "active");
        }
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), texts.len() as i64);
    });
}

#[test]
fn an_id_that_is_taken_is_refused() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one");
        let digest = server.digest("sessions:42");
        assert_eq!(error(con, "SESSION.CREATE sessions:42 ID one"), "SESSIONEXISTS a live session has this id");
        assert_eq!(server.digest("sessions:42"), digest);
        create(con, "sessions:43 ID one");
    });
}

#[test]
fn an_id_begins_again_at_once_and_the_tokens_from_before_stay_dead() {
    on_both(|_, con| {
        for form in ["JWT", "OPAQUE"] {
            let line = format!("sessions:42 ID {form} TOKEN {form} REFRESH 600");
            let mut before = Vec::new();
            for (end, reason) in [
                (format!("SESSION.REVOKE sessions:42 {form}"), "unknown"),
                ("SESSION.REVOKEUSER sessions:42".to_owned(), "user_revoked"),
                (format!("SESSION.DENY sessions:42 {form} UNTIL 4102444800000"), "unknown"),
                ("SESSION.REVOKEALL".to_owned(), "user_revoked"),
            ] {
                before.push(create(con, &line));
                cmd(con, &end).unwrap();
                // In the same millisecond, perhaps.
                let token = login(con, &line);
                assert_eq!(verdict(con, "sessions:42", &token), "active", "{form} after {end}");
                let last = &before[before.len() - 1];
                assert_eq!(verdict(con, "sessions:42", &last.str("token")), reason, "{form} after {end}");
                for old in &before {
                    for (command, token) in [("VALIDATE", "token"), ("TOUCH", "token"), ("REFRESH", "refresh_token")] {
                        let answer = ask(con, &format!("SESSION.{command} sessions:42 {}", old.str(token)));
                        assert!(!answer.bool("active"), "{form} {command} after {end}: {answer:?}");
                    }
                    let stateless = ["SESSION.VALIDATE", "sessions:42", &old.str("token"), "STATELESS"];
                    assert_ne!(verdict_with(con, stateless), "active", "{form} after {end}");
                    assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {}", old.str("token"))), 0);
                }
                assert_eq!(verdict(con, "sessions:42", &token), "active", "{form} after {end}");
                assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {token}")), 1);
            }
        }
    });
}

#[test]
fn an_id_whose_session_has_died_of_time_begins_again() {
    on_both(|_, con| {
        let over = create(con, "sessions:42 ID over TTL 1800 TOKEN OPAQUE");
        let idle = create(con, "sessions:42 ID idle IDLE 1800 TOKEN OPAQUE");
        // The one that began last has a moment more.
        let time = now_ms(con) + 1_800_000;
        advance_to(con, time);
        for (id, old) in [("over", over.str("token")), ("idle", idle.str("token"))] {
            let token = login(con, &format!("sessions:42 ID {id} TOKEN OPAQUE"));
            assert_eq!(verdict(con, "sessions:42", &token), "active");
            assert_eq!(verdict(con, "sessions:42", &old), "unknown");
        }
    });
}

#[test]
fn ttl_is_the_absolute_lifetime() {
    on_both(|_, con| {
        let before = now_ms(con);
        let created = create(con, "sessions:42 TTL 60");
        assert!((before..=now_ms(con)).contains(&(created.int("expires_at") - 60_000)));
        let longest = create(con, "sessions:42 TTL 3162240000");
        assert!((before..=now_ms(con)).contains(&(longest.int("expires_at") - 3_162_240_000_000)));
    });
}

#[test]
fn the_settings_are_the_defaults_of_the_options() {
    let server = ServerBuilder::new()
        .config("session.ttl 100\nsession.idle-timeout 50\nsession.token-ttl 10")
        .config("session.max-per-user 2\nsession.limit-policy reject")
        .start();
    let mut con = server.connection();
    let created = create(&mut con, "sessions:42");
    let session = ask(&mut con, &format!("SESSION.GET sessions:42 {}", created.str("id")));
    let began = session.int("created_at");
    assert_eq!(session.int("expires_at"), began + 100_000);
    assert_eq!(session.int("idle_expires_at"), began + 50_000);
    assert_eq!(created.int("token_expires_at") / 1000, began / 1000 + 10);
    create(&mut con, "sessions:42");
    assert!(error(&mut con, "SESSION.CREATE sessions:42").starts_with("SESSIONLIMIT "));

    let created = create(&mut con, "sessions:42 TTL 1000 IDLE 0 TOKENTTL 20 MAX 2 EVICT");
    let session = ask(&mut con, &format!("SESSION.GET sessions:42 {}", created.str("id")));
    let began = session.int("created_at");
    assert_eq!(session.int("expires_at"), began + 1_000_000);
    assert!(session.is_null("idle_expires_at"));
    assert_eq!(created.int("token_expires_at") / 1000, began / 1000 + 20);
    assert_eq!(created.strings("evicted").len(), 1);
}

#[test]
fn idle_is_how_long_it_may_go_unused() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one IDLE 60");
        let session = ask(con, "SESSION.GET sessions:42 one");
        assert_eq!(session.int("idle_expires_at"), session.int("created_at") + 60_000);
        assert!(session.int("expires_at") > session.int("idle_expires_at"));
        create(con, "sessions:42 ID two IDLE 0");
        assert!(ask(con, "SESSION.GET sessions:42 two").is_null("idle_expires_at"));
        // Four hundred times as long as the session itself.
        create(con, "sessions:42 ID three TTL 7906 IDLE 3162240000");
        let session = ask(con, "SESSION.GET sessions:42 three");
        assert_eq!(session.int("idle_expires_at"), session.int("created_at") + 3_162_240_000_000);
    });
}

#[test]
fn past_the_limit_the_oldest_makes_room() {
    on_both(|_, con| {
        let tokens: Vec<_> = (1..=3).map(|n| login(con, &format!("sessions:42 ID s{n} MAX 3"))).collect();
        let created = create(con, "sessions:42 ID s4 MAX 3 EVICT");
        assert_eq!(created.strings("evicted"), ["s1"]);
        assert_eq!(ids(con, "sessions:42"), ["s4", "s3", "s2"]);
        assert_eq!(verdict(con, "sessions:42", &tokens[0]), "evicted");
        assert_eq!(verdict(con, "sessions:42", &tokens[1]), "active");
    });
}

#[test]
fn reject_refuses_one_more_and_changes_nothing() {
    on_both(|server, con| {
        create(con, "sessions:42 ID s1");
        create(con, "sessions:42 ID s2");
        let digest = server.digest("sessions:42");
        assert_eq!(
            error(con, "SESSION.CREATE sessions:42 MAX 2 REJECT"),
            "SESSIONLIMIT the user has 2 live sessions, the limit"
        );
        assert_eq!(server.digest("sessions:42"), digest);
        create(con, "sessions:42 ID s3 MAX 3 REJECT");
        create(con, "sessions:43 ID s4 MAX 1 REJECT");
    });
}

#[test]
fn an_address_is_kept_in_its_shortest_form() {
    on_both(|_, con| {
        let kept = |con: &mut redis::Connection, ip: &str| {
            let id = create(con, &format!("sessions:42 IP {ip}")).str("id");
            ask(con, &format!("SESSION.GET sessions:42 {id}")).str("ip")
        };
        assert_eq!(kept(con, "203.0.113.7"), "203.0.113.7");
        assert_eq!(kept(con, "0.0.0.0"), "0.0.0.0");
        assert_eq!(kept(con, "2001:DB8:0:0:0:0:0:1"), "2001:db8::1");
        assert_eq!(kept(con, "::1"), "::1");
        // What a dual-stack socket says of an IPv4 peer.
        assert_eq!(kept(con, "::ffff:203.0.113.7"), "203.0.113.7");
        assert_eq!(kept(con, "::ffff:cb00:7107"), "203.0.113.7");
    });
}

#[test]
fn an_agent_is_any_text_of_512_bytes_or_less() {
    let long = "a".repeat(512);
    on_both(|_, con| {
        for (id, agent) in
            [("a", "Mozilla/5.0 (X11; Linux) Gecko"), ("b", "T\u{e9}l\u{e9}phone \u{1f4f1}"), ("c", &long)]
        {
            cmd_args(con, ["SESSION.CREATE", "sessions:42", "ID", id, "AGENT", agent]).unwrap();
            assert_eq!(ask(con, &format!("SESSION.GET sessions:42 {id}")).str("agent"), agent);
        }
        cmd_args(con, ["SESSION.CREATE", "sessions:42", "ID", "none", "AGENT", ""]).unwrap();
        assert!(ask(con, "SESSION.GET sessions:42 none").is_null("agent"));
    });
}

#[test]
fn data_is_fields_and_values_of_any_bytes_in_their_order() {
    let value: &[u8] = b"\0\xff\r\n";
    let field: &[u8] = b"\xfe\0";
    on_both(|_, con| {
        let args: [&[u8]; 11] =
            [b"SESSION.CREATE", b"sessions:42", b"ID", b"one", b"DATA", b"3", b"b", b"two words", field, value, b"a"];
        cmd_args(con, args.into_iter().chain([&b""[..]])).unwrap();
        let session = ask(con, "SESSION.GET sessions:42 one");
        let bytes = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
        let expected = [bytes(b"b"), bytes(b"two words"), bytes(field), bytes(value), bytes(b"a"), bytes(b"")];
        match session.get("data").unwrap() {
            Value::Array(flat) => assert_eq!(flat[..], expected),
            Value::Map(pairs) => {
                let flat: Vec<_> = pairs.iter().flat_map(|(field, value)| [field.clone(), value.clone()]).collect();
                assert_eq!(flat[..], expected);
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn data_may_have_as_many_bytes_as_the_setting_says() {
    on_both(|_, con| {
        cmd(con, "CONFIG SET session.max-data-bytes 100").unwrap();
        let value = |length| "v".repeat(length);
        cmd_args(con, ["SESSION.CREATE", "sessions:42", "DATA", "1", "field", &value(95)]).unwrap();
        let refused = refusal(con, ["SESSION.CREATE", "sessions:42", "DATA", "1", "field", &value(96)]);
        assert_eq!(refused, "ERR DATA has 101 bytes, session.max-data-bytes is 100");
        cmd(con, "CONFIG SET session.max-data-bytes 65536").unwrap();
        cmd_args(con, ["SESSION.CREATE", "sessions:42", "DATA", "1", "field", &value(65_531)]).unwrap();
    });
}

#[test]
fn many_fields_are_kept() {
    on_both(|_, con| {
        let mut args = vec!["SESSION.CREATE".to_owned(), "sessions:42".into(), "ID".into(), "one".into()];
        args.extend(["DATA".to_owned(), "1000".into()]);
        args.extend((0..1000).flat_map(|n| [format!("field{n}"), format!("value{n}")]));
        cmd_args(con, &args).unwrap();
        let data = ask(con, "SESSION.GET sessions:42 one").fields("data");
        assert_eq!(data.names().len(), 1000);
        assert_eq!(data.str("field999"), "value999");
    });
}

#[test]
fn a_jwt_says_whose_session_it_is_and_until_when() {
    on_both(|_, con| {
        let created = create(con, "sessions:42");
        let claims = payload(&created.str("token"));
        let names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["auth_time", "exp", "iat", "jti", "sid", "sub"]);
        assert_eq!(claims["sub"], json!("42"));
        assert_eq!(claims["sid"], json!(created.str("id")));
        assert_eq!(claims["exp"].as_i64().unwrap() * 1000, created.int("token_expires_at"));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
        assert_eq!(claims["jti"].as_str().unwrap().len(), 24);
    });
}

#[test]
fn issuer_and_audience_are_in_the_jwt_if_they_are_set() {
    let server = ServerBuilder::new().config("session.issuer https://id.example\nsession.audience api").start();
    let mut con = server.connection();
    let token = login(&mut con, "sessions:42");
    let claims = payload(&token);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://id.example"), &json!("api")));
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
}

#[test]
fn claims_are_in_the_jwt_to_the_letter() {
    on_both(|_, con| {
        for own in [
            json!({ "role": "admin" }),
            json!({ "a": { "b": [1, 2.5, null, true, "\u{e9}\"\\"] }, "exp2": {} }),
            json!({ "nested": { "exp": 1, "sub": "43" } }),
            json!({}),
        ] {
            let token = fields(cmd_args(con, ["SESSION.CREATE", "sessions:42", "CLAIMS", &own.to_string()]).unwrap())
                .str("token");
            let claims = payload(&token);
            for (name, value) in own.as_object().unwrap() {
                assert_eq!(claims[name], *value);
            }
            assert_eq!(claims.as_object().unwrap().len(), own.as_object().unwrap().len() + 6);
            assert_eq!(verdict(con, "sessions:42", &token), "active");
        }
    });
}

#[test]
fn an_opaque_token_lasts_as_long_as_its_session() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 TTL 100 TOKEN OPAQUE");
        assert!(created.str("token").starts_with("rst1.NDI."));
        assert_eq!(created.int("token_expires_at"), created.int("expires_at"));
        assert_eq!(verdict(con, "sessions:42", &created.str("token")), "active");
    });
}

#[test]
fn without_a_token_there_is_a_session_all_the_same() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 ID one TOKEN NONE");
        assert!(created.has("token") && created.is_null("token"));
        assert!(created.has("token_expires_at") && created.is_null("token_expires_at"));
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
        assert_eq!(ask(con, "SESSION.GET sessions:42 one").str("user"), "42");
    });
}

#[test]
fn a_token_never_outlives_its_session() {
    on_both(|_, con| {
        for options in ["TTL 1", "TTL 10 TOKENTTL 3600", "TTL 3600", "TTL 3600 TOKENTTL 3162240000"] {
            let created = create(con, &format!("sessions:42 {options}"));
            assert!(created.int("token_expires_at") <= created.int("expires_at"), "{options}: {created:?}");
            let exp = payload(&created.str("token"))["exp"].as_i64().unwrap();
            assert_eq!(exp * 1000, created.int("token_expires_at"));
        }
    });
}

#[test]
fn options_come_in_any_order_and_case() {
    on_both(|_, con| {
        let created = create(
            con,
            "sessions:42 tokenttl 10 Claims {\"a\":1} data 1 Ttl v agent Firefox ip ::1 Reject mAx 3 idle 5 ttl 20 token jwt id one",
        );
        let session = ask(con, "SESSION.GET sessions:42 one");
        let began = session.int("created_at");
        assert_eq!(created.int("token_expires_at"), (began / 1000 + 10) * 1000);
        assert_eq!(payload(&created.str("token"))["a"], json!(1));
        assert_eq!(session.fields("data").str("Ttl"), "v");
        assert_eq!((session.str("agent"), session.str("ip")), ("Firefox".into(), "::1".into()));
        assert_eq!(session.int("idle_expires_at"), began + 5_000);
        assert_eq!(session.int("expires_at"), began + 20_000);

        let created = create(con, "sessions:42 ID two MAX 2 eViCt TOKEN oPaQuE");
        assert!(created.str("token").starts_with("rst1."));
        assert!(create(con, "sessions:42 TOKEN none").is_null("token"));
    });
}

#[test]
fn a_user_may_have_any_name_of_255_bytes() {
    let long = "u".repeat(255);
    on_both(|_, con| {
        for user in ["42", "a:b", "two words", "\u{e9}\u{1f511}", "*", "42}", "a{b}c", &long] {
            let key = format!("sessions:{user}");
            for kind in ["JWT", "OPAQUE"] {
                let created = fields(cmd_args(con, ["SESSION.CREATE", &key, "TOKEN", kind]).unwrap());
                let checked = fields(cmd_args(con, ["SESSION.VALIDATE", &key, &created.str("token"), "FULL"]).unwrap());
                assert_eq!(checked.str("user"), user);
            }
        }
    });
}

#[test]
fn the_prefix_of_the_keys_can_be_chosen() {
    let server = ServerBuilder::new().config("session.key-prefix app:login:").start();
    let mut con = server.connection();
    let token = login(&mut con, "app:login:42");
    assert_eq!(payload(&token)["sub"], json!("42"));
    assert_eq!(
        error(&mut con, "SESSION.CREATE sessions:42"),
        "ERR the key does not start with the session.key-prefix: expected app:login:<user>"
    );
}

#[test]
fn without_a_key_that_signs_there_are_sessions_but_no_tokens() {
    let server = Server::start();
    let k = redis_session_core::base64url::encode(&[7; 32]);
    let set = json!({ "keys": [{ "kty": "oct", "kid": "a", "alg": "HS256", "k": k, "key_ops": ["verify"] }] });
    server.write("keys.json", set.to_string());
    let mut con = server.connection();
    cmd(&mut con, "CONFIG SET session.keys-file keys.json").unwrap();
    for kind in ["", "TOKEN JWT", "TOKEN OPAQUE"] {
        let refused = error(&mut con, &format!("SESSION.CREATE sessions:42 {kind}"));
        assert_eq!(refused, "NOSIGNINGKEY no key in session.keys-file can sign");
    }
    assert_eq!(int(&mut con, "EXISTS sessions:42"), 0);
    create(&mut con, "sessions:42 TOKEN NONE");
}

#[test]
fn what_only_informs_of_a_login_never_refuses_it() {
    on_both(|_, con| {
        for (agent, stored) in [
            (&[b'a'; 600][..], "a".repeat(512)),
            (b"Fire\xfffox\r\n on\0 Linux", "Fire\u{fffd}fox on Linux".to_owned()),
            ("\u{20ac}".repeat(171).as_bytes(), "\u{20ac}".repeat(170)),
        ] {
            let create = [&b"SESSION.CREATE"[..], b"sessions:42", b"ID", b"one", b"AGENT", agent];
            cmd_args(con, create).unwrap();
            assert_eq!(ask(con, "SESSION.GET sessions:42 one").str("agent"), stored);
            cmd(con, "FLUSHALL").unwrap();
        }
        create(con, "sessions:42 ID one");
        for (ip, stored) in [
            ("203.0.113.7:51234", "203.0.113.7"),
            ("203.0.113.7:0", "203.0.113.7"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
        ] {
            let created = create(con, &format!("sessions:43 ID one IP {ip}"));
            assert_eq!(ask(con, "SESSION.GET sessions:43 one").str("ip"), stored, "{ip}");
            let token = created.str("token");
            assert!(!ask(con, &format!("SESSION.TOUCH sessions:43 {token} FULL IP {stored}")).bool("new_ip"));
            cmd(con, "DEL sessions:43").unwrap();
        }
    });
}
