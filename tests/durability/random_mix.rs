//! A long mix of all commands, different each time, that must leave the same everywhere.

use std::time::{SystemTime, UNIX_EPOCH};

use redis::Connection;
use redis_session_tests::{Fields, Server, cmd, cmd_args, fields, wait_until};

use crate::users::{Stored, server, stored};

/// Numbers that the seed decides (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % bound
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

struct Mix {
    random: Random,
    con: Connection,
    /// Key, id, token and refresh token of every session so far.
    known: Vec<[String; 4]>,
}

impl Mix {
    fn key(&mut self) -> String {
        format!("sessions:{}", self.random.below(6))
    }

    fn run(&mut self, args: &[&str]) -> bool {
        match cmd_args(&mut self.con, args) {
            Ok(_) => true,
            Err(error) => {
                assert!(error.code().is_some(), "{args:?}: {error}");
                false
            }
        }
    }

    fn create(&mut self) {
        let key = self.key();
        let mut args = vec!["SESSION.CREATE".to_owned(), key.clone()];
        let options = [
            &["TTL 1", "TTL 600", "TTL 90000", "", "", ""][..],
            &["IDLE 1", "IDLE 600", "", ""],
            &["MAX 1", "MAX 3", "MAX 200 REJECT", "REJECT", "", "", ""],
            &["IP 192.0.2.7", "IP 2001:db8::7", ""],
            &["AGENT phone", "AGENT tablet", "AGENT desktop", ""],
            &["DATA 1 theme dark", "DATA 2 a 1 b 2", ""],
            &["TOKEN OPAQUE", "TOKEN JWT", "TOKENTTL 1", ""],
            &["REFRESH 1", "REFRESH 600", "REFRESH 0", ""],
            &["DEVICE key", ""],
            &["ID alice", "ID 0e37df36-f698-11e6-8dd4-cb9ced3df976", "ID 0e37df36f69811e68dd4cb9ced3df976", "", "", ""],
        ];
        for choices in options {
            args.extend(self.random.pick(choices).split_whitespace().map(str::to_owned));
        }
        if let Ok(reply) = cmd_args(&mut self.con, &args) {
            self.learn(key, fields(reply));
        }
    }

    fn learn(&mut self, key: String, reply: Fields) {
        if reply.has("token") {
            let text = |name: &str| if reply.is_null(name) { "none".to_owned() } else { reply.str(name) };
            self.known.push([key, reply.str("id"), text("token"), text("refresh_token")]);
        }
    }

    /// A command that may answer with new tokens.
    fn exchange(&mut self, key: &str, args: &[&str]) {
        if let Ok(reply) = cmd_args(&mut self.con, args) {
            self.learn(key.to_owned(), fields(reply));
        }
    }

    fn step(&mut self) {
        let none = ["sessions:0", "nobody", "no-token", "none"].map(str::to_owned);
        let [key, id, token, refresh] = if self.known.is_empty() {
            none
        } else {
            let recent = self.known.len().saturating_sub(60);
            self.random.pick(&self.known[recent..])
        };
        let other = self.key();
        match self.random.below(100) {
            0..30 => self.create(),
            30..36 => {
                self.exchange(&key, &["SESSION.REFRESH", &key, &refresh, "IP", "192.0.2.8", "AGENT", "refreshed"])
            }
            36..38 => self.exchange(&key, &["SESSION.REFRESH", &key, &refresh, "DEVICE", "another"]),
            38..40 => self.exchange(&key, &["SESSION.REGENERATE", &key, &token]),
            40..44 => drop(self.run(&["SESSION.SET", &key, &id, "theme", "light", "seen", "yes"])),
            44..46 => drop(self.run(&["SESSION.UNSET", &key, &id, "theme", "a"])),
            46..58 => drop(self.run(&["SESSION.TOUCH", &key, &token, "IP", "192.0.2.9"])),
            58..66 => drop(self.run(&["SESSION.REVOKE", &key, &id])),
            66..72 => drop(self.run(&["SESSION.REVOKE", &key, &token, "unknown", &id])),
            72..75 => drop(self.run(&["SESSION.REVOKEUSER", &key])),
            75..79 => drop(self.run(&["SESSION.REVOKEUSER", &key, "EXCEPT", &token])),
            79..82 => drop(self.run(&["COPY", &key, &other, "REPLACE"])),
            82..84 => drop(self.run(&["RENAME", &key, &other])),
            84..86 => {
                let delete = self.random.pick(&["DEL", "UNLINK"]);
                self.run(&[delete, &key]);
            }
            86..90 => {
                self.run(&["MULTI"]);
                self.run(&["SESSION.REVOKE", &key, &id]);
                self.run(&["SESSION.CREATE", &key, "TOKEN", "NONE", "AGENT", "in a transaction"]);
                self.run(&["SESSION.CREATE", &other, "TOKEN", "NONE", "MAX", "2"]);
                assert!(self.run(&["EXEC"]));
            }
            90..94 => {
                let script = "redis.call('SESSION.REVOKE', KEYS[1], ARGV[1]) \
                              return redis.call('SESSION.CREATE', KEYS[1], 'AGENT', 'in a script', 'TOKEN', 'NONE')";
                self.run(&["EVAL", script, "1", &key, &id]);
            }
            94..97 => {
                let granularity = self.random.pick(&["0", "60"]);
                assert!(self.run(&["CONFIG", "SET", "session.touch-granularity", granularity]));
            }
            97..98 => drop(self.run(&["PERSIST", &key])),
            98..99 => drop(self.run(&["EXPIRE", &key, "5000"])),
            _ => {
                let payload: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query(&mut self.con).unwrap();
                if let Some(payload) = payload {
                    redis::cmd("RESTORE").arg(other).arg(0).arg(payload).arg("REPLACE").exec(&mut self.con).unwrap();
                }
            }
        }
    }
}

/// Runs 2000 commands that `REDIS_TEST_SEED` decides, or else chance.
fn run_mix(server: &Server) {
    let chance = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let seed = std::env::var("REDIS_TEST_SEED").map_or(chance, |seed| seed.parse().expect("REDIS_TEST_SEED"));
    eprintln!("REDIS_TEST_SEED={seed}");
    let mut mix = Mix { random: Random(seed), con: server.connection(), known: Vec::new() };
    for _ in 0..2000 {
        mix.step();
    }
    assert!(mix.known.len() > 200, "{}", mix.known.len());
}

/// What is stored once nothing expires any more within the next minutes.
fn settled(server: &Server) -> Stored {
    let mut con = server.connection();
    wait_until("short-lived users are gone", || {
        let (now, all) = (redis_session_tests::now_ms(&mut con), stored(server));
        all.values().all(|(_, expires_at)| *expires_at < 0 || *expires_at > now + 60_000)
    });
    stored(server)
}

#[test]
fn replicas_equal_their_primary_after_a_random_mix() {
    let primary = server().start();
    let replica = server().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    run_mix(&primary);
    let expected = settled(&primary);
    primary.wait_for_sync(&replica);
    assert!(!expected.is_empty());
    assert_eq!(stored(&replica), expected);
}

#[test]
fn a_log_of_a_random_mix_gives_what_was_there() {
    let mut server = server().appendonly().start();
    run_mix(&server);
    let expected = settled(&server);
    assert!(!expected.is_empty());
    server.kill();
    server.start_again();
    assert_eq!(stored(&server), expected);
    cmd(&mut server.connection(), "DEBUG RELOAD").unwrap();
    assert_eq!(stored(&server), expected);
}
