//! Tokens and the keys they are signed with.
//!
//! Two kinds name a session: JWTs, and opaque session tokens. Both are codes or signatures under a [`KeyRing`], so
//! nothing secret is stored with a session. A [`Verifier`] checks either; [`KeyRing::signing_key`] makes them.
//!
//! ```
//! use redis_session_core::token::{Cause, KeyRing, NewToken, TokenPolicy, Verifier};
//! use redis_session_core::{SessionId, Subject, UnixMillis};
//!
//! let ring = KeyRing::ephemeral()?;
//! let (session, user) = (SessionId::random()?, Subject::new(b"42").unwrap());
//! let (now, later) = (UnixMillis::from_secs(1000).unwrap(), UnixMillis::from_secs(4600).unwrap());
//! let token = NewToken {
//!     subject: user, session: &session, began_at: now, generation: 0, issued_at: now, expires_at: later,
//!     auth_time: now, level: 0, token_type: None, issuer: None, audience: None, claims: None,
//! };
//! let token = ring.signing_key().and_then(|key| key.sign_jwt(&token)).unwrap();
//!
//! let mut verifier = Verifier::new(ring, TokenPolicy::default());
//! assert_eq!(verifier.verify(user, token.as_bytes(), None, now).unwrap().id, session);
//! assert_eq!(verifier.verify(user, token.as_bytes(), None, later), Err(Cause::TokenExpiredExp));
//! # Ok::<(), getrandom::Error>(())
//! ```
//!
//! ```text
//! verifier.rs    the one check
//!   cache.rs     answers remembered
//!   jwt.rs       signing and checking JWTs          claims.rs   the claims in them
//!     jti.rs     which session one is of
//!   opaque.rs    signing and checking `rst1.`       scratch.rs  room for parts of tokens
//! signature.rs   what public keys tell of one alone
//! access.rs      who may read and write files of keys
//! policy.rs      what tokens must say               verified.rs what one says
//! shape.rs       what tokens look like              label.rs    what a log may say of one
//! cause.rs       what exactly is wrong with one     issuers.rs  whose keys may vouch for what
//! ring.rs        the keys, and which one signs      jwk.rs      reading them from a JWK Set
//!   key.rs       one key                            problem.rs  what may be wrong with them
//!   mac.rs       HMAC under a secret                public.rs   signatures under a public key
//!   ed25519.rs   which points are keys              private.rs  signatures by a private key
//! algorithm.rs   the algorithms' names              json.rs     strict JSON for all of these
//! ```

mod access;
mod algorithm;
mod cache;
mod cause;
mod claims;
#[cfg(feature = "public-keys")]
mod ed25519;
mod issuers;
mod json;
mod jti;
mod jwk;
mod jwt;
mod key;
mod label;
mod mac;
mod opaque;
mod policy;
mod private;
mod problem;
mod public;
mod ring;
mod scratch;
mod shape;
mod signature;
#[cfg(test)]
mod tests;
mod verified;
mod verifier;

pub use access::{AccessProblem, FileAccess};
pub use algorithm::Algorithm;
pub use cause::Cause;
pub use claims::{Claims, ClaimsError};
pub use issuers::{Issuer, IssuerProblem, Issuers, IssuersError};
pub use jwk::{IgnoredKey, IssuerKeys};
pub use jwt::NewToken;
pub use key::Key;
pub use label::Label;
pub use opaque::RefreshToken;
pub use policy::TokenPolicy;
pub use problem::{KeyProblem, KeyRingError};
pub use ring::KeyRing;
pub use shape::{holds_token, is_token};
pub use signature::Signature;
pub use verified::{Issued, Maker, TokenKind, Verified};
pub use verifier::Verifier;
