//! What so many users need. The formulas are those of docs/capacity.md.

use std::fmt::Write as _;

/// Bytes of a user with sessions, of a session, of a refresh token, and of a user agent of 70 letters.
pub(crate) const USER: u64 = 170;
pub(crate) const SESSION: u64 = 54;
pub(crate) const REFRESH: u64 = 20;
pub(crate) const AGENT: u64 = 118;
/// The server, its remembered tokens and what replicas may miss.
const BASE: u64 = 100 << 20;
/// Bytes in the append-only file, and to each replica, of a login with an address and a user agent, of a logout, and of
/// a use that is written.
pub(crate) const LOGIN_LOG: u64 = 150;
pub(crate) const LOGOUT_LOG: u64 = 90;
pub(crate) const TOUCH_LOG: u64 = 80;
/// Bytes of an entry in the audit stream.
pub(crate) const AUDIT: u64 = 250;
/// What one core does in a second, clients' round trips included.
const CHECKS_A_CORE: u64 = 40_000;
const LOGINS_A_CORE: u64 = 20_000;
/// How much of a core is planned for: the rest is for peaks and a failover.
const BUSY_PERCENT: u64 = 50;
/// Dead sessions of users who have live ones that one server sweeps in a second at default settings once so many wait: a
/// million within two minutes.
const SWEPT: u64 = 8_000;
/// The most memory that one server is planned with: more takes long to fork, to start and to copy.
const MEMORY_A_SERVER: u64 = 16 << 30;
/// Tenths of a second that reading a million users and a million sessions takes at the start, from a snapshot or from an
/// append-only file that was just rewritten, which begins with one. Measured as processor time on one core of a server
/// that does nothing else: 3.5 to 4.4 s for a million users with a session each, and 2.1 to 2.7 s for half a million with
/// two each.
const READ_USERS_TENTHS: u64 = 34;
const READ_SESSIONS_TENTHS: u64 = 10;
/// The same for a million logins that are commands in the file: 5.0 to 5.3 s. Before it is rewritten, the file has grown to
/// twice its size (auto-aof-rewrite-percentage 100), which is about one such command for each session.
const REPLAY_TENTHS: u64 = 53;
/// Tenths of a second that a snapshot of a million sessions takes.
const SAVE_TENTHS: u64 = 37;
/// Microseconds for which a fork stops the server, for each gigabyte.
const FORK_US_A_GB: u64 = 90_000;

/// How many, and how busy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) users: u64,
    pub(crate) sessions_each: u64,
    pub(crate) agents: u64,
    /// Of all users in a second; none for one in five minutes for each session.
    pub(crate) checks: Option<u64>,
    /// Of all users in a second; none for what keeps so many sessions alive.
    pub(crate) logins: Option<u64>,
    /// Seconds.
    pub(crate) ttl: u64,
    pub(crate) replicas: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self { users: 0, sessions_each: 2, agents: 20_000, checks: None, logins: None, ttl: 86_400, replicas: 1 }
    }
}

/// What it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    users: u64,
    pub(crate) sessions: u64,
    checks: u64,
    logins: u64,
    /// Bytes of data on all primaries.
    pub(crate) data: u64,
    maxmemory: u64,
    /// Bytes a second.
    log: u64,
    audit: u64,
    /// Hundredths of a core.
    cores: u64,
    pub(crate) primaries: u64,
    /// Sessions that end a second.
    deaths: u64,
}

impl Plan {
    pub(crate) fn new(load: &Load) -> Self {
        let sessions = load.users.saturating_mul(load.sessions_each);
        let logins = load.logins.unwrap_or_else(|| sessions.div_ceil(load.ttl.max(1)));
        let checks = load.checks.unwrap_or(sessions / 300);
        let data = load
            .users
            .saturating_mul(USER)
            .saturating_add(sessions.saturating_mul(SESSION + REFRESH))
            .saturating_add(load.agents.saturating_mul(AGENT))
            .saturating_add(BASE);
        // Half as much again, because a table that doubles has both sizes for a while.
        let maxmemory = data.saturating_add(data / 2);
        // Each login is followed by an end that is written too. Uses are written once in a minute at most.
        let touches = checks.min(sessions / 60);
        let log = logins.saturating_mul(LOGIN_LOG + LOGOUT_LOG).saturating_add(touches.saturating_mul(TOUCH_LOG));
        let cores = (checks.saturating_mul(100) / CHECKS_A_CORE)
            .saturating_add(logins.saturating_mul(2).saturating_mul(100) / LOGINS_A_CORE);
        let primaries = maxmemory.div_ceil(MEMORY_A_SERVER).max(cores.div_ceil(BUSY_PERCENT)).max(1);
        // A cluster needs three to outvote one.
        let primaries = if primaries > 1 { primaries.max(3) } else { 1 };
        Self {
            users: load.users,
            sessions,
            checks,
            logins,
            data,
            maxmemory,
            log,
            audit: logins.saturating_mul(2).saturating_mul(AUDIT),
            cores,
            primaries,
            deaths: logins,
        }
    }

    /// Sessions on each primary.
    fn each(&self) -> u64 {
        self.sessions.div_ceil(self.primaries)
    }

    /// Seconds of a start from a file that was just rewritten, and from one that is about to be.
    fn start_seconds(&self) -> [u64; 2] {
        let users = self.users.div_ceil(self.primaries).saturating_mul(READ_USERS_TENTHS);
        let read = users.saturating_add(self.each().saturating_mul(READ_SESSIONS_TENTHS));
        let replayed = read.saturating_add(self.each().saturating_mul(REPLAY_TENTHS));
        [read, replayed].map(|tenths_of_millions| tenths_of_millions.div_ceil(10_000_000))
    }
}

pub(crate) fn text(load: &Load) -> String {
    let plan = Plan::new(load);
    let n = plan.primaries;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<34}{value}");
    };
    line("users, sessions", format!("{}, {}", count(load.users), count(plan.sessions)));
    line("logins, checks a second", format!("{}, {}", count(plan.logins), count(plan.checks)));
    line("data", bytes(plan.data));
    line("primaries, replicas of each", format!("{n}, {}{}", load.replicas, if n > 1 { ", as a cluster" } else { "" }));
    line("maxmemory of each", bytes(plan.maxmemory.div_ceil(n)));
    line("memory of each machine", bytes(plan.maxmemory.saturating_mul(2).div_ceil(n)));
    line("cores busy, of all primaries", format!("{:.2}", plan.cores as f64 / 100.0));
    line("append-only file a second, each", bytes(plan.log.div_ceil(n)));
    line("to replicas a second, each", bytes(plan.log.saturating_mul(load.replicas).div_ceil(n)));
    line("audit stream a second, each", bytes(plan.audit.div_ceil(n)));
    let swept = SWEPT.saturating_mul(n);
    line("ends a second, and the sweep's", format!("{}, {}", count(plan.deaths), count(swept)));
    let [least, most] = plan.start_seconds().map(count);
    line("a start takes", format!("{least} s, {most} s before the log is rewritten"));
    line("SIGTERM saves for", format!("{} s", count(plan.each().saturating_mul(SAVE_TENTHS) / 10_000_000)));
    let fork = plan.maxmemory.div_ceil(n).saturating_mul(FORK_US_A_GB) >> 30;
    line("a fork stops all for", format!("{} ms", count(fork / 1000)));
    text
}

/// With commas.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bytes(number: u64) -> String {
    let units = [("GB", 30), ("MB", 20), ("kB", 10)];
    let unit = units.into_iter().find(|(_, shift)| number >> shift > 0);
    unit.map_or_else(
        || format!("{number} B"),
        |(name, shift)| format!("{:.1} {name}", number as f64 / f64::from(1 << shift)),
    )
}
