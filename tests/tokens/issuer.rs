//! An issuer elsewhere with a key of each kind, who signs with an implementation of its own.
//!
//! Its keys are those that RFCs publish, private parts included: RFC 7520 section 3.4, RFC 7515 appendix A.3.1, RFC 8037
//! appendix A.1; and a secret.

use std::fs;

use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use redis::Connection;
use redis_session_core::base64url;
use redis_session_tests::{Server, cmd_args, now_ms};
use serde_json::{Value, json};

pub(crate) const ALGORITHMS: [Algorithm; 7] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::ES256,
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::EdDSA,
];

/// Those of public keys.
pub(crate) const PUBLIC: [Algorithm; 4] = [Algorithm::ES256, Algorithm::RS256, Algorithm::PS256, Algorithm::EdDSA];

pub(crate) const N: &str = "\
    n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-\
    XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-\
    oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-\
    tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";
pub(crate) const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
pub(crate) const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
pub(crate) const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// As long as the longest hash.
pub(crate) const SECRET: [u8; 64] = [0x5a; 64];

// The private keys: RSA as PKCS #1, the others as PKCS #8, in base64url.
const RSA_DER: &str = "\
    MIIEowIBAAKCAQEAn4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-\
    XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-\
    oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-\
    tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zwIDAQABAoIBAG1lAvQfhBUSKPJKR\
    n4dGbshj7zDSr2FjbQf4pIh_ZNtHk_jtavyO_HomZKV8V0NFExLNi7DUUvvLiW70PgNYq5MDEjJCtSd10xoHa4QpLvYEZXWO7DQPwCmRofkOutf-\
    NqyDS0QnvFvp2d-\
    Lov6jn5C5yvUFgw6qWiLAPmzMFlkgxbtjFAWMJB0zBMy2BqjntOJ6KnqtYRMQUxwTgXZDF4rhYVKtQVOpfg6hIlsaoPNrF7dofizJ099OOgDmCaE\
    YqM--bUlEHxgrIVkwZz-bg43dfJCocr9O5YX0iXaz3TOT5cpdtYbBX-\
    C_5hwrqBWru4HbD3xz8cY1TnDqQa0M8ECgYEA3Slxg_DwTXJcb6095RoXygQCAZ5RnAvZlno1yhHtnUex_fp7AZ_9nRaO7HX_-SFfGQeutao2TDj\
    DAWU4Vupk8rw9JR0AzZ0N2fvuIAmr_WCsmGpeNqQnev1T7IyEsnh8UMt-n5CafhkikzhEsrmndH6LxOrvRJlsPp6Zv8bUq0kCgYEAuKE2dh-cTf6\
    ERF4k4e_jy78GfPYUIaUyoSSJuBzp3Cubk3OCqs6grT8bR_cu0Dm1MZwWmtdqDyI95HrUeq3MP15vMMON8lHTeZu2lmKvwqW7anV5UzhM1iZ7z4y\
    MkuUwFWoBvyY898EXvRD-hdqRxHlSqAZ192zB3pVFJ0s7pFcCgYAHw9W9eS8muPYv4ZhDu_fL2vorDmD1JqFcHCxZTOnX1NWWAj5hXzmrU0hvWvF\
    C0P4ixddHf5Nqd6-5E9G3k4E52IwZCnylu3bqCWNh8pT8T3Gf5FQsfPT5530T2BcsoPhUaeCnP499D-\
    rb2mTnFYegmnTT1B_Ue8KGLFFfn16GKQKBgAiw5gxnbocpXPaO6_OKxFFZ-\
    6c0OjxfN2PogWceTU_k6ZzmShdaRKwDFXisxRJeNQ5Rx6qgS0jNFtbDhW8E8WFmQ5urCOqIOYk28EBiAt4JySm4v-\
    5P7yYBh8B8YD2l9j57z_s8hJAxEbn_q8uHP2ddQqvQKgtsni-pHSk9XGBfAoGBANz4qr10DdM8DHhPrAb2YItvPVz_VwkBd1Vqj8zCpyIEKe_07o\
    KOvjWQSgkLDH9x2hBgY01SbP43CvPk0V72invu2TGkI_FXwXWJLLG7tDSgw4YyfhrYrHmg1Vre3XB9HH8MYBVB6UIexaAq4xSeoemRKTBesZro7O\
    KjKT8_GmiO";
const EC_DER: &str = "\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL-\
    YBIffH1136cspYG6-0iY7X1fCE9-E9LKhRANCAAR_zc4ncPbEXUGDy-5v20t7WAczNXvp7xO6z248e9FURcfxRM0bvZt-\
    hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt";
const ED_DER: &str = "\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v_VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
/// The algorithm's name, which is the kid of its key too.
pub(crate) fn name(algorithm: Algorithm) -> String {
    format!("{algorithm:?}")
}

/// What a server must know to check this algorithm.
pub(crate) fn jwk(algorithm: Algorithm) -> Value {
    let mut jwk = match algorithm {
        Algorithm::ES256 => json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y }),
        Algorithm::EdDSA => json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X }),
        Algorithm::RS256 | Algorithm::PS256 => json!({ "kty": "RSA", "n": N, "e": "AQAB" }),
        _ => json!({ "kty": "oct", "k": base64url::encode(&SECRET) }),
    };
    jwk["kid"] = name(algorithm).into();
    jwk["alg"] = name(algorithm).into();
    jwk["use"] = "sig".into();
    jwk
}

/// A key of the server's own, with which it signs.
pub(crate) fn own() -> Value {
    json!({ "kty": "oct", "kid": "own", "alg": "HS256", "k": base64url::encode(&[7; 32]) })
}

pub(crate) fn set_of(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// A key to sign with.
pub(crate) fn private(algorithm: Algorithm) -> EncodingKey {
    let der = |text: &str| base64url::decode(text.as_bytes()).expect("base64url");
    match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_der(&der(EC_DER)),
        Algorithm::EdDSA => EncodingKey::from_ed_der(&der(ED_DER)),
        Algorithm::RS256 | Algorithm::PS256 => EncodingKey::from_rsa_der(&der(RSA_DER)),
        _ => EncodingKey::from_secret(&SECRET),
    }
}

/// What is signed, with its signature.
pub(crate) fn sign(algorithm: Algorithm, input: &str) -> String {
    let signature = crypto::sign(input.as_bytes(), &private(algorithm), algorithm).expect("a signature");
    format!("{input}.{signature}")
}

/// A token of these texts.
pub(crate) fn issue(algorithm: Algorithm, header: &str, payload: &str) -> String {
    let [header, payload] = [header, payload].map(|part| base64url::encode(part.as_bytes()));
    sign(algorithm, &format!("{header}.{payload}"))
}

/// A good header.
pub(crate) fn header(algorithm: Algorithm) -> String {
    json!({ "typ": "JWT", "alg": name(algorithm), "kid": name(algorithm) }).to_string()
}

/// Claims that are good for an hour from now, of this user's session.
pub(crate) fn claims(con: &mut Connection, user: &str, session: &str) -> Value {
    let now = now_ms(con) / 1000;
    json!({ "sub": user, "sid": session, "iat": now, "exp": now + 3600 })
}

/// A good token.
pub(crate) fn good(con: &mut Connection, algorithm: Algorithm, user: &str, session: &str) -> String {
    let claims = claims(con, user, session).to_string();
    issue(algorithm, &header(algorithm), &claims)
}

/// A server with a key of its own and the issuer's public keys.
pub(crate) fn trusting_server() -> Server {
    let keys: Vec<_> = std::iter::once(own()).chain(PUBLIC.map(jwk)).collect();
    Server::builder().file("keys.json", set_of(&keys)).config("session.keys-file keys.json").start()
}

/// Makes the server read these keys.
pub(crate) fn load(server: &Server, keys: &[Value]) -> redis::RedisResult<Value> {
    fs::write(server.dir().join("keys.json"), set_of(keys)).expect("the key file");
    cmd_args(&mut server.connection(), ["CONFIG", "SET", "session.keys-file", "keys.json"]).map(|_| Value::Null)
}
