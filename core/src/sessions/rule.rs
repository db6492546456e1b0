//! The rule: which credential is good.
//!
//! One function decides it for all commands, [`UserSessions::look_up`]. It has three outcomes. *Alive*: the session is
//! here, and the credential is one of it. *Absent*: there is no session, and nobody can have ended what this credential
//! stands for. *Refused*: anything else, with the reason. Absent excludes what may have been forgotten, so a command that
//! takes a JWT without a session (STATELESS, FROM) asks nothing more.
//!
//! A credential that somebody has ended stays dead, because:
//!
//! 1. Each ended session leaves a tombstone, until the last token for it has expired and could not be good under the
//!    largest leeway either. A denied JWT leaves one as well.
//! 2. SESSION.REVOKEUSER leaves a cutoff in place of the tombstones: everything that began or was issued before it is dead.
//! 3. Tombstones that are too many are dropped, and leave a cutoff that covers them.
//! 4. A token made here says when its session began, to the millisecond. So it is good for that session alone, although
//!    applications may reuse an id.
//! 5. A JWT made elsewhere says its `iat`. A session under an id from outside fixes, when it begins, the earliest `iat`
//!    that it accepts: one that is later than every cutoff at that time. Nothing widens this afterwards.
//! 6. A cutoff is compared with what the leeway lets in, and never lies before the newest session that it ends.
//! 7. A JWT made elsewhere whose `iat` is later than the latest time that the server has seen, and the leeway, is good for
//!    nothing yet. So no cutoff misses a token that was good.
//! 8. Time does not run back. A JWT made elsewhere that has once expired stays so, and cutoffs are set at the latest time
//!    that the server has seen.

use super::UserSessions;
use super::cutoff::{Cutoff, UserCutoff};
use super::record::RecordRef;
use super::rules::{Check, Presented, REMEMBERED, Rules};
use super::session::{Device, EndReason, Tombstone};
use super::store::Cutoffs;
use crate::token::{Issued, TokenKind};
use crate::{Reason, UnixMillis};

/// A live session, as far as a check must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive {
    /// The nearer of its two deadlines.
    pub deadline: UnixMillis,
}

impl Alive {
    /// A session with these deadlines.
    pub(super) fn until(expires_at: UnixMillis, idle_expires_at: Option<UnixMillis>) -> Self {
        Self { deadline: idle_expires_at.map_or(expires_at, |idle| idle.min(expires_at)) }
    }
}

/// What a user's value says of a credential that it does not refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its session is alive.
    Alive(Alive),
    /// It has no session here, and nobody has ended it.
    Absent,
}

impl UserSessions {
    /// Where a credential stands that was verified by itself.
    ///
    /// # Errors
    /// With the reason why it is not good: `unknown`, `expired`, `idle`, `revoked`, `user_revoked`, `evicted`, `reused`,
    /// `token_expired` or `not_yet_valid`.
    pub fn look_up(&self, presented: &Presented, rules: &Rules) -> Result<Standing, Reason> {
        stand(self.store.find(&presented.id), || self.store.cutoffs(), presented, rules)
    }

    /// The live session of a credential.
    ///
    /// # Errors
    /// As [`UserSessions::look_up`]; `unknown` if there is none.
    pub fn alive(&self, presented: &Presented, rules: &Rules) -> Result<Alive, Reason> {
        match self.look_up(presented, rules)? {
            Standing::Alive(alive) => Ok(alive),
            Standing::Absent => Err(Reason::Unknown),
        }
    }

    /// Whether a credential is good for what `check` asks.
    ///
    /// # Errors
    /// As [`UserSessions::look_up`]; `unknown` without a session unless `check` allows that, `device` if the session is
    /// bound to another one, `level` and `stale` if its user has not signed in strongly enough, or not recently.
    pub fn check(&self, presented: &Presented, check: Check<'_>, rules: &Rules) -> Result<Standing, Reason> {
        let record = self.store.find(&presented.id);
        let standing = stand(record, || self.store.cutoffs(), presented, rules)?;
        accept(standing, record, presented, check, rules)
    }
}

/// The rule.
pub(super) fn stand(
    record: Option<RecordRef<'_>>,
    cutoffs: impl FnOnce() -> Cutoffs,
    presented: &Presented,
    rules: &Rules,
) -> Result<Standing, Reason> {
    let end = end_of_token(presented, record.is_some(), rules);
    // Its tombstone may be gone by now, or never have been kept so long.
    if end.is_some_and(|end| rules.latest >= end.saturating_add(REMEMBERED)) {
        return Err(Reason::TokenExpired);
    }
    let absent = |cutoffs| of_none(cutoffs, presented, end, rules).map(|()| Standing::Absent);
    let Some(record) = record else { return absent(cutoffs()) };
    let reason = match rules.status(record) {
        // The `iat` may be ahead of the clock, on a replica or after a step back, but not of the latest time that this
        // server has seen. No cutoff lies before that, so the end of its session covers what was once good.
        Ok(_) if presented.issued.is_after(rules.latest.saturating_add(rules.ahead)) => {
            return Err(Reason::NotYetValid);
        }
        Ok(alive) => {
            of_live(record, cutoffs, presented, rules)?;
            return Ok(Standing::Alive(alive));
        }
        Err(reason) => reason,
    };
    // An issuer may go on with an id. So a token that was issued after the session ended is not of that session.
    if presented.issued != Issued::Unsaid && !rules.ended_by(record, reason).ends(presented.issued) {
        return absent(cutoffs());
    }
    Err(reason)
}

/// Whether a check that asks for more than a session is content.
pub(super) fn accept(
    standing: Standing,
    record: Option<RecordRef<'_>>,
    presented: &Presented,
    check: Check<'_>,
    rules: &Rules,
) -> Result<Standing, Reason> {
    if standing == Standing::Absent && !(check.stateless && presented.kind == Some(TokenKind::Jwt)) {
        return Err(Reason::Unknown);
    }
    if standing != Standing::Absent
        && let Some(fingerprint) = check.device
        && let Some(bound) = record.and_then(RecordRef::device)
        && bound != Device::of(fingerprint.user, fingerprint.bytes)
    {
        return Err(Reason::Device);
    }
    if check.level == 0 && check.max_age.is_none() {
        return Ok(standing);
    }
    // How a user of whom there is no session has signed in is not known.
    let session = record.filter(|_| standing != Standing::Absent);
    if session.map_or(0, RecordRef::level) < check.level {
        return Err(Reason::Level);
    }
    // The latest time: a sign-in does not get recent again with a clock that steps back.
    let age = session.map_or(u64::MAX, |session| rules.latest.max(rules.now).saturating_since(session.auth_time()));
    if check.max_age.is_some_and(|max| age > max) {
        return Err(Reason::Stale);
    }
    Ok(standing)
}

/// When a JWT stops being good by itself, if a session here does not decide that alone.
///
/// Revocations are remembered for the horizon. So a JWT that lives longer is good for that long only.
pub(super) fn end_of_token(presented: &Presented, has_record: bool, rules: &Rules) -> Option<UnixMillis> {
    let expires_at = presented.own_expiry()?;
    match presented.issued {
        Issued::InSecondOf(iat) if iat > UnixMillis::ZERO => Some(expires_at.min(iat.saturating_add(rules.horizon))),
        // Without `iat` its age cannot be told.
        Issued::InSecondOf(_) => Some(expires_at),
        Issued::ForSessionOf(began) if !has_record => Some(expires_at.min(began.saturating_add(rules.horizon))),
        Issued::ForSessionOf(_) | Issued::Unsaid => None,
    }
}

/// Whether the credential is of this session. The caller has found it alive.
pub(super) fn of_live(
    record: RecordRef<'_>,
    cutoffs: impl FnOnce() -> Cutoffs,
    presented: &Presented,
    rules: &Rules,
) -> Result<(), Reason> {
    let is_of_it = match presented.issued {
        Issued::ForSessionOf(began) => began == record.created_at(),
        // `session.not-before` may be set to a time before the session began.
        Issued::InSecondOf(iat) => {
            record.accepts_from().is_none_or(|from| iat >= from && !rules.server_cutoff().ends(presented.issued))
        }
        Issued::Unsaid => true,
    };
    if is_of_it {
        return Ok(());
    }
    // An earlier session had this id.
    let revoked = cutoffs().revoked_before.map(|user| user.cutoff).unwrap_or_default().max(rules.server_cutoff());
    Err(if revoked.ends(presented.issued) { Reason::UserRevoked } else { Reason::Unknown })
}

fn of_none(cutoffs: Cutoffs, presented: &Presented, end: Option<UnixMillis>, rules: &Rules) -> Result<(), Reason> {
    let ends = |cutoff: UserCutoff| cutoff.cutoff.ends(presented.issued);
    if cutoffs.revoked_before.is_some_and(ends) || rules.server_cutoff().ends(presented.issued) {
        return Err(Reason::UserRevoked);
    }
    if cutoffs.tombstones_dropped_before.is_some_and(ends) {
        return Err(Reason::Unknown);
    }
    if presented.issued.is_after(rules.now.saturating_add(rules.ahead)) {
        return Err(Reason::NotYetValid);
    }
    match presented.kind {
        Some(TokenKind::Jwt) if end.is_some_and(|end| rules.now < end.saturating_add(rules.leeway)) => Ok(()),
        // An opaque token says when its session ends at the latest.
        Some(TokenKind::Jwt) => Err(Reason::TokenExpired),
        Some(_) if presented.expires_at.is_some_and(|end| rules.now >= end) => Err(Reason::Expired),
        _ => Err(Reason::Unknown),
    }
}

impl Rules {
    /// Whether the session of a record is alive.
    pub(super) fn status(&self, record: RecordRef<'_>) -> Result<Alive, Reason> {
        if let Some(reason) = record.end_reason() {
            return Err(reason.into());
        }
        let began = record.created_at();
        if self.not_before.ends_session(began) || self.revoked_before.ends_session(began) {
            return Err(Reason::UserRevoked);
        }
        let expires_at = record.expires_at();
        if self.now >= expires_at {
            return Err(Reason::Expired);
        }
        let idle = record.idle_expires_at();
        if idle.is_some_and(|idle| self.now >= idle) {
            return Err(Reason::Idle);
        }
        Ok(Alive::until(expires_at, idle))
    }

    pub(super) fn is_live(&self, record: RecordRef<'_>) -> bool {
        self.status(record).is_ok()
    }

    /// Why the session of a record is dead, and which of its credentials that ends; `None` if it is alive.
    pub(super) fn end_of(&self, record: RecordRef<'_>) -> Option<(Reason, Cutoff)> {
        let reason = self.status(record).err()?;
        Some((reason, self.ended_by(record, reason)))
    }

    /// Which credentials of a dead session end with it, where `reason` is why it is dead.
    fn ended_by(&self, record: RecordRef<'_>, reason: Reason) -> Cutoff {
        let ended = if record.is_tombstone() {
            record.ended()
        } else if reason == Reason::UserRevoked {
            self.server_cutoff()
        } else {
            Cutoff::at(record.died_at().max(record.last_issued_at()), self.leeway)
        };
        // What the session did not accept stays dead after it.
        ended.with_iat(record.accepts_from().unwrap_or_default())
    }

    /// Of which deadline a session has died, if it has.
    pub(super) fn died_of(&self, record: RecordRef<'_>) -> Option<EndReason> {
        if record.is_tombstone() {
            return None;
        }
        match self.status(record) {
            Err(Reason::Expired) => Some(EndReason::Expired),
            Err(Reason::Idle) => Some(EndReason::Idle),
            _ => None,
        }
    }

    /// Whether a record may go and leave nothing: no token can ask for it any more, or a cutoff of the server that cannot be
    /// taken back answers instead.
    pub(super) fn is_spent(&self, record: RecordRef<'_>) -> bool {
        if record.is_tombstone() {
            return self.now >= record.token_until();
        }
        let lasting = self.lasting();
        match lasting.status(record) {
            Ok(_) => false,
            Err(Reason::UserRevoked) if record.accepts_from().is_none_or(|from| from <= lasting.revoked_before.iat) => {
                true
            }
            Err(_) => self.now >= record.token_until().saturating_add(self.leeway),
        }
    }

    /// The tombstone of a session that ends now.
    pub(super) fn tombstone(&self, record: RecordRef<'_>, reason: EndReason) -> Option<Tombstone> {
        let (ended, until) = match (reason, self.end_of(record)) {
            // Nobody has ended it. The tombstone only tells why it is dead.
            (EndReason::Expired | EndReason::Idle, Some((_, ended))) => {
                (ended, record.token_until().saturating_add(self.leeway))
            }
            _ => {
                let ended = self.ends(record);
                (ended, self.remembered_until(record, ended))
            }
        };
        Some(Tombstone { id: record.id()?, reason, ended, until })
    }

    /// The cutoff of what ends with this record now. It does not lie before the last token of it, though the clock may have
    /// stepped back.
    pub(super) fn ends(&self, record: RecordRef<'_>) -> Cutoff {
        let known = if record.is_tombstone() { record.ended() } else { Cutoff::default() };
        let ended = Cutoff::at(self.latest.max(record.last_issued_at()), self.leeway);
        // What the session did not accept stays dead after it.
        ended.with_iat(record.accepts_from().unwrap_or_default()).max(known)
    }

    /// Until when the end of a session must be remembered.
    pub(super) fn remembered_until(&self, record: RecordRef<'_>, ended: Cutoff) -> UnixMillis {
        let until = record.token_until();
        let until = if record.is_tombstone() { until } else { until.saturating_add(REMEMBERED) };
        match record.accepts_from() {
            // JWTs made elsewhere may name it, of which nothing is known here.
            Some(_) => until.max(self.end_of_others(ended.iat)),
            None => until,
        }
    }

    /// When the last JWT made elsewhere, with an `iat` of `iat` or before, cannot be good any more.
    pub(super) fn end_of_others(&self, iat: UnixMillis) -> UnixMillis {
        iat.saturating_add(self.horizon).saturating_add(REMEMBERED)
    }
}
