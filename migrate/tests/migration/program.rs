//! The program, run in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use redis_session_tests::Server;
use serde_json::Value;
use tempfile::TempDir;

/// A migration from one place to another, over all its runs.
pub(crate) struct Migration {
    dir: TempDir,
    source: String,
    target: String,
    /// Whom the system trusts, instead of those whom it does.
    trusted: Option<PathBuf>,
    /// The system's time zone.
    zone: &'static str,
}

/// What a run has said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Migration {
    /// On one server.
    pub(crate) fn on(server: &Server) -> Self {
        Self::between(server.url(), server.url())
    }

    pub(crate) fn between(source: String, target: String) -> Self {
        Self { dir: TempDir::with_prefix("migrate-test-").unwrap(), source, target, trusted: None, zone: "UTC" }
    }

    /// The same migration by other ways to its servers.
    pub(crate) fn through(&mut self, source: String, target: String) {
        (self.source, self.target) = (source, target);
    }

    /// The same on a system that trusts the certificate authorities in this file.
    pub(crate) fn trusting(self, file: impl Into<PathBuf>) -> Self {
        Self { trusted: Some(file.into()), ..self }
    }

    /// The same on a system in this time zone, as `TZ` names it (POSIX).
    pub(crate) fn in_zone(self, zone: &'static str) -> Self {
        Self { zone, ..self }
    }

    /// Starts the program with these words, without `--apply`.
    pub(crate) fn start(&self, args: &str) -> Child {
        Command::new(PathBuf::from(env!("CARGO_BIN_EXE_redis-session-migrate")))
            .env_clear()
            .env("TZ", self.zone)
            .envs(self.trusted.iter().map(|file| ("SSL_CERT_FILE", file)))
            .args(["--source", &self.source, "--target", &self.target, "--rate", "0", "--dir"])
            .arg(self.path())
            .args(args.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) fn run(&self, args: &str) -> Run {
        end(self.start(args))
    }

    /// Runs it with `--apply`, to an end without problems.
    #[track_caller]
    pub(crate) fn apply(&self, args: &str) -> Run {
        let run = self.run(&format!("--apply {args}"));
        assert_eq!(run.code, 0, "{run:?}");
        run
    }

    /// The folder of its state.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("migration")
    }

    /// The report's lines.
    pub(crate) fn report(&self, file: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path().join(file)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The reason in the report for the session with this token; `None` if it has no line.
    pub(crate) fn reason(&self, file: &str, token: &str) -> Option<String> {
        let id = crate::old::id_of(token);
        let lines: Vec<Value> = self.report(file).into_iter().filter(|line| line["id"] == id.as_str()).collect();
        assert!(lines.len() < 2, "{lines:?}");
        lines.first().map(|line| line["reason"].as_str().unwrap().to_owned())
    }

    /// A count of the state, by its path.
    pub(crate) fn count(&self, path: &str) -> u64 {
        let state: Value = serde_json::from_slice(&fs::read(self.path().join("state.json")).unwrap()).unwrap();
        state["tally"].pointer(path).and_then(Value::as_u64).unwrap_or(0)
    }

    /// All that it has written, as one text.
    pub(crate) fn files(&self) -> String {
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        fs::read_dir(self.path()).unwrap().map(|entry| read(&entry.unwrap().path())).collect()
    }
}

pub(crate) fn end(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    // Without a code: it was killed.
    Run { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Sends a signal, by its name.
pub(crate) fn signal(pid: u32, name: &str) {
    assert!(Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap().success());
}
