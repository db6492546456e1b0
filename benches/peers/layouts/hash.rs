//! A hash per user with a field per session, which expires by itself. The commands are those of Redis 8.

use redis::Connection;

use super::record::{Record, new_id};
use super::{Credential, Layout, Login, Session, TTL};

pub(crate) struct Hash;

fn hash_of(user: &str) -> String {
    format!("user_sessions:{user}")
}

impl Layout for Hash {
    fn prepare(&mut self, con: &mut Connection) -> bool {
        // A server answers null for a command that it does not have.
        let known: Vec<redis::Value> =
            redis::cmd("COMMAND").arg("INFO").arg("HSETEX").query(con).expect("COMMAND INFO");
        known.iter().all(|command| *command != redis::Value::Nil)
    }

    /// HSETEX adds the field and its expiry in one command. The key goes with its last field.
    fn login(&self, con: &mut Connection, logins: &[Login]) -> Vec<Credential> {
        let mut pipe = redis::pipe();
        let mut credentials = Vec::new();
        for login in logins {
            let id = new_id();
            pipe.cmd("HSETEX").arg(hash_of(&login.user)).arg("EX").arg(TTL).arg("FIELDS").arg(1);
            pipe.arg(&id).arg(Record::of(login).without_user().to_json()).ignore();
            credentials.push(Credential { user: login.user.clone(), token: id });
        }
        pipe.exec(con).expect("a login");
        credentials
    }

    fn check(&self, con: &mut Connection, credential: &Credential) -> bool {
        let field = redis::cmd("HGET").arg(hash_of(&credential.user)).arg(&credential.token).take();
        let json: Option<Vec<u8>> = field.query(con).expect("HGET");
        json.is_some_and(|json| Record::read(&json).user.is_none())
    }

    fn list(&self, con: &mut Connection, user: &str) -> Vec<Session> {
        let fields: Vec<(String, Vec<u8>)> = redis::cmd("HGETALL").arg(hash_of(user)).query(con).expect("HGETALL");
        fields.iter().map(|(id, json)| Record::read(json).into_session(id)).collect()
    }

    fn logout(&self, con: &mut Connection, credential: &Credential) {
        redis::cmd("HDEL").arg(hash_of(&credential.user)).arg(&credential.token).exec(con).expect("HDEL");
    }

    fn logout_all(&self, con: &mut Connection, user: &str) {
        redis::cmd("DEL").arg(hash_of(user)).exec(con).expect("DEL");
    }
}
