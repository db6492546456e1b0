//! One key of the ring: its id, its one algorithm, and what it authenticates.

use std::fmt;

use super::algorithm::{Algorithm, Family, Hash};
use super::mac::MacKey;
use super::private::PrivateKey;
use super::public::PublicKey;
use crate::base64url;

/// A key, bound to one algorithm (RFC 8725 section 3.1).
///
/// A secret is kept only as HMAC states, and neither [`Debug`](fmt::Debug) nor any accessor shows it or a private key.
pub struct Key {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    bits: usize,
    can_sign: bool,
    material: Material,
    /// Of a secret or a private key of ours with a `kid`.
    own: Option<Box<Own>>,
}

enum Material {
    Secret(Box<Secret>),
    Private(Box<PrivateKey>),
    Public(PublicKey),
}

/// What is made of a secret.
pub(crate) struct Secret {
    /// What JWTs are signed with.
    pub(crate) jwt: MacKey,
    fingerprint: Box<str>,
}

/// What tokens that are made here are told and authenticated by.
pub(crate) struct Own {
    /// The header of the JWTs that it signs, as base64url.
    pub(crate) header: Box<str>,
    /// What opaque session tokens are authenticated with.
    pub(crate) opaque: MacKey,
    /// What refresh tokens are authenticated with.
    pub(crate) refresh: MacKey,
}

impl Own {
    fn new(kid: &str, algorithm: Algorithm, secret: &MacKey) -> Box<Self> {
        let (opaque, refresh) = (derive(secret, OPAQUE, kid), derive(secret, REFRESH, kid));
        Box::new(Self { header: header(algorithm, kid, TYPE).into(), opaque, refresh })
    }
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
        let mut key = Self::foreign_secret_of(kid, (algorithm, hash), secret);
        key.own = kid.map(|kid| Own::new(kid, algorithm, &MacKey::new(hash, secret)));
        key.can_sign = may_sign && key.own.is_some();
        key
    }

    /// A key of a secret of another issuer, which only verifies JWTs.
    pub(crate) fn foreign_secret_of(kid: Option<&str>, (algorithm, hash): (Algorithm, Hash), secret: &[u8]) -> Self {
        let jwt = MacKey::new(hash, secret);
        let fingerprint = fingerprint(&jwt).into();
        Self {
            kid: kid.map(Into::into),
            algorithm,
            bits: secret.len().saturating_mul(8),
            can_sign: false,
            material: Material::Secret(Box::new(Secret { jwt, fingerprint })),
            own: None,
        }
    }

    /// A private key and its bytes. `kid` is checked by the caller; without one it never signs, as a secret.
    pub(crate) fn private_of(
        kid: Option<&str>,
        algorithm: Algorithm,
        key: PrivateKey,
        bytes: &[u8],
        may_sign: bool,
    ) -> Self {
        // Its bytes are the key of no other HMAC, and the label is that of no secret's derivation.
        let secret = MacKey::new(Hash::Sha256, bytes).derive(b"redis-session private key");
        let own = kid.map(|kid| Own::new(kid, algorithm, &secret));
        Self {
            kid: kid.map(Into::into),
            algorithm,
            bits: key.public().bits(),
            can_sign: may_sign && own.is_some(),
            material: Material::Private(Box::new(key)),
            own,
        }
    }

    /// A public key, which only verifies JWTs. `kid` is checked by the caller.
    pub(crate) fn public_of(kid: Option<&str>, algorithm: Algorithm, key: PublicKey) -> Self {
        Self {
            kid: kid.map(Into::into),
            algorithm,
            bits: key.bits(),
            can_sign: false,
            material: Material::Public(key),
            own: None,
        }
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

    /// The thumbprint of a public key, or of a private one's public half (RFC 7638, SHA-256, base64url). A secret has
    /// none: it would tell whether a guess is right.
    #[must_use]
    pub fn thumbprint(&self) -> Option<&str> {
        self.public().map(PublicKey::thumbprint)
    }

    /// What tells this key from others without revealing it: the thumbprint, or of a secret 80 bits of a code under a
    /// key that is derived from it, in base64url.
    ///
    /// Servers whose keys have one fingerprint have one key. It would tell whether a guess at a secret is right. But so
    /// does each token, and a secret has 256 bits or more.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        match &self.material {
            Material::Secret(secret) => &secret.fingerprint,
            Material::Private(key) => key.public().thumbprint(),
            Material::Public(key) => key.thumbprint(),
        }
    }

    /// Whether it may make tokens, or only check them (a public key, a key without a `kid`, or a JWK whose `key_ops`
    /// lacks `sign`).
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.can_sign
    }

    /// Whether it is a public key, and nothing about it is secret.
    #[must_use]
    pub fn is_public(&self) -> bool {
        matches!(self.material, Material::Public(_))
    }

    /// Whether it is the same key for the same algorithm, whatever it is called.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.bits == other.bits && self.fingerprint() == other.fingerprint()
    }

    /// Whether JWTs name both alike.
    pub(crate) fn is_named_like(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.kid == other.kid
    }

    /// The public key, or a private one's public half, as a JWK; `None` of a secret.
    pub(crate) fn public_jwk(&self) -> Option<String> {
        let members = self.public()?.members();
        let kid = self.kid().map(|kid| format!(r#""kid":{},"#, serde_json::Value::from(kid))).unwrap_or_default();
        Some(format!(r#"{{{kid}"use":"sig","alg":"{}",{members}}}"#, self.algorithm))
    }

    fn public(&self) -> Option<&PublicKey> {
        match &self.material {
            Material::Secret(_) => None,
            Material::Private(key) => Some(key.public()),
            Material::Public(key) => Some(key),
        }
    }

    /// What tokens of ours are told and authenticated by, if it is a key of ours.
    pub(crate) fn own(&self) -> Option<&Own> {
        self.own.as_deref()
    }

    /// That, if it may make tokens.
    pub(crate) fn signer(&self) -> Option<&Own> {
        self.own().filter(|_| self.can_sign)
    }

    /// Appends a dot and the signature of all before it to the first two parts of a JWT; `None` if it cannot sign.
    pub(crate) fn sign(&self, token: &mut String) -> Option<()> {
        match &self.material {
            Material::Secret(secret) => {
                let tag = secret.jwt.tag(token.as_bytes());
                token.push('.');
                base64url::encode_into(tag.as_bytes(), token);
            }
            Material::Private(key) => {
                let signature = key.sign(token.as_bytes())?;
                token.push('.');
                base64url::encode_into(signature.as_bytes(), token);
            }
            Material::Public(_) => return None,
        }
        Some(())
    }

    /// The letters that a dot and a signature take.
    pub(crate) fn signature_letters(&self) -> usize {
        let bytes = match self.algorithm.family() {
            Family::Hmac(hash) => hash.bytes(),
            Family::Ecdsa(curve) => 2 * curve.bytes(),
            Family::Pkcs1(_) | Family::Pss(_) => self.bits.div_ceil(8),
            Family::Ed25519 => 64,
        };
        1 + bytes.saturating_mul(4).div_ceil(3)
    }

    /// Whether `signature` is this key's for the JWT with this signing input.
    pub(crate) fn verifies_jwt(&self, input: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(secret) => secret.jwt.verify(input, signature),
            Material::Private(key) => key.public().verifies(input, signature),
            Material::Public(key) => key.verifies(input, signature),
        }
    }

    #[cfg(test)]
    pub(crate) fn secret(&self) -> Option<&Secret> {
        match &self.material {
            Material::Secret(secret) => Some(secret),
            _ => None,
        }
    }
}

/// See [`Key::fingerprint`]. Its key is for that alone, and no JWT's signing input is the label (RFC 8725 section 3.12).
fn fingerprint(secret: &MacKey) -> String {
    let tag = secret.derive(b"redis-session fingerprint").tag(b"of a secret");
    base64url::encode(tag.as_bytes().get(..10).unwrap_or_default())
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
        let (own, same_secret) = (key.own().unwrap(), same_secret.own().unwrap());
        let tag = own.opaque.tag(b"message");
        assert!(own.opaque.verify(b"message", tag.as_bytes()));
        for other in [&key.secret().unwrap().jwt, &own.refresh, &same_secret.opaque] {
            assert!(!other.verify(b"message", tag.as_bytes()));
        }
    }
}
