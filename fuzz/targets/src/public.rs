//! An issuer with public keys, whose tokens were signed in advance: here nobody has its private keys.
//!
//! The keys are those of RFC 7515 appendix A.3.1 (ES256), RFC 6979 appendix A.2.6 (ES384), RFC 7520 sections 3.2 (ES512)
//! and 3.4 (RSA), and RFC 8037 appendix A.1 (EdDSA), whose private parts are printed there.

use std::sync::LazyLock;

use redis_session_core::token::Algorithm;
use serde_json::Value;

/// What these keys are for, each the name of its key too.
pub(crate) const ALGORITHMS: [Algorithm; 10] = [
    Algorithm::Es256,
    Algorithm::Rs256,
    Algorithm::Ps256,
    Algorithm::EdDsa,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// Four tokens of each key, in that order: one as ours are, one of the type `at+jwt` without a `kid`, one of another
/// user without an id, and one whose payload has a member twice.
///
/// One who has one of ECDSA can make another signature of it, with the negative of its second number. That nothing but
/// these is good holds for changes by chance.
pub(crate) static TOKENS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("../public/tokens.txt").lines().collect());

/// The keys as JWKs.
pub(crate) fn jwks() -> Vec<Value> {
    keys_of(include_str!("../public/keys.json"))
}

/// The same with their private parts, of which the token target knows nothing: one of each type and curve.
pub(crate) fn private_jwks() -> Vec<Value> {
    keys_of(include_str!("../public/private.json"))
}

fn keys_of(set: &str) -> Vec<Value> {
    let mut set: Value = serde_json::from_str(set).expect("JSON");
    serde_json::from_value(set["keys"].take()).expect("keys")
}

/// Whether one of the private keys signed this token.
pub(crate) fn is_signed(token: &[u8]) -> bool {
    TOKENS.iter().any(|signed| signed.as_bytes() == token)
}
