//! Tokens that were made elsewhere: an issuer with a key of each algorithm, which signs by another implementation.
//!
//! Most tests need only tokens that are signed with a secret. For these there are [`trusting_server`], [`header`],
//! [`claims`] and [`sign`]:
//!
//! ```no_run
//! use redis_session_tests::issuer::{claims, header, sign, trusting_server};
//!
//! let server = trusting_server();
//! let token = sign(&header(), &claims(&mut server.connection(), "42", "one"));
//! ```
//!
//! The keys are those that RFCs publish, private parts included: RFC 7520 section 3.4, RFC 7515 appendix A.3.1, RFC 6979
//! appendix A.2.6, and RFC 8037 appendix A.1; and a secret. The library that signs has no ES512.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use redis::{Connection, RedisResult};
use redis_session_core::base64url;
use serde_json::{Value, json};

use crate::{Server, cmd_args, fields, jwk_set, now_ms};

/// A key of the issuer, by its algorithm.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub Algorithm);

/// A secret that the server has too.
pub const HS256: Key = Key(Algorithm::HS256);
/// Another way to use the secret.
pub const HS384: Key = Key(Algorithm::HS384);

/// A key on the curve P-256.
pub const ES256: Key = Key(Algorithm::ES256);
/// An RSA key, with the signatures of PKCS #1.
pub const RS256: Key = Key(Algorithm::RS256);

/// A key of each algorithm.
pub const KEYS: [Key; 12] = [
    HS256,
    HS384,
    Key(Algorithm::HS512),
    PUBLIC[0],
    PUBLIC[1],
    PUBLIC[2],
    PUBLIC[3],
    PUBLIC[4],
    PUBLIC[5],
    PUBLIC[6],
    PUBLIC[7],
    PUBLIC[8],
];

/// Those whose public part is enough to check a token.
pub const PUBLIC: [Key; 9] = [
    ES256,
    RS256,
    Key(Algorithm::PS256),
    Key(Algorithm::EdDSA),
    Key(Algorithm::ES384),
    Key(Algorithm::RS384),
    Key(Algorithm::RS512),
    Key(Algorithm::PS384),
    Key(Algorithm::PS512),
];

/// What [`HS256`] is called.
pub const KID: &str = "HS256";

/// The secret, as long as the longest hash.
pub const SECRET: [u8; 64] = [0x5a; 64];

/// The modulus of the RSA key.
pub const N: &str = "\
    n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-\
    XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-\
    oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-\
    tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";
/// The point of the key on P-256.
pub const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
/// See [`X`].
pub const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
/// The point of the key on P-384.
pub const X384: &str = "7DpOQVtOGaRWhhgCn0J_pdqai8SukuAuBqrlKGswDGTe-PDqkFWGYGSiVFFUgLwT";
/// See [`X384`].
pub const Y384: &str = "gBXZty19VyROqO-awMYhiWcIpZNn-d-59UyoSz8cnbEoiyMcOuDU_nNE_SUzJkcg";
/// The Ed25519 key.
pub const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

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
const EC384_DER: &str = "\
    MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBrnT2tLhuMHAWxmHW2ZZ9N4jw7Znvyl7qapHdAeHE32JbVck5McKgl-\
    HLJ6mDS7fWhZANiAATsOk5BW04ZpFaGGAKfQn-l2pqLxK6S4C4GquUoazAMZN748OqQVYZgZKJUUVSAvBOAFdm3LX1XJE6o75rAxiGJZwilk2f537\
    n1TKhLPxydsSiLIxw64NT-c0T9JTMmRyA";
const ED_DER: &str = "\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v_VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";

fn is_rsa(algorithm: Algorithm) -> bool {
    matches!(format!("{algorithm:?}").get(..2), Some("RS" | "PS"))
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Key {
    /// The algorithm's name, which is the key's id too.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// What a server must know to check tokens of this key.
    pub fn jwk(self) -> Value {
        let mut jwk = match self.0 {
            Algorithm::ES256 => json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y }),
            Algorithm::ES384 => json!({ "kty": "EC", "crv": "P-384", "x": X384, "y": Y384 }),
            Algorithm::EdDSA => json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X }),
            rsa if is_rsa(rsa) => json!({ "kty": "RSA", "n": N, "e": "AQAB" }),
            _ => json!({ "kty": "oct", "k": base64url::encode(&SECRET) }),
        };
        jwk["kid"] = self.name().into();
        jwk["alg"] = self.name().into();
        jwk["use"] = "sig".into();
        jwk
    }

    fn private(self) -> EncodingKey {
        let der = |text: &str| base64url::decode(text.as_bytes()).expect("base64url");
        match self.0 {
            Algorithm::ES256 => EncodingKey::from_ec_der(&der(EC_DER)),
            Algorithm::ES384 => EncodingKey::from_ec_der(&der(EC384_DER)),
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der(ED_DER)),
            rsa if is_rsa(rsa) => EncodingKey::from_rsa_der(&der(RSA_DER)),
            _ => EncodingKey::from_secret(&SECRET),
        }
    }

    /// How another implementation verifies what this key signs.
    pub fn decoding(self) -> DecodingKey {
        match self.0 {
            Algorithm::ES256 => DecodingKey::from_ec_components(X, Y).expect("a point"),
            Algorithm::ES384 => DecodingKey::from_ec_components(X384, Y384).expect("a point"),
            Algorithm::EdDSA => DecodingKey::from_ed_components(ED_X).expect("a point"),
            rsa if is_rsa(rsa) => DecodingKey::from_rsa_components(N, "AQAB").expect("a modulus"),
            _ => DecodingKey::from_secret(&SECRET),
        }
    }

    /// A good header.
    pub fn header(self) -> Value {
        json!({ "alg": self.name(), "kid": self.name(), "typ": "JWT" })
    }

    /// The parts that are signed, with their signature.
    pub fn sign_parts(self, input: &str) -> String {
        let signature = crypto::sign(input.as_bytes(), &self.private(), self.0).expect("a signature");
        format!("{input}.{signature}")
    }

    /// A JWT of these bytes, signed whatever they are.
    pub fn sign_text(self, header: &[u8], payload: &[u8]) -> String {
        self.sign_parts(&format!("{}.{}", base64url::encode(header), base64url::encode(payload)))
    }

    /// A JWT, signed whatever it says.
    pub fn sign(self, header: &Value, claims: &Value) -> String {
        self.sign_text(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A good JWT of this user's session.
    pub fn good(self, con: &mut Connection, user: &str, session: &str) -> String {
        self.sign(&self.header(), &claims(con, user, session))
    }
}

/// A good header of a token that is signed with [`HS256`].
pub fn header() -> Value {
    HS256.header()
}

/// Claims that are good for an hour from now, of this user's session.
pub fn claims(con: &mut Connection, user: &str, session: &str) -> Value {
    let now = now_secs(con);
    json!({ "sub": user, "sid": session, "iat": now, "exp": now + 3600 })
}

/// A JWT of [`HS256`], signed whatever it says.
pub fn sign(header: &Value, claims: &Value) -> String {
    HS256.sign(header, claims)
}

/// A JWT of [`HS256`] of these bytes, signed whatever they are.
pub fn sign_text(header: &[u8], payload: &[u8]) -> String {
    HS256.sign_text(header, payload)
}

/// The parts that are signed, with their signature by [`HS256`].
pub fn sign_parts(input: &str) -> String {
    HS256.sign_parts(input)
}

/// A JWT of these texts, signed by HS256 with a secret of any length, as an application's library makes it.
pub fn sign_with(secret: &[u8], header: &str, payload: &str) -> String {
    let input = [header, payload].map(|part| base64url::encode(part.as_bytes())).join(".");
    let signature = crypto::sign(input.as_bytes(), &EncodingKey::from_secret(secret), Algorithm::HS256);
    format!("{input}.{}", signature.expect("a signature"))
}

/// A key of the server's own, with which it signs.
pub fn own() -> Value {
    json!({ "kty": "oct", "kid": "own", "alg": "HS256", "k": base64url::encode(&[7; 32]) })
}

/// The text of a key file.
pub fn set_of(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Makes the server read these keys.
///
/// # Errors
///
/// With what the server says against them.
pub fn load(server: &Server, keys: &[Value]) -> RedisResult<redis::Value> {
    server.write("keys.json", set_of(keys));
    let mut con = server.connection();
    // Setting what is set does nothing.
    let known = fields(cmd_args(&mut con, ["CONFIG", "GET", "session.keys-file"])?);
    match known.str("session.keys-file") == "keys.json" {
        true => cmd_args(&mut con, ["SESSION.RELOADKEYS"]),
        false => cmd_args(&mut con, ["CONFIG", "SET", "session.keys-file", "keys.json"]),
    }
}

/// Makes this server take the tokens of [`HS256`] and [`HS384`], and sign its own with the first.
pub fn trust(server: &Server) {
    load(server, &[HS256.jwk(), HS384.jwk()]).expect("the keys are good");
}

/// A server that takes the tokens of [`HS256`] and [`HS384`], and signs its own with the first.
pub fn trusting_server() -> Server {
    let server = Server::start();
    trust(&server);
    server
}

/// A server with a key of its own, and the issuer's public keys.
pub fn server_with_public_keys() -> Server {
    let keys: Vec<_> = std::iter::once(own()).chain(PUBLIC.map(Key::jwk)).collect();
    Server::builder().file("keys.json", set_of(&keys)).config("session.keys-file keys.json").start()
}

/// What a JWT says, unchecked.
pub fn payload(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&base64url::decode(payload.as_bytes()).expect("base64url")).expect("JSON")
}

/// A JWT of a server, as another issuer with the same key would make it: it does not say which session with its `sid`
/// it is of. The key is one of [`jwk_set`].
pub fn foreign(token: &str) -> String {
    let part = |at| base64url::decode(token.split('.').nth(at).expect("three parts").as_bytes()).expect("base64url");
    let header: Value = serde_json::from_slice(&part(0)).expect("JSON");
    let mut claims = payload(token);
    claims["jti"] = format!("{}+", claims["jti"].as_str().expect("a jti")).into();
    let set: Value = serde_json::from_str(&jwk_set(&[header["kid"].as_str().expect("a kid")])).expect("JSON");
    let secret = set["keys"][0]["k"].as_str().expect("a secret");
    let secret = EncodingKey::from_secret(&base64url::decode(secret.as_bytes()).expect("base64url"));
    let input = [&header, &claims].map(|part| base64url::encode(part.to_string().as_bytes())).join(".");
    let signature = crypto::sign(input.as_bytes(), &secret, Algorithm::HS256).expect("a signature");
    format!("{input}.{signature}")
}

/// The server's clock in seconds, as dates in tokens are.
pub fn now_secs(con: &mut Connection) -> i64 {
    now_ms(con) / 1000
}

/// The token with another letter near its end, in the signature or the code. (Of the last letter not all bits count.)
pub fn tampered(token: &str) -> String {
    let (front, end) = token.split_at(token.len() - 4);
    let other = if end.starts_with('A') { 'B' } else { 'A' };
    format!("{front}{other}{}", &end[1..])
}
