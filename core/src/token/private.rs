//! Private keys: what a JWK says of one (RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037 section 2), and signatures by it.
//!
//! A private key is the operator's own, so all of it must be right, and be that of the public key beside it.

use std::fmt;

use super::algorithm::{Algorithm, Curve};
use super::problem::KeyProblem;
use super::public::{PublicKey, coordinates, number, uncompressed};
use crate::base64url;

/// A key that signs, and the public key that its signatures verify under.
pub(crate) struct PrivateKey {
    signer: Signer,
    public: PublicKey,
}

/// The private numbers of an RSA key, each as base64url.
pub(crate) struct RsaNumbers<'a> {
    pub(crate) d: &'a str,
    pub(crate) p: &'a str,
    pub(crate) q: &'a str,
    pub(crate) dp: &'a str,
    pub(crate) dq: &'a str,
    pub(crate) qi: &'a str,
}

impl PrivateKey {
    /// The private key `d` of the point `x`, `y`; the answer has its bytes, too.
    pub(crate) fn ecdsa(curve: Curve, x: &str, y: &str, d: &str) -> Result<(Self, Vec<u8>), KeyProblem> {
        let public = PublicKey::ecdsa(curve, x, y)?;
        let bytes = curve.bytes();
        let private = base64url::decode(d.as_bytes()).filter(|private| private.len() == bytes);
        let private = private.ok_or(KeyProblem::PrivateBytes { bytes })?;
        let (x, y) = coordinates(curve, x, y)?;
        let signer = Signer::ecdsa(curve, &private, &uncompressed(&x, &y))?;
        Self::checked(signer, public).map(|key| (key, private))
    }

    /// The seed `d` of the point `x` of Ed25519 (RFC 8032 section 5.1.5); the answer has its bytes, too.
    pub(crate) fn ed25519(x: &str, d: &str) -> Result<(Self, Vec<u8>), KeyProblem> {
        let public = PublicKey::ed25519(x)?;
        let seed = base64url::decode(d.as_bytes()).filter(|seed| seed.len() == 32);
        let seed = seed.ok_or(KeyProblem::PrivateBytes { bytes: 32 })?;
        let point = base64url::decode(x.as_bytes()).ok_or(KeyProblem::Point)?;
        let signer = Signer::ed25519(&seed, &point)?;
        Self::checked(signer, public).map(|key| (key, seed))
    }

    /// The private numbers of a modulus and an exponent; the answer has the private exponent's bytes, too.
    pub(crate) fn rsa(
        algorithm: Algorithm,
        n: &str,
        e: &str,
        numbers: &RsaNumbers<'_>,
    ) -> Result<(Self, Vec<u8>), KeyProblem> {
        let public = PublicKey::rsa(algorithm, n, e)?;
        let (n, e) = number(n).zip(number(e)).ok_or(KeyProblem::Modulus)?;
        let RsaNumbers { d, p, q, dp, dq, qi } = numbers;
        let [Some(d), Some(p), Some(q), Some(dp), Some(dq), Some(qi)] = [d, p, q, dp, dq, qi].map(|text| number(text))
        else {
            return Err(KeyProblem::PrivateNumbers);
        };
        let signer = Signer::rsa(algorithm, [&n, &e], [&d, &p, &q, &dp, &dq, &qi])?;
        Self::checked(signer, public).map(|key| (key, d))
    }

    /// The two as one key, if what one signs verifies under the other.
    fn checked(signer: Signer, public: PublicKey) -> Result<Self, KeyProblem> {
        const MESSAGE: &[u8] = b"redis-session pair of keys";
        let signature = signer.sign(MESSAGE).ok_or(KeyProblem::OtherHalf)?;
        if !public.verifies(MESSAGE, signature.as_bytes()) {
            return Err(KeyProblem::OtherHalf);
        }
        Ok(Self { signer, public })
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature of `message`; `None` if the operating system has no randomness for one, or no memory.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Signature> {
        self.signer.sign(message)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(feature = "public-keys")]
pub(crate) use aws::Signature;
#[cfg(feature = "public-keys")]
use aws::Signer;
#[cfg(not(feature = "public-keys"))]
pub(crate) use none::Signature;
#[cfg(not(feature = "public-keys"))]
use none::Signer;

#[cfg(feature = "public-keys")]
mod aws {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    };

    use super::super::algorithm::{Algorithm, Curve, Family, Hash};
    use super::super::problem::KeyProblem;
    use super::super::public::MODULUS_BITS;

    pub(super) enum Signer {
        Ecdsa(EcdsaKeyPair),
        Ed25519(Ed25519KeyPair),
        Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    }

    /// A signature, as long as the longest modulus at most.
    pub(crate) struct Signature {
        bytes: [u8; *MODULUS_BITS.end() / 8],
        length: usize,
    }

    impl Signature {
        fn of(signature: &[u8]) -> Self {
            let mut bytes = [0; *MODULUS_BITS.end() / 8];
            for (to, from) in bytes.iter_mut().zip(signature) {
                *to = *from;
            }
            Self { bytes, length: signature.len() }
        }

        pub(crate) fn as_bytes(&self) -> &[u8] {
            self.bytes.get(..self.length).unwrap_or(&self.bytes)
        }
    }

    impl Signer {
        pub(super) fn ecdsa(curve: Curve, private: &[u8], point: &[u8]) -> Result<Self, KeyProblem> {
            let algorithm: &'static EcdsaSigningAlgorithm = match curve {
                Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
                Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
                Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
            };
            let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, point);
            pair.map(Self::Ecdsa).map_err(|_| KeyProblem::OtherHalf)
        }

        pub(super) fn ed25519(seed: &[u8], point: &[u8]) -> Result<Self, KeyProblem> {
            let pair = Ed25519KeyPair::from_seed_and_public_key(seed, point);
            pair.map(Self::Ed25519).map_err(|_| KeyProblem::OtherHalf)
        }

        pub(super) fn rsa(
            algorithm: Algorithm,
            [n, e]: [&[u8]; 2],
            [d, p, q, dp, dq, qi]: [&[u8]; 6],
        ) -> Result<Self, KeyProblem> {
            let encoding: &'static dyn RsaEncoding = match algorithm.family() {
                Family::Pkcs1(Hash::Sha256) => &RSA_PKCS1_SHA256,
                Family::Pkcs1(Hash::Sha384) => &RSA_PKCS1_SHA384,
                Family::Pkcs1(Hash::Sha512) => &RSA_PKCS1_SHA512,
                Family::Pss(Hash::Sha256) => &RSA_PSS_SHA256,
                Family::Pss(Hash::Sha384) => &RSA_PSS_SHA384,
                Family::Pss(Hash::Sha512) => &RSA_PSS_SHA512,
                _ => return Err(KeyProblem::OtherAlgorithm),
            };
            let public_key = PublicKeyComponents { n, e };
            let pair =
                RsaKeyPair::from_components(&KeyPairComponents { public_key, d, p, q, dP: dp, dQ: dq, qInv: qi });
            pair.map(|pair| Self::Rsa(pair, encoding)).map_err(|_| KeyProblem::OtherHalf)
        }

        pub(super) fn sign(&self, message: &[u8]) -> Option<Signature> {
            match self {
                Self::Ecdsa(pair) => Some(Signature::of(pair.sign(&SystemRandom::new(), message).ok()?.as_ref())),
                Self::Ed25519(pair) => Some(Signature::of(pair.try_sign(message).ok()?.as_ref())),
                Self::Rsa(pair, encoding) => {
                    let (mut bytes, length) = ([0; *MODULUS_BITS.end() / 8], pair.public_modulus_len());
                    pair.sign(*encoding, &SystemRandom::new(), message, bytes.get_mut(..length)?).ok()?;
                    Some(Signature { bytes, length })
                }
            }
        }
    }
}

#[cfg(not(feature = "public-keys"))]
mod none {
    use super::super::algorithm::{Algorithm, Curve};
    use super::super::problem::KeyProblem;

    /// None of them: there is nothing to sign with.
    pub(super) enum Signer {}

    pub(crate) enum Signature {}

    impl Signature {
        pub(crate) fn as_bytes(&self) -> &[u8] {
            match *self {}
        }
    }

    impl Signer {
        pub(super) fn ecdsa(_: Curve, _: &[u8], _: &[u8]) -> Result<Self, KeyProblem> {
            Err(KeyProblem::NoPublicKeys)
        }

        pub(super) fn ed25519(_: &[u8], _: &[u8]) -> Result<Self, KeyProblem> {
            Err(KeyProblem::NoPublicKeys)
        }

        pub(super) fn rsa(_: Algorithm, _: [&[u8]; 2], _: [&[u8]; 6]) -> Result<Self, KeyProblem> {
            Err(KeyProblem::NoPublicKeys)
        }

        pub(super) fn sign(&self, _: &[u8]) -> Option<Signature> {
            match *self {}
        }
    }
}
