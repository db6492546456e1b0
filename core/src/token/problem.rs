//! What is wrong with a JWK Set or one of its keys, for the operator who reads it in a log.

use thiserror::Error;

use super::algorithm::Algorithm;
use super::json::{Fault, JsonError};

/// Why a JWK Set makes no key ring. Never quotes key material.
#[derive(Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// Not JSON, not an object, or more bytes after it.
    #[error("is not a JSON object (line {line}, column {column})")]
    Json {
        /// Where reading stopped, from 1.
        line: usize,
        /// Where reading stopped, from 1.
        column: usize,
    },
    /// An object has one member twice (RFC 7517 section 4).
    #[error("has an object with one member twice (line {line}, column {column})")]
    DuplicateMember {
        /// Where reading stopped, from 1.
        line: usize,
        /// Where reading stopped, from 1.
        column: usize,
    },
    /// Arrays and objects inside each other for more than 16 levels.
    #[error("is nested deeper than 16 levels")]
    TooDeep,
    /// The object has no array of objects `keys` (RFC 7517 section 5).
    #[error("is not a JWK Set: it has no array \"keys\" of objects")]
    NoSet,
    /// `keys` is empty.
    #[error("holds no keys")]
    NoKeys,
    /// There are keys, but none that is of use here.
    #[error("holds no key that can be used here; {key}: {problem}")]
    NoneUsable {
        /// `key "kid"`, or `key number 1` if it has no usable `kid`: the first that was left out.
        key: String,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// One of the secrets or private keys will not do.
    #[error("{key}: {problem}")]
    Key {
        /// `key "kid"`, or `key number n` (from 1) if it has no usable `kid`.
        key: String,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// No key has the `kid` that is to sign.
    #[error("has no key {kid:?} to sign with")]
    NoActiveKey {
        /// The `kid` asked for.
        kid: String,
    },
    /// The key that is to sign may only verify.
    #[error("key {kid:?} cannot sign: it is a public key, or its \"key_ops\" lacks \"sign\"")]
    ActiveCannotSign {
        /// The `kid` asked for.
        kid: String,
    },
}

/// What is wrong with one key of a JWK Set. A secret or a private key with a fault makes no ring; a public key is left
/// out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// `kid` is there and not 1 to 128 bytes of text without control characters.
    #[error("\"kid\" must be a string of 1 to 128 bytes without control characters where it is given")]
    Kid,
    /// Another key that signs has the same `kid`, or the same `kid` and algorithm if this is a public key.
    #[error("another key that can sign has the same \"kid\"")]
    DuplicateKid,
    /// `kty` is missing or no string, or there is a `k` and it is not `oct`.
    #[error("\"kty\" must be a string, and \"oct\" for a key with a secret \"k\"")]
    KeyType,
    /// `kty` is not `oct`, `RSA`, `EC` or `OKP`.
    #[error("its type (\"kty\") is not supported")]
    UnknownKeyType,
    /// The `alg` of a secret is missing or not one of these, or another key's is no string: every key is bound to its
    /// algorithms (RFC 8725 section 3.1).
    #[error("\"alg\" must be a string, and HS256, HS384 or HS512 for a secret")]
    Algorithm,
    /// `alg` is not one that is supported.
    #[error("its algorithm (\"alg\") is not supported")]
    UnknownAlgorithm,
    /// `alg` is one for keys of another type or curve.
    #[error("\"alg\" is not one for this type of key")]
    OtherAlgorithm,
    /// Its algorithm is none of those that are allowed to the issuer.
    #[error("its algorithm is not among those that are allowed (\"algs\")")]
    ForbiddenAlgorithm,
    /// `use` is not `sig`, or `key_ops` are neither `sign` nor `verify`.
    #[error("it is not for signatures (\"use\", \"key_ops\")")]
    NotForSignatures,
    /// A private key in the set of another issuer, whose alone it is.
    #[error("it is a private key, which is its issuer's alone: only public members belong here")]
    Private,
    /// A secret in the set of an issuer that publishes its keys.
    #[error("it is a secret, which has no place among keys that an issuer publishes")]
    Secret,
    /// `crv` is missing or no string.
    #[error("\"crv\" must be a string")]
    Curve,
    /// `crv` is not `P-256`, `P-384` or `P-521` (`EC`), or `Ed25519` (`OKP`).
    #[error("its curve (\"crv\") is not supported")]
    UnknownCurve,
    /// `x` or `y` of an EC key is missing or not all of a coordinate (RFC 7518 section 6.2.1).
    #[error("\"x\" and \"y\" must be base64url without padding, of {bytes} bytes each")]
    Coordinates {
        /// Bytes in each of the curve's coordinates.
        bytes: usize,
    },
    /// `x` of an Ed25519 key is missing or of another length (RFC 8037 section 2).
    #[error("\"x\" must be base64url without padding, of 32 bytes")]
    Point,
    /// The point is not on the curve.
    #[error("the point is not on the curve")]
    NotOnCurve,
    /// The point of an Ed25519 key has a small order, so that anybody can sign, or is spelled in a second way.
    #[error("the point is one that nobody has a private key for")]
    WeakPoint,
    /// `n` or `e` is missing or no number as RFC 7518 section 6.3.1 writes it, or `n` is even.
    #[error("\"n\" and \"e\" must be base64url of odd numbers, without padding")]
    Modulus,
    /// The modulus is too short (RFC 7518 section 3.3), or so long that checking a signature takes too much time.
    #[error("the modulus has {bits} bits, and 2048 to 4096 are needed")]
    ModulusBits {
        /// Bits in the modulus.
        bits: usize,
    },
    /// The exponent invites attacks, or is so large that checking a signature takes too much time.
    #[error("\"e\" must be an odd number from 65537 (AQAB) to 4294967295")]
    Exponent,
    /// This crate was built without its feature `public-keys`.
    #[error("it is no secret, and this program was built without the feature public-keys")]
    NoPublicKeys,
    /// `use` is there and is not `sig` (RFC 7517 section 4.2), or no string.
    #[error("\"use\" must be \"sig\" where it is given")]
    Use,
    /// `key_ops` is there and does not allow to verify, or is not an array of different strings (RFC 7517 section 4.3).
    #[error("\"key_ops\" must be an array of different strings with \"verify\" among them where it is given")]
    KeyOps,
    /// `k` is missing or is not base64url (RFC 7518 section 6.4.1).
    #[error("\"k\" must be base64url without padding")]
    SecretText,
    /// The secret is shorter than the hash (RFC 7518 section 3.2).
    #[error("the secret has {bits} bits, and {algorithm} needs {needed} or more")]
    ShortSecret {
        /// The key's algorithm.
        algorithm: Algorithm,
        /// Bits in the secret.
        bits: usize,
        /// Bits that the algorithm asks for.
        needed: usize,
    },
    /// `d` of a private EC or Ed25519 key is missing or of another length (RFC 7518 section 6.2.2.1, RFC 8037 section 2).
    #[error("\"d\" must be base64url without padding, of {bytes} bytes")]
    PrivateBytes {
        /// Bytes in a private key of the curve.
        bytes: usize,
    },
    /// A private RSA key has not all of its numbers, or more primes than two (RFC 7518 section 6.3.2).
    #[error("a private RSA key needs \"d\", \"p\", \"q\", \"dp\", \"dq\" and \"qi\", each base64url without padding")]
    PrivateNumbers,
    /// The private numbers are not those of the public key.
    #[error("the private members and the public ones are not one key")]
    OtherHalf,
}

impl From<JsonError> for KeyRingError {
    fn from(JsonError { fault, line, column }: JsonError) -> Self {
        match fault {
            Fault::Syntax => Self::Json { line, column },
            Fault::Duplicate(_) => Self::DuplicateMember { line, column },
            Fault::TooDeep => Self::TooDeep,
        }
    }
}
