//! STATELESS: a token that was made elsewhere is good without a session here, until it or its user is revoked.

use redis::Connection;
use redis_session_core::base64url;
use redis_session_tests::{
    advance, advance_past, advance_to, ask, cmd, create, int, login, now_ms, on_both_of, verdict, verdict_with,
    wait_until,
};
use serde_json::json;

use crate::steps::{KEY, minutes, set};
use redis_session_tests::issuer::{claims, header, now_secs, sign, tampered, trusting_server};

/// Milliseconds for which an end is remembered beyond the last token that it ends.
const REMEMBERED: i64 = 600_000;
/// Milliseconds of the longest of `session.ttl`, `session.token-ttl` and `session.refresh-ttl`.
const HORIZON: i64 = 2_592_000_000;

/// What both commands say of a token that needs no session here; they must agree.
#[track_caller]
fn stateless(con: &mut Connection, token: &str) -> String {
    let validated = verdict_with(con, ["SESSION.VALIDATE", KEY, token, "STATELESS"]);
    assert_eq!(verdict_with(con, ["SESSION.TOUCH", KEY, token, "stateless"]), validated);
    assert_eq!(verdict_with(con, ["SESSION.VALIDATE", KEY, token, "FULL", "STATELESS"]), validated);
    validated
}

/// A token of user 42 from elsewhere that is issued in this second, and its `exp` in milliseconds.
fn foreign(con: &mut Connection, session: &str) -> (String, i64) {
    let claims = claims(con, "42", session);
    (sign(&header(), &claims), claims["exp"].as_i64().unwrap() * 1000)
}

#[test]
fn a_token_without_a_session_here_is_active_for_who_asks_for_no_session() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let (token, exp) = foreign(con, "one");
        assert_eq!(verdict(con, KEY, &token), "unknown");
        assert_eq!(stateless(con, &token), "active");
        let answer = ask(con, &format!("SESSION.VALIDATE {KEY} {token} STATELESS"));
        assert_eq!(answer.names(), ["active", "id", "expires_at"]);
        assert_eq!((answer.str("id"), answer.int("expires_at")), ("one".into(), exp));
        assert_eq!(int(con, "DBSIZE"), 0);
    });
}

#[test]
fn what_is_not_known_without_a_session_is_null() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let (token, exp) = foreign(con, "one");
        for command in ["SESSION.VALIDATE", "SESSION.TOUCH"] {
            let answer = ask(con, &format!("{command} {KEY} {token} FULL STATELESS IP ::1 DEVICE phone"));
            assert_eq!(answer.names().len(), 17);
            assert_eq!((answer.int("expires_at"), answer.int("token_expires_at")), (exp, exp));
            assert_eq!((answer.str("user"), answer.str("id")), ("42".into(), "one".into()));
            assert!(!answer.bool("new_ip"));
            for name in [
                "created_at",
                "last_seen_at",
                "idle_expires_at",
                "ip",
                "agent",
                "claims",
                "auth_time",
                "level",
                "version",
            ] {
                assert!(answer.has(name) && answer.is_null(name), "{name}");
            }
            assert!(answer.fields("data").names().is_empty());
        }
    });
}

#[test]
fn a_token_must_be_good_in_every_other_way() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let good = claims(con, "42", "one");
        let mut signed = |name: &str, value: serde_json::Value| {
            let mut claims = good.clone();
            claims[name] = value;
            let token = sign(&header(), &claims);
            stateless(con, &token)
        };
        assert_eq!(signed("exp", json!(1)), "token_expired");
        assert_eq!(signed("nbf", json!(9_999_999_999_i64)), "not_yet_valid");
        assert_eq!(signed("iat", json!(9_999_999_999_i64)), "not_yet_valid");
        assert_eq!(signed("sub", json!("43")), "subject");
        let token = sign(&header(), &good);
        assert_eq!(stateless(con, &tampered(&token)), "signature");
        assert_eq!(verdict_with(con, ["SESSION.VALIDATE", KEY, &token, "STATELESS", "AUD", "api"]), "audience");
        assert_eq!(stateless(con, "nonsense"), "malformed");
    });
}

#[test]
fn with_a_session_here_it_counts_as_it_does_without_the_option() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        create(con, "sessions:42 ID one TTL 100 IDLE 50 TOKEN NONE DEVICE phone IP 203.0.113.7");
        let (token, _) = foreign(con, "one");
        let [with, without] = ["STATELESS FULL", "FULL"].map(|options| {
            // The time of the check is another each time.
            ask(con, &format!("SESSION.VALIDATE {KEY} {token} {options}")).without("checked_at")
        });
        assert_eq!(with, without);
        assert_eq!(verdict_with(con, ["SESSION.VALIDATE", KEY, &token, "STATELESS", "DEVICE", "laptop"]), "device");
        let before = with.int("last_seen_at");
        advance_past(con, before);
        let touched = ask(con, &format!("SESSION.TOUCH {KEY} {token} STATELESS FULL"));
        assert!(touched.int("last_seen_at") > before);
    });
}

#[test]
fn a_token_that_is_revoked_is_denied_until_its_exp_and_remembered_for_ten_minutes_longer() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let (token, exp) = foreign(con, "one");
        let (other, _) = foreign(con, "two");
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {token}")), 1);
        assert_eq!(stateless(con, &token), "revoked");
        assert_eq!(verdict(con, KEY, &token), "revoked");
        assert_eq!(stateless(con, &other), "active");
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), exp + REMEMBERED);
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {token}")), 0);
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
    });
}

#[test]
fn the_last_of_several_denied_tokens_is_how_long_the_key_stays() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let mut line = format!("SESSION.REVOKE {KEY}");
        let mut last = 0;
        for (n, life) in [100, 900, 500].into_iter().enumerate() {
            let mut claims = claims(con, "42", &format!("s{n}"));
            let exp = now_secs(con) + life;
            claims["exp"] = exp.into();
            last = last.max(exp * 1000);
            line += &format!(" {}", sign(&header(), &claims));
        }
        assert_eq!(int(con, &line), 3);
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), last + REMEMBERED);
        for token in line.split(' ').skip(2) {
            assert_eq!(stateless(con, token), "revoked");
        }
    });
}

#[test]
fn a_token_that_outlives_its_session_is_denied_to_its_own_end() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let ends = create(con, "sessions:42 ID one TTL 1800 TOKEN NONE").int("expires_at");
        let (token, exp) = foreign(con, "one");
        let before = now_ms(con);
        // By the id alone: there may be tokens with it that nobody here has seen.
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} one")), 1);
        let until = int(con, "PEXPIRETIME sessions:42") - HORIZON - REMEMBERED;
        assert!((before..=now_ms(con)).contains(&until));
        advance_to(con, ends);
        assert_eq!(stateless(con, &token), "revoked");
        advance_to(con, exp);
        assert_eq!(stateless(con, &token), "token_expired");
    });
}

#[test]
fn a_leeway_that_is_raised_later_makes_no_denied_token_good() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let (token, exp) = foreign(con, "one");
        let (other, _) = foreign(con, "two");
        cmd(con, &format!("SESSION.REVOKE {KEY} {token}")).unwrap();
        advance_to(con, exp);
        assert_eq!((stateless(con, &token), stateless(con, &other)), ("token_expired".into(), "token_expired".into()));
        set(con, "session.leeway 300");
        for time in [exp, exp + 150_000] {
            advance_to(con, time);
            assert_eq!((stateless(con, &token), stateless(con, &other)), ("revoked".into(), "active".into()));
        }
        advance_to(con, exp + REMEMBERED);
        assert_eq!(stateless(con, &token), "token_expired");
        set(con, "session.leeway 0");
    });
}

#[test]
fn a_denied_token_is_forgotten_when_it_has_expired() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let mut claims = claims(con, "42", "one");
        let exp = now_secs(con) + 1800;
        claims["exp"] = exp.into();
        let token = sign(&header(), &claims);
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {token}")), 1);
        advance(con, minutes(29));
        assert_eq!(stateless(con, &token), "revoked");
        advance_to(con, exp * 1000);
        assert_eq!(stateless(con, &token), "token_expired");
        advance_to(con, exp * 1000 + REMEMBERED);
        wait_until("the sweep deletes the key", || int(con, "EXISTS sessions:42") == 0);
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {token}")), 0);
        assert_eq!(int(con, "EXISTS sessions:42"), 0);
    });
}

#[test]
fn no_respelling_of_a_denied_token_gets_in() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let claims = claims(con, "42", "one");
        let token = sign(&header(), &claims);
        cmd(con, &format!("SESSION.REVOKE {KEY} {token}")).unwrap();
        // Of the same session, from the same issuer: other bytes, other order, another signature.
        let respelled = [
            redis_session_tests::issuer::sign_text(header().to_string().as_bytes(), format!(" {claims} ").as_bytes()),
            sign(&json!({ "alg": "HS256" }), &claims),
        ];
        for token in &respelled {
            assert_eq!(stateless(con, token), "revoked");
        }
    });
}

#[test]
fn a_token_that_names_no_session_is_denied_by_what_it_says() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let now = now_secs(con);
        let token = sign(&header(), &json!({ "sub": "42", "iat": now, "exp": now + 100 }));
        let other = sign(&header(), &json!({ "sub": "42", "iat": now, "exp": now + 101 }));
        assert_eq!(stateless(con, &token), "active");
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {token}")), 1);
        assert_eq!(stateless(con, &token), "revoked");
        assert_eq!(stateless(con, &other), "active");
    });
}

#[test]
fn a_logout_everywhere_but_here_ends_the_tokens_without_a_session() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let here = login(con, "sessions:42 ID here");
        let (token, _) = foreign(con, "elsewhere");
        cmd(con, &format!("SESSION.REVOKEUSER {KEY} EXCEPT {here}")).unwrap();
        assert_eq!(stateless(con, &token), "user_revoked");
        assert_eq!(stateless(con, &here), "active");
    });
}

#[test]
fn a_logout_everywhere_is_of_one_user() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let (token, _) = foreign(con, "one");
        cmd(con, "SESSION.REVOKEUSER sessions:43").unwrap();
        assert_eq!(stateless(con, &token), "active");
    });
}

#[test]
fn a_token_older_than_the_day_everyone_was_logged_out_is_dead() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let (token, _) = foreign(con, "one");
        let iat = claims(con, "42", "one");
        let issued = iat["iat"].as_i64().unwrap() * 1000;
        let token_now = sign(&header(), &iat);
        set(con, &format!("session.not-before {issued}"));
        assert_eq!(stateless(con, &token_now), "active");
        set(con, &format!("session.not-before {}", issued + 1));
        assert_eq!(stateless(con, &token), "user_revoked");
        assert_eq!(stateless(con, &token_now), "user_revoked");
        let undated = sign(&header(), &json!({ "sub": "42", "sid": "two", "exp": 9_999_999_999_i64 }));
        assert_eq!(stateless(con, &undated), "user_revoked");
        set(con, "session.not-before 0");
        assert_eq!(stateless(con, &token_now), "active");
    });
}

#[test]
fn an_opaque_token_is_nothing_without_its_session() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let token = login(con, "sessions:42 TOKEN OPAQUE");
        cmd(con, "DEL sessions:42").unwrap();
        assert_eq!(stateless(con, &token), "unknown");
    });
}

#[test]
fn a_session_that_ended_here_is_not_good_without_it() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        set(con, "session.leeway 300");
        let over = create(con, "sessions:42 ID over TTL 1800");
        let idle = login(con, "sessions:42 ID idle IDLE 900");
        let revoked = login(con, "sessions:42 ID revoked");
        let evicted = login(con, "sessions:43 ID evicted");
        create(con, "sessions:43 MAX 1");
        cmd(con, "SESSION.REVOKE sessions:42 revoked").unwrap();
        advance_to(con, over.int("expires_at"));
        for (token, reason) in [(over.str("token"), "expired"), (idle, "idle"), (revoked, "revoked")] {
            assert_eq!(stateless(con, &token), reason);
        }
        assert_eq!(verdict_with(con, ["SESSION.VALIDATE", "sessions:43", &evicted, "STATELESS"]), "evicted");
        set(con, "session.leeway 0");
    });
}

#[test]
fn what_is_remembered_of_a_denied_token_is_not_the_token() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let (token, _) = foreign(con, "one");
        cmd(con, &format!("SESSION.REVOKE {KEY} {token}")).unwrap();
        let dump: Vec<u8> = redis::cmd("DUMP").arg(KEY).query(con).unwrap();
        let code = token.rsplit('.').next().unwrap();
        let raw = base64url::decode(code.as_bytes()).unwrap();
        assert!(!dump.windows(code.len()).any(|window| window == code.as_bytes()));
        assert!(!dump.windows(raw.len()).any(|window| window == raw));
    });
}

#[test]
fn a_denied_token_does_not_come_back_when_many_more_are_denied() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        set(con, "session.max-per-user 2");
        let tokens: Vec<_> = (0..10).map(|n| foreign(con, &format!("s{n}")).0).collect();
        for token in &tokens {
            cmd(con, &format!("SESSION.REVOKE {KEY} {token}")).unwrap();
        }
        for (n, token) in tokens.iter().enumerate() {
            assert_ne!(stateless(con, token), "active", "{n}");
        }
        set(con, "session.max-per-user 100");
    });
}
