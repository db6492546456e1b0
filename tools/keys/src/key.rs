//! New keys.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RsaKeyPair,
};
use redis_session_core::base64url;
use redis_session_core::token::Algorithm;
use serde_json::{Value, json};

use crate::pem;

/// A random key for this algorithm, as a JWK without a name.
pub(crate) fn fresh(algorithm: Algorithm) -> Result<Value, Box<dyn Error>> {
    let on =
        |curve: &'static EcdsaSigningAlgorithm| pem::private_key(EcdsaKeyPair::generate(curve)?.to_pkcs8v1()?.as_ref());
    match algorithm {
        Algorithm::Hs256 => secret::<32>(),
        Algorithm::Hs384 => secret::<48>(),
        Algorithm::Hs512 => secret::<64>(),
        Algorithm::Es256 => on(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::Es384 => on(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::Es512 => on(&ECDSA_P521_SHA512_FIXED_SIGNING),
        Algorithm::EdDsa => pem::private_key(Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref()),
        // Longer ones take the server more time for each token: with 4096 bits four times as much.
        _ => pem::private_key(RsaKeyPair::generate(KeySize::Rsa2048)?.as_der()?.as_ref()),
    }
}

fn secret<const N: usize>() -> Result<Value, Box<dyn Error>> {
    let mut secret = [0; N];
    getrandom::fill(&mut secret)?;
    Ok(json!({ "kty": "oct", "k": base64url::encode(&secret) }))
}

/// A member of a key that is a text.
pub(crate) fn text<'k>(jwk: &'k Value, name: &str) -> Option<&'k str> {
    jwk.get(name).and_then(Value::as_str)
}

/// The key with this member.
pub(crate) fn with(mut jwk: Value, name: &str, text: &str) -> Value {
    if let Some(members) = jwk.as_object_mut() {
        members.insert(name.to_owned(), text.into());
    }
    jwk
}

/// The day, for people, and 24 random bits, for two on one day.
pub(crate) fn fresh_kid() -> Result<String, getrandom::Error> {
    let mut random = [0; 3];
    getrandom::fill(&mut random)?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = date(seconds / 86_400);
    Ok(format!("{year}-{month:02}-{day:02}-{}", base64url::encode(&random)))
}

/// Year, month and day of the day that is so many days after 1970-01-01, in the Gregorian calendar.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(59), (1970, 3, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(20_777), (2026, 11, 20));
        assert_eq!(date(47_540), (2100, 2, 28));
        assert_eq!(date(47_541), (2100, 3, 1));
    }
}
