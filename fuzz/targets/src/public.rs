//! An issuer with public keys, whose tokens were signed in advance: here nobody has its private keys.
//!
//! The keys are those of RFC 7515 appendix A.3.1 (ES256), RFC 7520 section 3.4 (RS256 and PS256) and RFC 8037 appendix
//! A.1 (EdDSA), whose private parts are printed there.

use std::sync::LazyLock;

use redis_session_core::token::Algorithm;
use serde_json::Value;

/// What these keys are for, each the name of its key too.
pub(crate) const ALGORITHMS: [Algorithm; 4] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa];

/// Four tokens of each key, in that order: one as ours are, one of the type `at+jwt` without a `kid`, one of another
/// user without an id, and one whose payload has a member twice.
///
/// Whoever has one of ES256 can make another signature of it, with the negative of its second number. That nothing but
/// these is good holds for changes by chance.
pub(crate) static TOKENS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("../public/tokens.txt").lines().collect());

/// The keys as JWKs.
pub(crate) fn jwks() -> Vec<Value> {
    let mut set: Value = serde_json::from_str(include_str!("../public/keys.json")).expect("JSON");
    serde_json::from_value(set["keys"].take()).expect("keys")
}

/// Whether one of the private keys signed this token.
pub(crate) fn is_signed(token: &[u8]) -> bool {
    TOKENS.iter().any(|signed| signed.as_bytes() == token)
}
