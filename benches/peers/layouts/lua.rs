//! The strings and sets of [`super::set`], by a script for each step that has several: atomic, and one round trip. The
//! scripts make the names of the strings themselves, so on a cluster they would need a hash tag of the user in all.

use redis::Connection;

use super::record::{Record, new_id};
use super::set::{check, read, set_of, string_of};
use super::{Credential, Layout, Login, Session, TTL};

const LOGIN: &str = "
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[3])";

const LIST: &str = "
local ids, values = redis.call('SMEMBERS', KEYS[1]), {}
for i, id in ipairs(ids) do
    values[i] = redis.call('GET', 'session:' .. id)
    if not values[i] then redis.call('SREM', KEYS[1], id) end
end
return {ids, values}";

const LOGOUT: &str = "
redis.call('SREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])";

const LOGOUT_ALL: &str = "
local ids = redis.call('SMEMBERS', KEYS[1])
for _, id in ipairs(ids) do redis.call('DEL', 'session:' .. id) end
redis.call('DEL', KEYS[1])
return #ids";

/// The digests of the scripts, by which EVALSHA names them.
#[derive(Default)]
pub(crate) struct Lua {
    login: String,
    list: String,
    logout: String,
    logout_all: String,
}

impl Layout for Lua {
    fn prepare(&mut self, con: &mut Connection) -> bool {
        let mut load = |script: &str| redis::cmd("SCRIPT").arg("LOAD").arg(script).query(con).expect("SCRIPT LOAD");
        *self = Self { login: load(LOGIN), list: load(LIST), logout: load(LOGOUT), logout_all: load(LOGOUT_ALL) };
        true
    }

    fn login(&self, con: &mut Connection, logins: &[Login]) -> Vec<Credential> {
        let mut pipe = redis::pipe();
        let mut credentials = Vec::new();
        for login in logins {
            let id = new_id();
            pipe.cmd("EVALSHA").arg(&self.login).arg(2).arg(string_of(&id)).arg(set_of(&login.user));
            pipe.arg(&id).arg(Record::of(login).to_json()).arg(TTL).ignore();
            credentials.push(Credential { user: login.user.clone(), token: id });
        }
        pipe.exec(con).expect("a login");
        credentials
    }

    /// It has one step, so it needs no script.
    fn check(&self, con: &mut Connection, credential: &Credential) -> bool {
        check(con, credential)
    }

    fn list(&self, con: &mut Connection, user: &str) -> Vec<Session> {
        let (ids, values): (Vec<String>, Vec<Option<Vec<u8>>>) =
            redis::cmd("EVALSHA").arg(&self.list).arg(1).arg(set_of(user)).query(con).expect("EVALSHA");
        read(&ids, &values).0
    }

    fn logout(&self, con: &mut Connection, credential: &Credential) {
        let mut script = redis::cmd("EVALSHA");
        script.arg(&self.logout).arg(2).arg(string_of(&credential.token)).arg(set_of(&credential.user));
        script.arg(&credential.token).exec(con).expect("EVALSHA");
    }

    fn logout_all(&self, con: &mut Connection, user: &str) {
        redis::cmd("EVALSHA").arg(&self.logout_all).arg(1).arg(set_of(user)).exec(con).expect("EVALSHA");
    }
}
