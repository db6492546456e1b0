//! SESSION.REFRESH: how long refresh tokens live, what a refresh keeps, and whose session is dead.

use std::time::Duration;

use redis_session_tests::{
    Server, ServerBuilder, advance, advance_to, ask, cmd, cmd_args, create, ids, int, now_ms, on_both, verdict,
};
use serde_json::json;

use crate::steps::{GRANT, KEY, generation, minutes, refresh, refreshed, session, set};
use redis_session_tests::issuer::payload;

#[test]
fn a_session_has_a_refresh_token_only_if_it_asks_for_one() {
    on_both(|_, con| {
        let created = create(con, "sessions:42");
        assert_eq!(created.names(), GRANT);
        assert!(created.is_null("refresh_token") && created.is_null("refresh_expires_at"));
    });
}

#[test]
fn a_reply_with_tokens_is_a_map_on_resp3_and_a_flat_array_on_resp2() {
    use redis::Value::{Array, Boolean, Int, Map};
    let server = redis_session_tests::Server::start();
    let (mut two, mut three) = (server.connection(), server.connection_resp3());
    let token = create(&mut two, "sessions:42 REFRESH 1000").str("refresh_token");
    let line = format!("SESSION.REFRESH {KEY} {token}");
    let Map(pairs) = cmd(&mut three, &line).unwrap() else { panic!("no map") };
    assert_eq!((pairs.len(), &pairs[6].1), (9, &Array(vec![])));
    assert_eq!((&pairs[7].1, &pairs[8].1), (&Boolean(false), &Boolean(false)));
    let Array(flat) = cmd(&mut two, &line).unwrap() else { panic!("no array") };
    assert_eq!((flat.len(), &flat[15], &flat[17]), (18, &Int(0), &Int(0)));

    let line = format!("SESSION.REFRESH {KEY} nonsense");
    let Map(pairs) = cmd(&mut three, &line).unwrap() else { panic!("no map") };
    assert_eq!((pairs.len(), &pairs[0].1), (2, &Boolean(false)));
    let Array(flat) = cmd(&mut two, &line).unwrap() else { panic!("no array") };
    assert_eq!((flat.len(), &flat[1]), (4, &Int(0)));
}

#[test]
fn a_refresh_token_lives_for_its_own_seconds_from_each_refresh() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 ID one TTL 1000 REFRESH 100");
        assert_eq!(created.int("refresh_expires_at"), session(con, "one").int("created_at") + 100_000);
        advance(con, minutes(1));
        let granted = refresh(con, &created.str("refresh_token"));
        assert_eq!(granted.int("refresh_expires_at"), session(con, "one").int("last_seen_at") + 100_000);
        assert!(granted.int("refresh_expires_at") >= created.int("refresh_expires_at") + 60_000);
    });
}

#[test]
fn refresh_zero_asks_for_the_lifetime_of_the_settings() {
    let server = ServerBuilder::new().config("session.refresh-ttl 100").start();
    let mut con = server.connection();
    let created = create(&mut con, "sessions:42 ID one REFRESH 0");
    assert_eq!(created.int("refresh_expires_at"), session(&mut con, "one").int("created_at") + 100_000);
    // What it was at the login counts.
    set(&mut con, "session.refresh-ttl 500");
    let granted = refresh(&mut con, &created.str("refresh_token"));
    assert_eq!(granted.int("refresh_expires_at"), session(&mut con, "one").int("last_seen_at") + 100_000);
    let created = create(&mut con, "sessions:42 ID two REFRESH 0");
    assert_eq!(created.int("refresh_expires_at"), session(&mut con, "two").int("created_at") + 500_000);
}

#[test]
fn the_default_lifetime_of_a_refresh_token_is_thirty_days() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 ID one TTL 31536000 REFRESH 0");
        let began = session(con, "one").int("created_at");
        assert_eq!(created.int("refresh_expires_at"), began + 2_592_000_000);
    });
}

#[test]
fn a_refresh_token_does_not_outlive_its_session() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 TTL 100 REFRESH 1000");
        assert_eq!(created.int("refresh_expires_at"), created.int("expires_at"));
        let granted = refresh(con, &created.str("refresh_token"));
        assert_eq!(granted.int("refresh_expires_at"), created.int("expires_at"));
    });
}

#[test]
fn a_refresh_token_expires_while_its_session_goes_on() {
    on_both(|server, con| {
        let other = create(con, "sessions:42 REFRESH 1800").str("refresh_token");
        let created = create(con, "sessions:42 ID one REFRESH 1800");
        advance(con, minutes(29));
        assert_eq!(refreshed(con, other), "granted");
        advance_to(con, created.int("refresh_expires_at"));
        let digest = server.digest(KEY);
        assert_eq!(refreshed(con, created.str("refresh_token")), "token_expired");
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(verdict(con, KEY, &created.str("token")), "active");
    });
}

#[test]
fn a_session_that_ended_says_why_to_its_refresh_token() {
    on_both(|_, con| {
        for (end, reason) in [
            ("SESSION.REVOKE sessions:42 one", "revoked"),
            ("SESSION.REVOKEUSER sessions:42", "user_revoked"),
            ("SESSION.CREATE sessions:42 MAX 1", "evicted"),
            ("SESSION.REGENERATE sessions:42 one", "revoked"),
            ("DEL sessions:42", "unknown"),
        ] {
            cmd(con, "FLUSHALL").unwrap();
            let first = create(con, "sessions:42 ID one REFRESH 1000").str("refresh_token");
            let second = refresh(con, &first).str("refresh_token");
            cmd(con, end).unwrap();
            assert_eq!(refreshed(con, &second), reason, "{end}");
            assert_eq!(refreshed(con, &first), reason, "{end}");
        }
    });
}

#[test]
fn everyone_who_is_logged_out_by_the_settings_cannot_refresh() {
    on_both(|_, con| {
        let token = create(con, "sessions:42 REFRESH 1000").str("refresh_token");
        let later = now_ms(con) + 1;
        set(con, &format!("session.not-before {later}"));
        assert_eq!(refreshed(con, &token), "user_revoked");
        advance_to(con, later);
        let token = create(con, "sessions:42 REFRESH 1000").str("refresh_token");
        assert_eq!(refreshed(con, &token), "granted");
        set(con, "session.not-before 0");
    });
}

#[test]
fn the_claims_of_the_login_are_in_the_jwt_of_every_refresh() {
    on_both(|_, con| {
        let own = json!({ "role": "admin", "scope": ["a", "b"], "deep": { "n": 1.5 } });
        let args = ["SESSION.CREATE", KEY, "REFRESH", "1000", "CLAIMS", &own.to_string(), "TOKENTTL", "77"];
        let mut granted = redis_session_tests::fields(cmd_args(con, args).unwrap());
        for _ in 0..3 {
            granted = refresh(con, &granted.str("refresh_token"));
            let claims = payload(&granted.str("token"));
            for (name, value) in own.as_object().unwrap() {
                assert_eq!(claims[name], *value);
            }
            assert_eq!(claims["sid"], json!(granted.str("id")));
            assert_eq!(claims["sub"], json!("42"));
            assert_eq!(claims["exp"].as_i64().unwrap() * 1000, granted.int("token_expires_at"));
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 77);
        }
    });
}

#[test]
fn every_jwt_of_a_session_has_an_id_of_its_own() {
    on_both(|_, con| {
        let mut granted = create(con, "sessions:42 REFRESH 1000");
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10 {
            assert!(seen.insert(payload(&granted.str("token"))["jti"].to_string()));
            granted = refresh(con, &granted.str("refresh_token"));
        }
    });
}

#[test]
fn an_opaque_token_is_the_same_after_a_refresh() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 REFRESH 1000 TOKEN OPAQUE");
        let granted = refresh(con, &created.str("refresh_token"));
        assert_eq!(granted.str("token"), created.str("token"));
        assert_eq!(granted.int("token_expires_at"), created.int("expires_at"));
        assert_eq!(verdict(con, KEY, &granted.str("token")), "active");
    });
}

#[test]
fn a_session_without_access_tokens_is_refreshed_without_one() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 REFRESH 1000 TOKEN NONE");
        assert!(created.is_null("token") && created.is_null("token_expires_at"));
        let granted = refresh(con, &created.str("refresh_token"));
        assert!(granted.is_null("token") && granted.is_null("token_expires_at"));
        assert_eq!(generation(&granted.str("refresh_token")), 1);
    });
}

#[test]
fn a_refresh_keeps_what_the_session_is_and_has() {
    on_both(|_, con| {
        let line = "sessions:42 ID one IDLE 100 IP 203.0.113.7 AGENT Firefox DEVICE phone DATA 2 cart 17 theme dark \
                    REFRESH 1000";
        create(con, "sessions:42 ID older");
        let token = create(con, line).str("refresh_token");
        create(con, "sessions:42 ID newer");
        let before = session(con, "one");
        refresh(con, &token);
        let after = session(con, "one");
        for name in ["id", "created_at", "expires_at", "ip", "agent", "data", "user"] {
            assert_eq!(after.get(name), before.get(name), "{name}");
        }
        assert_eq!(ids(con, KEY), ["newer", "one", "older"]);
    });
}

#[test]
fn a_refresh_notes_where_from_and_with_what_it_was_asked() {
    on_both(|_, con| {
        let token = create(con, "sessions:42 ID one IP 203.0.113.7 AGENT Firefox REFRESH 1000").str("refresh_token");
        let same = refresh(con, &format!("{token} IP ::ffff:203.0.113.7"));
        assert!(!same.bool("new_ip"));
        assert_eq!(session(con, "one").str("agent"), "Firefox");

        let moved = refresh(con, &format!("{} agent Chrome ip 2001:db8::1", same.str("refresh_token")));
        assert!(moved.bool("new_ip"));
        let noted = session(con, "one");
        assert_eq!((noted.str("ip"), noted.str("agent")), ("2001:db8::1".into(), "Chrome".into()));

        let silent = refresh(con, &moved.str("refresh_token"));
        assert!(!silent.bool("new_ip"));
        cmd_args(con, ["SESSION.REFRESH", KEY, &silent.str("refresh_token"), "AGENT", ""]).unwrap();
        let kept = session(con, "one");
        assert_eq!((kept.str("ip"), kept.str("agent")), ("2001:db8::1".into(), "Chrome".into()));
    });
}

#[test]
fn another_device_does_not_refresh_and_changes_nothing() {
    on_both(|server, con| {
        let token = create(con, "sessions:42 ID one IDLE 100 DEVICE phone REFRESH 1000").str("refresh_token");
        let (digest, before) = (server.digest(KEY), session(con, "one"));
        advance(con, minutes(1));
        assert_eq!(refreshed(con, format!("{token} DEVICE laptop")), "device");
        assert_eq!(refreshed(con, format!("{token} DEVICE Phone IP ::1 AGENT Chrome")), "device");
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(session(con, "one"), before);
        assert_eq!(refreshed(con, format!("{token} DEVICE phone")), "granted");
        // Within the grace as well.
        assert_eq!(refreshed(con, format!("{token} DEVICE laptop")), "device");
        assert_eq!(refreshed(con, format!("{token} DEVICE phone")), "granted");
    });
}

#[test]
fn a_tombstone_is_kept_for_ten_minutes_after_the_refresh_token() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 TTL 5000 TOKENTTL 60 REFRESH 3000");
        let granted = refresh(con, &created.str("refresh_token"));
        int(con, &format!("SESSION.REVOKE sessions:42 {}", created.str("id")));
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), granted.int("refresh_expires_at") + 600_000);
    });
}

#[test]
fn thirty_days_signed_in_as_long_as_it_is_used_daily() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 ID one TTL 2592000 IDLE 86400 TOKENTTL 3600 REFRESH 86400");
        let granted = refresh(con, &created.str("refresh_token"));
        let now = session(con, "one");
        assert_eq!(now.int("expires_at"), now.int("created_at") + 2_592_000_000);
        assert_eq!(now.int("idle_expires_at"), now.int("last_seen_at") + 86_400_000);
        assert_eq!(granted.int("refresh_expires_at"), now.int("last_seen_at") + 86_400_000);
        assert_eq!(granted.int("token_expires_at"), now.int("last_seen_at") / 1000 * 1000 + 3_600_000);
    });
}

#[test]
fn an_app_that_lost_the_reply_gets_it_within_the_recovery() {
    on_both(|_, con| {
        cmd(con, "CONFIG SET session.refresh-recovery 600").unwrap();
        let first = create(con, "sessions:42 ID one REFRESH 5000 DEVICE phone").str("refresh_token");
        let lost = refresh(con, &format!("{first} DEVICE phone"));
        advance(con, Duration::from_secs(500));
        let again = refresh(con, &format!("{first} DEVICE phone"));
        for name in ["id", "token", "refresh_token", "refresh_expires_at", "token_expires_at"] {
            assert_eq!(again.get(name), lost.get(name), "{name}");
        }
        // From then on the successor is in use.
        refresh(con, &format!("{} DEVICE phone", again.str("refresh_token")));
        assert_eq!(refreshed(con, format!("{first} DEVICE phone")), "reused");

        for (id, later, origin) in [("two", 600, "DEVICE phone"), ("three", 60, "DEVICE laptop"), ("four", 60, "")] {
            let first = create(con, &format!("sessions:42 ID {id} REFRESH 5000 DEVICE phone")).str("refresh_token");
            refresh(con, &format!("{first} DEVICE phone"));
            advance(con, Duration::from_secs(later));
            assert_eq!(refreshed(con, format!("{first} {origin}")), "reused", "{id}");
        }
        let first = create(con, "sessions:42 ID five REFRESH 5000 DEVICE phone").str("refresh_token");
        let used = refresh(con, &format!("{first} DEVICE phone")).str("token");
        advance(con, Duration::from_secs(60));
        ask(con, &format!("SESSION.TOUCH sessions:42 {used}"));
        assert_eq!(refreshed(con, format!("{first} DEVICE phone")), "reused", "it was used");
        cmd(con, "CONFIG SET session.refresh-recovery 0").unwrap();
        let first = create(con, "sessions:42 ID six REFRESH 5000 DEVICE phone").str("refresh_token");
        refresh(con, &format!("{first} DEVICE phone"));
        advance(con, Duration::from_secs(11));
        assert_eq!(refreshed(con, format!("{first} DEVICE phone")), "reused", "it is off");
    });
}

#[test]
fn the_grace_does_not_run_while_the_server_is_down() {
    for (busy_for, outcome) in [(0, "granted"), (20, "reused")] {
        let mut server = Server::builder().keys(&["one"]).appendonly().start();
        let mut con = server.connection();
        let first = create(&mut con, "sessions:42 ID one REFRESH 5000").str("refresh_token");
        refresh(&mut con, &first);
        // Its last change is what tells until when it was up.
        server.advance(Duration::from_secs(busy_for));
        create(&mut con, "sessions:43");
        server.kill();
        server.advance(Duration::from_secs(300));
        server.start_again();
        let mut con = server.connection();
        assert_eq!(refreshed(&mut con, &first), outcome);
        if outcome == "granted" {
            server.advance(Duration::from_secs(11));
            assert_eq!(refreshed(&mut con, &first), "reused", "it is up again");
        }
    }
}
