//! What a check finds out about a token.

use super::cause::Cause;
use super::policy::TokenPolicy;
use crate::{SessionId, UnixMillis};

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

/// Who made a token, and so what it may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maker {
    /// It was made here, for the one session that its `jti` or its code names.
    Here,
    /// The application made it by itself, with a key of the own ring or of the entry of tokens without an `iss`. It reaches
    /// the sessions here by their ids.
    Application,
    /// Another issuer made it, with a key of its own. Its session ids are that issuer's alone: none of them is an id of a
    /// session that began here, or of a third issuer's.
    Issuer,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The session it is for.
    pub id: SessionId,
    /// Its kind.
    pub kind: TokenKind,
    /// Who made it.
    pub maker: Maker,
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

impl Issued {
    /// The `iat` of a JWT made elsewhere, if it says one.
    pub(crate) fn iat(self) -> Option<UnixMillis> {
        if let Self::InSecondOf(iat) = self { Some(iat) } else { None }
    }

    /// Whether it is a JWT made elsewhere that says a time of issue later than `time` (RFC 7519 section 4.1.6). Of a token
    /// that says its session, that decides, and not what the clock said at the time.
    #[must_use]
    pub fn is_after(self, time: UnixMillis) -> bool {
        matches!(self, Self::InSecondOf(iat) if iat > time)
    }
}

/// What was found out about a token without looking at the clock: all there is to it but the times it hangs on.
pub(crate) struct Checked {
    pub(crate) verified: Verified,
    /// The `nbf` of a JWT.
    pub(crate) not_before: Option<UnixMillis>,
    /// What else is wrong with it. It counts only if the times are right, which come first.
    pub(crate) fault: Option<Cause>,
}

impl Checked {
    /// The answer at the time `now`. Whether an `iat` may be ahead is for who knows the session, if there is one.
    pub(crate) fn at(&self, policy: &TokenPolicy, now: UnixMillis) -> Result<Verified, Cause> {
        let leeway = policy.leeway_millis();
        let (now, soon) = (now.get(), now.get().saturating_add(leeway));
        if self.verified.own_expiry().is_some_and(|time| now >= time.get().saturating_add(leeway)) {
            return Err(Cause::TokenExpiredExp);
        }
        if self.not_before.is_some_and(|time| time.get() > soon) {
            return Err(Cause::NotYetValidNbf);
        }
        self.at_any_time()
    }

    /// The answer without a look at the times.
    pub(crate) fn at_any_time(&self) -> Result<Verified, Cause> {
        match self.fault {
            Some(cause) => Err(cause),
            None => Ok(self.verified.clone()),
        }
    }
}
