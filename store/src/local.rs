//! Tokens without Redis: what can be said of a JWT by itself.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use redis_session::{Inactive, InactiveReason, Timestamp};
use redis_session_core::token::{Cause, Issued, KeyRing, TokenKind, TokenPolicy, Verifier};
use redis_session_core::{Reason, Subject, UnixMillis};

use crate::authenticated::{Assurance, Authenticated};
use crate::error::KeySetError;

/// Checks JWTs as the server does, with the same keys, for the time that Redis is away.
///
/// It sees the token and nothing else, as [`Assurance::TokenOnly`] says. So it does not know of
///
/// - logouts, here or everywhere, evictions, `SESSION.REGENERATE`, and denied tokens;
/// - the idle timeout, and an end of the session that is before the token's;
/// - the device that a session is bound to: [`Visitor::device`](crate::Visitor::device) is not compared;
/// - the server's settings and keys. They are those that the application gave, as they were then: make a new verifier
///   when a key is added or removed, and with a new `session.not-before`, for which there is
///   [`not_before`](Self::not_before).
///
/// And a check slides no idle timeout. Keep access tokens short-lived, for until the last one expires is how long a
/// session can outlive its logout. Of an opaque token it can say nothing, for it is nothing without its session, nor of a
/// JWT without `exp` or of a key that it does not have: then the answer is that Redis is away.
///
/// With public keys (RS256, PS256, ES256 and their longer kin, EdDSA) the application holds no secret. With the server's
/// own key file it holds what signs tokens: guard it as the server's.
pub struct LocalVerifier {
    verifier: Verifier,
    not_before: UnixMillis,
}

impl fmt::Debug for LocalVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalVerifier")
            .field("policy", self.verifier.policy())
            .field("not_before", &self.not_before)
            .finish_non_exhaustive()
    }
}

impl LocalVerifier {
    /// With the keys of a JWK Set (RFC 7517 section 5), as in the server's `session.keys-file`.
    ///
    /// ```
    /// use redis_session_store::LocalVerifier;
    ///
    /// let keys = r#"{"keys":[{"kty":"oct","kid":"1","alg":"HS256",
    ///     "k":"c2l4dGVlbiBieXRlcyB0d2ljZSBtYWtlIGEga2V5Li4"}]}"#;
    /// let verifier = LocalVerifier::from_jwk_set(keys)?.issuer("https://login.example");
    /// # Ok::<(), redis_session_store::KeySetError>(())
    /// ```
    ///
    /// # Errors
    /// If it is none, or has a key that is not good.
    pub fn from_jwk_set(json: impl AsRef<[u8]>) -> Result<Self, KeySetError> {
        let ring = KeyRing::from_jwk_set(json.as_ref(), None).map_err(KeySetError::new)?;
        Ok(Self { verifier: Verifier::new(ring, TokenPolicy::default()), not_before: UnixMillis::ZERO })
    }

    fn with(mut self, change: impl FnOnce(&mut TokenPolicy)) -> Self {
        let mut policy = self.verifier.policy().clone();
        change(&mut policy);
        self.verifier.set_policy(policy);
        self
    }

    /// The `iss` that tokens must have: the server's `session.issuer`.
    #[must_use]
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        self.with(|policy| policy.issuer = Some(issuer.into()))
    }

    /// The audience that tokens must be for: the server's `session.audience`.
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with(|policy| policy.audience = Some(audience.into()))
    }

    /// The `typ` that tokens must have: the server's `session.token-type`.
    #[must_use]
    pub fn token_type(self, token_type: impl Into<String>) -> Self {
        self.with(|policy| policy.token_type = Some(token_type.into()))
    }

    /// Seconds by which clocks may differ: the server's `session.leeway`.
    #[must_use]
    pub fn leeway_secs(self, secs: u32) -> Self {
        self.with(|policy| policy.leeway_secs = secs)
    }

    /// The moment before which all that was issued is dead: the server's `session.not-before`, 0 unless it is given.
    ///
    /// ```
    /// use std::time::{Duration, UNIX_EPOCH};
    /// use redis_session_store::LocalVerifier;
    ///
    /// # fn example(verifier: LocalVerifier) -> LocalVerifier {
    /// // `CONFIG SET session.not-before 1790000000000`
    /// verifier.not_before(UNIX_EPOCH + Duration::from_millis(1_790_000_000_000))
    /// # }
    /// ```
    ///
    /// The server looks at when the session began, and its own tokens tell that. Of a token of another issuer, here
    /// counts when it was issued, in whole seconds, rounded down: those of the moment's own second are refused, and so
    /// are those that do not say it (without `iat`). Such a token that an older session got later is good here and not
    /// there.
    #[must_use]
    pub fn not_before(mut self, moment: impl Into<SystemTime>) -> Self {
        self.not_before = unix_millis(moment.into());
        self
    }

    /// What the token by itself is worth, now; `None` if that cannot be said.
    pub(crate) fn verify(&self, user: &str, token: &str) -> Result<Option<Authenticated>, Inactive> {
        self.verify_at(user, token, unix_millis(SystemTime::now()))
    }

    fn verify_at(&self, user: &str, token: &str, now: UnixMillis) -> Result<Option<Authenticated>, Inactive> {
        // Good or not, it names a session that nobody knows of here.
        if token.starts_with("rst1.") {
            return Ok(None);
        }
        let refused = |reason: Reason| Inactive::from(InactiveReason::from_name(reason.as_str()));
        let subject = Subject::new(user.as_bytes()).map_err(|_| refused(Reason::Malformed))?;
        // With room of its own, so that checks need not wait for each other.
        let verified = self.verifier.clone().verify_alone(subject, token.as_bytes(), None, now);
        let verified = match verified.map_err(Cause::reason) {
            Err(Reason::UnknownKey) => return Ok(None),
            verified => verified.map_err(refused)?,
        };
        // Without an end of its own, a token is worth what its session is, and that is not known.
        let (TokenKind::Jwt, Some(expires_at)) = (verified.kind, verified.expires_at) else {
            return Ok(None);
        };
        let issued = match verified.issued {
            Issued::InSecondOf(time) | Issued::ForSessionOf(time) => time,
            Issued::Unsaid => UnixMillis::ZERO,
        };
        if issued < self.not_before {
            return Err(refused(Reason::UserRevoked));
        }
        Ok(Some(Authenticated {
            user: user.to_owned(),
            id: verified.id.to_string(),
            expires_at: Timestamp::from_unix_millis(expires_at.get()).ok_or_else(|| refused(Reason::Malformed))?,
            assurance: Assurance::TokenOnly,
            details: None,
        }))
    }
}

/// The epoch for what was before it.
fn unix_millis(time: SystemTime) -> UnixMillis {
    let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    UnixMillis::saturating_from(i64::try_from(millis).unwrap_or(i64::MAX))
}
