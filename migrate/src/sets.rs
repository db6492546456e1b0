//! The per-user sets of an old layout: whose a token is.

use std::sync::Arc;

use redis_session::redis::{self, FromRedisValue as _, Value, cmd};

use crate::error::Failure;
use crate::old_key::digest;
use crate::pass::Pass;
use crate::servers::Ask;

/// How many members are asked for at once.
const MEMBERS: u32 = 1000;

impl Pass {
    /// Reads all sets, before any session: 16 bytes for each token are kept, and each user once.
    pub(crate) fn read_sets(&mut self) -> Result<(), Failure> {
        let prefix = self.options.prefixes.user_sets.clone();
        self.each_key(&prefix, |pass, keys| {
            pass.wait(keys.len() as u64)?;
            keys.iter().try_for_each(|key| pass.read_set(&prefix, key))
        })
    }

    fn read_set(&mut self, prefix: &str, key: &[u8]) -> Result<(), Failure> {
        let user = self.options.prefixes.rest(prefix, key).and_then(|user| std::str::from_utf8(user).ok());
        let Some(user) = user.map(Arc::<str>::from) else { return Ok(()) };
        let kind = self.source.demand(&[Ask::of("TYPE", key)])?.into_iter().next().unwrap_or(Value::Nil);
        let (name, members_and_scores) = match String::from_redis_value(kind).unwrap_or_default().as_str() {
            "set" => ("SSCAN", false),
            "zset" => ("ZSCAN", true),
            // Whose sessions they are is not known then, and the report says so.
            _ => return Ok(()),
        };
        let mut cursor = 0_u64;
        loop {
            let scan = cmd(name).arg(key).arg(cursor).arg("COUNT").arg(MEMBERS).take();
            let reply = self.source.demand(&[Ask::new(key, scan)])?.into_iter().next().unwrap_or(Value::Nil);
            let (next, members): (u64, Vec<Vec<u8>>) =
                redis::from_redis_value(reply).map_err(|error| self.source.failed(error.into()))?;
            for member in members.iter().step_by(if members_and_scores { 2 } else { 1 }) {
                // Some list the whole key.
                let token = member.strip_prefix(self.options.prefixes.sessions.as_bytes()).unwrap_or(member);
                self.listed.insert(digest(token), Arc::clone(&user));
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}
