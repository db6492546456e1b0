//! Key files.

use redis_session_core::token::{Algorithm, Key, KeyRing, NewToken};
use redis_session_core::{SessionId, Subject, UnixMillis};

use crate::issuer::{decode, sign};
use crate::tree::{Tree, member, strict_object};

/// A key file is a ring of just the keys that serde_json finds in it, or an error that quotes no secret.
///
/// The bytes: the length of the `kid` that is to sign, 0 for none; the `kid`; the file.
pub fn jwks(data: &[u8]) {
    let Some((length, data)) = data.split_first() else { return };
    let (active, file) = data.split_at(usize::from(*length).min(data.len()));
    let active = std::str::from_utf8(active).ok().filter(|kid| !kid.is_empty());
    let tree = strict_object(file);
    let keys = tree.as_deref().and_then(keys_of);
    match KeyRing::from_jwk_set(file, active) {
        Ok(ring) => {
            let keys = keys.expect("a file that is taken is a strict object with keys");
            assert_eq!(ring.keys().len() + ring.ignored().len(), keys.len());
            // In the order of the file, with what is not understood left out.
            let mut rest = keys.iter();
            for key in ring.keys() {
                let (kty, alg) = (key.algorithm().key_type(), key.algorithm().as_str());
                let is_it = |jwk: &&&Members| {
                    let alg = text(jwk, "alg").is_none_or(|given| given == alg);
                    text(jwk, "kid").filter(|kid| !kid.is_empty()) == key.kid() && text(jwk, "kty") == Some(kty) && alg
                };
                assert_same(key, rest.find(is_it).expect("a key of the file"));
            }
            assert!(ring.ignored().all(|key| key.kid.as_deref().is_none_or(|kid| kids(&keys).contains(kid))));
            let mut can_sign = ring.keys().filter(|key| key.can_sign());
            let signing = match active {
                Some(kid) => can_sign.find(|key| key.kid() == Some(kid)),
                None => can_sign.next(),
            };
            assert_eq!(ring.signing_key().map(Key::kid), signing.map(Key::kid));
            assert!(active.is_none() || signing.is_some());
        }
        Err(error) => {
            let said = format!("{error} {error:?}");
            for secret in keys.iter().flatten().filter_map(|jwk| member(jwk, "k")?.as_text()) {
                // What is in a kid too is no secret.
                let kids = keys.iter().flatten().filter_map(|jwk| text(jwk, "kid")).chain(active);
                let open = secret.len() < 24 || kids.into_iter().any(|kid| kid.contains(secret));
                assert!(open || !said.contains(secret), "{said}");
            }
            assert!(active.is_some() || !keys.is_some_and(|keys| are_good(&keys)), "{said}");
        }
    }
}

fn kids<'t>(keys: &[&'t Members]) -> std::collections::HashSet<&'t str> {
    keys.iter().filter_map(|jwk| text(jwk, "kid")).collect()
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

/// Whether all are symmetric keys as they should be. (What is true of others is not said here.)
fn are_good(keys: &[&Members]) -> bool {
    let kids: std::collections::HashSet<_> = keys.iter().map(|jwk| text(jwk, "kid")).collect();
    !keys.is_empty() && kids.len() == keys.len() && keys.iter().all(|jwk| is_good(jwk))
}

fn text<'t>(jwk: &'t Members, name: &str) -> Option<&'t str> {
    member(jwk, name).and_then(Tree::as_text)
}

fn is_good(jwk: &Members) -> bool {
    let needed = match text(jwk, "alg") {
        Some("HS256") => 32,
        Some("HS384") => 48,
        Some("HS512") => 64,
        _ => return false,
    };
    let kid = match member(jwk, "kid") {
        None => true,
        Some(kid) => kid.as_text().is_some_and(|kid| kid.len() <= 128 && !kid.chars().any(char::is_control)),
    };
    let secret = text(jwk, "k").and_then(|k| decode(k.as_bytes())).is_some_and(|secret| secret.len() >= needed);
    let usage = member(jwk, "use").is_none_or(|usage| usage.as_text() == Some("sig"));
    let operations = match member(jwk, "key_ops") {
        None => true,
        Some(Tree::List(operations)) => {
            let names: Option<Vec<_>> = operations.iter().map(Tree::as_text).collect();
            names.is_some_and(|mut names| {
                names.sort_unstable();
                names.windows(2).all(|pair| pair[0] != pair[1]) && names.contains(&"verify")
            })
        }
        Some(_) => false,
    };
    text(jwk, "kty") == Some("oct") && kid && secret && usage && operations
}

/// Whether the key has the name, the algorithm and the secret that the file gives it.
fn assert_same(key: &Key, jwk: &Members) {
    assert_eq!(key.kid(), text(jwk, "kid").filter(|kid| !kid.is_empty()));
    if text(jwk, "kty") != Some("oct") {
        return;
    }
    assert!(is_good(jwk));
    assert_eq!(Some(key.algorithm().as_str()), text(jwk, "alg"));
    assert!(Algorithm::from_name(key.algorithm().as_str()) == Some(key.algorithm()));
    let secret = text(jwk, "k").and_then(|k| decode(k.as_bytes())).expect("a secret");
    let id = SessionId::from_random([7; 16]);
    let token = key.sign_jwt(&NewToken {
        subject: Subject::new(b"42").expect("a user"),
        session: &id,
        began_at: UnixMillis::ZERO,
        generation: 0,
        issued_at: UnixMillis::ZERO,
        expires_at: UnixMillis::MAX,
        issuer: None,
        audience: None,
        token_type: None,
        claims: None,
    });
    assert_eq!(token.is_some(), key.can_sign());
    if let Some(token) = token {
        let (input, signature) = token.rsplit_once('.').expect("three parts");
        assert_eq!(decode(signature.as_bytes()).expect("base64url"), sign(key.algorithm(), &secret, input.as_bytes()));
    }
}
