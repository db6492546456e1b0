//! How long sessions last, side by side.

use redis_session_tests::{
    advance, advance_to, cmd, create, ids, int, login, on_both, verdict, verdict_with, wait_until,
};

use crate::steps::{KEY, minutes, outcome, session, set};

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
        set(con, "session.leeway 300");
        let remembered = login(con, "sessions:42 ID remembered TTL 2592000 TOKEN OPAQUE");
        let idle = login(con, "sessions:42 ID idle IDLE 1800 TOKEN OPAQUE");
        let over = create(con, "sessions:42 ID over TTL 1800 TOKEN OPAQUE");
        advance(con, minutes(29));
        assert_eq!(ids(con, KEY), ["over", "idle", "remembered"]);
        advance_to(con, over.int("expires_at"));
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
fn an_opaque_token_says_that_its_session_is_over_also_once_that_is_forgotten() {
    on_both(|server, con| {
        create(con, "sessions:42 ID lasting TTL 2592000");
        let over = create(con, "sessions:42 TTL 1800 TOKEN OPAQUE");
        let revoked = create(con, "sessions:42 TTL 1800 TOKEN OPAQUE");
        int(con, &format!("SESSION.REVOKE {KEY} {}", revoked.str("id")));
        let last = create(con, "sessions:43 TTL 1800 TOKEN OPAQUE");
        advance_to(con, over.int("expires_at").max(last.int("expires_at")));
        assert_eq!(verdict(con, KEY, &over.str("token")), "expired");
        assert_eq!(verdict(con, KEY, &revoked.str("token")), "revoked");
        // So long are ends remembered beyond the last token.
        advance(con, minutes(10));
        wait_until("the user's last session is swept", || int(con, "EXISTS sessions:43") == 0);
        let bytes = |con: &mut redis::Connection| int(con, "MEMORY USAGE sessions:42");
        let alone = {
            create(con, "sessions:44 ID lasting TTL 2592000");
            int(con, "MEMORY USAGE sessions:44")
        };
        wait_until("the others are swept", || bytes(con) == alone);
        let digest = server.digest(KEY);
        for (key, ended) in [(KEY, &over), (KEY, &revoked), ("sessions:43", &last)] {
            let token = ended.str("token");
            for more in [&[][..], &["STATELESS"], &["FULL"]] {
                let check = [&["SESSION.VALIDATE", key, &token][..], more].concat();
                assert_eq!(verdict_with(con, check), "expired", "{key}");
            }
            assert_eq!(verdict_with(con, ["SESSION.TOUCH", key, &token]), "expired");
            assert_eq!(outcome(con, &format!("SESSION.REGENERATE {key} {token}")), "expired");
            assert_eq!(int(con, &format!("SESSION.REVOKE {key} {token}")), 0);
        }
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(int(con, "EXISTS sessions:43"), 0);
        // What is not over yet is unknown without its session.
        let deleted = login(con, "sessions:43 TOKEN OPAQUE");
        cmd(con, "DEL sessions:43").unwrap();
        assert_eq!(verdict(con, "sessions:43", &deleted), "unknown");
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
