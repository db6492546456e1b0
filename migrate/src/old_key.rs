//! What stands behind the prefix of an old key: a token, and so what nobody may see.

use redis_session_core::base64url;
use redis_session_core::token::is_token;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The first 128 bits of the SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 16] {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    let mut first = [0; 16];
    first.copy_from_slice(hash.first_chunk::<16>().unwrap_or(&[0; 16]));
    first
}

/// The id that a session with this token gets: nothing leads from it back to the token.
///
/// The token is as hard to guess as it was, and the id is no credential; so 128 bits are enough to tell sessions apart.
pub(crate) fn id_of(token: &[u8]) -> String {
    base64url::encode(&digest(token))
}

/// What a JWT says of itself. Nothing is verified here.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Claims {
    #[serde(default)]
    pub(crate) sub: Option<String>,
    #[serde(default)]
    pub(crate) sid: Option<String>,
    #[serde(default)]
    pub(crate) jti: Option<String>,
    #[serde(default)]
    pub(crate) iat: Option<f64>,
}

/// The claims of a JWT, none if they cannot be read; `None` if the token is no JWT.
pub(crate) fn jwt(token: &[u8]) -> Option<Claims> {
    if !is_token(token) || token.starts_with(b"rst1.") || token.starts_with(b"rsr1.") {
        return None;
    }
    let payload = token.split(|byte| *byte == b'.').nth(1).and_then(base64url::decode);
    Some(payload.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_128_bits_of_the_tokens_sha_256() {
        // printf abc | openssl dgst -sha256 -binary | head -c 16 | base64 | tr '+/' '-_' | tr -d =
        assert_eq!(id_of(b"abc"), "ungWv48Bz-pBQUDeXa4iIw");
    }

    #[test]
    fn a_jwt_is_told_from_other_tokens() {
        let token = |payload: &str| format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", base64url::encode(payload.as_bytes()));
        let claims = jwt(token(r#"{"sub":"42","jti":"one","iat":1795600800}"#).as_bytes()).unwrap();
        assert_eq!(
            (claims.sub.as_deref(), claims.jti.as_deref(), claims.iat),
            (Some("42"), Some("one"), Some(1_795_600_800.0))
        );
        assert_eq!(jwt(token("no JSON").as_bytes()), Some(Claims::default()));
        for other in ["abc", "a.b.c", "0190163d-8694-739b-aea5-966c26f8ad91", "rst1.NDI.aWQ.AA", "s:abc.def"] {
            assert_eq!(jwt(other.as_bytes()), None, "{other}");
        }
    }
}
