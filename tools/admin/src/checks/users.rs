//! Who may log in.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::facts::{Finding, Seen};
use crate::info::text;

/// The password of users.acl as it is published.
const PUBLISHED: &str = "change-me";

pub(crate) fn check(seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    let published = Sha256::digest(PUBLISHED).iter().fold(String::from("#"), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    for server in &seen.servers {
        let file = text(&server.settings, "aclfile");
        for user in &server.users {
            let words: Vec<&str> = user.split(' ').collect();
            let name = words.get(1).copied().unwrap_or_default();
            let is_on = words.contains(&"on");
            if is_on && words.contains(&published.as_str()) {
                let save = if file.is_empty() { "CONFIG REWRITE" } else { "ACL SAVE" };
                findings.push(server.finding(
                    format!("the password of {name} is the published one"),
                    format!(
                        "{} && {}",
                        server.cli(&format!("ACL SETUSER {name} resetpass '>PASSWORD'")),
                        server.cli(save)
                    ),
                ));
            }
            if is_on && words.contains(&"nopass") && !is_loopback_alone(text(&server.settings, "bind")) {
                findings.push(server.finding(
                    format!("the user {name} needs no password, and the server listens to other machines"),
                    "copy users.acl, name it in the configuration file (aclfile), and restart",
                ));
            }
        }
    }
    if let Some((first, others)) = seen.servers.split_first() {
        for server in others.iter().filter(|server| server.users != first.users) {
            findings.push(server.finding(
                format!(
                    "has other users, passwords or permissions than {}: a failover changes who may log in",
                    first.address
                ),
                format!("copy the file of {} there; then {}", first.address, server.cli("ACL LOAD")),
            ));
        }
    }
    findings
}

fn is_loopback_alone(bind: &str) -> bool {
    !bind.is_empty()
        && bind.split(' ').all(|address| {
            let address = address.trim_start_matches('-');
            address.starts_with("127.") || address == "::1" || address == "localhost"
        })
}
