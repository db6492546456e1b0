//! One pass over the old keys, from where the last run stopped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis_session::commands::session_revoke;
use redis_session::redis::{Value, cmd};

use crate::blacklists::Blacklists;
use crate::error::Failure;
use crate::options::Options;
use crate::progress::Progress;
use crate::record::{Known, Moved, Phase, Record};
use crate::report::{Counts, Line, Tally};
use crate::servers::{Ask, Servers};

/// How many times as many keys as `--batch` says are asked for at once where little is done with each.
pub(crate) const AT_ONCE: u32 = 5;
/// How often a pause is interrupted to see whether to stop.
const BLINK: Duration = Duration::from_millis(50);

/// One pass, and all that it needs.
pub(crate) struct Pass {
    pub(crate) options: Options,
    pub(crate) source: Servers,
    pub(crate) target: Servers,
    pub(crate) record: Record,
    /// Who the sets say that a token's user is, by the digest of the token.
    pub(crate) listed: HashMap<[u8; 16], Arc<str>>,
    /// What earlier passes have moved.
    pub(crate) known: Known,
    pub(crate) blacklists: Blacklists,
    pub(crate) stop: Arc<AtomicBool>,
    /// For the rate: when the first key was read, and how many since.
    began: Instant,
    keys: u64,
}

impl Pass {
    pub(crate) fn new(options: Options, stop: Arc<AtomicBool>) -> Result<Self, Failure> {
        let source = Servers::connect(&options.source, &options.source_tls)?;
        let mut target = Servers::connect(&options.target, &options.target_tls)?;
        let ring = target.ask(&[Ask::new("", cmd("SESSION.KEYS"))])?;
        if ring.iter().any(|reply| matches!(reply, Value::ServerError(error) if error.code() == "ERR")) {
            return Err(target.unfit("there is no redis-session module"));
        }
        for reply in ring {
            target.is_no_error(reply)?;
        }
        let (record, said) = Record::open(&options, source.runs())?;
        if let Some(said) = said {
            eprintln!("{said}");
        }
        Ok(Self {
            options,
            source,
            target,
            record,
            listed: HashMap::new(),
            known: Known::default(),
            blacklists: Blacklists::default(),
            stop,
            began: Instant::now(),
            keys: 0,
        })
    }

    /// Does what there is to do.
    pub(crate) fn run(&mut self) -> Result<&Tally, Failure> {
        if self.options.apply {
            self.known = self.record.known()?;
        }
        self.read_sets()?;
        self.read_blacklists()?;
        if !self.record.is_under_way() {
            self.check()?;
        }
        loop {
            let phase = self.record.state.phase;
            let next = match phase {
                Phase::Blacklist => {
                    // What comes later is for the second look, and the next pass.
                    let prefix = if self.blacklists.has_tokens() { &*self.options.prefixes.blacklist } else { "" };
                    let prefix = prefix.to_owned();
                    self.scan("revoked tokens", &prefix, |tally| &mut tally.blacklist, Self::deny)?;
                    Phase::Sessions
                }
                Phase::Sessions => {
                    let prefix = self.options.prefixes.sessions.clone();
                    self.scan("sessions", &prefix, |tally| &mut tally.sessions, Self::move_sessions)?;
                    let unconfirmed = self.record.unconfirmed();
                    self.end(&unconfirmed)?;
                    self.record.forget_unconfirmed();
                    self.known = Known::default();
                    Phase::UserBlacklist
                }
                Phase::UserBlacklist => {
                    let prefix = self.options.prefixes.user_blacklist.clone();
                    self.scan("revoked users", &prefix, |tally| &mut tally.user_blacklist, Self::log_out_users)?;
                    Phase::Gone
                }
                Phase::Gone if self.options.apply => {
                    self.end_gone()?;
                    continue;
                }
                Phase::Gone | Phase::Done => return Ok(&self.record.state.tally),
            };
            let state = &mut self.record.state;
            (state.phase, state.node, state.cursor) = (next, 0, 0);
            self.record.save()?;
        }
    }

    /// Hands all keys with a prefix over, batch by batch, with what is behind the prefix.
    fn scan(
        &mut self,
        what: &'static str,
        prefix: &str,
        counts: fn(&mut Tally) -> &mut Counts,
        take: fn(&mut Self, Vec<OldKey>) -> Result<Batch, Failure>,
    ) -> Result<(), Failure> {
        if prefix.is_empty() {
            return Ok(());
        }
        let mut progress = Progress::new(what, self.part_done());
        while self.record.state.node < self.source.len() {
            let (node, cursor) = (self.record.state.node, self.record.state.cursor);
            // Where most keys are as an earlier pass has left them, or are only looked for, many are asked for at once.
            let all_are_new = self.record.state.phase == Phase::Sessions && self.known.is_empty();
            let times = if all_are_new { 1 } else { AT_ONCE };
            let count = self.options.batch.saturating_mul(times);
            let (next, keys) = self.source.scan(node, cursor, prefix, count)?;
            let prefixes = &self.options.prefixes;
            let keys: Vec<_> = keys
                .into_iter()
                .filter_map(|key| Some(OldKey { token: prefixes.rest(prefix, &key)?.to_vec(), key }))
                .collect();
            let found = keys.len() as u64;
            counts(&mut self.record.state.tally).found += found;
            let Batch { deletes, unchanged } = if keys.is_empty() { Batch::default() } else { take(self, keys)? };
            let state = &mut self.record.state;
            (state.node, state.cursor) = if next == 0 { (node + 1, 0) } else { (node, next) };
            let part = self.part_done();
            progress.at(part, counts(&mut self.record.state.tally), self.options.apply);
            if !deletes.is_empty() {
                self.record.deleting();
            }
            if found > unchanged {
                self.record.save()?
            } else {
                self.record.save_often()?
            }
            // Only now: a session whose key is deleted must not be looked for in vain.
            self.delete(&deletes)?;
            self.wait(found - unchanged + unchanged.div_ceil(10))?;
        }
        Ok(())
    }

    /// How much of the nodes is behind the position, of 1. A cursor counts with its bits in reverse order.
    fn part_done(&self) -> f64 {
        let (node, cursor) = (self.record.state.node, self.record.state.cursor);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (node, nodes) = (node as f64, self.source.len() as f64);
        // In a cluster a cursor has the slot in it too, in some versions.
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let within = if self.source.is_cluster() { 0.0 } else { cursor.reverse_bits() as f64 / u64::MAX as f64 };
        (node + within) / nodes
    }

    /// Keeps to the rate, and ends the run if that was asked for.
    pub(crate) fn wait(&mut self, keys: u64) -> Result<(), Failure> {
        self.keys += keys;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Failure::Stopped);
            }
            #[expect(clippy::cast_precision_loss, reason = "a span of time")]
            let due = match self.options.rate {
                0 => Duration::ZERO,
                rate => Duration::from_secs_f64(self.keys as f64 / f64::from(rate)),
            };
            match due.checked_sub(self.began.elapsed()) {
                None | Some(Duration::ZERO) => return Ok(()),
                Some(rest) => thread::sleep(rest.min(BLINK)),
            }
        }
    }

    fn delete(&mut self, deletes: &[Ask]) -> Result<(), Failure> {
        let replies = self.source.demand(deletes)?;
        self.record.state.tally.deleted += replies.iter().filter(|reply| **reply == Value::Int(1)).count() as u64;
        Ok(())
    }

    /// Ends sessions on the target, and returns how many were alive.
    pub(crate) fn end(&mut self, sessions: &[(String, String)]) -> Result<u64, Failure> {
        let keys = self.options.keys();
        let mut ended = 0;
        for some in sessions.chunks(self.options.batch as usize) {
            let revoke = |(id, user): &(String, String)| {
                let key = keys.key(user);
                Ask::new(&*key, session_revoke(&*key, id.as_str()))
            };
            let revokes: Vec<_> = some.iter().map(revoke).collect();
            ended += self.end_all(&revokes)?;
        }
        Ok(ended)
    }

    /// Sends what ends a session each, and returns how many were alive. A key that holds something else has none.
    pub(crate) fn end_all(&mut self, revokes: &[Ask]) -> Result<u64, Failure> {
        let mut ended = 0;
        for reply in self.target.ask(revokes)? {
            match reply {
                Value::ServerError(error) if error.code() == "WRONGTYPE" => {}
                reply => ended += u64::from(self.target.is_no_error(reply)? == Value::Int(1)),
            }
        }
        Ok(ended)
    }

    /// What becomes of the sessions of earlier passes that this one has not found.
    fn end_gone(&mut self) -> Result<(), Failure> {
        let mut gone = if self.record.has_deleted() { Vec::new() } else { self.record.gone(now())? };
        self.record.state.tally.gone = gone.len() as u64;
        if self.options.revoke_gone {
            let sessions: Vec<_> = gone.drain(..).map(|Moved { id, user, .. }| (id, user)).collect();
            self.record.state.tally.gone_ended = self.end(&sessions)?;
        }
        self.record.finish(&gone)
    }

    /// Notes that something is not moved.
    pub(crate) fn not_moved(&mut self, counts: fn(&mut Tally) -> &mut Counts, line: &Line<'_>) -> Result<(), Failure> {
        *counts(&mut self.record.state.tally).not_moved.entry(line.reason.to_owned()).or_default() += 1;
        self.record.report(line)
    }
}

/// What became of some old keys.
#[derive(Default)]
pub(crate) struct Batch {
    /// What deletes old keys that are not needed any more.
    pub(crate) deletes: Vec<Ask>,
    /// How many were as an earlier pass has left them.
    pub(crate) unchanged: u64,
}

/// An old key, and what is behind its prefix.
pub(crate) struct OldKey {
    pub(crate) key: Vec<u8>,
    pub(crate) token: Vec<u8>,
}

/// Unix milliseconds.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
