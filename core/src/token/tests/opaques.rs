//! Opaque tokens: every malformed shape, every reason, in their order.

use super::*;

/// An opaque token with these parts, authenticated by `kid`, and naming it in the seal.
fn sealed(kid: &str, user: &[u8], id: &[u8]) -> String {
    let mut token = format!("rst1.{}.{}", base64url::encode(user), base64url::encode(id));
    let began_at = at(NOW).to_bytes();
    let tag = ring().get(kid).unwrap().secret().unwrap().opaque.tag_of(token.as_bytes(), &began_at);
    write!(token, ".{}", base64url::encode(&[kid.as_bytes(), b"\0", &began_at, tag.as_bytes()].concat())).unwrap();
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
        format!("rst1.{user}.{id}.{}", base64url::encode(b"k256\0began")),
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
    assert_eq!(with_seal(b"other\0began.tag"), Some(Reason::UnknownKey));
    assert_eq!(with_seal(b"\0began.tag"), Some(Reason::UnknownKey));
    assert_eq!(with_seal(b"k256\0began."), Some(Reason::Signature));
    assert_eq!(with_seal(&[&b"k256\0began."[..], &[0; 32]].concat()), Some(Reason::Signature));
    assert_eq!(with_seal(&[&b"k256\0began."[..], &[0; 31]].concat()), Some(Reason::Signature));
    assert_eq!(refused(&sealed("k256", b"43", b"id")), Some(Reason::Subject));
    assert_eq!(refused(&sealed("k512", b"42", b"id")), None);
}

#[test]
fn a_code_made_for_a_jwt_is_none_for_an_opaque_token() {
    let good = opaque();
    let (input, _) = good.rsplit_once('.').unwrap();
    let began_at = at(NOW).to_bytes();
    let tag = ring().get("k256").unwrap().secret().unwrap().jwt.tag_of(input.as_bytes(), &began_at);
    let token = format!("{input}.{}", base64url::encode(&[b"k256\0", &began_at[..], tag.as_bytes()].concat()));
    assert_eq!(refused(&token), Some(Reason::Signature));
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
