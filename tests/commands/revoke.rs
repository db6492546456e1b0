//! SESSION.REVOKE

use std::time::Duration;

use redis_session_tests::{
    advance, cmd, cmd_args, create, error, ids, int, login, on_both, on_both_of, refusal, verdict,
};

use redis_session_tests::issuer::{claims, header, now_secs, sign, tampered, trusting_server};

#[test]
fn revoking_by_id_ends_that_session_alone() {
    on_both(|_, con| {
        let (one, two) = (login(con, "sessions:42 ID one"), login(con, "sessions:42 ID two"));
        assert_eq!(int(con, "SESSION.REVOKE sessions:42 one"), 1);
        assert_eq!(verdict(con, "sessions:42", &one), "revoked");
        assert_eq!(verdict(con, "sessions:42", &two), "active");
        assert_eq!(ids(con, "sessions:42"), ["two"]);
    });
}

#[test]
fn ids_of_every_form_can_be_revoked() {
    let long = "x".repeat(128);
    on_both(|_, con| {
        let made = create(con, "sessions:42").str("id");
        for id in ["0190163d-8694-739b-aea5-966c26f8ad91", "0190163d8694739baea5966c26f8ad91", "two words", &long] {
            cmd_args(con, ["SESSION.CREATE", "sessions:42", "ID", id]).unwrap();
        }
        assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {made}")), 1);
        // Another spelling of a UUID is another id.
        assert_eq!(int(con, "SESSION.REVOKE sessions:42 0190163D-8694-739B-AEA5-966C26F8AD91"), 0);
        assert_eq!(int(con, "SESSION.REVOKE sessions:42 0190163d-8694-739b-aea5-966c26f8ad91"), 1);
        assert_eq!(int(con, "SESSION.REVOKE sessions:42 0190163d8694739baea5966c26f8ad91"), 1);
        assert_eq!(cmd_args(con, ["SESSION.REVOKE", "sessions:42", "two words", &long]).unwrap(), redis::Value::Int(2));
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
    });
}

#[test]
fn revoking_by_a_token_ends_its_session() {
    on_both(|_, con| {
        for kind in ["JWT", "OPAQUE"] {
            let token = login(con, &format!("sessions:42 TOKEN {kind}"));
            let other = login(con, &format!("sessions:42 TOKEN {kind}"));
            assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {token}")), 1);
            assert_eq!(verdict(con, "sessions:42", &token), "revoked");
            assert_eq!(verdict(con, "sessions:42", &other), "active");
            assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {token}")), 0);
        }
    });
}

#[test]
fn a_token_that_does_not_get_in_any_more_still_revokes() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let now = now_secs(con);
        redis::cmd("CONFIG")
            .arg("SET")
            .arg("session.issuer")
            .arg("good")
            .arg("session.audience")
            .arg("api")
            .exec(con)
            .unwrap();
        let changes = [("exp", now - 100), ("exp", 0), ("nbf", now + 1000), ("iat", now + 1000)];
        for (name, date) in changes {
            create(con, &format!("sessions:42 ID {name}{date} TOKEN NONE"));
            let mut claims = claims(con, "42", &format!("{name}{date}"));
            claims[name] = date.into();
            let token = sign(&header(), &claims);
            assert_ne!(verdict(con, "sessions:42", &token), "active");
            assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {token}")), 1, "{name} {date}");
        }
        redis::cmd("CONFIG")
            .arg("SET")
            .arg("session.issuer")
            .arg("")
            .arg("session.audience")
            .arg("")
            .exec(con)
            .unwrap();
    });
}

#[test]
fn a_token_of_an_expired_jwt_made_here_still_revokes() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 TOKENTTL 600");
        advance(con, Duration::from_secs(600));
        assert_eq!(verdict(con, "sessions:42", &token), "token_expired");
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
        assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {token}")), 1);
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
    });
}

#[test]
fn a_token_that_is_not_genuine_revokes_nothing_and_succeeds() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let jwt = login(con, "sessions:42 ID one");
        let opaque = login(con, "sessions:42 ID two TOKEN OPAQUE");
        let others = login(con, "sessions:43 ID one");
        let digest = server.digest("sessions:42");
        let mut unsigned = header();
        unsigned["alg"] = "none".into();
        let none = sign(&unsigned, &claims(con, "42", "one"));
        for token in [&tampered(&jwt), &tampered(&opaque), &others, &none, "rsr1.NDI.b25l.MQ.AAAA", "eyJ..", "rst1."] {
            assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {token}")), 0, "{token}");
        }
        assert_eq!(server.digest("sessions:42"), digest);
        assert_eq!(verdict(con, "sessions:42", &jwt), "active");
        assert_eq!(verdict(con, "sessions:43", &others), "active");
    });
}

#[test]
fn several_at_once_count_the_ones_that_were_alive() {
    on_both(|_, con| {
        for n in 1..=5 {
            create(con, &format!("sessions:42 ID s{n}"));
        }
        let jwt = login(con, "sessions:42 ID s6");
        let opaque = login(con, "sessions:42 ID s7 TOKEN OPAQUE");
        cmd(con, "SESSION.REVOKE sessions:42 s1").unwrap();
        let line = format!("SESSION.REVOKE sessions:42 s1 s2 nobody {jwt} s3 {opaque}");
        assert_eq!(int(con, &line), 4);
        assert_eq!(ids(con, "sessions:42"), ["s5", "s4"]);
        assert_eq!(int(con, &line), 0);
    });
}

#[test]
fn one_that_is_named_twice_counts_once() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 ID one");
        create(con, "sessions:42 ID two");
        assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 one one {token} {token} one")), 1);
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
    });
}

#[test]
fn what_is_not_there_is_revoked_zero_times() {
    on_both(|server, con| {
        assert_eq!(int(con, "SESSION.REVOKE sessions:42 one"), 0);
        assert_eq!(int(con, "EXISTS sessions:42"), 0);
        create(con, "sessions:42 ID one");
        let digest = server.digest("sessions:42");
        assert_eq!(int(con, "SESSION.REVOKE sessions:42 two"), 0);
        assert_eq!(server.digest("sessions:42"), digest);
    });
}

#[test]
fn if_one_argument_is_bad_nothing_is_revoked() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one");
        let digest = server.digest("sessions:42");
        let long = "x".repeat(129);
        assert_eq!(error(con, &format!("SESSION.REVOKE sessions:42 one {long}")), "ERR id is longer than 128 bytes");
        assert_eq!(server.digest("sessions:42"), digest);
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
    });
}

#[test]
fn a_thousand_are_revoked_at_once_and_one_more_is_refused() {
    on_both(|server, con| {
        create(con, "sessions:42 ID one");
        let digest = server.digest("sessions:42");
        let names = |count: usize| {
            let others = (1..count).map(|n| format!("other{n}"));
            let words = ["SESSION.REVOKE", "sessions:42", "one"].map(String::from);
            words.into_iter().chain(others).collect::<Vec<_>>()
        };
        assert_eq!(refusal(con, names(1001)), "ERR more than 1000 ids and tokens at once");
        assert_eq!(server.digest("sessions:42"), digest);
        assert_eq!(cmd_args(con, names(1000)).unwrap(), redis::Value::Int(1));
    });
}

#[test]
fn a_jwt_whose_header_has_white_space_revokes_too() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        create(con, "sessions:42 ID one TOKEN NONE");
        let header = b"{ \"alg\" : \"HS256\" }";
        let token = redis_session_tests::issuer::sign_text(header, claims(con, "42", "one").to_string().as_bytes());
        assert_eq!(verdict(con, "sessions:42", &token), "active");
        assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {token}")), 1);
        assert_eq!(verdict(con, "sessions:42", &token), "revoked");
    });
}

#[test]
fn a_session_revoked_long_after_its_tokens_ended_leaves_nothing() {
    on_both(|_, con| {
        let token = login(con, "sessions:42 TOKENTTL 600");
        // Ends are remembered for 600 seconds longer than the last token.
        advance(con, Duration::from_secs(1200));
        assert_eq!(verdict(con, "sessions:42", &token), "token_expired");
        assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {token}")), 1);
        redis_session_tests::wait_until("the key is gone", || int(con, "EXISTS sessions:42") == 0);
    });
}
