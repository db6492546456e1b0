//! The keys of each server, and whether they are the same ones.

use std::fmt::Write as _;

use redis::{Connection, RedisResult};
use redis_session::{Key, KeyRing, SessionCommands as _};

use crate::Outcome;
use crate::deployment::Deployment;

/// What two servers have in common that take each other's tokens: the key that signs, and all keys, in no order.
pub(crate) fn identity(ring: &KeyRing) -> (Option<&str>, Vec<impl Ord>) {
    let of = |key: &Key| {
        let Key { issuer, kid, status, alg, fingerprint, .. } = key.clone();
        (issuer, kid, status, alg, fingerprint)
    };
    let mut keys: Vec<_> = ring.keys.iter().map(of).collect();
    keys.sort();
    (ring.active_kid.as_deref(), keys)
}

pub(crate) fn show(servers: &mut Deployment) -> Outcome {
    report(servers, "SESSION.KEYS", Connection::session_keys).0
}

pub(crate) fn reload(servers: &mut Deployment) -> Outcome {
    report(servers, "SESSION.RELOADKEYS", Connection::session_reload_keys).0
}

pub(crate) fn revoke(servers: &mut Deployment, kid: &str) -> Outcome {
    let (mut outcome, rings) = report(servers, "SESSION.RELOADKEYS", Connection::session_reload_keys);
    let mut left = 0;
    for (node, ring) in servers.nodes.iter().zip(&rings) {
        let has_it = ring
            .as_ref()
            .is_none_or(|ring| ring.keys.iter().any(|key| key.kid.as_deref() == Some(kid) && key.issuer.is_none()));
        if has_it {
            left += 1;
            let file = ring.as_ref().and_then(|ring| ring.file.as_deref()).unwrap_or("its key file");
            let _ = writeln!(outcome.text, "{} still takes tokens of {kid}: take it out of {file} there", node.address);
        }
    }
    if left == 0 && servers.away.is_empty() {
        let _ = writeln!(
            outcome.text,
            "No server takes a token of {kid}. Who had the key may have got other tokens with it:\n    \
             redis-session-admin everyone-out"
        );
    }
    outcome.is_well &= left == 0;
    outcome
}

/// Replicas first: so no primary signs with a key that others do not know yet.
fn report(
    servers: &mut Deployment,
    command: &str,
    ask: impl Fn(&mut Connection) -> RedisResult<KeyRing>,
) -> (Outcome, Vec<Option<KeyRing>>) {
    let mut outcome = Outcome { text: servers.absent(), is_well: servers.away.is_empty() };
    let mut rings = Vec::new();
    for node in servers.nodes.iter_mut().rev() {
        let ring = ask(&mut node.connection);
        if let Err(why) = &ring {
            outcome.is_well = false;
            let _ = writeln!(outcome.text, "{}: {command}: {why}", node.address);
        }
        rings.push(ring.ok());
    }
    rings.reverse();
    for (node, ring) in servers.nodes.iter().zip(&rings) {
        let Some(ring) = ring else { continue };
        let file = ring.file.as_deref().unwrap_or("no file: a random key");
        let changed = if ring.file_changed { ", which has changed since it was read: keys reload" } else { "" };
        let _ = writeln!(outcome.text, "{} {}: {file}{changed}", node.address, node.role());
        for key in &ring.keys {
            let of = key.issuer.as_ref().map(|issuer| format!(" of {issuer}")).unwrap_or_default();
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let [alg, kid, fingerprint] = [&key.alg, &key.kid, &key.fingerprint].map(or_dash);
            let _ = writeln!(outcome.text, "    {:<9} {alg:<6} {kid} {fingerprint}{of}", key.status);
        }
    }
    let mut identities: Vec<_> = rings.iter().flatten().map(identity).collect();
    identities.sort();
    identities.dedup();
    let different = identities.len();
    drop(identities);
    match different {
        0 => {}
        1 => outcome.text.push_str("All servers that answered have the same keys.\n"),
        n => {
            outcome.is_well = false;
            let _ = writeln!(
                outcome.text,
                "THE SERVERS DIFFER: there are {n} sets of keys. Copy one file to all, then keys reload."
            );
        }
    }
    (outcome, rings)
}
