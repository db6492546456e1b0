//! Checks what must agree between the servers, and what loses sessions, logouts or secrets.

use std::fmt::Write as _;

use crate::deployment::Deployment;
use crate::facts::{self, Finding, Seen};
use crate::{Outcome, checks};

pub(crate) fn run(servers: &mut Deployment) -> Outcome {
    let mut findings: Vec<Finding> = Vec::new();
    for (address, why) in &servers.away {
        findings.push(Finding {
            at: Some(address.clone()),
            what: format!("does not answer: {why}"),
            mend: "start it, or remove it: redis-cli CLUSTER FORGET, SENTINEL RESET, REPLICAOF NO ONE".to_owned(),
        });
    }
    let mut seen = Seen { kind: servers.kind.clone(), servers: Vec::new() };
    for node in &mut servers.nodes {
        match facts::of(node) {
            Ok(facts) => seen.servers.push(facts),
            Err(why) => findings.push(Finding {
                at: Some(node.address.clone()),
                what: format!("cannot be asked: {why}"),
                mend: "log in as the user operator: --user operator, with its password in REDISCLI_AUTH".to_owned(),
            }),
        }
    }
    findings.extend(checks::all(&seen));
    let mut text = String::new();
    for Finding { at, what, mend } in &findings {
        let at = at.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
        let _ = writeln!(text, "{at}: {what}\n    {mend}");
    }
    let _ = writeln!(text, "{} servers, {} findings", servers.nodes.len() + servers.away.len(), findings.len());
    Outcome { text, is_well: findings.is_empty() }
}
