//! SESSION.RELOADKEYS

use super::command::Command;
use super::grammar::{arguments, flag};
use super::keys;
use crate::ffi::{Call, Failure, KeyUse, Spec, log_notice};
use crate::state::{self, Load};

pub(crate) struct ReloadKeys;

arguments! {
    pub(super) struct Arguments {
        is_json: bool = flag("JSON"),
    }
}

impl Command for ReloadKeys {
    const SPEC: Spec = Spec {
        name: "SESSION.RELOADKEYS",
        summary: "Reads session.keys-file and session.issuers-file again, and returns what SESSION.KEYS does.",
        complexity: "O(N) where N is the number of keys",
        flags: "readonly admin",
        key: KeyUse::None,
    };

    type Arguments<'a> = Arguments;

    fn run(call: &Call<'_>, Arguments { is_json }: Arguments) -> Result<(), Failure> {
        let outcome = state::lock().load_keys(Load::Again);
        if let Err(why) = outcome {
            log_notice(&format!("session: SESSION.RELOADKEYS: the keys stay as they were: {why}"));
            return Err(Failure::invalid(why));
        }
        state::announce();
        call.reply_as(is_json, |to| keys::reply(to, &state::lock()))
    }
}
