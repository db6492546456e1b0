//! The error codes that the server answers with.

use std::fmt;

use redis::RedisError;

/// What the server refused, by the first word of its error reply.
///
/// A bad credential is no error: it is [`Validation::Inactive`](crate::Validation::Inactive). Errors are for
/// misuse, and their codes are stable; their texts, in [`RedisError::detail`], are for people.
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
    /// `ERR`: an argument that the server does not take, named in the error's text; or, where the module is not
    /// loaded, an unknown command.
    Invalid,
    /// `WRONGTYPE`: the key holds something other than sessions.
    WrongType,
    /// `SESSIONLIMIT`: the user has as many live sessions as [`LimitPolicy::Reject`](crate::LimitPolicy::Reject)
    /// allows.
    SessionLimit,
    /// `SESSIONEXISTS`: the id that [`CreateOptions::id`](crate::CreateOptions::id) brought is that of a live session.
    SessionExists,
    /// `NOSESSION`: the session to be changed is not alive.
    NoSession,
    /// `NOSIGNINGKEY`: the key ring has no key that can sign, so no token can be made.
    NoSigningKey,
}

impl SessionErrorCode {
    const ALL: [Self; 6] =
        [Self::Invalid, Self::WrongType, Self::SessionLimit, Self::SessionExists, Self::NoSession, Self::NoSigningKey];

    /// The code of `error`, or `None` if it is none of these: a lost connection, a redirect of a cluster, a
    /// reply that could not be read. For a pipeline's error, the first of these among its failed commands.
    #[must_use]
    pub fn of(error: &RedisError) -> Option<Self> {
        error.code().and_then(Self::from_code).or_else(|| {
            let failed = error.clone().into_server_errors()?;
            failed.iter().find_map(|(_, error)| Self::from_code(error.code()))
        })
    }

    /// The code as the server writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "ERR",
            Self::WrongType => "WRONGTYPE",
            Self::SessionLimit => "SESSIONLIMIT",
            Self::SessionExists => "SESSIONEXISTS",
            Self::NoSession => "NOSESSION",
            Self::NoSigningKey => "NOSIGNINGKEY",
        }
    }

    fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == code)
    }
}

impl fmt::Display for SessionErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use redis::{ErrorKind, make_extension_error};

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
}
