//! What was revoked in the old layout: JWTs that go on the target's deny list, and users that are logged out there.

use redis_session::commands::{session_list, session_revoke, session_revoke_user, session_validate};
use redis_session::redis::FromRedisValue as _;
use redis_session::{Reason, Session, ValidateOptions, Validation, unverified_user};
use redis_session_core::Subject;

use crate::error::Failure;
use crate::jwt::Jwt;
use crate::old_key::id_of;
use crate::pass::{Batch, OldKey, Pass};
use crate::report::{Counts, Line, Tally};
use crate::servers::Ask;
use crate::sessions::NotMoved;

fn tokens(tally: &mut Tally) -> &mut Counts {
    &mut tally.blacklist
}

fn users(tally: &mut Tally) -> &mut Counts {
    &mut tally.user_blacklist
}

impl Pass {
    /// Denies the JWTs among blacklisted tokens. All others need nothing: their sessions are not moved.
    pub(crate) fn deny(&mut self, keys: Vec<OldKey>) -> Result<Batch, Failure> {
        let names = self.options.keys();
        let all = keys.len();
        let are_checked = !self.options.opaque_jwts;
        // A JWT without a user is nobody's on the target.
        let jwts: Vec<(String, Vec<u8>)> = keys
            .into_iter()
            .filter(|OldKey { token, .. }| are_checked && Jwt::read(token).is_some())
            .filter_map(|OldKey { token, .. }| Some((unverified_user(&token)?, token)))
            .collect();
        self.record.state.tally.blacklist.needless += (all - jwts.len()) as u64;
        let options = ValidateOptions::new().stateless();
        let ask = |(user, token): &(String, Vec<u8>)| {
            let key = names.key(user);
            Ask::new(&*key, session_validate(&*key, &token[..], &options))
        };
        let checks: Vec<_> = jwts.iter().map(ask).collect();
        let mut revokes = Vec::new();
        for ((user, token), reply) in jwts.iter().zip(self.target.ask(&checks)?) {
            if let Some(NotMoved { reason, detail }) = self.refused(&reply)? {
                let (id, detail) = (id_of(token), detail.as_deref());
                let line = Line { kind: "blacklist", id: Some(&id), user: Some(user), reason: &reason, detail };
                self.not_moved(tokens, &line)?;
                continue;
            }
            let validation = Validation::from_redis_value(reply).map_err(|error| self.target.failed(error.into()))?;
            let counts = tokens(&mut self.record.state.tally);
            match validation.reason().and_then(|reason| reason.known()) {
                None if validation.is_active() => counts.moved += 1,
                Some(Reason::Revoked | Reason::UserRevoked) => counts.already += 1,
                // It is good for nothing here.
                _ => counts.needless += 1,
            }
            // Also one that is not good yet, or for another audience: settings change.
            let key = names.key(user);
            revokes.push(Ask::new(&*key, session_revoke(&*key, &token[..])));
        }
        if self.options.apply {
            self.target.demand(&revokes)?;
        }
        Ok(Batch::default())
    }

    /// Logs users out who are on the blacklist and have not logged in again since.
    ///
    /// This comes after the sessions, and leaves those alone that have a newer one: `SESSION.REVOKEUSER` would end that
    /// too, and the JWTs of before.
    pub(crate) fn log_out_users(&mut self, keys: Vec<OldKey>) -> Result<Batch, Failure> {
        let names = self.options.keys();
        let mut found = Vec::new();
        for OldKey { key, token } in keys {
            match Subject::new(&token) {
                Ok(user) => found.push((user.as_str().to_owned(), Ask::of("GET", &key))),
                Err(why) => {
                    let detail = Some(why.to_string());
                    let line = Line {
                        kind: "user_blacklist",
                        id: None,
                        user: None,
                        reason: "bad_user",
                        detail: detail.as_deref(),
                    };
                    self.not_moved(users, &line)?;
                }
            }
        }
        let (found, gets): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let values = self.source.ask(&gets)?;
        let lists: Vec<_> = found
            .iter()
            .map(|user| {
                let key = names.key(user);
                Ask::new(&*key, session_list(&*key))
            })
            .collect();
        let lists = self.target.ask(&lists)?;
        let (mut revokes, mut older) = (Vec::new(), Vec::new());
        for ((user, value), list) in found.into_iter().zip(values).zip(lists) {
            if let Some(NotMoved { reason, detail }) = self.refused(&list)? {
                let detail = detail.as_deref();
                let line = Line { kind: "user_blacklist", id: None, user: Some(&user), reason: &reason, detail };
                self.not_moved(users, &line)?;
                continue;
            }
            let until = self.until(value)?;
            let counts = &mut self.record.state.tally.user_blacklist;
            let Some((until, _)) = until else {
                counts.expired += 1;
                continue;
            };
            let sessions = Vec::<Session>::from_redis_value(list).map_err(|error| self.target.failed(error.into()))?;
            let began = |session: &Session| i64::try_from(session.created_at.unix_millis()).ok();
            let (dead, newer): (Vec<_>, Vec<_>) =
                sessions.into_iter().partition(|session| until.covers(began(session)));
            if newer.is_empty() {
                counts.moved += 1;
                let key = names.key(&user);
                revokes.push(Ask::new(&*key, session_revoke_user(&*key)));
            } else {
                counts.needless += 1;
                older.extend(dead.into_iter().map(|session| (session.id, user.clone())));
            }
        }
        if self.options.apply {
            self.target.demand(&revokes)?;
            self.end(&older)?;
        }
        Ok(Batch::default())
    }
}
