//! Why a token is not good.

use std::fmt;

use serde::de::{Deserialize, Deserializer};

/// Why a token is not good, in the order in which the server checks. The server replies with [`Reason::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Not a token: wrong parts, encoding, JSON, claim types or size (RFC 7519 section 7.2).
    Malformed,
    /// The header's `alg` is not supported, or is not that of the key (RFC 8725 section 3.1).
    Algorithm,
    /// No key has the token's `kid` (RFC 7515 section 4.1.4).
    UnknownKey,
    /// The signature or MAC does not match (RFC 7515 section 5.2).
    Signature,
    /// The wrong kind of token for this command, or a JWT with another `typ` than configured (RFC 8725 section 3.11).
    Type,
    /// `exp` is now or earlier (RFC 7519 section 4.1.4).
    TokenExpired,
    /// `nbf` or `iat` is in the future (RFC 7519 sections 4.1.5 and 4.1.6).
    NotYetValid,
    /// `iss` is not the configured issuer (RFC 7519 section 4.1.1).
    Issuer,
    /// `aud` does not contain the requested audience (RFC 7519 section 4.1.3).
    Audience,
    /// `sub` is not the key's user (RFC 7519 section 4.1.2).
    Subject,
    /// No such session, and no record of one.
    Unknown,
    /// Past the session's absolute deadline.
    Expired,
    /// Not used for longer than the session's idle timeout.
    Idle,
    /// Revoked by its id or a token.
    Revoked,
    /// Revoked with all sessions of the user, or older than `session.not-before`.
    UserRevoked,
    /// Ended to make room for a newer session of the same user.
    Evicted,
    /// A refresh token was used twice, so the session was ended as stolen (RFC 9700 section 4.14.2).
    Reused,
    /// Sent by another device than the one that the session is bound to.
    Device,
    /// The user has not signed in as strongly as [`ValidateOptions::level`](crate::ValidateOptions::level) demands: let
    /// them sign in again, with another factor.
    Level,
    /// The user signed in longer ago than [`ValidateOptions::max_age`](crate::ValidateOptions::max_age) allows: let
    /// them sign in again.
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

/// A token that is not good, and why. Return it as an error where a session is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inactive {
    /// Why.
    pub reason: InactiveReason,
}

impl<R: Into<InactiveReason>> From<R> for Inactive {
    fn from(reason: R) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for Inactive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no active session: {}", self.reason)
    }
}

impl std::error::Error for Inactive {}

/// Why a token is not good: one of the [`Reason`]s, or one that a newer server has added.
///
/// ```
/// use redis_session::{InactiveReason, Reason};
///
/// fn message(reason: &InactiveReason) -> &'static str {
///     match reason.known() {
///         Some(Reason::UserRevoked) => "You have logged out on all devices.",
///         Some(Reason::Evicted) => "You have logged in on too many other devices.",
///         _ => "Please log in again.",
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InactiveReason {
    /// A reason that this version knows.
    Known(Reason),
    /// Another reason, by its name.
    Other(String),
}

impl InactiveReason {
    /// The reason with this name, such as `token_expired`.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Reason::from_name(name).map_or_else(|| Self::Other(name.to_owned()), Self::Known)
    }

    /// The reason, if this version knows it.
    #[must_use]
    pub const fn known(&self) -> Option<Reason> {
        match self {
            Self::Known(reason) => Some(*reason),
            Self::Other(_) => None,
        }
    }

    /// The server's name for it, such as `token_expired`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(reason) => reason.as_str(),
            Self::Other(name) => name,
        }
    }

    /// Whether the token is genuine although it is not good: a key of the server has signed it, so you can trust its
    /// user's name.
    #[must_use]
    pub fn is_of_genuine_token(&self) -> bool {
        use Reason::{Algorithm, Malformed, Signature, UnknownKey};
        self.known().is_some_and(|reason| !matches!(reason, Malformed | Algorithm | UnknownKey | Signature))
    }
}

impl From<Reason> for InactiveReason {
    fn from(reason: Reason) -> Self {
        Self::Known(reason)
    }
}

impl PartialEq<Reason> for InactiveReason {
    fn eq(&self, other: &Reason) -> bool {
        self.known() == Some(*other)
    }
}

impl fmt::Display for InactiveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for InactiveReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::from_name(&name))
    }
}
