//! Clocks that step back or differ: what was ended stays dead, and what has expired stays so.

use std::time::Duration;

use redis::Connection;
use redis_session_tests::issuer::{claims, header, now_secs, sign, trusting_server};
use redis_session_tests::{
    Server, advance, advance_to, ask, cmd, create, fields, int, login, now_ms, on_both_of, set_back, verdict,
    verdict_with,
};

use crate::steps::{KEY, minutes, outcome, refreshed, set};

/// Milliseconds for which an end is remembered beyond the last token that it ends.
const REMEMBERED: i64 = 600_000;
/// Seconds of the longest of `session.ttl`, `session.token-ttl` and `session.refresh-ttl`.
const HORIZON: i64 = 2_592_000;

/// Runs a test over both protocols, each time on a server that has seen no time yet.
fn on_new_servers(test: impl Fn(&Server, &mut Connection)) {
    for resp3 in [false, true] {
        let server = trusting_server();
        let mut con = if resp3 { server.connection_resp3() } else { server.connection() };
        test(&server, &mut con);
    }
}

#[track_caller]
fn stateless(con: &mut Connection, token: &str) -> String {
    verdict_with(con, ["SESSION.VALIDATE", KEY, token, "STATELESS"])
}

/// A JWT of user 42 from elsewhere, so many seconds ahead of the clock.
fn foreign(con: &mut Connection, session: &str, ahead: i64) -> String {
    let mut claims = claims(con, "42", session);
    claims["iat"] = (claims["iat"].as_i64().unwrap() + ahead).into();
    sign(&header(), &claims)
}

#[test]
fn what_was_ended_stays_dead_when_the_clock_steps_back() {
    on_new_servers(|_, con| {
        let ended = [
            create(con, "sessions:42 ID revoked TOKEN OPAQUE REFRESH 3000"),
            create(con, "sessions:42 ID denied REFRESH 3000"),
            create(con, "sessions:42 REFRESH 3000 TOKEN OPAQUE"),
        ];
        let denied = foreign(con, "elsewhere", 0);
        advance(con, minutes(10));
        cmd(con, "SESSION.REVOKE sessions:42 revoked").unwrap();
        cmd(con, "SESSION.DENY sessions:42 denied UNTIL 4102444800000").unwrap();
        cmd(con, &format!("SESSION.REVOKE {KEY} {denied}")).unwrap();
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        for by in [minutes(5), minutes(5), minutes(60)] {
            set_back(con, by);
            for session in &ended {
                assert_ne!(stateless(con, &session.str("token")), "active");
                assert_ne!(refreshed(con, session.str("refresh_token")), "granted");
            }
            assert_ne!(stateless(con, &denied), "active");
            assert_ne!(outcome(con, &format!("SESSION.CREATE {KEY} FROM {denied}")), "granted");
        }
        // A login is good all the same.
        let token = login(con, "sessions:42 ID revoked");
        assert_eq!(verdict(con, KEY, &token), "active");
    });
}

#[test]
fn a_logout_everywhere_ends_what_began_before_the_clock_stepped_back() {
    on_new_servers(|_, con| {
        for logout in ["SESSION.REVOKEUSER sessions:42", "SESSION.REVOKEALL"] {
            cmd(con, "DEL sessions:42").unwrap();
            let before = [login(con, KEY), login(con, "sessions:42 ID one TOKEN OPAQUE")];
            set_back(con, minutes(60));
            let meanwhile = login(con, KEY);
            cmd(con, logout).unwrap();
            let after = [login(con, KEY), login(con, "sessions:42 ID one TOKEN OPAQUE")];
            for token in before.iter().chain([&meanwhile]) {
                // That it has expired by the latest time that was seen, or that the user was logged out.
                assert_ne!(stateless(con, token), "active", "{logout}");
            }
            for token in &after {
                assert_eq!(verdict(con, KEY, token), "active", "{logout}");
            }
        }
    });
}

#[test]
fn a_restart_does_not_forget_what_began_before_the_clock_stepped_back() {
    let mut server = Server::builder().keys(&["one"]).start();
    let before = login(&mut server.connection(), KEY);
    set_back(&mut server.connection(), minutes(60));
    server.restart();
    let mut con = server.connection();
    assert_eq!(verdict(&mut con, KEY, &before), "active");
    cmd(&mut con, "SESSION.REVOKEALL").unwrap();
    let after = login(&mut con, KEY);
    assert_eq!(verdict(&mut con, KEY, &before), "user_revoked");
    assert_eq!(verdict(&mut con, KEY, &after), "active");
}

#[test]
fn a_jwt_from_elsewhere_that_expired_long_ago_stays_so_when_the_clock_steps_back() {
    on_new_servers(|_, con| {
        let mut claims = claims(con, "42", "one");
        let exp = now_secs(con) + 1800;
        claims["exp"] = exp.into();
        let token = sign(&header(), &claims);
        advance_to(con, exp * 1000 + REMEMBERED);
        assert_eq!(stateless(con, &token), "token_expired");
        set_back(con, minutes(20));
        assert!(now_secs(con) < exp);
        assert_eq!(stateless(con, &token), "token_expired");
        assert_eq!(outcome(con, &format!("SESSION.CREATE {KEY} FROM {token}")), "token_expired");
        // One that was issued since is good.
        let token = foreign(con, "two", 0);
        assert_eq!(stateless(con, &token), "active");
    });
}

#[test]
fn a_server_says_how_far_its_clock_has_stepped_back() {
    on_new_servers(|server, con| {
        login(con, KEY);
        let behind = |con: &mut Connection| fields(cmd(con, "SESSION.STATS").unwrap()).int("clock_behind_ms");
        assert!(behind(con) < 1000);
        let before = now_ms(con);
        set_back(con, minutes(60));
        let found = behind(con);
        assert!(found > 0 && found <= 3_600_000, "{found}");
        assert!(server.info("session", "session_clock_behind_ms").parse::<i64>().unwrap() <= found);
        advance_to(con, before + 1000);
        login(con, KEY);
        assert!(behind(con) < 1000);
    });
}

#[test]
fn a_jwt_from_elsewhere_is_good_for_the_horizon_at_most() {
    on_new_servers(|_, con| {
        let mut long = claims(con, "42", "one");
        let iat = long["iat"].as_i64().unwrap();
        long["exp"] = (iat + 2 * HORIZON).into();
        let token = sign(&header(), &long);
        assert_eq!(stateless(con, &token), "active");
        let begun = ask(con, &format!("SESSION.CREATE {KEY} FROM {token}"));
        assert_eq!(begun.int("expires_at"), (iat + HORIZON) * 1000);
        cmd(con, "DEL sessions:42").unwrap();
        create(con, &format!("sessions:42 ID one TOKEN NONE TTL {}", 3 * HORIZON));
        assert_eq!(verdict(con, KEY, &token), "active");
        long["sid"] = "nowhere".into();
        let nowhere = sign(&header(), &long);
        advance_to(con, (iat + HORIZON) * 1000 + REMEMBERED);
        assert_eq!(verdict(con, KEY, &token), "token_expired");
        assert_eq!(stateless(con, &nowhere), "token_expired");
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
        // With a longer horizon it is good again: nobody has ended it.
        set(con, &format!("session.refresh-ttl {}", 3 * HORIZON));
        assert_eq!(verdict(con, KEY, &token), "active");
        assert_eq!(stateless(con, &nowhere), "active");
    });
}

#[test]
fn jwts_that_are_ahead_of_the_clock_by_the_leeway_are_ended_too() {
    on_new_servers(|_, con| {
        set(con, "session.leeway 60");
        create(con, "sessions:42 ID one TOKEN NONE");
        let (of_one, other) = (foreign(con, "one", 50), foreign(con, "other", 50));
        assert_eq!((verdict(con, KEY, &of_one), stateless(con, &other)), ("active".into(), "active".into()));
        assert_eq!(int(con, "SESSION.REVOKE sessions:42 one"), 1);
        assert_eq!(stateless(con, &of_one), "revoked");
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        assert_eq!(stateless(con, &other), "user_revoked");
        // Less leeway later takes nothing back.
        set(con, "session.leeway 0");
        advance(con, Duration::from_secs(55));
        assert_eq!(stateless(con, &of_one), "revoked");
        assert_eq!(stateless(con, &other), "user_revoked");
    });
}

#[test]
fn not_before_ends_jwts_that_are_ahead_of_the_clock_by_the_leeway() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        set(con, "session.leeway 60");
        let token = foreign(con, "one", 50);
        let now = now_ms(con);
        set(con, &format!("session.not-before {now}"));
        assert_eq!(stateless(con, &token), "user_revoked");
        set(con, "session.leeway 0");
        advance(con, Duration::from_secs(55));
        assert_eq!(stateless(con, &token), "user_revoked");
        // It is the one that can be taken back.
        set(con, "session.not-before 0");
        assert_eq!(stateless(con, &token), "active");
    });
}
