//! Drives a server with several connections at once, each of which waits for the reply before it asks again.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use redis::Connection;
use redis_session_tests::Server;

/// What one operation costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Of all connections together.
    pub(crate) per_second: f64,
    /// The median of the times from the call to its answer, in microseconds.
    pub(crate) p50: f64,
    /// The time that one of a hundred exceeds, in microseconds.
    pub(crate) p99: f64,
}

/// Does `step` for each of `work`, on so many connections, until all is done or `patience` is over. Each connection
/// does one at least. Answers what the steps did too.
pub(crate) fn drive<T: Sync, R: Send>(
    server: &Server,
    connections: usize,
    patience: Duration,
    work: &[T],
    step: impl Fn(&mut Connection, &T) -> R + Sync,
) -> (Figures, Vec<R>) {
    let start = Barrier::new(connections);
    let parts: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|number| {
                let (start, step) = (&start, &step);
                let mut con = server.connection();
                scope.spawn(move || {
                    let (mut micros, mut answers) = (Vec::new(), Vec::new());
                    start.wait();
                    let began = Instant::now();
                    for one in work.iter().skip(number).step_by(connections) {
                        let before = Instant::now();
                        answers.push(step(&mut con, one));
                        micros.push(before.elapsed().as_secs_f64() * 1e6);
                        if began.elapsed() > patience {
                            break;
                        }
                    }
                    (began, Instant::now(), micros, answers)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread that ends")).collect()
    });
    let began = parts.iter().map(|part| part.0).min().expect("a connection");
    let ended = parts.iter().map(|part| part.1).max().expect("a connection");
    let (mut micros, mut answers) = (Vec::new(), Vec::new());
    for (_, _, some, more) in parts {
        micros.extend(some);
        answers.extend(more);
    }
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share).round() as usize];
    let per_second = micros.len() as f64 / (ended - began).as_secs_f64();
    (Figures { per_second, p50: at(0.5), p99: at(0.99) }, answers)
}

/// Of two in the middle, what is between them.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    Some((values[(values.len() - 1) / 2] + upper) / 2.0)
}
