//! What must be the same on all servers: the module, settings, keys, clocks.

use redis_session_core::agreement::EACH_ITS_OWN;

use crate::facts::{Facts, Finding, Seen};
use crate::info::{number, text};
use crate::keys::identity;

/// A difference of the clocks by which a deadline is another.
const CLOCK_MS: i64 = 1000;

pub(crate) fn check(seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(first) = seen.servers.iter().find(|server| server.module.is_some()) else {
        return seen.servers.iter().map(without_module).collect();
    };
    for server in &seen.servers {
        let Some(module) = server.module else {
            findings.push(without_module(server));
            continue;
        };
        let of = &first.address;
        if first.module != Some(module) {
            let other = first.module.unwrap_or_default();
            findings.push(server.finding(
                format!("has version {module} of the module, {of} has {other}"),
                "install the same package there, and restart it: replicas first (docs/runbooks/upgrade.md)",
            ));
        }
        let own = |name: &str| name.strip_prefix("session.").is_none_or(|name| EACH_ITS_OWN.contains(&name));
        for (name, value) in server.settings.iter().filter(|(name, _)| !own(name)) {
            let expected = text(&first.settings, name);
            if value != expected && first.settings.contains_key(name) {
                findings.push(
                    server.finding(format!("{name} is {value:?}, on {of} {expected:?}"), server.set(name, expected)),
                );
            }
        }
        keys(first, server, &mut findings);
        let apart = server.clock_ahead_ms.saturating_sub(first.clock_ahead_ms);
        if apart.abs() > CLOCK_MS {
            findings.push(server.finding(
                format!(
                    "its clock is {:.1} s {} that of {of}",
                    apart.abs() as f64 / 1000.0,
                    if apart > 0 { "ahead of" } else { "behind" }
                ),
                "timedatectl set-ntp true",
            ));
        }
        let failures = number(&server.info, "session_apply_failures");
        if failures > 0 {
            findings.push(server.finding(
                format!("could not read {failures} changes: their users are closed here (session_apply_failures)"),
                "install the primary's version of the module; stop the server, delete its RDB file and its append-only \
                 file, and start it (docs/operations.md, Upgrades)",
            ));
        }
    }
    findings
}

fn without_module(server: &Facts) -> Finding {
    server.finding(
        "has no module, so it has no sessions, and WAIT counts it all the same",
        "add a line loadmodule with the module's path to its configuration file, and restart it",
    )
}

fn keys(first: &Facts, server: &Facts, findings: &mut Vec<Finding>) {
    let (Some(here), Some(there)) = (&server.keys, &first.keys) else { return };
    if here.file.is_none() {
        findings.push(server.finding(
            "signs with a random key: its tokens end with the next start, and no other server takes them",
            format!(
                "redis-session-keys new --alg EdDSA FILE, the same file on all servers; then {}",
                server.set("session.keys-file", "FILE")
            ),
        ));
    } else if here.file_changed {
        findings.push(
            server.finding(
                "its files of keys or issuers have changed since it read them",
                server.cli("SESSION.RELOADKEYS"),
            ),
        );
    }
    if here.active_kid.is_none() {
        findings.push(server.finding(
            "no key can sign: logins fail with NOSIGNINGKEY",
            "redis-session-keys rotate FILE, then redis-session-admin keys reload",
        ));
    }
    if here.file.is_some() && there.file.is_some() && identity(here) != identity(there) {
        let of = &first.address;
        let what = if here.active_kid == there.active_kid {
            format!(
                "has other keys than {of}, or other issuers: users are logged out when they come from one to the other"
            )
        } else {
            let name = |kid: &Option<String>| kid.clone().unwrap_or_else(|| "none".to_owned());
            format!("signs with {}, {of} with {}", name(&here.active_kid), name(&there.active_kid))
        };
        findings.push(server.finding(
            what,
            format!(
                "copy the file of {of} there, and the same session.active-kid; then redis-session-admin keys reload"
            ),
        ));
    }
}
