//! Which session a token names, for revoking it.

use super::*;

fn named(token: &str) -> Result<Verified, Reason> {
    let policy = TokenPolicy {
        token_type: Some("at+jwt".into()),
        issuer: Some("i".into()),
        audience: Some("a".into()),
        ..TokenPolicy::default()
    };
    verifier(&policy).identify(user("42"), token.as_bytes()).map_err(Cause::reason)
}

fn of_jwt(issued: Issued, expires_at: u64) -> Result<Verified, Reason> {
    let id = SessionId::from_text(b"s").unwrap();
    Ok(Verified {
        id,
        kind: TokenKind::Jwt,
        maker: Maker::Application,
        issued,
        expires_at: Some(UnixMillis::new(expires_at).unwrap()),
    })
}

#[test]
fn every_kind_of_token_names_its_session() {
    let (issued, expires_at) = (Issued::ForSessionOf(at(NOW)), Some(at(NOW + 3600)));
    let verified = |kind, expires_at| Ok(Verified { id: session(), kind, maker: Maker::Here, issued, expires_at });
    assert_eq!(named(&jwt()), verified(TokenKind::Jwt, expires_at));
    assert_eq!(named(&opaque()).map(|token| token.kind), Ok(TokenKind::Opaque));
    let refresh = ring().get("k256").unwrap().sign_refresh(user("42"), &session(), 7, at(NOW)).unwrap();
    assert_eq!(named(&refresh), verified(TokenKind::Refresh, None));
}

#[test]
fn times_type_issuer_and_audience_are_not_looked_at() {
    let undated = Issued::InSecondOf(UnixMillis::ZERO);
    for (claims, expected) in [
        (r#""sid":"s","exp":0"#, of_jwt(undated, 0)),
        (r#""sid":"s","exp":281474976710,"nbf":281474976710"#, of_jwt(undated, 281_474_976_710_000)),
        (r#""sid":"s","exp":1,"iat":281474976710"#, of_jwt(Issued::InSecondOf(at(281_474_976_710)), 1000)),
        (r#""sid":"s","exp":1,"iss":"other","aud":"other""#, of_jwt(undated, 1000)),
        // These do count.
        (r#""sid":"s""#, Err(Reason::Malformed)),
        (r#""sid":"","exp":1"#, Err(Reason::Malformed)),
    ] {
        assert_eq!(named(&with(claims)), expected, "{claims}");
    }
}

#[test]
fn a_token_that_is_not_this_users_or_not_signed_names_none() {
    let claims = r#"{"sub":"43","exp":1,"iss":"other","sid":"s"}"#;
    assert_eq!(named(&signed("k256", HEADER, claims)), Err(Reason::Subject));
    assert_eq!(named(&signed("k512", HEADER, claims)), Err(Reason::Signature));
    assert_eq!(named(&signed("k256", r#"{"alg":"HS256","kid":"other"}"#, claims)), Err(Reason::UnknownKey));
    assert_eq!(named(&signed("k256", r#"{"alg":"none"}"#, claims)), Err(Reason::Algorithm));
    let key = ring();
    let key = key.get("k256").unwrap();
    for other in [
        key.sign_opaque(user("43"), &session(), at(NOW), at(NOW)).unwrap(),
        key.sign_refresh(user("43"), &session(), 7, at(NOW)).unwrap(),
    ] {
        assert_eq!(named(&other), Err(Reason::Subject), "{other}");
    }
    for malformed in ["", "a.b.c", "rst1.", "rsr1.", "rsr1.NDI"] {
        assert_eq!(named(malformed), Err(Reason::Malformed), "{malformed}");
    }
    let long = TokenPolicy { max_token_bytes: 20, ..TokenPolicy::default() };
    for token in [jwt(), opaque(), opaque().replace("rst1", "rsr1")] {
        assert_eq!(verifier(&long).identify(user("42"), token.as_bytes()), Err(Cause::MalformedTooLong), "{token}");
    }
}

#[test]
fn without_keys_nothing_is_good() {
    let mut verifier = Verifier::default();
    assert!(verifier.ring().is_none());
    let refresh = ring().get("k256").unwrap().sign_refresh(user("42"), &session(), 7, at(NOW)).unwrap();
    for token in [jwt(), opaque(), refresh] {
        assert_eq!(verifier.identify(user("42"), token.as_bytes()), Err(Cause::UnknownKeyKid));
        assert_eq!(verifier.verify(user("42"), token.as_bytes(), None, at(NOW)), Err(Cause::UnknownKeyKid));
        assert_eq!(verifier.verify_refresh(user("42"), token.as_bytes()), Err(Cause::UnknownKeyKid));
    }
    verifier.set_ring(ring());
    assert!(verifier.verify(user("42"), jwt().as_bytes(), None, at(NOW)).is_ok());
}
