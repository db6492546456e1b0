//! SESSION.JWKS

use super::command::Command;
use crate::ffi::{Call, Failure, KeyUse, Spec};
use crate::state;

pub(crate) struct Jwks;

impl Command for Jwks {
    const SPEC: Spec = Spec {
        name: "SESSION.JWKS",
        summary: "Returns the public keys that check the JWTs made here, as a JWK Set for /.well-known/jwks.json.",
        complexity: "O(N) where N is the number of keys",
        flags: "readonly allow-loading allow-stale",
        key: KeyUse::NoneForAll,
    };

    type Arguments<'a> = ();

    fn run(call: &Call<'_>, (): ()) -> Result<(), Failure> {
        let state = state::lock();
        let ring = state.ring().ok_or_else(|| Failure::invalid("there are no keys"))?;
        call.reply().text(&ring.public_jwks());
        Ok(())
    }
}
