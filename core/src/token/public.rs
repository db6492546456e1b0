//! Public keys: what a JWK says of one (RFC 7518 section 6, RFC 8037 section 2), checked, and signatures under it.
//!
//! Everything that can be wrong with a key is found here, when it is read. So a signature that does not verify is the
//! token's fault.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::algorithm::Algorithm;
use super::problem::KeyProblem;
use crate::base64url;

/// A key that verifies signatures of one algorithm.
pub(crate) struct PublicKey {
    verifier: Verifier,
    bits: usize,
    thumbprint: Box<str>,
}

/// The moduli that are taken, in bits (RFC 7518 section 3.3 asks for 2048; longer ones than 8192 cost too much time).
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

impl PublicKey {
    /// A point of P-256 (`crv` `P-256`), each coordinate in all its bytes (RFC 7518 section 6.2.1).
    pub(crate) fn p256(x: &str, y: &str) -> Result<Self, KeyProblem> {
        let mut point = vec![UNCOMPRESSED];
        for coordinate in [x, y] {
            let bytes = base64url::decode(coordinate.as_bytes()).filter(|bytes| bytes.len() == 32);
            point.extend(bytes.ok_or(KeyProblem::Coordinates)?);
        }
        let verifier = Verifier::p256(&point)?;
        let thumbprint = thumbprint(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        Ok(Self { verifier, bits: 256, thumbprint })
    }

    /// A point of Ed25519 (`crv` `Ed25519`; RFC 8037 section 2).
    pub(crate) fn ed25519(x: &str) -> Result<Self, KeyProblem> {
        let point: Option<[u8; 32]> = base64url::decode(x.as_bytes()).and_then(|bytes| bytes.try_into().ok());
        let point = point.ok_or(KeyProblem::Point)?;
        let verifier = Verifier::ed25519(&point)?;
        let thumbprint = thumbprint(&format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        Ok(Self { verifier, bits: 256, thumbprint })
    }

    /// A modulus and an exponent, each without leading zero bytes (RFC 7518 sections 2 and 6.3.1).
    pub(crate) fn rsa(algorithm: Algorithm, n: &str, e: &str) -> Result<Self, KeyProblem> {
        let number = |text: &str| base64url::decode(text.as_bytes()).filter(|bytes| !matches!(bytes[..], [] | [0, ..]));
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
        let thumbprint = thumbprint(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#));
        Ok(Self { verifier, bits, thumbprint })
    }

    pub(crate) fn bits(&self) -> usize {
        self.bits
    }

    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Whether `signature` is this key's for `message`.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verifies(message, signature)
    }
}

/// What a point in both its coordinates begins with (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// RFC 7638 section 3, of the members that it names in their order. Base64url needs no escapes.
fn thumbprint(members: &str) -> Box<str> {
    base64url::encode(&Sha256::digest(members)).into()
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
        ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
        RsaPublicKeyComponents,
    };

    use super::super::algorithm::Algorithm;
    use super::super::ed25519;
    use super::super::problem::KeyProblem;

    /// A key that was parsed, and the algorithm that it is for.
    pub(super) struct Verifier(ParsedPublicKey);

    impl Verifier {
        /// Refuses what is not on the curve.
        pub(super) fn p256(point: &[u8]) -> Result<Self, KeyProblem> {
            let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.map(Self).map_err(|_| KeyProblem::NotOnCurve)
        }

        pub(super) fn ed25519(point: &[u8; 32]) -> Result<Self, KeyProblem> {
            ed25519::check(*point)?;
            ParsedPublicKey::new(&ED25519, point).map(Self).map_err(|_| KeyProblem::NotOnCurve)
        }

        pub(super) fn rsa(algorithm: Algorithm, n: &[u8], e: &[u8]) -> Result<Self, KeyProblem> {
            let parameters = match algorithm {
                Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
                Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
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
    use super::super::algorithm::Algorithm;
    use super::super::problem::KeyProblem;

    /// None of them: there is nothing to verify with.
    pub(super) enum Verifier {}

    impl Verifier {
        pub(super) fn p256(_: &[u8]) -> Result<Self, KeyProblem> {
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
