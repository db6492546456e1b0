//! A string per session, and a set of their ids per user. Each step is one pipeline, but nothing makes it atomic.

use redis::{Connection, Pipeline};

use super::record::{Record, new_id};
use super::{Credential, Layout, Login, Session, TTL};

pub(crate) struct Set;

pub(super) fn string_of(id: &str) -> String {
    format!("session:{id}")
}

pub(super) fn set_of(user: &str) -> String {
    format!("user_sessions:{user}")
}

/// The sessions behind these ids, and the ids behind which there is none any more.
pub(super) fn read(ids: &[String], values: &[Option<Vec<u8>>]) -> (Vec<Session>, Vec<String>) {
    let (mut sessions, mut dead) = (Vec::new(), Vec::new());
    for (id, json) in ids.iter().zip(values) {
        match json {
            Some(json) => sessions.push(Record::read(json).into_session(id)),
            None => dead.push(id.clone()),
        }
    }
    (sessions, dead)
}

/// One GET, and its record is read: who the user is stands there.
pub(super) fn check(con: &mut Connection, credential: &Credential) -> bool {
    let json: Option<Vec<u8>> = redis::cmd("GET").arg(string_of(&credential.token)).query(con).expect("GET");
    json.is_some_and(|json| Record::read(&json).user.as_deref() == Some(&credential.user))
}

impl Layout for Set {
    fn login(&self, con: &mut Connection, logins: &[Login]) -> Vec<Credential> {
        let mut pipe = Pipeline::with_capacity(3 * logins.len());
        let mut credentials = Vec::new();
        for login in logins {
            let (id, set) = (new_id(), set_of(&login.user));
            pipe.cmd("SET").arg(string_of(&id)).arg(Record::of(login).to_json()).arg("EX").arg(TTL).ignore();
            pipe.cmd("SADD").arg(&set).arg(&id).ignore();
            pipe.cmd("EXPIRE").arg(&set).arg(TTL).ignore();
            credentials.push(Credential { user: login.user.clone(), token: id });
        }
        pipe.exec(con).expect("a login");
        credentials
    }

    fn check(&self, con: &mut Connection, credential: &Credential) -> bool {
        check(con, credential)
    }

    /// Two round trips: the ids, then what is behind them. The ids of sessions that have expired are taken out.
    fn list(&self, con: &mut Connection, user: &str) -> Vec<Session> {
        let ids: Vec<String> = redis::cmd("SMEMBERS").arg(set_of(user)).query(con).expect("SMEMBERS");
        if ids.is_empty() {
            return Vec::new();
        }
        let keys: Vec<String> = ids.iter().map(|id| string_of(id)).collect();
        let values: Vec<Option<Vec<u8>>> = redis::cmd("MGET").arg(keys).query(con).expect("MGET");
        let (sessions, dead) = read(&ids, &values);
        if !dead.is_empty() {
            redis::cmd("SREM").arg(set_of(user)).arg(dead).exec(con).expect("SREM");
        }
        sessions
    }

    fn logout(&self, con: &mut Connection, credential: &Credential) {
        let mut pipe = redis::pipe();
        pipe.cmd("DEL").arg(string_of(&credential.token));
        pipe.cmd("SREM").arg(set_of(&credential.user)).arg(&credential.token);
        pipe.exec(con).expect("a logout");
    }

    /// Two round trips. A login between them is left without its place in the set.
    fn logout_all(&self, con: &mut Connection, user: &str) {
        let ids: Vec<String> = redis::cmd("SMEMBERS").arg(set_of(user)).query(con).expect("SMEMBERS");
        let mut keys: Vec<String> = ids.iter().map(|id| string_of(id)).collect();
        keys.push(set_of(user));
        redis::cmd("DEL").arg(keys).exec(con).expect("DEL");
    }
}
