//! What a check finds out about a token.

use super::policy::TokenPolicy;
use crate::{Reason, SessionId, UnixMillis};

/// The kind of a token that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenKind {
    /// A signed JWT (RFC 7519).
    Jwt,
    /// An opaque session token, `rst1.`
    Opaque,
    /// A refresh token, `rsr1.`
    Refresh,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The session it is for.
    pub id: SessionId,
    /// Its kind.
    pub kind: TokenKind,
    /// What it tells of the time it was issued.
    pub issued: Issued,
    /// When it ends, without leeway: a JWT's `exp`, or when the session of an opaque token ends at the latest.
    pub expires_at: Option<UnixMillis>,
}

impl Verified {
    /// When it expires by itself, without leeway: a JWT's `exp`. `None` for an opaque token, which is good as long as
    /// its session is.
    #[must_use]
    pub fn own_expiry(&self) -> Option<UnixMillis> {
        match self.kind {
            TokenKind::Jwt => self.expires_at,
            TokenKind::Opaque | TokenKind::Refresh => None,
        }
    }
}

/// What a credential tells of the time it was issued, for comparing that with revocations of all of a user's sessions
/// and with the session of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issued {
    /// Nothing: it is no credential, but an id.
    Unsaid,
    /// The second that begins at this time: a JWT's `iat`. One without `iat` counts as issued before everything.
    InSecondOf(UnixMillis),
    /// That it is a token of the session that began at exactly this time: all tokens that are made here say it, JWTs by
    /// their `jti`.
    ForSessionOf(UnixMillis),
}

/// What was found out about a token without looking at the clock: all there is to it but the times it hangs on.
pub(crate) struct Checked {
    pub(crate) verified: Verified,
    /// The `nbf` of a JWT.
    pub(crate) not_before: Option<UnixMillis>,
    /// What else is wrong with it. It counts only if the times are right, which come first.
    pub(crate) fault: Option<Reason>,
}

impl Checked {
    /// The answer at the time `now`.
    pub(crate) fn at(&self, policy: &TokenPolicy, now: UnixMillis) -> Result<Verified, Reason> {
        let leeway = u64::from(policy.leeway_secs) * 1000;
        let (now, soon) = (now.get(), now.get().saturating_add(leeway));
        if self.verified.own_expiry().is_some_and(|time| now >= time.get().saturating_add(leeway)) {
            return Err(Reason::TokenExpired);
        }
        // Of a token that says its session, that decides, and not when the clock said what at the time.
        let issued_at = match self.verified.issued {
            Issued::InSecondOf(time) => Some(time),
            Issued::ForSessionOf(_) | Issued::Unsaid => None,
        };
        if [self.not_before, issued_at].into_iter().flatten().any(|time| time.get() > soon) {
            return Err(Reason::NotYetValid);
        }
        self.at_any_time()
    }

    /// The answer without a look at the times.
    pub(crate) fn at_any_time(&self) -> Result<Verified, Reason> {
        match self.fault {
            Some(reason) => Err(reason),
            None => Ok(self.verified.clone()),
        }
    }
}
