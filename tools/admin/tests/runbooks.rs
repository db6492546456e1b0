//! The commands of docs/runbooks, on real servers under load. Each test prints what its runbook has cost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use redis_session_tests::{Server, ServerBuilder};

use crate::program::run;

mod everyone_out;
mod full_disk;
mod keys;
mod lost_quorum;
mod moving_users;
mod partition;
mod reshard;
mod restore;
mod upgrade;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbooks")
}

/// The blocks of commands of a page.
fn blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(folder().join(page)).unwrap();
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    blocks.map(str::to_owned).collect()
}

/// The page's line that has this text.
#[track_caller]
fn line(page: &str, text: &str) -> String {
    let blocks = blocks(page).concat();
    let Some(line) = blocks.lines().find(|line| line.contains(text)) else { panic!("{page} has no {text}:\n{blocks}") };
    line.to_owned()
}

/// Runs commands of a page with other words in place of some of their own, each of which they must have.
#[track_caller]
fn shell(block: &str, changes: &[(&str, &str)]) -> String {
    let mut script = block.to_owned();
    for (from, to) in changes {
        assert!(script.contains(from), "{from}: {script}");
        script = script.replace(from, to);
    }
    let done = Command::new("bash").args(["-euc", &script]).output().unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && !printed.contains("ERR"), "{script}\n{printed}");
    printed
}

/// The same, on this server's own machine.
#[track_caller]
fn shell_on(server: &Server, block: &str, changes: &[(&str, &str)]) -> String {
    let (port, program) = (server.port(), env!("CARGO_BIN_EXE_redis-session-admin"));
    let here = format!(
        "redis-cli() {{ command redis-cli -p {port} \"$@\"; }}\n\
         redis-session-admin() {{ '{program}' \"$@\" --url redis://127.0.0.1:{port}; }}\n"
    );
    shell(&(here + block), changes)
}

fn node() -> ServerBuilder {
    ServerBuilder::new().keys(&["one"])
}

fn to(server: &Server) -> String {
    format!("-h 127.0.0.1 -p {}", server.port())
}

/// A server that is down starts as a replica, as its file says then.
fn starts_as_replica_of(server: &Server, primary: &Server) {
    let conf = fs::read_to_string(server.config_path()).unwrap();
    fs::write(server.config_path(), format!("{conf}\nreplicaof 127.0.0.1 {}\n", primary.port())).unwrap();
}

#[test]
fn the_program_takes_each_command_that_the_pages_have() {
    let mut commands = 0;
    let mut pages: Vec<_> = fs::read_dir(folder()).unwrap().map(|page| page.unwrap().file_name()).collect();
    pages.sort();
    for page in pages {
        for line in blocks(page.to_str().unwrap()).iter().flat_map(|block| block.lines()) {
            let Some(words) = line.strip_prefix("redis-session-admin ") else { continue };
            let words = words.split('#').next().unwrap();
            // Nobody listens there: it is understood, and not done.
            let ran = run(&format!("{words} --url redis://127.0.0.1:1"));
            assert!(ran.code == 1 && ran.errors.contains("127.0.0.1:1"), "{page:?}: {line}: {ran:?}");
            commands += 1;
        }
    }
    assert!(commands > 10, "{commands}");
}
