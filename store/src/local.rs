//! Checks of JWTs without Redis.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use redis_session::{Inactive, InactiveReason, Timestamp};
use redis_session_core::token::{Cause, Issued, KeyRing, TokenKind, TokenPolicy, Verifier};
use redis_session_core::{Reason, Subject, UnixMillis};

use crate::authenticated::{Assurance, Authenticated};
use crate::error::KeySetError;

/// Checks JWTs as the server does, with the same keys, while Redis is away.
///
/// It sees only the token, as [`Assurance::TokenOnly`] says. So it does not know of
///
/// - logouts, here or everywhere, evictions, `SESSION.REGENERATE`, and denied tokens;
/// - the idle timeout, and an end of the session before that of the token;
/// - the device that a session is bound to: [`Visitor::device`](crate::Visitor::device) is not compared;
/// - the server's current settings and keys. It has those that the application gave it. Make a new verifier when a key
///   is added or removed, and when `session.not-before` changes, for which there is [`not_before`](Self::not_before).
///
/// And a check restarts no idle timeout. Keep access tokens short-lived: after a logout, a token can stay good here
/// until it expires. The verifier cannot check opaque tokens, which mean nothing without their session, JWTs without
/// `exp`, or JWTs of a key that it does not have. For those the answer is that Redis is away.
///
/// With public keys (RS256, PS256, ES256 and their longer variants, EdDSA) the application holds no secret. The
/// server's own key file can sign tokens: guard it as you do on the server.
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
    /// If the text is no JWK Set, or has a key that cannot be used.
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

    /// The cutoff: everything issued before it is dead. The server's `session.not-before`; default 0.
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
    /// The server compares the cutoff with the start of the session, which its own tokens contain. For a token of
    /// another issuer, this verifier compares the time of issue, in whole seconds, rounded down. It refuses tokens from
    /// the cutoff's own second and tokens without `iat`. A token that an older session got later is good here, and
    /// refused by the server.
    #[must_use]
    pub fn not_before(mut self, moment: impl Into<SystemTime>) -> Self {
        self.not_before = unix_millis(moment.into());
        self
    }

    /// What the token alone proves, now; `None` if that is nothing.
    pub(crate) fn verify(&self, user: &str, token: &str) -> Result<Option<Authenticated>, Inactive> {
        self.verify_at(user, token, unix_millis(SystemTime::now()))
    }

    fn verify_at(&self, user: &str, token: &str, now: UnixMillis) -> Result<Option<Authenticated>, Inactive> {
        // Good or bad, it names a session that is unknown here.
        if token.starts_with("rst1.") {
            return Ok(None);
        }
        let refused = |reason: Reason| Inactive::from(InactiveReason::from_name(reason.as_str()));
        let subject = Subject::new(user.as_bytes()).map_err(|_| refused(Reason::Malformed))?;
        // A buffer for each call, so that checks need not wait for each other.
        let verified = self.verifier.clone().verify_alone(subject, token.as_bytes(), None, now);
        let verified = match verified.map_err(Cause::reason) {
            Err(Reason::UnknownKey) => return Ok(None),
            verified => verified.map_err(refused)?,
        };
        // A token without `exp` lasts as long as its session, which is unknown here.
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

/// The epoch, for times before it.
fn unix_millis(time: SystemTime) -> UnixMillis {
    let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    UnixMillis::saturating_from(i64::try_from(millis).unwrap_or(i64::MAX))
}
