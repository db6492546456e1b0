//! Keys in PEM (RFC 7468), as JWKs.

use std::error::Error;

use aws_lc_rs::encoding::{AsBigEndian as _, Curve25519SeedBin, EcPrivateKeyBin};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _,
};
use pkcs1::{RsaPrivateKey, RsaPublicKey};
use pkcs8::spki::SubjectPublicKeyInfoRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfo};
use redis_session_core::base64url;
use redis_session_core::token::Algorithm;
use serde_json::{Value, json};

use crate::key;

// RFC 8017 appendix C, RFC 5480 section 2.1, RFC 8410 section 3.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A curve: its name, its identifier, how to sign on it, and the bytes of a coordinate.
type Curve = (&'static str, ObjectIdentifier, &'static EcdsaSigningAlgorithm, usize);

const CURVES: [Curve; 3] = [
    ("P-256", ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), &ECDSA_P256_SHA256_FIXED_SIGNING, 32),
    ("P-384", ObjectIdentifier::new_unwrap("1.3.132.0.34"), &ECDSA_P384_SHA384_FIXED_SIGNING, 48),
    ("P-521", ObjectIdentifier::new_unwrap("1.3.132.0.35"), &ECDSA_P521_SHA512_FIXED_SIGNING, 66),
];

/// The key in a text, and the algorithm that it is for if nothing else is said.
pub(crate) fn read(text: &[u8]) -> Result<(Value, Algorithm), Box<dyn Error>> {
    let text = std::str::from_utf8(text).map_err(|_| "the key is no PEM")?;
    let (label, der) = first_block(text)?;
    let jwk = match label {
        "PRIVATE KEY" => private_key(&der)?,
        "EC PRIVATE KEY" => ec_private_key(&der)?,
        "RSA PRIVATE KEY" => rsa_private_key(&der)?,
        "PUBLIC KEY" => public_key(&der)?,
        "RSA PUBLIC KEY" => rsa_public_key(&der)?,
        "CERTIFICATE" => return Err("it is a certificate: `openssl x509 -pubkey -noout` gives its key".into()),
        other => return Err(format!("a PEM block {other:?} is no key that is supported").into()),
    };
    let algorithm = match (key::text(&jwk, "kty"), key::text(&jwk, "crv")) {
        (Some("OKP"), _) => Algorithm::EdDsa,
        (_, Some("P-256")) => Algorithm::Es256,
        (_, Some("P-384")) => Algorithm::Es384,
        (_, Some("P-521")) => Algorithm::Es512,
        _ => Algorithm::Rs256,
    };
    Ok((jwk, algorithm))
}

/// The label and the bytes of the first block that is a key.
fn first_block(text: &str) -> Result<(&str, Vec<u8>), Box<dyn Error>> {
    // OpenSSL writes the curve's name in a block of its own before a key in the form of SEC 1.
    const PARAMETERS: &str = "-----END EC PARAMETERS-----";
    let text = text.split_once(PARAMETERS).map_or(text, |(_, rest)| rest);
    let start = text.find("-----BEGIN ").ok_or("the key is no PEM: it has no line -----BEGIN ...-----")?;
    let (_, text) = text.split_at(start);
    if text.contains("ENCRYPTED") {
        return Err("the key is encrypted: `openssl pkey -in SOURCE` decrypts it".into());
    }
    let end = text.find("-----END ").and_then(|end| {
        let (_, rest) = text.split_at(end + 9);
        Some(end + 9 + rest.find("-----")? + 5)
    });
    let (block, _) = text.split_at(end.ok_or("the key is no PEM: it has no line -----END ...-----")?);
    pem_rfc7468::decode_vec(block.as_bytes()).map_err(|why| format!("the key is no PEM: {why}").into())
}

/// A private key in PKCS #8 (RFC 5208).
pub(crate) fn private_key(der: &[u8]) -> Result<Value, Box<dyn Error>> {
    let info = PrivateKeyInfo::try_from(der).map_err(|_| "the key is no PKCS #8")?;
    match info.algorithm.oid {
        RSA | RSA_PSS => rsa_private_key(info.private_key),
        EC => ec_private_key(der),
        ED25519 => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| "the key is no key of Ed25519")?;
            let seed: Curve25519SeedBin<'_> = pair.seed()?.as_be_bytes()?;
            Ok(key::with(ed25519(pair.public_key().as_ref()), "d", &base64url::encode(seed.as_ref())))
        }
        other => Err(format!("the key is of a type that is not supported ({other})").into()),
    }
}

/// A private key on a curve, in PKCS #8 or in the form of SEC 1 (RFC 5915).
fn ec_private_key(der: &[u8]) -> Result<Value, Box<dyn Error>> {
    let on = |(name, _, algorithm, bytes): Curve| {
        let pair = EcdsaKeyPair::from_private_key_der(algorithm, der).ok()?;
        let private: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().ok()?;
        let public = point(name, bytes, pair.public_key().as_ref())?;
        Some(key::with(public, "d", &base64url::encode(private.as_ref())))
    };
    CURVES.into_iter().find_map(on).ok_or_else(|| "the key is damaged, or on a curve that is not supported".into())
}

/// A private RSA key in PKCS #1 (RFC 8017 appendix A.1.2).
fn rsa_private_key(der: &[u8]) -> Result<Value, Box<dyn Error>> {
    let key = RsaPrivateKey::try_from(der).map_err(|_| "the key is no RSA key with two primes")?;
    let text = |number: pkcs1::UintRef<'_>| base64url::encode(number.as_bytes());
    Ok(json!({
        "kty": "RSA",
        "n": text(key.modulus),
        "e": text(key.public_exponent),
        "d": text(key.private_exponent),
        "p": text(key.prime1),
        "q": text(key.prime2),
        "dp": text(key.exponent1),
        "dq": text(key.exponent2),
        "qi": text(key.coefficient),
    }))
}

fn rsa_public_key(der: &[u8]) -> Result<Value, Box<dyn Error>> {
    let key = RsaPublicKey::try_from(der).map_err(|_| "the key is no RSA key")?;
    let [n, e] = [key.modulus, key.public_exponent].map(|number| base64url::encode(number.as_bytes()));
    Ok(json!({ "kty": "RSA", "n": n, "e": e }))
}

/// A public key as certificates have it (RFC 5280 section 4.1).
fn public_key(der: &[u8]) -> Result<Value, Box<dyn Error>> {
    let damaged = "the key is damaged";
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| damaged)?;
    let bytes = info.subject_public_key.as_bytes().ok_or(damaged)?;
    match info.algorithm.oid {
        RSA | RSA_PSS => rsa_public_key(bytes),
        ED25519 => Ok(ed25519(bytes)),
        EC => {
            let named = info.algorithm.parameters_oid().map_err(|_| damaged)?;
            let curve = CURVES.into_iter().find(|(_, oid, ..)| *oid == named);
            let (name, _, _, length) = curve.ok_or("the key is on a curve that is not supported")?;
            point(name, length, bytes).ok_or_else(|| "the key's point is not in all its bytes".into())
        }
        other => Err(format!("the key is of a type that is not supported ({other})").into()),
    }
}

fn ed25519(x: &[u8]) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url::encode(x) })
}

/// A point in both its coordinates (SEC 1 section 2.3.3).
fn point(curve: &str, bytes: usize, point: &[u8]) -> Option<Value> {
    let (x, y) = point.strip_prefix(&[4])?.split_at_checked(bytes)?;
    (y.len() == bytes)
        .then(|| json!({ "kty": "EC", "crv": curve, "x": base64url::encode(x), "y": base64url::encode(y) }))
}
