//! The server's error codes, and error texts that show no argument of a command.

use std::fmt;
use std::io;

use redis::{Arg, Cmd, ErrorKind, RedisError, make_extension_error};

/// The error codes of the module: the first word of an error reply.
///
/// A bad credential is not an error: it is [`Validation::Inactive`](crate::Validation::Inactive). Errors mean misuse.
/// Their codes are stable; their texts, in [`RedisError::detail`], are for people.
///
/// ```no_run
/// use redis_session::{CreateOptions, LimitPolicy, SessionCommands, SessionErrorCode};
///
/// # fn main() -> redis::RedisResult<()> {
/// # let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
/// let at_most_three = CreateOptions::new().max_sessions(3).limit_policy(LimitPolicy::Reject);
/// match redis.session_create("sessions:42", &at_most_three) {
///     Ok(session) => println!("welcome, session {}", session.id),
///     Err(error) if SessionErrorCode::of(&error) == Some(SessionErrorCode::SessionLimit) => {
///         println!("log out on another device first");
///     }
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionErrorCode {
    /// `ERR`: the server does not accept an argument. The error's text names it.
    Invalid,
    /// `WRONGTYPE`: the key holds something other than sessions.
    WrongType,
    /// `SESSIONLIMIT`: the user has as many live sessions as [`LimitPolicy::Reject`](crate::LimitPolicy::Reject)
    /// allows.
    SessionLimit,
    /// `SESSIONEXISTS`: a live session has the id that [`CreateOptions::id`](crate::CreateOptions::id) gave.
    SessionExists,
    /// `NOSESSION`: the session to change is not alive.
    NoSession,
    /// `CONFLICT`: the session's data has another version than
    /// [`session_set_version`](crate::SessionCommands::session_set_version) expects. Nothing was changed.
    Conflict,
    /// `NOSIGNINGKEY`: the key ring has no key that can sign, so no token can be made.
    NoSigningKey,
    /// The server does not know the command: it is a Redis without the module, as after a restart or a failover.
    /// Nothing was done, and no session can be checked until the module is loaded. The server's own text repeats the
    /// arguments, including tokens; [`redact`] removes it.
    ModuleMissing,
}

impl SessionErrorCode {
    const ALL: [Self; 8] = [
        Self::Invalid,
        Self::WrongType,
        Self::SessionLimit,
        Self::SessionExists,
        Self::NoSession,
        Self::Conflict,
        Self::NoSigningKey,
        Self::ModuleMissing,
    ];

    /// The code of `error`. `None` if it has none of these: for example a lost connection, a redirect of a cluster, or
    /// a reply that could not be read. For a pipeline's error, the first of these codes among its failed commands.
    #[must_use]
    pub fn of(error: &RedisError) -> Option<Self> {
        error.code().and_then(|code| Self::from_reply(code, error.detail())).or_else(|| {
            let failed = error.clone().into_server_errors()?;
            failed.iter().find_map(|(_, error)| Self::from_reply(error.code(), error.details()))
        })
    }

    /// The code as the server writes it. `MODULEMISSING` is this crate's own.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "ERR",
            Self::WrongType => "WRONGTYPE",
            Self::SessionLimit => "SESSIONLIMIT",
            Self::SessionExists => "SESSIONEXISTS",
            Self::NoSession => "NOSESSION",
            Self::Conflict => "CONFLICT",
            Self::NoSigningKey => "NOSIGNINGKEY",
            Self::ModuleMissing => "MODULEMISSING",
        }
    }

    fn from_reply(code: &str, text: Option<&str>) -> Option<Self> {
        if code == "ERR" && text.is_some_and(is_of_unknown_command) {
            return Some(Self::ModuleMissing);
        }
        Self::ALL.into_iter().find(|known| known.as_str() == code)
    }
}

/// Redis: ``ERR unknown command 'SESSION.VALIDATE', with args beginning with: 'sessions:42' 'eyJ...``.
fn is_of_unknown_command(text: &str) -> bool {
    text.get(..15).is_some_and(|start| start.eq_ignore_ascii_case("unknown command"))
}

/// What to do if the server does not know the commands.
const MODULE_MISSING: &str = "the server does not have the redis-session module: load it (`loadmodule` in redis.conf), \
                              on every server that can become the primary";

/// Removes the arguments of a command that the server repeats, so that you can log the error.
///
/// The methods of [`SessionCommands`](crate::SessionCommands) do this by themselves. Call it for pipelines and for
/// commands that you send by hand: a server without the module answers with the arguments, and a token among them is
/// good again as soon as the module is loaded. Of a pipeline's errors, the first of the server's stays.
///
/// ```no_run
/// use redis_session::commands::session_count;
/// use redis_session::redact;
///
/// # fn main() -> redis::RedisResult<()> {
/// # let mut redis = redis::Client::open("redis://127.0.0.1/")?.get_connection()?;
/// let (devices,): (u64,) =
///     redis::pipe().add_command(session_count("sessions:42")).query(&mut redis).map_err(redact)?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn redact(error: RedisError) -> RedisError {
    let Some(failed) = error.clone().into_server_errors() else { return error };
    let Some((_, first)) = failed.first() else { return error };
    match SessionErrorCode::from_reply(first.code(), first.details()) {
        Some(SessionErrorCode::ModuleMissing) => {
            make_extension_error(SessionErrorCode::ModuleMissing.as_str().to_owned(), Some(MODULE_MISSING.to_owned()))
        }
        _ => first.clone().into(),
    }
}

/// The same for an error of this command: removes every text that contains one of its arguments.
pub(crate) fn redact_of(command: &Cmd, error: RedisError) -> RedisError {
    if error.kind() == ErrorKind::Parse {
        // As when the connection ends within a reply: the command may have been carried out.
        return io::Error::new(io::ErrorKind::InvalidData, "what the server sent is no reply").into();
    }
    let error = redact(error);
    let Some(text) = error.detail() else { return error };
    let mut arguments = command.args_iter().skip(1).filter_map(|arg| match arg {
        Arg::Simple(arg) => Some(arg),
        _ => None,
    });
    if !arguments.any(|arg| is_repeated(arg, text.as_bytes())) {
        return error;
    }
    let text = "(the text is left out, as it repeats an argument)".to_owned();
    match (error.kind(), error.code()) {
        (ErrorKind::Extension, Some(code)) => make_extension_error(code.to_owned(), Some(text)),
        (kind @ ErrorKind::Server(_), _) => (kind, "an error was signalled by the server", text).into(),
        (kind, _) => (kind, "the command failed", text).into(),
    }
}

/// Whether the text contains the argument, or its first part where servers cut. Texts of less than eight bytes, such as
/// the names of options, are not secret.
fn is_repeated(argument: &[u8], text: &[u8]) -> bool {
    let start = argument.get(..16).unwrap_or(argument);
    start.len() >= 8 && text.windows(start.len()).any(|part| part == start)
}

impl fmt::Display for SessionErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scripted;

    #[test]
    fn every_code_is_recognised_in_a_reply() {
        for code in SessionErrorCode::ALL {
            let error = redis::cmd("SESSION.X")
                .exec(&mut Scripted::wire(&format!("-{code} the text behind it\r\n")))
                .unwrap_err();
            assert_eq!(SessionErrorCode::of(&error), Some(code));
            assert_eq!(error.detail(), Some("the text behind it"));
        }
    }

    #[test]
    fn other_errors_have_no_code() {
        let refused = RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(SessionErrorCode::of(&refused), None);
        assert_eq!(SessionErrorCode::of(&RedisError::from((ErrorKind::Parse, "no reply"))), None);
        assert_eq!(SessionErrorCode::of(&make_extension_error("SOMETHINGNEW".into(), None)), None);
    }

    #[test]
    fn the_first_known_code_of_a_failed_pipeline_is_its_code() {
        let mut connection = Scripted::wire("*3\r\n:1\r\n-LATER x\r\n-SESSIONLIMIT too many\r\n");
        let error = redis::pipe()
            .add_command(redis::cmd("SESSION.COUNT"))
            .add_command(redis::cmd("SESSION.CREATE"))
            .add_command(redis::cmd("SESSION.CREATE"))
            .exec(&mut connection)
            .unwrap_err();
        assert_eq!(SessionErrorCode::of(&error), Some(SessionErrorCode::SessionLimit));
    }

    const UNKNOWN: [&str; 4] = [
        "-ERR unknown command 'SESSION.TOUCH', with args beginning with: 'sessions:42' 'eyJhbGciOiJIUzI1NiJ9.e30.AA' \r\n",
        "-ERR unknown command `SESSION.TOUCH`, with args beginning with: `sessions:42`, `eyJhbGciOiJIUzI1NiJ9.e30.AA`, \r\n",
        "-ERR Unknown command 'SESSION.TOUCH sessions:42 eyJhbGciOiJIUzI1NiJ9.e30.AA'\r\n",
        "-ERR unknown command\r\n",
    ];

    #[test]
    fn a_server_without_the_module_is_recognised_and_its_text_is_replaced() {
        for reply in UNKNOWN {
            let raw = redis::cmd("SESSION.TOUCH").exec(&mut Scripted::wire(reply)).unwrap_err();
            assert_eq!(SessionErrorCode::of(&raw), Some(SessionErrorCode::ModuleMissing), "{raw}");
            let error = redact(raw);
            assert_eq!(SessionErrorCode::of(&error), Some(SessionErrorCode::ModuleMissing), "{error}");
            assert!(error.to_string().contains("loadmodule") && !error.to_string().contains("eyJ"), "{error}");
            assert_eq!(redact(error.clone()), error);
        }
        let mut connection = Scripted::wire(&format!("*2\r\n:1\r\n{}", UNKNOWN[0]));
        let raw = redis::pipe().cmd("A").cmd("B").exec(&mut connection).unwrap_err();
        assert!(raw.to_string().contains("eyJ"), "or there is nothing to take away");
        assert_eq!(SessionErrorCode::of(&redact(raw)), Some(SessionErrorCode::ModuleMissing));
    }

    #[test]
    fn a_text_that_repeats_an_argument_is_left_out() {
        let token = "rst1.NDI.AAECAwQFBgcICQoLDA0ODw.c2ln";
        for (reply, code, is_kept) in [
            (format!("-ERR what is {token}?\r\n"), "ERR", false),
            ("-ODD rst1.NDI.AAECAwQFBgcI...\r\n".to_owned(), "ODD", false),
            (format!("-NOPERM no {token}\r\n"), "NOPERM", false),
            ("-ERR unknown option TTL of 42\r\n".to_owned(), "ERR", true),
            ("-NOPERM this user has no permissions\r\n".to_owned(), "NOPERM", true),
        ] {
            let mut command = redis::cmd("SESSION.TOUCH");
            command.arg("42").arg(token).arg("TTL");
            let raw = command.exec(&mut Scripted::wire(&reply)).unwrap_err();
            let error = redact_of(&command, raw.clone());
            assert_eq!((error.kind(), error.code()), (raw.kind(), Some(code)), "{error}");
            assert_eq!(error.detail() == raw.detail(), is_kept, "{error}");
            assert!(!format!("{error} {error:?}").contains("NDI"), "{error}");
        }
    }

    #[test]
    fn a_lost_connection_stays_what_it_is() {
        let lost = || RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        let error = redact_of(&redis::cmd("SESSION.TOUCH"), lost());
        assert!(error.is_connection_dropped() && error.kind() == ErrorKind::Io);
        let odd = RedisError::from((ErrorKind::Parse, "odd", "a token".to_owned()));
        let error = redact_of(&redis::cmd("SESSION.TOUCH"), odd);
        assert!(error.kind() == ErrorKind::Io && !error.to_string().contains("token"), "{error}");
    }
}
