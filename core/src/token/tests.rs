//! What signs verifies, and nothing else does: every reason, every malformed shape, every changed byte.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::{Reason, SessionId, Subject, UnixMillis, base64url};

const SESSION: &str = "AAECAwQFBgcICQoLDA0ODw";
/// Seconds.
const NOW: u64 = 1_700_000_000;

fn at(seconds: u64) -> UnixMillis {
    UnixMillis::from_secs(seconds).unwrap()
}

fn user(name: &str) -> Subject<'_> {
    Subject::new(name.as_bytes()).unwrap()
}

/// Keys `k256`, `k384` and `k512`.
fn ring() -> KeyRing {
    let keys = [("256", 64), ("384", 64), ("512", 86)].map(|(bits, letters)| {
        let secret = "Q".repeat(letters);
        format!(r#"{{"kty":"oct","kid":"k{bits}","alg":"HS{bits}","k":"{secret}"}}"#)
    });
    KeyRing::from_jwk_set(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes(), None).unwrap()
}

fn new_token(session: &SessionId) -> NewToken<'_> {
    NewToken {
        subject: user("42"),
        session,
        token_id: "t-1",
        issued_at: at(NOW),
        expires_at: at(NOW + 3600),
        issuer: None,
        audience: None,
        claims: None,
    }
}

fn session() -> SessionId {
    SessionId::from_text(SESSION.as_bytes()).unwrap()
}

fn jwt() -> String {
    ring().signing_key().unwrap().sign_jwt(&new_token(&session())).unwrap()
}

fn opaque() -> String {
    ring().signing_key().unwrap().sign_opaque(user("42"), &session()).unwrap()
}

/// A JWT with these texts, signed by `kid`.
fn signed(kid: &str, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let mut token = format!("{}.{}", base64url::encode(header.as_ref()), base64url::encode(payload.as_ref()));
    let tag = ring().get(kid).unwrap().jwt().tag(token.as_bytes());
    write!(token, ".{}", base64url::encode(tag.as_bytes())).unwrap();
    token
}

const HEADER: &str = r#"{"alg":"HS256","kid":"k256","typ":"JWT"}"#;

/// A token of user 42 with `claims` beside `sub`, by a foreign signer who orders the header in another way.
fn with(claims: &str) -> String {
    signed("k256", r#"{"typ":"JWT","kid":"k256","alg":"HS256"}"#, format!(r#"{{"sub":"42",{claims}}}"#))
}

fn check_by(policy: &TokenPolicy, token: &str) -> Result<Verified, Reason> {
    verify(&ring(), policy, user("42"), token.as_bytes(), None, at(NOW), &mut Scratch::default())
}

fn check(token: &str) -> Result<Verified, Reason> {
    check_by(&TokenPolicy::default(), token)
}

fn refused(token: &str) -> Option<Reason> {
    check(token).err()
}

mod signing {
    use super::*;

    #[test]
    fn a_jwt_of_every_algorithm_verifies() {
        for key in ring().keys() {
            let token = key.sign_jwt(&new_token(&session())).unwrap();
            let expected = Verified {
                id: session(),
                kind: TokenKind::Jwt,
                issued_at: Some(at(NOW)),
                expires_at: Some(at(NOW + 3600)),
            };
            assert_eq!(check(&token), Ok(expected), "{key:?}");
        }
    }

    #[test]
    fn an_opaque_token_of_every_algorithm_verifies() {
        for key in ring().keys() {
            let token = key.sign_opaque(user("42"), &session()).unwrap();
            assert!(token.starts_with("rst1.NDI."), "{token}");
            let expected = Verified { id: session(), kind: TokenKind::Opaque, issued_at: None, expires_at: None };
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
            ..new_token(&session)
        };
        let token = ring().signing_key().unwrap().sign_jwt(&token).unwrap();
        let parts: Vec<_> = token.split('.').map(|part| base64url::decode(part.as_bytes()).unwrap()).collect();
        assert_eq!(String::from_utf8_lossy(&parts[0]), HEADER);
        assert_eq!(
            String::from_utf8_lossy(&parts[1]),
            r#"{"iss":"me\"e","sub":"42","aud":"api","exp":9,"iat":1,"jti":"t-1","sid":"AAECAwQFBgcICQoLDA0ODw","role": "admin"}"#
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
        let ring = KeyRing::from_jwk_set(json.as_bytes(), None).unwrap();
        let key = ring.get("k256").unwrap();
        assert!(key.sign_jwt(&new_token(&session())).is_none());
        assert!(key.sign_opaque(user("42"), &session()).is_none());
        for token in [jwt(), opaque()] {
            let policy = TokenPolicy::default();
            let found = verify(&ring, &policy, user("42"), token.as_bytes(), None, at(NOW), &mut Scratch::default());
            assert_eq!(found.unwrap().id, session());
        }
    }

    proptest! {
        #[test]
        fn any_user_session_and_claims_come_back(
            name in "[^\\p{Cc}]{1,40}", id in "[^\\p{Cc}]{1,30}", jti: String, issuer: String, value: String
        ) {
            let id = SessionId::from_text(id.as_bytes()).unwrap();
            let claims = serde_json::json!({ "value": value, "nested": [{ "value": value }] }).to_string();
            let claims = Claims::parse(claims.as_bytes()).unwrap();
            let token = NewToken {
                subject: user(&name), session: &id, token_id: &jti, issuer: Some(&issuer), audience: Some(&value),
                claims: Some(&claims), ..new_token(&id)
            };
            let policy = TokenPolicy { issuer: Some(issuer.clone()), ..TokenPolicy::default() };
            let (ring, mut scratch) = (ring(), Scratch::default());
            for key in ring.keys() {
                for token in [key.sign_jwt(&token).unwrap(), key.sign_opaque(user(&name), &id).unwrap()] {
                    let found = verify(
                        &ring, &policy, user(&name), token.as_bytes(), Some(&value), at(NOW), &mut scratch
                    );
                    prop_assert_eq!(found.map(|found| found.id), Ok(id.clone()));
                    let routed = unverified_subject(token.as_bytes());
                    prop_assert_eq!(routed.as_deref(), Some(name.as_str()));
                }
            }
        }
    }
}

mod tampering {
    use super::*;

    /// Every byte of a token changed to every other, left out, and each byte put in everywhere.
    fn nothing_near_verifies(token: &str) {
        let (ring, policy, mut scratch) = (ring(), TokenPolicy::default(), Scratch::default());
        let mut accepted =
            |bytes: &[u8]| verify(&ring, &policy, user("42"), bytes, None, at(NOW), &mut scratch).is_ok();
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
            let (ring, policy, mut scratch) = (ring(), TokenPolicy::default(), Scratch::default());
            let opaque = [b"rst1.", bytes.as_slice()].concat();
            let foreign = signed("k256", &header, &payload);
            let broken_payload = signed("k256", HEADER, &payload);
            for token in [&bytes, &opaque, text.as_bytes(), foreign.as_bytes(), broken_payload.as_bytes()] {
                let found = verify(&ring, &policy, user("42"), token, None, at(NOW), &mut scratch);
                prop_assert!(found.is_err());
                let _ = unverified_subject(token);
            }
        }
    }
}

mod jwts {
    use super::*;

    #[test]
    fn shapes_other_than_three_canonical_parts_are_malformed() {
        let good = jwt();
        let (header, rest) = good.split_once('.').unwrap();
        let (payload, signature) = rest.split_once('.').unwrap();
        for token in [
            String::new(),
            ".".into(),
            "..".into(),
            "...".into(),
            header.into(),
            format!("{header}.{payload}"),
            format!("{header}.{payload}."),
            format!("{header}..{signature}"),
            format!(".{payload}.{signature}"),
            format!("{good}."),
            format!("{good}.{signature}"),
            format!(".{good}"),
            format!("{header}..{payload}.{signature}"),
            format!("{good}="),
            format!("{good} "),
            format!(" {good}"),
            format!("{good}\n"),
            format!("{header}=.{payload}.{signature}"),
            format!("{header}.{payload}=.{signature}"),
            format!("{header}.{payload}.{}", signature.replace(['A', 'Q', 'g', 'w'], "+")),
            format!("Bearer {good}"),
        ] {
            assert_eq!(refused(&token), Some(Reason::Malformed), "{token:?}");
        }
    }

    #[test]
    fn stray_bits_behind_the_signature_are_malformed() {
        let good = jwt();
        let (start, last) = good.split_at(good.len() - 1);
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let value = alphabet.iter().position(|letter| letter == &last.as_bytes()[0]).unwrap();
        let respelled = format!("{start}{}", char::from(alphabet[value + 1]));
        assert_eq!(refused(&respelled), Some(Reason::Malformed));
    }

    #[test]
    fn a_token_is_bounded_in_bytes() {
        let token = jwt();
        let policy = |max_token_bytes| TokenPolicy { max_token_bytes, ..TokenPolicy::default() };
        assert!(check_by(&policy(token.len()), &token).is_ok());
        assert_eq!(check_by(&policy(token.len() - 1), &token), Err(Reason::Malformed));
    }

    #[test]
    fn a_header_that_is_no_strict_object_is_malformed() {
        let deep = format!(r#"{{"alg":"HS256","kid":"k256","x":{}1{}}}"#, "[".repeat(16), "]".repeat(16));
        let too_long = format!("{HEADER}{HEADER}");
        for header in [
            "1",
            "[]",
            "null",
            r#""HS256""#,
            "{}",
            r#"{"kid":"k256"}"#,
            r#"{"alg":1,"kid":"k256"}"#,
            r#"{"alg":null,"kid":"k256"}"#,
            r#"{"alg":["HS256"],"kid":"k256"}"#,
            r#"{"alg":"HS256","kid":1}"#,
            r#"{"alg":"HS256","kid":null}"#,
            r#"{"alg":"HS256","kid":["k256"]}"#,
            r#"{"alg":"HS256","alg":"HS256","kid":"k256"}"#,
            r#"{"alg":"HS256","\u0061lg":"none","kid":"k256"}"#,
            r#"{"alg":"HS256","kid":"k256","jwk":{"k":"","k":""}}"#,
            r#"{"alg":"HS256","kid":"k256"} x"#,
            r#"{"alg":"HS256","kid":"k256""#,
            r#"{"alg":"HS256","kid":"k256","crit":["exp"]}"#,
            r#"{"alg":"HS256","kid":"k256","crit":[]}"#,
            r#"{"alg":"HS256","kid":"k256","crit":null}"#,
            r#"{"alg":"HS256","kid":"k256","b64":true}"#,
            r#"{"alg":"HS256","kid":"k256","b64":false}"#,
            &deep,
            &too_long,
        ] {
            let token = signed("k256", header, r#"{"sub":"42","exp":1700000001}"#);
            assert_eq!(refused(&token), Some(Reason::Malformed), "{header}");
        }
        let token =
            signed("k256", b"{\"alg\":\"HS256\",\"kid\":\"k256\",\"x\":\"\xff\"}", r#"{"sub":"42","exp":1700000001}"#);
        assert_eq!(refused(&token), Some(Reason::Malformed));
    }

    #[test]
    fn algorithms_that_are_not_the_keys_are_refused() {
        for alg in ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS257", "RS256", "ES256", "HS384", "HS512"]
        {
            let header = format!(r#"{{"alg":"{alg}","kid":"k256"}}"#);
            let token = signed("k256", header, r#"{"sub":"42","exp":1700000001}"#);
            assert_eq!(refused(&token), Some(Reason::Algorithm), "{alg:?}");
        }
        let token = signed("k256", r#"{"alg":"none","kid":"other"}"#, "{}");
        assert_eq!(refused(&token), Some(Reason::Algorithm), "before the key is looked for");
    }

    #[test]
    fn a_key_is_found_by_kid_or_by_being_the_only_one_that_fits() {
        let payload = r#"{"sub":"42","exp":1700000001}"#;
        for kid in ["", "other", "K256", "k256 ", "k25"] {
            let token = signed("k256", format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), payload);
            assert_eq!(refused(&token), Some(Reason::UnknownKey), "{kid:?}");
        }
        assert_eq!(refused(&signed("k384", r#"{"alg":"HS384"}"#, payload)), None);
        assert_eq!(refused(&signed("k256", r#"{"alg":"HS384"}"#, payload)), Some(Reason::Signature));

        let json =
            ["a", "b"].map(|kid| format!(r#"{{"kty":"oct","kid":"{kid}","alg":"HS256","k":"{}"}}"#, "Q".repeat(64)));
        let two = KeyRing::from_jwk_set(format!(r#"{{"keys":[{}]}}"#, json.join(",")).as_bytes(), None).unwrap();
        for alg in ["HS256", "HS384"] {
            let token = signed("k256", format!(r#"{{"alg":"{alg}"}}"#), payload);
            let found = verify(
                &two,
                &TokenPolicy::default(),
                user("42"),
                token.as_bytes(),
                None,
                at(NOW),
                &mut Scratch::default(),
            );
            assert_eq!(found, Err(Reason::UnknownKey), "{alg}");
        }
    }

    #[test]
    fn keys_that_a_header_brings_along_are_ignored() {
        let header = r#"{"alg":"HS256","kid":"k256","jwk":{"kty":"oct","k":"AAAA"},"jku":"https://a.example/","x5u":"https://a.example/","x5c":["AAAA"]}"#;
        assert_eq!(refused(&signed("k256", header, r#"{"sub":"42","exp":1700000001}"#)), None);
        assert_eq!(refused(&signed("k512", header, r#"{"sub":"42","exp":1700000001}"#)), Some(Reason::Signature));
    }

    #[test]
    fn a_signature_by_another_key_or_of_another_length_is_refused() {
        let good = jwt();
        let (input, _) = good.rsplit_once('.').unwrap();
        for kid in ["k384", "k512"] {
            assert_eq!(refused(&signed(kid, HEADER, r#"{"sub":"42","exp":1700000001}"#)), Some(Reason::Signature));
        }
        for signature in [&[0; 32][..], &[0; 31], &[0; 33], &[0; 1], &[0; 600]] {
            assert_eq!(refused(&format!("{input}.{}", base64url::encode(signature))), Some(Reason::Signature));
        }
    }

    #[test]
    fn a_payload_is_not_read_before_its_signature_is_right() {
        assert_eq!(refused(&signed("k384", HEADER, "no object")), Some(Reason::Signature));
        assert_eq!(refused(&signed("k256", HEADER, "no object")), Some(Reason::Malformed));
    }

    #[test]
    fn claims_of_the_wrong_type_are_malformed() {
        for claims in [
            r#""iat":1"#,
            r#""exp":"1700000001""#,
            r#""exp":null"#,
            r#""exp":-1"#,
            r#""exp":1e300"#,
            r#""exp":281474976711"#,
            r#""exp":1700000001,"exp":1700000001"#,
            r#""exp":1700000001,"nbf":"1""#,
            r#""exp":1700000001,"nbf":null"#,
            r#""exp":1700000001,"iat":true"#,
            r#""exp":1700000001,"iss":1"#,
            r#""exp":1700000001,"aud":1"#,
            r#""exp":1700000001,"aud":["a",1]"#,
            r#""exp":1700000001,"jti":1"#,
            r#""exp":1700000001,"sid":null"#,
            r#""exp":1700000001,"sid":"""#,
            r#""exp":1700000001,"sid":"a\nb","jti":"good""#,
            r#""exp":1700000001,"jti":"a\u0000""#,
            r#""exp":1700000001,"x":{"a":1,"a":1}"#,
            // The reason comes before those that good claims could have.
            r#""exp":1,"sid":"""#,
        ] {
            assert_eq!(refused(&with(claims)), Some(Reason::Malformed), "{claims}");
        }
        let long = format!(r#""exp":1700000001,"sid":"{}""#, "x".repeat(129));
        assert_eq!(refused(&with(&long)), Some(Reason::Malformed));
        assert_eq!(refused(&signed("k256", HEADER, r#"{"sub":42,"exp":1700000001}"#)), Some(Reason::Malformed));
        for payload in ["", "[]", "null", "{}x", "{"] {
            let expected = Some(Reason::Malformed);
            assert_eq!(refused(&signed("k256", HEADER, payload)), expected, "{payload}");
        }
    }

    #[test]
    fn a_token_is_dead_on_its_expiry() {
        assert_eq!(refused(&with(r#""exp":1700000001"#)), None);
        assert_eq!(refused(&with(r#""exp":1700000000.001"#)), None);
        assert_eq!(refused(&with(r#""exp":1700000000"#)), Some(Reason::TokenExpired));
        assert_eq!(refused(&with(r#""exp":0"#)), Some(Reason::TokenExpired));
        let lenient = TokenPolicy { leeway_secs: 10, ..TokenPolicy::default() };
        assert!(check_by(&lenient, &with(r#""exp":1699999991"#)).is_ok());
        assert_eq!(check_by(&lenient, &with(r#""exp":1699999990"#)), Err(Reason::TokenExpired));
        let endless = TokenPolicy { leeway_secs: u32::MAX, ..TokenPolicy::default() };
        assert!(check_by(&endless, &with(r#""exp":281474976710"#)).is_ok());
    }

    #[test]
    fn a_token_from_the_future_is_not_yet_valid() {
        let lenient = TokenPolicy { leeway_secs: 10, ..TokenPolicy::default() };
        for name in ["nbf", "iat"] {
            let starting = |seconds: &str| with(&format!(r#""exp":1800000000,"{name}":{seconds}"#));
            assert_eq!(refused(&starting("1700000000")), None);
            assert_eq!(refused(&starting("1700000000.001")), Some(Reason::NotYetValid));
            assert_eq!(refused(&starting("1700000001")), Some(Reason::NotYetValid));
            assert!(check_by(&lenient, &starting("1700000010")).is_ok());
            assert_eq!(check_by(&lenient, &starting("1700000011")), Err(Reason::NotYetValid));
        }
    }

    #[test]
    fn the_issuer_is_compared_if_one_is_set() {
        let policy = TokenPolicy { issuer: Some("https://a.example".into()), ..TokenPolicy::default() };
        assert!(check_by(&policy, &with(r#""exp":1700000001,"iss":"https://a.example""#)).is_ok());
        assert!(check_by(&policy, &with(r#""exp":1700000001,"iss":"https:\/\/a.example""#)).is_ok());
        for iss in
            [r#""exp":1700000001"#, r#""exp":1700000001,"iss":"""#, r#""exp":1700000001,"iss":"https://a.example/""#]
        {
            assert_eq!(check_by(&policy, &with(iss)), Err(Reason::Issuer), "{iss}");
        }
        assert_eq!(refused(&with(r#""exp":1700000001,"iss":"anyone""#)), None);
    }

    #[test]
    fn the_audience_of_the_call_comes_before_the_policys() {
        let policy = TokenPolicy { audience: Some("web".into()), ..TokenPolicy::default() };
        let asked = |token: &str, audience: Option<&str>| {
            verify(&ring(), &policy, user("42"), token.as_bytes(), audience, at(NOW), &mut Scratch::default()).err()
        };
        let (web, both, none) = (
            with(r#""exp":1700000001,"aud":"web""#),
            with(r#""exp":1700000001,"aud":["api","web"]"#),
            with(r#""exp":1700000001"#),
        );
        assert_eq!(asked(&web, None), None);
        assert_eq!(asked(&web, Some("api")), Some(Reason::Audience));
        assert_eq!(asked(&both, Some("api")), None);
        assert_eq!(asked(&none, None), Some(Reason::Audience));
        assert_eq!(refused(&both), None);
    }

    #[test]
    fn the_subject_is_the_unescaped_text() {
        let of = |sub: &str| refused(&signed("k256", HEADER, format!(r#"{{"exp":1700000001{sub}}}"#)));
        assert_eq!(of(r#","sub":"42""#), None);
        assert_eq!(of(r#","sub":"\u00342""#), None);
        for sub in ["", r#","sub":"""#, r#","sub":"43""#, r#","sub":"42 ""#, r#","sub":"42\u0000""#] {
            assert_eq!(of(sub), Some(Reason::Subject), "{sub}");
        }
    }

    #[test]
    fn the_session_is_sid_or_jti_or_a_hash_of_what_is_signed() {
        let id = |claims: &str| check(&with(claims)).unwrap().id.to_string();
        assert_eq!(id(r#""exp":1700000001,"jti":"j","sid":"s""#), "s");
        assert_eq!(id(r#""exp":1700000001,"jti":"j""#), "j");
        assert_eq!(id(r#""exp":1700000001,"jti":"\u006a""#), "j");
        assert_eq!(id(r#""exp":1700000001,"jti":"","sid":"s""#), "s");

        use sha2::Digest as _;
        let token = with(r#""exp":1700000001"#);
        let (input, _) = token.rsplit_once('.').unwrap();
        let hash = base64url::encode(&sha2::Sha256::digest(input)[..16]);
        assert_eq!(id(r#""exp":1700000001"#), hash);
    }

    #[test]
    fn reasons_come_in_their_order() {
        let policy = TokenPolicy { issuer: Some("i".into()), audience: Some("a".into()), ..TokenPolicy::default() };
        let refused = |payload: &str| check_by(&policy, &signed("k256", HEADER, payload)).unwrap_err();
        assert_eq!(refused(r#"{"exp":1,"nbf":1800000000}"#), Reason::TokenExpired);
        assert_eq!(refused(r#"{"exp":1800000001,"nbf":1800000000}"#), Reason::NotYetValid);
        assert_eq!(refused(r#"{"exp":1800000001}"#), Reason::Issuer);
        assert_eq!(refused(r#"{"exp":1800000001,"iss":"i"}"#), Reason::Audience);
        assert_eq!(refused(r#"{"exp":1800000001,"iss":"i","aud":"a"}"#), Reason::Subject);
    }

    #[test]
    fn a_header_told_by_its_text_is_checked_like_one_that_is_read() {
        let policies = [
            TokenPolicy::default(),
            TokenPolicy { issuer: Some("i".into()), leeway_secs: 5, ..TokenPolicy::default() },
            TokenPolicy { audience: Some("a".into()), ..TokenPolicy::default() },
        ];
        let payloads = [
            r#"{"sub":"42","exp":1700000001,"iat":1700000000,"jti":"j","sid":"s","iss":"i","aud":"a"}"#,
            r#"{"sub":"42","exp":1700000000,"jti":"j","iss":"i","aud":["b","a"]}"#,
            r#"{"sub":"43","exp":1700000001,"sid":"s"}"#,
            r#"{"sub":"42","nbf":1700000004,"exp":1800000000,"sid":"s"}"#,
            r#"{"sub":"42"}"#,
            "{",
        ];
        let key = ring();
        let key = key.get("k256").unwrap();
        assert_eq!(key.header(), base64url::encode(HEADER.as_bytes()));
        for policy in &policies {
            for payload in payloads {
                for signer in ["k256", "k384"] {
                    let told = signed(signer, HEADER, payload);
                    let read = signed(signer, r#"{"kid":"k256","alg":"HS256"}"#, payload);
                    assert_eq!(check_by(policy, &told), check_by(policy, &read), "{payload}");
                }
            }
        }
    }
}

mod opaques {
    use super::*;

    /// An opaque token with these parts, authenticated by `kid`, and naming it in the seal.
    fn sealed(kid: &str, user: &[u8], id: &[u8]) -> String {
        let mut token = format!("rst1.{}.{}", base64url::encode(user), base64url::encode(id));
        let tag = ring().get(kid).unwrap().opaque().tag(token.as_bytes());
        write!(token, ".{}", base64url::encode(&[kid.as_bytes(), b"\0", tag.as_bytes()].concat())).unwrap();
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
        assert_eq!(with_seal(b"other\0tag"), Some(Reason::UnknownKey));
        assert_eq!(with_seal(b"\0tag"), Some(Reason::UnknownKey));
        assert_eq!(with_seal(b"k256\0"), Some(Reason::Signature));
        assert_eq!(with_seal(&[&b"k256\0"[..], &[0; 32]].concat()), Some(Reason::Signature));
        assert_eq!(with_seal(&[&b"k256\0"[..], &[0; 31]].concat()), Some(Reason::Signature));
        assert_eq!(refused(&sealed("k256", b"43", b"id")), Some(Reason::Subject));
        assert_eq!(refused(&sealed("k512", b"42", b"id")), None);
    }

    #[test]
    fn a_code_made_for_a_jwt_is_none_for_an_opaque_token() {
        let good = opaque();
        let (input, _) = good.rsplit_once('.').unwrap();
        let tag = ring().get("k256").unwrap().jwt().tag(input.as_bytes());
        let token = format!("{input}.{}", base64url::encode(&[b"k256\0", tag.as_bytes()].concat()));
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
}

mod routing {
    use super::*;

    #[test]
    fn every_kind_of_token_names_its_user() {
        let user = |token: &str| unverified_subject(token.as_bytes());
        assert_eq!(user(&jwt()).as_deref(), Some("42"));
        assert_eq!(user(&opaque()).as_deref(), Some("42"));
        assert_eq!(user("rsr1.NDI.aWQ.Mw.c2VhbA").as_deref(), Some("42"));
        assert_eq!(user(&signed("k256", HEADER, r#"{"sub":"\u00e9"}"#)).as_deref(), Some("é"));
    }

    #[test]
    fn what_names_no_user_is_none() {
        for token in ["", "a", "a.b", "a.b.c", "rst1.", "rst1.=", "rst1._w.", "rsr1.AA.x", "rsr1..x"] {
            assert_eq!(unverified_subject(token.as_bytes()), None, "{token}");
        }
        for payload in ["{}", "[]", r#"{"sub":1}"#, r#"{"sub":""}"#, r#"{"sub":"a\n"}"#, r#"{"sub":"a","sub":"b"}"#] {
            assert_eq!(unverified_subject(signed("k256", HEADER, payload).as_bytes()), None, "{payload}");
        }
        assert_eq!(unverified_subject(format!("{}.x", jwt()).as_bytes()), None);
        let long = format!(r#"{{"sub":"42","x":"{}"}}"#, "x".repeat(65_536));
        assert_eq!(unverified_subject(signed("k256", HEADER, long).as_bytes()), None);
    }
}
