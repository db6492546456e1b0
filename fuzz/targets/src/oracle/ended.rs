//! What somebody has ended, for good. It says nothing of how the product remembers that.

use redis_session_core::sessions::{Presented, Rules, UserSessions};
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
    /// JWTs that were dead already when somebody ended them.
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
        // Values that nobody's clock has made promise nothing.
        if known.last_issued() > rules.latest.max(rules.revoked_before.began.saturating_add(1)) {
            return;
        }
        let Known { id, created: began, token_until, .. } = known.clone();
        let (iat, is_foreign) = (rules.latest.saturating_add(rules.leeway), known.accepts_from.is_some());
        let expires = if is_foreign { UnixMillis::MAX } else { token_until };
        let expires_without_iat = expires.min(iat.saturating_add(rules.horizon));
        self.jwts.push(Jwts { id: Some(id.clone()), except: None, iat, expires, expires_without_iat });
        self.sessions.push(Session { id, began, token_until });
    }

    /// Somebody denies the JWTs of this id that expire by then.
    pub(crate) fn deny(&mut self, id: &SessionId, expires: UnixMillis, rules: &Rules) {
        let (id, iat) = (Some(id.clone()), rules.latest.saturating_add(rules.leeway));
        self.jwts.push(Jwts { id, except: None, iat, expires, expires_without_iat: expires });
    }

    /// Somebody ends this JWT, and nothing else, as it is dead already.
    pub(crate) fn end_alone(&mut self, jwt: &Presented, rules: &Rules) {
        // One from the future is not good by itself, and is not looked up.
        let last = rules.latest.saturating_add(rules.leeway);
        self.alone.extend(Some(jwt.clone()).filter(|jwt| !matches!(jwt.issued, Issued::InSecondOf(iat) if iat > last)));
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

    /// A session goes on with a token of a server like this one, which says more of it than was known here.
    pub(crate) fn go_on(&mut self, token: &Presented, rules: &Rules) {
        let Issued::ForSessionOf(began) = token.issued else { return };
        let expires = token.expires_at.unwrap_or_default();
        self.sessions.retain(|ended| {
            let is_it = ended.id == token.id && ended.began == began;
            let is_later = ended.token_until < expires || rules.latest > END_OF_TIME;
            assert!(!is_it || is_later, "{} began again with a token that was ended", token.id);
            !is_it
        });
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
