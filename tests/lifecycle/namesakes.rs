//! Two sessions with the same id, one after the other: a token is of the one that it was made for.

use redis_session_tests::{advance_past, ask, cmd, create, int, now_ms, on_both_of, verdict, verdict_with};
use serde_json::json;

use crate::steps::{KEY, outcome, set};
use redis_session_tests::issuer::{claims, header, payload, sign, trusting_server};

/// A token of a session that is not there any more, and one of a later session with the same id.
fn two(con: &mut redis::Connection, options: &str) -> [String; 2] {
    let line = format!("sessions:42 ID phone {options}");
    let earlier = create(con, &line).str("token");
    cmd(con, "DEL sessions:42").unwrap();
    let now = now_ms(con);
    advance_past(con, now);
    [earlier, create(con, &line).str("token")]
}

#[test]
fn a_token_of_an_earlier_session_with_the_id_is_unknown_to_the_later_one() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        for form in ["TOKEN JWT", "TOKEN OPAQUE"] {
            cmd(con, "FLUSHALL").unwrap();
            let [earlier, later] = two(con, form);
            let digest = server.digest(KEY);
            for command in ["SESSION.VALIDATE", "SESSION.TOUCH"] {
                assert_eq!(verdict_with(con, [command, KEY, &earlier]), "unknown");
                assert_eq!(verdict_with(con, [command, KEY, &earlier, "STATELESS"]), "unknown", "{form}");
            }
            assert_eq!(outcome(con, &format!("SESSION.REGENERATE {KEY} {earlier}")), "unknown");
            assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {earlier}")), 0);
            assert_eq!(server.digest(KEY), digest, "{form}");
            assert_eq!(verdict(con, KEY, &later), "active");
            assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {later}")), 1);
            assert_eq!(verdict(con, KEY, &later), "revoked");
        }
    });
}

#[test]
fn a_jwt_that_was_made_here_begins_no_session() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let token = create(con, "sessions:42 ID phone").str("token");
        let begun = format!("SESSION.CREATE {KEY} FROM {token}");
        assert!(redis_session_tests::error(con, &begun).starts_with("SESSIONEXISTS "));
        cmd(con, "DEL sessions:42").unwrap();
        assert_eq!(outcome(con, &begun), "unknown");
        assert_eq!(int(con, "DBSIZE"), 0);
    });
}

#[test]
fn a_jwt_that_was_made_here_needs_no_session_where_none_is_asked_for() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let token = create(con, "sessions:42 ID phone").str("token");
        cmd(con, "DEL sessions:42").unwrap();
        let stateless = ["SESSION.VALIDATE", KEY, &token, "STATELESS"];
        assert_eq!(verdict_with(con, stateless), "active");
        let began = now_ms(con);
        advance_past(con, began);
        // Its session began before that, whenever it was issued itself.
        set(con, &format!("session.not-before {}", began + 1));
        assert_eq!(verdict_with(con, stateless), "user_revoked");
        set(con, "session.not-before 0");
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        assert_eq!(verdict_with(con, stateless), "user_revoked");
    });
}

#[test]
fn what_another_issuer_says_of_an_id_is_good_for_any_session_with_it() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let [earlier, later] = two(con, "");
        let own = payload(&earlier)["jti"].as_str().unwrap().to_owned();
        let other = if own.ends_with('A') { 'B' } else { 'A' };
        for jti in [json!("A".repeat(24)), json!(format!("{}{other}", &own[..23])), json!(null)] {
            let mut claims = claims(con, "42", "phone");
            if jti.is_string() {
                claims["jti"] = jti;
            }
            assert_eq!(verdict(con, KEY, &sign(&header(), &claims)), "active");
        }
        assert_eq!(ask(con, &format!("SESSION.VALIDATE {KEY} {later}")).str("id"), "phone");
    });
}

#[test]
fn a_jwt_of_ours_that_is_ahead_of_the_clock_is_good_while_its_session_is() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let token = create(con, "sessions:42 ID phone").str("token");
        let mut ahead = payload(&token);
        ahead["iat"] = (ahead["iat"].as_i64().unwrap() + 600).into();
        assert_eq!(verdict(con, KEY, &sign(&header(), &ahead)), "active");
        ahead["jti"] = "another".into();
        assert_eq!(verdict(con, KEY, &sign(&header(), &ahead)), "not_yet_valid");
    });
}
