//! What signs verifies, and nothing else does. Here: the keys and tokens that the tests share.

#[cfg(feature = "public-keys")]
mod attacks;
mod caching;
#[cfg(feature = "public-keys")]
mod forgeries;
#[cfg(feature = "public-keys")]
mod issuer;
#[cfg(feature = "public-keys")]
mod issuers;
mod jwts;
mod naming;
mod opaques;
#[cfg(feature = "public-keys")]
mod private_keys;
#[cfg(feature = "public-keys")]
mod public_keys;
mod refreshes;
mod signing;
mod tampering;
mod types;
#[cfg(feature = "public-keys")]
mod vectors;

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{Reason, SessionId, Subject, UnixMillis, base64url};

const SESSION: &str = "AAECAwQFBgcICQoLDA0ODw";
/// Seconds.
const NOW: u64 = 1_700_000_000;

fn at(seconds: u64) -> UnixMillis {
    UnixMillis::from_secs(seconds).unwrap()
}

fn user(name: &str) -> Subject<'_> {
    Subject::new(name.as_bytes()).unwrap()
}

/// Keys `k256`, `k384` and `k512`.
fn ring() -> Arc<KeyRing> {
    let keys = [("256", 64), ("384", 64), ("512", 86)].map(|(bits, letters)| {
        let secret = "Q".repeat(letters);
        format!(r#"{{"kty":"oct","kid":"k{bits}","alg":"HS{bits}","k":"{secret}"}}"#)
    });
    Arc::new(KeyRing::from_jwk_set(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes(), None).unwrap())
}

/// One with the keys of [`ring`].
fn verifier(policy: &TokenPolicy) -> Verifier {
    Verifier::new(ring(), policy.clone())
}

fn new_token(session: &SessionId) -> NewToken<'_> {
    NewToken {
        subject: user("42"),
        session,
        began_at: at(NOW),
        generation: 0,
        issued_at: at(NOW),
        expires_at: at(NOW + 3600),
        auth_time: at(NOW),
        level: 0,
        token_type: None,
        issuer: None,
        audience: None,
        claims: None,
    }
}

fn session() -> SessionId {
    SessionId::from_text(SESSION.as_bytes()).unwrap()
}

fn jwt() -> String {
    ring().signing_key().unwrap().sign_jwt(&new_token(&session())).unwrap()
}

fn opaque() -> String {
    ring().signing_key().unwrap().sign_opaque(user("42"), &session(), at(NOW), at(NOW + 3600)).unwrap()
}

/// A JWT with these texts, signed by `kid`.
fn signed(kid: &str, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let mut token = format!("{}.{}", base64url::encode(header.as_ref()), base64url::encode(payload.as_ref()));
    let tag = ring().get(kid).unwrap().secret().unwrap().jwt.tag(token.as_bytes());
    write!(token, ".{}", base64url::encode(tag.as_bytes())).unwrap();
    token
}

const HEADER: &str = r#"{"alg":"HS256","kid":"k256","typ":"JWT"}"#;

/// A token of user 42 with `claims` beside `sub`, by a foreign signer who orders the header in another way.
fn with(claims: &str) -> String {
    signed("k256", r#"{"typ":"JWT","kid":"k256","alg":"HS256"}"#, format!(r#"{{"sub":"42",{claims}}}"#))
}

fn check_by(policy: &TokenPolicy, token: &str) -> Result<Verified, Reason> {
    cause_by(policy, token).map_err(Cause::reason)
}

/// The same, with the exact cause.
fn cause_by(policy: &TokenPolicy, token: &str) -> Result<Verified, Cause> {
    verifier(policy).verify(user("42"), token.as_bytes(), None, at(NOW))
}

fn check(token: &str) -> Result<Verified, Reason> {
    check_by(&TokenPolicy::default(), token)
}

fn refused(token: &str) -> Option<Reason> {
    check(token).err()
}
