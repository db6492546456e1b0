//! What a decision is measured by, and what a command brings along: times, limits, lifetimes, and whom it is about.

use std::net::IpAddr;

use super::cutoff::{Cutoff, Everyone};
use super::data::{Data, DataLimit};
use super::session::{Device, TokenFormat};
use crate::token::{Issued, RefreshToken, TokenKind, Verified};
use crate::{SessionId, Subject, UnixMillis};

/// The largest leeway that a server may be set to, in milliseconds.
pub const MAX_LEEWAY: u64 = 300_000;

/// For how long an end is remembered after the last token that it ends has expired, in milliseconds.
///
/// A leeway that is set later brings none of these tokens back, and neither does a failover to a server whose clock is
/// behind by as much.
pub const REMEMBERED: u64 = 2 * MAX_LEEWAY;

/// What every decision is measured by: the time, and the settings in force.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The time on this server's clock.
    pub now: UnixMillis,
    /// The latest time that this server has seen: `now`, unless its clock has stepped back. It never steps back itself, so
    /// nothing that has ended comes back with an earlier clock.
    pub latest: UnixMillis,
    /// Milliseconds by which the clocks of servers and issuers may differ, at most [`MAX_LEEWAY`]: the most that this
    /// server was set to since it started, for tokens that a wider leeway has let in must be ended as well.
    pub leeway: u64,
    /// Milliseconds by which an `iat` may be ahead: the leeway as it is set now.
    pub ahead: u64,
    /// Milliseconds for which a JWT made elsewhere is good after its `iat`, at most. Revocations are remembered as long.
    pub horizon: u64,
    /// `session.not-before`, the only cutoff that can be taken back.
    pub not_before: Cutoff,
    /// SESSION.REVOKEALL.
    pub revoked_before: Cutoff,
    /// Seconds that an access token lives, unless its session says otherwise.
    pub token_secs: u64,
    /// Milliseconds in which a refresh token that has just been used may be used again.
    pub grace: u64,
    /// Milliseconds in which a refresh token that has been used may be used again from the device that its session is bound
    /// to, as long as nothing of what it was exchanged for has been used.
    pub recovery: u64,
    /// When this server was down last. Neither of the two spans above runs meanwhile.
    pub outage: Outage,
    /// The most live sessions of a user; at least 1.
    pub sessions: u32,
    /// What happens to one more.
    pub policy: LimitPolicy,
    /// The most dead sessions of a user that are remembered.
    pub tombstones: usize,
    /// Milliseconds by which the last use may be later than replicas know it.
    pub touch_granularity: u64,
    /// How much data a session may have.
    pub data: DataLimit,
}

impl Default for Rules {
    /// The default settings, at the Unix epoch.
    fn default() -> Self {
        Self {
            now: UnixMillis::ZERO,
            latest: UnixMillis::ZERO,
            leeway: 0,
            ahead: 0,
            horizon: 2_592_000_000,
            not_before: Cutoff::default(),
            revoked_before: Cutoff::default(),
            token_secs: 3600,
            grace: 10_000,
            recovery: 0,
            outage: Outage::default(),
            sessions: 100,
            policy: LimitPolicy::Evict,
            tombstones: 200,
            touch_granularity: 60_000,
            data: DataLimit { bytes: 65_536, fields: 1024 },
        }
    }
}

impl Rules {
    /// The same rules at another time.
    #[must_use]
    pub fn at(self, now: UnixMillis) -> Self {
        Self { now, latest: self.latest.max(now), ..self }
    }

    /// The cutoff that ends the sessions and tokens of all users that began before `before`, or until now. A cutoff never
    /// gets earlier by that.
    #[must_use]
    pub fn revoke_everyone(&self, before: Option<UnixMillis>) -> Cutoff {
        let before = before.map(|before| UnixMillis::saturating_from(before.as_i64() - 1));
        Cutoff::at(before.unwrap_or(self.latest), self.leeway_of_everyone()).max(self.revoked_before)
    }

    /// The cutoff of all users without what of it lies in the future. Everything until now stays dead.
    #[must_use]
    pub fn readmit(&self) -> Cutoff {
        self.revoked_before.min(Cutoff::at(self.latest, self.leeway_of_everyone()))
    }

    /// The cutoff of all users, as files and replicas get it.
    #[must_use]
    pub fn everyone(&self) -> Everyone {
        Everyone { cutoff: self.revoked_before, seen: self.revoked_before.began.min(self.latest) }
    }

    /// The widest leeway that the cutoff of all users was ever set with. A restart forgets that it was so wide.
    fn leeway_of_everyone(&self) -> u64 {
        let Cutoff { began, iat } = self.revoked_before;
        self.leeway.max(iat.saturating_since(began))
    }

    /// The same rules without what can be taken back: `session.not-before`, and what of SESSION.REVOKEALL lies ahead.
    #[must_use]
    pub(super) fn lasting(&self) -> Self {
        Self { not_before: Cutoff::default(), revoked_before: self.readmit(), ..*self }
    }

    /// When a span of so many milliseconds is over that has begun at `start`.
    #[must_use]
    pub(super) fn end_of_span(&self, start: UnixMillis, millis: u64) -> UnixMillis {
        let Outage { from, until } = self.outage;
        let down = if start <= from { until.saturating_since(from) } else { 0 };
        start.saturating_add(down).saturating_add(millis)
    }

    /// The cutoffs of the whole server together.
    #[must_use]
    pub fn server_cutoff(&self) -> Cutoff {
        self.not_before.max(self.revoked_before)
    }
}

/// A time in which a server was down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// The latest time that what it has loaded tells of.
    pub from: UnixMillis,
    /// When it had loaded it.
    pub until: UnixMillis,
}

/// What happens when a user is at the limit and logs in once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPolicy {
    /// The oldest session makes room.
    Evict,
    /// The new one is refused.
    Reject,
}

/// A session about to begin.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// Its id.
    pub id: SessionId,
    /// Where the id comes from.
    pub source: IdSource,
    /// Its absolute deadline.
    pub expires_at: UnixMillis,
    /// Its idle timeout in seconds; 0 for none.
    pub idle_secs: u32,
    /// Where from.
    pub ip: Option<IpAddr>,
    /// With which user agent; at most [`MAX_AGENT_BYTES`](super::MAX_AGENT_BYTES) bytes.
    pub agent: Option<&'a str>,
    /// The device to bind it to.
    pub device: Option<Device>,
    /// What kind of tokens it has.
    pub tokens: TokenFormat,
    /// The lifetime of its access tokens in seconds, if it has one of its own.
    pub token_ttl: Option<u32>,
    /// The lifetime of its refresh tokens in seconds, if it has such.
    pub refresh_secs: Option<u32>,
    /// The caller's claims that each of its JWTs carries, a JSON object; empty for none.
    pub claims: &'a str,
    /// How strongly the user has signed in: an Authenticator Assurance Level, 1 to 3; 0 if that is not said.
    pub level: u8,
    /// The application's fields.
    pub data: Data<'a>,
}

/// What a session is to be that gets another id. What is not given stays as it is.
#[derive(Clone, Debug)]
pub struct Renewal<'a> {
    /// The other id, made here.
    pub id: SessionId,
    /// Its absolute deadline.
    pub expires_at: Option<UnixMillis>,
    /// The caller's claims, a JSON object; empty for none.
    pub claims: Option<&'a str>,
    /// How strongly the user has signed in now.
    pub level: Option<u8>,
    /// Where from.
    pub ip: Option<IpAddr>,
    /// With which user agent.
    pub agent: Option<&'a str>,
}

impl Renewal<'_> {
    /// Another id, and all else as it is.
    #[must_use]
    pub fn of(id: SessionId) -> Self {
        Self { id, expires_at: None, claims: None, level: None, ip: None, agent: None }
    }
}

/// Where the id of a session comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdSource {
    /// It was made here, at random: nobody can have used it before.
    Random,
    /// An application chose it, and may choose it again.
    Caller,
    /// A JWT made elsewhere names it. The session begins with that JWT.
    Token(Issued),
}

/// Where a refresh token comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// Where from.
    pub ip: Option<IpAddr>,
    /// With which user agent.
    pub agent: Option<&'a str>,
    /// From which device.
    pub device: Option<Device>,
}

/// What somebody presents for a session: its id, or a credential that was verified by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The session's id.
    pub id: SessionId,
    /// The kind of the credential; `None` for a bare id.
    pub kind: Option<TokenKind>,
    /// What it tells of the time when it was issued.
    pub issued: Issued,
    /// When it expires by itself, without leeway, if it says so.
    pub expires_at: Option<UnixMillis>,
}

impl Presented {
    /// A bare id.
    #[must_use]
    pub fn id(id: SessionId) -> Self {
        Self { id, kind: None, issued: Issued::Unsaid, expires_at: None }
    }

    /// When it expires by itself, whatever becomes of its session: a JWT's `exp`.
    #[must_use]
    pub fn own_expiry(&self) -> Option<UnixMillis> {
        self.expires_at.filter(|_| self.kind == Some(TokenKind::Jwt))
    }
}

impl From<Verified> for Presented {
    fn from(verified: Verified) -> Self {
        let Verified { id, kind, issued, expires_at, .. } = verified;
        Self { id, kind: Some(kind), issued, expires_at }
    }
}

impl From<RefreshToken> for Presented {
    fn from(token: RefreshToken) -> Self {
        Self {
            kind: Some(TokenKind::Refresh),
            issued: Issued::ForSessionOf(token.session_began_at),
            ..Self::id(token.id)
        }
    }
}

/// What a check asks for beside a live session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Check<'a> {
    /// Whether a JWT is good without a session here, unless it was ended.
    pub stateless: bool,
    /// The device that it comes from, if that is known.
    pub device: Option<Fingerprint<'a>>,
    /// How strongly the user must have signed in; 0 for in any way.
    pub level: u8,
    /// For how many milliseconds a sign-in is recent enough, if it must be recent.
    pub max_age: Option<u64>,
}

/// What an application knows a device of a user by.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprint<'a> {
    /// The user.
    pub user: Subject<'a>,
    /// Any bytes that tell the device from others.
    pub bytes: &'a [u8],
}
