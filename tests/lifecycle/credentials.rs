//! What is no refresh token, and where one is out of place.

use redis_session_core::base64url;
use redis_session_tests::{
    Server, ServerBuilder, advance, advance_to, create, int, on_both, on_both_of, refusal, verdict, verdict_with,
};

use crate::steps::{KEY, answer_of, minutes, outcome, refresh, refreshed};
use redis_session_tests::issuer::{claims, header, sign, tampered, trust, trusting_server};

#[test]
fn another_kind_of_token_does_not_refresh() {
    on_both(|server, con| {
        let jwt = create(con, "sessions:42 REFRESH 1000").str("token");
        let opaque = create(con, "sessions:42 REFRESH 1000 TOKEN OPAQUE").str("token");
        let digest = server.digest(KEY);
        for token in [&jwt, &opaque, &tampered(&jwt), &tampered(&opaque), "rst1.", "eyJ.."] {
            assert_eq!(refreshed(con, token), "type", "{token}");
        }
        assert_eq!(server.digest(KEY), digest);
    });
}

#[test]
fn a_jwt_of_a_trusted_issuer_does_not_refresh() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        create(con, "sessions:42 ID one REFRESH 1000");
        let token = sign(&header(), &claims(con, "42", "one"));
        assert_eq!(refreshed(con, token), "type");
    });
}

#[test]
fn a_refresh_token_is_no_access_token() {
    on_both(|server, con| {
        let token = create(con, "sessions:42 REFRESH 1000").str("refresh_token");
        let digest = server.digest(KEY);
        for command in ["SESSION.VALIDATE", "SESSION.TOUCH"] {
            assert_eq!(verdict_with(con, [command, KEY, &token]), "type");
            assert_eq!(verdict_with(con, [command, KEY, &token, "STATELESS", "FULL"]), "type");
            assert_eq!(verdict_with(con, [command, KEY, &tampered(&token)]), "type");
        }
        assert_eq!(outcome(con, &format!("SESSION.REGENERATE {KEY} {token}")), "type");
        assert_eq!(outcome(con, &format!("SESSION.CREATE {KEY} FROM {token}")), "type");
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(refreshed(con, &token), "granted");
    });
}

#[test]
fn what_has_not_the_form_of_a_refresh_token_is_malformed() {
    on_both(|server, con| {
        let good = create(con, "sessions:42 REFRESH 1000").str("refresh_token");
        let [_, user, id, generation, code] = good.split('.').collect::<Vec<_>>()[..] else { panic!("five parts") };
        let digest = server.digest(KEY);
        let long = format!("rsr1.{}", "x".repeat(1_000_000));
        for token in [
            "",
            "x",
            ".",
            "rsr1",
            "rsr1.",
            "rsr1....",
            "rsr2.NDI.b25l.AAAAAA.AAAA",
            &long,
            &good.to_uppercase(),
            &format!("RSR1.{user}.{id}.{generation}.{code}"),
            &format!("rsr1.{user}.{id}.{code}"),
            &format!("rsr1.{user}.{id}.{generation}"),
            &format!("rsr1.{user}.{id}.{generation}."),
            &format!("rsr1.{user}.{id}..{code}"),
            &format!("rsr1.{user}..{generation}.{code}"),
            &format!("rsr1..{id}.{generation}.{code}"),
            &format!("rsr1.{user}.{id}.{generation}.{generation}.{code}"),
            &format!("rsr1.{user}.{id}.{}.{code}", base64url::encode(&[0; 3])),
            &format!("rsr1.{user}.{id}.{}.{code}", base64url::encode(&[0; 5])),
            &format!("{good}="),
            &format!("{good}\n"),
            &format!(" {good}"),
            &format!("{good}.{code}"),
            &format!("Bearer {good}"),
        ] {
            let answer = verdict_with(con, ["SESSION.REFRESH", KEY, token]);
            assert_eq!(answer, "malformed", "{token:.200}");
        }
        for token in [&b"rsr1.\xff.\xff.\xff.\xff"[..], b"\0", b"rsr1.\0.\0.\0.\0"] {
            assert_eq!(verdict_with(con, [b"SESSION.REFRESH", KEY.as_bytes(), token]), "malformed");
        }
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(refreshed(con, &good), "granted");
    });
}

#[test]
fn no_part_of_a_refresh_token_can_be_changed_or_left_out() {
    on_both(|server, con| {
        let good = create(con, "sessions:42 REFRESH 1000").str("refresh_token");
        let digest = server.digest(KEY);
        let mut refused = 0;
        for at in 0..good.len() {
            let (before, behind) = good.split_at(at);
            for letter in ["A", "B", "w", "0", "-", "."] {
                let changed = format!("{before}{letter}{}", &behind[1..]);
                if changed != good {
                    assert_ne!(refreshed(con, &changed), "granted", "{changed}");
                    refused += 1;
                }
            }
            if at > 0 {
                assert_ne!(refreshed(con, before), "granted", "{before}");
            }
            assert_ne!(refreshed(con, format!("{before}{}", &behind[1..])), "granted", "without letter {at}");
        }
        assert!(refused > 5 * good.len());
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(refreshed(con, &good), "granted");
    });
}

#[test]
fn a_generation_cannot_be_made_up() {
    on_both(|server, con| {
        let first = create(con, "sessions:42 REFRESH 1000").str("refresh_token");
        let second = refresh(con, &first).str("refresh_token");
        let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
        let (one, two) = (parts(&first), parts(&second));
        let digest = server.digest(KEY);
        for generation in [0_u32, 2, 3, u32::MAX] {
            let generation = base64url::encode(&generation.to_be_bytes());
            let forged = format!("rsr1.{}.{}.{generation}.{}", two[1], two[2], two[4]);
            assert_eq!(refreshed(con, forged), "signature");
        }
        let swapped = format!("rsr1.{}.{}.{}.{}", two[1], two[2], two[3], one[4]);
        assert_eq!(refreshed(con, swapped), "signature");
        assert_eq!(server.digest(KEY), digest);
    });
}

#[test]
fn the_codes_of_an_opaque_token_and_of_a_refresh_token_are_not_exchangeable() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 REFRESH 1000 TOKEN OPAQUE");
        let (opaque, refresh_token) = (created.str("token"), created.str("refresh_token"));
        let opaque: Vec<_> = opaque.split('.').collect();
        let renewal: Vec<_> = refresh_token.split('.').collect();
        let as_renewal = format!("rsr1.{}.{}.{}.{}", opaque[1], opaque[2], renewal[3], opaque[3]);
        assert_eq!(refreshed(con, as_renewal), "signature");
        let as_opaque = format!("rst1.{}.{}.{}", renewal[1], renewal[2], renewal[4]);
        assert_eq!(verdict(con, KEY, &as_opaque), "signature");
    });
}

#[test]
fn a_refresh_token_of_another_user_is_told() {
    on_both(|server, con| {
        let others = create(con, "sessions:43 ID one REFRESH 1000").str("refresh_token");
        create(con, "sessions:42 ID one REFRESH 1000");
        let digests = (server.digest(KEY), server.digest("sessions:43"));
        assert_eq!(refreshed(con, &others), "subject");
        assert_eq!((server.digest(KEY), server.digest("sessions:43")), digests);
        assert_eq!(outcome(con, &format!("SESSION.REFRESH sessions:43 {others}")), "granted");
    });
}

#[test]
fn a_refresh_token_of_a_key_that_nobody_knows_is_told() {
    let stranger = Server::start();
    let foreign = create(&mut stranger.connection(), "sessions:42 ID one REFRESH 1000").str("refresh_token");
    on_both(|server, con| {
        create(con, "sessions:42 ID one REFRESH 1000");
        let digest = server.digest(KEY);
        assert_eq!(refreshed(con, &foreign), "unknown_key");
        assert_eq!(server.digest(KEY), digest);
    });
}

#[test]
fn a_refresh_token_outlives_the_turn_of_the_signing_key_and_its_successor_is_of_the_new_one() {
    let server = ServerBuilder::new().keys(&["spring", "summer"]).start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42 REFRESH 1000").str("refresh_token");
    set_active(&mut con, "summer");
    let new = refresh(&mut con, &token).str("refresh_token");
    let kid = |token: &str| {
        let code = base64url::decode(token.rsplit('.').next().unwrap().as_bytes()).unwrap();
        String::from_utf8(code.split(|byte| *byte == 0).next().unwrap().to_vec()).unwrap()
    };
    assert_eq!((kid(&token), kid(&new)), ("spring".into(), "summer".into()));
    assert_eq!(refreshed(&mut con, &new), "granted");
}

fn set_active(con: &mut redis::Connection, kid: &str) {
    crate::steps::set(con, &format!("session.active-kid {kid}"));
}

#[test]
fn a_refresh_token_is_good_on_every_server_that_has_the_key_but_for_its_session() {
    let (here, there) = (trusting_server(), trusting_server());
    let token = create(&mut here.connection(), "sessions:42 REFRESH 1000").str("refresh_token");
    assert_eq!(refreshed(&mut there.connection(), &token), "unknown");
    assert_eq!(refreshed(&mut here.connection(), &token), "granted");
}

#[test]
fn a_refresh_token_dies_with_its_key() {
    let server = Server::start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42 REFRESH 1000").str("refresh_token");
    trust(&server);
    assert_eq!(refreshed(&mut con, &token), "unknown_key");
}

#[test]
fn a_refresh_makes_no_key_where_there_is_none() {
    on_both(|_, con| {
        let token = create(con, "sessions:42 REFRESH 1000").str("refresh_token");
        redis_session_tests::cmd(con, "DEL sessions:42").unwrap();
        assert_eq!(refreshed(con, &token), "unknown");
        assert_eq!(refreshed(con, "nonsense"), "malformed");
        assert_eq!(int(con, "DBSIZE"), 0);
    });
}

#[test]
fn a_session_that_has_no_refresh_tokens_is_not_refreshed_with_one_of_its_namesake() {
    on_both(|_, con| {
        let token = create(con, "sessions:42 ID one REFRESH 1000").str("refresh_token");
        redis_session_tests::cmd(con, "DEL sessions:42").unwrap();
        create(con, "sessions:42 ID one");
        assert_eq!(refreshed(con, &token), "unknown");
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
    });
}

#[test]
fn a_refresh_token_of_an_earlier_session_with_the_same_id_neither_refreshes_nor_ends_the_later_one() {
    on_both(|server, con| {
        let earlier = create(con, "sessions:42 ID one REFRESH 1000");
        let earlier_next = refresh(con, &earlier.str("refresh_token")).str("refresh_token");
        redis_session_tests::cmd(con, "DEL sessions:42").unwrap();
        advance(con, minutes(1));
        let later = create(con, "sessions:42 ID one REFRESH 1000").str("refresh_token");
        let digest = server.digest(KEY);
        for token in [&earlier.str("refresh_token"), &earlier_next] {
            assert_eq!(refreshed(con, token), "unknown");
            assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {token}")), 0);
        }
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(refreshed(con, &later), "granted");
    });
}

#[test]
fn a_refresh_token_revokes_its_session() {
    on_both(|_, con| {
        let created = create(con, "sessions:42 REFRESH 1000");
        let other = create(con, "sessions:42 REFRESH 1000");
        let token = created.str("refresh_token");
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {}", tampered(&token))), 0);
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {token}")), 1);
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {token}")), 0);
        assert_eq!(verdict(con, KEY, &created.str("token")), "revoked");
        assert_eq!(refreshed(con, &token), "revoked");
        assert_eq!(verdict(con, KEY, &other.str("token")), "active");
    });
}

#[test]
fn a_refresh_token_that_was_rotated_or_has_expired_still_revokes() {
    on_both(|_, con| {
        let rotated = create(con, "sessions:42 REFRESH 1000").str("refresh_token");
        refresh(con, &rotated);
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {rotated}")), 1);
        let created = create(con, "sessions:42 REFRESH 1800");
        advance_to(con, created.int("refresh_expires_at"));
        assert_eq!(int(con, &format!("SESSION.REVOKE {KEY} {}", created.str("refresh_token"))), 1);
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
    });
}

#[test]
fn a_refresh_token_names_the_session_to_spare() {
    on_both(|_, con| {
        let here = create(con, "sessions:42 REFRESH 1000");
        let there = create(con, "sessions:42 REFRESH 1000");
        let token = here.str("refresh_token");
        let refused = refusal(con, ["SESSION.REVOKEUSER", KEY, "EXCEPT", &tampered(&token)]);
        assert_eq!(refused, "ERR EXCEPT is not a valid token of this user: signature");
        assert_eq!(int(con, &format!("SESSION.REVOKEUSER {KEY} EXCEPT {token}")), 1);
        assert_eq!(verdict(con, KEY, &here.str("token")), "active");
        assert_eq!(refreshed(con, there.str("refresh_token")), "user_revoked");
        assert_eq!(refreshed(con, &token), "granted");
    });
}

#[test]
fn a_refresh_token_longer_than_the_setting_allows_is_not_made() {
    on_both(|server, con| {
        let key = format!("sessions:{}", "u".repeat(200));
        let created = create(con, &format!("{key} TOKEN NONE REFRESH 1000"));
        let (token, digest) = (created.str("refresh_token"), server.digest(&key));
        assert!(token.len() > 256);
        crate::steps::set(con, "session.max-token-bytes 256");
        assert_eq!(
            answer_of(con, &format!("SESSION.CREATE {key} TOKEN NONE REFRESH 1000")).unwrap_err(),
            "ERR a token would be longer than session.max-token-bytes, 256"
        );
        assert_eq!(outcome(con, &format!("SESSION.REFRESH {key} {token}")), "malformed");
        assert_eq!(server.digest(&key), digest);
        crate::steps::set(con, "session.max-token-bytes 8192");
    });
}
