//! Public keys: which are taken, and which are left out and why.

use serde_json::{Value, json};

use super::issuer::{ED_X, N, PUBLIC, RSA, X, Y, answer, good, header, issued, jwk, mixed_ring, ring_of};
use super::*;

fn changed(algorithm: Algorithm, name: &str, value: Value) -> Value {
    issuer::changed(jwk(algorithm), name, value)
}

/// Why the key is left out, which costs the good ones beside it nothing.
#[track_caller]
fn problem(key: &Value) -> KeyProblem {
    let ring = ring_of(&[jwk(Algorithm::Es256), key.clone(), jwk(Algorithm::EdDsa)]).unwrap();
    assert_eq!(ring.keys().map(Key::algorithm).collect::<Vec<_>>(), [Algorithm::Es256, Algorithm::EdDsa], "{key}");
    let ignored: Vec<_> = ring.ignored().collect();
    let [IgnoredKey { kid, why }] = ignored[..] else { panic!("{key}: {ignored:?}") };
    assert_eq!(kid.as_deref(), key["kid"].as_str().filter(|kid| *kid != "a\nb"), "{key}");
    // A set of this key alone has no use as ours, and none as an issuer's, but costs no start.
    match ring_of(std::slice::from_ref(key)) {
        Err(KeyRingError::NoneUsable { problem, .. }) => assert_eq!(problem, *why, "{key}"),
        other => panic!("{key}: {other:?}"),
    }
    let of_issuer = read(std::slice::from_ref(key), None);
    assert_eq!((of_issuer.keys().len(), of_issuer.ignored().next().map(|key| key.why)), (0, Some(*why)));
    *why
}

/// The ring of an issuer's keys.
fn read(keys: &[Value], algorithms: Option<&[Algorithm]>) -> KeyRing {
    let rules = IssuerKeys { algorithms, ..IssuerKeys::default() };
    KeyRing::of_issuer(json!({ "keys": keys }).to_string().as_bytes(), rules).unwrap()
}

fn algorithms(ring: &KeyRing) -> Vec<Algorithm> {
    ring.keys().map(Key::algorithm).collect()
}

#[test]
fn a_token_of_every_public_algorithm_verifies() {
    let ring = mixed_ring();
    for algorithm in PUBLIC {
        let verified = answer(ring, good(algorithm)).unwrap();
        assert_eq!((verified.maker, &verified.id), (Maker::Issuer, &SessionId::of_issuer("", b"one").unwrap()));
        assert_eq!((verified.kind, verified.expires_at), (TokenKind::Jwt, Some(at(NOW + 1))));
        assert_eq!(verified.issued, Issued::InSecondOf(at(NOW)));
    }
}

#[test]
fn a_public_key_verifies_jwts_and_does_nothing_else() {
    let ring = mixed_ring();
    assert_eq!(ring.signing_key().and_then(Key::kid), Some("HS256"));
    for algorithm in PUBLIC {
        let key = ring.get(algorithm.as_str()).unwrap();
        assert!(!key.can_sign());
        assert!(key.sign_jwt(&new_token(&session())).is_none());
        assert!(key.sign_opaque(user("42"), &session(), at(NOW), at(NOW)).is_none());
        assert!(key.sign_refresh(user("42"), &session(), 0, at(NOW)).is_none());
        let set = json!({ "keys": [jwk(algorithm)] }).to_string();
        let kid = algorithm.as_str();
        assert!(KeyRing::from_jwk_set(set.as_bytes(), None).unwrap().signing_key().is_none());
        let error = KeyRing::from_jwk_set(set.as_bytes(), Some(kid)).unwrap_err();
        assert_eq!(error, KeyRingError::ActiveCannotSign { kid: kid.into() });
    }
    assert!(ring.has_secrets());
    assert!(!ring_of(&PUBLIC.map(jwk)).unwrap().has_secrets());
}

#[test]
fn a_key_without_an_alg_is_for_that_of_its_curve_or_rs256() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512, Algorithm::Rs256, Algorithm::EdDsa] {
        for alg in [Value::Null, json!(null)] {
            let mut key = changed(algorithm, "alg", Value::Null);
            if alg.is_null() {
                key["alg"] = alg;
            }
            let ring = ring_of(&[key]).unwrap();
            assert_eq!(algorithms(&ring), [algorithm]);
            assert!(answer(&ring, good(algorithm)).is_ok());
        }
    }
}

#[test]
fn the_algorithms_of_an_issuer_are_those_of_its_rsa_keys_without_an_alg() {
    let key = changed(Algorithm::Rs256, "alg", Value::Null);
    let both = [Algorithm::Rs256, Algorithm::Ps256];
    let ring = Arc::new(read(std::slice::from_ref(&key), Some(&both)));
    assert_eq!(algorithms(&ring), both);
    for algorithm in both {
        let token = issued(algorithm, format!(r#"{{"alg":"{algorithm}","kid":"RS256"}}"#), issuer::CLAIMS);
        assert!(answer(&ring, token).is_ok(), "{algorithm}");
    }
    for algorithm in RSA {
        assert_eq!(algorithms(&read(std::slice::from_ref(&key), Some(&[algorithm]))), [algorithm]);
    }
    let none = read(std::slice::from_ref(&key), Some(&[Algorithm::Es256, Algorithm::Hs256]));
    assert_eq!(none.ignored().next().unwrap().why, KeyProblem::ForbiddenAlgorithm);
}

#[test]
fn an_issuer_has_no_key_of_an_algorithm_that_it_may_not_use() {
    let keys = PUBLIC.map(jwk);
    for allowed in [&[][..], &[Algorithm::Es384], &[Algorithm::Ps512, Algorithm::EdDsa, Algorithm::Hs256]] {
        let ring = read(&keys, Some(allowed));
        let expected: Vec<_> = PUBLIC.into_iter().filter(|algorithm| allowed.contains(algorithm)).collect();
        assert_eq!(algorithms(&ring), expected);
        assert_eq!(ring.ignored().len(), PUBLIC.len() - expected.len());
        assert!(ring.ignored().all(|key| key.why == KeyProblem::ForbiddenAlgorithm));
    }
    assert_eq!(algorithms(&read(&keys, None)), PUBLIC);
}

/// RFC 9864 section 2.2.
#[test]
fn ed25519_is_another_name_of_eddsa() {
    for named in ["EdDSA", "Ed25519"] {
        let mut key = jwk(Algorithm::EdDsa);
        key["alg"] = json!(named);
        let ring = ring_of(&[key]).unwrap();
        for alg in ["EdDSA", "Ed25519"] {
            for kid in ["", r#","kid":"EdDSA""#] {
                let token = issued(Algorithm::EdDsa, format!(r#"{{"alg":"{alg}"{kid}}}"#), issuer::CLAIMS);
                assert!(answer(&ring, token).is_ok(), "{named} {alg} {kid}");
            }
        }
        for alg in ["ed25519", "Ed448"] {
            let token = issued(Algorithm::EdDsa, format!(r#"{{"alg":"{alg}"}}"#), issuer::CLAIMS);
            assert_eq!(answer(&ring, token), Err(Reason::Algorithm));
        }
    }
}

#[test]
fn one_modulus_may_be_two_keys_each_of_one_algorithm() {
    let ring = mixed_ring();
    for (signs, named) in RSA.into_iter().flat_map(|signs| RSA.map(|named| (signs, named))) {
        if signs == named {
            continue;
        }
        assert_eq!(answer(ring, issued(signs, header(named), issuer::CLAIMS)), Err(Reason::Signature));
        let mixed = format!(r#"{{"alg":"{signs}","kid":"{named}"}}"#);
        assert_eq!(answer(ring, issued(signs, mixed, issuer::CLAIMS)), Err(Reason::Algorithm));
    }
}

/// RFC 7638 section 3.1, RFC 8037 appendix A.3.
#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3\
        oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu\
        6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa\
        pJzKnqDKgw";
    let rsa = json!({ "kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" });
    let ring = ring_of(&[rsa, jwk(Algorithm::EdDsa), jwk(Algorithm::Es256)]).unwrap();
    let shown: Vec<_> = ring.keys().map(|key| (key.thumbprint().unwrap(), key.bits())).collect();
    assert_eq!(shown[0], ("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", 2048));
    assert_eq!(shown[1], ("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", 256));
    assert_eq!(shown[2].1, 256);
    assert!(ring.keys().all(|key| Some(key.fingerprint()) == key.thumbprint()));
}

#[test]
fn a_point_that_is_none_of_the_curve_is_refused() {
    let far = base64url::encode(&[0xff; 32]);
    let zero = base64url::encode(&[0; 32]);
    for (name, value) in [("x", &far), ("y", &far), ("x", &zero), ("y", &zero), ("x", &Y.to_owned())] {
        assert_eq!(problem(&changed(Algorithm::Es256, name, json!(value))), KeyProblem::NotOnCurve, "{name} {value}");
    }
    let mut both = changed(Algorithm::Es256, "x", json!(zero));
    both["y"] = json!(zero);
    assert_eq!(problem(&both), KeyProblem::NotOnCurve, "the point at infinity, as some write it");
    let two = base64url::encode(&[&[2][..], &[0; 31]].concat());
    assert_eq!(problem(&changed(Algorithm::EdDsa, "x", json!(two))), KeyProblem::NotOnCurve);
}

#[test]
fn coordinates_have_all_their_bytes_and_no_others() {
    let (short, long) = (base64url::encode(&[1; 31]), base64url::encode(&[1; 33]));
    let padded = format!("{X}=");
    for value in [json!(""), json!(short), json!(long), json!(padded), json!(5), Value::Null] {
        for name in ["x", "y"] {
            for (algorithm, bytes) in [(Algorithm::Es256, 32), (Algorithm::Es384, 48), (Algorithm::Es512, 66)] {
                let why = problem(&changed(algorithm, name, value.clone()));
                assert_eq!(why, KeyProblem::Coordinates { bytes }, "{algorithm} {value}");
            }
        }
        assert_eq!(problem(&changed(Algorithm::EdDsa, "x", value.clone())), KeyProblem::Point, "{value}");
    }
}

/// Java's `BigInteger.toByteArray` writes a sign, and some write the length of a wider field.
#[test]
fn zeros_at_the_front_of_a_number_count_for_nothing() {
    let with = |text: &Value, zeros: usize| {
        let bytes = base64url::decode(text.as_str().unwrap().as_bytes()).unwrap();
        json!(base64url::encode(&[&vec![0; zeros][..], &bytes].concat()))
    };
    for (algorithm, names) in [
        (Algorithm::Rs256, ["n", "e"]),
        (Algorithm::Ps512, ["n", "e"]),
        (Algorithm::Es256, ["x", "y"]),
        (Algorithm::Es384, ["x", "y"]),
        (Algorithm::Es512, ["x", "y"]),
    ] {
        let thumbprint = ring_of(&[jwk(algorithm)]).unwrap().keys().next().unwrap().fingerprint().to_owned();
        for zeros in [1, 2, 40] {
            let mut key = jwk(algorithm);
            for name in names {
                key[name] = with(&key[name], zeros);
            }
            let ring = ring_of(&[key]).unwrap();
            assert_eq!(ring.keys().next().unwrap().fingerprint(), thumbprint, "{algorithm} {zeros}");
            assert!(answer(&ring, good(algorithm)).is_ok(), "{algorithm} {zeros}");
        }
    }
    assert_eq!(problem(&changed(Algorithm::EdDsa, "x", with(&json!(ED_X), 1))), KeyProblem::Point);
}

/// Under such a key everybody can sign: under the point of order 1, R = 0 and S = 0 is a
/// signature of every message (RFC 8032 section 5.1.7 asks for 8SB = 8R + 8kA).
#[test]
fn a_key_under_which_everybody_can_sign_is_refused() {
    for first in [0, 1] {
        let mut point = [0; 32];
        point[0] = first;
        let key = changed(Algorithm::EdDsa, "x", json!(base64url::encode(&point)));
        assert_eq!(problem(&key), KeyProblem::WeakPoint);
    }
    // That it is the check which stops it, and not the library:
    use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
    let mut identity = [0; 32];
    identity[0] = 1;
    let signature = [identity, [0; 32]].concat();
    assert!(ParsedPublicKey::new(&ED25519, identity).unwrap().verify_sig(b"anything", &signature).is_ok());
}

#[test]
fn a_modulus_has_2048_to_4096_bits() {
    let modulus = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        if !bits.is_multiple_of(8) {
            bytes[0] = (1 << (bits % 8)) - 1;
        }
        base64url::encode(&bytes)
    };
    for bits in [8, 512, 1024, 2040, 2047, 4097, 8192, 16_384] {
        let key = changed(Algorithm::Rs256, "n", json!(modulus(bits)));
        assert_eq!(problem(&key), KeyProblem::ModulusBits { bits });
    }
    for bits in [2048, 3072, 4096] {
        let ring = ring_of(&[changed(Algorithm::Ps256, "n", json!(modulus(bits)))]).unwrap();
        assert_eq!(ring.keys().next().unwrap().bits(), bits);
    }
}

#[test]
fn a_modulus_is_an_odd_number_as_the_rfc_writes_it() {
    let bytes = base64url::decode(N.as_bytes()).unwrap();
    let even = base64url::encode(&[&bytes[..255], &[0xce]].concat());
    for value in [json!("AAAA"), json!(even), json!(""), json!(format!("{N}=")), json!(7), Value::Null] {
        assert_eq!(problem(&changed(Algorithm::Rs256, "n", value.clone())), KeyProblem::Modulus, "{value}");
    }
}

#[test]
fn an_exponent_is_odd_and_neither_small_nor_huge() {
    for bytes in [&[1][..], &[2], &[3], &[17], &[255, 255], &[1, 0, 0], &[1, 0, 2], &[1, 0, 0, 0, 1], &[1; 200]] {
        let key = changed(Algorithm::Rs256, "e", json!(base64url::encode(bytes)));
        assert_eq!(problem(&key), KeyProblem::Exponent, "{bytes:?}");
    }
    for value in [json!(""), json!("AAAA"), json!("AQAB="), json!(65_537), Value::Null] {
        assert_eq!(problem(&changed(Algorithm::Rs256, "e", value.clone())), KeyProblem::Modulus, "{value}");
    }
    for bytes in [&[1, 0, 1][..], &[1, 0, 3], &[255, 255, 255, 255]] {
        assert!(ring_of(&[changed(Algorithm::Rs256, "e", json!(base64url::encode(bytes)))]).is_ok(), "{bytes:?}");
    }
}

#[test]
fn an_algorithm_must_go_with_the_type_of_key() {
    for (key, alg) in [
        (Algorithm::Es256, "RS256"),
        (Algorithm::Es256, "EdDSA"),
        (Algorithm::EdDsa, "ES256"),
        (Algorithm::Rs256, "ES256"),
        (Algorithm::Rs256, "HS256"),
        (Algorithm::EdDsa, "HS512"),
        (Algorithm::Es256, "ES384"),
        (Algorithm::Es512, "ES256"),
    ] {
        assert_eq!(problem(&changed(key, "alg", json!(alg))), KeyProblem::OtherAlgorithm, "{key} {alg}");
    }
    assert_eq!(problem(&changed(Algorithm::Rs256, "alg", json!(["RS256"]))), KeyProblem::Algorithm);
}

#[test]
fn members_of_the_wrong_type_are_refused() {
    assert_eq!(problem(&changed(Algorithm::Rs256, "kty", json!(1))), KeyProblem::KeyType);
    assert_eq!(problem(&changed(Algorithm::Rs256, "use", json!(["sig"]))), KeyProblem::Use);
    assert_eq!(problem(&changed(Algorithm::Rs256, "key_ops", json!("verify"))), KeyProblem::KeyOps);
    assert_eq!(problem(&changed(Algorithm::Rs256, "key_ops", json!(["sign"]))), KeyProblem::KeyOps);
    assert_eq!(problem(&changed(Algorithm::Rs256, "key_ops", json!([]))), KeyProblem::KeyOps);
    for value in [json!(256), Value::Null] {
        assert_eq!(problem(&changed(Algorithm::Es256, "crv", value)), KeyProblem::Curve);
    }
}

/// RFC 7517 section 4.5: keys of different types may have one `kid`.
#[test]
fn a_kid_stands_for_one_key_of_each_type() {
    let twin = changed(Algorithm::Es256, "kid", json!("RS256"));
    let ring = ring_of(&[jwk(Algorithm::Rs256), twin]).unwrap();
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let token = issued(algorithm, format!(r#"{{"alg":"{algorithm}","kid":"RS256"}}"#), issuer::CLAIMS);
        assert!(answer(&ring, token).is_ok(), "{algorithm}");
    }
    let token = issued(Algorithm::EdDsa, r#"{"alg":"EdDSA","kid":"RS256"}"#, issuer::CLAIMS);
    assert_eq!(answer(&ring, token), Err(Reason::Algorithm));
}

#[test]
fn the_same_key_twice_is_one() {
    for algorithm in PUBLIC {
        let ring = ring_of(&[jwk(algorithm), jwk(algorithm)]).unwrap();
        assert_eq!((algorithms(&ring), ring.ignored().len()), (vec![algorithm], 0));
        assert!(answer(&ring, good(algorithm)).is_ok());
        // Under two names it is two.
        let ring = ring_of(&[jwk(algorithm), changed(algorithm, "kid", json!("twin"))]).unwrap();
        assert_eq!(algorithms(&ring), [algorithm; 2]);
    }
}

/// Nothing is refused: the issuer has signed with one of them.
#[test]
fn two_keys_of_one_kid_and_algorithm_are_both_tried() {
    let mut modulus = base64url::decode(N.as_bytes()).unwrap();
    modulus[100] ^= 1;
    let other = changed(Algorithm::Rs256, "n", json!(base64url::encode(&modulus)));
    for keys in [[other.clone(), jwk(Algorithm::Rs256)], [jwk(Algorithm::Rs256), other]] {
        let ring = ring_of(&keys).unwrap();
        assert_eq!(ring.keys().len(), 2);
        assert!(answer(&ring, good(Algorithm::Rs256)).is_ok());
    }
}

#[test]
fn members_that_are_null_are_not_there() {
    for algorithm in PUBLIC {
        let mut key = jwk(algorithm);
        for name in ["use", "key_ops", "x5c", "x5u", "k", "d", "p", "q", "dp", "dq", "qi", "oth", "ext"] {
            key[name] = json!(null);
        }
        assert!(answer(&ring_of(&[key.clone()]).unwrap(), good(algorithm)).is_ok());
        key["kid"] = json!(null);
        assert_eq!(ring_of(&[key]).unwrap().keys().next().unwrap().kid(), None);
    }
}

/// RFC 8259 section 8.1 lets a reader skip it.
#[test]
fn a_byte_order_mark_is_skipped() {
    let set = json!({ "keys": [jwk(Algorithm::Es256)] }).to_string();
    let ring = KeyRing::from_jwk_set(format!("\u{feff}{set}").as_bytes(), None).unwrap();
    assert!(answer(&Arc::new(ring), good(Algorithm::Es256)).is_ok());
    assert!(KeyRing::from_jwk_set(format!("\u{feff}\u{feff}{set}").as_bytes(), None).is_err());
}

#[test]
fn a_kid_that_will_not_do_leaves_the_key_out() {
    for kid in [json!(7), json!("a\nb"), json!(["RS256"])] {
        assert_eq!(problem(&changed(Algorithm::Rs256, "kid", kid)), KeyProblem::Kid);
    }
    let long = ring_of(&[jwk(Algorithm::Es256), changed(Algorithm::Rs256, "kid", json!("k".repeat(129)))]).unwrap();
    assert_eq!(long.ignored().next().unwrap().why, KeyProblem::Kid);
}

#[test]
fn a_key_without_a_kid_checks_tokens_without_one() {
    for algorithm in PUBLIC {
        let ring = ring_of(&[changed(algorithm, "kid", Value::Null)]).unwrap();
        assert!(answer(&ring, issued(algorithm, format!(r#"{{"alg":"{algorithm}"}}"#), issuer::CLAIMS)).is_ok());
        assert_eq!(answer(&ring, good(algorithm)), Err(Reason::UnknownKey));
    }
}

/// RFC 7517 section 5. Keycloak, for one, publishes an RSA-OAEP key next to the one that signs.
#[test]
fn keys_for_others_are_left_out_and_named() {
    let others = [
        (json!({ "kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "n": N, "e": "AQAB" }), KeyProblem::NotForSignatures),
        (json!({ "kty": "RSA", "key_ops": ["encrypt", "wrapKey"], "n": N, "e": "AQAB" }), KeyProblem::NotForSignatures),
        (json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA" }), KeyProblem::UnknownKeyType),
        (json!({ "kty": "EC", "crv": "secp256k1", "x": X, "y": Y }), KeyProblem::UnknownCurve),
        (json!({ "kty": "EC", "crv": "Ed25519", "x": ED_X }), KeyProblem::UnknownCurve),
        (json!({ "kty": "OKP", "crv": "P-256", "x": X, "y": Y }), KeyProblem::UnknownCurve),
        (json!({ "kty": "OKP", "crv": "X25519", "x": ED_X }), KeyProblem::UnknownCurve),
        (json!({ "kty": "OKP", "crv": "Ed448", "x": ED_X }), KeyProblem::UnknownCurve),
        (json!({ "kty": "RSA", "alg": "RS1", "n": N, "e": "AQAB" }), KeyProblem::UnknownAlgorithm),
        (json!({ "kty": "EC", "crv": "P-256", "alg": "ECDH-ES", "x": X, "y": Y }), KeyProblem::UnknownAlgorithm),
        (json!({ "kty": "RSA", "alg": "none", "n": N, "e": "AQAB" }), KeyProblem::UnknownAlgorithm),
    ];
    for (mut key, why) in others {
        // Without a kid, with the kid of a good key, and with one that is none.
        for kid in [Value::Null, json!("ES256"), json!("a\nb"), json!("its-name")] {
            key["kid"] = kid;
            assert_eq!(problem(&key), why, "{key}");
        }
        let error = ring_of(&[key.clone()]).unwrap_err().to_string();
        assert_eq!(error, format!(r#"holds no key that can be used here; key "its-name": {why}"#));
    }
}

#[test]
fn certificates_and_members_that_mean_nothing_here_are_not_looked_at() {
    let mut key = jwk(Algorithm::Rs256);
    key["use"] = json!("sig");
    key["x5c"] = json!(["not a certificate"]);
    key["x5t"] = json!("=");
    key["x5t#S256"] = json!(7);
    key["issuer"] = json!({ "a": [] });
    key["key_ops"] = json!(["verify"]);
    key["ext"] = json!(true);
    assert!(answer(&ring_of(&[key]).unwrap(), good(Algorithm::Rs256)).is_ok());
}

#[test]
fn a_token_without_a_kid_is_checked_with_the_keys_of_its_algorithm() {
    let mut modulus = base64url::decode(N.as_bytes()).unwrap();
    modulus[100] ^= 1;
    let mut unrelated = changed(Algorithm::Rs256, "kid", json!("unrelated"));
    unrelated["n"] = json!(base64url::encode(&modulus));
    for algorithm in PUBLIC {
        let token = issued(algorithm, format!(r#"{{"alg":"{algorithm}"}}"#), issuer::CLAIMS);
        assert!(answer(mixed_ring(), &token).is_ok(), "{algorithm}");
        let twin = changed(algorithm, "kid", json!("twin"));
        assert!(answer(&ring_of(&[unrelated.clone(), twin]).unwrap(), &token).is_ok(), "{algorithm}");
    }
    let token = issued(Algorithm::Rs256, r#"{"alg":"RS256"}"#, issuer::CLAIMS);
    assert_eq!(answer(&ring_of(&[unrelated]).unwrap(), token), Err(Reason::Signature));
}

#[test]
fn an_opaque_token_is_never_checked_with_a_public_key() {
    let ring = mixed_ring();
    for algorithm in PUBLIC {
        let parts = format!("rst1.{}.{}", base64url::encode(b"42"), base64url::encode(b"one"));
        let began_at = at(NOW).to_bytes();
        let signature = issuer::signature(algorithm, &[parts.as_bytes(), &began_at[..]].concat());
        let seal = [algorithm.as_str().as_bytes(), b"\0", &began_at[..], &signature].concat();
        let token = format!("{parts}.{}", base64url::encode(&seal));
        assert_eq!(answer(ring, token), Err(Reason::UnknownKey), "{algorithm}");
    }
}
