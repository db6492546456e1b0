//! Commands as these tests use them.

use redis::{Connection, RedisResult, Value};
use redis_session_tests::{Server, cmd, cmd_args, error, fields};

/// The commands without a key.
pub const KEYLESS: [&str; 5] =
    ["SESSION.REVOKEALL", "SESSION.STATS", "SESSION.KEYS", "SESSION.RELOADKEYS", "SESSION.JWKS"];

/// Every command with a key that clients may use, with its key alone or with what else it must have.
pub const COMMANDS: [(&str, &str); 15] = [
    ("SESSION.CREATE", ""),
    ("SESSION.VALIDATE", "token"),
    ("SESSION.TOUCH", "token"),
    ("SESSION.REFRESH", "token"),
    ("SESSION.REGENERATE", "id"),
    ("SESSION.SET", "id field value"),
    ("SESSION.INCRBY", "id field 1"),
    ("SESSION.UNSET", "id field"),
    ("SESSION.GET", "id"),
    ("SESSION.LIST", ""),
    ("SESSION.COUNT", ""),
    ("SESSION.TTL", "id"),
    ("SESSION.REVOKE", "id"),
    ("SESSION.REVOKEUSER", ""),
    ("SESSION.DENY", "id UNTIL 4102444800000"),
];

/// Those that only read.
pub const READERS: [&str; 5] = ["SESSION.VALIDATE", "SESSION.GET", "SESSION.LIST", "SESSION.COUNT", "SESSION.TTL"];

/// A command for a key, with what else it must have.
pub fn on_key(command: &str, key: &str) -> String {
    let (_, more) = COMMANDS.iter().find(|(name, _)| *name == command).expect("a command of the list");
    format!("{command} {key} {more}").trim().to_owned()
}

/// Sets a setting at run time.
pub fn set(con: &mut Connection, name: &str, value: &str) -> RedisResult<Value> {
    cmd_args(con, ["CONFIG", "SET", name, value])
}

/// The error that setting a setting must get.
#[track_caller]
pub fn set_error(con: &mut Connection, name: &str, value: &str) -> String {
    match set(con, name, value) {
        Ok(_) => panic!("{name} accepted {value}"),
        Err(error) => error.to_string(),
    }
}

/// The value of a setting.
#[track_caller]
pub fn get(con: &mut Connection, name: &str) -> String {
    fields(cmd_args(con, ["CONFIG", "GET", name]).unwrap()).str(name)
}

/// A connection of the user `name`, whom these rules make.
#[track_caller]
pub fn user(server: &Server, name: &str, rules: &str) -> Connection {
    let mut con = server.connection();
    cmd(&mut con, &format!("ACL SETUSER {name} on >secret {rules}")).unwrap();
    cmd(&mut con, &format!("AUTH {name} secret")).unwrap();
    con
}

/// Whether the command is refused because the user lacks a permission.
#[track_caller]
pub fn is_denied(con: &mut Connection, line: &str) -> bool {
    match cmd(con, line) {
        Err(error) => error.code() == Some("NOPERM") || error.to_string().contains("NOPERM"),
        Ok(_) => false,
    }
}

/// The first word of the error that a command must get.
#[track_caller]
pub fn error_code(con: &mut Connection, line: &str) -> String {
    error(con, line).split(' ').next().unwrap_or_default().to_owned()
}
