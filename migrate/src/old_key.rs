//! What stands behind the prefix of an old key: a token, and so what nobody may see.

use redis_session_core::base64url;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_128_bits_of_the_tokens_sha_256() {
        // printf abc | openssl dgst -sha256 -binary | head -c 16 | base64 | tr '+/' '-_' | tr -d =
        assert_eq!(id_of(b"abc"), "ungWv48Bz-pBQUDeXa4iIw");
    }
}
