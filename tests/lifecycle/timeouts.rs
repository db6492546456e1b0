//! How long sessions last, side by side.

use redis_session_tests::{ask, cmd, create, ids, int, login, on_both, verdict};

use crate::steps::{KEY, session, set, wait_past};

#[test]
fn a_session_that_is_remembered_stands_next_to_ordinary_ones() {
    on_both(|_, con| {
        create(con, "sessions:42 ID ordinary");
        create(con, "sessions:42 ID remembered TTL 2592000 IDLE 86400 TOKENTTL 3600");
        create(con, "sessions:42 ID kiosk TTL 600 IDLE 60");
        let lasts = |con: &mut redis::Connection, id: &str| {
            let shown = session(con, id);
            shown.int("expires_at") - shown.int("created_at")
        };
        assert_eq!(lasts(con, "ordinary"), 86_400_000);
        assert_eq!(lasts(con, "remembered"), 2_592_000_000);
        assert_eq!(lasts(con, "kiosk"), 600_000);
        assert!(session(con, "ordinary").is_null("idle_expires_at"));
        // The key stays for the one that lasts longest.
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), session(con, "remembered").int("expires_at"));
    });
}

#[test]
fn the_remembered_session_outlives_the_others() {
    on_both(|_, con| {
        set(con, "session.leeway 600");
        let remembered = login(con, "sessions:42 ID remembered TTL 2592000 TOKEN OPAQUE");
        let idle = login(con, "sessions:42 ID idle IDLE 1 TOKEN OPAQUE");
        let over = create(con, "sessions:42 ID over TTL 1 TOKEN OPAQUE");
        wait_past(con, over.int("expires_at"));
        assert_eq!(verdict(con, KEY, &over.str("token")), "expired");
        assert_eq!(verdict(con, KEY, &idle), "idle");
        assert_eq!(verdict(con, KEY, &remembered), "active");
        assert_eq!(ids(con, KEY), ["remembered"]);
        for id in ["idle", "over"] {
            assert_eq!(int(con, &format!("SESSION.TTL {KEY} {id}")), -2);
        }
    });
}

#[test]
fn the_key_goes_with_its_last_session() {
    on_both(|_, con| {
        create(con, "sessions:42 TTL 1 TOKEN OPAQUE");
        let last = create(con, "sessions:42 TTL 2 TOKEN OPAQUE").int("expires_at");
        wait_past(con, last);
        assert_eq!(int(con, "EXISTS sessions:42"), 0);
    });
}

#[test]
fn the_nearer_of_the_two_deadlines_counts() {
    on_both(|_, con| {
        let left = |con: &mut redis::Connection, id: &str| int(con, &format!("SESSION.TTL {KEY} {id}"));
        create(con, "sessions:42 ID idle TTL 1000 IDLE 10");
        assert!((9_000..=10_000).contains(&left(con, "idle")));
        create(con, "sessions:42 ID absolute TTL 10 IDLE 1000");
        assert!((9_000..=10_000).contains(&left(con, "absolute")));
    });
}

#[test]
fn no_use_moves_the_absolute_deadline() {
    on_both(|_, con| {
        set(con, "session.leeway 600");
        let created = create(con, "sessions:42 ID one TTL 1 IDLE 100 TOKEN OPAQUE");
        let mut answers = std::collections::HashSet::new();
        redis_session_tests::wait_until("it ends though it is used", || {
            let answer = redis_session_tests::verdict_with(con, ["SESSION.TOUCH", KEY, &created.str("token")]);
            answers.insert(answer.clone());
            answer == "expired"
        });
        assert!(answers.len() <= 2, "{answers:?}");
    });
}

#[test]
fn a_session_lives_past_its_idle_timeout_as_long_as_it_is_touched() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 ID one IDLE 1 TOKEN OPAQUE");
        let dead_if_unused = session(con, "one").int("idle_expires_at");
        redis_session_tests::wait_until("the first idle deadline passes", || {
            assert!(ask(con, &format!("SESSION.TOUCH {KEY} {token}")).bool("active"));
            redis_session_tests::now_ms(con) > dead_if_unused
        });
        assert_eq!(verdict(con, KEY, &token), "active");
        // Looking is no use.
        redis_session_tests::wait_until("it idles out", || verdict(con, KEY, &token) == "idle");
    });
}

#[test]
fn a_default_that_is_changed_is_that_of_later_logins_alone() {
    on_both(|_, con| {
        create(con, "sessions:42 ID before");
        let kept = session(con, "before");
        set(con, "session.ttl 100 session.idle-timeout 50");
        assert_eq!(session(con, "before"), kept);
        create(con, "sessions:42 ID after");
        let shown = session(con, "after");
        assert_eq!(shown.int("expires_at"), shown.int("created_at") + 100_000);
        assert_eq!(shown.int("idle_expires_at"), shown.int("created_at") + 50_000);
        set(con, "session.ttl 86400 session.idle-timeout 0");
        assert_eq!(session(con, "after"), shown);
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
    });
}
