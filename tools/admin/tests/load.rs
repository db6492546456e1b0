//! Applications at work: logins and logouts, of which each that was answered is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::cluster::ClusterClientBuilder;
use redis::{Connection, ConnectionLike, RedisResult};
use redis_session_tests::{cmd, error_text, fields, verdict, wait_until};

/// Between two writes of a client: so thousands of them in a second, and few enough to be checked soon.
const RHYTHM: Duration = Duration::from_millis(1);
/// Before a client tries another server.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a connection may take.
const CONNECTING: Duration = Duration::from_millis(500);
/// How long an answer may take.
const PATIENT: Duration = Duration::from_secs(20);

/// Clients that log in and out, with a new user for each login. Every third write is a logout: of the oldest session of
/// its client, so that some are always older than a backup.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<History>>,
}

/// What clients were told.
#[derive(Debug, Default)]
pub(crate) struct History {
    sessions: Vec<Known>,
    /// The longest time without a write that was acknowledged.
    pub(crate) waited: Duration,
    /// How often each error was the answer.
    pub(crate) errors: BTreeMap<String, usize>,
}

#[derive(Clone, Debug)]
struct Known {
    key: String,
    token: String,
    asked: Instant,
    answered: Instant,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Alive,
    /// Since its logout was acknowledged.
    Over(Instant),
    /// A logout was not answered: it may be over or not, and counts for neither.
    Unknown,
}

/// What was acknowledged and is not so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) lost: usize,
    pub(crate) undone: usize,
}

impl Losses {
    pub(crate) const NONE: Self = Self { lost: 0, undone: 0 };
}

impl Load {
    /// On the one of these servers that takes writes.
    pub(crate) fn start(urls: &[String]) -> Self {
        Self::of(0, servers(urls))
    }

    /// The same, and each logout waits a second for a replica. One that no replica has counts as not answered.
    pub(crate) fn that_waits(urls: &[String]) -> Self {
        Self::of(1, servers(urls))
    }

    /// On a cluster with these nodes among others.
    pub(crate) fn on_cluster(urls: &[String]) -> Self {
        let urls = urls.to_vec();
        Self::of(0, move || {
            let client = ClusterClientBuilder::new(urls.clone()).connection_timeout(CONNECTING);
            let client = client.response_timeout(PATIENT).min_retry_wait(10).max_retry_wait(100).build().unwrap();
            move || client.get_connection().ok()
        })
    }

    /// Clients of which each is given a way to connect.
    fn of<C, F>(replicas: u32, way: impl Fn() -> F) -> Self
    where
        C: ConnectionLike,
        F: FnMut() -> Option<C> + Send + 'static,
    {
        let (stop, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..3).map(|_| {
            let (connect, stop, writes) = (way(), Arc::clone(&stop), Arc::clone(&writes));
            thread::spawn(move || Client { replicas, ..Client::default() }.work(connect, &stop, &writes))
        });
        let load = Self { clients: clients.collect(), stop, writes };
        load.go_on(300);
        load
    }

    /// Waits for so many more writes.
    #[track_caller]
    pub(crate) fn go_on(&self, more: usize) {
        let before = self.writes.load(Ordering::Relaxed);
        wait_until("the clients write", || self.writes.load(Ordering::Relaxed) >= before + more);
    }

    /// Stops the clients.
    pub(crate) fn end(self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = History::default();
        for client in self.clients {
            let client = client.join().unwrap();
            all.waited = all.waited.max(client.waited);
            all.sessions.extend(client.sessions);
            for (error, times) in client.errors {
                *all.errors.entry(error).or_default() += times;
            }
        }
        all
    }

    /// Stops the clients, compares what was acknowledged with what is so, and reports it as the cost of `what`.
    pub(crate) fn stop(self, what: &str, con: &mut impl ConnectionLike) -> Losses {
        let history = self.end();
        let losses = history.losses(con);
        history.report(what, &losses);
        losses
    }
}

impl History {
    /// What was acknowledged until a moment, and of which nobody has done anything since.
    pub(crate) fn until(&self, moment: Instant) -> Self {
        let before = self.sessions.iter().filter(|session| session.answered < moment).cloned();
        let sessions = before.map(|session| match session.fate {
            Fate::Over(since) if since >= moment => Known { fate: Fate::Unknown, ..session },
            _ => session,
        });
        Self { sessions: sessions.collect(), ..Self::default() }
    }

    /// All sessions from before `sent` are over, those from after `done` are not. Of those between nobody can say.
    pub(crate) fn everyone_is_out(&mut self, sent: Instant, done: Instant) {
        for session in &mut self.sessions {
            if session.answered < sent {
                session.fate = Fate::Over(done);
            } else if session.asked < done && session.fate == Fate::Alive {
                session.fate = Fate::Unknown;
            }
        }
    }

    /// What was acknowledged and is not so.
    pub(crate) fn losses(&self, con: &mut impl ConnectionLike) -> Losses {
        let mut losses = Losses::NONE;
        for Known { key, token, fate, .. } in &self.sessions {
            match fate {
                Fate::Alive => losses.lost += usize::from(verdict(con, key, token) != "active"),
                Fate::Over(_) => losses.undone += usize::from(verdict(con, key, token) == "active"),
                Fate::Unknown => {}
            }
        }
        losses
    }

    /// Prints what `what` has cost.
    pub(crate) fn report(&self, what: &str, Losses { lost, undone }: &Losses) {
        let (sessions, seconds) = (self.sessions.len(), self.waited.as_secs_f64());
        eprintln!("{what}: {sessions} sessions, {lost} lost, {undone} undone, writes waited for {seconds:.1} s");
    }
}

/// One client.
#[derive(Default)]
struct Client {
    /// How many must have a logout.
    replicas: u32,
    history: History,
    /// The next that logs out.
    oldest: usize,
}

impl Client {
    fn work<C: ConnectionLike>(
        mut self,
        mut connect: impl FnMut() -> Option<C>,
        stop: &AtomicBool,
        writes: &AtomicUsize,
    ) -> History {
        /// No two clients have the same users.
        static CLIENTS: AtomicUsize = AtomicUsize::new(0);
        let client = CLIENTS.fetch_add(1, Ordering::Relaxed);
        let mut last = Instant::now();
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            let Some(mut con) = connect() else {
                thread::sleep(PAUSE);
                continue;
            };
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let logs_out = number % 3 == 0 && self.oldest < self.history.sessions.len();
                let written = if logs_out {
                    self.log_out(&mut con)
                } else {
                    self.log_in(&mut con, format!("sessions:{client}-{number}"))
                };
                if let Err(error) = written {
                    *self.history.errors.entry(error_text(&error)).or_default() += 1;
                    break;
                }
                self.history.waited = self.history.waited.max(last.elapsed());
                last = Instant::now();
                writes.fetch_add(1, Ordering::Relaxed);
                thread::sleep(RHYTHM);
            }
            thread::sleep(PAUSE);
        }
        self.history
    }

    fn log_in(&mut self, con: &mut impl ConnectionLike, key: String) -> RedisResult<()> {
        let asked = Instant::now();
        let token = fields(cmd(con, &format!("SESSION.CREATE {key}"))?).str("token");
        self.history.sessions.push(Known { key, token, asked, answered: Instant::now(), fate: Fate::Alive });
        Ok(())
    }

    fn log_out(&mut self, con: &mut impl ConnectionLike) -> RedisResult<()> {
        let session = &mut self.history.sessions[self.oldest];
        self.oldest += 1;
        session.fate = Fate::Unknown;
        cmd(con, &format!("SESSION.REVOKE {} {}", session.key, session.token))?;
        let reached: u32 = match self.replicas {
            0 => 0,
            wanted => redis::cmd("WAIT").arg(wanted).arg(1000).query(con)?,
        };
        if reached >= self.replicas {
            session.fate = Fate::Over(Instant::now());
        }
        Ok(())
    }
}

/// The next of these servers each time.
fn servers(urls: &[String]) -> impl Fn() -> Box<dyn FnMut() -> Option<Connection> + Send> + use<> {
    let urls = urls.to_vec();
    move || {
        let mut urls = urls.clone().into_iter().cycle();
        Box::new(move || connect(&urls.next()?))
    }
}

fn connect(url: &str) -> Option<Connection> {
    let con = redis::Client::open(url).ok()?.get_connection_with_timeout(CONNECTING).ok()?;
    con.set_read_timeout(Some(PATIENT)).ok()?;
    Some(con)
}
