//! What somebody has ended is not good again, on servers: over commands, restarts and failovers, with clocks that step and
//! differ. Core has the same test of itself (`core/tests/safety.rs`), which takes more histories and steps.
//!
//! `REDIS_TEST_HISTORIES` is how many users there are. `REDIS_TEST_SEED` repeats a run.

use std::time::Duration;

use redis::{Connection, Value};
use redis_session_core::SessionId;
use redis_session_tests::issuer::{self, ES256, HS256, HS384, Key, RS256};
use redis_session_tests::{Fields, Server, amount, cmd, cmd_args, fields, int, now_ms, set_back};
use serde_json::json;

use crate::chance::Random;

/// Ids that applications and issuers use again and again.
const IDS: [&str; 4] = ["A", "B", "C", "D"];
/// Who makes JWTs elsewhere: the application itself, with keys that the server has too, and two issuers. These call their
/// sessions alike, and nobody's token may reach the sessions of another.
const MAKERS: [(Key, Option<&str>); 4] =
    [(HS256, None), (HS384, None), (ES256, Some("https://a.example")), (RS256, Some("https://b.example"))];
/// Clocks of servers and issuers differ by so much at most: the leeway.
const LEEWAY: i64 = 60;

struct Credential {
    token: String,
    id: String,
    is_refresh: bool,
    /// Made elsewhere.
    is_foreign: bool,
    iat: i64,
    /// What the last look found.
    is_good: bool,
    ended: Option<String>,
}

/// Two servers, the first of which is the primary.
struct Servers {
    primary: Server,
    replica: Server,
}

impl Servers {
    fn start() -> Self {
        let keys = issuer::set_of(&[HS256.jwk(), HS384.jwk()]);
        let issuers = json!({ "issuers": [
            { "iss": MAKERS[2].1, "jwks": "a.json" },
            { "iss": MAKERS[3].1, "jwks": "b.json" },
        ] });
        let files = "session.keys-file keys.json\nsession.issuers-file issuers.json";
        let settings = format!("{files}\nsession.leeway {LEEWAY}\nsession.max-per-user 2");
        let settings = format!("{settings}\nsession.refresh-grace 5\nsession.refresh-recovery 60");
        let server = || {
            let server = Server::builder().file("keys.json", keys.clone()).file("issuers.json", issuers.to_string());
            let server = server.file("a.json", issuer::set_of(&[ES256.jwk()]));
            server.file("b.json", issuer::set_of(&[RS256.jwk()])).config(&settings).appendonly()
        };
        let primary = server().start();
        let replica = server().clock_behind(Duration::from_secs(20)).start();
        // Not as a line of its file: it comes to be the primary, and starts again as that.
        let line = format!("REPLICAOF 127.0.0.1 {}", primary.port());
        cmd(&mut replica.connection(), &line).expect("a replica");
        primary.wait_for_sync(&replica);
        Self { primary, replica }
    }

    fn fail_over(&mut self) {
        self.primary.wait_for_sync(&self.replica);
        cmd(&mut self.replica.connection(), "REPLICAOF NO ONE").expect("a new primary");
        let line = format!("REPLICAOF 127.0.0.1 {}", self.replica.port());
        cmd(&mut self.primary.connection(), &line).expect("a new replica");
        std::mem::swap(&mut self.primary, &mut self.replica);
        self.primary.wait_for_sync(&self.replica);
    }
}

/// What a session is called here whose maker calls it `id`.
fn of(iss: Option<&str>, id: &str) -> String {
    iss.map_or_else(|| id.to_owned(), |iss| SessionId::of_issuer(iss, id.as_bytes()).expect("an id").to_string())
}

struct History<'r> {
    random: &'r mut Random,
    key: String,
    credentials: Vec<Credential>,
    log: Vec<String>,
}

impl History<'_> {
    fn ask(&mut self, con: &mut Connection, args: &[&str]) -> Option<Value> {
        let reply = cmd_args(con, args);
        let is_refused = reply.as_ref().is_err_and(|error| error.kind() != redis::ErrorKind::Extension);
        assert!(!is_refused, "{args:?}: {reply:?}");
        let shown: Vec<_> = args.iter().map(|arg| &arg[..arg.len().min(40)]).collect();
        self.log.push(format!(
            "{} {}: {}",
            now_ms(con),
            shown.join(" "),
            if reply.is_ok() { "OK" } else { "an error" }
        ));
        reply.ok()
    }

    fn pick(&mut self) -> Option<usize> {
        (!self.credentials.is_empty()).then(|| self.random.below(self.credentials.len()))
    }

    fn end(&mut self, how: &str, ends: impl Fn(&Credential) -> bool) {
        for credential in self.credentials.iter_mut().filter(|credential| credential.ended.is_none()) {
            if ends(credential) {
                credential.ended = Some(format!("{how} (line {})", self.log.len()));
            }
        }
    }

    fn learn(&mut self, reply: Option<Value>, now: i64) -> Option<Fields> {
        let reply = fields(reply?);
        if !reply.has("id") {
            return Some(reply);
        }
        let id = reply.str("id");
        for (name, is_refresh) in [("token", false), ("refresh_token", true)] {
            if !reply.is_null(name) {
                let token = reply.str(name);
                let made = Credential {
                    token,
                    id: id.clone(),
                    is_refresh,
                    is_foreign: false,
                    iat: now / 1000,
                    is_good: true,
                    ended: None,
                };
                if self.credentials.iter().all(|known| known.token != made.token) {
                    self.credentials.push(made);
                }
            }
        }
        Some(reply)
    }

    fn create(&mut self, con: &mut Connection, from: Option<String>) {
        let now = now_ms(con);
        let mut args = vec!["SESSION.CREATE".to_owned(), self.key.clone()];
        let mut add = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
        match from {
            Some(token) => add(&["FROM", &token]),
            None => {
                if self.random.once_in(2) {
                    add(&["ID", IDS[self.random.below(IDS.len())]]);
                }
                if self.random.once_in(3) {
                    add(&["TOKEN", "OPAQUE"]);
                }
                if self.random.once_in(3) {
                    add(&["REFRESH", "3000", "DEVICE", "phone"]);
                }
                if self.random.once_in(4) {
                    add(&["TTL", "40"]);
                }
            }
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let reply = self.ask(con, &args);
        let good: Vec<bool> = self.credentials.iter().map(|credential| credential.is_good).collect();
        let Some(reply) = self.learn(reply, now).filter(|reply| reply.has("evicted")) else { return };
        let evicted = reply.strings("evicted");
        for (credential, was_good) in self.credentials.iter_mut().zip(good) {
            if was_good && credential.ended.is_none() && evicted.contains(&credential.id) {
                credential.ended = Some(format!("evicted (line {})", self.log.len()));
            }
        }
    }

    fn foreign(&mut self, con: &mut Connection) {
        // One server's clock is behind the other's, so what is ahead of this one is so by less than the leeway there.
        let iat = now_ms(con) / 1000 + *self.random.pick(&[-2, -1, 0, 0, 5, 30]);
        let id = *self.random.pick(&IDS);
        let name = *self.random.pick(&["jti", "sid"]);
        let mut claims = json!({ "sub": self.key.trim_start_matches("sessions:"), "iat": iat, "exp": iat + 2000 });
        claims[name] = id.into();
        claims["n"] = self.random.number().to_string().into();
        let (key, iss) = *self.random.pick(&MAKERS);
        if let Some(iss) = iss {
            claims["iss"] = iss.into();
        }
        let id = of(iss, id);
        let token = key.sign(&key.header(), &claims);
        self.log.push(format!("{} a JWT from elsewhere: {claims}", now_ms(con)));
        let made = Credential { token, id, is_refresh: false, is_foreign: true, iat, is_good: true, ended: None };
        self.credentials.push(made);
    }

    fn step(&mut self, con: &mut Connection) {
        let now = now_ms(con);
        let key = self.key.clone();
        match self.random.below(24) {
            0..6 => self.create(con, None),
            6..9 => self.foreign(con),
            9..11 => {
                let Some(at) = self.pick() else { return };
                if self.credentials[at].is_foreign {
                    let token = self.credentials[at].token.clone();
                    self.create(con, Some(token));
                }
            }
            11..14 => {
                let Some(at) = self.pick() else { return };
                let token = self.credentials[at].token.clone();
                self.ask(con, &["SESSION.REVOKE", &key, &token]);
                self.end("revoked by its token", |credential| credential.token == token);
            }
            14..16 => {
                let Some(at) = self.pick() else { return };
                let id = self.credentials[at].id.clone();
                let was_alive = int(con, &format!("SESSION.TTL {key} {id}")) > 0;
                let revoked = self.ask(con, &["SESSION.REVOKE", &key, &id]);
                if was_alive && revoked == Some(Value::Int(1)) {
                    self.end("revoked by its id", |credential| credential.id == id && credential.is_good);
                }
            }
            16..18 => {
                let spared = self.pick().filter(|_| self.random.once_in(2)).map(|at| self.credentials[at].id.clone());
                let is_alive = spared.as_ref().is_some_and(|id| int(con, &format!("SESSION.TTL {key} {id}")) > 0);
                match &spared {
                    Some(id) => self.ask(con, &["SESSION.REVOKEUSER", &key, "EXCEPT", id]),
                    None => self.ask(con, &["SESSION.REVOKEUSER", &key]),
                };
                let soon = now / 1000 + LEEWAY;
                self.end("revoked with all", |credential| {
                    !(is_alive && Some(&credential.id) == spared.as_ref())
                        && (!credential.is_foreign || credential.iat <= soon)
                });
            }
            18 => {
                let (id, (_, iss)) = (*self.random.pick(&IDS), *self.random.pick(&MAKERS));
                let until = (now + 100_000_000).to_string();
                let mut args = vec!["SESSION.DENY", &key, id, "UNTIL", &until];
                args.extend(iss.into_iter().flat_map(|iss| ["ISS", iss]));
                self.ask(con, &args);
                let id = of(iss, id);
                self.end("denied", |credential| credential.id == id && (credential.is_foreign || credential.is_good));
            }
            19 => {
                let Some(at) = self.pick() else { return };
                if self.credentials[at].is_foreign {
                    return self.gets_no_token(con, at);
                }
                if !self.credentials[at].is_refresh {
                    return;
                }
                let (token, id) = (self.credentials[at].token.clone(), self.credentials[at].id.clone());
                // From its device the recovery may hold.
                let reply = match self.random.once_in(2) {
                    true => self.ask(con, &["SESSION.REFRESH", &key, &token, "DEVICE", "phone"]),
                    false => self.ask(con, &["SESSION.REFRESH", &key, &token]),
                };
                let reply = self.learn(reply, now);
                if reply.is_some_and(|reply| reply.has("reason") && reply.str("reason") == "reused") {
                    self.end("reused", |credential| credential.id == id && credential.is_good);
                }
            }
            20 => {
                let Some(at) = self.pick() else { return };
                let id = self.credentials[at].id.clone();
                let reply = match self.random.once_in(2) {
                    true => self.ask(con, &["SESSION.REGENERATE", &key, &id, "TTL", "60", "LEVEL", "2"]),
                    false => self.ask(con, &["SESSION.REGENERATE", &key, &id]),
                };
                let known = self.credentials.len();
                if self.learn(reply, now).is_some_and(|reply| reply.has("id")) {
                    let goes: Vec<bool> = self.credentials.iter().map(|each| each.id == id && each.is_good).collect();
                    for (at, goes) in goes.into_iter().enumerate().take(known) {
                        if goes && self.credentials[at].ended.is_none() {
                            self.credentials[at].ended = Some(format!("regenerated (line {})", self.log.len()));
                        }
                    }
                }
            }
            _ => {
                let by = *self.random.pick(&[300, 1000, 1000, 2000, 30_000, 45_000, -500, -3000, -40_000i64]);
                self.log.push(format!("{now} the clock steps by {by}"));
                match u64::try_from(by) {
                    Ok(by) => redis_session_tests::advance(con, Duration::from_millis(by)),
                    Err(_) => set_back(con, Duration::from_millis(by.unsigned_abs())),
                }
            }
        }
    }

    /// What was made elsewhere gets nothing that is made here (RFC 8725 section 3.8).
    fn gets_no_token(&mut self, con: &mut Connection, at: usize) {
        let (key, token) = (self.key.clone(), self.credentials[at].token.clone());
        for command in ["SESSION.REFRESH", "SESSION.REGENERATE"] {
            let reply = fields(self.ask(con, &[command, &key, &token]).expect("an answer"));
            assert!(!reply.bool("active") && !reply.has("token"), "{command}\n{}", self.log.join("\n"));
        }
    }

    /// Tries every credential. One that is good is so for the session with its id, and for no other.
    fn check(&mut self, con: &mut Connection) {
        if self.credentials.is_empty() {
            return;
        }
        let mut pipeline = redis::pipe();
        for credential in &self.credentials {
            for stateless in [false, true] {
                let command = pipeline.cmd("SESSION.VALIDATE").arg(&self.key).arg(&credential.token);
                if stateless {
                    command.arg("STATELESS");
                }
            }
        }
        let replies: Vec<Value> = pipeline.query(con).expect("VALIDATE");
        let replies: Vec<Fields> = replies.into_iter().map(fields).collect();
        for (credential, replies) in self.credentials.iter_mut().zip(replies.chunks(2)) {
            let mut good = replies.iter().filter(|reply| reply.bool("active")).peekable();
            let is_good = good.peek().is_some();
            for reply in good {
                assert_eq!(reply.str("id"), credential.id, "{}", self.log.join("\n"));
            }
            assert!(
                !is_good || credential.ended.is_none(),
                "{} of {}: {}, and active now\n{}",
                if credential.is_foreign { "a JWT from elsewhere" } else { "a token" },
                credential.id,
                credential.ended.as_deref().unwrap_or_default(),
                self.log.join("\n"),
            );
            // A refresh token is no token for VALIDATE; it is as good as its session.
            if !credential.is_refresh {
                credential.is_good = is_good;
            }
        }
    }
}

#[test]
fn what_somebody_has_ended_is_not_good_again() {
    let mut servers = Servers::start();
    let mut random = Random::of_this_run();
    for number in 0..amount("REDIS_TEST_HISTORIES", 60) {
        let key = format!("sessions:{number}");
        let mut history = History { random: &mut random, key, credentials: Vec::new(), log: Vec::new() };
        let steps = 10 + history.random.below(30);
        let mut con = servers.primary.connection();
        for _ in 0..steps {
            history.step(&mut con);
            history.check(&mut con);
            if history.random.once_in(150) {
                history.log.push("a restart".into());
                // A server that was a replica refuses to end before its log is rewritten.
                redis_session_tests::wait_until("the log is rewritten", || {
                    let info = |name| servers.primary.info("persistence", name);
                    info("aof_rewrite_in_progress") == "0" && info("aof_rewrite_scheduled") == "0"
                });
                servers.primary.restart_without_saving();
                con = servers.primary.connection();
            } else if history.random.once_in(150) {
                history.log.push("a failover".into());
                servers.fail_over();
                con = servers.primary.connection();
            }
        }
    }
}
