//! An issuer with a key of each public kind: those that RFCs publish with their private parts.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
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

/// RFC 8037 appendix A.1.
pub(super) const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const ED_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

/// The algorithms of public keys.
pub(super) const PUBLIC: [Algorithm; 4] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa];

/// The public key for this algorithm, whose name is its `kid`.
pub(super) fn jwk(algorithm: Algorithm) -> Value {
    let mut jwk = match algorithm {
        Algorithm::Es256 => json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y }),
        Algorithm::EdDsa => json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X }),
        Algorithm::Rs256 | Algorithm::Ps256 => json!({ "kty": "RSA", "n": N, "e": "AQAB" }),
        other => panic!("{other} has no public key"),
    };
    jwk["kid"] = algorithm.as_str().into();
    jwk["alg"] = algorithm.as_str().into();
    jwk
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
        Algorithm::Es256 => {
            let point = [&[4], &of(X)[..], &of(Y)].concat();
            let keys =
                EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &of(EC_D), &point);
            keys.unwrap().sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
        }
        Algorithm::EdDsa => {
            let keys = Ed25519KeyPair::from_seed_and_public_key(&of(ED_D), &of(ED_X)).unwrap();
            assert_eq!(keys.public_key().as_ref(), of(ED_X));
            keys.sign(message).as_ref().to_vec()
        }
        Algorithm::Rs256 | Algorithm::Ps256 => {
            static KEYS: LazyLock<RsaKeyPair> = LazyLock::new(rsa_keys);
            let keys = &KEYS;
            let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                if algorithm == Algorithm::Rs256 { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
            let mut signature = vec![0; keys.public_modulus_len()];
            keys.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        }
        other => mixed_ring().get(other.as_str()).unwrap().secret().unwrap().jwt.tag(message).as_bytes().to_vec(),
    }
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
    Verifier::new(Arc::clone(ring), TokenPolicy::default()).verify(user("42"), token.as_ref(), None, at(NOW))
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
