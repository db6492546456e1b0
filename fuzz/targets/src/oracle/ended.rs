//! What somebody has ended, for good. It says nothing of how the product remembers that.

use redis_session_core::sessions::{MAX_LEEWAY, Presented, REMEMBERED, Rules, UserSessions};
use redis_session_core::token::{Issued, TokenKind};
use redis_session_core::{SessionId, UnixMillis};

use super::history::Known;

/// From here on no promise is kept: later times are cut off at the last one, and so cannot be told apart.
const END_OF_TIME: UnixMillis = UnixMillis::saturating_from(1 << 47);

/// A session that somebody has ended, with all tokens made here for it.
struct Session {
    id: SessionId,
    began: UnixMillis,
    token_until: UnixMillis,
}

/// JWTs made elsewhere that somebody has ended.
struct Jwts {
    /// Of this id; `None` for all but `except`.
    id: Option<SessionId>,
    except: Option<SessionId>,
    /// Issued at this moment or before.
    iat: UnixMillis,
    /// Those that expire at this moment or before.
    expires: UnixMillis,
    /// Of those without `iat`, those that expire at this moment or before: their age cannot be told.
    expires_without_iat: UnixMillis,
}

/// All that somebody has ended so far, and all JWTs that anybody has presented.
#[derive(Default)]
pub(crate) struct Ended {
    sessions: Vec<Session>,
    jwts: Vec<Jwts>,
    /// JWTs that somebody has ended one by one, dead or alive.
    alone: Vec<Presented>,
    presented: Vec<Presented>,
}

impl Ended {
    /// Somebody presents this.
    pub(crate) fn present(&mut self, presented: &Presented) {
        let is_foreign = matches!(presented.issued, Issued::InSecondOf(_)) && presented.kind == Some(TokenKind::Jwt);
        if is_foreign && !self.presented.contains(presented) {
            self.presented.push(presented.clone());
        }
    }

    /// Somebody ends this session.
    pub(crate) fn end(&mut self, known: &Known, rules: &Rules) {
        let Known { id, created: began, token_until, .. } = known.clone();
        let is_foreign = known.accepts_from.is_some();
        // What is too old for a session stays dead when it has ended.
        let refused = known.accepts_from.unwrap_or_default().min(rules.latest.saturating_add(REMEMBERED));
        let iat = rules.latest.saturating_add(rules.leeway).max(refused);
        let expires = if is_foreign { UnixMillis::MAX } else { token_until };
        let expires_without_iat = expires.min(iat.saturating_add(rules.horizon));
        self.jwts.push(Jwts { id: Some(id.clone()), except: None, iat, expires, expires_without_iat });
        self.sessions.push(Session { id, began, token_until });
    }

    /// Somebody denies the JWTs of this id that expire by then.
    pub(crate) fn deny(&mut self, id: &SessionId, expires: UnixMillis, rules: &Rules) {
        self.end_named(id, expires, rules.latest.saturating_add(MAX_LEEWAY));
    }

    /// Somebody ends this JWT, which may be dead already.
    pub(crate) fn end_alone(&mut self, jwt: &Presented, rules: &Rules) {
        // One from the future is not good by itself, and is not looked up.
        let last = rules.latest.saturating_add(REMEMBERED);
        self.alone.extend(Some(jwt.clone()).filter(|jwt| !matches!(jwt.issued, Issued::InSecondOf(iat) if iat > last)));
    }

    /// Somebody ends this JWT, which is good, and so those of its id that expire before it.
    pub(crate) fn end_good(&mut self, jwt: &Presented, expires: UnixMillis, rules: &Rules) {
        self.end_alone(jwt, rules);
        self.end_named(&jwt.id, expires, rules.latest.saturating_add(rules.leeway));
    }

    fn end_named(&mut self, id: &SessionId, expires: UnixMillis, iat: UnixMillis) {
        self.jwts.push(Jwts { id: Some(id.clone()), except: None, iat, expires, expires_without_iat: expires });
    }

    /// Somebody ends all sessions but one.
    pub(crate) fn end_all<'a>(
        &mut self,
        known: impl Iterator<Item = &'a Known>,
        except: Option<&SessionId>,
        rules: &Rules,
    ) {
        for known in known.filter(|known| Some(&known.id) != except) {
            self.end(known, rules);
        }
        let iat = rules.latest.saturating_add(rules.leeway);
        let (except, expires_without_iat) = (except.cloned(), iat.saturating_add(rules.horizon));
        self.jwts.push(Jwts { id: None, except, iat, expires: UnixMillis::MAX, expires_without_iat });
    }

    /// Whether none of it is good.
    pub(crate) fn assert_stays_dead(&self, sessions: &UserSessions, known: &[Known], rules: &Rules) {
        if rules.latest > END_OF_TIME {
            return;
        }
        for Session { id, began, token_until } in &self.sessions {
            let issued = Issued::ForSessionOf(*began);
            let opaque = Presented { kind: Some(TokenKind::Opaque), issued, ..Presented::id(id.clone()) };
            assert!(sessions.look_up(&opaque, rules).is_err(), "{id} of {began:?} was ended");
            let jwt = Presented { kind: Some(TokenKind::Jwt), expires_at: Some(*token_until), ..opaque };
            assert!(sessions.look_up(&jwt, rules).is_err(), "{id} of {began:?} was ended");
        }
        for jwt in &self.presented {
            // Nobody can have made a JWT for an id that was made here later.
            let is_random = |known: &&Known| known.tombstone.is_none() && known.accepts_from.is_none();
            if known.iter().filter(is_random).any(|known| known.id == jwt.id) {
                continue;
            }
            if self.alone.contains(jwt) || self.jwts.iter().any(|ended| ended.holds(jwt)) {
                let standing = sessions.look_up(jwt, rules);
                assert!(standing.is_err(), "{jwt:?} was ended and is {standing:?} at {:?}", rules.now);
            }
        }
    }
}

impl Jwts {
    fn holds(&self, jwt: &Presented) -> bool {
        let is_named = self.id.as_ref().is_none_or(|id| *id == jwt.id) && self.except.as_ref() != Some(&jwt.id);
        let Issued::InSecondOf(iat) = jwt.issued else { return false };
        let expires = if iat == UnixMillis::ZERO { self.expires_without_iat } else { self.expires };
        is_named && iat <= self.iat && jwt.expires_at.is_some_and(|time| time <= expires)
    }
}
