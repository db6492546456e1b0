//! One key of the ring: its id, its one algorithm, and what it authenticates.

use std::fmt;

use super::algorithm::{Algorithm, Hash};
use super::mac::MacKey;
use super::public::PublicKey;
use crate::base64url;

/// A key, bound to one algorithm (RFC 8725 section 3.1).
///
/// A secret is kept only as HMAC states, and neither [`Debug`](fmt::Debug) nor any accessor shows it.
pub struct Key {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    bits: usize,
    can_sign: bool,
    material: Material,
}

enum Material {
    Secret(Box<Secret>),
    Public(PublicKey),
}

/// What is made of a secret.
pub(crate) struct Secret {
    /// The header of the JWTs that it signs, as base64url.
    pub(crate) header: Box<str>,
    /// What JWTs are signed with.
    pub(crate) jwt: MacKey,
    /// What opaque session tokens are authenticated with.
    pub(crate) opaque: MacKey,
    /// What refresh tokens are authenticated with.
    pub(crate) refresh: MacKey,
}

/// The `typ` of the JWTs that are made here, unless another is asked for.
pub(crate) const TYPE: &str = "JWT";

impl Key {
    /// A key of a secret. `kid` is checked by the caller, and `hash` is the algorithm's. One without a `kid` never signs:
    /// its tokens would not say which key to check them with.
    pub(crate) fn secret_of(
        kid: Option<&str>,
        (algorithm, hash): (Algorithm, Hash),
        secret: &[u8],
        may_sign: bool,
    ) -> Self {
        let jwt = MacKey::new(hash, secret);
        let name = kid.unwrap_or_default();
        let (opaque, refresh) = (derive(&jwt, OPAQUE, name), derive(&jwt, REFRESH, name));
        let header = header(algorithm, name, TYPE).into();
        let material = Material::Secret(Box::new(Secret { header, jwt, opaque, refresh }));
        let can_sign = may_sign && kid.is_some();
        Self { kid: kid.map(Into::into), algorithm, bits: secret.len().saturating_mul(8), can_sign, material }
    }

    /// A public key, which only verifies JWTs. `kid` is checked by the caller.
    pub(crate) fn public_of(kid: Option<&str>, algorithm: Algorithm, key: PublicKey) -> Self {
        Self { kid: kid.map(Into::into), algorithm, bits: key.bits(), can_sign: false, material: Material::Public(key) }
    }

    /// The key's id (RFC 7517 section 4.5), which tokens name it by: 1 to 128 bytes without control characters. A key
    /// without one checks tokens that name none, and never signs.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The one algorithm it signs and verifies JWTs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How long it is: the secret, the modulus or the curve's field, in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// The thumbprint of a public key (RFC 7638, SHA-256, base64url). A secret has none: it would tell whether a guess
    /// is right.
    #[must_use]
    pub fn thumbprint(&self) -> Option<&str> {
        match &self.material {
            Material::Public(key) => Some(key.thumbprint()),
            Material::Secret(_) => None,
        }
    }

    /// Whether it may make tokens, or only check them (a public key, or a JWK whose `key_ops` lacks `sign`).
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.can_sign
    }

    /// What is made of its secret, unless it is a public key.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        match &self.material {
            Material::Secret(secret) => Some(secret),
            Material::Public(_) => None,
        }
    }

    /// That, if it may make tokens.
    pub(crate) fn signer(&self) -> Option<&Secret> {
        self.secret().filter(|_| self.can_sign)
    }

    /// Whether `signature` is this key's for the JWT with this signing input.
    pub(crate) fn verifies_jwt(&self, input: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(secret) => secret.jwt.verify(input, signature),
            Material::Public(key) => key.verifies(input, signature),
        }
    }
}

/// The header of JWTs of this type, as base64url.
pub(crate) fn header(algorithm: Algorithm, kid: &str, typ: &str) -> String {
    let header = serde_json::json!({ "alg": algorithm.as_str(), "kid": kid, "typ": typ }).to_string();
    base64url::encode(header.as_bytes())
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

    const HS256: (Algorithm, Hash) = (Algorithm::Hs256, Hash::Sha256);

    #[test]
    fn debug_shows_no_key_material() {
        let key = Key::secret_of(Some("k1"), HS256, &[7; 32], true);
        assert_eq!(format!("{key:?}"), r#"Key { kid: Some("k1"), algorithm: Hs256, can_sign: true, .. }"#);
    }

    #[test]
    fn a_secret_has_a_length_and_no_thumbprint() {
        let key = Key::secret_of(Some("k1"), HS256, &[7; 33], true);
        assert_eq!((key.bits(), key.thumbprint()), (264, None));
    }

    #[test]
    fn the_header_names_algorithm_and_key() {
        let header = base64url::decode(header(Algorithm::Hs384, "a\"b", TYPE).as_bytes()).unwrap();
        assert_eq!(header, br#"{"alg":"HS384","kid":"a\"b","typ":"JWT"}"#);
    }

    #[test]
    fn a_code_of_one_kind_of_credential_or_kid_passes_for_no_other() {
        let key = Key::secret_of(Some("k1"), HS256, &[7; 32], true);
        let same_secret = Key::secret_of(Some("k2"), HS256, &[7; 32], true);
        let (key, same_secret) = (key.secret().unwrap(), same_secret.secret().unwrap());
        let tag = key.opaque.tag(b"message");
        assert!(key.opaque.verify(b"message", tag.as_bytes()));
        for other in [&key.jwt, &key.refresh, &same_secret.opaque] {
            assert!(!other.verify(b"message", tag.as_bytes()));
        }
    }
}
