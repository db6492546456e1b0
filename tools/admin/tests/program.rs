//! Running the program.

use std::process::{Command, Stdio};

use redis_session_tests::Server;

/// What it printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) printed: String,
    pub(crate) errors: String,
}

/// Runs it with these words, which no spaces are in.
pub(crate) fn run(line: &str) -> Ran {
    run_as(line, None)
}

/// The same, with a password in the environment.
pub(crate) fn run_as(line: &str, password: Option<&str>) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redis-session-admin"));
    command.args(line.split_whitespace()).stdin(Stdio::null()).env_remove("REDISCLI_AUTH");
    if let Some(password) = password {
        command.env("REDISCLI_AUTH", password);
    }
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), printed: text(output.stdout), errors: text(output.stderr) }
}

/// Runs it to the end that all is well, and returns what it printed.
#[track_caller]
pub(crate) fn well(line: &str) -> String {
    let ran = run(line);
    assert_eq!((ran.code, ran.errors.as_str()), (0, ""), "{line}: {ran:?}");
    ran.printed
}

/// Runs it to findings, and returns them.
#[track_caller]
pub(crate) fn findings(line: &str) -> String {
    let ran = run(line);
    assert_eq!((ran.code, ran.errors.as_str()), (1, ""), "{line}: {ran:?}");
    ran.printed
}

/// `--url` of a server.
pub(crate) fn at(server: &Server) -> String {
    format!("--url {}", server.url())
}

#[test]
fn wrong_arguments_are_refused_with_what_is_wrong() {
    for (line, why) in [
        ("", "a verb is missing"),
        ("verify --yes", "verify takes no option of everyone-out"),
        ("frobnicate", "is no verb"),
        ("verify --frobnicate", "--frobnicate is no option"),
        ("keys revoke", "needs a KID"),
        ("user end", "user end USER"),
        ("plan", "plan needs --users"),
        ("plan --users many", "many"),
        ("verify --url redis://a --sentinel b:1", "not both"),
        ("verify --name other", "--name is for --sentinel"),
        ("verify --cert file", "belong together"),
    ] {
        let ran = run(line);
        assert_eq!((ran.code, ran.printed.as_str()), (2, ""), "{line}: {ran:?}");
        assert!(ran.errors.contains(why), "{line}: {ran:?}");
    }
    assert!(run("--help").printed.contains("usage: redis-session-admin"));
}

#[test]
fn a_password_is_shown_nowhere() {
    let server = Server::builder().users().start();
    for (url, password) in [
        (format!("redis://operator:wrong-secret@127.0.0.1:{}", server.port()), None),
        (format!("redis://operator@127.0.0.1:{}", server.port()), Some("wrong-secret")),
        ("redis://operator:wrong-secret@127.0.0.1:1".to_owned(), None),
        ("redis://operator:wrong-secret@127.0.0.1:port".to_owned(), None),
    ] {
        let ran = run_as(&format!("verify --url {url}"), password);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(!ran.errors.is_empty() && !format!("{ran:?}").contains("wrong-secret"), "{ran:?}");
    }
    let ran = run_as(&format!("keys --user operator {}", at(&server)), Some("change-me"));
    assert_eq!(ran.code, 0, "{ran:?}");
}
