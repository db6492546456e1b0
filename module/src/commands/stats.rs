//! SESSION.STATS

use super::command::Command;
use super::grammar::{arguments, flag};
use crate::ffi::{Call, Failure, KeyUse, Spec};
use crate::stats::figures;

pub(crate) struct Stats;

arguments! {
    pub(super) struct Arguments {
        is_json: bool = flag("JSON"),
    }
}

impl Command for Stats {
    const SPEC: Spec = Spec {
        name: "SESSION.STATS",
        summary: "Returns what is stored on this server and what has happened since it started.",
        complexity: "O(1)",
        flags: "readonly fast allow-loading allow-stale",
        key: KeyUse::None,
    };

    type Arguments<'a> = Arguments;

    fn run(call: &Call<'_>, Arguments { is_json }: Arguments) -> Result<(), Failure> {
        let figures = figures();
        call.reply_as(is_json, |reply| {
            reply.map(figures.len());
            for (name, value) in &figures {
                reply.any_name(name).integer(i64::try_from(*value).unwrap_or(i64::MAX));
            }
            Ok(())
        })
    }
}
