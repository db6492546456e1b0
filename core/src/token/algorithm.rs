//! The signature algorithms and their names.

use std::fmt;

/// A JWS algorithm that keys can be bound to (RFC 7518 section 3.1, RFC 8037 section 3.1).
///
/// `none` is not among them and never will be (RFC 8725 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// ECDSA over P-521 with SHA-512.
    Es512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// EdDSA over Ed25519, which RFC 9864 section 2.2 calls `Ed25519`.
    EdDsa,
}

/// What an algorithm computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Hmac(Hash),
    Ecdsa(Curve),
    /// RSASSA-PKCS1-v1_5.
    Pkcs1(Hash),
    /// RSASSA-PSS.
    Pss(Hash),
    Ed25519,
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// A curve of ECDSA, which is for one algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
    P521,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 13] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::EdDsa,
    ];

    /// The name that a header's or a JWK's `alg` gives it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm with exactly this name (RFC 7515 section 4.1.1: case-sensitive). `Ed25519` names EdDSA, too, of
    /// which there is no other curve here (RFC 9864 section 2.2).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// The `kty` of its keys (RFC 7518 section 6.1, RFC 8037 section 2).
    #[must_use]
    pub const fn key_type(self) -> &'static str {
        match self.family() {
            Family::Hmac(_) => "oct",
            Family::Ecdsa(_) => "EC",
            Family::Pkcs1(_) | Family::Pss(_) => "RSA",
            Family::Ed25519 => "OKP",
        }
    }

    pub(crate) const fn family(self) -> Family {
        match self {
            Self::Hs256 => Family::Hmac(Hash::Sha256),
            Self::Hs384 => Family::Hmac(Hash::Sha384),
            Self::Hs512 => Family::Hmac(Hash::Sha512),
            Self::Es256 => Family::Ecdsa(Curve::P256),
            Self::Es384 => Family::Ecdsa(Curve::P384),
            Self::Es512 => Family::Ecdsa(Curve::P521),
            Self::Rs256 => Family::Pkcs1(Hash::Sha256),
            Self::Rs384 => Family::Pkcs1(Hash::Sha384),
            Self::Rs512 => Family::Pkcs1(Hash::Sha512),
            Self::Ps256 => Family::Pss(Hash::Sha256),
            Self::Ps384 => Family::Pss(Hash::Sha384),
            Self::Ps512 => Family::Pss(Hash::Sha512),
            Self::EdDsa => Family::Ed25519,
        }
    }
}

impl Hash {
    /// The length of its output in bytes, and so of the shortest secret (RFC 7518 section 3.2).
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Curve {
    /// The curve with this `crv` (RFC 7518 section 6.2.1.1).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::P256, Self::P384, Self::P521].into_iter().find(|curve| curve.as_str() == name)
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The size of its field in bits.
    pub(crate) const fn bits(self) -> usize {
        match self {
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    /// The length in bytes of a coordinate, and of a private key (RFC 7518 sections 6.2.1.2 and 6.2.2.1).
    pub(crate) const fn bytes(self) -> usize {
        self.bits().div_ceil(8)
    }

    /// The algorithm that its keys are for (RFC 7518 section 3.4).
    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::Es256,
            Self::P384 => Algorithm::Es384,
            Self::P521 => Algorithm::Es512,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_byte_by_byte() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.as_str()), Some(algorithm));
        }
        for other in ["none", "None", "NONE", "hs256", "HS256 ", "HS1", "EDDSA", "ES256K", "RS1", "Ed448", ""] {
            assert_eq!(Algorithm::from_name(other), None, "{other:?}");
        }
    }

    #[test]
    fn eddsa_has_a_second_name() {
        assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
        assert_eq!(Algorithm::EdDsa.as_str(), "EdDSA");
    }

    #[test]
    fn a_curve_is_for_one_algorithm() {
        for (curve, bytes) in [(Curve::P256, 32), (Curve::P384, 48), (Curve::P521, 66)] {
            assert_eq!(curve.algorithm().family(), Family::Ecdsa(curve));
            assert_eq!((Curve::from_name(curve.as_str()), curve.bytes()), (Some(curve), bytes));
        }
    }
}
