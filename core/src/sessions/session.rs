//! One session, the tombstone that an ended one leaves, and the lifetimes of their tokens.

use std::borrow::Cow;
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use super::cutoff::Cutoff;
use super::data::Data;
use crate::{Reason, SessionId, Subject, UnixMillis};

/// The longest user-agent text that is stored, in bytes.
pub const MAX_AGENT_BYTES: usize = 512;

/// A user agent as it is stored. It only informs, so none is refused: control characters are left out, bytes that are no
/// UTF-8 become U+FFFD, and what is longer than [`MAX_AGENT_BYTES`] is cut after the last whole character.
#[must_use]
pub fn agent_text(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.len() <= MAX_AGENT_BYTES
        && let Ok(text) = std::str::from_utf8(bytes)
        && !holds_control(text)
    {
        return Cow::Borrowed(text);
    }
    let letters = bytes.utf8_chunks().flat_map(|chunk| {
        let lost = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        chunk.valid().chars().chain(lost)
    });
    let mut agent = String::new();
    for letter in letters.filter(|letter| !letter.is_control()) {
        if agent.len() + letter.len_utf8() > MAX_AGENT_BYTES {
            break;
        }
        agent.push(letter);
    }
    Cow::Owned(agent)
}

/// Whether a control character is in the text. Most are ASCII, which takes a fifth of the time.
fn holds_control(text: &str) -> bool {
    if !text.is_ascii() {
        return text.chars().any(char::is_control);
    }
    // All of it, which the compiler makes a vector of, where `any` would stop.
    text.bytes().fold(false, |found, byte| found | byte.is_ascii_control())
}

/// Everything there is to know of one session. `A` is how its user agent is given: [`AgentId`](super::AgentId) in memory, text elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session<'a, A> {
    /// Its id.
    pub id: SessionId,
    /// When it began.
    pub created_at: UnixMillis,
    /// Its absolute deadline.
    pub expires_at: UnixMillis,
    /// Its last use, as replicas know it.
    pub(crate) last_seen_replicated: UnixMillis,
    /// Milliseconds from `last_seen_replicated` to its last use on this server.
    pub(crate) unreplicated_ms: u32,
    /// When the last token issued for it expires, without leeway.
    pub token_until: UnixMillis,
    /// Its idle timeout in seconds; 0 for none.
    pub idle_secs: u32,
    /// Where it was begun from.
    pub ip: Option<IpAddr>,
    /// The user agent it was begun with.
    pub agent: Option<A>,
    /// Of a session under an id from outside: the earliest `iat` of the JWTs made elsewhere that it accepts. It is fixed
    /// when the session begins. `None` for an id made here, which nobody can have used before.
    pub accepts_from: Option<UnixMillis>,
    /// Its refresh token, if it has one.
    pub refresh: Option<Refresh>,
    /// The device it is bound to.
    pub device: Option<Device>,
    /// What kind of tokens it has.
    pub tokens: TokenFormat,
    /// The lifetime of its access tokens in seconds, if it has one of its own.
    pub token_ttl: Option<u32>,
    /// The caller's claims that each of its JWTs carries, a JSON object; empty for none.
    pub claims: Cow<'a, str>,
    /// The application's fields.
    pub data: Data<'a>,
    /// How often the fields have been changed since the session began; 0 if it never had any.
    pub version: u64,
    /// How strongly the user has signed in: an Authenticator Assurance Level of NIST SP 800-63B, 1 to 3; 0 if that was not
    /// said.
    pub level: u8,
    /// When the user signed in again, if not when the session began.
    pub(crate) signed_in_again_at: Option<UnixMillis>,
}

/// The state of a session's refresh token. The token itself is not kept: it is a code over id and generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// How often it was rotated.
    pub generation: u32,
    /// When it was rotated last, or first made.
    pub rotated_at: UnixMillis,
    /// When the current one expires.
    pub expires_at: UnixMillis,
    /// The lifetime of each, in seconds.
    pub ttl_secs: u32,
}

/// A digest of a device's fingerprint: the first half of the SHA-256 of the user and the fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device(pub(crate) [u8; 16]);

impl Device {
    /// The digest of `fingerprint`, whatever an application takes for that, for a device of `user`.
    #[must_use]
    pub fn of(user: Subject<'_>, fingerprint: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"redis-session device");
        // A user has no zero byte, so none can be told as another with a longer fingerprint.
        hash.update([0]);
        hash.update(user.as_str());
        hash.update([0]);
        hash.update(fingerprint);
        let digest: [u8; 32] = hash.finalize().into();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }
}

/// What kind of tokens name a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenFormat {
    /// JWTs.
    #[default]
    Jwt,
    /// Opaque session tokens.
    Opaque,
    /// None that were made here.
    None,
}

impl TokenFormat {
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Jwt => 0,
            Self::Opaque => 1,
            Self::None => 2,
        }
    }

    pub(crate) fn from_code(code: u16) -> Option<Self> {
        [Self::Jwt, Self::Opaque, Self::None].into_iter().find(|form| form.code() == code)
    }
}

/// What remains of an ended session, or of a denied JWT: why it ended, until the last token for it has expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The session's id.
    pub id: SessionId,
    /// Why it ended.
    pub reason: EndReason,
    /// What it ends: every credential of its id up to here.
    pub ended: Cutoff,
    /// When the last of these credentials has expired.
    pub until: UnixMillis,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Revoked by name.
    Revoked,
    /// Revoked with all of the user's sessions.
    UserRevoked,
    /// Ended to make room for a newer one.
    Evicted,
    /// Its refresh token was used twice.
    Reused,
    /// It reached its absolute deadline.
    Expired,
    /// It was not used for its idle timeout.
    Idle,
}

impl EndReason {
    pub(crate) const ALL: [Self; 6] =
        [Self::Revoked, Self::UserRevoked, Self::Evicted, Self::Reused, Self::Expired, Self::Idle];

    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Revoked => 0,
            Self::UserRevoked => 1,
            Self::Evicted => 2,
            Self::Reused => 3,
            Self::Expired => 4,
            Self::Idle => 5,
        }
    }

    pub(crate) fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

impl From<EndReason> for Reason {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Revoked => Self::Revoked,
            EndReason::UserRevoked => Self::UserRevoked,
            EndReason::Evicted => Self::Evicted,
            EndReason::Reused => Self::Reused,
            EndReason::Expired => Self::Expired,
            EndReason::Idle => Self::Idle,
        }
    }
}
impl<'a, A> Session<'a, A> {
    /// The address that it began at, as `Display` writes it. Of IPv4, which most are, that takes a third of its instructions.
    #[must_use]
    pub fn ip_text(&self) -> Option<String> {
        let ip = match self.ip? {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(ip) => return Some(ip.to_string()),
        };
        let mut text = String::with_capacity(15);
        for (at, octet) in ip.octets().into_iter().enumerate() {
            if at > 0 {
                text.push('.');
            }
            text.push_str(itoa::Buffer::new().format(octet));
        }
        Some(text)
    }

    /// Its last use on this server.
    #[must_use]
    pub fn last_seen_at(&self) -> UnixMillis {
        self.last_seen_replicated.saturating_add(u64::from(self.unreplicated_ms))
    }

    /// When it dies unless it is used before, or `None` if it has no idle timeout.
    #[must_use]
    pub fn idle_expires_at(&self) -> Option<UnixMillis> {
        idle_deadline(self.last_seen_at(), self.idle_secs)
    }

    /// The nearer of its two deadlines.
    #[must_use]
    pub fn deadline(&self) -> UnixMillis {
        self.idle_expires_at().map_or(self.expires_at, |idle| idle.min(self.expires_at))
    }

    /// The same, borrowing nothing.
    pub(crate) fn into_owned<'b>(self) -> Session<'b, A> {
        Session { claims: Cow::Owned(self.claims.into_owned()), data: self.data.into_owned(), ..self }
    }

    pub(crate) fn with_agent<B>(self, agent: Option<B>) -> Session<'a, B> {
        Session {
            id: self.id,
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_seen_replicated: self.last_seen_replicated,
            unreplicated_ms: self.unreplicated_ms,
            token_until: self.token_until,
            idle_secs: self.idle_secs,
            ip: self.ip,
            agent,
            accepts_from: self.accepts_from,
            refresh: self.refresh,
            device: self.device,
            tokens: self.tokens,
            token_ttl: self.token_ttl,
            claims: self.claims,
            data: self.data,
            version: self.version,
            level: self.level,
            signed_in_again_at: self.signed_in_again_at,
        }
    }
}

impl<A> Session<'_, A> {
    /// When the user signed in last: as the session began, or when it was regenerated.
    #[must_use]
    pub fn auth_time(&self) -> UnixMillis {
        self.signed_in_again_at.unwrap_or(self.created_at)
    }

    /// When an access token issued for it at `issued_at` expires: after its lifetime (`default_secs` unless the session
    /// has one of its own), but not after the session. In whole seconds, as a JWT says it, rounded down. An opaque
    /// token lives as long as the session; `None` for a session without tokens of ours.
    #[must_use]
    pub fn token_expires_at(&self, issued_at: UnixMillis, default_secs: u64) -> Option<UnixMillis> {
        match self.tokens {
            TokenFormat::None => None,
            TokenFormat::Opaque => Some(self.expires_at),
            TokenFormat::Jwt => {
                let secs = self.token_ttl.map_or(default_secs, u64::from);
                let expires_at = issued_at.saturating_add(secs.saturating_mul(1000)).min(self.expires_at);
                UnixMillis::from_secs(expires_at.as_secs())
            }
        }
    }
}
/// When a session that was last used then dies of not being used.
pub(crate) fn idle_deadline(last_seen: UnixMillis, idle_secs: u32) -> Option<UnixMillis> {
    (idle_secs > 0).then(|| last_seen.saturating_add(u64::from(idle_secs) * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_cut_and_cleaned_and_never_refused() {
        for (given, stored) in [
            (&b""[..], ""),
            (b"Firefox on Linux", "Firefox on Linux"),
            (b"a\0b\r\nc\x7f\xc2\x9b", "abc"),
            (b"\xffa\xe2\x82", "\u{fffd}a\u{fffd}"),
            (&[b'a'; 513], &"a".repeat(512)),
            (format!("{}\u{20ac}", "a".repeat(510)).as_bytes(), &"a".repeat(510)),
            (format!("{}\u{20ac}b", "a".repeat(509)).as_bytes(), &format!("{}\u{20ac}", "a".repeat(509))),
            (format!("\n{}", "a".repeat(512)).as_bytes(), &"a".repeat(512)),
        ] {
            assert_eq!(agent_text(given), stored, "{}", given.escape_ascii());
        }
    }
}
