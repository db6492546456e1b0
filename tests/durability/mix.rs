//! A random mix of all commands that change sessions, sent in pipelines.

use std::collections::BTreeMap;

use redis::{Connection, ConnectionLike, Value};
use redis_session_tests::fields;

use crate::chance::Random;

/// So many commands are on their way at once.
const PIPELINE: usize = 60;
/// So many credentials are remembered, old ones and new ones.
const REMEMBERED: usize = 600;

/// Users come in three kinds: a few that everything happens to, many that not much happens to, and two that are seldom
/// deleted or replaced, so that they come to have many sessions.
const BUSY: usize = 6;
const CROWDED: usize = 2;

#[derive(Clone)]
struct Known {
    key: String,
    id: String,
    token: String,
    refresh: String,
}

pub struct Mix {
    random: Random,
    users: usize,
    known: Vec<Known>,
    /// How many credentials there were.
    learnt: usize,
    batch: Vec<(Vec<Vec<u8>>, String)>,
    /// By command or outcome, how often.
    tally: BTreeMap<String, usize>,
}

impl Mix {
    /// A mix for so many users besides the busy ones.
    pub fn new(random: Random, users: usize) -> Self {
        let nobody = ["sessions:busy-0", "nobody", "no-token", "none"].map(str::to_owned);
        let [key, id, token, refresh] = nobody;
        let known = vec![Known { key, id, token, refresh }];
        Self { random, users, known, learnt: 1, batch: Vec::new(), tally: BTreeMap::new() }
    }

    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Sends so many commands, and no fewer.
    pub fn run(&mut self, con: &mut Connection, commands: usize) {
        let mut sent = 0;
        while sent < commands {
            while self.batch.len() < PIPELINE.min(commands - sent) {
                self.step();
            }
            sent += self.batch.len();
            self.send(con);
        }
    }

    /// Fails unless everything has happened that was to be tried.
    pub fn assert_was_varied(&self) {
        eprintln!("{:#?}", self.tally);
        for what in ["evicted", "reused", "active", "revoked", "SESSIONLIMIT", "SESSIONEXISTS", "NOSESSION"] {
            assert!(self.tally.contains_key(what), "{what}: {:?}", self.tally);
        }
    }

    fn count(&mut self, what: &str) {
        *self.tally.entry(what.to_owned()).or_default() += 1;
    }

    fn send(&mut self, con: &mut Connection) {
        let batch = std::mem::take(&mut self.batch);
        let mut packed = Vec::new();
        for (args, _) in &batch {
            let mut command = redis::Cmd::new();
            for arg in args {
                command.arg(&arg[..]);
            }
            packed.extend(command.get_packed_command());
        }
        let replies = con.req_packed_commands(&packed, 0, batch.len()).expect("replies");
        for ((args, key), reply) in batch.into_iter().zip(replies) {
            let name = String::from_utf8(args[0].clone()).unwrap();
            self.count(&name);
            match reply {
                Value::ServerError(error) => {
                    let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
                    assert!(!text.contains("internal"), "{name}: {text}");
                    // RENAME and COPY of nothing, too many fields.
                    assert!(
                        ["SESSIONLIMIT", "SESSIONEXISTS", "NOSESSION", "ERR"].contains(&error.code()),
                        "{name}: {text}"
                    );
                    self.count(error.code());
                }
                reply if ["SESSION.CREATE", "SESSION.REFRESH", "SESSION.REGENERATE"].contains(&&name[..]) => {
                    self.learn(key, reply);
                }
                reply if ["SESSION.VALIDATE", "SESSION.TOUCH"].contains(&&name[..]) => {
                    let reply = fields(reply);
                    let answer = if reply.bool("active") { "active".to_owned() } else { reply.str("reason") };
                    self.count(&answer);
                }
                _ => {}
            }
        }
    }

    fn learn(&mut self, key: String, reply: Value) {
        // Queued for a transaction.
        if matches!(reply, Value::SimpleString(_)) {
            return;
        }
        let reply = fields(reply);
        if !reply.has("token") {
            return self.count(&reply.str("reason"));
        }
        if !reply.strings("evicted").is_empty() {
            self.count("evicted");
        }
        let text = |name: &str| if reply.is_null(name) { "none".to_owned() } else { reply.str(name) };
        let known = Known { key, id: reply.str("id"), token: text("token"), refresh: text("refresh_token") };
        if self.known.len() < REMEMBERED {
            self.known.push(known);
        } else {
            self.known[self.learnt % REMEMBERED] = known;
        }
        self.learnt += 1;
    }

    /// A credential that was learnt before, half the time one of the latest.
    fn credential(&mut self) -> Known {
        let back = if self.random.once_in(2) { self.random.below(self.known.len()) } else { self.random.below(60) };
        let at = self.learnt.saturating_sub(1 + back) % REMEMBERED;
        self.known.get(at).unwrap_or(&self.known[0]).clone()
    }

    fn refreshable(&mut self) -> Known {
        let tries = (0..9).map(|_| self.credential()).collect::<Vec<_>>();
        tries.iter().find(|known| known.refresh != "none").unwrap_or(&tries[0]).clone()
    }

    fn queue<A: AsRef<[u8]>>(&mut self, key: &str, args: impl IntoIterator<Item = A>) {
        let args = args.into_iter().map(|arg| arg.as_ref().to_vec()).collect();
        self.batch.push((args, key.to_owned()));
    }

    fn key(&mut self) -> String {
        let users = self.users;
        match self.random.below(10) {
            0..4 => format!("sessions:busy-{}", self.random.below(BUSY)),
            4..7 => format!("sessions:{{user-{}}}", self.random.below(users)),
            _ => format!("sessions:crowd-{}", self.random.below(CROWDED)),
        }
    }

    /// Some text, mostly short.
    fn text(&mut self) -> String {
        let length = match self.random.below(40) {
            0 => 20_000,
            1..4 => 1000,
            _ => 20,
        };
        let length = self.random.below(length);
        let word = format!("{:x} ", self.random.number());
        word.chars().cycle().take(length).collect()
    }

    fn create(&mut self) {
        let key = self.key();
        let crowd = key.contains("crowd");
        let mut args = vec!["SESSION.CREATE".to_owned(), key.clone()];
        // Deadlines are within seconds or later than any test ends.
        let options = [
            &["TTL 1", "TTL 90000", "TTL 200000", "", "", "", ""][..],
            &["IDLE 1", "IDLE 80000", "", "", ""],
            if crowd {
                &["MAX 90", "REJECT", "", ""]
            } else {
                &["MAX 1", "MAX 3", "MAX 3 REJECT", "MAX 200 REJECT", "REJECT", "", "", ""]
            },
            &["IP 192.0.2.7", "IP 2001:db8::7", ""],
            &["TOKEN OPAQUE", "TOKEN JWT", "TOKENTTL 1", "TOKEN NONE", "", "", ""],
            &["REFRESH 1", "REFRESH 80000", "REFRESH 0", "REFRESH 0", ""],
            &["DEVICE key", ""],
        ];
        for choices in options {
            args.extend(self.random.pick(choices).split_whitespace().map(str::to_owned));
        }
        if self.random.once_in(8) {
            let text = format!("{:0>100}", self.random.below(50));
            let known = ["alice", "0e37df36-f698-11e6-8dd4-cb9ced3df976", "0e37df36f69811e68dd4cb9ced3df976", &text];
            let id = *self.random.pick(&known);
            args.extend(["ID".to_owned(), id.to_owned()]);
        }
        if self.random.once_in(2) {
            args.extend(["AGENT".to_owned(), format!("agent {}", self.random.below(40))]);
        } else if self.random.once_in(10) {
            args.extend(["AGENT".to_owned(), format!("{:0>512}", self.random.number())]);
        }
        if self.random.once_in(2) {
            let (one, other) = (self.text(), self.text());
            args.extend(["DATA", "2", "theme", &one, "cart", &other].map(str::to_owned));
        }
        if self.random.once_in(8) && !args.iter().any(|arg| arg == "OPAQUE" || arg == "NONE") {
            let roles: Vec<_> = (0..self.random.below(60)).map(|role| format!("\"role-{role}\"")).collect();
            args.extend(["CLAIMS".to_owned(), format!("{{\"roles\":[{}]}}", roles.join(","))]);
        }
        self.queue(&key, args);
    }

    fn step(&mut self) {
        let Known { key, id, token, .. } = self.credential();
        let other = self.key();
        match self.random.below(1000) {
            0..330 => self.create(),
            330..400 => {
                let Known { key, refresh, .. } = self.refreshable();
                let agent = format!("refreshed {}", self.random.below(9));
                self.queue(&key, ["SESSION.REFRESH", &key, &refresh, "IP", "192.0.2.8", "AGENT", &agent]);
            }
            400..410 => {
                let Known { key, refresh, .. } = self.refreshable();
                self.queue(&key, ["SESSION.REFRESH", &key, &refresh, "DEVICE", "another"]);
            }
            410..425 => self.queue(&key, ["SESSION.REGENERATE", &key, &token]),
            425..440 => {
                let (level, ttl) = (*self.random.pick(&["1", "2", "3"]), *self.random.pick(&["1", "5000"]));
                let line = ["SESSION.REGENERATE", &key, &token, "LEVEL", level, "TTL", ttl, "CLAIMS", "{\"a\":1}"];
                self.queue(&key, [&line[..], &["IP", "192.0.2.10", "AGENT", "signed in again"]].concat());
            }
            440..490 => {
                let text = self.text();
                self.queue(&key, ["SESSION.SET", &key, &id, "theme", &text, "seen", "yes"]);
            }
            490..510 => self.queue(&key, ["SESSION.UNSET", &key, &id, "theme", "seen"]),
            510..650 => self.queue(&key, ["SESSION.TOUCH", &key, &token, "IP", "192.0.2.9"]),
            650..700 => self.queue(&key, ["SESSION.VALIDATE", &key, &token, "FULL"]),
            700..710 => self.queue(&key, ["SESSION.LIST", &key]),
            710..770 => self.queue(&key, ["SESSION.REVOKE", &key, &id]),
            770..840 => self.queue(&key, ["SESSION.REVOKE", &key, &token, "unknown", &id]),
            // A JWT of a session that is not here is denied.
            840..850 => self.queue(&key, ["SESSION.REVOKE", &other, &token]),
            850..860 => self.queue(&key, ["SESSION.REVOKEUSER", &key]),
            860..870 => self.queue(&key, ["SESSION.REVOKEUSER", &key, "EXCEPT", &token]),
            870..890 => {
                self.queue(&key, ["MULTI"]);
                self.queue(&key, ["SESSION.REVOKE", &key, &id]);
                self.queue(&key, ["SESSION.CREATE", &key, "TOKEN", "NONE", "AGENT", "in a transaction"]);
                self.queue(&key, ["SESSION.CREATE", &other, "TOKEN", "NONE", "MAX", "90"]);
                self.queue(&key, ["EXEC"]);
            }
            890..930 => {
                let script = "redis.call('SESSION.REVOKE', KEYS[1], ARGV[1]) \
                              return redis.call('SESSION.CREATE', KEYS[1], 'AGENT', 'in a script', 'TOKEN', 'NONE')";
                self.queue(&key, ["EVAL", script, "1", &key, &id]);
            }
            // A refresh token that comes twice: an answer that was lost or, without a grace, theft.
            930..935 => {
                let Known { key, refresh, .. } = self.refreshable();
                let grace = *self.random.pick(&["10", "0", "0"]);
                self.queue(&key, ["CONFIG", "SET", "session.refresh-grace", grace]);
                self.queue(&key, ["SESSION.REFRESH", &key, &refresh]);
                self.queue(&key, ["SESSION.REFRESH", &key, &refresh, "IP", "198.51.100.1"]);
            }
            935..945 => {
                let (setting, values) = *self.random.pick(&[
                    ("session.touch-granularity", ["0", "60", "1"]),
                    ("session.max-per-user", ["100", "100", "9"]),
                    ("session.limit-policy", ["evict", "evict", "reject"]),
                ]);
                let value = self.random.pick(&values);
                self.queue(&key, ["CONFIG", "SET", setting, value]);
            }
            945..950 => self.queue(&key, ["PERSIST", &key]),
            950..955 => self.queue(&key, ["EXPIRE", &key, "90000"]),
            _ => self.replace(&key, &other),
        }
    }

    /// Replaces or deletes all of a user's sessions.
    fn replace(&mut self, key: &str, other: &str) {
        if [key, other].iter().any(|key| key.contains("crowd")) && !self.random.once_in(200) {
            return;
        }
        match self.random.below(5) {
            0 => self.queue(key, ["COPY", key, other, "REPLACE"]),
            1 => self.queue(key, ["RENAME", key, other]),
            2 => self.queue(key, ["DEL", key]),
            3 => self.queue(key, ["UNLINK", key]),
            _ => {
                let script = "local value = redis.call('DUMP', KEYS[1]) \
                              return value and redis.call('RESTORE', KEYS[2], 0, value, 'REPLACE')";
                self.queue(key, ["EVAL", script, "2", key, other]);
            }
        }
    }
}
