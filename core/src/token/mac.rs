//! HMAC under one secret, kept as precomputed states: the secret itself is not stored.

use std::fmt;

use hmac::digest::common::Key;
use hmac::{EagerHash, Hmac, KeyInit, Mac as _};
use sha2::{Sha256, Sha384, Sha512};

use super::algorithm::Hash;

/// A secret, ready to authenticate messages. Each use clones the state behind the two key blocks (RFC 2104).
#[derive(Clone)]
pub(crate) enum MacKey {
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

/// An authentication code: as long as the hash.
pub(crate) struct Tag {
    bytes: [u8; 64],
    length: usize,
}

impl Tag {
    fn new(code: &[u8]) -> Self {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(code) {
            *to = *from;
        }
        Self { bytes, length: code.len() }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

/// HMAC's key schedule without a failure case: a long secret is hashed, a short one zero-padded (RFC 2104 section 2).
fn keyed<D: EagerHash>(secret: &[u8]) -> Hmac<D> {
    let mut block = Key::<Hmac<D>>::default();
    let hashed = (secret.len() > block.len()).then(|| D::digest(secret));
    let secret = hashed.as_deref().unwrap_or(secret);
    for (to, from) in block.iter_mut().zip(secret) {
        *to = *from;
    }
    Hmac::new(&block)
}

impl MacKey {
    pub(crate) fn new(hash: Hash, secret: &[u8]) -> Self {
        match hash {
            Hash::Sha256 => Self::Sha256(keyed(secret)),
            Hash::Sha384 => Self::Sha384(keyed(secret)),
            Hash::Sha512 => Self::Sha512(keyed(secret)),
        }
    }

    pub(crate) fn tag(&self, message: &[u8]) -> Tag {
        self.tag_of(message, b"")
    }

    /// Whether `tag` is the code of `message`, compared in constant time; a truncated code is not.
    pub(crate) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.verify_of(message, b"", tag)
    }

    /// The code of a message whose end is elsewhere.
    pub(crate) fn tag_of(&self, message: &[u8], end: &[u8]) -> Tag {
        match self {
            Self::Sha256(state) => {
                Tag::new(&state.clone().chain_update(message).chain_update(end).finalize().into_bytes())
            }
            Self::Sha384(state) => {
                Tag::new(&state.clone().chain_update(message).chain_update(end).finalize().into_bytes())
            }
            Self::Sha512(state) => {
                Tag::new(&state.clone().chain_update(message).chain_update(end).finalize().into_bytes())
            }
        }
    }

    /// As [`MacKey::verify`], of a message whose end is elsewhere.
    pub(crate) fn verify_of(&self, message: &[u8], end: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Sha256(state) => state.clone().chain_update(message).chain_update(end).verify_slice(tag).is_ok(),
            Self::Sha384(state) => state.clone().chain_update(message).chain_update(end).verify_slice(tag).is_ok(),
            Self::Sha512(state) => state.clone().chain_update(message).chain_update(end).verify_slice(tag).is_ok(),
        }
    }

    /// The key for another purpose: the code of `label`, as a secret of its own.
    ///
    /// A code made under it passes for no other purpose's (RFC 8725 section 3.12), as long as no label is ever a
    /// message of this key.
    pub(crate) fn derive(&self, label: &[u8]) -> Self {
        let secret = self.tag(label);
        match self {
            Self::Sha256(_) => Self::Sha256(keyed(secret.as_bytes())),
            Self::Sha384(_) => Self::Sha384(keyed(secret.as_bytes())),
            Self::Sha512(_) => Self::Sha512(keyed(secret.as_bytes())),
        }
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base64url;
    use proptest::prelude::*;

    /// RFC 7515 appendix A.1: the header and payload there hold CR LF, so this is the level that it tests.
    #[test]
    fn the_example_of_rfc_7515_verifies() {
        let secret = base64url::decode(
            b"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        )
        .unwrap();
        let input = b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
            eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let key = MacKey::new(Hash::Sha256, &secret);
        let tag = base64url::decode(b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert!(key.verify(input, &tag));
        assert_eq!(key.tag(input).as_bytes(), tag);
    }

    #[test]
    fn a_truncated_code_is_refused() {
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let key = MacKey::new(hash, &[7; 64]);
            let tag = key.tag(b"message");
            assert_eq!(tag.as_bytes().len(), hash.bytes());
            assert!(key.verify(b"message", tag.as_bytes()));
            assert!(!key.verify(b"message", &tag.as_bytes()[..16]));
            assert!(!key.verify(b"message", b""));
        }
    }

    #[test]
    fn a_derived_key_is_another_key() {
        let key = MacKey::new(Hash::Sha384, &[7; 48]);
        let (one, two) = (key.derive(b"one"), key.derive(b"two"));
        assert!(one.verify(b"message", one.tag(b"message").as_bytes()));
        assert!(!two.verify(b"message", one.tag(b"message").as_bytes()));
        assert!(!key.verify(b"message", one.tag(b"message").as_bytes()));
    }

    proptest! {
        #[test]
        fn secrets_of_every_length_are_scheduled_as_the_hmac_crate_does(
            secret in proptest::collection::vec(any::<u8>(), 0..300), message: Vec<u8>
        ) {
            let ours = MacKey::new(Hash::Sha512, &secret).tag(&message);
            let theirs = Hmac::<Sha512>::new_from_slice(&secret).unwrap().chain_update(&message).finalize();
            prop_assert_eq!(ours.as_bytes(), &theirs.into_bytes()[..]);
        }
    }
}
