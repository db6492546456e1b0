//! SESSION.RELOADKEYS

use super::command::Command;
use super::keys;
use crate::ffi::{Call, Failure, KeyUse, Spec, log_notice};
use crate::state::{self, Load};

pub(crate) struct ReloadKeys;

impl Command for ReloadKeys {
    const SPEC: Spec = Spec {
        name: "SESSION.RELOADKEYS",
        summary: "Reads session.keys-file and session.issuers-file again, and returns what SESSION.KEYS does.",
        complexity: "O(N) where N is the number of keys",
        flags: "readonly admin",
        key: KeyUse::None,
    };

    type Arguments<'a> = ();

    fn run(call: &Call<'_>, (): ()) -> Result<(), Failure> {
        let outcome = state::lock().load_keys(Load::Again);
        if let Err(why) = outcome {
            log_notice(&format!("session: SESSION.RELOADKEYS: the keys stay as they were: {why}"));
            return Err(Failure::invalid(why));
        }
        state::announce();
        keys::reply(call.reply(), &state::lock())
    }
}
