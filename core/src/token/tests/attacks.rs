//! What has been done to other verifiers, done to this one: to the token, with every algorithm.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use super::issuer::{
    CLAIMS, ED_X, N, PUBLIC, X, Y, answer, good, header, input, issued, jwk, mixed_ring, refused, ring_of, signature,
};
use super::*;

/// HMAC, and the algorithms of public keys.
fn all() -> impl Iterator<Item = Algorithm> {
    std::iter::once(Algorithm::Hs256).chain(PUBLIC)
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    base64url::decode(text.as_bytes()).unwrap()
}

/// RFC 8725 section 3.2, RFC 7518 section 3.6.
#[test]
fn an_unsigned_token_is_refused_however_none_is_spelled() {
    for none in ["none", "None", "NONE", "nOnE", " none", "none ", "n\\u006fne", "", "null", "NonE\\u0000"] {
        for kid in [String::new(), r#","kid":"HS256""#.into(), r#","kid":"RS256""#.into(), r#","kid":"EdDSA""#.into()] {
            let header = format!(r#"{{"alg":"{none}"{kid}}}"#);
            let input = input(&header, CLAIMS);
            assert_eq!(refused(format!("{input}.")), Reason::Malformed, "{header}");
            assert_eq!(refused(&input), Reason::Malformed, "{header}");
            for signature in [&b"x"[..], &[0; 32], &[0; 64], &[0; 256]] {
                let token = format!("{input}.{}", base64url::encode(signature));
                assert_eq!(refused(token), Reason::Algorithm, "{header}");
            }
        }
    }
    for alg in ["null", "0", "false", "[]", r#"["none"]"#, "{}"] {
        assert_eq!(refused(format!("{}.AA", input(format!(r#"{{"alg":{alg}}}"#), CLAIMS))), Reason::Malformed);
    }
}

fn mac_of(algorithm: Algorithm, secret: &[u8]) -> super::super::mac::MacKey {
    use super::super::algorithm::Family;
    let Family::Hmac(hash) = algorithm.family() else { panic!("{algorithm} is no HMAC") };
    super::super::mac::MacKey::new(hash, secret)
}

/// RFC 8725 section 2.1: a verifier that takes the header's word for the algorithm checks an HMAC under the bytes of a
/// key that everybody has.
#[test]
fn a_public_key_is_no_secret_in_whatever_form_its_bytes_are_taken() {
    let point = [&[4][..], &bytes(X), &bytes(Y)].concat();
    let spki_ec = [&bytes("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE")[..], &point[1..]].concat();
    let spki_ed = [&bytes("MCowBQYDK2VwAyEA")[..], &bytes(ED_X)].concat();
    // A SEQUENCE of two INTEGERs, and that in a BIT STRING behind rsaEncryption.
    let pkcs1 = [&[0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0], &bytes(N)[..], &[2, 3, 1, 0, 1]].concat();
    let spki_rsa = [&bytes("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A")[..], &pkcs1].concat();
    let pem = |label: &str, der: &[u8]| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    let mut secrets: Vec<Vec<u8>> = vec![point, bytes(X), bytes(N), bytes(ED_X), Vec::new()];
    for text in [X, N, ED_X] {
        secrets.push(text.into());
    }
    for (label, der) in
        [("PUBLIC KEY", spki_rsa), ("PUBLIC KEY", spki_ec), ("PUBLIC KEY", spki_ed), ("RSA PUBLIC KEY", pkcs1)]
    {
        let pem = pem(label, &der);
        secrets.extend([pem.clone().into(), pem.trim_end().into(), pem.replace('\n', "\r\n").into(), der]);
    }
    secrets.extend(PUBLIC.map(|algorithm| jwk(algorithm).to_string().into_bytes()));
    let public_alone = ring_of(&PUBLIC.map(jwk)).unwrap();
    for secret in secrets {
        for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
            let mac = mac_of(algorithm, &secret);
            let forge = |header: String| {
                let input = input(header, CLAIMS);
                format!("{input}.{}", base64url::encode(mac.tag(input.as_bytes()).as_bytes()))
            };
            for named in PUBLIC {
                let token = forge(format!(r#"{{"alg":"{algorithm}","kid":"{named}"}}"#));
                assert_eq!(refused(&token), Reason::Algorithm);
                let token = forge(format!(r#"{{"alg":"{named}","kid":"{named}"}}"#));
                assert_eq!(refused(&token), Reason::Signature);
            }
            let nameless = forge(format!(r#"{{"alg":"{algorithm}"}}"#));
            assert_eq!(answer(&public_alone, &nameless), Err(Reason::UnknownKey));
            assert!(answer(mixed_ring(), &nameless).is_err());
        }
    }
}

/// RFC 7515 section 5.2 step 8.
#[test]
fn a_signature_that_is_empty_blank_or_of_another_length_is_refused() {
    for algorithm in all() {
        let [head, body, _] = parts(&good(algorithm)).map(str::to_owned);
        assert_eq!(refused(format!("{head}.{body}.")), Reason::Malformed);
        for length in [1, 16, 31, 32, 33, 63, 64, 65, 70, 128, 255, 256, 257, 512] {
            for byte in [0, 0xff] {
                let blank = base64url::encode(&vec![byte; length]);
                assert_eq!(refused(format!("{head}.{body}.{blank}")), Reason::Signature, "{algorithm} {length}");
            }
        }
        let signature = signature(algorithm, format!("{head}.{body}").as_bytes());
        let one_less = &signature[..signature.len() - 1];
        let [without_first, with_more] = [signature[1..].to_vec(), [&signature[..], &[0]].concat()];
        let with_zero = [&[0], &signature[..]].concat();
        let twice = [&signature[..], &signature[..]].concat();
        for other in [one_less, &without_first, &with_more, &with_zero, &twice] {
            let token = format!("{head}.{body}.{}", base64url::encode(other));
            assert_eq!(refused(token), Reason::Signature, "{algorithm}: {} bytes", other.len());
        }
    }
}

/// RFC 7515 section 7.1: three parts. Four or five are other things, JWEs among them (RFC 7516 section 3.1).
#[test]
fn parts_that_are_missing_or_too_many_are_refused() {
    for algorithm in all() {
        let token = good(algorithm);
        let [head, body, code] = parts(&token);
        for token in [
            format!("{head}.{body}"),
            format!("{body}.{code}"),
            format!("{head}..{code}"),
            format!(".{body}.{code}"),
            format!("{head}.{body}.{code}."),
            format!(".{head}.{body}.{code}"),
            format!("{head}.{body}.{body}.{code}"),
            format!("{head}.{body}.{code}.{code}"),
            format!("{head}.{code}.{body}.{code}.{code}"),
            head.to_owned(),
            "..".to_owned(),
        ] {
            assert_eq!(refused(&token), Reason::Malformed, "{token}");
        }
        assert_eq!(refused(format!("{body}.{head}.{code}")), Reason::Malformed, "no alg in the claims");
        assert_eq!(refused(format!("{head}.{code}.{body}")), Reason::Signature);
        assert_eq!(refused(format!("{head}.{head}.{code}")), Reason::Signature);
    }
}

/// RFC 7515 section 2 (no padding), RFC 4648 section 3.5 (bits that count for nothing): each token has one text.
#[test]
fn no_part_can_be_spelled_otherwise() {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for algorithm in all() {
        let token = good(algorithm);
        let texts = parts(&token);
        for place in 0..3 {
            let with = |text: String| {
                let mut texts = texts.map(str::to_owned);
                texts[place] = text;
                texts.join(".")
            };
            let text = texts[place];
            for padding in ["=", "==", "%3D", "A", "\0"] {
                assert!(matches!(refused(with(format!("{text}{padding}"))), Reason::Malformed | Reason::Signature));
            }
            let (front, last) = text.split_at(text.len() - 1);
            let value = LETTERS.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
            // Of the last letter of 4n + 2, four bits count for nothing; of 4n + 3, two.
            let spare = match text.len() % 4 {
                2 => 15,
                3 => 3,
                _ => 0,
            };
            for bits in 1..=spare {
                let other = char::from(LETTERS[value ^ bits]);
                assert_eq!(refused(with(format!("{front}{other}"))), Reason::Malformed, "{algorithm} {place} {other}");
            }
            for (one, other) in [('-', '+'), ('_', '/')].into_iter().filter(|(one, _)| text.contains(*one)) {
                assert_eq!(refused(with(text.replace(one, &other.to_string()))), Reason::Malformed);
            }
        }
    }
}

/// RFC 7515 section 2: no line breaks, white space or other characters.
#[test]
fn white_space_has_no_place_anywhere() {
    for algorithm in all() {
        let token = good(algorithm);
        let dots: Vec<_> = token.match_indices('.').map(|(at, _)| at).collect();
        for at in [0, 1, dots[0], dots[0] + 1, dots[1], dots[1] + 1, token.len() - 1, token.len()] {
            for space in [" ", "\t", "\n", "\r", "\r\n", "\u{a0}", "\u{feff}", "\u{200b}"] {
                let (before, behind) = token.split_at(at);
                assert_eq!(refused(format!("{before}{space}{behind}")), Reason::Malformed, "{algorithm} {at}");
            }
        }
    }
}

/// RFC 7515 section 4, RFC 7519 section 4, RFC 8725 section 2.4.
#[test]
fn a_member_twice_is_refused_also_where_it_is_signed() {
    for algorithm in all() {
        for header in [
            format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}","alg":"{algorithm}"}}"#),
            format!(r#"{{"alg":"none","kid":"{algorithm}","alg":"{algorithm}"}}"#),
            format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}","\u006bid":"{algorithm}"}}"#),
            format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}","x":[{{"y":1,"y":1}}]}}"#),
        ] {
            assert_eq!(refused(issued(algorithm, &header, CLAIMS)), Reason::Malformed, "{header}");
        }
        for claims in [
            r#"{"sub":"42","exp":1,"exp":1700000001}"#,
            r#"{"sub":"43","exp":1700000001,"sub":"42"}"#,
            r#"{"sub":"42","exp":1700000001,"\u0073ub":"42"}"#,
            r#"{"sub":"42","exp":1700000001,"a":{"b":{"c":1,"c":1}}}"#,
        ] {
            assert_eq!(refused(issued(algorithm, header(algorithm), claims)), Reason::Malformed, "{claims}");
        }
    }
}

/// RFC 7515 section 4.1.11, RFC 7797 section 6.
#[test]
fn an_extension_that_must_be_understood_is_refused_and_so_is_an_unencoded_payload() {
    for algorithm in all() {
        for more in [
            r#""crit":["exp"],"exp":1700000001"#,
            r#""crit":["http://example.invalid/x"],"http://example.invalid/x":true"#,
            r#""crit":[]"#,
            r#""crit":null"#,
            r#""crit":"b64""#,
            r#""\u0063rit":["x"],"x":1"#,
            r#""b64":false"#,
            r#""b64":true"#,
            r#""b64":false,"crit":["b64"]"#,
        ] {
            let header = format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}",{more}}}"#);
            assert_eq!(refused(issued(algorithm, &header, CLAIMS)), Reason::Malformed, "{header}");
        }
        // The payload as it is, dots and all.
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}","b64":false,"crit":["b64"]}}"#);
        let input = format!("{}.{CLAIMS}", base64url::encode(header.as_bytes()));
        let code = base64url::encode(&signature(algorithm, input.as_bytes()));
        assert_eq!(refused(format!("{input}.{code}")), Reason::Malformed);
    }
}

/// RFC 8725 section 3.10, RFC 7515 sections 4.1.2 to 4.1.8: an attacker who brings a key along has signed with it.
#[test]
fn a_key_that_a_token_brings_along_checks_nothing() {
    let random = SystemRandom::new();
    let ed = Ed25519KeyPair::generate().unwrap();
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = ec.public_key().as_ref();
    let ed_key = json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(ed.public_key().as_ref()) });
    let (x, y) = point[1..].split_at(32);
    let ec_key = json!({ "kty": "EC", "crv": "P-256", "x": base64url::encode(x), "y": base64url::encode(y) });
    let sign_ed = |input: &str| ed.sign(input.as_bytes()).as_ref().to_vec();
    let sign_ec = |input: &str| ec.sign(&random, input.as_bytes()).unwrap().as_ref().to_vec();
    for (alg, key) in [("EdDSA", ed_key), ("ES256", ec_key)] {
        let sign = |input: &str| if alg == "EdDSA" { sign_ed(input) } else { sign_ec(input) };
        for brought in [
            json!({ "jwk": key }),
            json!({ "jku": "https://evil.example/jwks.json" }),
            json!({ "x5u": "https://evil.example/chain.pem" }),
            json!({ "x5c": ["MIIB"], "x5t": "AA", "x5t#S256": "AA" }),
            json!({ "jwk": key, "jku": "http://localhost/", "x5u": "file:///etc/passwd" }),
        ] {
            for kid in [None, Some(alg), Some("evil")] {
                let mut header = brought.clone();
                header["alg"] = json!(alg);
                if let Some(kid) = kid {
                    header["kid"] = json!(kid);
                }
                let input = input(header.to_string(), CLAIMS);
                let token = format!("{input}.{}", base64url::encode(&sign(&input)));
                let expected = if kid == Some("evil") { Reason::UnknownKey } else { Reason::Signature };
                assert_eq!(refused(token), expected, "{header}");
            }
        }
        // Next to a good signature they are of no consequence.
        let algorithm = Algorithm::from_name(alg).unwrap();
        let header = json!({ "alg": alg, "kid": alg, "jwk": key, "jku": "https://evil.example/", "x5c": ["MIIB"] });
        assert!(answer(mixed_ring(), issued(algorithm, header.to_string(), CLAIMS)).is_ok());
    }
}

/// RFC 8725 section 3.10: a kid is untrusted input to whatever looks a key up.
#[test]
fn a_kid_is_a_name_and_neither_path_nor_query() {
    let long = "RS256".repeat(1000);
    for kid in [
        "../../../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "keys.json",
        "RS256' OR '1'='1",
        "RS256'; DROP TABLE keys; --",
        "RS256\\u0000",
        "\\u0000",
        "RS256\\u0000.pem",
        "RS256 ",
        " RS256",
        "rs256",
        "RS25\\u0456",
        "*",
        "RS*",
        "$(id)",
        "`id`",
        "${jndi:ldap://evil.example/x}",
        "\\ud83d\\ude00",
        &long,
    ] {
        for algorithm in all() {
            let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}"}}"#);
            assert_eq!(refused(issued(algorithm, &header, CLAIMS)), Reason::UnknownKey, "{kid:.80}");
        }
    }
    for kid in ["1", r#"["RS256"]"#, r#"{"kid":"RS256"}"#, "\"\\ud800\""] {
        let header = format!(r#"{{"alg":"RS256","kid":{kid}}}"#);
        assert_eq!(refused(issued(Algorithm::Rs256, &header, CLAIMS)), Reason::Malformed, "{kid}");
    }
}

/// RFC 7519 section 7.2 step 10.
#[test]
fn claims_that_are_no_object_are_refused() {
    for algorithm in all() {
        for claims in ["", "null", "1", "true", "\"42\"", "[]", r#"[{"sub":"42"}]"#, "{", "{}{}", "{} x", "\0", "{}\0"]
        {
            assert_eq!(refused(issued(algorithm, header(algorithm), claims)), Reason::Malformed, "{claims:?}");
        }
        assert_eq!(refused(issued(algorithm, header(algorithm), b"{\"sub\":\"\xff\"}")), Reason::Malformed);
    }
}

/// RFC 8259 section 9: a parser may set limits to size and depth, and this one does, before it reads.
#[test]
fn huge_and_deep_json_is_refused_without_being_read() {
    let policy = TokenPolicy { max_token_bytes: 1024 * 1024, ..TokenPolicy::default() };
    let check = |token: &str| {
        let mut verifier = Verifier::new(Arc::clone(mixed_ring()), policy.clone());
        verifier.verify(user("42"), token.as_bytes(), None, at(NOW)).map_err(Cause::reason)
    };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        for levels in [17, 1000, 50_000] {
            let deep = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            let claims = format!(r#"{{"sub":"42","exp":1700000001,"x":{deep}}}"#);
            assert_eq!(check(&issued(Algorithm::EdDsa, header(Algorithm::EdDsa), claims)), Err(Reason::Malformed));
            let head = format!(r#"{{"alg":"EdDSA","kid":"EdDSA","x":{deep}}}"#);
            assert_eq!(check(&issued(Algorithm::EdDsa, head, CLAIMS)), Err(Reason::Malformed));
        }
    }
    let wide = format!(r#"{{"sub":"42","exp":1700000001,"x":[{}1]}}"#, "1,".repeat(100_000));
    let token = issued(Algorithm::EdDsa, header(Algorithm::EdDsa), wide);
    assert!(check(&token).is_ok());
    assert_eq!(refused(&token), Reason::Malformed, "longer than the 8192 bytes that are the default");
}

/// RFC 7519 section 4.1.2 compares strings character by character, also after a zero byte.
#[test]
fn a_zero_byte_ends_nothing() {
    for algorithm in all() {
        let token = good(algorithm);
        for at in [0, 5, token.find('.').unwrap(), token.len()] {
            let (before, behind) = token.split_at(at);
            assert_eq!(refused([before, "\0", behind].concat()), Reason::Malformed);
        }
        for (claims, reason) in [
            (r#"{"sub":"42\u0000","exp":1700000001}"#, Reason::Subject),
            (r#"{"sub":"42\u0000admin","exp":1700000001}"#, Reason::Subject),
            ("{\"sub\":\"42\0\",\"exp\":1700000001}", Reason::Malformed),
        ] {
            assert_eq!(refused(issued(algorithm, header(algorithm), claims)), reason, "{claims:?}");
        }
        // The application's session ids are texts; other issuers' are hashed with all their bytes.
        let claims = r#"{"sub":"42","sid":"one\u0000","exp":1700000001}"#;
        let answer = answer(mixed_ring(), issued(algorithm, header(algorithm), claims));
        let id = SessionId::of_issuer("", b"one\0").unwrap();
        let expected = if algorithm.key_type() == "oct" { Err(Reason::Malformed) } else { Ok(id) };
        assert_eq!(answer.map(|verified| verified.id), expected);
        let header = format!(r#"{{"alg":"{algorithm}\u0000","kid":"{algorithm}"}}"#);
        assert_eq!(refused(issued(algorithm, header, CLAIMS)), Reason::Algorithm);
    }
}

/// RFC 7519 sections 2 (NumericDate is a JSON number) and 4.1.4 (on or after exp a token is dead).
#[test]
fn dates_of_every_wrong_type_are_refused_and_a_token_is_dead_on_its_exp() {
    for algorithm in all() {
        for bad in [
            "\"1700000001\"",
            "true",
            "[]",
            "[1700000001]",
            "{}",
            "-1",
            "-1700000001",
            "1e309",
            "1e300",
            "281474976711",
            "18446744073709551616",
            "99999999999999999999999999999999",
        ] {
            for name in ["exp", "nbf", "iat"] {
                let claims = if name == "exp" {
                    format!(r#"{{"sub":"42","exp":{bad}}}"#)
                } else {
                    format!(r#"{{"sub":"42","exp":1700000001,"{name}":{bad}}}"#)
                };
                assert_eq!(refused(issued(algorithm, header(algorithm), &claims)), Reason::Malformed, "{claims}");
            }
        }
        let at_exp = format!(r#"{{"sub":"42","exp":{NOW}}}"#);
        assert_eq!(refused(issued(algorithm, header(algorithm), at_exp)), Reason::TokenExpired);
        assert_eq!(refused(issued(algorithm, header(algorithm), r#"{"sub":"42"}"#)), Reason::Malformed, "no exp");
        let later = format!(r#"{{"sub":"42","exp":1800000000,"nbf":{}}}"#, NOW + 1);
        assert_eq!(refused(issued(algorithm, header(algorithm), later)), Reason::NotYetValid);
    }
}
