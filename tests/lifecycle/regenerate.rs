//! SESSION.REGENERATE: the same session under another id, with other tokens.

use redis_session_tests::{advance_to, cmd, create, error, fields, ids, int, on_both, on_both_of, verdict};
use serde_json::json;

use crate::steps::{KEY, generation, grant, outcome, refresh, refreshed, session, set};
use redis_session_tests::issuer::{claims, header, payload, sign, tampered, trusting_server};

#[test]
fn by_its_id_or_a_token_a_session_gets_another_id_and_its_old_tokens_are_dead() {
    on_both(|_, con| {
        for (kind, by) in [("JWT", "id"), ("JWT", "token"), ("OPAQUE", "id"), ("OPAQUE", "token")] {
            let old = create(con, &format!("sessions:42 TOKEN {kind} REFRESH 1000"));
            let new = grant(con, &format!("SESSION.REGENERATE {KEY} {}", old.str(by)));
            assert_ne!(new.str("id"), old.str("id"));
            assert_eq!(new.str("id").len(), 22);
            assert_ne!(new.str("token"), old.str("token"));
            assert_eq!(verdict(con, KEY, &old.str("token")), "revoked", "{kind} by {by}");
            assert_eq!(refreshed(con, old.str("refresh_token")), "revoked");
            assert_eq!(verdict(con, KEY, &new.str("token")), "active");
            assert_eq!(refreshed(con, new.str("refresh_token")), "granted");
            assert!(!new.bool("new_ip") && !new.bool("new_device"));
            assert_eq!(new.strings("evicted"), Vec::<String>::new());
        }
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 4);
    });
}

#[test]
fn the_old_id_names_nothing_any_more() {
    on_both(|_, con| {
        let old = create(con, "sessions:42 ID one").str("token");
        let new = grant(con, &format!("SESSION.REGENERATE {KEY} one")).str("token");
        assert_eq!(cmd(con, "SESSION.GET sessions:42 one").unwrap(), redis::Value::Nil);
        assert_eq!(int(con, "SESSION.TTL sessions:42 one"), -2);
        assert_eq!(int(con, "SESSION.REVOKE sessions:42 one"), 0);
        assert_eq!(outcome(con, "SESSION.REGENERATE sessions:42 one"), "revoked");
        assert!(error(con, "SESSION.SET sessions:42 one cart 17").starts_with("NOSESSION "));
        assert_eq!(verdict(con, KEY, &old), "revoked");
        // The id is free, and the old token is not of who has it next.
        let next = create(con, "sessions:42 ID one").str("token");
        for (token, expected) in [(&old, "unknown"), (&new, "active"), (&next, "active")] {
            assert_eq!(verdict(con, KEY, token), expected);
        }
    });
}

#[test]
fn data_deadlines_origin_device_and_place_are_kept() {
    on_both(|_, con| {
        create(con, "sessions:42 ID older");
        let line = "sessions:42 ID one TTL 1000 IDLE 100 IP 203.0.113.7 AGENT Firefox DEVICE phone DATA 2 cart 17 b c";
        let created = create(con, line);
        create(con, "sessions:42 ID newer");
        let before = session(con, "one");
        let new = grant(con, &format!("SESSION.REGENERATE {KEY} one"));
        let after = session(con, &new.str("id"));
        assert_eq!(new.int("expires_at"), created.int("expires_at"));
        for name in ["created_at", "expires_at", "ip", "agent", "data", "user"] {
            assert_eq!(after.get(name), before.get(name), "{name}");
        }
        assert_eq!(after.int("idle_expires_at"), after.int("last_seen_at") + 100_000);
        assert_eq!(ids(con, KEY), ["newer", &new.str("id"), "older"]);
        let checked =
            redis_session_tests::verdict_with(con, ["SESSION.VALIDATE", KEY, &new.str("token"), "DEVICE", "laptop"]);
        assert_eq!(checked, "device");
    });
}

#[test]
fn claims_and_the_lifetime_of_tokens_are_kept() {
    on_both(|_, con| {
        let own = r#"{"role":"editor"}"#;
        let old = create(con, &format!("sessions:42 TOKENTTL 77 REFRESH 500 CLAIMS {own}"));
        let new = grant(con, &format!("SESSION.REGENERATE {KEY} {}", old.str("token")));
        let (before, after) = (payload(&old.str("token")), payload(&new.str("token")));
        assert_eq!(after["role"], json!("editor"));
        assert_eq!(after["sid"], json!(new.str("id")));
        assert_ne!(after["jti"], before["jti"]);
        assert_eq!(after["exp"].as_i64().unwrap() - after["iat"].as_i64().unwrap(), 77);
        assert_eq!(generation(&new.str("refresh_token")), 0);
        let seen = session(con, &new.str("id")).int("last_seen_at");
        assert_eq!(new.int("refresh_expires_at"), seen + 500_000);
    });
}

#[test]
fn what_a_session_has_no_tokens_of_it_gets_none_of() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one TOKEN NONE");
        let new = grant(con, "SESSION.REGENERATE sessions:42 one");
        for name in ["token", "token_expires_at", "refresh_token", "refresh_expires_at"] {
            assert!(new.is_null(name), "{name}");
        }
    });
}

#[test]
fn a_rotated_refresh_token_of_the_old_id_is_revoked_and_no_theft() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 REFRESH 1000");
        let first = created.str("refresh_token");
        let second = refresh(con, &first).str("refresh_token");
        let new = grant(con, &format!("SESSION.REGENERATE {KEY} {}", created.str("id")));
        assert_eq!(refreshed(con, &first), "revoked");
        assert_eq!(refreshed(con, &second), "revoked");
        assert_eq!(verdict(con, KEY, &new.str("token")), "active");
    });
}

#[test]
fn a_session_that_is_dead_gets_no_other_id_and_says_why() {
    on_both(|server, con| {
        // What is dead is looked at as it is.
        set(con, "session.sweep-time 0 session.leeway 300 session.refresh-grace 0");
        let created = create(con, "sessions:42 ID gone");
        cmd(con, "SESSION.REVOKE sessions:42 gone").unwrap();
        create(con, "sessions:42 ID evicted");
        create(con, "sessions:42 ID everyone MAX 1");
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        let stolen = create(con, "sessions:42 ID stolen REFRESH 100").str("refresh_token");
        refresh(con, &stolen);
        assert_eq!(refreshed(con, &stolen), "reused");
        create(con, "sessions:42 ID idle IDLE 1800");
        let ends = create(con, "sessions:42 ID over TTL 1800").int("expires_at");
        advance_to(con, ends);
        let digest = server.digest(KEY);
        for (id, reason) in [
            ("gone", "revoked"),
            ("evicted", "evicted"),
            // All that is left of it is the cutoff, which says nothing of an id.
            ("everyone", "unknown"),
            ("stolen", "reused"),
            ("idle", "idle"),
            ("over", "expired"),
            ("nobody", "unknown"),
        ] {
            assert_eq!(outcome(con, &format!("SESSION.REGENERATE {KEY} {id}")), reason);
        }
        assert_eq!(outcome(con, &format!("SESSION.REGENERATE {KEY} {}", created.str("token"))), "revoked");
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(outcome(con, "SESSION.REGENERATE sessions:43 one"), "unknown");
        assert_eq!(int(con, "DBSIZE"), 1);
    });
}

#[test]
fn a_token_that_is_not_good_gets_no_other_id_and_says_why() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let created = create(con, "sessions:42 ID one");
        let opaque = create(con, "sessions:42 ID two TOKEN OPAQUE").str("token");
        let others = create(con, "sessions:43 ID one").str("token");
        let mut past = claims(con, "42", "one");
        past["exp"] = 1.into();
        let (expired, digest) = (sign(&header(), &past), server.digest(KEY));
        for (token, reason) in [
            (tampered(&created.str("token")), "signature"),
            (tampered(&opaque), "signature"),
            (others, "subject"),
            (expired, "token_expired"),
            ("rst1.".into(), "malformed"),
        ] {
            assert_eq!(outcome(con, &format!("SESSION.REGENERATE {KEY} {token}")), reason);
        }
        assert_eq!(server.digest(KEY), digest);
    });
}

#[test]
fn a_token_from_elsewhere_mints_nothing_and_ends_with_the_old_id() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        create(con, "sessions:42 ID one TOKEN NONE");
        let token = sign(&header(), &claims(con, "42", "one"));
        assert_eq!(verdict(con, KEY, &token), "active");
        let refused = fields(cmd(con, &format!("SESSION.REGENERATE {KEY} {token}")).unwrap());
        assert_eq!((refused.bool("active"), refused.str("reason")), (false, "type".into()));
        assert_eq!(verdict(con, KEY, &token), "active");
        let new = grant(con, &format!("SESSION.REGENERATE {KEY} one"));
        assert_eq!(verdict(con, KEY, &token), "revoked");
        assert_eq!(ids(con, KEY), [new.str("id")]);
    });
}
