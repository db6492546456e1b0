//! What the ring signs verifies, for any user, session and claims.

use super::*;

#[test]
fn a_jwt_of_every_algorithm_verifies() {
    for key in ring().keys() {
        let token = key.sign_jwt(&new_token(&session())).unwrap();
        let expected = Verified {
            id: session(),
            kind: TokenKind::Jwt,
            maker: Maker::Here,
            issued: Issued::ForSessionOf(at(NOW)),
            expires_at: Some(at(NOW + 3600)),
        };
        assert_eq!(check(&token), Ok(expected), "{key:?}");
    }
}

#[test]
fn an_opaque_token_of_every_algorithm_verifies() {
    for key in ring().keys() {
        let token = key.sign_opaque(user("42"), &session(), at(NOW), at(NOW + 3600)).unwrap();
        assert!(token.starts_with("rst1.NDI."), "{token}");
        let expected = Verified {
            id: session(),
            kind: TokenKind::Opaque,
            maker: Maker::Here,
            issued: Issued::ForSessionOf(at(NOW)),
            expires_at: Some(at(NOW + 3600)),
        };
        assert_eq!(expected.own_expiry(), None);
        assert_eq!(check(&token), Ok(expected), "{key:?}");
    }
}

#[test]
fn the_claims_have_their_order_and_the_callers_come_last() {
    let claims = Claims::parse(br#" { "role": "admin" } "#).unwrap();
    let session = session();
    let token = NewToken {
        issuer: Some("me\"e"),
        audience: Some("api"),
        claims: Some(&claims),
        issued_at: UnixMillis::new(1_999).unwrap(),
        expires_at: UnixMillis::new(9_999).unwrap(),
        auth_time: UnixMillis::new(1_999).unwrap(),
        level: 2,
        ..new_token(&session)
    };
    let token = ring().signing_key().unwrap().sign_jwt(&token).unwrap();
    let parts: Vec<_> = token.split('.').map(|part| base64url::decode(part.as_bytes()).unwrap()).collect();
    assert_eq!(String::from_utf8_lossy(&parts[0]), HEADER);
    assert_eq!(
        String::from_utf8_lossy(&parts[1]),
        r#"{"iss":"me\"e","sub":"42","aud":"api","exp":9,"iat":1,"jti":"AYvP5WgAAAAAAA60f66gY8mD","sid":"AAECAwQFBgcICQoLDA0ODw","auth_time":1,"acr":"http://idmanagement.gov/ns/assurance/aal/2","role": "admin"}"#
    );
}

#[test]
fn empty_claims_add_nothing() {
    let (session, claims) = (session(), Claims::parse(b"{}").unwrap());
    let token = NewToken { claims: Some(&claims), ..new_token(&session) };
    assert_eq!(ring().signing_key().unwrap().sign_jwt(&token).unwrap(), jwt());
}

#[test]
fn a_key_that_only_verifies_signs_nothing() {
    let json = format!(
        r#"{{"keys":[{{"kty":"oct","kid":"k256","alg":"HS256","k":"{}","key_ops":["verify"]}}]}}"#,
        "Q".repeat(64)
    );
    let ring = Arc::new(KeyRing::from_jwk_set(json.as_bytes(), None).unwrap());
    let key = ring.get("k256").unwrap();
    assert!(key.sign_jwt(&new_token(&session())).is_none());
    assert!(key.sign_opaque(user("42"), &session(), at(NOW), at(NOW)).is_none());
    for token in [jwt(), opaque()] {
        let mut verifier = Verifier::new(Arc::clone(&ring), TokenPolicy::default());
        let found = verifier.verify(user("42"), token.as_bytes(), None, at(NOW));
        assert_eq!(found.unwrap().id, session());
    }
}

proptest! {
    #[test]
    fn any_user_session_and_claims_come_back(
        name in "[^\\p{Cc}{][^\\p{Cc}]{0,39}", id in "[^\\p{Cc}]{1,30}", generation: u32, issuer: String, value: String
    ) {
        let id = SessionId::from_text(id.as_bytes()).unwrap();
        let claims = serde_json::json!({ "value": value, "nested": [{ "value": value }] }).to_string();
        let claims = Claims::parse(claims.as_bytes()).unwrap();
        let token = NewToken {
            subject: user(&name), session: &id, generation, issuer: Some(&issuer), audience: Some(&value),
            claims: Some(&claims), ..new_token(&id)
        };
        let policy = TokenPolicy { issuer: Some(issuer.clone()), ..TokenPolicy::default() };
        let (ring, mut verifier) = (ring(), verifier(&policy));
        for key in ring.keys() {
            let opaque = key.sign_opaque(user(&name), &id, at(NOW), at(NOW)).unwrap();
            for token in [key.sign_jwt(&token).unwrap(), opaque] {
                let found = verifier.verify(user(&name), token.as_bytes(), Some(&value), at(NOW));
                prop_assert_eq!(found.map(|found| found.id), Ok(id.clone()));
            }
        }
    }
}
