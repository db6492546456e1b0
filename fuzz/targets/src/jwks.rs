//! Key files.

use redis_session_core::token::{Algorithm, IssuerKeys, Key, KeyRing, NewToken};
use redis_session_core::{SessionId, Subject, UnixMillis};

use crate::issuer::{decode, sign};
use crate::tree::{Tree, member, strict_object};

/// A key file is a ring of just the keys that serde_json finds in it and that are good, or an error that quotes no secret.
/// As an issuer's file it is refused only for what an issuer has no business to give out.
///
/// The bytes: the length of the `kid` that is to sign, 0 for none; the `kid`; the file.
pub fn jwks(data: &[u8]) {
    let Some((length, data)) = data.split_first() else { return };
    let (active, file) = data.split_at(usize::from(*length).min(data.len()));
    let active = std::str::from_utf8(active).ok().filter(|kid| !kid.is_empty());
    let tree = strict_object(file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file));
    let keys = tree.as_deref().and_then(keys_of);
    match KeyRing::from_jwk_set(file, active) {
        Ok(ring) => {
            let keys = keys.as_deref().expect("a file that is taken is a strict object with keys");
            assert!(keys.iter().filter(|jwk| is_secret(jwk)).all(|jwk| is_good_secret(jwk)));
            check_ring(&ring, keys);
            let mut can_sign = ring.keys().filter(|key| key.can_sign());
            let signing = match active {
                Some(kid) => can_sign.find(|key| key.kid() == Some(kid)),
                None => can_sign.next(),
            };
            assert_eq!(ring.signing_key().map(Key::kid), signing.map(Key::kid));
            assert!(active.is_none() || signing.is_some());
            // The published set holds nothing that an issuer keeps to itself, and no key that is of no use.
            let published = ring.public_jwks();
            assert!(!keys.iter().flat_map(|jwk| hidden(jwk)).any(|text| is_quoted(&published, text, keys, active)));
            let published = KeyRing::of_issuer(published.as_bytes(), IssuerKeys::default()).expect("a set");
            assert_eq!(published.ignored().len(), 0);
            assert!(published.keys().all(|key| {
                key.is_public()
                    && ring
                        .keys()
                        .any(|own| !own.is_public() && (own.kid(), own.fingerprint()) == (key.kid(), key.fingerprint()))
            }));
        }
        Err(error) => {
            let (said, keys) = (format!("{error} {error:?}"), keys.as_deref().unwrap_or_default());
            assert!(
                !keys.iter().flat_map(|jwk| hidden(jwk)).any(|text| is_quoted(&said, text, keys, active)),
                "{said}"
            );
            assert!(active.is_some() || !must_do(keys), "{said}");
        }
    }
    match KeyRing::of_issuer(file, IssuerKeys::default()) {
        Ok(ring) => {
            let keys = keys.as_deref().expect("a file that is taken is a strict object with keys");
            assert!(!keys.iter().any(|jwk| is_secret(jwk) || is_private(jwk)));
            assert!(ring.signing_key().is_none() && !ring.has_secrets());
            check_ring(&ring, keys);
        }
        Err(_) => assert!(keys.is_none_or(|keys| keys.iter().any(|jwk| is_secret(jwk) || is_private(jwk)))),
    }
}

/// Each key of the ring is one of the file; each key of the file is in the ring, or left out, or there twice.
fn check_ring(ring: &KeyRing, keys: &[&Members]) {
    for key in ring.keys() {
        let of_file: Vec<_> = keys.iter().copied().filter(|jwk| is_named(jwk, key)).collect();
        assert!(!of_file.is_empty(), "{key:?} is none of the file");
        assert!(of_file.iter().any(|jwk| verdict(jwk) != Some(false) && (!is_secret(jwk) || has_secret_of(jwk, key))));
    }
    assert!(ring.keys().len() + ring.ignored().len() <= keys.len());
    for jwk in keys.iter().filter(|jwk| verdict(jwk) == Some(true)) {
        let is_there = ring.keys().any(|key| is_named(jwk, key));
        assert!(is_there || ring.ignored().any(|key| key.kid.as_deref() == kid(jwk)));
    }
    for left_out in ring.ignored() {
        let name = left_out.kid.as_deref();
        assert!(keys.iter().any(|jwk| !is_secret(jwk) && kid(jwk) == name));
    }
}

type Members = [(String, Tree)];

fn keys_of(set: &Members) -> Option<Vec<&Members>> {
    let Some(Tree::List(items)) = member(set, "keys") else { return None };
    let objects = items.iter().map(|item| match item {
        Tree::Object(members) => Some(&members[..]),
        _ => None,
    });
    objects.collect()
}

/// A member that is not null.
fn given<'t>(jwk: &'t Members, name: &str) -> Option<&'t Tree> {
    member(jwk, name).filter(|value| !matches!(value, Tree::Null))
}

fn text<'t>(jwk: &'t Members, name: &str) -> Option<&'t str> {
    given(jwk, name).and_then(Tree::as_text)
}

fn number(jwk: &Members, name: &str) -> Option<Vec<u8>> {
    text(jwk, name).and_then(|text| decode(text.as_bytes()))
}

/// The name of a key, if it has one that will do.
fn kid(jwk: &Members) -> Option<&str> {
    text(jwk, "kid").filter(|kid| (1..=128).contains(&kid.len()) && !kid.chars().any(char::is_control))
}

/// Whether this key of the ring may be that of the file, by what it says of itself.
fn is_named(jwk: &Members, key: &Key) -> bool {
    let curve = match key.algorithm().as_str() {
        "ES256" => Some("P-256"),
        "ES384" => Some("P-384"),
        "ES512" => Some("P-521"),
        "EdDSA" => Some("Ed25519"),
        _ => None,
    };
    let alg = match text(jwk, "alg") {
        Some("Ed25519") => Some("EdDSA"),
        None if text(jwk, "kty") == Some("RSA") => Some("RS256"),
        other => other,
    };
    kid(jwk) == key.kid()
        && text(jwk, "kty") == Some(key.algorithm().key_type())
        && alg.is_none_or(|alg| alg == key.algorithm().as_str())
        && curve.is_none_or(|curve| text(jwk, "crv") == Some(curve))
}

const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"];

fn is_secret(jwk: &Members) -> bool {
    text(jwk, "kty") == Some("oct") || given(jwk, "k").is_some()
}

fn is_private(jwk: &Members) -> bool {
    PRIVATE.into_iter().any(|name| given(jwk, name).is_some())
}

/// What nobody may read.
fn hidden(jwk: &Members) -> impl Iterator<Item = &str> {
    PRIVATE.into_iter().chain(["k"]).filter_map(|name| text(jwk, name)).filter(|text| text.len() >= 24)
}

/// Whether `said` has this secret in it. What is in a kid or in a public number is no secret; of a number with zeros at
/// the front, which go, there may be another text.
fn is_quoted(said: &str, secret: &str, keys: &[&Members], active: Option<&str>) -> bool {
    let numbers = keys.iter().flat_map(|jwk| ["x", "y", "n", "e"].into_iter().filter_map(|name| text(jwk, name)));
    let public = keys.iter().filter_map(|jwk| text(jwk, "kid")).chain(numbers.clone()).chain(active);
    said.contains(secret)
        && !public.into_iter().any(|text| text.contains(secret))
        && !numbers.into_iter().any(|text| text.starts_with('A'))
}

/// Whether a key is good, as far as arithmetic on curves does not decide it.
fn verdict(jwk: &Members) -> Option<bool> {
    if is_secret(jwk) {
        return Some(is_good_secret(jwk));
    }
    let usage = given(jwk, "use").is_none_or(|usage| usage.as_text() == Some("sig"));
    let operations = operations(jwk).is_some_and(|names| {
        names.is_empty() || names.contains(&"verify") || (is_private(jwk) && names.contains(&"sign"))
    });
    let name = given(jwk, "kid").is_none_or(|_| kid(jwk).is_some() || text(jwk, "kid") == Some(""));
    let alg = match given(jwk, "alg") {
        None => Some(None),
        Some(alg) => alg.as_text().map(Some),
    };
    let Some(alg) = alg.filter(|_| usage && operations && name) else { return Some(false) };
    let of_length = |name: &str, length: usize| {
        number(jwk, name).is_some_and(|bytes| {
            let zeros = bytes.len().saturating_sub(length);
            bytes.len() >= length && bytes[..zeros].iter().all(|byte| *byte == 0)
        })
    };
    let could_be = match (text(jwk, "kty"), text(jwk, "crv"), alg) {
        (Some("RSA"), _, None | Some("RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512")) => {
            is_good_modulus(jwk)
        }
        (Some("EC"), Some("P-256"), None | Some("ES256")) => of_length("x", 32) && of_length("y", 32),
        (Some("EC"), Some("P-384"), None | Some("ES384")) => of_length("x", 48) && of_length("y", 48),
        (Some("EC"), Some("P-521"), None | Some("ES512")) => of_length("x", 66) && of_length("y", 66),
        (Some("OKP"), Some("Ed25519"), None | Some("EdDSA" | "Ed25519")) => {
            number(jwk, "x").is_some_and(|point| point.len() == 32)
        }
        _ => false,
    };
    match text(jwk, "kty") {
        _ if !could_be => Some(false),
        Some("RSA") if !is_private(jwk) => Some(true),
        _ => None,
    }
}

/// Of 2048 to 4096 bits and odd, with an odd exponent of 17 to 32 bits.
fn is_good_modulus(jwk: &Members) -> bool {
    let [Some(n), Some(e)] = [number(jwk, "n"), number(jwk, "e")] else { return false };
    let bits = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.get(zeros).map_or(0, |first| (bytes.len() - zeros) * 8 - first.leading_zeros() as usize)
    };
    let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last & 1 == 1);
    (2048..=4096).contains(&bits(&n)) && is_odd(&n) && (17..=32).contains(&bits(&e)) && is_odd(&e)
}

/// The names in `key_ops`; none if it is not there, and `None` if it is not an array of at least one, each once.
fn operations(jwk: &Members) -> Option<Vec<&str>> {
    match given(jwk, "key_ops") {
        None => Some(Vec::new()),
        Some(Tree::List(operations)) => {
            let names: Option<Vec<_>> = operations.iter().map(Tree::as_text).collect();
            names.filter(|names| {
                let different: std::collections::HashSet<_> = names.iter().collect();
                !names.is_empty() && different.len() == names.len()
            })
        }
        Some(_) => None,
    }
}

/// Whether a file with these keys must be taken: its secrets are good, each has a name of its own, there are no private
/// keys, and at least one key is good.
fn must_do(keys: &[&Members]) -> bool {
    let secrets: Vec<_> = keys.iter().filter(|jwk| is_secret(jwk)).collect();
    let kids: std::collections::HashSet<_> = secrets.iter().filter_map(|jwk| kid(jwk)).collect();
    let named = secrets.iter().filter(|jwk| kid(jwk).is_some()).count();
    secrets.iter().all(|jwk| is_good_secret(jwk))
        && kids.len() == named
        && !keys.iter().any(|jwk| is_private(jwk))
        && keys.iter().any(|jwk| verdict(jwk) == Some(true))
}

fn is_good_secret(jwk: &Members) -> bool {
    let needed = match text(jwk, "alg") {
        Some("HS256") => 32,
        Some("HS384") => 48,
        Some("HS512") => 64,
        _ => return false,
    };
    let name = given(jwk, "kid").is_none_or(|_| kid(jwk).is_some() || text(jwk, "kid") == Some(""));
    let secret = number(jwk, "k").is_some_and(|secret| secret.len() >= needed);
    let usage = given(jwk, "use").is_none_or(|usage| usage.as_text() == Some("sig"));
    let operations = operations(jwk).is_some_and(|names| names.is_empty() || names.contains(&"verify"));
    text(jwk, "kty") == Some("oct") && name && secret && usage && operations
}

/// Whether the key has the algorithm and the secret that the file gives it.
fn has_secret_of(jwk: &Members, key: &Key) -> bool {
    assert!(Algorithm::from_name(key.algorithm().as_str()) == Some(key.algorithm()));
    assert!(!key.is_public());
    let secret = number(jwk, "k").expect("a secret");
    let id = SessionId::from_random([7; 16]);
    let token = key.sign_jwt(&NewToken {
        subject: Subject::new(b"42").expect("a user"),
        session: &id,
        began_at: UnixMillis::ZERO,
        generation: 0,
        issued_at: UnixMillis::ZERO,
        expires_at: UnixMillis::MAX,
        auth_time: UnixMillis::ZERO,
        level: 0,
        issuer: None,
        audience: None,
        token_type: None,
        claims: None,
    });
    assert_eq!(token.is_some(), key.can_sign());
    assert!(!key.can_sign() || key.kid().is_some());
    let Some(token) = token else { return true };
    let (input, signature) = token.rsplit_once('.').expect("three parts");
    decode(signature.as_bytes()).expect("base64url") == sign(key.algorithm(), &secret, input.as_bytes())
}
