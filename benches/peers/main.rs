//! This module and other ways to keep sessions in Redis: what each operation costs, and what a session takes.
//!
//! It writes `docs/benchmarks.md` and the pictures in `docs/benchmarks`; what goes on is told on standard error. The
//! environment changes what is measured:
//!
//! - `SESSIONS`: how many there are, several numbers with commas between them (10000,100000,1000000). With 10000000 too,
//!   it needs 16 GB of memory.
//! - `ROUNDS`: how often everything is measured, to take the medians (7).
//! - `OPERATIONS`: how many are sent in a round, at most (10000).
//! - `CONNECTIONS`: how many are open at once, each with a thread of its own (8).
//!
//! `cargo bench -p redis-session-benches --bench peers`

mod contenders;
mod growth;
mod layouts;
mod libraries;
mod load;
mod meanwhile;
mod memory;
mod plot;
mod population;
mod report;
mod speed;

use std::env;

use contenders::Contender;
use growth::Growth;
use libraries::Request;
use meanwhile::Meanwhile;
use memory::{MOST_ON_ONE, PerUser, bytes_per_session};
use speed::Speed;

pub(crate) const SESSIONS: [usize; 3] = [10_000, 100_000, 1_000_000];
pub(crate) const ROUNDS: usize = 7;
pub(crate) const OPERATIONS: usize = 10_000;
pub(crate) const CONNECTIONS: usize = 8;

pub(crate) struct Settings {
    pub(crate) sessions: Vec<usize>,
    pub(crate) rounds: usize,
    pub(crate) operations: usize,
    pub(crate) connections: usize,
    /// The command that starts it, where it can be had.
    pub(crate) redis_8: Option<String>,
}

/// Everything that was measured.
pub(crate) struct Results {
    /// For each number of sessions, in ascending order.
    pub(crate) speed: Vec<Speed>,
    pub(crate) memory: Vec<Bytes>,
    pub(crate) growth: Vec<Growth>,
    pub(crate) meanwhile: Vec<Meanwhile>,
    pub(crate) requests: Vec<Request>,
}

/// What a session takes.
pub(crate) struct Bytes {
    pub(crate) contender: Contender,
    pub(crate) sessions: usize,
    pub(crate) per_user: PerUser,
    pub(crate) bytes: f64,
}

fn main() {
    let settings = Settings::from_environment();
    if settings.redis_8.is_none() {
        eprintln!("SKIPPED: field TTLs and all else on Redis 8, which cannot be had here: see above");
    }
    let memory = memory(&settings);
    let speed = settings.sessions.iter().map(|sessions| speed::measure(&settings, *sessions)).collect();
    let (growth, meanwhile) = (growth::measure(&settings), meanwhile::measure(&settings));
    let requests = libraries::measure(&settings);
    let results = Results { speed, memory, growth, meanwhile, requests };
    report::write(&settings, &results);
    println!("{}", report::tables(&results));
    eprintln!("docs/benchmarks.md is written");
}

fn memory(settings: &Settings) -> Vec<Bytes> {
    let mut all: Vec<Bytes> = Vec::new();
    for per_user in PerUser::ALL {
        let most = if per_user == PerUser::All { MOST_ON_ONE } else { usize::MAX };
        let mut sizes: Vec<_> = settings.sessions.iter().map(|size| *size.min(&most)).collect();
        sizes.dedup();
        for sessions in sizes {
            for contender in Contender::ALL.into_iter().filter(|contender| contender.shares_data_with().is_none()) {
                eprint!("  memory of {sessions} sessions, {}: {} ", per_user.name(), contender.name());
                let bytes = bytes_per_session(contender, settings.redis_8.as_deref(), sessions, per_user);
                eprintln!("{}", bytes.map_or_else(|| "cannot be had".to_owned(), |bytes| format!("{bytes:.0} bytes")));
                all.extend(bytes.map(|bytes| Bytes { contender, sessions, per_user, bytes }));
            }
        }
    }
    all
}

impl Settings {
    fn from_environment() -> Self {
        let number = |name: &str, default| {
            env::var(name).ok().and_then(|text| text.parse().ok()).filter(|number| *number > 0).unwrap_or(default)
        };
        let sessions = env::var("SESSIONS").unwrap_or_default();
        let mut sessions: Vec<usize> = sessions.split(',').filter_map(|number| number.trim().parse().ok()).collect();
        if sessions.is_empty() {
            sessions = SESSIONS.to_vec();
        }
        sessions.sort_unstable();
        Self {
            sessions,
            rounds: number("ROUNDS", ROUNDS),
            operations: number("OPERATIONS", OPERATIONS),
            connections: number("CONNECTIONS", CONNECTIONS),
            redis_8: contenders::redis_8(true),
        }
    }
}
