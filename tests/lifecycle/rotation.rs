//! SESSION.REFRESH: each refresh token is used once, and one that is used again tells of a thief.

use std::time::Duration;

use redis_session_tests::{advance, advance_past, advance_to, cmd, create, int, now_ms, on_both, verdict};

use crate::steps::{KEY, generation, minutes, pair, refresh, refreshed, session, set};

#[test]
fn a_refresh_hands_out_new_tokens_for_the_same_session() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 REFRESH 1000");
        let (old_jwt, old) = pair(&created);
        let granted = refresh(con, &old);
        let (jwt, new) = pair(&granted);
        assert!(old != new && old_jwt != jwt);
        assert_eq!((generation(&old), generation(&new)), (0, 1));
        assert!(new.starts_with("rsr1.NDI."));
        assert_eq!(granted.str("id"), created.str("id"));
        assert_eq!(granted.int("expires_at"), created.int("expires_at"));
        assert_eq!(granted.strings("evicted"), Vec::<String>::new());
        assert!(!granted.bool("new_ip") && !granted.bool("new_device"));
        assert_eq!(verdict(con, KEY, &jwt), "active");
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
    });
}

#[test]
fn a_token_that_was_already_handed_out_stays_good_over_a_refresh() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 REFRESH 1000");
        refresh(con, &created.str("refresh_token"));
        assert_eq!(verdict(con, KEY, &created.str("token")), "active");
    });
}

#[test]
fn refresh_tokens_follow_each_other_for_as_long_as_the_session_lives() {
    on_both(|_, con| {
        let mut token = create(con, "sessions:42 REFRESH 1000").str("refresh_token");
        for expected in 1..=300 {
            token = refresh(con, &token).str("refresh_token");
            assert_eq!(generation(&token), expected);
        }
    });
}

#[test]
fn within_the_grace_the_one_that_was_used_before_gets_the_same_successors() {
    on_both(|server, con| {
        for kind in ["JWT", "OPAQUE"] {
            let token = create(con, &format!("sessions:42 REFRESH 1000 TOKEN {kind}")).str("refresh_token");
            let first = refresh(con, &token);
            let digest = server.digest(KEY);
            for _ in 0..3 {
                // Exactly the same: the identifiers, both tokens and their times.
                assert_eq!(refresh(con, &token), first);
            }
            assert_eq!(server.digest(KEY), digest);
        }
    });
}

#[test]
fn a_jwt_that_is_handed_out_again_is_the_same_also_a_second_later() {
    on_both(|_, con| {
        let token = create(con, "sessions:42 REFRESH 1000").str("refresh_token");
        let first = refresh(con, &token);
        advance(con, Duration::from_secs(1));
        assert_eq!(refresh(con, &token), first);
    });
}

#[test]
fn one_that_is_used_again_after_the_grace_ends_the_session() {
    on_both(|_, con| {
        set(con, "session.refresh-grace 600");
        let created = create(con, "sessions:42 REFRESH 1000");
        let (jwt, token) = pair(&created);
        let (new_jwt, new) = pair(&refresh(con, &token));
        let used = now_ms(con);
        advance(con, minutes(9));
        assert_eq!(refreshed(con, &token), "granted");
        advance_to(con, used + 600_000);
        assert_eq!(refreshed(con, &token), "reused");
        for dead in [&jwt, &new_jwt] {
            assert_eq!(verdict(con, KEY, dead), "reused");
        }
        for dead in [&token, &new] {
            assert_eq!(refreshed(con, dead), "reused");
        }
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
        assert_eq!(cmd(con, &format!("SESSION.GET {KEY} {}", created.str("id"))).unwrap(), redis::Value::Nil);
    });
}

#[test]
fn a_session_that_ended_by_theft_stays_ended() {
    on_both(|_, con| {
        set(con, "session.refresh-grace 0");
        let created = create(con, "sessions:42 ID one REFRESH 1000");
        let token = created.str("refresh_token");
        refresh(con, &token);
        refreshed(con, &token);
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} one")), 0);
        assert!(
            redis_session_tests::error(con, "SESSION.SET sessions:42 one cart 17").starts_with("NOSESSION "),
            "fields"
        );
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        assert_eq!(verdict(con, KEY, &created.str("token")), "reused");
        // A later session with the id has nothing to do with it.
        let next = create(con, "sessions:42 ID one REFRESH 1000");
        assert_eq!(verdict(con, KEY, &created.str("token")), "user_revoked");
        assert_eq!(refreshed(con, &token), "user_revoked");
        assert_eq!(verdict(con, KEY, &next.str("token")), "active");
        assert_eq!(refreshed(con, next.str("refresh_token")), "granted");
    });
}

#[test]
fn a_refresh_within_the_grace_moves_nothing() {
    on_both(|_, con| {
        let token =
            create(con, "sessions:42 ID one REFRESH 1000 IDLE 100 IP 203.0.113.7 AGENT Firefox").str("refresh_token");
        refresh(con, &token);
        let before = session(con, "one");
        advance_past(con, before.int("last_seen_at") + 1);
        let repeated = refresh(con, &format!("{token} IP 203.0.113.8 AGENT Chrome"));
        assert!(repeated.bool("new_ip"));
        assert_eq!(session(con, "one"), before);
    });
}

#[test]
fn a_crash_between_two_uses_changes_nothing() {
    let mut server = redis_session_tests::ServerBuilder::new().keys(&["k"]).appendonly().start();
    let mut con = server.connection();
    set(&mut con, "session.refresh-grace 3600");
    let created = create(&mut con, "sessions:42 REFRESH 1000");
    let token = created.str("refresh_token");
    let first = refresh(&mut con, &token);
    server.kill();
    server.start_again();
    let mut con = server.connection();
    set(&mut con, "session.refresh-grace 3600");
    assert_eq!(refresh(&mut con, &token), first);
    let second = refresh(&mut con, &first.str("refresh_token"));
    assert_eq!(generation(&second.str("refresh_token")), 2);
    assert_eq!(refreshed(&mut con, &token), "reused");
    server.kill();
    server.start_again();
    let mut con = server.connection();
    assert_eq!(refreshed(&mut con, second.str("refresh_token")), "reused");
    assert_eq!(verdict(&mut con, KEY, &second.str("token")), "reused");
}
