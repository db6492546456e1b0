//! What one request of a user who is logged in costs with session libraries, and with the module: each command in a round
//! trip of its own, on one connection.

use redis::{Cmd, Connection, cmd};
use redis_session_benches::LIBRARIES;
use redis_session_tests::create;

use crate::Settings;
use crate::contenders::Contender;
use crate::load::{drive, median};
use crate::speed::PATIENCE;

/// What one request costs.
pub(crate) struct Request {
    pub(crate) name: &'static str,
    /// The names of its commands.
    pub(crate) commands: Vec<String>,
    /// Of commands and replies.
    pub(crate) bytes: f64,
    /// The median time of all round trips together, in microseconds.
    pub(crate) time: f64,
}

pub(crate) fn measure(settings: &Settings) -> Vec<Request> {
    eprintln!("  one request with each library");
    let server = Contender::Module.server(None, 1).expect("the usual server");
    let con = &mut server.connection();
    let token = create(con, "sessions:42 IP 203.0.113.9 AGENT Firefox").str("token");
    let touch: &[&str] = &["SESSION.TOUCH", "sessions:42", &token, "BRIEF"];
    let libraries = LIBRARIES.iter().map(|library| {
        command(library.login).exec(con).expect(library.name);
        (library.name, library.request.to_vec())
    });
    let requests: Vec<_> = [("redis-session", vec![touch])].into_iter().chain(libraries).collect();
    let mut times = vec![Vec::new(); requests.len()];
    for _ in 0..settings.rounds {
        for ((_, words), times) in requests.iter().zip(&mut times) {
            let commands: Vec<_> = words.iter().map(|words| command(words)).collect();
            let step = |con: &mut Connection, (): &()| {
                commands.iter().for_each(|command| command.exec(con).expect("a command that the library sends"));
            };
            times.push(drive(&server, 1, PATIENCE, &vec![(); settings.operations], step).0.p50);
        }
    }
    let cost = |((name, words), times): ((&'static str, Vec<&[&str]>), Vec<f64>)| Request {
        name,
        commands: words.iter().filter_map(|words| words.first()).map(|&name| name.to_owned()).collect(),
        bytes: words.iter().map(|words| traffic(con, &command(words))).sum(),
        time: median(times).unwrap_or_default(),
    };
    requests.into_iter().zip(times).map(cost).collect()
}

fn command(words: &[&str]) -> Cmd {
    let (name, arguments) = words.split_first().expect("a command");
    let mut command = cmd(name);
    command.arg(arguments);
    command
}

/// The bytes of a command and of its reply, as the server counts them.
fn traffic(con: &mut Connection, command: &Cmd) -> f64 {
    let written = |con: &mut Connection| -> f64 {
        let info: String = cmd("INFO").arg("stats").query(con).expect("INFO");
        let line = info.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        line.and_then(|bytes| bytes.trim().parse().ok()).expect("how many bytes the server has sent")
    };
    // An INFO says nothing of its own reply, and the next one does.
    let (first, second) = (written(con), written(con));
    command.exec(con).expect("a command that the library sends");
    (written(con) - second) - (second - first) + command.get_packed_command().len() as f64
}
