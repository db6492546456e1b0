//! SESSION.APPLY

use super::command::Command;
use super::grammar::{arguments, key, value};
use super::kinds::Effects;
use crate::commit;
use crate::ffi::{Arg, Call, Failure, KeyUse, Spec};

/// What other commands did, for replicas and append-only files. It decides nothing and looks at no clock or setting.
pub(crate) struct Apply;

arguments! {
    pub(super) struct Arguments<'a> {
        key: Arg<'a> = key(),
        effects: &'a [u8] = value("effects", Effects),
    }
}

impl Command for Apply {
    const SPEC: Spec = Spec {
        name: "SESSION.APPLY",
        summary: "Internal: carries out on replicas and from append-only files what other commands decided.",
        complexity: "O(N) where N is the number of effects",
        flags: "write no-monitor no-slowlog",
        key: KeyUse::Inserts,
    };

    type Arguments<'a> = Arguments<'a>;

    fn run<'a>(call: &Call<'a>, Arguments { key, effects }: Arguments<'a>) -> Result<(), Failure> {
        if !call.is_replay() {
            return Err(Failure::invalid("SESSION.APPLY is for replication and append-only files, not for clients"));
        }
        let mut sessions = call.open_for_writing(key)?;
        let outcome = commit::apply(&mut sessions, effects);
        // On to this server's own replicas and append-only file, unchanged. They may understand more than this server.
        sessions.replicate(effects);
        let count = outcome.map_err(|why| Failure::invalid(format!("effects: {why}")))?;
        call.reply().count(count);
        Ok(())
    }
}
