//! Applications at work: logins and logouts, of which each that was answered is remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::Connection;
use redis_session_tests::{cmd, fields, verdict, wait_until};

/// Before a client tries another server.
const PAUSE: Duration = Duration::from_millis(20);

/// What one client was told.
#[derive(Debug, Default)]
struct Told {
    /// Key, token, and whether a logout was acknowledged.
    sessions: Vec<(String, String, bool)>,
    /// The longest time without a write that was acknowledged.
    longest: Duration,
}

/// Clients that log in and out on the one of these servers that takes writes.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Told>>,
}

/// What was acknowledged and is not so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) lost: usize,
    pub(crate) undone: usize,
}

impl Load {
    pub(crate) fn start(urls: &[String]) -> Self {
        let (stop, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..3).map(|client| {
            let (urls, stop, writes) = (urls.to_vec(), Arc::clone(&stop), Arc::clone(&writes));
            thread::spawn(move || work(client, &urls, &stop, &writes))
        });
        let load = Self { clients: clients.collect(), stop, writes };
        load.go_on(300);
        load
    }

    /// Waits for so many more writes.
    pub(crate) fn go_on(&self, more: usize) {
        let before = self.writes.load(Ordering::Relaxed);
        wait_until("the clients write", || self.writes.load(Ordering::Relaxed) >= before + more);
    }

    /// Compares what was acknowledged with what a server says, and returns how long nobody could write.
    pub(crate) fn stop(self, con: &mut Connection) -> (Losses, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let mut losses = Losses { lost: 0, undone: 0 };
        let mut longest = Duration::ZERO;
        let mut sessions = 0;
        for client in self.clients {
            let told = client.join().unwrap();
            longest = longest.max(told.longest);
            for (key, token, is_over) in told.sessions {
                sessions += 1;
                let is_active = verdict(con, &key, &token) == "active";
                losses.lost += usize::from(!is_over && !is_active);
                losses.undone += usize::from(is_over && is_active);
            }
        }
        eprintln!("{sessions} sessions, {losses:?}, writes waited or were refused for {:.1} s", longest.as_secs_f64());
        (losses, longest)
    }
}

fn work(client: usize, urls: &[String], stop: &AtomicBool, writes: &AtomicUsize) -> Told {
    let mut told = Told::default();
    let mut last = Instant::now();
    let mut number = 0;
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some(mut con) = connect(&urls[next % urls.len()]) else {
            next += 1;
            thread::sleep(PAUSE);
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let key = format!("sessions:{client}-{number}");
            let Ok(reply) = cmd(&mut con, &format!("SESSION.CREATE {key}")) else { break };
            let token = fields(reply).str("token");
            told.longest = told.longest.max(last.elapsed());
            last = Instant::now();
            writes.fetch_add(1, Ordering::Relaxed);
            let ends = number % 2 == 0;
            // One that was not answered may be over or not, and counts for neither.
            if ends && cmd(&mut con, &format!("SESSION.REVOKE {key} {token}")).is_err() {
                break;
            }
            told.sessions.push((key, token, ends));
        }
        next += 1;
        thread::sleep(PAUSE);
    }
    told
}

fn connect(url: &str) -> Option<Connection> {
    let con = redis::Client::open(url).ok()?.get_connection_with_timeout(Duration::from_millis(500)).ok()?;
    con.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    Some(con)
}
