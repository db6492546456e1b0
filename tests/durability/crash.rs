//! Kills in the midst of work: what was acknowledged holds, and what was not is whole or not there at all.
//!
//! `REDIS_TEST_ROUNDS` says how many kills, `REDIS_TEST_SEED` which commands lead to them.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use redis::{Connection, RedisResult, Value};
use redis_session_tests::{Fields, Server, amount, cmd, cmd_args, fields, int, verdict, wait_until};

use crate::chance::Random;
use crate::users::{server, session};

const CLIENTS: usize = 4;
/// Users that a client has for itself.
const OWN_USERS: usize = 3;
/// How many sessions the user may have with whom all clients log in.
const CAP: i64 = 5;

/// A session as the client knows it that began it, from replies that it has received.
#[derive(Debug)]
struct Session {
    key: String,
    id: String,
    token: String,
    /// The refresh tokens, oldest first.
    refresh: Vec<String>,
    seen: i64,
    dead: Option<&'static str>,
}

/// What a client has asked for without having received the reply.
#[derive(Debug, PartialEq)]
enum Doubt {
    Login {
        key: String,
    },
    Refresh {
        session: usize,
    },
    Logout {
        session: usize,
    },
    LogoutEverywhere {
        key: String,
    },
    /// Nothing that anybody could see.
    Other,
}

struct Client {
    con: Connection,
    random: Random,
    users: Vec<String>,
    sessions: Vec<Session>,
    doubt: Option<Doubt>,
}

/// What all clients do with the user whom they share.
struct Shared {
    key: String,
    logins: Mutex<Vec<(String, String)>>,
    evicted: Mutex<HashSet<String>>,
    acknowledged: AtomicUsize,
}

impl Client {
    /// Works until the server is gone.
    fn work(&mut self, shared: &Shared) {
        while self.step(shared).is_ok() {
            self.doubt = None;
            shared.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Some session that is alive.
    fn some_session(&mut self) -> Option<usize> {
        let alive: Vec<_> = (0..self.sessions.len()).filter(|at| self.sessions[*at].dead.is_none()).collect();
        (!alive.is_empty()).then(|| *self.random.pick(&alive))
    }

    fn ask(&mut self, doubt: Doubt, args: &[&str]) -> RedisResult<Value> {
        self.doubt = Some(doubt);
        cmd_args(&mut self.con, args)
    }

    fn step(&mut self, shared: &Shared) -> RedisResult<()> {
        let choice = self.random.below(100);
        let Some(at) = self.some_session().filter(|_| choice >= 35) else {
            return if choice < 8 { self.log_in_with_all(shared) } else { self.log_in() };
        };
        let Session { key, id, token, refresh, .. } = &self.sessions[at];
        let (key, id, token) = (key.clone(), id.clone(), token.clone());
        match choice {
            35..60 => {
                let refresh = refresh.last().unwrap().clone();
                let reply = self.ask(Doubt::Refresh { session: at }, &["SESSION.REFRESH", &key, &refresh])?;
                self.sessions[at].refresh.push(fields(reply).str("refresh_token"));
            }
            60..75 => {
                let reply = self.ask(Doubt::Other, &["SESSION.TOUCH", &key, &token, "FULL"])?;
                self.sessions[at].seen = fields(reply).int("last_seen_at");
            }
            75..97 => {
                let what = if choice.is_multiple_of(2) { &id } else { &token };
                let reply = self.ask(Doubt::Logout { session: at }, &["SESSION.REVOKE", &key, what])?;
                assert_eq!(reply, Value::Int(1));
                self.sessions[at].dead = Some("revoked");
            }
            _ => {
                self.ask(Doubt::LogoutEverywhere { key: key.clone() }, &["SESSION.REVOKEUSER", &key])?;
                let all = self.sessions.iter_mut().filter(|session| session.key == key && session.dead.is_none());
                all.for_each(|session| session.dead = Some("user_revoked"));
            }
        }
        Ok(())
    }

    fn log_in(&mut self) -> RedisResult<()> {
        let key = self.random.pick(&self.users).clone();
        let form = *self.random.pick(&["OPAQUE", "JWT"]);
        let create = ["SESSION.CREATE", &key, "TOKEN", form, "REFRESH", "0", "AGENT", "phone"];
        let reply = fields(self.ask(Doubt::Login { key: key.clone() }, &create)?);
        let (id, token, refresh) = (reply.str("id"), reply.str("token"), vec![reply.str("refresh_token")]);
        self.sessions.push(Session { key, id, token, refresh, seen: 0, dead: None });
        Ok(())
    }

    fn log_in_with_all(&mut self, shared: &Shared) -> RedisResult<()> {
        let cap = CAP.to_string();
        let reply = fields(self.ask(Doubt::Other, &["SESSION.CREATE", &shared.key, "TOKEN", "OPAQUE", "MAX", &cap])?);
        shared.evicted.lock().unwrap().extend(reply.strings("evicted"));
        shared.logins.lock().unwrap().push((reply.str("id"), reply.str("token")));
        Ok(())
    }

    /// What a session may be worth now.
    fn expected(&self, at: usize) -> Vec<&'static str> {
        let session = &self.sessions[at];
        match (&session.dead, &self.doubt) {
            (Some(reason), _) => vec![reason],
            (None, Some(Doubt::Logout { session })) if *session == at => vec!["active", "revoked"],
            (None, Some(Doubt::LogoutEverywhere { key })) if *key == session.key => vec!["active", "user_revoked"],
            (None, _) => vec!["active"],
        }
    }

    /// Compares what this client was told with what the server knows, and learns what became of the last command.
    fn compare(&mut self, server: &Server) {
        let mut con = server.connection();
        let mut all_or_nothing = HashSet::new();
        for at in 0..self.sessions.len() {
            let Session { key, id, token, dead, .. } = &self.sessions[at];
            let found = verdict(&mut con, key, token);
            let expected = self.expected(at);
            assert!(expected.contains(&&found[..]), "{found} instead of {expected:?}: {:?}", self.sessions[at]);
            if dead.is_none() && self.doubt == Some(Doubt::LogoutEverywhere { key: key.clone() }) {
                all_or_nothing.insert(found.clone());
            }
            if found == "active" {
                assert!(session(&mut con, key, id).int("last_seen_at") >= self.sessions[at].seen, "{key} {id}");
            } else {
                self.sessions[at].dead = expected.into_iter().find(|reason| *reason == found);
            }
        }
        assert!(all_or_nothing.len() < 2, "half of a user was logged out");
        for key in &self.users {
            let alive = self.sessions.iter().filter(|session| session.key == *key && session.dead.is_none()).count();
            let alive = i64::try_from(alive).unwrap();
            let more = i64::from(self.doubt == Some(Doubt::Login { key: key.clone() }));
            let count = int(&mut con, &format!("SESSION.COUNT {key}"));
            assert!((alive..=alive + more).contains(&count), "{key}: {count} instead of {alive} and perhaps {more}");
        }
    }

    /// Offers refresh tokens again: the last one that was acknowledged is good, and none before it.
    fn offer_refresh_tokens(&mut self, server: &Server, grace: bool) {
        let mut con = server.connection();
        for at in 0..self.sessions.len() {
            let doubtful = self.doubt == Some(Doubt::Refresh { session: at });
            let session = &mut self.sessions[at];
            let Session { key, refresh, dead: None, .. } = session else { continue };
            let mut offer = |token: &str| fields(cmd_args(&mut con, ["SESSION.REFRESH", key, token]).unwrap());
            let is_refused = |reply: &Fields| !reply.has("token") && reply.str("reason") == "reused";
            let last = refresh.len() - 1;
            // Who was exchanged last may have lost the reply.
            if grace && last > 0 && !doubtful {
                assert_eq!(offer(&refresh[last - 1]).str("refresh_token"), refresh[last], "the same again");
            }
            // Half of the sessions are tried with a token that is too old, if they have had one.
            let old = last.checked_sub(1 + usize::from(grace)).filter(|_| at % 2 == 0);
            let reply = offer(&refresh[old.unwrap_or(last)]);
            if old.is_none() && reply.has("token") {
                continue;
            }
            // The last one is old itself if it was being exchanged, and nothing forgives asking again.
            assert!(is_refused(&reply) && (old.is_some() || (doubtful && !grace)), "{reply:?} of {refresh:?}");
            assert!(is_refused(&offer(&refresh[last])), "the session is to be over");
            session.dead = Some("reused");
        }
    }
}

/// Fails unless the user with whom all log in has no more sessions than it may, and those that made room are gone.
fn compare_shared(server: &Server, shared: Shared) -> Vec<(String, String, String)> {
    let mut con = server.connection();
    assert!(int(&mut con, &format!("SESSION.COUNT {}", shared.key)) <= CAP);
    let evicted = shared.evicted.into_inner().unwrap();
    let mut verdicts = Vec::new();
    for (id, token) in shared.logins.into_inner().unwrap() {
        let found = verdict(&mut con, &shared.key, &token);
        // A login that was not acknowledged may have evicted one more.
        assert!(found == "evicted" || (found == "active" && !evicted.contains(&id)), "{id}: {found}");
        verdicts.push((shared.key.clone(), token, found));
    }
    verdicts
}

#[test]
fn no_kill_undoes_what_was_acknowledged() {
    let rounds = amount("REDIS_TEST_ROUNDS", 5);
    let mut random = Random::of_this_run();
    let mut server = server().appendonly().config("session.max-per-user 1000").start();
    // Of all rounds: key, token, and what it is worth.
    let mut history: Vec<(String, String, String)> = Vec::new();
    let (mut total, mut in_doubt) = (0, 0);
    for round in 0..rounds {
        let grace = round % 2 == 1;
        let mut con = server.connection();
        cmd(
            &mut con,
            if grace { "CONFIG SET session.refresh-grace 3600" } else { "CONFIG SET session.refresh-grace 0" },
        )
        .unwrap();
        let shared = Shared {
            key: format!("sessions:{round}-shared"),
            logins: Mutex::default(),
            evicted: Mutex::default(),
            acknowledged: AtomicUsize::new(0),
        };
        let mut clients: Vec<_> = (0..CLIENTS)
            .map(|client| Client {
                con: server.connection(),
                random: Random::of(random.number()),
                users: (0..OWN_USERS).map(|user| format!("sessions:{round}-{client}-{user}")).collect(),
                sessions: Vec::new(),
                doubt: None,
            })
            .collect();
        let (rewrite_after, kill_after) = (random.below(300), 100 + random.below(400));
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| client.work(&shared));
            }
            let acknowledged = |number| {
                wait_until("clients work", || shared.acknowledged.load(Ordering::Relaxed) > number);
            };
            if round % 3 == 2 {
                acknowledged(rewrite_after);
                cmd(&mut con, "BGREWRITEAOF").unwrap();
            }
            acknowledged(kill_after);
            server.kill();
        });
        server.start_again();
        cmd(&mut server.connection(), &format!("CONFIG SET session.refresh-grace {}", if grace { 3600 } else { 0 }))
            .unwrap();

        total += shared.acknowledged.load(Ordering::Relaxed);
        history.extend(compare_shared(&server, shared));
        for mut client in clients {
            in_doubt += usize::from(client.doubt.is_some());
            client.compare(&server);
            client.offer_refresh_tokens(&server, grace);
            let sessions = client.sessions.into_iter();
            history.extend(
                sessions.map(|session| (session.key, session.token, session.dead.unwrap_or("active").to_owned())),
            );
        }
        for (key, token, expected) in &history {
            assert_eq!(verdict(&mut server.connection(), key, token), *expected, "round {round}: {key} {token}");
        }
    }
    let count = |reason: &str| history.iter().filter(|(_, _, verdict)| verdict == reason).count();
    eprintln!(
        "{rounds} kills, {total} commands acknowledged, {in_doubt} in doubt; of {} sessions: {} active, {} revoked, \
         {} user_revoked, {} reused, {} evicted",
        history.len(),
        count("active"),
        count("revoked"),
        count("user_revoked"),
        count("reused"),
        count("evicted"),
    );
    assert!(in_doubt > 0, "the server was to be killed in the midst of work");
    assert!(["active", "revoked", "reused", "evicted"].iter().all(|reason| count(reason) > 0));
}
