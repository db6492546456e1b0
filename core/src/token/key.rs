//! One key of the ring: its id, its one algorithm, and what it authenticates.

use std::fmt;

use super::algorithm::Algorithm;
use super::mac::MacKey;
use crate::base64url;

/// A key, bound to one algorithm (RFC 8725 section 3.1).
///
/// Its secret is kept only as HMAC states, and neither [`Debug`](fmt::Debug) nor any accessor shows it.
pub struct Key {
    kid: Box<str>,
    algorithm: Algorithm,
    can_sign: bool,
    header: Box<str>,
    jwt: MacKey,
    opaque: MacKey,
    refresh: MacKey,
}

impl Key {
    /// `kid` is checked by the caller.
    pub(crate) fn new(kid: &str, algorithm: Algorithm, secret: &[u8], can_sign: bool) -> Self {
        let header = serde_json::json!({ "alg": algorithm.as_str(), "kid": kid, "typ": "JWT" }).to_string();
        let jwt = MacKey::new(algorithm, secret);
        let (opaque, refresh) = (derive(&jwt, OPAQUE, kid), derive(&jwt, REFRESH, kid));
        let header = base64url::encode(header.as_bytes()).into();
        Self { kid: kid.into(), algorithm, can_sign, header, jwt, opaque, refresh }
    }

    /// The key's id (RFC 7517 section 4.5), which tokens name it by. 1 to 128 bytes without control characters.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The one algorithm it signs and verifies JWTs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether it may make tokens, or only check them (a JWK whose `key_ops` lacks `sign`).
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.can_sign
    }

    /// The header of the JWTs it signs, as base64url.
    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// What JWTs are signed with.
    pub(crate) fn jwt(&self) -> &MacKey {
        &self.jwt
    }

    /// What opaque session tokens are authenticated with.
    pub(crate) fn opaque(&self) -> &MacKey {
        &self.opaque
    }

    /// What refresh tokens are authenticated with.
    pub(crate) fn refresh(&self) -> &MacKey {
        &self.refresh
    }
}

/// The kind of credential, in a derivation: the prefix of the opaque session tokens.
const OPAQUE: &str = "rst1";
/// That of the refresh tokens.
const REFRESH: &str = "rsr1";

/// The key for one kind of credential other than JWTs.
///
/// The label holds spaces, so it is the signing input of no JWT; it holds the `kid`, so that a token made under one of
/// two ids of the same secret does not verify under the other.
fn derive(jwt: &MacKey, kind: &str, kid: &str) -> MacKey {
    jwt.derive(format!("redis-session credential {kind} {kid}").as_bytes())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .field("can_sign", &self.can_sign)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_key_material() {
        let key = Key::new("k1", Algorithm::Hs256, &[7; 32], true);
        assert_eq!(format!("{key:?}"), r#"Key { kid: "k1", algorithm: Hs256, can_sign: true, .. }"#);
    }

    #[test]
    fn the_header_names_algorithm_and_key() {
        let key = Key::new("a\"b", Algorithm::Hs384, &[7; 48], true);
        let header = base64url::decode(key.header().as_bytes()).unwrap();
        assert_eq!(header, br#"{"alg":"HS384","kid":"a\"b","typ":"JWT"}"#);
    }

    #[test]
    fn a_code_of_one_kind_of_credential_or_kid_passes_for_no_other() {
        let key = Key::new("k1", Algorithm::Hs256, &[7; 32], true);
        let same_secret = Key::new("k2", Algorithm::Hs256, &[7; 32], true);
        let tag = key.opaque().tag(b"message");
        assert!(key.opaque().verify(b"message", tag.as_bytes()));
        for other in [key.jwt(), key.refresh(), same_secret.opaque()] {
            assert!(!other.verify(b"message", tag.as_bytes()));
        }
    }
}
