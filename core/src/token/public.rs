//! Public keys: what a JWK says of one (RFC 7518 section 6, RFC 8037 section 2), checked, and signatures under it.
//!
//! Everything that can be wrong with a key is found here, when it is read. So a signature that does not verify is the
//! token's fault.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::algorithm::{Algorithm, Curve};
use super::problem::KeyProblem;
use crate::base64url;

/// A key that verifies signatures of one algorithm.
pub(crate) struct PublicKey {
    verifier: Verifier,
    bits: usize,
    /// The members that RFC 7638 section 3.2 names, in its order and without white space.
    members: Box<str>,
    thumbprint: Box<str>,
}

/// The moduli that are taken, in bits: RFC 7518 section 3.3 asks for 2048, and the check of one signature under a longer
/// one than 4096 costs the server's only thread 300 microseconds, also if it is forged.
pub(crate) const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

impl PublicKey {
    /// A point of a curve, each coordinate in all its bytes (RFC 7518 section 6.2.1). More zero bytes than these at the
    /// front are taken off.
    pub(crate) fn ecdsa(curve: Curve, x: &str, y: &str) -> Result<Self, KeyProblem> {
        let (x, y) = coordinates(curve, x, y)?;
        let verifier = Verifier::ecdsa(curve, &uncompressed(&x, &y))?;
        let [crv, x, y] = [curve.as_str(), &base64url::encode(&x), &base64url::encode(&y)];
        let members: Box<str> = format!(r#""crv":"{crv}","kty":"EC","x":"{x}","y":"{y}""#).into();
        let thumbprint = thumbprint(&members);
        Ok(Self { verifier, bits: curve.bits(), members, thumbprint })
    }

    /// A point of Ed25519 (`crv` `Ed25519`; RFC 8037 section 2).
    pub(crate) fn ed25519(x: &str) -> Result<Self, KeyProblem> {
        let point: Option<[u8; 32]> = base64url::decode(x.as_bytes()).and_then(|bytes| bytes.try_into().ok());
        let verifier = Verifier::ed25519(&point.ok_or(KeyProblem::Point)?)?;
        let members: Box<str> = format!(r#""crv":"Ed25519","kty":"OKP","x":"{x}""#).into();
        let thumbprint = thumbprint(&members);
        Ok(Self { verifier, bits: 256, members, thumbprint })
    }

    /// A modulus and an exponent (RFC 7518 section 6.3.1). Leading zero bytes, which that forbids and some issuers
    /// write, are taken off.
    pub(crate) fn rsa(algorithm: Algorithm, n: &str, e: &str) -> Result<Self, KeyProblem> {
        let (modulus, exponent) = number(n).zip(number(e)).ok_or(KeyProblem::Modulus)?;
        let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
        if !MODULUS_BITS.contains(&bits) {
            return Err(KeyProblem::ModulusBits { bits });
        }
        let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last % 2 == 1);
        if !is_odd(&modulus) {
            return Err(KeyProblem::Modulus);
        }
        let size = exponent.iter().take(5).fold(0, |size: u64, byte| size << 8 | u64::from(*byte));
        if !is_odd(&exponent) || !(65_537..=u64::from(u32::MAX)).contains(&size) {
            return Err(KeyProblem::Exponent);
        }
        let verifier = Verifier::rsa(algorithm, &modulus, &exponent)?;
        let [n, e] = [modulus, exponent].map(|number| base64url::encode(&number));
        let members: Box<str> = format!(r#""e":"{e}","kty":"RSA","n":"{n}""#).into();
        let thumbprint = thumbprint(&members);
        Ok(Self { verifier, bits, members, thumbprint })
    }

    pub(crate) fn bits(&self) -> usize {
        self.bits
    }

    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Its own members of a JWK, with commas between them.
    pub(crate) fn members(&self) -> &str {
        &self.members
    }

    /// Whether `signature` is this key's for `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verifies(message, signature)
    }
}

/// RFC 7638 section 3, of the members that it names.
fn thumbprint(members: &str) -> Box<str> {
    base64url::encode(&Sha256::digest(format!("{{{members}}}"))).into()
}

/// The coordinates of a point, each in the curve's number of bytes.
pub(crate) fn coordinates(curve: Curve, x: &str, y: &str) -> Result<(Vec<u8>, Vec<u8>), KeyProblem> {
    let bytes = curve.bytes();
    let coordinate = |text: &str| {
        let number = base64url::decode(text.as_bytes())?;
        let (zeros, rest) = number.split_at_checked(number.len().checked_sub(bytes)?)?;
        zeros.iter().all(|byte| *byte == 0).then(|| rest.to_vec())
    };
    coordinate(x).zip(coordinate(y)).ok_or(KeyProblem::Coordinates { bytes })
}

/// The bytes of a number without leading zeros (RFC 7518 section 2, Base64urlUInt); `None` for 0 and what is no base64url.
pub(crate) fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = base64url::decode(text.as_bytes())?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(first..).map(<[u8]>::to_vec)
}

/// A point in both its coordinates (SEC 1 section 2.3.3).
pub(crate) fn uncompressed(x: &[u8], y: &[u8]) -> Vec<u8> {
    [&[4], x, y].concat()
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

#[cfg(feature = "public-keys")]
use aws::Verifier;
#[cfg(not(feature = "public-keys"))]
use none::Verifier;

#[cfg(feature = "public-keys")]
mod aws {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, EcdsaVerificationAlgorithm,
        ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
        RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
        RsaPublicKeyComponents,
    };

    use super::super::algorithm::{Algorithm, Curve, Family, Hash};
    use super::super::ed25519;
    use super::super::problem::KeyProblem;

    /// A key that was parsed, and the algorithm that it is for.
    pub(super) struct Verifier(ParsedPublicKey);

    impl Verifier {
        /// Refuses what is not on the curve.
        pub(super) fn ecdsa(curve: Curve, point: &[u8]) -> Result<Self, KeyProblem> {
            let algorithm: &'static EcdsaVerificationAlgorithm = match curve {
                Curve::P256 => &ECDSA_P256_SHA256_FIXED,
                Curve::P384 => &ECDSA_P384_SHA384_FIXED,
                Curve::P521 => &ECDSA_P521_SHA512_FIXED,
            };
            ParsedPublicKey::new(algorithm, point).map(Self).map_err(|_| KeyProblem::NotOnCurve)
        }

        pub(super) fn ed25519(point: &[u8; 32]) -> Result<Self, KeyProblem> {
            ed25519::check(*point)?;
            ParsedPublicKey::new(&ED25519, point).map(Self).map_err(|_| KeyProblem::NotOnCurve)
        }

        pub(super) fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Self, KeyProblem> {
            let parameters: &'static RsaParameters = match algorithm.family() {
                Family::Pkcs1(Hash::Sha256) => &RSA_PKCS1_2048_8192_SHA256,
                Family::Pkcs1(Hash::Sha384) => &RSA_PKCS1_2048_8192_SHA384,
                Family::Pkcs1(Hash::Sha512) => &RSA_PKCS1_2048_8192_SHA512,
                Family::Pss(Hash::Sha256) => &RSA_PSS_2048_8192_SHA256,
                Family::Pss(Hash::Sha384) => &RSA_PSS_2048_8192_SHA384,
                Family::Pss(Hash::Sha512) => &RSA_PSS_2048_8192_SHA512,
                _ => return Err(KeyProblem::OtherAlgorithm),
            };
            let key = RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters);
            key.map(Self).map_err(|_| KeyProblem::Modulus)
        }

        pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
            self.0.verify_sig(message, signature).is_ok()
        }
    }
}

#[cfg(not(feature = "public-keys"))]
mod none {
    use super::super::algorithm::{Algorithm, Curve};
    use super::super::problem::KeyProblem;

    /// None of them: there is nothing to verify with.
    pub(super) enum Verifier {}

    impl Verifier {
        pub(super) fn ecdsa(_: Curve, _: &[u8]) -> Result<Self, KeyProblem> {
            Err(KeyProblem::NoPublicKeys)
        }

        pub(super) fn ed25519(_: &[u8; 32]) -> Result<Self, KeyProblem> {
            Err(KeyProblem::NoPublicKeys)
        }

        pub(super) fn rsa(_: Algorithm, _: &[u8], _: &[u8]) -> Result<Self, KeyProblem> {
            Err(KeyProblem::NoPublicKeys)
        }

        pub(super) fn verifies(&self, _: &[u8], _: &[u8]) -> bool {
            match *self {}
        }
    }
}
