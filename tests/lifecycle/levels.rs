//! How strongly a user has signed in and when: LEVEL, MAXAGE, and SESSION.REGENERATE as signing in again.

use std::time::Duration;

use redis_session_tests::issuer::payload;
use redis_session_tests::{Server, advance, ask, cmd, create, error, on_both, verdict_with};

use crate::steps::{KEY, grant, outcome, refresh, session};

/// What a check with these options says of session `id`.
#[track_caller]
fn asked(con: &mut redis::Connection, id: &str, options: &str) -> String {
    let args = format!("{KEY} ID {id} {options}");
    let answers = ["SESSION.VALIDATE", "SESSION.TOUCH"]
        .map(|command| verdict_with(con, std::iter::once(command).chain(args.split_whitespace())));
    assert_eq!(answers[0], answers[1]);
    answers[0].clone()
}

#[test]
fn a_level_is_what_the_sign_in_said() {
    on_both(|_, con| {
        for level in [1, 2, 3] {
            create(con, &format!("sessions:42 ID l{level} LEVEL {level}"));
            assert_eq!(session(con, &format!("l{level}")).int("level"), level);
            for wanted in [1, 2, 3] {
                let expected = if wanted <= level { "active" } else { "level" };
                assert_eq!(asked(con, &format!("l{level}"), &format!("LEVEL {wanted}")), expected);
            }
        }
        create(con, "sessions:42 ID none");
        assert!(session(con, "none").is_null("level"));
        assert_eq!(asked(con, "none", "LEVEL 1"), "level");
        assert_eq!(asked(con, "none", ""), "active");
    });
}

#[test]
fn a_sign_in_is_recent_for_as_long_as_is_asked_and_no_use_makes_it_younger() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 ID one LEVEL 2 REFRESH 1000");
        let began = session(con, "one").int("created_at");
        assert_eq!(session(con, "one").int("auth_time"), began);
        advance(con, Duration::from_secs(100));
        refresh(con, &created.str("refresh_token"));
        assert_eq!(asked(con, "one", "MAXAGE 200"), "active");
        assert_eq!(asked(con, "one", "MAXAGE 99"), "stale");
        assert_eq!(asked(con, "one", "MAXAGE 0"), "stale");
        assert_eq!(asked(con, "one", "MAXAGE 99 LEVEL 3"), "level");
        assert_eq!(asked(con, "one", "MAXAGE 200 LEVEL 2"), "active");
        let renewed = grant(con, "SESSION.REGENERATE sessions:42 one LEVEL 3");
        let id = renewed.str("id");
        assert_eq!(asked(con, &id, "MAXAGE 50 LEVEL 3"), "active");
        assert!(session(con, &id).int("auth_time") >= began + 100_000);
        assert_eq!(session(con, &id).int("created_at"), began);
    });
}

#[test]
fn jwts_say_when_and_how_strongly_the_user_signed_in() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 ID one LEVEL 1 CLAIMS {\"role\":\"user\"}");
        let claims = payload(&created.str("token"));
        assert_eq!(claims["auth_time"].as_i64(), Some(session(con, "one").int("auth_time") / 1000));
        assert_eq!(claims["acr"], "http://idmanagement.gov/ns/assurance/aal/1");
        advance(con, Duration::from_secs(100));
        let line = "SESSION.REGENERATE sessions:42 one LEVEL 2 CLAIMS {\"role\":\"admin\"}";
        let renewed = payload(&grant(con, line).str("token"));
        assert!(renewed["auth_time"].as_i64() >= claims["auth_time"].as_i64().map(|time| time + 100));
        assert_eq!(
            (&renewed["acr"], &renewed["role"]),
            (&"http://idmanagement.gov/ns/assurance/aal/2".into(), &"admin".into())
        );
        let unsaid = payload(&create(con, "sessions:42").str("token"));
        assert!(unsaid.get("acr").is_none() && unsaid["auth_time"].is_i64());
        for claim in ["acr", "auth_time"] {
            let line = format!("SESSION.CREATE sessions:42 CLAIMS {{\"{claim}\":1}}");
            assert_eq!(error(con, &line), format!("ERR CLAIMS sets \"{claim}\", which is set by the server"));
        }
    });
}

#[test]
fn signing_in_again_may_change_everything_in_one_step() {
    on_both(|_, con| {
        for kind in ["JWT", "OPAQUE", "NONE"] {
            create(con, &format!("sessions:42 ID one TOKEN {kind} TTL 100 REFRESH 1000 IP ::1 AGENT Firefox"));
            advance(con, Duration::from_secs(60));
            let line = "SESSION.REGENERATE sessions:42 one TTL 5000 LEVEL 2 CLAIMS {\"role\":\"admin\"} IP 203.0.113.7:80 \
                        AGENT Safari";
            let renewed = grant(con, line);
            assert!(renewed.bool("new_ip"));
            let shown = session(con, &renewed.str("id"));
            assert_eq!(shown.int("expires_at"), renewed.int("expires_at"));
            assert_eq!(shown.int("expires_at"), shown.int("auth_time") + 5_000_000);
            assert_eq!(renewed.int("refresh_expires_at"), shown.int("auth_time") + 1_000_000);
            assert_eq!((shown.int("level"), shown.str("claims")), (2, "{\"role\":\"admin\"}".into()));
            assert_eq!((shown.str("ip"), shown.str("agent")), ("203.0.113.7".into(), "Safari".into()));
            // Without the options all of that stays.
            let again = grant(con, &format!("SESSION.REGENERATE sessions:42 {}", renewed.str("id")));
            let kept = session(con, &again.str("id"));
            for name in ["expires_at", "level", "claims", "ip", "agent"] {
                assert_eq!(kept.get(name), shown.get(name), "{name}");
            }
            advance(con, Duration::from_secs(200));
            assert_eq!(asked(con, &again.str("id"), ""), "active", "past the first deadline");
            assert_eq!(asked(con, "one", ""), "revoked");
            ask(con, &format!("SESSION.REGENERATE sessions:42 {} TTL 1", again.str("id")));
            advance(con, Duration::from_secs(2));
            assert_eq!(redis_session_tests::int(con, "SESSION.COUNT sessions:42"), 0, "a shorter one, too");
        }
    });
}

#[test]
fn each_option_is_checked_and_a_refused_one_changes_nothing() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one");
        let digest = server.digest(KEY);
        let level = "ERR LEVEL must be a whole number from 1 to 3";
        for (line, expected) in [
            ("SESSION.CREATE sessions:42 LEVEL 0", level),
            ("SESSION.CREATE sessions:42 LEVEL 4", level),
            ("SESSION.REGENERATE sessions:42 one LEVEL x", level),
            ("SESSION.TOUCH sessions:42 ID one LEVEL 0", level),
            ("SESSION.REGENERATE sessions:42 one LEVEL 1 level 1", "ERR LEVEL is given twice"),
            ("SESSION.VALIDATE sessions:42 ID one MAXAGE -1", "ERR MAXAGE must be a whole number from 0 to 3162240000"),
            ("SESSION.VALIDATE sessions:42 ID one MAXAGE 1 MAXAGE 1", "ERR MAXAGE is given twice"),
            ("SESSION.REGENERATE sessions:42 one TTL 0", "ERR TTL must be a whole number from 1 to 3162240000"),
            ("SESSION.REGENERATE sessions:42 one TTL 5 TTL 5", "ERR TTL is given twice"),
            ("SESSION.REGENERATE sessions:42 one IP nowhere", "ERR IP must be an IPv4 or IPv6 address"),
            ("SESSION.REGENERATE sessions:42 one CLAIMS []", "ERR CLAIMS is not a JSON object (line 1, column 0)"),
            ("SESSION.REGENERATE sessions:42 one IDLE 5", "ERR unknown option IDLE"),
            ("SESSION.REFRESH sessions:42 token LEVEL 1", "ERR unknown option LEVEL"),
        ] {
            assert_eq!(error(con, line), expected, "{line}");
        }
        assert_eq!(server.digest(KEY), digest);
    });
}

#[test]
fn a_restart_and_a_replica_know_the_same() {
    let mut primary = Server::builder().appendonly().start();
    let replica = Server::builder().replica_of(&primary).start();
    let mut con = primary.connection();
    create(&mut con, "sessions:42 ID one LEVEL 1");
    let id = grant(&mut con, "SESSION.REGENERATE sessions:42 one LEVEL 3 TTL 5000").str("id");
    let shown = session(&mut con, &id);
    primary.wait_for_sync(&replica);
    let mut there = replica.connection();
    assert_eq!(session(&mut there, &id), shown);
    for (options, verdict) in [("LEVEL 3 MAXAGE 60", "active"), ("MAXAGE 0", "stale")] {
        replica.advance(Duration::from_secs(u64::from(verdict == "stale")));
        let args = format!("SESSION.VALIDATE {KEY} ID {id} {options}");
        assert_eq!(verdict_with(&mut there, args.split(' ')), verdict);
    }
    let refused = error(&mut there, &format!("SESSION.REGENERATE {KEY} {id} LEVEL 2"));
    assert!(refused.starts_with("READONLY"), "{refused}");
    cmd(&mut con, "CONFIG SET maxmemory 1").unwrap();
    let refused = error(&mut con, &format!("SESSION.REGENERATE {KEY} {id} LEVEL 2"));
    assert!(refused.starts_with("OOM"), "{refused}");
    let args = format!("SESSION.VALIDATE {KEY} ID {id} LEVEL 3");
    assert_eq!(verdict_with(&mut con, args.split(' ')), "active", "a check takes no memory");
    cmd(&mut con, "CONFIG SET maxmemory 0").unwrap();
    let ended = grant(&mut con, &format!("SESSION.CREATE {KEY}")).str("id");
    cmd(&mut con, &format!("SESSION.REVOKE {KEY} {ended}")).unwrap();
    assert_eq!(outcome(&mut con, &format!("SESSION.REGENERATE {KEY} {ended} LEVEL 3 TTL 60")), "revoked");
    assert_eq!(session(&mut con, &id), shown);
    primary.kill();
    primary.start_again();
    assert_eq!(session(&mut primary.connection(), &id), shown);
}
