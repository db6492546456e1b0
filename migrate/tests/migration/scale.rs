//! Many keys: as many as `MIGRATE_KEYS` says.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Instant;

use redis_session_tests::Server;

use crate::old::live;
use crate::program::{Migration, end};

/// Sessions of each user.
const EACH: usize = 4;

#[test]
fn all_of_many_sessions_are_moved() {
    let keys: usize = env::var("MIGRATE_KEYS").map_or(2_000, |keys| keys.parse().expect("a number"));
    let server = Server::start();
    let mut con = server.connection();
    for from in (0..keys).step_by(10_000) {
        let mut pipe = redis::pipe();
        for n in from..keys.min(from + 10_000) {
            // One in a thousand cannot be moved, and one in a thousand need not be.
            let user = if n % 1000 == 7 { "{".into() } else { format!(r#"{{"user_id":{},"#, n / EACH) };
            let json = format!(
                r#"{user}"ip":"203.0.113.{}","user_agent":"Mozilla/5.0 Firefox/{}.0","created_at":"2026-11-25T10:00:00Z","cart":[{n}]}}"#,
                n % 256,
                n % 100
            );
            pipe.cmd("SET").arg(format!("session:{n:032x}")).arg(json).arg("EX").arg(86_400 + n % 86_400).ignore();
            if n % 1000 == 9 {
                pipe.cmd("SET").arg(format!("blacklist:{n:032x}")).arg(1).arg("EX").arg(86_400).ignore();
            }
        }
        pipe.exec(&mut con).unwrap();
    }
    let migration = Migration::on(&server);
    let dry = migration.run("");
    let rare = keys / 1000;
    let began = Instant::now();
    let child = migration.start("--apply");
    let peak = peak_memory(child.id());
    let run = end(child);
    let took = began.elapsed().as_secs_f64();
    assert_eq!((dry.code, run.code), (3, 3), "{run:?}");
    assert_eq!(live(&server), keys - 2 * rare);
    assert_eq!(migration.count("/sessions/moved"), (keys - 2 * rare) as u64);
    assert_eq!(migration.report("report.jsonl").len(), 2 * rare);
    println!("{}\n{}", dry.stdout, run.stdout);
    println!(
        "{keys} keys in {took:.1} s, {:.0} a second; at most {} kB of memory",
        keys as f64 / took,
        peak.join().unwrap()
    );
    let began = Instant::now();
    let child = migration.start("--apply");
    let peak = peak_memory(child.id());
    let again = end(child);
    let took_again = began.elapsed().as_secs_f64();
    assert_eq!((again.code, migration.count("/sessions/already")), (3, (keys - 2 * rare) as u64), "{again:?}");
    println!(
        "once more: {took_again:.1} s, {:.1} times as fast; at most {} kB of memory",
        took / took_again,
        peak.join().unwrap()
    );
}

/// The most memory that a process had, in kB, as far as it can be seen before it ends.
fn peak_memory(pid: u32) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut peak = 0;
        while let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) {
            let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
            peak = line.trim().trim_end_matches(" kB").parse().unwrap_or(peak);
            // Not a wait for anything: how often it is looked at.
            let _ = Command::new("sleep").arg("0.1").status();
        }
        peak
    })
}
