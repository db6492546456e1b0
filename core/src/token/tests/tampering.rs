//! No token one byte away from a good one verifies, and no bytes at all panic.

use super::*;

/// Every byte of a token changed to every other, left out, and each byte put in everywhere.
fn nothing_near_verifies(token: &str) {
    let mut verifier = verifier(&TokenPolicy::default());
    let mut accepted = |bytes: &[u8]| verifier.verify(user("42"), bytes, None, at(NOW)).is_ok();
    let token = token.as_bytes();
    assert!(accepted(token));
    for at in 0..token.len() {
        let (before, behind) = (&token[..at], &token[at + 1..]);
        assert!(!accepted(before));
        assert!(!accepted(&[before, behind].concat()));
        for byte in 0..=u8::MAX {
            assert!(!accepted(&[before, &[byte], &token[at..]].concat()), "{byte} put in at {at}");
            assert!(byte == token[at] || !accepted(&[before, &[byte], behind].concat()), "{byte} at {at}");
        }
    }
    for byte in 0..=u8::MAX {
        assert!(!accepted(&[token, &[byte]].concat()), "{byte} appended");
    }
}

#[test]
fn no_jwt_one_byte_away_verifies() {
    nothing_near_verifies(&jwt());
    nothing_near_verifies(&with(r#""exp":1700000001"#));
}

#[test]
fn no_opaque_token_one_byte_away_verifies() {
    nothing_near_verifies(&opaque());
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes: Vec<u8>, header: Vec<u8>, payload: Vec<u8>, text in "[rst1.eyJ-_A=]{0,60}") {
        let mut verifier = verifier(&TokenPolicy::default());
        let opaque = [b"rst1.", bytes.as_slice()].concat();
        let foreign = signed("k256", &header, &payload);
        let broken_payload = signed("k256", HEADER, &payload);
        for token in [&bytes, &opaque, text.as_bytes(), foreign.as_bytes(), broken_payload.as_bytes()] {
            let found = verifier.verify(user("42"), token, None, at(NOW));
            prop_assert!(found.is_err());
        }
    }
}
