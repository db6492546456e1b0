//! One check for every kind of credential that names a session.

use std::fmt;
use std::sync::Arc;

use super::cache::{Asked, Cache};
use super::cause::Cause;
use super::issuers::{Issuer, Issuers};
use super::jwt::{self, Trust};
use super::opaque::RefreshToken;
use super::policy::TokenPolicy;
use super::ring::{KeyRing, public_jwks};
use super::scratch::Scratch;
use super::verified::{Checked, Issued, Maker, TokenKind, Verified};
use super::{opaque, shape};
use crate::{Subject, UnixMillis};

/// Checks tokens: with keys, by a policy, and with a memory of those that were good lately.
///
/// ```
/// use redis_session_core::token::{Cause, KeyRing, TokenPolicy, Verifier};
/// use redis_session_core::{SessionId, Subject, UnixMillis};
///
/// let ring = KeyRing::ephemeral()?;
/// let (id, user) = (SessionId::random()?, Subject::new(b"42").unwrap());
/// let (now, later) = (UnixMillis::ZERO, UnixMillis::MAX);
/// let token = ring.signing_key().and_then(|key| key.sign_opaque(user, &id, now, later)).unwrap();
///
/// let mut verifier = Verifier::new(ring, TokenPolicy::default());
/// let mut check = |user| verifier.verify(user, token.as_bytes(), None, now);
/// assert_eq!(check(user).unwrap().id, id);
/// assert_eq!(check(Subject::new(b"43").unwrap()), Err(Cause::Subject));
/// # Ok::<(), getrandom::Error>(())
/// ```
#[derive(Default)]
pub struct Verifier {
    ring: Option<Arc<KeyRing>>,
    issuers: Arc<Issuers>,
    policy: TokenPolicy,
    cache: Cache,
    scratch: Scratch,
}

impl Verifier {
    /// A verifier with these keys and this policy, which remembers nothing. One without keys, the
    /// [default](Verifier::default), refuses every token.
    pub fn new(ring: impl Into<Arc<KeyRing>>, policy: TokenPolicy) -> Self {
        Self { ring: Some(ring.into()), policy, ..Self::default() }
    }

    /// The keys, if it has some.
    #[must_use]
    pub fn ring(&self) -> Option<&KeyRing> {
        self.ring.as_deref()
    }

    /// What tokens must say.
    #[must_use]
    pub fn policy(&self) -> &TokenPolicy {
        &self.policy
    }

    /// The other issuers that it knows; none at first.
    #[must_use]
    pub fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// Every public key that a JWT can be checked with here, as a JWK Set: those of the ring, the public halves of its
    /// private keys, and those of all issuers. For [`Signature::of`](super::Signature::of).
    #[must_use]
    pub fn public_jwks(&self) -> String {
        let rings = self.ring().into_iter().chain(self.issuers.iter().map(Issuer::keys));
        public_jwks(rings.flat_map(KeyRing::keys))
    }

    /// Gives it other issuers.
    pub fn set_issuers(&mut self, issuers: impl Into<Arc<Issuers>>) {
        self.cache.clear();
        self.issuers = issuers.into();
    }

    /// Gives it other keys of its own.
    pub fn set_ring(&mut self, ring: impl Into<Arc<KeyRing>>) {
        self.cache.clear();
        self.ring = Some(ring.into());
    }

    /// Gives it another policy.
    pub fn set_policy(&mut self, policy: TokenPolicy) {
        if self.policy != policy {
            self.cache.clear();
            self.policy = policy;
        }
    }

    /// Changes how many good tokens are remembered, rounded up to a power of two; 0 for none.
    ///
    /// One takes about 200 bytes and the token's length; longer ones than 2048 bytes are not remembered.
    pub fn resize(&mut self, tokens: usize) {
        self.cache.resize(tokens);
    }

    /// How many checks found their token remembered, and how many did not.
    #[must_use]
    pub fn hits_and_misses(&self) -> (u64, u64) {
        self.cache.hits_and_misses()
    }

    /// Checks `token`, which came with a request for `subject`, at the time `now`.
    ///
    /// `audience` asks for another audience than the policy's or the issuer's, for this call. Whether the session is alive
    /// is not looked at here, nor whether an `iat` is ahead of the clock: that matters only without a session.
    ///
    /// A JWT's `iss` chooses whose keys may have signed it: those of the [issuer](Issuers) with that name, or else the own
    /// ring's. Its session is its `sid`, or its `jti`, or, where it has neither, the first 128 bits of its signing input's
    /// SHA-256 (which, unlike a hash of the whole token, no respelling of the signature changes). How its text becomes the
    /// id of a session here depends on the [`Maker`].
    ///
    /// # Errors
    /// With the first [`Cause`], by the order of the [reasons](crate::Reason), for which the token is not good. But a token
    /// whose `iss` is nobody's answers that before its key is looked for. Of the payload nothing but the `iss` is read
    /// before the signature is right, and that only if there are other issuers.
    pub fn verify(
        &mut self,
        subject: Subject<'_>,
        token: &[u8],
        audience: Option<&str>,
        now: UnixMillis,
    ) -> Result<Verified, Cause> {
        let asked = Asked { token, subject, audience };
        if let Some(checked) = self.cache.find(asked) {
            let answer = checked.at(&self.policy, now);
            if answer == Err(Cause::TokenExpiredExp) {
                self.cache.forget(asked);
            }
            return answer;
        }
        let checked = self.check(subject, token, jwt::Asked::Good(audience))?;
        let answer = checked.at(&self.policy, now)?;
        self.cache.keep(asked, checked);
        Ok(answer)
    }

    /// Checks a token as [`Verifier::verify`] does, where no session can be asked. So its `iat` must not be ahead either.
    ///
    /// # Errors
    /// As there, and [`Cause::NotYetValidIat`].
    pub fn verify_alone(
        &mut self,
        subject: Subject<'_>,
        token: &[u8],
        audience: Option<&str>,
        now: UnixMillis,
    ) -> Result<Verified, Cause> {
        let verified = self.verify(subject, token, audience, now)?;
        let soon = now.saturating_add(self.policy.leeway_millis());
        if verified.issued.is_after(soon) { Err(Cause::NotYetValidIat) } else { Ok(verified) }
    }

    /// Checks a refresh token, which came with a request for `subject`. Whether its generation is the session's present
    /// one is not looked at here.
    ///
    /// # Errors
    /// With a cause of the reason `type` if it is a token of another kind, else of `malformed`, `unknown_key`, `signature`
    /// or `subject`.
    ///
    /// ```
    /// use redis_session_core::token::{KeyRing, TokenPolicy, Verifier};
    /// use redis_session_core::{SessionId, Subject, UnixMillis};
    ///
    /// let ring = KeyRing::ephemeral()?;
    /// let (id, user) = (SessionId::random()?, Subject::new(b"42").unwrap());
    /// let token = ring.signing_key().and_then(|key| key.sign_refresh(user, &id, 3, UnixMillis::ZERO)).unwrap();
    /// let verified = Verifier::new(ring, TokenPolicy::default()).verify_refresh(user, token.as_bytes()).unwrap();
    /// assert_eq!((verified.id, verified.generation), (id, 3));
    /// # Ok::<(), getrandom::Error>(())
    /// ```
    pub fn verify_refresh(&mut self, subject: Subject<'_>, token: &[u8]) -> Result<RefreshToken, Cause> {
        let ring = ring_for(token, self.ring.as_deref(), &self.policy)?;
        opaque::check_refresh(ring, subject, token, &mut self.scratch)
    }

    /// Which session a token of any kind names, for revoking that: it is signed, and `subject`'s. Its times are not
    /// looked at, nor its type and audience.
    ///
    /// # Errors
    /// With a cause of the reason `malformed`, `algorithm`, `unknown_key`, `signature` or `subject`.
    pub fn identify(&mut self, subject: Subject<'_>, token: &[u8]) -> Result<Verified, Cause> {
        if token.starts_with(shape::REFRESH.as_bytes()) {
            let RefreshToken { id, session_began_at, .. } = self.verify_refresh(subject, token)?;
            let (kind, issued) = (TokenKind::Refresh, Issued::ForSessionOf(session_began_at));
            return Ok(Verified { id, kind, maker: Maker::Here, issued, expires_at: None });
        }
        self.check(subject, token, jwt::Asked::Named)?.at_any_time()
    }

    /// Everything that is checked of an access token but the times.
    fn check(&mut self, subject: Subject<'_>, token: &[u8], asked: jwt::Asked<'_>) -> Result<Checked, Cause> {
        let ring = ring_for(token, self.ring.as_deref(), &self.policy)?;
        if token.starts_with(shape::OPAQUE.as_bytes()) {
            return opaque::check(ring, subject, token, &mut self.scratch);
        }
        if token.starts_with(shape::REFRESH.as_bytes()) {
            return Err(Cause::TypeRefresh);
        }
        let trust = Trust { ring, issuers: &self.issuers, policy: &self.policy };
        jwt::check(trust, asked, subject, token, &mut self.scratch)
    }
}

/// The keys to check a token with, if there are some and it is not too long to be looked at.
fn ring_for<'r>(token: &[u8], ring: Option<&'r KeyRing>, policy: &TokenPolicy) -> Result<&'r KeyRing, Cause> {
    let ring = ring.ok_or(Cause::UnknownKeyKid)?;
    if token.len() > policy.max_token_bytes { Err(Cause::MalformedTooLong) } else { Ok(ring) }
}

impl Clone for Verifier {
    /// One with the same keys and policy, which remembers nothing.
    fn clone(&self) -> Self {
        let (ring, issuers) = (self.ring.clone(), Arc::clone(&self.issuers));
        Self { ring, issuers, policy: self.policy.clone(), ..Self::default() }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("ring", &self.ring)
            .field("issuers", &self.issuers)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
