//! A JWT that the application checks, a string per session, and two lists of what was logged out. Nothing leads from a
//! user to the sessions, so to find them is to walk through all.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use redis::Connection;
use serde::{Deserialize, Serialize};

use super::record::{Record, new_id, now};
use super::{Credential, Layout, Login, Session, TTL};

/// How the three EXISTS of a check are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoundTrips {
    /// One after the other, as applications do that ask three parts of their code.
    Three,
    /// In one pipeline.
    One,
}

/// How the sessions of a user are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// SCAN with COUNT 1000 and one MGET for each batch.
    Batches,
    /// SCAN as it is by default, ten or so keys at a time, and a GET for each key: the loop that client libraries
    /// suggest with their `scan_iter`.
    OneByOne,
}

pub(crate) struct Jwt {
    round_trips: RoundTrips,
    walk: Walk,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    jti: String,
    iat: u64,
    exp: u64,
}

impl Jwt {
    pub(crate) fn new(round_trips: RoundTrips, walk: Walk) -> Self {
        let secret = [7; 32];
        Self {
            round_trips,
            walk,
            encoding: EncodingKey::from_secret(&secret),
            decoding: DecodingKey::from_secret(&secret),
            validation: Validation::new(Algorithm::HS256),
        }
    }

    /// Hands each session of the user to `each`, with its key.
    fn walk(&self, con: &mut Connection, user: &str, mut each: impl FnMut(&str, Record<'_>)) {
        let mut cursor = 0;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg("session:*");
            if self.walk == Walk::Batches {
                scan.arg("COUNT").arg(1000);
            }
            let (next, keys): (u64, Vec<String>) = scan.query(con).expect("SCAN");
            let values: Vec<Option<Vec<u8>>> = match self.walk {
                _ if keys.is_empty() => Vec::new(),
                Walk::Batches => redis::cmd("MGET").arg(&keys).query(con).expect("MGET"),
                Walk::OneByOne => keys.iter().map(|key| redis::cmd("GET").arg(key).query(con).expect("GET")).collect(),
            };
            for (key, json) in keys.iter().zip(&values) {
                let record = json.as_deref().map(Record::read);
                if let Some(record) = record.filter(|record| record.user.as_deref() == Some(user)) {
                    each(key, record);
                }
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }

    fn claims(&self, token: &str) -> Option<Claims> {
        jsonwebtoken::decode(token, &self.decoding, &self.validation).ok().map(|token| token.claims)
    }
}

impl Layout for Jwt {
    fn login(&self, con: &mut Connection, logins: &[Login]) -> Vec<Credential> {
        let mut pipe = redis::pipe();
        let mut credentials = Vec::new();
        for login in logins {
            let (jti, iat) = (new_id(), now());
            pipe.cmd("SET").arg(format!("session:{jti}")).arg(Record::of(login).to_json()).arg("EX").arg(TTL).ignore();
            // Or nobody could log in again after all sessions were ended.
            pipe.cmd("DEL").arg(format!("user_blacklist:{}", login.user)).ignore();
            let claims = Claims { sub: login.user.clone(), jti, iat, exp: iat + TTL };
            let token = jsonwebtoken::encode(&Header::default(), &claims, &self.encoding).expect("a token");
            credentials.push(Credential { user: login.user.clone(), token });
        }
        pipe.exec(con).expect("a login");
        credentials
    }

    fn check(&self, con: &mut Connection, credential: &Credential) -> bool {
        let Some(Claims { sub, jti, .. }) = self.claims(&credential.token) else { return false };
        let keys = [format!("session:{jti}"), format!("blacklist:{jti}"), format!("user_blacklist:{sub}")];
        let exists = |key: &String| redis::cmd("EXISTS").arg(key).take();
        let [session, token, user] = match self.round_trips {
            RoundTrips::Three => keys.each_ref().map(|key| exists(key).query::<bool>(con).expect("EXISTS")),
            RoundTrips::One => {
                let mut pipe = redis::pipe();
                for key in &keys {
                    pipe.add_command(exists(key));
                }
                pipe.query(con).expect("EXISTS")
            }
        };
        session && !token && !user
    }

    fn list(&self, con: &mut Connection, user: &str) -> Vec<Session> {
        let mut sessions = Vec::new();
        self.walk(con, user, |key, record| {
            sessions.push(record.into_session(key.trim_start_matches("session:")));
        });
        sessions
    }

    fn logout(&self, con: &mut Connection, credential: &Credential) {
        let Some(Claims { jti, exp, .. }) = self.claims(&credential.token) else { return };
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(format!("blacklist:{jti}")).arg(1).arg("EXAT").arg(exp);
        pipe.cmd("DEL").arg(format!("session:{jti}"));
        pipe.exec(con).expect("a logout");
    }

    /// The list of users alone would be one command, but the next login takes the user off it, and so would bring all
    /// tokens back.
    fn logout_all(&self, con: &mut Connection, user: &str) {
        let list = redis::cmd("SET").arg(format!("user_blacklist:{user}")).arg(1).arg("EX").arg(TTL).take();
        list.exec(con).expect("SET");
        let mut keys = Vec::new();
        self.walk(con, user, |key, _| keys.push(key.to_owned()));
        if !keys.is_empty() {
            redis::cmd("DEL").arg(keys).exec(con).expect("DEL");
        }
    }

    fn walks(&self) -> bool {
        true
    }
}
