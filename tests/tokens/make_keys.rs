//! `make keys`, followed to the letter with a server.

use std::fs;
use std::path::Path;
use std::process::Command;

use redis::Connection;
use redis_session_tests::{Server, cmd, cmd_args, fields, list};

use crate::foreign::answer;

/// What `make keys` prints. It is built as the tests are, not for a release.
#[track_caller]
fn make_keys(file: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let file = format!("FILE={}", file.display());
    let plan = Command::new("make").args(["--no-print-directory", "-n", "keys", &file]).current_dir(root).output();
    let plan = String::from_utf8(plan.unwrap().stdout).unwrap();
    let line = plan.lines().last().unwrap().replace("--release ", "");
    assert!(line.starts_with("cargo run "), "{plan}");
    let made = Command::new("bash").args(["-c", &line]).current_dir(root).output().unwrap();
    assert!(made.status.success(), "{line}: {}", String::from_utf8_lossy(&made.stderr));
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

#[test]
fn following_it_changes_keys_without_logging_anybody_out() {
    let mut server = Server::start();
    let mut con = server.connection();
    let token = |con: &mut Connection| fields(cmd(con, "SESSION.CREATE sessions:42").unwrap()).str("token");
    let file = server.dir().join("keys.json");

    follow(&mut con, &make_keys(&file), "On each:");
    let (first, kids) = keys(&mut con);
    assert_eq!(kids, std::slice::from_ref(&first));
    let of_first = token(&mut con);

    let report = make_keys(&file);
    follow(&mut con, &report, "1.");
    let (active, kids) = keys(&mut con);
    assert_eq!((active, &kids[1]), (first.clone(), &first));
    let between = token(&mut con);
    follow(&mut con, &report, "2.");
    let (second, _) = keys(&mut con);
    assert_eq!(second, kids[0]);
    let of_second = token(&mut con);
    for token in [&of_first, &between, &of_second] {
        assert_eq!(answer(&mut con, token, &[]), "active");
    }

    // The third step, and what was set stays.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.lines().filter(|line| !line.contains(&first)).collect::<Vec<_>>().join("\n")).unwrap();
    cmd_args(&mut con, ["CONFIG", "SET", "session.keys-file", &file.display().to_string()]).unwrap();
    assert_eq!(keys(&mut con), (second.clone(), vec![second]));
    assert_eq!(answer(&mut con, &of_first, &[]), "unknown_key");
    assert_eq!(answer(&mut con, &of_second, &[]), "active");
    server.restart();
    assert_eq!(answer(&mut server.connection(), &of_second, &["STATELESS"]), "active");
    assert!(!server.log_contains("can be read by others"));
}
