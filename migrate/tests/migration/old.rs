//! The old layouts, and what becomes of them.

use std::process::{Command, Stdio};

use redis::{Connection, Value, cmd as redis_cmd};
use redis_session_tests::issuer::foreign;
use redis_session_tests::{Fields, Server, cmd, cmd_args, fields, list, text};

pub(crate) const HOUR: u64 = 3600;

/// A session as applications write it.
pub(crate) fn login(con: &mut Connection, token: &str, json: &str, ttl: u64) {
    redis_cmd("SET").arg(format!("session:{token}")).arg(json).arg("EX").arg(ttl).exec(con).unwrap();
}

pub(crate) fn set(con: &mut Connection, key: &str, value: &str) {
    redis_cmd("SET").arg(key).arg(value).exec(con).unwrap();
}

pub(crate) fn del(con: &mut Connection, key: &str) {
    redis_cmd("DEL").arg(key).exec(con).unwrap();
}

/// The id that the documentation says an old token leads to: by openssl, as people compute it.
pub(crate) fn id_of(token: &str) -> String {
    let script = r#"printf %s "$1" | openssl dgst -sha256 -binary | head -c 16 | base64 | tr '+/' '-_' | tr -d '=\n'"#;
    let output = Command::new("sh").args(["-c", script, "sh", token]).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The session of a token that was moved; `None` if there is none that is alive.
pub(crate) fn moved(server: &Server, user: &str, token: &str) -> Option<Fields> {
    session(server, user, &id_of(token))
}

pub(crate) fn session(server: &Server, user: &str, id: &str) -> Option<Fields> {
    match cmd_args(&mut server.connection(), ["SESSION.GET", &format!("sessions:{user}"), id]).unwrap() {
        Value::Nil => None,
        session => Some(fields(session)),
    }
}

/// The ids of a user's live sessions.
pub(crate) fn ids(server: &Server, user: &str) -> Vec<String> {
    let sessions = list(cmd_args(&mut server.connection(), ["SESSION.LIST", &format!("sessions:{user}")]).unwrap());
    sessions.into_iter().map(|session| fields(session).str("id")).collect()
}

pub(crate) fn live(server: &Server) -> usize {
    fields(cmd(&mut server.connection(), "SESSION.STATS").unwrap()).int("sessions").try_into().unwrap()
}

/// What the server makes of a token: `active`, or the reason.
pub(crate) fn verdict(server: &Server, user: &str, token: &str, option: &str) -> String {
    let key = format!("sessions:{user}");
    let words = ["SESSION.VALIDATE", &key, token, option].into_iter().filter(|word| !word.is_empty());
    let reply = fields(cmd_args(&mut server.connection(), words).unwrap());
    if reply.bool("active") { "active".into() } else { reply.str("reason") }
}

/// A token of a server with keys of the harness, as another issuer with its keys would make it.
pub(crate) fn jwt(issuer: &Server, user: &str, options: &str) -> String {
    let created = cmd(&mut issuer.connection(), &format!("SESSION.CREATE sessions:{user} {options}")).unwrap();
    foreign(&fields(created).str("token"))
}

/// A text of a reply.
pub(crate) fn ask(server: &Server, line: &str) -> String {
    text(&cmd(&mut server.connection(), line).unwrap())
}
