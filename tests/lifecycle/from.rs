//! FROM: a session begins with a token from elsewhere, which stays its credential.

use redis_session_core::base64url;
use redis_session_tests::{
    advance_to, ask, cmd, cmd_args, create, error, fields, ids, int, login, on_both_of, verdict,
};
use serde_json::{Value, json};

use crate::steps::{KEY, grant, outcome, refresh, refreshed, session, set};
use redis_session_tests::issuer::{claims, header, now_secs, payload, sign, tampered, trusting_server};

/// What SESSION.CREATE FROM this token answers: `granted`, or the reason why not.
#[track_caller]
fn begun(con: &mut redis::Connection, token: &str) -> String {
    outcome(con, &format!("SESSION.CREATE {KEY} FROM {token}"))
}

#[test]
fn a_session_has_the_tokens_sid_as_its_id_and_its_exp_as_its_deadline() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let mut claims = claims(con, "42", "one");
        claims["jti"] = "two".into();
        let token = sign(&header(), &claims);
        assert_eq!(verdict(con, KEY, &token), "unknown");
        let created = grant(con, &format!("SESSION.CREATE {KEY} FROM {token}"));
        assert_eq!(created.str("id"), "one");
        let exp = claims["exp"].as_i64().unwrap() * 1000;
        assert_eq!(created.int("expires_at"), exp);
        for name in ["token", "token_expires_at", "refresh_token", "refresh_expires_at"] {
            assert!(created.is_null(name), "{name}");
        }
        assert_eq!(session(con, "one").int("expires_at"), exp);
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), exp);
        assert_eq!(verdict(con, KEY, &token), "active");
    });
}

#[test]
fn without_a_sid_the_jti_is_the_id() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let exp = now_secs(con) + 100;
        let token = sign(&header(), &json!({ "sub": "42", "jti": "0190163d-8694-739b-aea5-966c26f8ad91", "exp": exp }));
        let created = grant(con, &format!("SESSION.CREATE {KEY} FROM {token}"));
        assert_eq!(created.str("id"), "0190163d-8694-739b-aea5-966c26f8ad91");
        assert_eq!(verdict(con, KEY, &token), "active");
    });
}

#[test]
fn without_either_the_id_is_the_hash_of_what_is_signed() {
    use sha2::{Digest as _, Sha256};
    let server = trusting_server();
    on_both_of(&server, |con| {
        let now = now_secs(con);
        let token = sign(&header(), &json!({ "sub": "42", "exp": now + 100 }));
        let other = sign(&header(), &json!({ "sub": "42", "exp": now + 101 }));
        let (input, _) = token.rsplit_once('.').unwrap();
        let created = grant(con, &format!("SESSION.CREATE {KEY} FROM {token}"));
        assert_eq!(created.str("id"), base64url::encode(&Sha256::digest(input)[..16]));
        assert_eq!(ask(con, &format!("SESSION.VALIDATE {KEY} {token}")).str("id"), created.str("id"));
        assert!(error(con, &format!("SESSION.CREATE {KEY} FROM {token}")).starts_with("SESSIONEXISTS "));
        assert_eq!(verdict(con, KEY, &other), "unknown");
        assert_ne!(grant(con, &format!("SESSION.CREATE {KEY} FROM {other}")).str("id"), created.str("id"));
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {token}")), 1);
        assert_eq!(verdict(con, KEY, &other), "active");
    });
}

#[test]
fn a_token_begins_one_session_only() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let token = sign(&header(), &claims(con, "42", "one"));
        assert_eq!(begun(con, &token), "granted");
        let digest = server.digest(KEY);
        let expected = "SESSIONEXISTS a live session has this id";
        assert_eq!(error(con, &format!("SESSION.CREATE {KEY} FROM {token}")), expected);
        assert_eq!(error(con, &format!("SESSION.CREATE {KEY} ID one")), expected);
        assert_eq!(server.digest(KEY), digest);
        cmd(con, "SESSION.REVOKE sessions:42 one").unwrap();
        assert_eq!(begun(con, &token), "revoked");
        // The id may begin again, but not with this token.
        let next = login(con, "sessions:42 ID one");
        assert_eq!(verdict(con, KEY, &token), "unknown");
        assert_eq!(verdict(con, KEY, &next), "active");
        cmd(con, "SESSION.REVOKE sessions:42 one").unwrap();
        assert_eq!(begun(con, &token), "revoked");
    });
}

#[test]
fn a_token_that_is_not_good_begins_nothing_and_says_why() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let good = claims(con, "42", "one");
        let changed = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            sign(&header(), &claims)
        };
        let token = sign(&header(), &good);
        let opaque = login(con, "sessions:43 TOKEN OPAQUE");
        let digest = server.digest(KEY);
        for (token, reason) in [
            ("nonsense".to_owned(), "malformed"),
            (sign(&json!({ "alg": "none" }), &good), "algorithm"),
            (sign(&json!({ "alg": "HS256", "kid": "nobody" }), &good), "unknown_key"),
            (tampered(&token), "signature"),
            (opaque.replace("NDM", "NDI"), "signature"),
            (changed("exp", json!(1)), "token_expired"),
            (changed("nbf", json!(9_999_999_999_i64)), "not_yet_valid"),
            (changed("sub", json!("43")), "subject"),
            (changed("sid", json!("")), "malformed"),
            (changed("iat", json!(9_999_999_999_i64)), "not_yet_valid"),
        ] {
            assert_eq!(begun(con, &token), reason);
        }
        set(con, "session.issuer good session.audience api");
        assert_eq!(begun(con, &token), "issuer");
        let issued = changed("iss", json!("good"));
        assert_eq!(begun(con, &issued), "audience");
        set(con, "session.audience web");
        cmd_args(con, ["CONFIG", "SET", "session.issuer", "", "session.audience", ""]).unwrap();
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(int(con, "DBSIZE"), 1);
        assert_eq!(begun(con, &token), "granted");
    });
}

#[test]
fn tokens_of_another_kind_begin_nothing() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let created = create(con, "sessions:42 TOKEN OPAQUE REFRESH 100");
        assert_eq!(begun(con, &created.str("token")), "type");
        assert_eq!(begun(con, &created.str("refresh_token")), "type");
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
    });
}

#[test]
fn an_empty_token_is_malformed() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let answer = fields(cmd_args(con, ["SESSION.CREATE", KEY, "FROM", ""]).unwrap());
        assert_eq!(answer.str("reason"), "malformed");
        assert_eq!(int(con, "DBSIZE"), 0);
    });
}

#[test]
fn a_token_whose_session_ended_begins_no_other() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        for (end, reason) in [
            ("SESSION.REVOKE sessions:42 one", "revoked"),
            ("SESSION.REVOKEUSER sessions:42", "user_revoked"),
            ("SESSION.CREATE sessions:42 MAX 1", "evicted"),
            ("SESSION.REGENERATE sessions:42 one", "revoked"),
        ] {
            cmd(con, "FLUSHALL").unwrap();
            let token = sign(&header(), &claims(con, "42", "one"));
            assert_eq!(begun(con, &token), "granted");
            cmd(con, end).unwrap();
            assert_eq!(begun(con, &token), reason, "{end}");
            assert_eq!(verdict(con, KEY, &token), reason, "{end}");
        }
    });
}

#[test]
fn a_token_that_was_denied_before_begins_nothing() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let token = sign(&header(), &claims(con, "42", "one"));
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {token}")), 1);
        assert_eq!(begun(con, &token), "revoked");
    });
}

#[test]
fn a_token_from_before_a_logout_everywhere_begins_nothing_and_a_later_one_does() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let before = claims(con, "42", "one");
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        let after = now_secs(con);
        assert_eq!(begun(con, &sign(&header(), &before)), "user_revoked");
        let undated = json!({ "sub": "42", "sid": "one", "exp": after + 100 });
        assert_eq!(begun(con, &sign(&header(), &undated)), "user_revoked");
        advance_to(con, (after + 1) * 1000);
        let token = sign(&header(), &claims(con, "42", "one"));
        assert_eq!(begun(con, &token), "granted");
        assert_eq!(verdict(con, KEY, &token), "active");
        assert_eq!(verdict(con, KEY, &sign(&header(), &before)), "user_revoked");
    });
}

#[test]
fn a_token_from_before_the_day_everyone_was_logged_out_begins_nothing() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let claims = claims(con, "42", "one");
        let issued = claims["iat"].as_i64().unwrap() * 1000;
        set(con, &format!("session.not-before {}", issued + 1));
        assert_eq!(begun(con, &sign(&header(), &claims)), "user_revoked");
        set(con, "session.not-before 0");
    });
}

#[test]
fn what_the_token_says_cannot_be_said_otherwise() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let token = sign(&header(), &claims(con, "42", "one"));
        let refused = |con: &mut _, options: &str| error(con, &format!("SESSION.CREATE {KEY} {options}"));
        let from = format!("FROM {token}");
        for options in [format!("{from} ID two"), format!("{from} TTL 60 ID two")] {
            assert_eq!(refused(con, &options), "ERR ID does not go with FROM");
        }
        assert_eq!(refused(con, &format!("ID two TTL 60 {from}")), "ERR FROM does not go with ID");
        for options in [format!("{from} TTL 60"), format!("TTL 60 {from}")] {
            assert_eq!(refused(con, &options), "ERR TTL does not go with FROM: the token says it");
        }
        assert_eq!(error(con, &format!("SESSION.CREATE {KEY} FROM {token} FROM {token}")), "ERR FROM is given twice");
        assert_eq!(error(con, &format!("SESSION.CREATE {KEY} FROM")), "ERR FROM needs a value");
        let jwt_only = error(con, &format!("SESSION.CREATE {KEY} FROM {token} TOKENTTL 60"));
        assert_eq!(jwt_only, "ERR TOKENTTL goes with TOKEN JWT only");
        assert_eq!(int(con, "DBSIZE"), 0);
    });
}

#[test]
fn everything_else_can_be_said_of_it() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let token = sign(&header(), &claims(con, "42", "one"));
        let options = "IDLE 100 IP 203.0.113.7 AGENT Firefox DEVICE phone DATA 1 cart 17";
        let created = create(con, &format!("sessions:42 {options} from {token}"));
        assert!(created.bool("new_ip") && created.bool("new_device"));
        let shown = session(con, "one");
        assert_eq!(shown.int("idle_expires_at"), shown.int("created_at") + 100_000);
        assert_eq!((shown.str("ip"), shown.str("agent")), ("203.0.113.7".into(), "Firefox".into()));
        assert_eq!(shown.fields("data").str("cart"), "17");
        let check = ["SESSION.VALIDATE", KEY, &token, "DEVICE", "laptop"];
        assert_eq!(redis_session_tests::verdict_with(con, check), "device");
    });
}

#[test]
fn tokens_of_our_own_are_made_for_who_asks() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let mut claims = claims(con, "42", "one");
        claims["jti"] = "theirs".into();
        let token = sign(&header(), &claims);
        let line =
            format!("sessions:42 FROM {token} TOKEN JWT TOKENTTL 60 CLAIMS {{\"role\":\"admin\"}} REFRESH 86400");
        let created = create(con, &line);
        let ours = payload(&created.str("token"));
        assert_eq!((&ours["sid"], &ours["sub"], &ours["role"]), (&json!("one"), &json!("42"), &json!("admin")));
        assert_ne!(ours["jti"], claims["jti"]);
        assert_eq!(ours["exp"].as_i64().unwrap() - ours["iat"].as_i64().unwrap(), 60);
        assert_eq!(created.int("refresh_expires_at"), created.int("expires_at"));
        for token in [&token, &created.str("token")] {
            assert_eq!(verdict(con, KEY, token), "active");
        }
        let granted = refresh(con, &created.str("refresh_token"));
        assert_eq!(payload(&granted.str("token"))["role"], json!("admin"));
        assert_eq!(granted.int("expires_at"), created.int("expires_at"));
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {token}")), 1);
        for token in [&token, &created.str("token"), &granted.str("token")] {
            assert_eq!(verdict(con, KEY, token), "revoked");
        }
        assert_eq!(refreshed(con, granted.str("refresh_token")), "revoked");
    });
}

#[test]
fn an_opaque_token_lasts_until_the_exp_of_the_token_it_began_with() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let token = sign(&header(), &claims(con, "42", "one"));
        let created = create(con, &format!("sessions:42 FROM {token} TOKEN OPAQUE"));
        assert!(created.str("token").starts_with("rst1."));
        assert_eq!(created.int("token_expires_at"), created.int("expires_at"));
        assert_eq!(verdict(con, KEY, &created.str("token")), "active");
    });
}

#[test]
fn the_limit_is_that_of_every_login() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let oldest = sign(&header(), &claims(con, "42", "s1"));
        for n in 1..=3 {
            let token = sign(&header(), &claims(con, "42", &format!("s{n}")));
            create(con, &format!("sessions:42 MAX 2 FROM {token}"));
        }
        assert_eq!(ids(con, KEY), ["s3", "s2"]);
        assert_eq!(verdict(con, KEY, &oldest), "evicted");
        let token = sign(&header(), &claims(con, "42", "s4"));
        assert!(error(con, &format!("SESSION.CREATE {KEY} MAX 2 REJECT FROM {token}")).starts_with("SESSIONLIMIT "));
    });
}

#[test]
fn a_token_within_the_leeway_begins_no_session_that_is_already_over() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        set(con, "session.leeway 60");
        let mut claims = claims(con, "42", "one");
        claims["exp"] = (now_secs(con) - 10).into();
        let token = sign(&header(), &claims);
        // The token is good still: a session that exists outlives it.
        create(con, "sessions:42 ID one TOKEN NONE");
        assert_eq!(verdict(con, KEY, &token), "active");
        cmd(con, "DEL sessions:42").unwrap();
        assert_eq!(begun(con, &token), "token_expired");
        assert_eq!(int(con, "DBSIZE"), 0);
        set(con, "session.leeway 0");
    });
}

#[test]
fn a_token_that_names_its_session_like_a_token_begins_none_that_could_not_be_ended_by_its_id() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        for (id, answer) in
            [("rst1.x", "malformed"), ("rsr1.x", "malformed"), ("eyJ..", "malformed"), ("a.b.c", "granted")]
        {
            let token = sign(&header(), &claims(con, "42", id));
            assert_eq!(begun(con, &token), answer, "{id}");
            let revoked = int(con, &format!("SESSION.REVOKE {KEY} {id}"));
            assert_eq!(revoked, i64::from(answer == "granted"), "{id}");
        }
    });
}

#[test]
fn a_revoked_token_begins_nothing_when_many_more_have_been_revoked_since() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        set(con, "session.max-per-user 1");
        let tokens: Vec<_> = (0..5).map(|n| sign(&header(), &claims(con, "42", &format!("s{n}")))).collect();
        for (n, token) in tokens.iter().enumerate() {
            // The third revocation forgets the first: from then on no token of that time begins a session.
            let answer = begun(con, token);
            assert_eq!(answer, if n < 3 { "granted" } else { "unknown" }, "{n}");
            let revoked = int(con, &format!("SESSION.REVOKE {KEY} {token}"));
            assert_eq!(revoked, i64::from(n < 3), "{n}: what is dead already is no success");
        }
        for (n, token) in tokens.iter().enumerate() {
            assert_ne!(begun(con, token), "granted", "{n}");
        }
        set(con, "session.max-per-user 100");
    });
}
