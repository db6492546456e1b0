//! The keys of each server, and whether they are the same ones.

use std::fmt::Write as _;

use serde_json::Value;

use crate::deployment::{Deployment, Node};
use crate::info;
use crate::{Failure, Outcome};

/// What makes two servers take each other's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    pub(crate) file: Option<String>,
    pub(crate) has_changed: bool,
    pub(crate) active: Option<String>,
    pub(crate) keys: Vec<RingKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RingKey {
    pub(crate) issuer: Option<String>,
    pub(crate) kid: String,
    pub(crate) status: String,
    alg: String,
    fingerprint: String,
}

impl Ring {
    pub(crate) fn read(reply: &Value) -> Self {
        let string = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let keys = reply.get("keys").and_then(Value::as_array).into_iter().flatten().map(|key| RingKey {
            issuer: string(key, "issuer"),
            kid: string(key, "kid").unwrap_or_else(|| "-".to_owned()),
            status: string(key, "status").unwrap_or_default(),
            alg: string(key, "alg").unwrap_or_else(|| "-".to_owned()),
            fingerprint: string(key, "fingerprint").unwrap_or_else(|| "-".to_owned()),
        });
        Self {
            file: string(reply, "file"),
            has_changed: reply.get("file_changed").and_then(Value::as_bool).unwrap_or(false),
            active: string(reply, "active_kid"),
            keys: keys.collect(),
        }
    }

    /// What must be the same everywhere, in no order.
    pub(crate) fn identity(&self) -> (Option<String>, Vec<String>) {
        let mut keys: Vec<String> = self.keys.iter().map(|key| format!("{key:?}")).collect();
        keys.sort();
        (self.active.clone(), keys)
    }
}

pub(crate) fn show(servers: &mut Deployment) -> Outcome {
    report(servers, "SESSION.KEYS").0
}

pub(crate) fn reload(servers: &mut Deployment) -> Outcome {
    report(servers, "SESSION.RELOADKEYS").0
}

pub(crate) fn revoke(servers: &mut Deployment, kid: &str) -> Outcome {
    let (mut outcome, rings) = report(servers, "SESSION.RELOADKEYS");
    let mut left = 0;
    for (node, ring) in servers.nodes.iter().zip(&rings) {
        let has_it =
            ring.as_ref().is_none_or(|ring| ring.keys.iter().any(|key| key.kid == kid && key.issuer.is_none()));
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

/// What a server has after this command.
fn ring(node: &mut Node, command: &str) -> Result<Ring, Failure> {
    redis::cmd(command).exec(&mut node.connection)?;
    Ok(Ring::read(&info::json(&mut node.connection, &["SESSION.KEYS"])?))
}

/// Replicas first: so no primary signs with a key that others do not know yet.
fn report(servers: &mut Deployment, command: &str) -> (Outcome, Vec<Option<Ring>>) {
    let mut outcome = Outcome { text: servers.absent(), is_well: servers.away.is_empty() };
    let mut read = |node: &mut Node| match ring(node, command) {
        Ok(ring) => Some(ring),
        Err(why) => {
            outcome.is_well = false;
            let _ = writeln!(outcome.text, "{}: {command}: {why}", node.address);
            None
        }
    };
    let mut rings: Vec<Option<Ring>> = servers.nodes.iter_mut().rev().map(&mut read).collect();
    rings.reverse();
    for (node, ring) in servers.nodes.iter().zip(&rings) {
        let Some(ring) = ring else { continue };
        let file = ring.file.as_deref().unwrap_or("no file: a random key");
        let changed = if ring.has_changed { ", which has changed since it was read: keys reload" } else { "" };
        let _ = writeln!(outcome.text, "{} {}: {file}{changed}", node.address, node.role());
        for key in &ring.keys {
            let of = key.issuer.as_ref().map(|issuer| format!(" of {issuer}")).unwrap_or_default();
            let RingKey { kid, status, alg, fingerprint, .. } = key;
            let _ = writeln!(outcome.text, "    {status:<9} {alg:<6} {kid} {fingerprint}{of}");
        }
    }
    let mut identities: Vec<_> = rings.iter().flatten().map(Ring::identity).collect();
    identities.sort();
    identities.dedup();
    match identities.len() {
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
