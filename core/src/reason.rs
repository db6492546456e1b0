//! Why a credential or its session is not active.

use std::fmt;

/// Why a check answered `active` false, in the order in which the checks are made.
///
/// The names are part of the protocol: `SESSION.VALIDATE` replies with [`Reason::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Not a token: wrong parts, encoding, JSON, claim types or size (RFC 7519 section 7.2).
    Malformed,
    /// The header's `alg` is none of ours or is not that of the key (RFC 8725 section 3.1).
    Algorithm,
    /// No key with the token's `kid` (RFC 7515 section 4.1.4).
    UnknownKey,
    /// The signature or MAC does not match (RFC 7515 section 5.2).
    Signature,
    /// Another kind of token than this command takes, or a JWT of another `typ` than the policy's (RFC 8725 section
    /// 3.11).
    Type,
    /// `exp` is now or earlier (RFC 7519 section 4.1.4).
    TokenExpired,
    /// `nbf` or `iat` is in the future (RFC 7519 sections 4.1.5 and 4.1.6).
    NotYetValid,
    /// `iss` is not the configured issuer (RFC 7519 section 4.1.1).
    Issuer,
    /// `aud` does not hold the audience asked for (RFC 7519 section 4.1.3).
    Audience,
    /// `sub` is not the user that the key is for (RFC 7519 section 4.1.2).
    Subject,
    /// No such session, and no trace of one.
    Unknown,
    /// Past the session's absolute deadline.
    Expired,
    /// Not used for longer than the session's idle timeout.
    Idle,
    /// Revoked by name.
    Revoked,
    /// Revoked with all of the user's sessions, or older than `session.not-before`.
    UserRevoked,
    /// Ended to make room for a newer session of the same user.
    Evicted,
    /// A refresh token was used twice: the session was ended as stolen (RFC 9700 section 4.14.2).
    Reused,
    /// Offered by another device than the one the session is bound to.
    Device,
    /// The user has not signed in as strongly as is asked.
    Level,
    /// The user signed in longer ago than is asked.
    Stale,
}

impl Reason {
    /// Every reason, in checking order.
    pub const ALL: [Self; 20] = [
        Self::Malformed,
        Self::Algorithm,
        Self::UnknownKey,
        Self::Signature,
        Self::Type,
        Self::TokenExpired,
        Self::NotYetValid,
        Self::Issuer,
        Self::Audience,
        Self::Subject,
        Self::Unknown,
        Self::Expired,
        Self::Idle,
        Self::Revoked,
        Self::UserRevoked,
        Self::Evicted,
        Self::Reused,
        Self::Device,
        Self::Level,
        Self::Stale,
    ];

    /// The name used in replies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Type => "type",
            Self::TokenExpired => "token_expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Revoked => "revoked",
            Self::UserRevoked => "user_revoked",
            Self::Evicted => "evicted",
            Self::Reused => "reused",
            Self::Device => "device",
            Self::Level => "level",
            Self::Stale => "stale",
        }
    }

    /// The reason with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own_and_keeps_the_checking_order() {
        for pair in Reason::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.as_str()), Some(reason));
        }
    }
}
