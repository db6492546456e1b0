//! Private keys: what they sign, who can check it, and which are refused.

use serde_json::{Value, json};

use super::issuer::{CLAIMS, N, PUBLIC, RSA, answer, good, issued, jwk, private_jwk, ring_of};
use super::*;

fn ring(algorithm: Algorithm) -> Arc<KeyRing> {
    ring_of(&[private_jwk(algorithm)]).unwrap()
}

fn changed(algorithm: Algorithm, name: &str, value: Value) -> Value {
    issuer::changed(private_jwk(algorithm), name, value)
}

/// Why a set with this key is refused, whatever else is in it.
#[track_caller]
fn problem(key: &Value) -> KeyProblem {
    match ring_of(&[jwk(Algorithm::Es384), key.clone(), jwk(Algorithm::Es512)]) {
        Err(KeyRingError::Key { key: named, problem }) => {
            assert!(named == format!("key {}", key["kid"]) || named == "key number 2", "{named}");
            problem
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_private_key_signs_everybody_can_check_with_the_published_set() {
    for algorithm in PUBLIC {
        let ring = ring(algorithm);
        let key = ring.signing_key().unwrap();
        assert_eq!((key.algorithm(), key.can_sign(), key.is_public()), (algorithm, true, false));
        assert!(ring.has_secrets());
        let token = key.sign_jwt(&new_token(&session())).unwrap();
        let head = base64url::decode(token.split('.').next().unwrap().as_bytes()).unwrap();
        let expected = format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}","typ":"JWT"}}"#);
        assert_eq!(String::from_utf8(head).unwrap(), expected);
        let verified = answer(&ring, &token).unwrap();
        assert_eq!((&verified.id, verified.issued), (&session(), Issued::ForSessionOf(at(NOW))));
        // With a header that is read, and by others.
        assert!(answer(&ring, good(algorithm)).is_ok());
        let published = KeyRing::of_issuer(ring.public_jwks().as_bytes(), IssuerKeys::default()).unwrap();
        assert!(published.signing_key().is_none() && !published.has_secrets());
        assert!(answer(&Arc::new(published), &token).is_ok());
    }
}

/// The room for a token is reckoned before it is signed.
#[test]
fn a_token_is_made_without_growing() {
    let hmac = r#"{"keys":[{"kty":"oct","kid":"a","alg":"HS384","k":"K"}]}"#.replace('K', &"Q".repeat(64));
    let hmac = Arc::new(KeyRing::from_jwk_set(hmac.as_bytes(), None).unwrap());
    for ring in PUBLIC.map(ring).into_iter().chain([hmac]) {
        let token = ring.signing_key().unwrap().sign_jwt(&new_token(&session())).unwrap();
        assert_eq!(token.capacity(), token.len());
    }
}

#[test]
fn opaque_and_refresh_tokens_are_codes_under_a_private_key() {
    for algorithm in PUBLIC {
        let own = ring(algorithm);
        let key = own.signing_key().unwrap();
        let opaque = key.sign_opaque(user("42"), &session(), at(NOW), at(NOW + 3600)).unwrap();
        assert_eq!(answer(&own, &opaque).unwrap().kind, TokenKind::Opaque);
        let refresh = key.sign_refresh(user("42"), &session(), 7, at(NOW)).unwrap();
        let verified = Verifier::new(Arc::clone(&own), TokenPolicy::default())
            .verify_refresh(user("42"), refresh.as_bytes())
            .unwrap();
        assert_eq!((verified.id, verified.generation), (session(), 7));
        // The public half knows nothing of them, and another key of that name has other codes.
        assert_eq!(answer(&ring_of(&[jwk(algorithm)]).unwrap(), &opaque), Err(Reason::UnknownKey));
        let secret = json!({ "kty": "oct", "kid": algorithm.as_str(), "alg": "HS256", "k": "Q".repeat(64) });
        assert_eq!(answer(&ring_of(&[secret]).unwrap(), &opaque), Err(Reason::Signature));
    }
}

/// One who takes the bytes of a private key for a secret gets codes that are good for nothing here.
#[test]
fn a_private_keys_bytes_as_a_secret_are_another_key() {
    let private = private_jwk(Algorithm::EdDsa);
    let secret = json!({ "kty": "oct", "kid": "EdDSA", "alg": "HS256", "k": private["d"] });
    let (private, secret) = (ring_of(&[private]).unwrap(), ring_of(&[secret]).unwrap());
    let opaque = |ring: &KeyRing| ring.signing_key().unwrap().sign_opaque(user("42"), &session(), at(NOW), at(NOW));
    assert_eq!(answer(&private, opaque(&secret).unwrap()), Err(Reason::Signature));
    assert_eq!(answer(&secret, opaque(&private).unwrap()), Err(Reason::Signature));
}

#[test]
fn the_first_that_can_sign_signs_whatever_its_type() {
    let secret = json!({ "kty": "oct", "kid": "secret", "alg": "HS256", "k": "Q".repeat(64) });
    let verifies = changed(Algorithm::Rs256, "key_ops", json!(["verify"]));
    let signs = changed(Algorithm::EdDsa, "key_ops", json!(["sign"]));
    let keys = [jwk(Algorithm::Es256), verifies, signs, secret, private_jwk(Algorithm::Ps384)];
    let set = json!({ "keys": keys }).to_string();
    for (active, expected) in [(None, "EdDSA"), (Some("secret"), "secret"), (Some("PS384"), "PS384")] {
        let ring = KeyRing::from_jwk_set(set.as_bytes(), active).unwrap();
        assert_eq!(ring.signing_key().and_then(Key::kid), Some(expected));
    }
    for kid in ["ES256", "RS256"] {
        let error = KeyRing::from_jwk_set(set.as_bytes(), Some(kid)).unwrap_err();
        assert_eq!(error, KeyRingError::ActiveCannotSign { kid: kid.into() });
    }
}

#[test]
fn the_published_set_has_the_public_halves_of_private_keys_alone() {
    let secret = json!({ "kty": "oct", "kid": "secret", "alg": "HS256", "k": "Q".repeat(64) });
    let odd = changed(Algorithm::Rs256, "kid", json!("a\"b\u{e9}"));
    let keys = [secret, jwk(Algorithm::Es384), private_jwk(Algorithm::Es256), odd];
    let ring = ring_of(&keys).unwrap();
    let set: Value = serde_json::from_str(&ring.public_jwks()).unwrap();
    let mut expected = [jwk(Algorithm::Es256), jwk(Algorithm::Rs256)];
    expected[1]["kid"] = json!("a\"b\u{e9}");
    expected.iter_mut().for_each(|key| key["use"] = json!("sig"));
    assert_eq!(set, json!({ "keys": expected }));
    for own in &keys[2..] {
        for name in ["d", "p", "q", "dp", "dq", "qi"] {
            assert!(own[name].as_str().is_none_or(|number| !ring.public_jwks().contains(number)));
        }
    }
    assert_eq!(ring_of(&[jwk(Algorithm::EdDsa)]).unwrap().public_jwks(), r#"{"keys":[]}"#);
}

#[test]
fn a_private_key_and_its_public_half_are_one_key() {
    for keys in
        [[jwk(Algorithm::EdDsa), private_jwk(Algorithm::EdDsa)], [private_jwk(Algorithm::EdDsa), jwk(Algorithm::EdDsa)]]
    {
        let ring = ring_of(&keys).unwrap();
        assert_eq!((ring.keys().len(), ring.ignored().len(), ring.signing_key().is_some()), (1, 0, true));
    }
}

/// Our own tokens are told by the text of their header, which must name one key.
#[test]
fn a_public_key_that_is_named_like_one_that_signs_is_left_out() {
    let mut modulus = base64url::decode(N.as_bytes()).unwrap();
    modulus[100] ^= 1;
    let mut other = jwk(Algorithm::Rs256);
    other["n"] = json!(base64url::encode(&modulus));
    for keys in [[other.clone(), private_jwk(Algorithm::Rs256)], [private_jwk(Algorithm::Rs256), other]] {
        let ring = ring_of(&keys).unwrap();
        assert_eq!(ring.keys().map(Key::can_sign).collect::<Vec<_>>(), [true]);
        let ignored: Vec<_> = ring.ignored().cloned().collect();
        assert_eq!(ignored, [IgnoredKey { kid: Some("RS256".into()), why: KeyProblem::DuplicateKid }]);
        assert!(answer(&ring, good(Algorithm::Rs256)).is_ok());
    }
}

#[test]
fn a_kid_is_that_of_one_secret_or_private_key() {
    let secret = json!({ "kty": "oct", "kid": "EdDSA", "alg": "HS256", "k": "Q".repeat(64) });
    let other = changed(Algorithm::Es256, "kid", json!("EdDSA"));
    for second in [&secret, &other] {
        let error = ring_of(&[private_jwk(Algorithm::EdDsa), second.clone()]).unwrap_err();
        assert_eq!(error, KeyRingError::Key { key: r#"key "EdDSA""#.into(), problem: KeyProblem::DuplicateKid });
    }
    let twice = ring_of(&[private_jwk(Algorithm::EdDsa), private_jwk(Algorithm::EdDsa)]).unwrap();
    assert_eq!(twice.keys().len(), 1);
}

#[test]
fn a_private_key_without_a_kid_only_verifies() {
    let ring = ring_of(&[changed(Algorithm::Es256, "kid", Value::Null)]).unwrap();
    let key = ring.keys().next().unwrap();
    assert!(!key.can_sign() && !key.is_public() && key.sign_jwt(&new_token(&session())).is_none());
    assert!(answer(&ring, issued(Algorithm::Es256, r#"{"alg":"ES256"}"#, CLAIMS)).is_ok());
    // It keeps no place from public keys that have no name either.
    let both = ring_of(&[changed(Algorithm::Es256, "kid", Value::Null), jwk(Algorithm::Es256)]).unwrap();
    assert_eq!((both.keys().len(), both.ignored().len()), (2, 0));
}

#[test]
fn the_halves_of_a_private_key_must_be_of_one_key() {
    let flipped = |value: &Value| {
        let mut bytes = base64url::decode(value.as_str().unwrap().as_bytes()).unwrap();
        *bytes.last_mut().unwrap() ^= 2;
        json!(base64url::encode(&bytes))
    };
    for algorithm in PUBLIC {
        let names = if RSA.contains(&algorithm) { &["d", "p", "q", "dp", "dq", "qi"][..] } else { &["d"] };
        for name in names {
            let key = private_jwk(algorithm);
            let wrong = changed(algorithm, name, flipped(&key[*name]));
            assert_eq!(problem(&wrong), KeyProblem::OtherHalf, "{algorithm} {name}");
        }
    }
    let other_modulus = changed(Algorithm::Rs256, "n", flipped(&json!(N)));
    assert_eq!(problem(&other_modulus), KeyProblem::OtherHalf);
    let other_exponent = changed(Algorithm::Rs256, "e", json!("AQAD"));
    assert_eq!(problem(&other_exponent), KeyProblem::OtherHalf);
    let far = changed(Algorithm::EdDsa, "x", json!("PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"));
    assert_eq!(problem(&far), KeyProblem::OtherHalf);
}

#[test]
fn a_private_key_with_a_fault_is_refused_by_name() {
    for (algorithm, bytes) in
        [(Algorithm::Es256, 32), (Algorithm::Es384, 48), (Algorithm::Es512, 66), (Algorithm::EdDsa, 32)]
    {
        for value in [json!(""), json!("AAAA"), json!(base64url::encode(&vec![1; bytes + 1])), json!("?"), json!(7)] {
            assert_eq!(problem(&changed(algorithm, "d", value.clone())), KeyProblem::PrivateBytes { bytes }, "{value}");
        }
        let zero = changed(algorithm, "d", json!(base64url::encode(&vec![0; bytes])));
        assert_eq!(problem(&zero), KeyProblem::OtherHalf);
    }
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        for value in [json!(""), json!("AA"), json!("?"), json!(7), Value::Null] {
            let key = changed(Algorithm::Rs256, name, value);
            assert_eq!(problem(&key), KeyProblem::PrivateNumbers, "{name}");
        }
    }
    let more_primes = changed(Algorithm::Rs256, "oth", json!([{ "r": "AQ", "d": "AQ", "t": "AQ" }]));
    assert_eq!(problem(&more_primes), KeyProblem::PrivateNumbers);
    for (key, expected) in [
        (changed(Algorithm::Es256, "use", json!("enc")), KeyProblem::NotForSignatures),
        (changed(Algorithm::Es256, "key_ops", json!(["deriveBits"])), KeyProblem::NotForSignatures),
        (changed(Algorithm::Es256, "key_ops", json!([])), KeyProblem::KeyOps),
        (changed(Algorithm::Es256, "kty", json!(1)), KeyProblem::KeyType),
        (changed(Algorithm::Es256, "kty", json!("AKP")), KeyProblem::UnknownKeyType),
        (changed(Algorithm::Es256, "crv", json!("secp256k1")), KeyProblem::UnknownCurve),
        (changed(Algorithm::Es256, "crv", json!("P-384")), KeyProblem::OtherAlgorithm),
        (changed(Algorithm::Es256, "alg", json!("HS256")), KeyProblem::OtherAlgorithm),
        (changed(Algorithm::Es256, "alg", json!("ES256K")), KeyProblem::UnknownAlgorithm),
        (changed(Algorithm::Es256, "x", json!("AAAA")), KeyProblem::Coordinates { bytes: 32 }),
        (changed(Algorithm::Es256, "y", private_jwk(Algorithm::Es256)["x"].clone()), KeyProblem::NotOnCurve),
        (changed(Algorithm::Es256, "kid", json!(7)), KeyProblem::Kid),
        (
            json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "priv": "AA", "kid": "pq" }),
            KeyProblem::UnknownKeyType,
        ),
    ] {
        assert_eq!(problem(&key), expected, "{key}");
    }
}

#[test]
fn an_rsa_key_without_an_alg_signs_with_rs256() {
    let ring = ring_of(&[changed(Algorithm::Rs256, "alg", Value::Null)]).unwrap();
    assert_eq!(ring.signing_key().map(Key::algorithm), Some(Algorithm::Rs256));
}

#[test]
fn an_issuers_set_has_neither_private_keys_nor_secrets_unless_they_are_allowed() {
    let of = |key: &Value, secrets| {
        let rules = IssuerKeys { secrets, ..IssuerKeys::default() };
        KeyRing::of_issuer(json!({ "keys": [jwk(Algorithm::Es384), key] }).to_string().as_bytes(), rules)
    };
    let refused = |key: &Value, secrets| match of(key, secrets) {
        Err(KeyRingError::Key { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    for algorithm in PUBLIC {
        for secrets in [false, true] {
            assert_eq!(refused(&private_jwk(algorithm), secrets), KeyProblem::Private);
            assert_eq!(refused(&changed(algorithm, "use", json!("enc")), secrets), KeyProblem::Private);
        }
    }
    // A prime alone gives the key away.
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"] {
        let mut key = jwk(Algorithm::Rs256);
        key[name] = json!("AQ");
        assert_eq!(refused(&key, true), KeyProblem::Private, "{name}");
    }
    let secret = json!({ "kty": "oct", "kid": "secret", "alg": "HS256", "k": "Q".repeat(64) });
    assert_eq!(refused(&secret, false), KeyProblem::Secret);
    let ring = Arc::new(of(&secret, true).unwrap());
    let key = ring.get("secret").unwrap();
    assert!(ring.has_secrets() && !key.can_sign() && ring.signing_key().is_none());
    assert_eq!(ring.public_jwks(), r#"{"keys":[]}"#);
    // It checks JWTs, and nothing that is made here.
    let own = ring_of(std::slice::from_ref(&secret)).unwrap();
    let own = own.signing_key().unwrap();
    assert!(answer(&ring, own.sign_jwt(&new_token(&session())).unwrap()).is_ok());
    let opaque = own.sign_opaque(user("42"), &session(), at(NOW), at(NOW)).unwrap();
    assert_eq!(answer(&ring, opaque), Err(Reason::UnknownKey));
    // Those are held to the same rules as ours, and to the issuer's algorithms.
    let short = json!({ "kty": "oct", "kid": "secret", "alg": "HS256", "k": "Q".repeat(20) });
    assert!(matches!(refused(&short, true), KeyProblem::ShortSecret { .. }));
    let only = IssuerKeys { algorithms: Some(&[Algorithm::Hs512]), secrets: true };
    let error = KeyRing::of_issuer(json!({ "keys": [secret] }).to_string().as_bytes(), only).unwrap_err();
    assert_eq!(error, KeyRingError::Key { key: r#"key "secret""#.into(), problem: KeyProblem::ForbiddenAlgorithm });
}

#[test]
fn an_issuers_set_may_be_empty() {
    let ring = KeyRing::of_issuer(br#"{"keys":[]}"#, IssuerKeys::default()).unwrap();
    assert_eq!(answer(&Arc::new(ring), good(Algorithm::Es256)), Err(Reason::UnknownKey));
    for json in ["", "{}", r#"{"keys":null}"#, r#"{"keys":[1]}"#, "<html>"] {
        assert!(KeyRing::of_issuer(json.as_bytes(), IssuerKeys::default()).is_err(), "{json}");
    }
}

#[test]
fn neither_debug_nor_an_error_shows_a_private_number() {
    for algorithm in PUBLIC {
        let key = private_jwk(algorithm);
        let shown = format!("{:?}", ring_of(std::slice::from_ref(&key)).unwrap());
        for name in ["d", "p", "q", "dp", "dq", "qi"] {
            let Some(number) = key[name].as_str() else { continue };
            assert!(!shown.contains(number));
            for (member, value) in [("alg", json!(number)), ("kty", json!(number)), ("use", json!(number))] {
                let error = ring_of(&[changed(algorithm, member, value)]).unwrap_err();
                assert!(!format!("{error} {error:?}").contains(number), "{error:?}");
            }
        }
    }
}

/// ECDSA and PSS are random: two signatures of one text are two (RFC 8725 section 3.2 asks for no repeated nonce).
#[test]
fn no_two_ecdsa_signatures_are_alike() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512, Algorithm::Ps256] {
        let ring = ring(algorithm);
        let sign = || ring.signing_key().unwrap().sign_jwt(&new_token(&session())).unwrap();
        let (one, two) = (sign(), sign());
        assert!(one != two && answer(&ring, one).is_ok() && answer(&ring, two).is_ok());
    }
}
