//! Asking a server what tests ask for most, over both protocols.

use redis::{Connection, ConnectionLike, RedisError, Value};

use crate::command::{cmd, cmd_args};
use crate::fields::{Fields, fields, list};
use crate::server::Server;

/// Runs a test over RESP2 and over RESP3, each time on an empty server.
pub fn on_both(test: impl Fn(&Server, &mut Connection)) {
    let server = Server::start();
    on_both_of(&server, |con| test(&server, con));
}

/// Runs a test over RESP2 and over RESP3 of this server, which is emptied before.
pub fn on_both_of(server: &Server, test: impl Fn(&mut Connection)) {
    for mut con in [server.connection(), server.connection_resp3()] {
        cmd(&mut con, "FLUSHALL").unwrap();
        test(&mut con);
    }
}

/// SESSION.CREATE with these arguments, written as one line.
#[track_caller]
pub fn create(con: &mut impl ConnectionLike, arguments: &str) -> Fields {
    ask(con, &format!("SESSION.CREATE {arguments}"))
}

/// SESSION.CREATE with these arguments, each of any bytes.
#[track_caller]
pub fn create_with(con: &mut impl ConnectionLike, key: &str, more: &[&str]) -> Fields {
    match cmd_args(con, ["SESSION.CREATE", key].iter().chain(more)) {
        Ok(reply) => fields(reply),
        Err(error) => panic!("SESSION.CREATE {key} {more:?}: {error}"),
    }
}

/// The token of a new session.
#[track_caller]
pub fn login(con: &mut impl ConnectionLike, arguments: &str) -> String {
    create(con, arguments).str("token")
}

/// A command, written as one line, that replies with a map.
#[track_caller]
pub fn ask(con: &mut impl ConnectionLike, line: &str) -> Fields {
    match cmd(con, line) {
        Ok(reply) => fields(reply),
        Err(error) => panic!("{line}: {error}"),
    }
}

/// A command, written as one line, that replies with a number.
#[track_caller]
pub fn int(con: &mut impl ConnectionLike, line: &str) -> i64 {
    match cmd(con, line) {
        Ok(Value::Int(number)) => number,
        other => panic!("{line}: a number was expected: {other:?}"),
    }
}

/// What SESSION.VALIDATE says of a token: `active`, or the reason why it is not.
#[track_caller]
pub fn verdict(con: &mut impl ConnectionLike, key: &str, token: &str) -> String {
    verdict_with(con, ["SESSION.VALIDATE", key, token])
}

/// What SESSION.VALIDATE or SESSION.TOUCH with these arguments says: `active`, or the reason why not.
#[track_caller]
pub fn verdict_with<A: AsRef<[u8]>>(con: &mut impl ConnectionLike, args: impl IntoIterator<Item = A>) -> String {
    let answer = fields(cmd_args(con, args).expect("a check is answered"));
    if answer.bool("active") {
        assert!(!answer.has("reason"), "{answer:?}");
        return "active".to_owned();
    }
    assert_eq!(answer.names(), ["active", "reason"]);
    answer.str("reason")
}

/// The ids of the live sessions, newest first.
#[track_caller]
pub fn ids(con: &mut impl ConnectionLike, key: &str) -> Vec<String> {
    list(cmd(con, &format!("SESSION.LIST {key}")).unwrap())
        .into_iter()
        .map(|session| fields(session).str("id"))
        .collect()
}

/// The text of the error that a command, written as one line, must get: its code, a space, and the rest.
#[track_caller]
pub fn error(con: &mut impl ConnectionLike, line: &str) -> String {
    refusal(con, line.split_whitespace())
}

/// The text of the error that a command must get: its code, a space, and the rest.
#[track_caller]
pub fn refusal<A: AsRef<[u8]>>(con: &mut impl ConnectionLike, args: impl IntoIterator<Item = A>) -> String {
    let args: Vec<Vec<u8>> = args.into_iter().map(|arg| arg.as_ref().to_vec()).collect();
    match cmd_args(con, &args) {
        Ok(reply) => {
            let line: Vec<_> = args.iter().map(|arg| arg.escape_ascii().to_string()).collect();
            panic!("{}: an error was expected, the reply is {reply:?}", line.join(" "))
        }
        Err(error) => error_text(&error),
    }
}

/// An error's code, a space, and the rest.
pub fn error_text(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}
