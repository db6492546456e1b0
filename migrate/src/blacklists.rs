//! What is on the old layout's blacklists when a pass begins, so that it need not be asked for each session again that has
//! not changed since an earlier pass.

use std::collections::{HashMap, HashSet};

use redis_session::redis::Value;

use crate::error::Failure;
use crate::jwt::Jwt;
use crate::old_key::digest;
use crate::pass::{AT_ONCE, Pass};
use crate::servers::Ask;
use crate::sessions::{Candidate, Until};

/// What was on the blacklists, by digests.
#[derive(Default)]
pub(crate) struct Blacklists {
    tokens: HashSet<[u8; 16]>,
    users: HashMap<[u8; 16], Until>,
    /// How many blacklistings of users have a date without an offset.
    pub(crate) naive: u64,
}

impl Blacklists {
    /// Whether a token, or what its JWT is called, was on the blacklist, or its user was.
    pub(crate) fn concern(&self, token: &[u8], user: &str) -> bool {
        self.users.contains_key(&digest(user.as_bytes())) || self.has(token, None)
    }

    /// Whether there was any token.
    pub(crate) fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Whether a session was logged out.
    pub(crate) fn end(&self, candidate: &Candidate) -> bool {
        let until = self.users.get(&digest(candidate.user.as_bytes()));
        until.is_some_and(|until| until.covers(candidate.created)) || self.has(&candidate.token, candidate.jwt.as_ref())
    }

    fn has(&self, token: &[u8], jwt: Option<&Jwt>) -> bool {
        if self.tokens.is_empty() {
            return false;
        }
        let is_named = |jwt: &Jwt| jwt.names().any(|name| self.tokens.contains(&digest(name.as_bytes())));
        self.tokens.contains(&digest(token))
            || jwt.cloned().or_else(|| Jwt::read(token)).is_some_and(|jwt| is_named(&jwt))
    }
}

impl Pass {
    /// Reads the blacklists: 16 bytes of each entry are kept.
    pub(crate) fn read_blacklists(&mut self) -> Result<(), Failure> {
        let mut found = Blacklists::default();
        let (tokens, users) = (self.options.prefixes.blacklist.clone(), self.options.prefixes.user_blacklist.clone());
        self.each_key(&tokens, |pass, keys| {
            let names = keys.iter().filter_map(|key| pass.options.prefixes.rest(&tokens, key));
            found.tokens.extend(names.map(digest));
            Ok(())
        })?;
        self.each_key(&users, |pass, keys| {
            let keys: Vec<_> =
                keys.iter().filter_map(|key| Some((pass.options.prefixes.rest(&users, key)?, key))).collect();
            let gets: Vec<_> = keys.iter().map(|(_, key)| Ask::of("GET", key)).collect();
            for ((user, _), value) in keys.iter().zip(pass.source.ask(&gets)?) {
                if let Some((until, is_naive)) = pass.until(value)? {
                    found.users.insert(digest(user), until);
                    found.naive += u64::from(is_naive);
                }
            }
            Ok(())
        })?;
        self.blacklists = found;
        Ok(())
    }

    /// Hands all keys with a prefix over, batch by batch, all in one run.
    pub(crate) fn each_key(
        &mut self,
        prefix: &str,
        mut take: impl FnMut(&mut Self, Vec<Vec<u8>>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if prefix.is_empty() {
            return Ok(());
        }
        for node in 0..self.source.len() {
            let mut cursor = 0;
            loop {
                let count = self.options.batch.saturating_mul(AT_ONCE);
                let (next, keys) = self.source.scan(node, cursor, prefix, count)?;
                let count = keys.len() as u64;
                if count > 0 {
                    take(self, keys)?;
                }
                self.wait(count.div_ceil(10))?;
                if next == 0 {
                    break;
                }
                cursor = next;
            }
        }
        Ok(())
    }

    /// Until when a user's sessions are ended, by the value of the user's key on the blacklist, and whether that is a date
    /// without an offset; `None` if there is no such key.
    pub(crate) fn until(&self, value: Value) -> Result<Option<(Until, bool)>, Failure> {
        match value {
            // Whatever it is, it is there.
            Value::ServerError(error) if error.code() == "WRONGTYPE" => Ok(Some((Until::Always, false))),
            value => Ok(Until::of(self.source.is_no_error(value)?, self.options.naive())),
        }
    }
}
