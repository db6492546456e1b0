//! SESSION.KEYS

use redis_session_core::token::{IgnoredKey, Key};

use super::command::Command;
use super::grammar::{arguments, flag};
use crate::ffi::{Call, Failure, KeyUse, Reply, Spec};
use crate::key_file::Source;
use crate::state::{self, State};

pub(crate) struct Keys;

arguments! {
    pub(super) struct Arguments {
        is_json: bool = flag("JSON"),
    }
}

impl Command for Keys {
    const SPEC: Spec = Spec {
        name: "SESSION.KEYS",
        summary: "Returns the keys that sign and verify tokens here, and where they come from, but no secrets.",
        complexity: "O(N) where N is the number of keys",
        flags: "readonly allow-loading allow-stale",
        key: KeyUse::None,
    };

    type Arguments<'a> = Arguments;

    fn run(call: &Call<'_>, Arguments { is_json }: Arguments) -> Result<(), Failure> {
        call.reply_as(is_json, |to| reply(to, &state::lock()))
    }
}

/// The keys that are there, the own ones first.
pub(super) fn reply(reply: Reply<'_>, state: &State) -> Result<(), Failure> {
    let (file, issuers_file, loaded_at) = state.keys_origin();
    let ring = state.ring().ok_or_else(|| Failure::invalid("there are no keys"))?;
    let active = ring.signing_key();
    let others = state.issuers().iter().map(|issuer| (Some(issuer.iss().unwrap_or_default()), issuer.keys()));
    let rings: Vec<_> = std::iter::once((None, ring)).chain(others).collect();
    let has_changed = [file, issuers_file].into_iter().flatten().any(Source::has_changed);
    let reply = reply.map(6);
    reply.name("file").optional_text(file.map(|source| source.path.as_str()));
    reply.name("issuers_file").optional_text(issuers_file.map(|source| source.path.as_str()));
    reply.name("file_changed").boolean(has_changed);
    reply.name("loaded_at").time(loaded_at);
    reply.name("active_kid").optional_text(active.and_then(Key::kid));
    reply.name("keys").array(rings.iter().map(|(_, ring)| ring.keys().len() + ring.ignored().len()).sum());
    for (issuer, ring) in rings {
        ring.keys().for_each(|key| describe(reply, issuer, key, active));
        ring.ignored().for_each(|key| describe_ignored(reply, issuer, key));
    }
    Ok(())
}

fn describe(reply: Reply<'_>, issuer: Option<&str>, key: &Key, active: Option<&Key>) {
    let reply = reply.map(10);
    reply.name("issuer").optional_text(issuer);
    reply.name("kid").optional_text(key.kid());
    let is_active = active.is_some_and(|active| std::ptr::eq(active, key));
    reply.name("status").text(if is_active { "active" } else { "verifies" });
    reply.name("alg").text(key.algorithm().as_str());
    reply.name("kty").text(key.algorithm().key_type());
    reply.name("bits").count(key.bits());
    reply.name("can_sign").boolean(key.can_sign());
    reply.name("thumbprint").optional_text(key.thumbprint());
    reply.name("fingerprint").text(key.fingerprint());
    reply.name("ignored").null();
}

/// What it says of itself is not repeated: that was not understood, and may be anything.
fn describe_ignored(reply: Reply<'_>, issuer: Option<&str>, key: &IgnoredKey) {
    let reply = reply.map(10);
    reply.name("issuer").optional_text(issuer);
    reply.name("kid").optional_text(key.kid.as_deref());
    reply.name("status").text("ignored");
    for name in ["alg", "kty", "bits"] {
        reply.name(name).null();
    }
    reply.name("can_sign").boolean(false);
    for name in ["thumbprint", "fingerprint"] {
        reply.name(name).null();
    }
    reply.name("ignored").text(&key.why.to_string());
}
