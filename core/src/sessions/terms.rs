//! What a command brings along: the clock, the limits and lifetimes in force, and whom it is about.

use std::borrow::Cow;
use std::net::IpAddr;

use super::Alive;
use super::data::Data;
use super::record::RecordRef;
use super::session::{Device, Refresh, Session, TokenForm, TraceReason};
use crate::token::Issued;
use crate::{Reason, SessionId, UnixMillis};

/// What everything alive is measured by.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The time.
    pub now: UnixMillis,
    /// `session.not-before`: what began earlier is dead.
    pub not_before: UnixMillis,
}

/// How many sessions a user may have, and how many traces of dead ones are kept.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The most live sessions; at least 1.
    pub sessions: u32,
    /// What happens to one more.
    pub policy: LimitPolicy,
    /// The most dead sessions that are remembered.
    pub traces: usize,
}

/// What happens when a user is at the limit and logs in once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPolicy {
    /// The oldest session makes room.
    Evict,
    /// The new one is refused.
    Reject,
}

/// How long tokens live.
#[derive(Clone, Copy, Debug)]
pub struct TokenRules {
    /// Seconds that an access token lives, unless its session says otherwise.
    pub token_secs: u64,
    /// Milliseconds that a JWT is taken for good past its `exp`.
    pub leeway: u64,
    /// Milliseconds in which a refresh token that has just been used may be used again.
    pub grace: u64,
}

/// A session about to begin.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// Its id.
    pub id: SessionId,
    /// Whether the id comes from outside, where other tokens may be made for it and it may be chosen again.
    pub brought: bool,
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
    pub tokens: TokenForm,
    /// The lifetime of its access tokens in seconds, if it has one of its own.
    pub token_ttl: Option<u32>,
    /// The lifetime of its refresh tokens in seconds, if it has such.
    pub refresh_secs: Option<u32>,
    /// The caller's claims that each of its JWTs carries, a JSON object; empty for none.
    pub claims: &'a str,
    /// The application's fields.
    pub data: Data<'a>,
}

/// Who offers a refresh token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// Where from.
    pub ip: Option<IpAddr>,
    /// With which user agent.
    pub agent: Option<&'a str>,
    /// From which device.
    pub device: Option<Device>,
}

/// A session to revoke or to regenerate, by its id or by a token of it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The session's id.
    pub id: SessionId,
    /// What is known of the time it was issued, if it is a token.
    pub issued: Issued,
    /// Of a JWT: when it stops being good. So long it is denied if its session is not here.
    pub until: Option<UnixMillis>,
}

impl Clock {
    pub(super) fn status(self, record: RecordRef<'_>) -> Result<Alive, Reason> {
        if let Some(reason) = record.trace_reason() {
            return Err(reason.into());
        }
        if record.created_at() < self.not_before {
            return Err(Reason::UserRevoked);
        }
        let expires_at = record.expires_at();
        if self.now >= expires_at {
            return Err(Reason::Expired);
        }
        match record.idle_expires_at() {
            Some(idle) if self.now >= idle => Err(Reason::Idle),
            Some(idle) => Ok(Alive { deadline: idle.min(expires_at) }),
            None => Ok(Alive { deadline: expires_at }),
        }
    }

    pub(super) fn is_live(self, record: RecordRef<'_>) -> bool {
        self.status(record).is_ok()
    }

    /// Of which deadline a session has died, if it has.
    pub(super) fn died_of(self, record: RecordRef<'_>) -> Option<TraceReason> {
        if record.is_trace() {
            return None;
        }
        match self.status(record) {
            Err(Reason::Expired) => Some(TraceReason::Expired),
            Err(Reason::Idle) => Some(TraceReason::Idle),
            _ => None,
        }
    }

    /// Whether nothing can ever ask for this record again: it is dead and so are all of its tokens. What only
    /// `session.not-before` has ended can come back.
    pub(super) fn is_spent(self, record: RecordRef<'_>) -> bool {
        let taken_back = Self { not_before: UnixMillis::ZERO, ..self };
        self.now >= record.token_until() && !taken_back.is_live(record)
    }
}

impl<'a> NewSession<'a> {
    /// The session as it begins.
    pub(super) fn begin(self, tokens: TokenRules, now: UnixMillis) -> Session<'a, Cow<'a, str>> {
        let mut session = Session {
            id: self.id,
            created_at: now,
            expires_at: self.expires_at,
            seen: now,
            ahead: 0,
            token_until: self.expires_at.saturating_add(tokens.leeway),
            idle_secs: self.idle_secs,
            ip: self.ip,
            agent: self.agent.map(Cow::Borrowed),
            // Tokens tell which session they are of, or when they were issued, which the epoch is compared with. That
            // is not enough where one id may stand for two sessions.
            traced: self.brought,
            refresh: None,
            device: self.device,
            tokens: self.tokens,
            token_ttl: self.token_ttl,
            claims: Cow::Borrowed(self.claims),
            data: self.data,
        };
        if let Some(secs) = self.refresh_secs {
            session.issue(secs, 0, now);
        }
        // Tokens of an id that was brought may be made elsewhere: they live no longer than the session.
        if !self.brought {
            session.token_until = session.tokens_until(tokens, now);
        }
        session
    }
}

impl<A> Session<'_, A> {
    /// Gives it a refresh token of this generation.
    pub(super) fn issue(&mut self, ttl_secs: u32, generation: u32, now: UnixMillis) {
        let expires_at = now.saturating_add(u64::from(ttl_secs) * 1000).min(self.expires_at);
        self.refresh = Some(Refresh { generation, rotated_at: now, expires_at, ttl_secs });
    }

    /// When the last of the tokens that are issued for it at `now` is not good any more.
    pub(super) fn tokens_until(&self, tokens: TokenRules, now: UnixMillis) -> UnixMillis {
        let access = self.token_expires_at(now, tokens.token_secs).unwrap_or(self.expires_at);
        let refresh = self.refresh.map_or(UnixMillis::ZERO, |refresh| refresh.expires_at);
        access.saturating_add(tokens.leeway).max(refresh)
    }
}
