//! Clients that log users in and out all the time, and know what must be there in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redis_session::commands::{
    session_create, session_list, session_refresh, session_revoke, session_revoke_user, session_set, session_touch,
    session_validate,
};
use redis_session::redis::{Cmd, FromRedisValue, RedisError, from_redis_value};
use redis_session::{
    CreateOptions, Created, Grant, Reason, RefreshOptions, Session, SessionErrorCode, TokenFormat, ValidateOptions,
    Validation,
};
use redis_session_tests::wait_until;

use crate::links::{Connect, Link, kind_of};

/// Clients at work, each in a thread of its own and with users of its own.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Vec<Arc<AtomicUsize>>,
    clients: Vec<JoinHandle<Client>>,
}

/// What clients know in the end.
pub struct Outcome {
    users: Vec<User>,
    /// Errors that a client saw, by kind.
    pub errors: BTreeMap<String, usize>,
    /// How often each command succeeded.
    pub successes: BTreeMap<&'static str, usize>,
    /// Writes that were answered but not acknowledged by as many replicas as were asked for.
    pub unacknowledged: usize,
}

/// What became of the sessions whose fate the clients know.
#[derive(Debug, PartialEq, Eq)]
pub struct Tally {
    /// Sessions that were to be alive, and are.
    pub alive: usize,
    /// Sessions that were to be over, and are.
    pub ended: usize,
    /// Sessions of which no client can know: an error or a missing acknowledgement left it open.
    pub unknown: usize,
}

impl Load {
    /// Starts a client for each of these ways to connect, with so many users each.
    ///
    /// With `replicas`, every write is followed by WAIT for so many, and counts as done only if that many have it.
    pub fn start(connects: Vec<Connect>, users: usize, replicas: Option<u32>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let done: Vec<_> = connects.iter().map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let clients = connects.into_iter().enumerate().map(|(n, connect)| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done[n]));
            let mut client = Client::new(n, connect, users, replicas);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if client.step() {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
                client
            })
        });
        let clients = clients.collect();
        Self { stop, done, clients }
    }

    /// The keys of all users.
    pub fn keys(clients: usize, users: usize) -> Vec<String> {
        (0..clients).flat_map(|client| (0..users).map(move |user| key(client, user))).collect()
    }

    /// Waits until every client has done so much more without an error.
    #[track_caller]
    pub fn go_on(&self, steps: usize) {
        let goals: Vec<usize> = self.done.iter().map(|done| done.load(Ordering::Relaxed) + steps).collect();
        wait_until("the clients go on", || {
            let died = self.clients.iter().any(JoinHandle::is_finished);
            died || self.done.iter().zip(&goals).all(|(done, goal)| done.load(Ordering::Relaxed) >= *goal)
        });
    }

    /// Stops the clients. Fails if one of them has seen what must not be.
    pub fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut outcome =
            Outcome { users: Vec::new(), errors: BTreeMap::new(), successes: BTreeMap::new(), unacknowledged: 0 };
        for client in self.clients {
            let client = client.join().unwrap_or_else(|panic| resume_unwind(panic));
            outcome.users.extend(client.users);
            outcome.unacknowledged += client.unacknowledged;
            for (kind, count) in client.errors {
                *outcome.errors.entry(kind).or_default() += count;
            }
            for (command, count) in client.successes {
                *outcome.successes.entry(command).or_default() += count;
            }
        }
        outcome
    }
}

impl Outcome {
    /// Fails if a client saw an error of another kind than these, which are what the errors begin with.
    #[track_caller]
    pub fn assert_no_errors_but(&self, kinds: &[&str]) {
        let is_expected = |error: &str| {
            let (_, kind) = error.split_once(' ').expect("a command and a kind");
            kinds.iter().any(|expected| kind.starts_with(expected))
        };
        let others: Vec<_> = self.errors.iter().filter(|(error, _)| !is_expected(error)).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    /// Compares what is there with what must be: no session is lost, none is back, and there is none that nobody made.
    #[track_caller]
    pub fn verify(&self, connect: &Connect) -> Tally {
        let mut link = connect().expect("a connection");
        let mut tally = Tally { alive: 0, ended: 0, unknown: 0 };
        for User { key, sessions } in &self.users {
            let live: Vec<Session> = ask(&mut *link, &session_list(key));
            let live: BTreeMap<&str, &Session> = live.iter().map(|session| (session.id.as_str(), session)).collect();
            let known: BTreeSet<&str> = sessions.iter().map(|session| session.id.as_str()).collect();
            let strangers: Vec<_> = live.keys().filter(|id| !known.contains(*id)).collect();
            assert!(strangers.is_empty(), "{key}: nobody made {strangers:?}");
            for session in sessions {
                let Known { id, token, fate, number, .. } = session;
                let is_listed = live.contains_key(id.as_str());
                if let Some(token) = token {
                    let command = session_validate(key, token, &ValidateOptions::new());
                    let validation: Validation = ask(&mut *link, &command);
                    assert_fate(session, &validation, key);
                    assert_eq!(is_listed, validation.is_active(), "{key}: {session:?}");
                }
                if let (Fate::Alive, Some(number)) = (fate, number) {
                    assert_eq!(live[id.as_str()].data.text("number"), Some(number.to_string().as_str()), "{key}: {id}");
                }
                match fate {
                    Fate::Alive => tally.alive += 1,
                    Fate::Ended => tally.ended += 1,
                    Fate::Unknown => tally.unknown += 1,
                }
            }
        }
        tally
    }
}

/// Fails if a session is lost, or back again, or has ended without a trace.
fn assert_fate(session: &Known, validation: &Validation, what: &str) {
    let reason = validation.reason().map(|reason| reason.known().expect("a known reason"));
    match session.fate {
        Fate::Alive => assert_eq!(reason, None, "{what}: lost: {session:?}"),
        Fate::Ended if session.was_there => {
            let ended = matches!(reason, Some(Reason::Revoked | Reason::UserRevoked));
            assert!(ended, "{what}: back, or its trace is lost: {reason:?}: {session:?}");
        }
        Fate::Ended => assert_ne!(reason, None, "{what}: back: {session:?}"),
        Fate::Unknown => {}
    }
}

fn ask<T: FromRedisValue>(link: &mut dyn Link, command: &Cmd) -> T {
    from_redis_value(link.send(command).expect("an answer")).expect("an answer of this command")
}

/// A key of its own slot, as a rule.
fn key(client: usize, user: usize) -> String {
    format!("sessions:{client}-{user}")
}

#[derive(Debug)]
struct User {
    key: String,
    sessions: Vec<Known>,
}

/// A session as its client knows it.
#[derive(Debug)]
struct Known {
    id: String,
    /// None if the answer to its creation never came.
    token: Option<String>,
    /// None if it is not known which one is the next.
    refresh_token: Option<String>,
    fate: Fate,
    /// Whether its creation is certain to stand, so that its end leaves a trace.
    was_there: bool,
    /// The number that it holds as data, if that is known.
    number: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Alive,
    Ended,
    Unknown,
}

struct Client {
    connect: Connect,
    link: Option<Box<dyn Link>>,
    replicas: Option<u32>,
    random: u64,
    made: u64,
    users: Vec<User>,
    errors: BTreeMap<String, usize>,
    successes: BTreeMap<&'static str, usize>,
    unacknowledged: usize,
}

/// An answer, and whether it is certain to stand.
struct Answer<T> {
    value: T,
    stands: bool,
}

impl Client {
    fn new(number: usize, connect: Connect, users: usize, replicas: Option<u32>) -> Self {
        let user = |user| User { key: key(number, user), sessions: Vec::new() };
        Self {
            connect,
            link: None,
            replicas,
            random: 0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1),
            made: 0,
            users: (0..users).map(user).collect(),
            errors: BTreeMap::new(),
            successes: BTreeMap::new(),
            unacknowledged: 0,
        }
    }

    /// xorshift64*
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    /// Sends a command over a connection that is made again after an error, and remembers what came of it.
    fn run<T: FromRedisValue>(
        &mut self,
        name: &'static str,
        command: &Cmd,
        writes: bool,
    ) -> Result<Answer<T>, RedisError> {
        let attempt = (|| {
            let link = match &mut self.link {
                Some(link) => link,
                none => none.insert((self.connect)()?),
            };
            match self.replicas.filter(|_| writes) {
                Some(wanted) => {
                    let (value, replicas) = link.send_and_wait(command, wanted)?;
                    Ok((value, replicas >= wanted))
                }
                None => Ok((link.send(command)?, true)),
            }
        })();
        match attempt {
            Ok((value, stands)) => {
                *self.successes.entry(name).or_default() += 1;
                self.unacknowledged += usize::from(!stands);
                let value = from_redis_value(value).unwrap_or_else(|error| panic!("{name}: {error}"));
                Ok(Answer { value, stands })
            }
            Err(error) => {
                *self.errors.entry(format!("{name} {}", kind_of(&error))).or_default() += 1;
                if SessionErrorCode::of(&error).is_none() {
                    self.link = None;
                    // As any client that tries again: not as fast as it can.
                    thread::sleep(Duration::from_millis(10));
                }
                Err(error)
            }
        }
    }

    /// One command of a random user. Replies whether it succeeded.
    fn step(&mut self) -> bool {
        let user = self.below(self.users.len());
        let alive = self.users[user].sessions.iter().filter(|session| session.fate == Fate::Alive).count();
        if alive == 0 {
            return self.create(user);
        }
        let any = self.below(self.users[user].sessions.len());
        let recent = self.users[user].sessions.len().saturating_sub(1 + self.below(8));
        match self.below(100) {
            0..20 if alive < 8 => self.create(user),
            0..35 => self.revoke(user, recent),
            35..37 => self.revoke_user(user),
            37..50 => self.refresh(user, recent),
            50..60 => self.set(user, recent),
            60..80 => self.check(user, recent, true),
            80..90 => self.check(user, any, true),
            _ => self.check(user, any, false),
        }
    }

    fn create(&mut self, user: usize) -> bool {
        self.made += 1;
        let (id, key) = (format!("session-{}", self.made), self.users[user].key.clone());
        let kind = if self.made.is_multiple_of(2) { TokenFormat::Jwt } else { TokenFormat::Opaque };
        let options =
            CreateOptions::new().id(&id).token(kind).refreshable().agent(format!("browser {}", self.made % 7));
        let answer = self.run::<Created>("CREATE", &session_create(&key, &options), true);
        let mut session =
            Known { id, token: None, refresh_token: None, fate: Fate::Unknown, was_there: false, number: None };
        let succeeded = answer.is_ok();
        if let Ok(Answer { value: created, stands }) = answer {
            assert_eq!(created.id, session.id, "{key}");
            session.token = created.token;
            session.refresh_token = created.refresh_token;
            session.fate = if stands { Fate::Alive } else { Fate::Unknown };
            session.was_there = stands;
        }
        self.users[user].sessions.push(session);
        succeeded
    }

    fn check(&mut self, user: usize, n: usize, touch: bool) -> bool {
        let Known { id, token: Some(token), .. } = &self.users[user].sessions[n] else { return false };
        let (key, options) = (&self.users[user].key, ValidateOptions::new());
        let what = format!("{key}: {id}");
        let command = if touch { session_touch(key, token, &options) } else { session_validate(key, token, &options) };
        let answer = self.run::<Validation>(if touch { "TOUCH" } else { "VALIDATE" }, &command, false);
        let Ok(Answer { value: validation, .. }) = answer else { return false };
        assert_fate(&self.users[user].sessions[n], &validation, &what);
        true
    }

    fn refresh(&mut self, user: usize, n: usize) -> bool {
        let Known { id, refresh_token: Some(refresh_token), fate: Fate::Alive, .. } = &self.users[user].sessions[n]
        else {
            return false;
        };
        let (what, key) = (format!("{}: {id}", self.users[user].key), self.users[user].key.clone());
        let command = session_refresh(&key, refresh_token, &RefreshOptions::new());
        let answer = self.run::<Grant>("REFRESH", &command, true);
        let session = &mut self.users[user].sessions[n];
        session.refresh_token = None;
        match answer {
            Ok(Answer { value: Grant::Granted(tokens), stands }) => {
                session.token = tokens.token;
                session.refresh_token = tokens.refresh_token.filter(|_| stands);
                true
            }
            Ok(Answer { value: Grant::Refused(inactive), .. }) => panic!("{what} is not refreshed: {inactive:?}"),
            Err(_) => false,
        }
    }

    fn set(&mut self, user: usize, n: usize) -> bool {
        let Known { id, fate: Fate::Alive, .. } = &self.users[user].sessions[n] else { return false };
        self.made += 1;
        let (number, what) = (self.made, format!("{}: {id}", self.users[user].key));
        let command = session_set(&self.users[user].key, id, [("number", number)]);
        let answer = self.run::<u64>("SET", &command, true);
        let session = &mut self.users[user].sessions[n];
        session.number = None;
        match answer {
            Ok(Answer { stands, .. }) => {
                session.number = Some(number).filter(|_| stands);
                true
            }
            Err(error) => {
                let code = SessionErrorCode::of(&error);
                assert_ne!(code, Some(SessionErrorCode::NoSession), "{what} is lost");
                false
            }
        }
    }

    fn revoke(&mut self, user: usize, n: usize) -> bool {
        let Known { id, token: Some(token), .. } = &self.users[user].sessions[n] else { return false };
        let credential = if n.is_multiple_of(2) { id } else { token };
        let command = session_revoke(&self.users[user].key, credential);
        let answer = self.run::<u64>("REVOKE", &command, true);
        let session = &mut self.users[user].sessions[n];
        session.fate = match (&answer, session.fate) {
            (Ok(Answer { stands: true, .. }), _) | (_, Fate::Ended) => Fate::Ended,
            _ => Fate::Unknown,
        };
        answer.is_ok()
    }

    fn revoke_user(&mut self, user: usize) -> bool {
        let command = session_revoke_user(&self.users[user].key);
        let answer = self.run::<u64>("REVOKEUSER", &command, true);
        // A session whose creation was never answered may be made yet.
        for session in self.users[user].sessions.iter_mut().filter(|session| session.token.is_some()) {
            session.fate = match (&answer, session.fate) {
                (Ok(Answer { stands: true, .. }), _) | (_, Fate::Ended) => Fate::Ended,
                _ => Fate::Unknown,
            };
        }
        answer.is_ok()
    }
}
