//! Asking for what these tests ask for most.

use std::fmt::Display;
use std::time::Duration;

use redis::ConnectionLike;
use redis_session_core::base64url;
use redis_session_tests::{Fields, ask, cmd, fields};

/// The user's sessions that most tests are about.
pub(crate) const KEY: &str = "sessions:42";

/// The fields of a reply that hands out tokens.
pub(crate) const GRANT: [&str; 9] = [
    "id",
    "expires_at",
    "token",
    "token_expires_at",
    "refresh_token",
    "refresh_expires_at",
    "evicted",
    "new_ip",
    "new_device",
];

/// A command, written as one line, that hands out tokens.
#[track_caller]
pub(crate) fn grant(con: &mut impl ConnectionLike, line: &str) -> Fields {
    let granted = ask(con, line);
    assert_eq!(granted.names(), GRANT, "{line}: {granted:?}");
    granted
}

/// SESSION.REFRESH of user 42 with these arguments, which is granted.
#[track_caller]
pub(crate) fn refresh(con: &mut impl ConnectionLike, arguments: &str) -> Fields {
    grant(con, &format!("SESSION.REFRESH {KEY} {arguments}"))
}

/// What a command that hands out tokens answers: `granted`, or the reason why not.
#[track_caller]
pub(crate) fn outcome(con: &mut impl ConnectionLike, line: &str) -> String {
    let answer = ask(con, line);
    if answer.has("active") {
        assert_eq!(answer.names(), ["active", "reason"]);
        assert!(!answer.bool("active"));
        return answer.str("reason");
    }
    assert_eq!(answer.names(), GRANT);
    "granted".to_owned()
}

/// What SESSION.REFRESH of user 42 answers to a token: `granted`, or the reason why not.
#[track_caller]
pub(crate) fn refreshed(con: &mut impl ConnectionLike, token: impl Display) -> String {
    outcome(con, &format!("SESSION.REFRESH {KEY} {token}"))
}

/// A live session of user 42.
#[track_caller]
pub(crate) fn session(con: &mut impl ConnectionLike, id: &str) -> Fields {
    ask(con, &format!("SESSION.GET {KEY} {id}"))
}

/// CONFIG SET with these names and values.
#[track_caller]
pub(crate) fn set(con: &mut impl ConnectionLike, settings: &str) {
    if let Err(error) = cmd(con, &format!("CONFIG SET {settings}")) {
        panic!("{settings}: {error}");
    }
}

/// A span of time by which tests move the clock.
pub(crate) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// How many rotations came before a refresh token.
pub(crate) fn generation(token: &str) -> u32 {
    let part = token.split('.').nth(3).expect("five parts");
    let bytes = base64url::decode(part.as_bytes()).expect("base64url");
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

/// The two tokens of a reply.
pub(crate) fn pair(granted: &Fields) -> (String, String) {
    (granted.str("token"), granted.str("refresh_token"))
}

/// What the server answered to a command that may be refused, to be compared.
pub(crate) fn answer_of(con: &mut impl ConnectionLike, line: &str) -> Result<Fields, String> {
    cmd(con, line).map(fields).map_err(|error| redis_session_tests::error_text(&error))
}
