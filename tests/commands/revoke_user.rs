//! SESSION.REVOKEUSER

use redis_session_tests::{advance_past, cmd, create, error, ids, int, login, on_both, on_both_of, refusal, verdict};

use redis_session_tests::issuer::{claims, header, now_secs, sign, tampered, trusting_server};

#[test]
fn all_sessions_of_the_user_end_and_nobody_elses() {
    on_both(|_, con| {
        let tokens: Vec<_> = ["JWT", "OPAQUE"].map(|kind| login(con, &format!("sessions:42 TOKEN {kind}"))).into();
        let brought = login(con, "sessions:42 ID one");
        let other = login(con, "sessions:43");
        assert_eq!(int(con, "SESSION.REVOKEUSER sessions:42"), 3);
        for token in tokens.iter().chain([&brought]) {
            assert_eq!(verdict(con, "sessions:42", token), "user_revoked");
        }
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
        assert!(ids(con, "sessions:42").is_empty());
        assert_eq!(verdict(con, "sessions:43", &other), "active");
    });
}

#[test]
fn again_it_revokes_none() {
    on_both(|_, con| {
        create(con, "sessions:42");
        assert_eq!(int(con, "SESSION.REVOKEUSER sessions:42"), 1);
        assert_eq!(int(con, "SESSION.REVOKEUSER sessions:42"), 0);
        assert_eq!(int(con, "SESSION.REVOKEUSER sessions:43"), 0);
    });
}

#[test]
fn the_dead_do_not_count() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one");
        create(con, "sessions:42 ID two");
        cmd(con, "SESSION.REVOKE sessions:42 one").unwrap();
        assert_eq!(int(con, "SESSION.REVOKEUSER sessions:42"), 1);
    });
}

#[test]
fn a_login_right_after_it_works_at_once() {
    on_both(|_, con| {
        for _ in 0..50 {
            let old = [login(con, "sessions:42"), login(con, "sessions:42 TOKEN OPAQUE")];
            let mut pipe = redis::pipe();
            pipe.cmd("SESSION.REVOKEUSER").arg("sessions:42");
            pipe.cmd("SESSION.CREATE").arg("sessions:42");
            pipe.cmd("SESSION.CREATE").arg("sessions:42").arg("TOKEN").arg("OPAQUE");
            let replies: Vec<redis::Value> = pipe.query(con).unwrap();
            for reply in &replies[1..] {
                let token = redis_session_tests::fields(reply.clone()).str("token");
                assert_eq!(verdict(con, "sessions:42", &token), "active");
            }
            for token in &old {
                assert_eq!(verdict(con, "sessions:42", token), "user_revoked");
            }
        }
    });
}

#[test]
fn a_token_that_another_issuer_made_before_it_is_dead_too() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let mut early = claims(con, "42", "elsewhere");
        early["iat"] = (now_secs(con) - 10).into();
        let early = sign(&header(), &early);
        let mut timeless = claims(con, "42", "elsewhere");
        timeless.as_object_mut().unwrap().remove("iat");
        let timeless = sign(&header(), &timeless);
        assert_eq!(verdict(con, "sessions:42", &early), "unknown");
        assert_eq!(int(con, "SESSION.REVOKEUSER sessions:42"), 0);
        assert_eq!(verdict(con, "sessions:42", &early), "user_revoked");
        assert_eq!(verdict(con, "sessions:42", &timeless), "user_revoked");
    });
}

#[test]
fn an_id_that_begins_again_does_not_wake_its_old_tokens() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        // A token of an earlier session with the id, which only its issuer knew.
        let mut early = claims(con, "42", "one");
        early["iat"] = (now_secs(con) - 10).into();
        let early = sign(&header(), &early);
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        let began = redis_session_tests::now_ms(con);
        advance_past(con, began);
        let token = login(con, "sessions:42 ID one");
        assert_eq!(verdict(con, "sessions:42", &early), "user_revoked");
        assert_eq!(verdict(con, "sessions:42", &token), "active");
    });
}

#[test]
fn except_spares_the_session_with_that_id() {
    on_both(|_, con| {
        let one = login(con, "sessions:42 ID one");
        let two = login(con, "sessions:42 ID two");
        let three = login(con, "sessions:42 ID three");
        assert_eq!(int(con, "SESSION.REVOKEUSER sessions:42 except two"), 2);
        assert_eq!(ids(con, "sessions:42"), ["two"]);
        assert_eq!(verdict(con, "sessions:42", &two), "active");
        assert_eq!(verdict(con, "sessions:42", &one), "user_revoked");
        assert_eq!(verdict(con, "sessions:42", &three), "user_revoked");
        assert_eq!(int(con, "SESSION.REVOKEUSER sessions:42 EXCEPT two"), 0);
        assert_eq!(verdict(con, "sessions:42", &two), "active");
        assert_eq!(int(con, "SESSION.REVOKEUSER sessions:42"), 1);
        assert_eq!(verdict(con, "sessions:42", &two), "user_revoked");
    });
}

#[test]
fn except_spares_the_session_of_that_token() {
    on_both(|_, con| {
        for kind in ["JWT", "OPAQUE"] {
            let spared = login(con, &format!("sessions:42 TOKEN {kind}"));
            let other = login(con, &format!("sessions:42 TOKEN {kind}"));
            cmd(con, &format!("SESSION.REVOKEUSER sessions:42 EXCEPT {spared}")).unwrap();
            assert_eq!(verdict(con, "sessions:42", &spared), "active");
            assert_eq!(verdict(con, "sessions:42", &other), "user_revoked");
            assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
        }
    });
}

#[test]
fn except_knows_the_session_of_an_expired_token() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        create(con, "sessions:42 ID one TOKEN NONE");
        create(con, "sessions:42 ID two TOKEN NONE");
        let mut expired = claims(con, "42", "one");
        expired["exp"] = (now_secs(con) - 10).into();
        let expired = sign(&header(), &expired);
        assert_eq!(int(con, &format!("SESSION.REVOKEUSER sessions:42 EXCEPT {expired}")), 1);
        assert_eq!(ids(con, "sessions:42"), ["one"]);
    });
}

#[test]
fn except_of_a_session_that_is_not_alive_spares_nobody() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one");
        create(con, "sessions:42 ID two");
        cmd(con, "SESSION.REVOKE sessions:42 one").unwrap();
        assert_eq!(int(con, "SESSION.REVOKEUSER sessions:42 EXCEPT one"), 1);
        create(con, "sessions:42 ID three");
        assert_eq!(int(con, "SESSION.REVOKEUSER sessions:42 EXCEPT nobody"), 1);
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
    });
}

#[test]
fn except_with_a_bad_token_is_an_error_and_revokes_nothing() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let jwt = login(con, "sessions:42");
        let opaque = login(con, "sessions:42 TOKEN OPAQUE");
        let others = login(con, "sessions:43");
        let mut unknown = header();
        unknown["kid"] = "nobody".into();
        let unknown = sign(&unknown, &claims(con, "42", "one"));
        let digest = server.digest("sessions:42");
        for (token, reason) in [
            (tampered(&jwt), "signature"),
            (tampered(&opaque), "signature"),
            (others, "subject"),
            (unknown, "unknown_key"),
            ("rsr1.NDI.b25l.MQ.AAAA".into(), "malformed"),
            ("eyJ.eyJ.x".into(), "malformed"),
            ("rst1.".into(), "malformed"),
        ] {
            assert_eq!(
                error(con, &format!("SESSION.REVOKEUSER sessions:42 EXCEPT {token}")),
                format!("ERR EXCEPT is not a valid token of this user: {reason}")
            );
        }
        assert_eq!(refusal(con, ["SESSION.REVOKEUSER", "sessions:42", "EXCEPT", ""]), "ERR EXCEPT is empty");
        assert_eq!(server.digest("sessions:42"), digest);
        assert_eq!(verdict(con, "sessions:42", &jwt), "active");
        assert_eq!(verdict(con, "sessions:42", &opaque), "active");
    });
}

#[test]
fn the_cutoff_of_an_empty_user_is_kept_for_the_horizon_and_ten_minutes() {
    on_both(|_, con| {
        let before = redis_session_tests::now_ms(con);
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        let until = int(con, "PEXPIRETIME sessions:42");
        assert!((before..=redis_session_tests::now_ms(con)).contains(&(until - 2_592_000_000 - 600_000)));
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
    });
}
