//! The user that a command is about: what every command with a key begins with.

use std::sync::MutexGuard;

use redis_session_core::Subject;
use redis_session_core::sessions::Rules;

use crate::ffi::{Arg, Call, Failure};
use crate::state::{self, State};
use crate::stored::{KeyForReading, KeyForWriting};

/// A user's key and all that decisions about it need.
pub(super) struct User<'a, K> {
    pub(super) subject: Subject<'a>,
    pub(super) key: K,
    pub(super) rules: Rules,
    /// Locked: to be dropped before anything is committed.
    pub(super) state: MutexGuard<'static, State>,
}

/// The user whose sessions are at `name`, to look at.
pub(super) fn reading<'a>(call: &Call<'a>, name: Arg<'a>) -> Result<User<'a, KeyForReading<'a>>, Failure> {
    user(name, call.open_for_reading(name)?)
}

/// The user whose sessions are at `name`, to change.
pub(super) fn writing<'a>(call: &Call<'a>, name: Arg<'a>) -> Result<User<'a, KeyForWriting<'a>>, Failure> {
    user(name, call.open_for_writing(name)?)
}

fn user<'a, K>(name: Arg<'a>, key: K) -> Result<User<'a, K>, Failure> {
    let mut state = state::lock();
    let subject = state.settings.subject_of(name.bytes())?;
    let rules = state.rules();
    Ok(User { subject, key, rules, state })
}
