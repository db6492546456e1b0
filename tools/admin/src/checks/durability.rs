//! What loses sessions or logouts: persistence, eviction, replication.

use crate::deployment::Kind;
use crate::facts::{Facts, Finding, Seen};
use crate::info::{number, text};

pub(crate) fn check(seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    for server in &seen.servers {
        alone(server, &mut findings);
        replicated(seen, server, &mut findings);
    }
    findings
}

fn alone(server: &Facts, findings: &mut Vec<Finding>) {
    let (info, settings) = (&server.info, &server.settings);
    if text(settings, "appendonly") == "no" {
        findings.push(server.finding(
            "has no append-only file: a restart loses what came after the last snapshot, logouts among it",
            server.set("appendonly", "yes"),
        ));
    } else if text(settings, "appendfsync") == "no" {
        findings.push(server.finding(
            "leaves it to the system when the append-only file is on the disk: a power cut loses half a minute",
            server.set("appendfsync", "everysec"),
        ));
    }
    for (field, what) in [
        ("aof_last_write_status", "append-only file"),
        ("aof_last_bgrewrite_status", "rewritten log"),
        ("rdb_last_bgsave_status", "snapshot"),
    ] {
        if text(info, field) == "err" {
            findings.push(server.finding(
                format!("could not write its last {what}"),
                format!("df -h {}; its log says why", text(settings, "dir")),
            ));
        }
    }
    let policy = text(settings, "maxmemory-policy");
    if policy != "noeviction" {
        findings.push(server.finding(
            format!("logs users out when memory is short: maxmemory-policy is {policy}"),
            server.set("maxmemory-policy", "noeviction"),
        ));
    }
    if number(info, "evicted_keys") > 0 {
        findings.push(server.finding(
            format!("has evicted {} keys, each a user who was logged out", number(info, "evicted_keys")),
            "raise maxmemory, by redis-session-admin plan; CONFIG RESETSTAT ends this finding",
        ));
    }
    if number(settings, "maxmemory") == 0 {
        findings.push(server.finding(
            "has no limit of memory: the kernel may end it",
            server.set("maxmemory", "BYTES (redis-session-admin plan)"),
        ));
    }
}

fn replicated(seen: &Seen, server: &Facts, findings: &mut Vec<Finding>) {
    let (info, settings) = (&server.info, &server.settings);
    let behaviour = text(settings, "propagation-error-behavior");
    if behaviour == "ignore" && seen.servers.len() > 1 {
        findings.push(server.finding(
            "goes on as a replica when it cannot carry out what its primary sends (propagation-error-behavior ignore)",
            server.set("propagation-error-behavior", "panic-on-replicas"),
        ));
    }
    if !server.is_primary && text(info, "master_link_status") != "up" {
        findings.push(server.finding("has lost its primary", "its log says why: the network, or masterauth"));
    }
    if text(info, "cluster_state") == "fail" {
        findings.push(server.finding("takes the cluster for down", server.cli("--cluster check")));
    }
    let Kind::Sentinel { down_after_ms, .. } = &seen.kind else { return };
    if number(settings, "min-replicas-to-write") == 0 {
        findings.push(server.finding(
            "takes logins and logouts while it is cut off, which are lost (min-replicas-to-write 0)",
            server.set("min-replicas-to-write", "1"),
        ));
    }
    let lag_ms = number(settings, "min-replicas-max-lag").saturating_mul(1000);
    if lag_ms >= *down_after_ms || lag_ms == 0 {
        // What remains in whole seconds, of which a primary needs one to notice.
        let seconds = (down_after_ms / 1000).saturating_sub(2).max(1);
        findings.push(server.finding(
            format!(
                "cut off, takes writes for {} s, and Sentinel replaces it after {:.1} s: they are lost",
                lag_ms / 1000,
                *down_after_ms as f64 / 1000.0
            ),
            server.set("min-replicas-max-lag", &seconds.to_string()),
        ));
    }
}
