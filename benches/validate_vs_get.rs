//! SESSION.VALIDATE and plain GET through one real server, in turn, by redis-benchmark: the ratio of their throughputs;
//! and that of checks of tokens of other issuers, which are remembered, to a check of a token of ours.
//!
//! GET is the limit: it returns one string and checks nothing. Run on a quiet machine with two cores or more;
//! `ROUNDS` and `REQUESTS` in the environment change how much is measured.
//!
//! `cargo bench -p redis-session-benches --bench validate_vs_get`

use std::env;
use std::process::Command;

use redis_session_tests::issuer::{self, ES256, KEYS, Key, RS256};
use redis_session_tests::{Server, cmd, cmd_args, fields, now_ms};
use serde_json::json;

fn main() {
    let rounds = number("ROUNDS", 7);
    let requests = number("REQUESTS", 400_000);
    let keys = issuer::set_of(&KEYS.map(Key::jwk));
    let server = Server::builder().file("keys.json", keys).config("session.keys-file keys.json").start();
    let mut con = server.connection();
    let mut login = |key: &str| {
        let login = cmd(&mut con, &format!("SESSION.CREATE {key} TTL 86400 TOKENTTL 86400 IP 203.0.113.9 MAX 1000000"));
        fields(login.expect("a login")).str("token")
    };
    let token = login("sessions:42");
    let of_many = (0..100_000).map(|_| login("sessions:43")).nth(50_000).expect("a token");
    let exp = now_ms(&mut con) / 1000 + 86_400;
    let foreign = [RS256, ES256].map(|signer| {
        let name = signer.name();
        let claims =
            json!({ "sub": name, "sid": "BwcHBwcHBwcHBwcHBwcHBw", "exp": exp, "jti": "DDDDDDDDDDDDDDDDDDDDDw" });
        let token = signer.sign(&signer.header(), &claims);
        let key = format!("sessions:{name}");
        cmd_args(&mut con, ["SESSION.CREATE", &key, "FROM", &token, "IP", "203.0.113.9"]).expect("a login");
        (name, key, token)
    });
    let json = format!(r#"{{"user":"42","ip":"203.0.113.9","token":"{token}"}}"#);
    redis::cmd("SET").arg("session:42").arg(json).exec(&mut con).expect("SET");

    for pipeline in [1, 16] {
        let requests = if pipeline == 1 { requests / 4 } else { requests };
        let run = |command: &[&str]| throughput(server.port(), pipeline, requests, command);
        let (mut get, mut validate, mut many, mut ratios, mut many_ratios) = (vec![], vec![], vec![], vec![], vec![]);
        let mut foreign_ratios = [vec![], vec![]];
        for _ in 0..rounds {
            get.push(run(&["GET", "session:42"]));
            validate.push(run(&["SESSION.VALIDATE", "sessions:42", &token]));
            many.push(run(&["SESSION.VALIDATE", "sessions:43", &of_many]));
            let last = |runs: &[f64]| runs.last().copied().unwrap_or(f64::NAN);
            ratios.push(last(&validate) / last(&get));
            many_ratios.push(last(&many) / last(&validate));
            for ((_, key, token), ratios) in foreign.iter().zip(&mut foreign_ratios) {
                ratios.push(run(&["SESSION.VALIDATE", key, token]) / last(&validate));
            }
        }
        let (get, validate, many) = (median(get), median(validate), median(many));
        println!("-c 50 -P {pipeline}, {rounds} rounds of {requests} requests each, medians");
        println!("  GET                                {get:>10.0} requests/s");
        println!("  SESSION.VALIDATE                   {validate:>10.0} requests/s");
        println!("  the same, of 100,000 sessions      {many:>10.0} requests/s");
        println!("  VALIDATE / GET                     {:>10.2}", median(ratios));
        println!("  100,000 sessions / 1               {:>10.2}", median(many_ratios));
        for ((name, ..), ratios) in foreign.iter().zip(foreign_ratios) {
            println!("  {name} / HS256                      {:>10.2}", median(ratios));
        }
    }
}

fn number(name: &str, default: usize) -> usize {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Requests per second, as redis-benchmark counts them.
fn throughput(port: u16, pipeline: usize, requests: usize, command: &[&str]) -> f64 {
    let (port, pipeline, requests) = (port.to_string(), pipeline.to_string(), requests.to_string());
    let output = Command::new("redis-benchmark")
        .args(["-p", &port, "-c", "50", "-P", &pipeline, "-n", &requests, "--csv"])
        .args(command)
        .output()
        .expect("redis-benchmark runs");
    let text = String::from_utf8_lossy(&output.stdout);
    // The last line: the command in quotes, then the requests per second.
    let figure = text.lines().last().and_then(|line| line.split("\",\"").nth(1)).and_then(|figure| figure.parse().ok());
    figure.unwrap_or_else(|| panic!("redis-benchmark answered {text:?}"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
