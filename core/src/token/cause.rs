//! What exactly is wrong with a credential, for who runs the server.
//!
//! Applications get a [`Reason`], of a short list that stays. One reason can have several causes. These are counted and
//! logged, so that an operator sees which it is without seeing a token.

use std::fmt;

use crate::Reason;

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident: $reason:ident = $name:literal;)*) => {
        /// Why a credential was refused, more exactly than its [`Reason`] says.
        ///
        /// ```
        /// use redis_session_core::Reason;
        /// use redis_session_core::token::Cause;
        /// assert_eq!(Cause::MalformedExpMissing.reason(), Reason::Malformed);
        /// assert_eq!(Cause::MalformedExpMissing.as_str(), "malformed_exp_missing");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Cause {
            $($(#[$doc])* $variant,)*
        }

        impl Cause {
            /// All causes, by reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What an application is told.
            #[must_use]
            pub const fn reason(self) -> Reason {
                match self {
                    $(Self::$variant => Reason::$reason,)*
                }
            }

            /// The name in figures and logs. It begins with the reason's, and is the reason's if that has one cause alone.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

causes! {
    /// Longer than [`TokenPolicy::max_token_bytes`](super::TokenPolicy::max_token_bytes).
    MalformedTooLong: Malformed = "malformed_too_long";
    /// Not three parts with something in each.
    MalformedParts: Malformed = "malformed_parts";
    /// A part is not base64url without padding (RFC 7515 section 2).
    MalformedBase64: Malformed = "malformed_base64";
    /// The header is no JSON object, or its `alg`, `kid` or `typ` is no string.
    MalformedHeader: Malformed = "malformed_header";
    /// The header names an extension, `crit` or `b64` (RFC 7515 section 4.1.11).
    MalformedCrit: Malformed = "malformed_crit";
    /// The header has no `alg`.
    MalformedAlgMissing: Malformed = "malformed_alg_missing";
    /// The payload is no JSON object.
    MalformedPayload: Malformed = "malformed_payload";
    /// An object in the header or payload has a member twice.
    MalformedDuplicate: Malformed = "malformed_duplicate";
    /// `iss`, `sub`, `aud`, `jti` or `sid` is no string (`aud`: nor an array of strings; `sub`: nor a whole number;
    /// RFC 7519 section 4.1).
    MalformedClaim: Malformed = "malformed_claim";
    /// `exp`, `nbf` or `iat` is no number from 0 to 2^48 milliseconds (RFC 7519 section 2).
    MalformedDate: Malformed = "malformed_date";
    /// There is no `exp`.
    MalformedExpMissing: Malformed = "malformed_exp_missing";
    /// `sid`, or `jti` in its place, is no session id: it is empty, has control characters, or looks like a token.
    MalformedSessionId: Malformed = "malformed_session_id";
    /// An opaque or refresh token that is cut, or has something of another form in it.
    MalformedOpaque: Malformed = "malformed_opaque";
    /// `alg` is `none`, or another that no key can have here.
    AlgorithmUnknown: Algorithm = "algorithm_unknown";
    /// The keys with this `kid` are for other algorithms.
    AlgorithmOfKey: Algorithm = "algorithm_of_key";
    /// The issuer's entry does not allow this `alg`.
    AlgorithmNotAllowed: Algorithm = "algorithm_not_allowed";
    /// No key has this `kid`.
    UnknownKeyKid: UnknownKey = "unknown_key_kid";
    /// The token names no `kid`, and no key is for its `alg`.
    UnknownKeyAlgorithm: UnknownKey = "unknown_key_algorithm";
    /// The signature or code does not match.
    Signature: Signature = "signature";
    /// The header's `typ` is not the one that is demanded.
    TypeHeader: Type = "type_header";
    /// A refresh token in the place of an access token.
    TypeRefresh: Type = "type_refresh";
    /// Another token in the place of a refresh token.
    TypeAccess: Type = "type_access";
    /// An opaque token in the place of a JWT.
    TypeOpaque: Type = "type_opaque";
    /// A token that was not made here, for a command that makes new tokens.
    TypeNotOurs: Type = "type_not_ours";
    /// `exp` is now or earlier.
    TokenExpiredExp: TokenExpired = "token_expired_exp";
    /// The token has outlived what it may here: the horizon of a JWT from elsewhere, or a refresh token's time.
    TokenExpiredHere: TokenExpired = "token_expired_here";
    /// `nbf` is ahead.
    NotYetValidNbf: NotYetValid = "not_yet_valid_nbf";
    /// `iat` is ahead.
    NotYetValidIat: NotYetValid = "not_yet_valid_iat";
    /// No key is known that may sign for this `iss`.
    IssuerUnknown: Issuer = "issuer_unknown";
    /// It is signed by a key of the own ring, and its `iss` is not the own issuer's.
    IssuerOther: Issuer = "issuer_other";
    /// `aud` does not hold the audience that is demanded.
    Audience: Audience = "audience";
    /// `sub` is another user.
    Subject: Subject = "subject";
    /// No such session.
    Unknown: Unknown = "unknown";
    /// The session has reached its absolute deadline.
    Expired: Expired = "expired";
    /// The session was idle for too long.
    Idle: Idle = "idle";
    /// Revoked by name.
    Revoked: Revoked = "revoked";
    /// Revoked with all.
    UserRevoked: UserRevoked = "user_revoked";
    /// Ended to make room.
    Evicted: Evicted = "evicted";
    /// A refresh token was used twice.
    Reused: Reused = "reused";
    /// The session is bound to another device.
    Device: Device = "device";
    /// The user has not signed in as strongly as is asked.
    Level: Level = "level";
    /// The user signed in longer ago than is asked.
    Stale: Stale = "stale";
}

impl From<Reason> for Cause {
    /// The cause where it is not the token by itself that is refused, but what a user's sessions say of it.
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Malformed => Self::MalformedSessionId,
            Reason::Algorithm => Self::AlgorithmOfKey,
            Reason::UnknownKey => Self::UnknownKeyKid,
            Reason::Signature => Self::Signature,
            Reason::Type => Self::TypeNotOurs,
            Reason::TokenExpired => Self::TokenExpiredHere,
            Reason::NotYetValid => Self::NotYetValidIat,
            Reason::Issuer => Self::IssuerOther,
            Reason::Audience => Self::Audience,
            Reason::Subject => Self::Subject,
            Reason::Unknown => Self::Unknown,
            Reason::Expired => Self::Expired,
            Reason::Idle => Self::Idle,
            Reason::Revoked => Self::Revoked,
            Reason::UserRevoked => Self::UserRevoked,
            Reason::Evicted => Self::Evicted,
            Reason::Reused => Self::Reused,
            Reason::Device => Self::Device,
            Reason::Level => Self::Level,
            Reason::Stale => Self::Stale,
        }
    }
}

impl From<Cause> for Reason {
    fn from(cause: Cause) -> Self {
        cause.reason()
    }
}

impl Cause {
    /// Whether somebody should look into it: a token that is wrong by itself. That tokens expire and sessions end is as it
    /// should be.
    #[must_use]
    pub fn is_fault(self) -> bool {
        self.reason() <= Reason::Subject && self.reason() != Reason::TokenExpired
    }

    /// Whether its reason has other causes.
    #[must_use]
    pub fn is_one_of_several(self) -> bool {
        self.as_str() != self.reason().as_str()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_cause_begins_with_its_reason_and_is_its_own() {
        for (at, cause) in Cause::ALL.iter().enumerate() {
            let (name, reason) = (cause.as_str(), cause.reason().as_str());
            let same_reason = Cause::ALL.iter().filter(|other| other.reason() == cause.reason()).count();
            assert_eq!(cause.is_one_of_several(), same_reason > 1, "{cause}");
            assert!(name == reason || name.starts_with(&format!("{reason}_")), "{cause}");
            assert!(Cause::ALL.iter().take(at).all(|other| other.as_str() != name), "{cause}");
        }
    }

    #[test]
    fn every_reason_has_a_cause() {
        for reason in Reason::ALL {
            assert_eq!(Cause::from(reason).reason(), reason);
        }
    }
}
