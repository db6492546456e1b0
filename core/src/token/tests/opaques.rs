//! Opaque tokens: every malformed shape, every reason, in their order.

use super::*;

/// When the session began and ends.
fn times() -> [u8; 12] {
    [at(NOW), at(NOW + 3600)].map(UnixMillis::to_bytes).as_flattened().try_into().unwrap()
}

/// An opaque token with these parts, authenticated by `kid`, and naming it in the seal.
fn sealed(kid: &str, user: &[u8], id: &[u8]) -> String {
    let mut token = format!("rst1.{}.{}", base64url::encode(user), base64url::encode(id));
    let tag = ring().get(kid).unwrap().own().unwrap().opaque.tag_of(token.as_bytes(), &times());
    write!(token, ".{}", base64url::encode(&[kid.as_bytes(), b"\0", &times(), tag.as_bytes()].concat())).unwrap();
    token
}

#[test]
fn shapes_other_than_four_canonical_parts_are_malformed() {
    let good = opaque();
    let parts: Vec<_> = good.split('.').collect();
    let (user, id, seal) = (parts[1], parts[2], parts[3]);
    for token in [
        "rst1.".into(),
        "rst1...".into(),
        format!("rst1.{user}"),
        format!("rst1.{user}.{id}"),
        format!("rst1.{user}.{id}."),
        format!("rst1..{id}.{seal}"),
        format!("rst1.{user}..{seal}"),
        format!("rst1.{user}.{id}.{seal}.{seal}"),
        format!("rst1..{user}.{id}.{seal}"),
        format!("{good}="),
        format!("{good}\n"),
        format!("rst1.{user}=.{id}.{seal}"),
        format!("rst1.{user}.{id}.{}", base64url::encode(b"no zero byte")),
        format!("rst1.{user}.{id}.{}", base64url::encode(b"k256\0beganexpire")),
        format!("rst1.{user}.{id}.{}", base64url::encode(b"\xff\0tag")),
        sealed("k256", b"", b"id"),
        sealed("k256", b"\xff", b"id"),
        sealed("k256", b"4\n2", b"id"),
        sealed("k256", b"42", b""),
        sealed("k256", b"42", b"a\0"),
        sealed("k256", b"42", &[b'x'; 129]),
    ] {
        assert_eq!(refused(&token), Some(Reason::Malformed), "{token}");
    }
}

#[test]
fn every_reason_comes_in_its_order() {
    let good = opaque();
    let (input, _) = good.rsplit_once('.').unwrap();
    let with_seal = |seal: &[u8]| refused(&format!("{input}.{}", base64url::encode(seal)));
    assert_eq!(with_seal(b"other\0began.expire.tag"), Some(Reason::UnknownKey));
    assert_eq!(with_seal(b"\0began.expire.tag"), Some(Reason::UnknownKey));
    assert_eq!(with_seal(b"k256\0began.expire"), Some(Reason::Signature));
    assert_eq!(with_seal(&[&b"k256\0began.expire"[..], &[0; 32]].concat()), Some(Reason::Signature));
    assert_eq!(with_seal(&[&b"k256\0began.expire"[..], &[0; 31]].concat()), Some(Reason::Signature));
    assert_eq!(refused(&sealed("k256", b"43", b"id")), Some(Reason::Subject));
    assert_eq!(refused(&sealed("k512", b"42", b"id")), None);
}

#[test]
fn a_code_made_for_a_jwt_is_none_for_an_opaque_token() {
    let good = opaque();
    let (input, _) = good.rsplit_once('.').unwrap();
    let tag = ring().get("k256").unwrap().secret().unwrap().jwt.tag_of(input.as_bytes(), &times());
    let token = format!("{input}.{}", base64url::encode(&[b"k256\0", &times()[..], tag.as_bytes()].concat()));
    assert_eq!(refused(&token), Some(Reason::Signature));
}

#[test]
fn the_times_in_the_seal_are_covered_by_the_code() {
    let good = opaque();
    let (input, seal) = good.rsplit_once('.').unwrap();
    let seal = base64url::decode(seal.as_bytes()).unwrap();
    assert_eq!(seal[5..17], times());
    for (at, bit) in (5..17).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut changed = seal.clone();
        changed[at] ^= 1 << bit;
        let token = format!("{input}.{}", base64url::encode(&changed));
        assert_eq!(refused(&token), Some(Reason::Signature), "bit {bit} of byte {at}");
    }
}

#[test]
fn the_end_of_the_session_is_said_and_not_looked_at() {
    for end in [0, NOW - 1, NOW, NOW + 1, NOW + 9999] {
        let token = ring().get("k256").unwrap().sign_opaque(user("42"), &session(), at(NOW), at(end)).unwrap();
        assert_eq!(check(&token).unwrap().expires_at, Some(at(end)));
    }
}

#[test]
fn a_refresh_token_is_of_another_type() {
    assert_eq!(refused("rsr1."), Some(Reason::Type));
    assert_eq!(refused(&opaque().replace("rst1", "rsr1")), Some(Reason::Type));
}

#[test]
fn other_versions_of_the_prefix_are_no_tokens() {
    for prefix in ["rst2", "RST1", "rst"] {
        assert_eq!(refused(&opaque().replace("rst1", prefix)), Some(Reason::Malformed), "{prefix}");
    }
}
