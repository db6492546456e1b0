//! One check for every kind of credential that names a session.

use super::policy::TokenPolicy;
use super::ring::KeyRing;
use super::scratch::Scratch;
use super::verified::{Checked, Verified};
use super::{jwt, opaque, shape};
use crate::{Reason, Subject, UnixMillis};

/// Checks `token`, which came with a request for `subject`, at the time `now`.
///
/// `audience` asks for another audience than the policy's, for this call. Whether the session is alive is not looked at
/// here. A token from elsewhere is as good as ours if a key of the ring signed it; its session is its `sid`, or its
/// `jti`, or, where it has neither, the first 128 bits of its signing input's SHA-256 (which, unlike a hash of the
/// whole token, no respelling of the signature changes).
///
/// # Errors
/// The first [`Reason`], in the order of that enum, for which the token is not good. Nothing in the payload is read
/// before the signature is right, so a payload that is not the JSON it should be answers
/// [`Reason::Malformed`] only if it is signed.
///
/// ```
/// use redis_session_core::token::{KeyRing, Scratch, TokenPolicy, verify};
/// use redis_session_core::{Reason, SessionId, Subject, UnixMillis};
///
/// let ring = KeyRing::ephemeral()?;
/// let (id, user) = (SessionId::random()?, Subject::new(b"42").unwrap());
/// let (now, later) = (UnixMillis::ZERO, UnixMillis::MAX);
/// let token = ring.signing_key().and_then(|key| key.sign_opaque(user, &id, now, later)).unwrap();
///
/// let (policy, mut scratch) = (TokenPolicy::default(), Scratch::default());
/// let mut check = |user| verify(&ring, &policy, user, token.as_bytes(), None, now, &mut scratch);
/// assert_eq!(check(user).unwrap().id, id);
/// assert_eq!(check(Subject::new(b"43").unwrap()), Err(Reason::Subject));
/// # Ok::<(), getrandom::Error>(())
/// ```
pub fn verify(
    ring: &KeyRing,
    policy: &TokenPolicy,
    subject: Subject<'_>,
    token: &[u8],
    audience: Option<&str>,
    now: UnixMillis,
    scratch: &mut Scratch,
) -> Result<Verified, Reason> {
    check(ring, policy, subject, token, audience, scratch).and_then(|checked| checked.at(policy, now))
}

/// Everything that [`verify`] checks but the times.
pub(crate) fn check(
    ring: &KeyRing,
    policy: &TokenPolicy,
    subject: Subject<'_>,
    token: &[u8],
    audience: Option<&str>,
    scratch: &mut Scratch,
) -> Result<Checked, Reason> {
    if token.len() > policy.max_token_bytes {
        return Err(Reason::Malformed);
    }
    if token.starts_with(shape::OPAQUE.as_bytes()) {
        let verified = opaque::verify(ring, subject, token, scratch)?;
        return Ok(Checked { verified, not_before: None, fault: None });
    }
    if token.starts_with(shape::REFRESH.as_bytes()) {
        return Err(Reason::Type);
    }
    jwt::check(ring, policy, subject, token, audience.or(policy.audience.as_deref()), scratch)
}
