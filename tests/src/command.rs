//! Commands, written as in the documentation.

use redis::{Cmd, ConnectionLike, RedisResult, Value};

/// Sends a command written as one line, split at spaces: `cmd(&mut con, "SESSION.COUNT sessions:42")`.
///
/// For arguments with spaces, empty ones and raw bytes see [`cmd_args`].
pub fn cmd(con: &mut impl ConnectionLike, line: &str) -> RedisResult<Value> {
    cmd_args(con, line.split_whitespace())
}

/// Sends a command given as separate arguments, each of any bytes:
/// `cmd_args(&mut con, ["SESSION.CREATE", "sessions:42", "AGENT", "two words"])`.
pub fn cmd_args<A: AsRef<[u8]>>(
    con: &mut impl ConnectionLike,
    args: impl IntoIterator<Item = A>,
) -> RedisResult<Value> {
    let mut cmd = Cmd::new();
    for arg in args {
        cmd.arg(arg.as_ref());
    }
    cmd.query(con)
}
