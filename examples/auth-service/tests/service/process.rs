//! The service as a process of its own, which ends with its test.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use redis_session_tests::{Server, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::authenticator::Authenticator;
use crate::client::Client;

/// A running service, on a free port of loopback and with accounts of its own.
pub(crate) struct Service {
    dir: TempDir,
    child: Child,
    pub(crate) url: String,
}

impl Service {
    /// Starts the service with these variables in its environment, and waits until it listens.
    pub(crate) fn start(redis: &Server, settings: &[(&str, &str)]) -> Self {
        let dir = TempDir::with_prefix("auth-service-test-").unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let child = command(&dir)
            .env("LISTEN", "127.0.0.1:0")
            .env("REDIS_URL", redis.url())
            .env("CLIENT_IP_HEADER", "x-real-ip")
            .env("TRUSTED_HOPS", "1")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut service = Self { dir, child, url: String::new() };
        wait_until("the service listens", || {
            assert!(service.child.try_wait().unwrap().is_none(), "it did not start");
            service.lines("listening").first().is_some_and(|line| {
                service.url = format!("http://{}", line["address"].as_str().unwrap());
                true
            })
        });
        service
    }

    /// Somebody at this service.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The lines with this message.
    pub(crate) fn lines(&self, message: &str) -> Vec<Value> {
        let log = self.log();
        // What is being written may be half a line yet.
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == message).collect()
    }

    /// Runs the program with these arguments, on the same accounts.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        command(&self.dir).args(arguments).output().unwrap()
    }

    /// Makes a user an administrator, and gives what their authenticator app needs.
    pub(crate) fn make_admin(&self, name: &str) -> Authenticator {
        let output = self.run(&["grant-admin", name]);
        assert!(output.status.success());
        Authenticator::new(String::from_utf8(output.stdout).unwrap().trim())
    }

    /// What it says when it does not start with these variables in its environment.
    pub(crate) fn refusal(settings: &[(&str, &str)]) -> String {
        let dir = TempDir::with_prefix("auth-service-test-").unwrap();
        // If it starts after all, this ends by itself.
        let output = command(&dir).envs(settings.iter().copied()).args(["grant-admin", "nobody"]).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    }

    /// Its accounts, as another program sees them.
    pub(crate) fn accounts(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(database(&self.dir)).unwrap()
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal_to_stop();
        self.child.wait().unwrap()
    }

    pub(crate) fn signal_to_stop(&self) {
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status().unwrap();
        assert!(sent.success());
    }
}

fn database(dir: &TempDir) -> PathBuf {
    dir.path().join("accounts.sqlite")
}

fn command(dir: &TempDir) -> Command {
    let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_auth-service")));
    command.env_clear().env("DATABASE", database(dir));
    command
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the log of the service:\n{}---", self.log());
        }
    }
}
