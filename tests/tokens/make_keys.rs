//! `make keys`, and the instructions that it prints, carried out on servers.

use std::fs;
use std::path::Path;
use std::process::Command;

use redis::Connection;
use redis_session_tests::{Server, cmd, cmd_args, fields, list, program_path};

use crate::foreign::answer;

/// What `make keys` prints. The program is the one that was built with the tests, not for a release.
#[track_caller]
fn make_keys(file: &Path, settings: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let argument = format!("FILE={}", file.display());
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "-n", "keys", &argument]).args(settings).current_dir(root);
    let plan = String::from_utf8(make.output().unwrap().stdout).unwrap();
    let (command, file) = plan.lines().last().and_then(|line| line.split_once(" -- ")).expect("a command");
    let cargo = "cargo run --locked --release --quiet -p redis-session-keys";
    assert_eq!(command, cargo, "{plan}");
    let program = program_path("redis-session-keys");
    let made = Command::new("bash").args(["-c", &format!("'{}' {file}", program.display())]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}

/// Does what it says to do, up to the next empty line, from the first line with these words on.
#[track_caller]
fn follow(con: &mut Connection, report: &str, from: &str) {
    let commands: Vec<_> = report
        .lines()
        .skip_while(|line| !line.starts_with(from))
        .filter(|line| line.is_empty() || line.starts_with("    "))
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty())
        .collect();
    assert!(!commands.is_empty(), "{report}");
    for command in commands {
        let words = command.trim().strip_prefix("redis-cli ").unwrap().split(' ');
        cmd_args(con, words.map(|word| if word == "\"\"" { "" } else { word })).unwrap();
    }
}

fn keys(con: &mut Connection) -> (String, Vec<String>) {
    let shown = fields(cmd(con, "SESSION.KEYS").unwrap());
    let kids = list(shown.get("keys").unwrap().clone()).into_iter().map(|key| fields(key).str("kid")).collect();
    (shown.str("active_kid"), kids)
}

/// A primary and a replica that have the same key file, as all servers of a deployment do.
struct Pair([Server; 2]);

impl Pair {
    fn start() -> Self {
        // By itself it does not end before the replica has said, as it does once a second, that it has everything.
        let primary = Server::builder().config("shutdown-timeout 0").start();
        let replica = Server::builder().replica_of(&primary).start();
        Self([primary, replica])
    }

    fn connections(&self) -> [Connection; 2] {
        self.0.each_ref().map(Server::connection)
    }

    /// Does on one server what the report says there, and then starts it again, as may happen at any time.
    fn follow(&mut self, server: usize, report: &str, from: &str) {
        follow(&mut self.0[server].connection(), report, from);
        self.restart(server);
    }

    fn restart(&mut self, server: usize) {
        let [primary, replica] = &mut self.0;
        if server == 0 {
            primary.restart();
            // By itself it looks for the primary once a second.
            let mut con = replica.connection();
            cmd(&mut con, "REPLICAOF NO ONE").unwrap();
            cmd(&mut con, &format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap();
        } else {
            replica.restart();
        }
        primary.wait_for_sync(replica);
    }

    /// A login, and which key has signed its token. Both servers take it at once, and all that came before it.
    fn log_in(&self, tokens: &mut Vec<String>) -> String {
        let [mut primary, mut replica] = self.connections();
        tokens.push(fields(cmd(&mut primary, "SESSION.CREATE sessions:42").unwrap()).str("token"));
        self.0[0].wait_for_sync(&self.0[1]);
        for token in &*tokens {
            assert_eq!([answer(&mut primary, token, &[]), answer(&mut replica, token, &[])], ["active", "active"]);
        }
        keys(&mut primary).0
    }
}

#[test]
fn following_it_changes_keys_without_logging_anybody_out_whoever_is_restarted_meanwhile() {
    let mut pair = Pair::start();
    let file = pair.0[0].dir().join("keys.json");
    let report = make_keys(&file, &[]);
    for server in [0, 1] {
        pair.follow(server, &report, "On each:");
    }
    let mut tokens = Vec::new();
    let mut signs = pair.log_in(&mut tokens);

    // The second time, session.active-kid names a key already.
    for _ in 0..2 {
        let report = make_keys(&file, &[]);
        // It finds the new file before it was told of it.
        pair.restart(0);
        assert_eq!(pair.log_in(&mut tokens), signs);
        for server in [0, 1] {
            pair.follow(server, &report, "1.");
            assert_eq!(pair.log_in(&mut tokens), signs);
        }
        let (_, kids) = keys(&mut pair.0[0].connection());
        let new = kids.last().unwrap().clone();
        assert_ne!(new, signs);
        for server in [0, 1] {
            pair.follow(server, &report, "2.");
            assert_eq!(pair.log_in(&mut tokens), new);
        }

        // The third step, and what was set stays.
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.lines().filter(|line| !line.contains(&signs)).collect::<Vec<_>>().join("\n")).unwrap();
        let of_old = std::mem::take(&mut tokens);
        assert_eq!(pair.log_in(&mut tokens), new);
        for (server, mut con) in pair.connections().into_iter().enumerate() {
            cmd(&mut con, "SESSION.RELOADKEYS").unwrap();
            assert_eq!(keys(&mut con), (new.clone(), vec![new.clone()]));
            assert_eq!(answer(&mut con, &of_old[0], &[]), "unknown_key");
            assert_eq!(answer(&mut con, of_old.last().unwrap(), &[]), "active");
            pair.restart(server);
            assert_eq!(pair.log_in(&mut tokens), new);
        }
        signs = new;
    }
    for server in &pair.0 {
        assert!(!server.log_contains("can be read by others"));
    }
}

#[test]
fn it_makes_and_adds_keys_of_the_algorithm_that_is_asked_for() {
    let server = Server::start();
    let (file, mut con) = (server.dir().join("keys.json"), server.connection());
    make_keys(&file, &["ALG=EdDSA"]);
    make_keys(&file, &[]);
    make_keys(&file, &["ALG=HS512"]);
    cmd(&mut con, "CONFIG SET session.keys-file keys.json").unwrap();
    let keys = list(fields(cmd(&mut con, "SESSION.KEYS").unwrap()).get("keys").unwrap().clone());
    let algorithms: Vec<_> = keys.into_iter().map(|key| fields(key).str("alg")).collect();
    assert_eq!(algorithms, ["EdDSA", "EdDSA", "HS512"]);
}
