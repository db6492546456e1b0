//! The applications of examples/ that are not written in Rust: their own tests, against a server of this harness. And the
//! example of the web crate.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use redis_session_tests::{Server, program_path, skipped};
use tempfile::TempDir;

use crate::languages::say;
use crate::markdown::{file, path};

/// What an application is written in.
enum Language {
    Python,
    Node,
}

pub(crate) struct Application {
    name: &'static str,
    language: Language,
    /// The arguments of its language's program that run its tests.
    tests: &'static [&'static str],
}

const FASTAPI: Application =
    Application { name: "fastapi", language: Language::Python, tests: &["-m", "unittest", "-v"] };

const EXPRESS: Application =
    Application { name: "express", language: Language::Node, tests: &["--test", "--test-reporter=spec"] };

pub(crate) const DJANGO: Application =
    Application { name: "django", language: Language::Python, tests: &["manage.py", "test", "-v", "2"] };

impl Application {
    pub(crate) fn folder(&self) -> PathBuf {
        path("examples").join(self.name)
    }

    fn libraries(&self) -> PathBuf {
        path(".cache/clients").join(self.name)
    }

    pub(crate) fn program(&self) -> Command {
        match self.language {
            Language::Python => {
                let mut python = Command::new("python3");
                python.env("PYTHONPATH", self.libraries()).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
                python
            }
            // Its libraries are in examples/NAME/node_modules, a link that scripts/client-libraries makes.
            Language::Node => Command::new("node"),
        }
    }

    /// Whether the libraries are here, in the versions that the application's list names, and the language itself.
    pub(crate) fn is_here(&self) -> bool {
        let list = match self.language {
            Language::Python => "requirements.txt",
            Language::Node => "package-lock.json",
        };
        let wanted = file(&format!("examples/{}/{list}", self.name));
        fs::read_to_string(self.libraries().join(list)).is_ok_and(|there| there == wanted)
            && self.program().arg("--version").output().is_ok_and(|output| output.status.success())
    }

    /// Runs the application's own tests against a server, and shows which passed.
    #[track_caller]
    fn test(&self) {
        let name = self.name;
        if !self.is_here() {
            let why = "its libraries are not here; scripts/client-libraries installs them";
            return skipped(&format!("examples/{name}: {why}"));
        }
        let server = Server::start();
        let folder = TempDir::with_prefix("redis-session-applications-").expect("a temporary folder");
        let output = folder.path().join("output");
        let to_file = || File::options().create(true).append(true).open(&output).expect("the output");
        let mut command = self.program();
        command.args(self.tests).current_dir(self.folder()).stdin(Stdio::null()).stdout(to_file()).stderr(to_file());
        command.env("REDIS_URL", server.url()).env("TMPDIR", folder.path());
        let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = fs::read_to_string(output).expect("output in UTF-8");
        assert!(status.success(), "examples/{name}: {status}\n{output}");
        say(&format!("examples/{name}:\n{output}"));
        for line in output.lines().filter(|line| line.contains(" ... skipped ")) {
            skipped(&format!("examples/{name}: {line}"));
        }
    }
}

#[test]
fn the_fastapi_application_does_what_its_tests_say() {
    FASTAPI.test();
}

#[test]
fn the_express_application_does_what_its_tests_say() {
    EXPRESS.test();
}

#[test]
fn the_django_application_does_what_its_tests_say() {
    DJANGO.test();
}

/// What a program answers: status and headers, and the body.
fn send(port: u16, request: &str, cookie: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the program listens");
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: {cookie}\r\nContent-Length: {length}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\n{body}"
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

#[test]
fn the_example_for_axum_signs_in_and_out() {
    let server = Server::start();
    let mut command = Command::new(program_path("examples/axum"));
    command.env("REDIS_URL", server.url()).env("LISTEN", "127.0.0.1:0").stdout(Stdio::piped());
    let mut program = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut said = String::new();
    BufReader::new(program.stdout.take().expect("its output")).read_line(&mut said).expect("its address");
    let port = said.trim().trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let ended = std::panic::catch_unwind(|| {
        let login = || {
            let (head, _) = send(port, "POST /login", "", "name=ada");
            let set = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
            set.split(';').next().expect("its value").to_owned()
        };
        let home = |cookie: &str| send(port, "GET /", cookie, "").1;
        let (here, there) = (login(), login());
        assert!(home(&here).contains("You are ada"));
        assert!(home("").contains("Sign in"));
        assert!(send(port, "POST /logout", &here, "").0.starts_with("HTTP/1.1 303"));
        assert!(!home(&here).contains("You are ada") && home(&there).contains("You are ada"));
        assert!(send(port, "POST /logout-all", &there, "").0.starts_with("HTTP/1.1 303"));
        assert!(!home(&there).contains("You are ada"));
        assert!(send(port, "POST /login", "", "name=%3Cb%3E").0.starts_with("HTTP/1.1 400"));
    });
    program.kill().expect("the program runs");
    program.wait().expect("the program ends");
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
