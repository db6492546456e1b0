//! SESSION.JWKS

use super::command::Command;
use super::grammar::{arguments, flag};
use crate::ffi::{Call, Failure, KeyUse, Spec};
use crate::state;

pub(crate) struct Jwks;

arguments! {
    pub(super) struct Arguments {
        has_issuers: bool = flag("ALL"),
    }
}

impl Command for Jwks {
    const SPEC: Spec = Spec {
        name: "SESSION.JWKS",
        summary: "Returns the public keys that check the JWTs made here, as a JWK Set for /.well-known/jwks.json.",
        complexity: "O(N) where N is the number of keys",
        flags: "readonly allow-loading allow-stale",
        key: KeyUse::NoneForAll,
    };

    type Arguments<'a> = Arguments;

    fn run(call: &Call<'_>, Arguments { has_issuers }: Arguments) -> Result<(), Failure> {
        let state = state::lock();
        let ring = state.ring().ok_or_else(|| Failure::invalid("there are no keys"))?;
        let set = if has_issuers { state.public_jwks() } else { ring.public_jwks() };
        call.reply().text(&set);
        Ok(())
    }
}
