//! Figures of all servers on one screen, again and again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use crate::connect::Place;
use crate::deployment::Deployment;
use crate::info::{self, Map, number, text};
use crate::{Failure, Outcome};

/// What is counted from a server's start, and shown as so many a second.
const RATES: [(&str, &[&str]); 5] = [
    ("logins", &["session_created"]),
    ("checks", &["session_validated", "session_touched"]),
    ("refreshes", &["session_refreshed"]),
    ("ended", &["session_revoked", "session_evicted", "session_expired"]),
    ("errors", &["total_error_replies"]),
];

/// What each server has said, and when.
type Sample = (Instant, BTreeMap<String, Map>);

pub(crate) fn run(place: &Place, every: Duration, rounds: Option<u64>) -> Result<Outcome, Failure> {
    let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "" };
    let mut before: Option<Sample> = None;
    let mut shown = 0;
    while rounds.is_none_or(|rounds| shown < rounds) {
        if before.is_some() {
            thread::sleep(every);
        }
        // Found again each time: roles change, and servers come and go.
        let mut servers = Deployment::find(place)?;
        let sample = sample(&mut servers)?;
        if let Some(before) = &before {
            let mut out = io::stdout().lock();
            write!(out, "{clear}{}", screen(&servers, before, &sample))?;
            out.flush()?;
            shown += 1;
        }
        before = Some(sample);
    }
    Ok(Outcome::well(String::new()))
}

fn sample(servers: &mut Deployment) -> Result<Sample, Failure> {
    let at = Instant::now();
    let mut all = BTreeMap::new();
    for node in &mut servers.nodes {
        all.insert(node.address.to_string(), info::info(&mut node.connection, "everything")?);
    }
    Ok((at, all))
}

fn screen(servers: &Deployment, (before_at, before): &Sample, (at, now): &Sample) -> String {
    let seconds = at.duration_since(*before_at).as_secs_f64().max(0.001);
    let mut text = String::new();
    let _ = write!(text, "{:<22} {:<8} {:>10} {:>10}", "server", "role", "users", "sessions");
    for (name, _) in RATES {
        let _ = write!(text, " {:>11}", format!("{name}/s"));
    }
    let _ = writeln!(text, " {:>9} {:>8} {:>9} {:>8}", "refused/s", "memory", "lag bytes", "AOF");
    for node in &servers.nodes {
        let address = node.address.to_string();
        let Some(info) = now.get(&address) else { continue };
        let empty = Map::new();
        let earlier = before.get(&address).unwrap_or(&empty);
        let rate = |sum: &dyn Fn(&Map) -> u64| {
            // A server that has just started counts from 0.
            let more = if earlier.is_empty() { 0 } else { sum(info).saturating_sub(sum(earlier)) };
            more as f64 / seconds
        };
        let _ = write!(
            text,
            "{address:<22} {:<8} {:>10} {:>10}",
            node.role(),
            number(info, "session_users"),
            number(info, "session_sessions")
        );
        for (_, fields) in RATES {
            let _ = write!(text, " {:>11.1}", rate(&|map| fields.iter().map(|field| number(map, field)).sum()));
        }
        let refused = |map: &Map| {
            let fields = map.keys().filter(|name| name.starts_with("session_refused_"));
            fields.map(|name| number(map, name)).sum()
        };
        let (used, limit) = (number(info, "used_memory"), number(info, "maxmemory"));
        let memory = match limit {
            0 => format!("{}M", used >> 20),
            limit => format!("{}%", used.saturating_mul(100) / limit),
        };
        let _ = writeln!(
            text,
            " {:>9.1} {memory:>8} {:>9} {:>8}",
            rate(&refused),
            lag(info),
            if self::text(info, "aof_last_write_status") == "err" { "FAILED" } else { "ok" }
        );
    }
    text + &servers.absent()
}

/// Bytes that the replica that is furthest behind has not got; of a replica, `down` without its primary.
fn lag(info: &Map) -> String {
    if text(info, "role") == "slave" {
        return if text(info, "master_link_status") == "up" { "-".to_owned() } else { "down".to_owned() };
    }
    let offset = number(info, "master_repl_offset");
    let replicas = info.iter().filter(|(name, _)| name.strip_prefix("slave").is_some_and(|n| n.parse::<u32>().is_ok()));
    let offsets = replicas.filter_map(|(_, value)| value.split(',').find_map(|field| field.strip_prefix("offset=")));
    let least = offsets.filter_map(|offset| offset.parse::<u64>().ok()).min();
    least.map_or_else(|| "-".to_owned(), |least| offset.saturating_sub(least).to_string())
}
