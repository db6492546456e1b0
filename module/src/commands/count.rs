//! SESSION.COUNT

use super::command::Command;
use super::grammar::{arguments, key};
use super::user::{User, reading};
use crate::ffi::{Arg, Call, Failure, KeyUse, Spec};
use crate::stored::Sessions;

pub(crate) struct Count;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
    }
}

impl Command for Count {
    const SPEC: Spec = Spec {
        name: "SESSION.COUNT",
        summary: "Returns how many of the user's sessions are alive.",
        complexity: "O(N) where N is the number of the user's sessions",
        flags: "readonly",
        key: KeyUse::Reads,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, Arguments { key }: Arguments<'a>) -> Result<(), Failure> {
        let User { key, rules, .. } = reading(call, key)?;
        call.reply().count(key.sessions().map_or(0, |sessions| sessions.count(&rules)));
        Ok(())
    }
}
