//! This module, by its client. It signs a JWT at each login, and keeps the user's sessions at their limit.

use std::net::IpAddr;

use redis::Connection;
use redis_session::commands::session_create;
use redis_session::{CreateOptions, Created, KeyPrefix, SessionCommands, ValidateOptions, Validation};

use super::{Credential, Layout, Login, Session};

#[derive(Default)]
pub(crate) struct Module {
    keys: KeyPrefix,
}

impl Layout for Module {
    fn login(&self, con: &mut Connection, logins: &[Login]) -> Vec<Credential> {
        let mut pipe = redis::pipe();
        for login in logins {
            let options = CreateOptions::new().ip(login.ip).agent(login.agent.as_str());
            pipe.add_command(session_create(self.keys.key(&login.user), &options));
        }
        let created: Vec<Created> = pipe.query(con).expect("SESSION.CREATE");
        let credential = |(login, created): (&Login, Created)| Credential {
            user: login.user.clone(),
            token: created.token.expect("a token"),
        };
        logins.iter().zip(created).map(credential).collect()
    }

    /// The token alone tells which key to ask.
    fn check(&self, con: &mut Connection, credential: &Credential) -> bool {
        let Some(key) = self.keys.key_of_token(&credential.token) else { return false };
        let validation = con.session_validate(key, &credential.token, &ValidateOptions::new());
        matches!(validation.expect("SESSION.VALIDATE"), Validation::Active(_))
    }

    fn list(&self, con: &mut Connection, user: &str) -> Vec<Session> {
        let sessions = con.session_list(self.keys.key(user)).expect("SESSION.LIST");
        let session = |session: redis_session::Session| {
            let Some(IpAddr::V4(ip)) = session.ip else { panic!("no IPv4 address: {session:?}") };
            let agent = session.agent.expect("an agent");
            Session { id: session.id, ip, agent, created: session.created_at.unix_secs() }
        };
        sessions.into_iter().map(session).collect()
    }

    fn logout(&self, con: &mut Connection, credential: &Credential) {
        con.session_revoke(self.keys.key(&credential.user), &credential.token).expect("SESSION.REVOKE");
    }

    fn logout_all(&self, con: &mut Connection, user: &str) {
        con.session_revoke_user(self.keys.key(user)).expect("SESSION.REVOKEUSER");
    }
}
