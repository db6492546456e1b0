//! A long mix of all commands, different each time, that must leave the same everywhere.
//!
//! `REDIS_TEST_COMMANDS` says how many commands, `REDIS_TEST_SEED` which.

use std::fs;

use redis_session_tests::{Server, amount, cmd, int, now_ms, wait_until};

use crate::append_only_file::{part, rewrite};
use crate::chance::Random;
use crate::mix::Mix;
use crate::restarts::background_save;
use crate::users::{Stored, server, stored};

/// What is stored once nothing short-lived is left, and nothing more changes by itself.
fn settled(server: &Server) -> Stored {
    stop_sweeping(server);
    let mut con = server.connection();
    // The server remembers a revocation for ten minutes more at least.
    wait_until("short-lived users are gone", || {
        let (now, all) = (now_ms(&mut con), stored(server));
        all.values().all(|(_, expires_at)| *expires_at < 0 || *expires_at > now + 100_000)
    });
    // PERSIST and RESTORE leave users without a deadline. A log that is rewritten as commands gives them theirs again.
    for (key, _) in stored(server).into_iter().filter(|(_, (_, expires_at))| *expires_at < 0) {
        assert_eq!(int(&mut con, &format!("EXPIRE {key} 90000")), 1);
    }
    stored(server)
}

/// Makes a server leave dead sessions where they are, if it would do otherwise: what it removes between two looks would
/// look like a difference.
fn stop_sweeping(server: &Server) {
    let mut con = server.connection();
    let known: Vec<String> = redis::cmd("CONFIG").arg("GET").arg("session.sweep-time").query(&mut con).unwrap();
    if !known.is_empty() {
        cmd(&mut con, "CONFIG SET session.sweep-time 0").unwrap();
    }
}

/// Fails unless both hold the same, key by key.
#[track_caller]
fn assert_same(there: &Stored, expected: &Stored, what: &str) {
    let keys: std::collections::BTreeSet<_> = expected.keys().chain(there.keys()).collect();
    let different: Vec<_> = keys.into_iter().filter(|key| there.get(*key) != expected.get(*key)).collect();
    let pairs: Vec<_> = different.iter().take(5).map(|key| (key, there.get(*key), expected.get(*key))).collect();
    assert!(different.is_empty(), "{what}: {} of {} users differ: {pairs:?}", different.len(), expected.len());
}

/// A primary, its replica, and a replica of that, in this order.
struct Chain {
    servers: Vec<Server>,
}

/// Which server has logged everything from the first command on.
const LOGGER: &str = "logger";

impl Chain {
    fn new() -> Self {
        let quiet = || server().config("repl-backlog-size 64mb\nrepl-diskless-sync yes\nappendfsync no");
        let logger = quiet().config(format!("appendonly yes\naof-use-rdb-preamble no\n# {LOGGER}"));
        // Nobody has data to keep when it starts, but each of these two takes in a snapshot without a file then.
        let servers = vec![
            logger.config("repl-diskless-load swapdb").start(),
            quiet().config("repl-diskless-load swapdb").start(),
            quiet().config("repl-diskless-load on-empty-db").start(),
        ];
        let chain = Self { servers };
        chain.link();
        chain.wait();
        chain
    }

    fn primary(&self) -> &Server {
        &self.servers[0]
    }

    /// Makes each server a replica of the one before it.
    fn link(&self) {
        command(&self.servers[0], "REPLICAOF NO ONE");
        for pair in self.servers.windows(2) {
            command(&pair[1], &format!("REPLICAOF 127.0.0.1 {}", pair[0].port()));
        }
    }

    /// Waits until all have everything.
    fn wait(&self) {
        self.servers.windows(2).for_each(|pair| pair[0].wait_for_sync(&pair[1]));
    }

    /// Makes the second server the primary and the first one its replica.
    ///
    /// By FAILOVER, which holds back expiry, the sweep and all else that a primary sends by itself: with REPLICAOF NO ONE the
    /// first one may send some more that the second does not take, and has to take in all of the second's data then.
    fn hand_over(&mut self) {
        let failover = format!("FAILOVER TO 127.0.0.1 {}", self.servers[1].port());
        // Refused until the replica has said that what it took in last, if that was all data, is in place.
        wait_until("the failover begins", || cmd(&mut self.servers[0].connection(), &failover).is_ok());
        wait_until("the replica has taken over", || {
            let of_first = |name| self.servers[0].info("replication", name);
            of_first("role") == "slave" && of_first("master_failover_state") == "no-failover"
        });
        self.servers.swap(0, 1);
        self.link();
    }

    fn is_logger(server: &Server) -> bool {
        fs::read_to_string(server.config_path()).unwrap().contains(LOGGER)
    }

    /// Lets something go wrong while commands are on their way.
    fn disturb(&mut self, disturbance: Disturbance, mix: &mut Mix, commands: usize) {
        let con = &mut self.primary().connection();
        match disturbance {
            Disturbance::PrimaryHangsUp => {
                let at = mix.random().below(2);
                mix.run(con, commands / 2);
                command(&self.servers[at], "CLIENT KILL TYPE replica");
                mix.run(con, commands / 2);
            }
            Disturbance::ReplicaHangsUp => {
                let at = 1 + mix.random().below(2);
                mix.run(con, commands / 2);
                command(&self.servers[at], "CLIENT KILL TYPE master");
                mix.run(con, commands / 2);
            }
            Disturbance::Away => {
                command(&self.servers[self.without_log()], "REPLICAOF 127.0.0.1 1");
                mix.run(con, commands);
                self.link();
            }
            Disturbance::Astray => {
                let server = &self.servers[self.without_log()];
                command(server, "REPLICAOF NO ONE");
                command(server, "SESSION.CREATE sessions:nobody AGENT nobody TTL 90000");
                command(server, "SESSION.REVOKEUSER sessions:busy-0");
                mix.run(con, commands);
                self.link();
            }
            Disturbance::Crash => {
                mix.run(con, commands / 2);
                self.servers[2].kill();
                self.servers[2].start_again();
                self.link();
                mix.run(con, commands / 2);
            }
            Disturbance::HandOver => {
                mix.run(con, commands);
                self.wait();
                self.hand_over();
            }
        }
    }

    /// The first replica whose data may all be replaced: a log that is to hold every command takes in no snapshot.
    fn without_log(&self) -> usize {
        if Self::is_logger(&self.servers[1]) { 2 } else { 1 }
    }
}

/// What can go wrong.
#[derive(Clone, Copy, PartialEq)]
enum Disturbance {
    PrimaryHangsUp,
    ReplicaHangsUp,
    /// A replica is away for a while: what it missed is in the backlog.
    Away,
    /// A replica takes itself for a primary meanwhile, so that everything is sent again, in the place of what it has.
    Astray,
    /// The last replica crashes and has nothing left.
    Crash,
    /// The primary and its replica change places.
    HandOver,
}

impl Disturbance {
    /// Each of them twice, in any order.
    ///
    /// The first is one after which a replica can go on where it was, as all are in step then; later, the disturbance
    /// before may still keep it from that.
    fn series(random: &mut Random) -> Vec<Self> {
        use Disturbance::*;
        let mut series = [PrimaryHangsUp, ReplicaHangsUp, Away, Astray, Crash, HandOver].repeat(2);
        for last in (1..series.len()).rev() {
            series.swap(last, random.below(last + 1));
        }
        let first = series.iter().position(|disturbance| *disturbance == PrimaryHangsUp).unwrap();
        series.swap(0, first);
        series
    }
}

fn command(server: &Server, line: &str) {
    cmd(&mut server.connection(), line).unwrap_or_else(|error| panic!("{line}: {error}"));
}

fn sum(servers: &[Server], name: &str) -> i64 {
    servers.iter().map(|server| server.info("stats", name).parse::<i64>().unwrap()).sum()
}

#[test]
fn a_random_mix_leaves_the_same_on_replicas_and_after_every_kind_of_restart() {
    let commands = amount("REDIS_TEST_COMMANDS", 6000);
    let mut mix = Mix::new(Random::of_this_run(), (commands / 2000).clamp(40, 400));
    let mut chain = Chain::new();
    let series = Disturbance::series(mix.random());
    for disturbance in &series {
        chain.disturb(*disturbance, &mut mix, commands / series.len());
    }
    mix.assert_was_varied();
    chain.wait();
    let partial = sum(&chain.servers, "sync_partial_ok");
    eprintln!("partial synchronisations: {partial}, full ones: {}", sum(&chain.servers, "sync_full"));
    assert!(partial > 0);

    let expected = settled(chain.primary());
    assert!(expected.len() > 20, "{}", expected.len());
    chain.wait();
    for (server, place) in chain.servers.iter().zip(["the primary", "the replica", "the replica's replica"]) {
        assert_same(&stored(server), &expected, place);
        assert!(!server.log_contains("Skipping diskless-load"));
    }

    let at = chain.servers.iter().position(Chain::is_logger).unwrap();
    let mut server = chain.servers.swap_remove(at);
    // Before it is a primary, who would remove dead sessions.
    stop_sweeping(&server);
    command(&server, "REPLICAOF NO ONE");
    drop(chain);
    assert!(!server.log_contains("Full resync from master"), "its log was to hold every command");
    assert_all_restarts(&mut server, &expected);
}

/// Fails unless the server holds what it should after a restart from its log, from one that was rewritten as commands, from one
/// that was rewritten as a snapshot, and from a snapshot alone.
fn assert_all_restarts(server: &mut Server, expected: &Stored) {
    // After a restart it sweeps no more either; only this keeps a setting that there may not be.
    command(server, "CONFIG REWRITE");
    let crash = |server: &mut Server, how: &str| {
        server.kill();
        server.start_again();
        assert_same(&stored(server), expected, how);
    };
    crash(server, "from the log");
    command(server, "CONFIG SET aof-use-rdb-preamble no");
    rewrite(server);
    part(server, ".base.aof");
    crash(server, "from a log that was rewritten as commands");
    command(server, "CONFIG SET aof-use-rdb-preamble yes");
    rewrite(server);
    part(server, ".base.rdb");
    crash(server, "from a log that was rewritten as a snapshot");
    command(server, "CONFIG SET appendonly no");
    command(server, "CONFIG REWRITE");
    background_save(server);
    crash(server, "from a snapshot");
    command(server, "DEBUG RELOAD");
    assert_same(&stored(server), expected, "from a snapshot in place");
}
