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
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// EdDSA over Ed25519.
    EdDsa,
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 7] =
        [Self::Hs256, Self::Hs384, Self::Hs512, Self::Es256, Self::Rs256, Self::Ps256, Self::EdDsa];

    /// The name that a header's or a JWK's `alg` gives it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm with exactly this name (RFC 7515 section 4.1.1: case-sensitive).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// The `kty` of its keys (RFC 7518 section 6.1, RFC 8037 section 2).
    #[must_use]
    pub const fn key_type(self) -> &'static str {
        match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => "oct",
            Self::Es256 => "EC",
            Self::Rs256 | Self::Ps256 => "RSA",
            Self::EdDsa => "OKP",
        }
    }

    /// The hash, if it is an HMAC.
    pub(crate) const fn hmac(self) -> Option<Hash> {
        match self {
            Self::Hs256 => Some(Hash::Sha256),
            Self::Hs384 => Some(Hash::Sha384),
            Self::Hs512 => Some(Hash::Sha512),
            Self::Es256 | Self::Rs256 | Self::Ps256 | Self::EdDsa => None,
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

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_to_the_letter() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.as_str()), Some(algorithm));
        }
        for other in ["none", "None", "NONE", "hs256", "HS256 ", "HS1", "EDDSA", "RS384", ""] {
            assert_eq!(Algorithm::from_name(other), None, "{other:?}");
        }
    }

    #[test]
    fn secrets_are_for_hmacs_alone() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.hmac().is_some(), algorithm.key_type() == "oct", "{algorithm}");
        }
    }
}
