//! An issuer with a key of each public kind: those that RFCs publish with their private parts.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};
use std::sync::LazyLock;

use super::*;

/// RFC 7520 section 3.4.
pub(super) const N: &str = "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_\
    AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNL\
    YD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwU\
    kRz5iaiQkqgc5gHdrNP5zw";
const D: &str = "bWUC9B-EFRIo8kpGfh0ZuyGPvMNKvYWNtB_ikiH9k20eT-O1q_I78eiZkpXxXQ0UTEs2LsNRS-8uJbvQ-A1irkwMSMkK1J3XTGgd\
    rhCku9gRldY7sNA_AKZGh-Q661_42rINLRCe8W-nZ34ui_qOfkLnK9QWDDqpaIsA-bMwWWSDFu2MUBYwkHTMEzLYGqOe04noqeq1hExBTHBOBdkMXiuF\
    hUq1BU6l-DqEiWxqg82sXt2h-LMnT3046AOYJoRioz75tSUQfGCshWTBnP5uDjd18kKhyv07lhfSJdrPdM5Plyl21hsFf4L_mHCuoFau7gdsPfHPxxjV\
    OcOpBrQzwQ";
const P: &str = "3Slxg_DwTXJcb6095RoXygQCAZ5RnAvZlno1yhHtnUex_fp7AZ_9nRaO7HX_-SFfGQeutao2TDjDAWU4Vupk8rw9JR0AzZ0N2fvu\
    IAmr_WCsmGpeNqQnev1T7IyEsnh8UMt-n5CafhkikzhEsrmndH6LxOrvRJlsPp6Zv8bUq0k";
const Q: &str = "uKE2dh-cTf6ERF4k4e_jy78GfPYUIaUyoSSJuBzp3Cubk3OCqs6grT8bR_cu0Dm1MZwWmtdqDyI95HrUeq3MP15vMMON8lHTeZu2\
    lmKvwqW7anV5UzhM1iZ7z4yMkuUwFWoBvyY898EXvRD-hdqRxHlSqAZ192zB3pVFJ0s7pFc";
const DP: &str = "B8PVvXkvJrj2L-GYQ7v3y9r6Kw5g9SahXBwsWUzp19TVlgI-YV85q1NIb1rxQtD-IsXXR3-TanevuRPRt5OBOdiMGQp8pbt26glj\
    YfKU_E9xn-RULHz0-ed9E9gXLKD4VGngpz-PfQ_q29pk5xWHoJp009Qf1HvChixRX59ehik";
const DQ: &str = "CLDmDGduhylc9o7r84rEUVn7pzQ6PF83Y-iBZx5NT-TpnOZKF1pErAMVeKzFEl41DlHHqqBLSM0W1sOFbwTxYWZDm6sI6og5iTbw\
    QGIC3gnJKbi_7k_vJgGHwHxgPaX2PnvP-zyEkDERuf-ry4c_Z11Cq9AqC2yeL6kdKT1cYF8";
const QI: &str = "3PiqvXQN0zwMeE-sBvZgi289XP9XCQF3VWqPzMKnIgQp7_Tugo6-NZBKCQsMf3HaEGBjTVJs_jcK8-TRXvaKe-7ZMaQj8VfBdYks\
    sbu0NKDDhjJ-GtiseaDVWt7dcH0cfwxgFUHpQh7FoCrjFJ6h6ZEpMF6xmujs4qMpPz8aaI4";

/// RFC 7515 appendix A.3.1.
pub(super) const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
pub(super) const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const EC_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

/// RFC 6979 appendix A.2.6.
const X384: &str = "7DpOQVtOGaRWhhgCn0J_pdqai8SukuAuBqrlKGswDGTe-PDqkFWGYGSiVFFUgLwT";
const Y384: &str = "gBXZty19VyROqO-awMYhiWcIpZNn-d-59UyoSz8cnbEoiyMcOuDU_nNE_SUzJkcg";
const D384: &str = "a509rS4bjBwFsZh1tmWfTeI8O2Z78pe6mqR3QHhxN9iW1XJOTHCoJfhyyepg0u31";

/// RFC 7520 section 3.2.
const X521: &str = "AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt";
const Y521: &str = "AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1";
const D521: &str = "AAhRON2r9cqXX1hg-RoI6R1tX5p2rUAYdmpHZoC1XNM56KtscrX6zbKipQrCW9CGZH3T4ubpnoTKLDYJ_fF3_rJt";

/// RFC 8037 appendix A.1.
pub(super) const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const ED_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

/// The algorithms of public keys.
pub(super) const PUBLIC: [Algorithm; 10] = [
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::EdDsa,
];

/// Those of RSA.
pub(super) const RSA: [Algorithm; 6] =
    [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512];

/// The public key for this algorithm, whose name is its `kid`.
pub(super) fn jwk(algorithm: Algorithm) -> Value {
    let mut jwk = match algorithm {
        Algorithm::Es256 => json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y }),
        Algorithm::Es384 => json!({ "kty": "EC", "crv": "P-384", "x": X384, "y": Y384 }),
        Algorithm::Es512 => json!({ "kty": "EC", "crv": "P-521", "x": X521, "y": Y521 }),
        Algorithm::EdDsa => json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X }),
        rsa if RSA.contains(&rsa) => json!({ "kty": "RSA", "n": N, "e": "AQAB" }),
        other => panic!("{other} has no public key"),
    };
    jwk["kid"] = algorithm.as_str().into();
    jwk["alg"] = algorithm.as_str().into();
    jwk
}

/// The private key for this algorithm, whose name is its `kid`.
pub(super) fn private_jwk(algorithm: Algorithm) -> Value {
    let mut key = jwk(algorithm);
    let numbers = match algorithm {
        Algorithm::Es256 => vec![("d", EC_D)],
        Algorithm::Es384 => vec![("d", D384)],
        Algorithm::Es512 => vec![("d", D521)],
        Algorithm::EdDsa => vec![("d", ED_D)],
        _ => vec![("d", D), ("p", P), ("q", Q), ("dp", DP), ("dq", DQ), ("qi", QI)],
    };
    for (name, number) in numbers {
        key[name] = number.into();
    }
    key
}

/// The key with a member changed; null takes it out.
pub(super) fn changed(mut key: Value, name: &str, value: Value) -> Value {
    match value {
        Value::Null => drop(key.as_object_mut().unwrap().remove(name)),
        value => key[name] = value,
    }
    key
}

/// A key `HS256` that signs, and the issuer's public keys.
pub(super) fn mixed_ring() -> &'static Arc<KeyRing> {
    static RING: LazyLock<Arc<KeyRing>> = LazyLock::new(new_mixed_ring);
    &RING
}

fn new_mixed_ring() -> Arc<KeyRing> {
    let secret = json!({ "kty": "oct", "kid": "HS256", "alg": "HS256", "k": "Q".repeat(64) });
    let keys: Vec<_> = std::iter::once(secret).chain(PUBLIC.map(jwk)).collect();
    ring_of(&keys).unwrap()
}

pub(super) fn ring_of(keys: &[Value]) -> Result<Arc<KeyRing>, KeyRingError> {
    KeyRing::from_jwk_set(json!({ "keys": keys }).to_string().as_bytes(), None).map(Arc::new)
}

/// The issuer's signature of these bytes.
pub(super) fn signature(algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    let of = |text: &str| base64url::decode(text.as_bytes()).unwrap();
    match algorithm {
        Algorithm::Es256 => signed_on(&ECDSA_P256_SHA256_FIXED_SIGNING, [X, Y, EC_D], message),
        Algorithm::Es384 => signed_on(&ECDSA_P384_SHA384_FIXED_SIGNING, [X384, Y384, D384], message),
        Algorithm::Es512 => signed_on(&ECDSA_P521_SHA512_FIXED_SIGNING, [X521, Y521, D521], message),
        Algorithm::EdDsa => {
            let keys = Ed25519KeyPair::from_seed_and_public_key(&of(ED_D), &of(ED_X)).unwrap();
            assert_eq!(keys.public_key().as_ref(), of(ED_X));
            keys.sign(message).as_ref().to_vec()
        }
        rsa if RSA.contains(&rsa) => {
            static KEYS: LazyLock<RsaKeyPair> = LazyLock::new(rsa_keys);
            let padding: &'static dyn RsaEncoding = match rsa {
                Algorithm::Rs256 => &RSA_PKCS1_SHA256,
                Algorithm::Rs384 => &RSA_PKCS1_SHA384,
                Algorithm::Rs512 => &RSA_PKCS1_SHA512,
                Algorithm::Ps256 => &RSA_PSS_SHA256,
                Algorithm::Ps384 => &RSA_PSS_SHA384,
                _ => &RSA_PSS_SHA512,
            };
            let mut signature = vec![0; KEYS.public_modulus_len()];
            KEYS.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        }
        other => mixed_ring().get(other.as_str()).unwrap().secret().unwrap().jwt.tag(message).as_bytes().to_vec(),
    }
}

fn signed_on(curve: &'static EcdsaSigningAlgorithm, [x, y, d]: [&str; 3], message: &[u8]) -> Vec<u8> {
    let [x, y, d] = [x, y, d].map(|text| base64url::decode(text.as_bytes()).unwrap());
    let keys = EcdsaKeyPair::from_private_key_and_public_key(curve, &d, &[&[4], &x[..], &y].concat());
    keys.unwrap().sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

fn rsa_keys() -> RsaKeyPair {
    let of = |text: &str| base64url::decode(text.as_bytes()).unwrap();
    let public_key = PublicKeyComponents { n: of(N), e: vec![1, 0, 1] };
    let (d, p, q, d_p, d_q, q_inv) = (of(D), of(P), of(Q), of(DP), of(DQ), of(QI));
    RsaKeyPair::from_components(&KeyPairComponents { public_key, d, p, q, dP: d_p, dQ: d_q, qInv: q_inv }).unwrap()
}

/// What is signed of a token with these texts.
pub(super) fn input(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}", base64url::encode(header.as_ref()), base64url::encode(payload.as_ref()))
}

/// A token with these texts, with the issuer's signature of this algorithm.
pub(super) fn issued(algorithm: Algorithm, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let input = input(header, payload);
    format!("{input}.{}", base64url::encode(&signature(algorithm, input.as_bytes())))
}

/// A good header.
pub(super) fn header(algorithm: Algorithm) -> String {
    format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}"}}"#)
}

/// Good claims of user 42.
pub(super) const CLAIMS: &str = r#"{"sub":"42","sid":"one","exp":1700000001,"iat":1700000000,"aud":["web","api"]}"#;

/// A good token of user 42.
pub(super) fn good(algorithm: Algorithm) -> String {
    issued(algorithm, header(algorithm), CLAIMS)
}

/// What a verifier with this ring answers at [`NOW`].
pub(super) fn answer(ring: &Arc<KeyRing>, token: impl AsRef<[u8]>) -> Result<Verified, Reason> {
    Verifier::new(Arc::clone(ring), TokenPolicy::default())
        .verify(user("42"), token.as_ref(), None, at(NOW))
        .map_err(Cause::reason)
}

/// Why the mixed ring refuses this token, as it must.
#[track_caller]
pub(super) fn refused(token: impl AsRef<[u8]>) -> Reason {
    let token = token.as_ref();
    match answer(mixed_ring(), token) {
        Err(reason) => reason,
        Ok(verified) => panic!("{} is good: {verified:?}", token.escape_ascii()),
    }
}
