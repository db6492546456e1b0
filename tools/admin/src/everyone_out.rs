//! Ends all sessions of all users, on all primaries.

use std::fmt::Write as _;
use std::io;

use crate::deployment::Deployment;
use crate::{Failure, Outcome};

pub(crate) fn run(servers: &mut Deployment, before: Option<u64>, confirmed: bool) -> Result<Outcome, Failure> {
    let primaries = servers.primaries().count();
    if primaries == 0 {
        return Err("there is no primary".into());
    }
    if !confirmed {
        eprintln!("All users of {primaries} primaries have to log in again, and nothing takes that back. Go on? (yes)");
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if answer.trim() != "yes" {
            return Err("nothing was done".into());
        }
    }
    let mut outcome = Outcome { text: servers.absent(), is_well: servers.away.is_empty() };
    let replicas: Vec<usize> =
        servers.nodes.iter().filter(|node| node.is_primary()).map(|node| servers.replicas_of(&node.address)).collect();
    for (node, replicas) in servers.primaries().zip(replicas) {
        let mut command = redis::cmd("SESSION.REVOKEALL");
        if let Some(before) = before {
            command.arg("BEFORE").arg(before);
        }
        match command.query::<i64>(&mut node.connection) {
            Ok(cutoff) => {
                let _ = write!(outcome.text, "{}: all that began before {cutoff} is dead", node.address);
                if replicas > 0 {
                    let reached: usize =
                        redis::cmd("WAIT").arg(replicas).arg(5000).query(&mut node.connection).unwrap_or(0);
                    let _ = write!(outcome.text, ", on {reached} of {replicas} replicas too");
                    outcome.is_well &= reached >= replicas;
                }
                outcome.text.push('\n');
            }
            Err(why) => {
                outcome.is_well = false;
                let _ = writeln!(outcome.text, "{}: NOT DONE: {why}", node.address);
            }
        }
    }
    Ok(outcome)
}
