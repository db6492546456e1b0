//! Refresh tokens: what they say, every malformed shape, every reason.

use super::*;

fn refresh(generation: u32) -> String {
    ring().get("k256").unwrap().sign_refresh(user("42"), &session(), generation, at(NOW)).unwrap()
}

fn check(token: &str) -> Result<RefreshToken, Reason> {
    verifier(&TokenPolicy::default()).verify_refresh(user("42"), token.as_bytes()).map_err(Cause::reason)
}

#[test]
fn a_refresh_token_says_its_session_and_generation_and_is_the_same_each_time() {
    for generation in [0, 1, u32::MAX] {
        assert_eq!(
            check(&refresh(generation)),
            Ok(RefreshToken { id: session(), generation, session_began_at: at(NOW) })
        );
        assert_eq!(refresh(generation), refresh(generation));
    }
    assert_ne!(refresh(0), refresh(1));
}

#[test]
fn shapes_other_than_five_canonical_parts_are_malformed() {
    let good = refresh(7);
    let parts: Vec<_> = good.split('.').collect();
    let (user, id, generation, seal) = (parts[1], parts[2], parts[3], parts[4]);
    for token in [
        "".into(),
        "rsr1.".into(),
        "rsr1....".into(),
        format!("rsr1.{user}.{id}.{seal}"),
        format!("rsr1.{user}.{id}.{generation}"),
        format!("rsr1.{user}.{id}.{generation}.{seal}.{seal}"),
        format!("rsr1.{user}.{id}..{seal}"),
        format!("rsr1.{user}.{id}.AAAA.{seal}"),
        format!("rsr1.{user}.{id}.AAAAAAA.{seal}"),
        format!("rsr1..{id}.{generation}.{seal}"),
        format!("{good}="),
        good.replace("rsr1", "rsr2"),
        "x".repeat(9000),
    ] {
        assert_eq!(check(&token), Err(Reason::Malformed), "{token}");
    }
}

#[test]
fn every_reason_comes_in_its_order() {
    assert_eq!(check(&jwt()), Err(Reason::Type));
    assert_eq!(check(&opaque()), Err(Reason::Type));
    let good = refresh(7);
    let (input, _) = good.rsplit_once('.').unwrap();
    let with_seal = |seal: &[u8]| check(&format!("{input}.{}", base64url::encode(seal)));
    assert_eq!(with_seal(b"other\0began.tag"), Err(Reason::UnknownKey));
    assert_eq!(with_seal(&[&b"k256\0began."[..], &[0; 32]].concat()), Err(Reason::Signature));
    let ring = ring();
    let key = ring.get("k256").unwrap();
    for other in [&key.own().unwrap().opaque, &key.secret().unwrap().jwt] {
        let began_at = at(NOW).to_bytes();
        let tag = other.tag_of(input.as_bytes(), &began_at);
        let seal = [b"k256\0", &began_at[..], tag.as_bytes()].concat();
        assert_eq!(with_seal(&seal), Err(Reason::Signature), "the code of another kind of credential");
    }
    let foreign = ring.get("k256").unwrap().sign_refresh(user("43"), &session(), 7, at(NOW)).unwrap();
    assert_eq!(check(&foreign), Err(Reason::Subject));
}

#[test]
fn no_refresh_token_one_byte_away_verifies() {
    let (mut verifier, token) = (verifier(&TokenPolicy::default()), refresh(7));
    let mut accepted = |bytes: &[u8]| verifier.verify_refresh(user("42"), bytes).is_ok();
    assert!(accepted(token.as_bytes()));
    for at in 0..token.len() {
        for byte in (0..=u8::MAX).filter(|byte| *byte != token.as_bytes()[at]) {
            let mut changed = token.clone().into_bytes();
            changed[at] = byte;
            assert!(!accepted(&changed), "{byte} at {at}");
        }
    }
}
