//! What public keys tell of a JWT's signature, for programs that have nothing else of the server.

use super::algorithm::Algorithm;
use super::jwt::{Header, Parts};
use super::ring::KeyRing;
use super::scratch::{Scratch, decode};

/// What public keys tell of a token's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// One of them has made it.
    Right,
    /// None of them has made it, and the token names no other.
    Wrong,
    /// The token names none of them, or more than are tried for one token.
    Unknown,
    /// No public key checks it: it is a secret's code, or the text is no JWT.
    Other,
}

impl Signature {
    /// What the keys of `ring` tell of the signature of `token`, which may be any text.
    ///
    /// If the ring has all public keys of a server, of all issuers, and the answer is [`Wrong`](Self::Wrong), that
    /// server refuses the token: the `iss` chooses among those keys, and adds none.
    ///
    /// ```
    /// use redis_session_core::token::{IssuerKeys, KeyRing, Signature};
    /// # let set = br#"{"keys":[{"kty":"OKP","kid":"1","crv":"Ed25519","use":"sig","alg":"EdDSA",
    /// #     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let ring = KeyRing::of_issuer(set, IssuerKeys::default())?;
    /// let forged = b"eyJhbGciOiJFZERTQSIsImtpZCI6IjEifQ.e30.AAAA"; // {"alg":"EdDSA","kid":"1"}
    /// assert_eq!(Signature::of(forged, &ring), Signature::Wrong);
    /// assert_eq!(Signature::of(b"rst1.NDI.AAAA.AAAA", &ring), Signature::Other);
    /// # Ok::<(), redis_session_core::token::KeyRingError>(())
    /// ```
    #[must_use]
    pub fn of(token: &[u8], ring: &KeyRing) -> Self {
        read(token, ring).unwrap_or(Self::Other)
    }
}

fn read(token: &[u8], ring: &KeyRing) -> Option<Signature> {
    let mut scratch = Scratch::default();
    let parts = Parts::of(token).ok()?;
    let header = Header::read(decode(parts.header, &mut scratch.first).ok()?).ok()?;
    let algorithm = Algorithm::from_name(header.algorithm.as_deref()?)?;
    if algorithm.key_type() == "oct" {
        return None;
    }
    let kid = header.kid.as_deref().filter(|kid| !kid.is_empty());
    let mut keys = ring.keys().filter(|key| key.algorithm() == algorithm && (kid.is_none() || key.kid() == kid));
    let some: Vec<_> = keys.by_ref().take(KeyRing::MAX_CANDIDATES).collect();
    if some.is_empty() || keys.next().is_some() {
        return Some(Signature::Unknown);
    }
    // What cannot be decoded is not a signature of any key.
    let signature = decode(parts.signature, &mut scratch.second).unwrap_or_default();
    let is_right = some.into_iter().any(|key| key.verifies_jwt(parts.input, signature));
    Some(if is_right { Signature::Right } else { Signature::Wrong })
}
