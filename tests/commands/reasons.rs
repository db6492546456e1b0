//! Why a token is not good: each reason, as SESSION.VALIDATE and SESSION.TOUCH answer it.

use std::time::Duration;

use redis::Connection;
use redis_session_core::base64url;
use redis_session_tests::{
    Server, advance, advance_past, advance_to, cmd, create, int, login, now_ms, on_both, on_both_of, verdict,
    verdict_with,
};
use serde_json::json;

use redis_session_tests::issuer::{claims, header, now_secs, sign, sign_parts, sign_text, tampered, trusting_server};

const KEY: &str = "sessions:42";

/// The answer of both commands, which must agree.
#[track_caller]
fn answer(con: &mut Connection, token: impl AsRef<[u8]>) -> String {
    let token = token.as_ref();
    let validated = verdict_with(con, [b"SESSION.VALIDATE", KEY.as_bytes(), token]);
    assert_eq!(verdict_with(con, [b"SESSION.TOUCH", KEY.as_bytes(), token]), validated);
    assert_eq!(verdict_with(con, [b"SESSION.VALIDATE", KEY.as_bytes(), token, b"FULL"]), validated);
    validated
}

/// A server that has session `one` of user 42 and takes the issuer's tokens.
fn with_a_session(test: impl Fn(&Server, &mut Connection)) {
    let server = trusting_server();
    on_both_of(&server, |con| {
        create(con, "sessions:42 ID one TOKEN NONE");
        test(&server, con);
    });
}

#[test]
fn what_has_not_the_form_of_a_token_is_malformed() {
    with_a_session(|_, con| {
        let good = sign(&header(), &claims(con, "42", "one"));
        let [head, body, code] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        assert_eq!(answer(con, &good), "active");
        for token in [
            String::new(),
            ".".into(),
            "..".into(),
            "one".into(),
            format!("{head}.{body}"),
            format!("{head}.{body}."),
            format!("{head}..{code}"),
            format!(".{body}.{code}"),
            format!("{good}."),
            format!("{good}.{code}"),
            format!(".{good}"),
            format!("{good}="),
            format!("{head}.{body}=.{code}"),
            format!(" {good}"),
            format!("{good}\n"),
            format!("Bearer {good}"),
            format!("{head}.{body}.{}", code.replace(['-', '_'], "+") + "+"),
            format!("{head}.{body}.\u{e9}"),
            "x".repeat(8192),
            "x".repeat(1_000_000),
            "rst1.".into(),
            "rst1.NDI".into(),
            "rst1.NDI.b25l".into(),
            "rst1...".into(),
            "rst1.NDI.b25l.AAAA.AAAA".into(),
            "RST1.NDI.b25l.AAAA".into(),
        ] {
            assert_eq!(answer(con, &token), "malformed", "{token:.200}");
        }
        for token in [&b"\xff"[..], b"\0", b"\xff.\xff.\xff", b"rst1.\xff.\xff.\xff", b"a\0.b\0.c\0"] {
            assert_eq!(answer(con, token), "malformed", "{}", token.escape_ascii());
        }
    });
}

#[test]
fn the_last_letter_of_a_part_has_no_spare_bits() {
    with_a_session(|_, con| {
        let good = sign(&header(), &claims(con, "42", "one"));
        // 32 bytes take 43 letters, the last of which has two bits too many.
        let last = good.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
        assert_eq!(answer(con, format!("{}{next}", &good[..good.len() - 1])), "malformed");
    });
}

#[test]
fn a_header_that_is_no_object_with_an_algorithm_is_malformed() {
    with_a_session(|_, con| {
        let claims = claims(con, "42", "one").to_string();
        for header in [
            "",
            "{",
            "[]",
            "null",
            "\"HS256\"",
            "{}",
            r#"{"kid":"HS256"}"#,
            r#"{"alg":1}"#,
            r#"{"alg":null}"#,
            r#"{"alg":"HS256","alg":"HS256"}"#,
            r#"{"alg":"HS256","x":{"a":1,"a":2}}"#,
            r#"{"alg":"HS256","kid":1}"#,
            r#"{"alg":"HS256","crit":["exp"]}"#,
            r#"{"alg":"HS256","crit":[]}"#,
            r#"{"alg":"HS256","b64":true}"#,
            r#"{"alg":"HS256"}{}"#,
        ] {
            assert_eq!(answer(con, sign_text(header.as_bytes(), claims.as_bytes())), "malformed", "{header}");
        }
    });
}

#[test]
fn signed_claims_that_make_no_sense_are_malformed() {
    with_a_session(|_, con| {
        let header = header().to_string();
        for payload in [
            "",
            "{}",
            "[]",
            "null",
            "{",
            r#"{"sub":"42","sid":"one"}"#,
            r#"{"sub":"42","sid":"one","exp":null}"#,
            r#"{"sub":"42","sid":"one","exp":"9999999999"}"#,
            r#"{"sub":"42","sid":"one","exp":-1}"#,
            r#"{"sub":"42","sid":"one","exp":1e300}"#,
            r#"{"sub":"42","sid":"one","exp":999999999999999999999}"#,
            r#"{"sub":"42","sid":"one","exp":9999999999,"exp":9999999999}"#,
            r#"{"sub":"42","sid":"one","exp":9999999999,"sub":"42"}"#,
            r#"{"sub":"42","sid":"one","exp":9999999999,"iat":"1"}"#,
            r#"{"sub":"42","sid":"one","exp":9999999999,"nbf":{}}"#,
            r#"{"sub":"42","sid":"one","exp":9999999999,"aud":1}"#,
            r#"{"sub":"42","sid":"one","exp":9999999999,"iss":["a"]}"#,
            r#"{"sub":4.2,"sid":"one","exp":9999999999}"#,
            r#"{"sub":"42","sid":1,"exp":9999999999}"#,
            r#"{"sub":"42","sid":"","exp":9999999999}"#,
            r#"{"sub":"42","sid":"a\u0000b","exp":9999999999}"#,
            r#"{"sub":"42","jti":7,"exp":9999999999}"#,
            r#"{"sub":"42","sid":"one","exp":9999999999,"x":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}"#,
            r#"{"sub":"42","sid":"one","exp":9999999999} x"#,
        ] {
            assert_eq!(answer(con, sign_text(header.as_bytes(), payload.as_bytes())), "malformed", "{payload}");
        }
        assert_eq!(answer(con, sign_text(header.as_bytes(), b"{\"exp\":9999999999,\"sub\":\"\xff\"}")), "malformed");
    });
}

#[test]
fn a_token_longer_than_the_setting_allows_is_malformed() {
    with_a_session(|_, con| {
        let mut claims = claims(con, "42", "one");
        claims["x"] = "x".repeat(5000).into();
        let token = sign(&header(), &claims);
        assert_eq!(answer(con, &token), "active");
        cmd(con, &format!("CONFIG SET session.max-token-bytes {}", token.len() - 1)).unwrap();
        assert_eq!(answer(con, &token), "malformed");
        cmd(con, &format!("CONFIG SET session.max-token-bytes {}", token.len())).unwrap();
        assert_eq!(answer(con, &token), "active");
        cmd(con, "CONFIG SET session.max-token-bytes 8192").unwrap();
    });
}

#[test]
fn an_algorithm_that_is_not_the_keys_is_told() {
    with_a_session(|_, con| {
        let claims = claims(con, "42", "one");
        for alg in ["none", "None", "", "hs256", "RS256", "HS384", "HS512", "ES256", "HS256 "] {
            let header = json!({ "alg": alg, "kid": redis_session_tests::issuer::KID });
            assert_eq!(answer(con, sign(&header, &claims)), "algorithm", "{alg}");
        }
        assert_eq!(answer(con, sign(&json!({ "alg": "none" }), &claims)), "algorithm");
    });
}

#[test]
fn a_key_that_nobody_knows_is_told() {
    with_a_session(|_, con| {
        let claims = claims(con, "42", "one");
        for header in [
            json!({ "alg": "HS256", "kid": "issuer-3" }),
            json!({ "alg": "HS256", "kid": "ISSUER-1" }),
            json!({ "alg": "HS256", "kid": "../../etc/passwd" }),
            json!({ "alg": "HS512" }),
        ] {
            assert_eq!(answer(con, sign(&header, &claims)), "unknown_key", "{header}");
        }
        // An empty name is none: the keys of the algorithm are tried.
        assert_eq!(answer(con, sign(&json!({ "alg": "HS256", "kid": "" }), &claims)), "active");
        let mac = base64url::encode(&[&b"nobody\0"[..], &[0; 32]].concat());
        assert_eq!(answer(con, format!("rst1.NDI.b25l.{mac}")), "unknown_key");
    });
}

#[test]
fn a_signature_that_is_not_the_keys_is_told() {
    with_a_session(|_, con| {
        let claims = claims(con, "42", "one");
        let good = sign(&header(), &claims);
        let other = sign(&header(), &json!({ "sub": "42", "sid": "two", "exp": 9_999_999_999_i64 }));
        let [head, body, code] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
        let other_body = other.split('.').nth(1).unwrap();
        let other_header = base64url::encode(br#"{"alg":"HS256","kid":"HS256"}"#);
        for token in [
            tampered(&good),
            format!("{head}.{other_body}.{code}"),
            format!("{other_header}.{body}.{code}"),
            format!("{head}.{body}.AA"),
            format!("{head}.{body}.{}", base64url::encode(&[0; 32])),
            format!("{head}.{body}.{}", base64url::encode(&[0; 64])),
            // Not even looked at before the signature is right.
            format!("{head}.{}.{code}", base64url::encode(b"not JSON")),
            // As an opaque token's code would be made, under the JWT's own key.
            sign_parts("rst1.NDI.b25l").replacen("rst1.NDI.b25l.", &format!("{head}.{body}."), 1),
        ] {
            assert_eq!(answer(con, &token), "signature", "{token}");
        }
        let opaque = login(con, "sessions:42 TOKEN OPAQUE");
        let [prefix, user, id, seal] = opaque.split('.').collect::<Vec<_>>()[..] else { panic!("four parts") };
        for token in [
            format!("{prefix}.NDM.{id}.{seal}"),
            format!("{prefix}.{user}.{}.{seal}", base64url::encode(b"one")),
            format!(
                "{prefix}.{user}.{id}.{}",
                base64url::encode(&[redis_session_tests::issuer::KID.as_bytes(), b"\0began.expire"].concat())
            ),
            format!("{prefix}.{user}.{id}.{}", base64url::encode(&[b"HS256\0began.expire", &[0; 32][..]].concat())),
        ] {
            assert_eq!(answer(con, &token), "signature", "{token}");
        }
    });
}

#[test]
fn a_token_of_another_secret_with_a_known_name_is_told() {
    with_a_session(|server, con| {
        // The same names, other secrets: as after a rotation that kept the kid by mistake.
        let k = base64url::encode(&[1; 32]);
        let set =
            json!({ "keys": [{ "kty": "oct", "kid": redis_session_tests::issuer::KID, "alg": "HS256", "k": k }] });
        server.write("other.json", set.to_string());
        let token = login(con, "sessions:42");
        assert_eq!(answer(con, &token), "active");
        cmd(con, "CONFIG SET session.keys-file other.json").unwrap();
        assert_eq!(answer(con, &token), "signature");
        redis_session_tests::issuer::trust(server);
        assert_eq!(answer(con, &token), "active");
    });
}

#[test]
fn a_refresh_token_is_of_another_type() {
    with_a_session(|_, con| {
        for token in ["rsr1.", "rsr1.NDI.b25l.MQ.AAAA", "rsr1.nonsense"] {
            assert_eq!(answer(con, token), "type");
        }
    });
}

#[test]
fn a_token_is_expired_from_its_exp_on() {
    with_a_session(|_, con| {
        let now = now_secs(con);
        for exp in [0, 1, now - 3600, now - 1, now] {
            let mut claims = claims(con, "42", "one");
            claims["exp"] = exp.into();
            assert_eq!(answer(con, sign(&header(), &claims)), "token_expired", "{exp}");
        }
    });
}

#[test]
fn leeway_makes_up_for_clocks_that_differ() {
    with_a_session(|_, con| {
        let now = now_secs(con);
        let mut token = |name: &str, date: i64| {
            let mut claims = claims(con, "42", "one");
            claims[name] = date.into();
            sign(&header(), &claims)
        };
        let tokens = [
            (token("exp", now - 100), "token_expired"),
            (token("nbf", now + 250), "not_yet_valid"),
            (token("iat", now + 250), "not_yet_valid"),
        ];
        for (token, reason) in &tokens {
            assert_eq!(answer(con, token), *reason);
        }
        cmd(con, "CONFIG SET session.leeway 300").unwrap();
        for (token, _) in &tokens {
            assert_eq!(answer(con, token), "active");
        }
        cmd(con, "CONFIG SET session.leeway 0").unwrap();
    });
}

#[test]
fn a_token_whose_time_has_not_come_is_told() {
    with_a_session(|_, con| {
        let now = now_secs(con);
        for name in ["nbf", "iat"] {
            let mut claims = claims(con, "42", "one");
            claims[name] = (now + 3600).into();
            assert_eq!(answer(con, sign(&header(), &claims)), "not_yet_valid", "{name}");
            claims[name] = (now - 3600).into();
            assert_eq!(answer(con, sign(&header(), &claims)), "active", "{name}");
        }
    });
}

#[test]
fn a_token_of_another_issuer_is_told() {
    with_a_session(|_, con| {
        cmd(con, "CONFIG SET session.issuer https://id.example").unwrap();
        let mut claims = claims(con, "42", "one");
        assert_eq!(answer(con, sign(&header(), &claims)), "issuer");
        for issuer in ["https://id.example/", "https://ID.example", "", "evil"] {
            claims["iss"] = issuer.into();
            assert_eq!(answer(con, sign(&header(), &claims)), "issuer", "{issuer}");
        }
        claims["iss"] = "https://id.example".into();
        assert_eq!(answer(con, sign(&header(), &claims)), "active");
        cmd(con, "CONFIG SET session.issuer ").unwrap_err();
        redis::cmd("CONFIG").arg("SET").arg("session.issuer").arg("").exec(con).unwrap();
    });
}

#[test]
fn a_token_for_another_audience_is_told() {
    with_a_session(|_, con| {
        let mut claims = claims(con, "42", "one");
        for audience in [json!(null), json!("web"), json!("API"), json!([]), json!(["web", "mobile"]), json!("")] {
            if audience.is_null() {
                claims.as_object_mut().unwrap().remove("aud");
            } else {
                claims["aud"] = audience;
            }
            let token = sign(&header(), &claims);
            assert_eq!(verdict_with(con, ["SESSION.VALIDATE", KEY, &token, "AUD", "api"]), "audience");
            assert_eq!(verdict_with(con, ["SESSION.TOUCH", KEY, &token, "AUD", "api"]), "audience");
            assert_eq!(answer(con, &token), "active");
        }
    });
}

#[test]
fn a_token_of_another_user_is_told() {
    with_a_session(|_, con| {
        let mut claims = claims(con, "43", "one");
        assert_eq!(answer(con, sign(&header(), &claims)), "subject");
        for subject in ["", "4", "420", "{42}", "sessions:42", " 42"] {
            claims["sub"] = subject.into();
            assert_eq!(answer(con, sign(&header(), &claims)), "subject", "{subject}");
        }
        claims.as_object_mut().unwrap().remove("sub");
        assert_eq!(answer(con, sign(&header(), &claims)), "subject");
        let opaque = login(con, "sessions:43 ID one TOKEN OPAQUE");
        assert_eq!(answer(con, opaque), "subject");
    });
}

#[test]
fn a_session_that_never_was_is_unknown() {
    with_a_session(|_, con| {
        let other = claims(con, "42", "two");
        assert_eq!(answer(con, sign(&header(), &other)), "unknown");
        let nameless = json!({ "sub": "42", "exp": 9_999_999_999_i64 });
        assert_eq!(answer(con, sign(&header(), &nameless)), "unknown");
        let token = login(con, "sessions:42");
        cmd(con, "DEL sessions:42").unwrap();
        assert_eq!(answer(con, &token), "unknown");
        assert_eq!(int(con, "EXISTS sessions:42"), 0);
    });
}

#[test]
fn a_session_past_its_absolute_deadline_is_expired() {
    with_a_session(|_, con| {
        // Which may forget it at once: the server does not know of the JWT.
        cmd(con, "CONFIG SET session.sweep-time 0").unwrap();
        let created = create(con, "sessions:42 ID two TTL 1800 TOKEN OPAQUE");
        let opaque = created.str("token");
        // It is good for longer than its session.
        let jwt = sign(&header(), &claims(con, "42", "two"));
        advance(con, Duration::from_secs(29 * 60));
        assert_eq!([answer(con, &opaque), answer(con, &jwt)], ["active", "active"]);
        advance_to(con, created.int("expires_at"));
        assert_eq!(answer(con, &opaque), "expired");
        assert_eq!(answer(con, &jwt), "expired");
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
    });
}

#[test]
fn a_jwt_expires_before_its_session_does() {
    with_a_session(|_, con| {
        let created = create(con, "sessions:42 TOKENTTL 600");
        let token = created.str("token");
        advance(con, Duration::from_secs(9 * 60));
        assert_eq!(answer(con, &token), "active");
        advance_to(con, created.int("token_expires_at"));
        assert_eq!(answer(con, &token), "token_expired");
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 2);
    });
}

#[test]
fn a_session_that_nobody_used_is_idle() {
    with_a_session(|_, con| {
        let token = login(con, "sessions:42 IDLE 1800");
        advance(con, Duration::from_secs(29 * 60));
        assert_eq!(verdict(con, KEY, &token), "active");
        advance(con, Duration::from_secs(60));
        assert_eq!(answer(con, &token), "idle");
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
    });
}

#[test]
fn a_session_that_ended_says_how() {
    on_both(|_, con| {
        let first = login(con, "sessions:42 TOKEN OPAQUE");
        let second = login(con, "sessions:42");
        let third = login(con, "sessions:42 TOKEN OPAQUE MAX 2");
        assert_eq!(answer(con, &first), "evicted");
        cmd(con, &format!("SESSION.REVOKE sessions:42 {second}")).unwrap();
        assert_eq!(answer(con, &second), "revoked");
        let fourth = login(con, "sessions:42");
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        assert_eq!(answer(con, &third), "user_revoked");
        assert_eq!(answer(con, &fourth), "user_revoked");
        // How the first two ended is still known.
        assert_eq!(answer(con, &first), "evicted");
        assert_eq!(answer(con, &second), "revoked");
    });
}

#[test]
fn what_began_before_the_not_before_setting_is_dead() {
    on_both(|_, con| {
        let tokens = [login(con, "sessions:42"), login(con, "sessions:42 TOKEN OPAQUE"), login(con, "sessions:43")];
        let created = create(con, "sessions:42 ID one");
        let now = now_ms(con);
        advance_past(con, now);
        cmd(con, &format!("CONFIG SET session.not-before {}", now + 1)).unwrap();
        assert_eq!(answer(con, &tokens[0]), "user_revoked");
        assert_eq!(answer(con, &tokens[1]), "user_revoked");
        assert_eq!(answer(con, created.str("token")), "user_revoked");
        assert_eq!(verdict(con, "sessions:43", &tokens[2]), "user_revoked");
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
        assert_eq!(int(con, "SESSION.TTL sessions:42 one"), -2);
        assert_eq!(cmd(con, "SESSION.GET sessions:42 one").unwrap(), redis::Value::Nil);
        assert!(redis_session_tests::ids(con, "sessions:42").is_empty());

        let token = login(con, "sessions:42");
        assert_eq!(answer(con, &token), "active");
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
        cmd(con, "CONFIG SET session.not-before 0").unwrap();
    });
}

#[test]
fn a_token_without_a_session_from_before_the_not_before_setting_is_dead_too() {
    with_a_session(|_, con| {
        let token = sign(&header(), &claims(con, "42", "elsewhere"));
        assert_eq!(answer(con, &token), "unknown");
        let soon = now_ms(con) + 2000;
        cmd(con, &format!("CONFIG SET session.not-before {soon}")).unwrap();
        assert_eq!(answer(con, &token), "user_revoked");
        cmd(con, "CONFIG SET session.not-before 0").unwrap();
    });
}

#[test]
fn of_two_reasons_the_first_in_the_documented_order_is_told() {
    with_a_session(|_, con| {
        let now = now_secs(con);
        let audience = ["SESSION.VALIDATE", KEY, "", "AUD", "api"];
        redis::cmd("CONFIG").arg("SET").arg("session.issuer").arg("good").exec(con).unwrap();
        // Everything is wrong with the first one; one thing less with each of the next.
        let mut header = json!({ "alg": "none", "kid": "nobody" });
        let mut claims =
            json!({ "sub": "43", "sid": "nobody", "exp": now - 9, "nbf": now + 999, "iss": "evil", "aud": "web" });
        let mut ask = |header: &serde_json::Value, claims: &serde_json::Value, good: bool| {
            let token = sign(header, claims);
            let mut args = audience.map(str::to_owned);
            args[2] = if good { token } else { tampered(&token) };
            verdict_with(con, args)
        };
        assert_eq!(ask(&header, &claims, false), "algorithm");
        header["alg"] = "HS256".into();
        assert_eq!(ask(&header, &claims, false), "unknown_key");
        header["kid"] = redis_session_tests::issuer::KID.into();
        assert_eq!(ask(&header, &claims, false), "signature");
        assert_eq!(ask(&header, &claims, true), "token_expired");
        claims["exp"] = (now + 999).into();
        assert_eq!(ask(&header, &claims, true), "not_yet_valid");
        claims["nbf"] = now.into();
        assert_eq!(ask(&header, &claims, true), "issuer");
        claims["iss"] = "good".into();
        assert_eq!(ask(&header, &claims, true), "audience");
        claims["aud"] = "api".into();
        assert_eq!(ask(&header, &claims, true), "subject");
        claims["sub"] = "42".into();
        assert_eq!(ask(&header, &claims, true), "unknown");
        claims["sid"] = "one".into();
        assert_eq!(ask(&header, &claims, true), "active");
        redis::cmd("CONFIG").arg("SET").arg("session.issuer").arg("").exec(con).unwrap();
    });
}

#[test]
fn of_a_session_that_ended_twice_the_first_end_is_told() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 ID one IDLE 100 TOKEN OPAQUE");
        cmd(con, "SESSION.REVOKE sessions:42 one").unwrap();
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        assert_eq!(answer(con, &token), "revoked");
    });
}

#[test]
fn past_twice_the_limit_the_oldest_traces_are_forgotten() {
    on_both(|_, con| {
        cmd(con, "CONFIG SET session.max-per-user 2").unwrap();
        let tokens: Vec<_> = (0..10).map(|_| login(con, "sessions:42 TOKEN OPAQUE")).collect();
        let states: Vec<_> = tokens.iter().map(|token| verdict(con, KEY, token)).collect();
        assert_eq!(states[8..], ["active", "active"]);
        assert_eq!(states[4..8], ["evicted"; 4]);
        assert_eq!(states[..4], ["unknown"; 4]);
        cmd(con, "CONFIG SET session.max-per-user 100").unwrap();
    });
}
