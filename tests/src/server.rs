//! A running server.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use redis::{Client, Connection, ErrorKind, RedisError, ServerErrorKind};
use tempfile::TempDir;

use crate::binaries;
use crate::builder::{ServerBuilder, config_path};
use crate::clock;
use crate::command::cmd;
use crate::fields::text;
use crate::format;
use crate::keys::write_private;
use crate::port::Port;
use crate::wait::{Deadline, wait_until};

/// A server of its own, on loopback. Dropping it kills it and removes its folder.
///
/// A server that went down by itself while the test ran (a crash, say) fails the test when it is dropped; the end of
/// its log is printed with every test that fails.
#[derive(Debug)]
pub struct Server {
    dir: TempDir,
    port: Port,
    role: Role,
    /// None for the one that all servers are.
    program: Option<String>,
    /// None while the server is down because the test wanted it so.
    child: Option<Child>,
}

/// What the program is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A server that holds data.
    Data,
    /// One that watches others: Redis Sentinel.
    Sentinel,
}

/// What `redis-cli` printed.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended. It reports success for error replies too, unless it is called with `-e`.
    pub status: ExitStatus,
    /// Standard output, without the line end at its end.
    pub stdout: String,
    /// Standard error, without the line end at its end.
    pub stderr: String,
}

/// Standard output alone, as a test compares it.
impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stdout)
    }
}

/// Why a server did not start.
pub(crate) struct LaunchError {
    pub(crate) port_was_taken: bool,
    pub(crate) report: String,
}

impl Server {
    /// A server with the module and nothing else: [`ServerBuilder::new`] and start.
    #[track_caller]
    pub fn start() -> Self {
        ServerBuilder::new().start()
    }

    /// [`ServerBuilder::new`].
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// The port it listens on. It keeps it over restarts.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The URL that clients connect to.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Its folder, with `redis.conf`, `log`, and what it persists.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file in its folder, which nobody but its owner can read.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        write_private(&self.dir().join(name), content);
    }

    /// Its configuration file. CONFIG REWRITE writes it, and [`Server::start_again`] reads it.
    pub fn config_path(&self) -> PathBuf {
        config_path(&self.dir)
    }

    /// The number of its process.
    ///
    /// # Panics
    ///
    /// If it is down.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server is down").id()
    }

    /// Everything it has logged, over all its starts.
    pub fn log(&self) -> String {
        read_log(self.dir.path())
    }

    /// Whether its log contains `text`. What has just happened may still be on its way there: see [`wait_until`].
    pub fn log_contains(&self, text: &str) -> bool {
        self.log().contains(text)
    }

    /// A new connection that speaks RESP2.
    #[track_caller]
    pub fn connection(&self) -> Connection {
        self.connect_to(&self.url())
    }

    /// A new connection that speaks RESP3.
    #[track_caller]
    pub fn connection_resp3(&self) -> Connection {
        self.connect_to(&format!("{}?protocol=resp3", self.url()))
    }

    /// A client, for asynchronous connections and other settings.
    pub fn client(&self) -> Client {
        Client::open(self.url()).expect("a valid URL")
    }

    /// Moves the module's clock forward: deadlines pass, and the sweep sets out, without anyone's waiting. It stays ahead
    /// over restarts. The server's own clock, by which keys expire, stays as it is.
    pub fn advance(&self, by: Duration) {
        clock::advance_in(self.dir.path(), by);
    }

    /// Replaces the module, while the server is down, by its next version: see [`ServerBuilder::later_format`].
    ///
    /// # Panics
    ///
    /// If the server is running.
    #[track_caller]
    pub fn upgrade(&self) {
        assert!(self.child.is_none(), "the server is running");
        format::make_later(self.dir.path());
    }

    /// Runs `redis-cli` on this server: `server.cli(&["SESSION.COUNT", "sessions:42"]).stdout`.
    pub fn cli<A: AsRef<OsStr>>(&self, args: &[A]) -> Output {
        let mut command = self.cli_command(args);
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned();
        Output { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// `redis-cli` on this server, for what [`Server::cli`] cannot await: one that listens, say.
    pub fn cli_command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = binaries::cli_command();
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(args).stdin(Stdio::null());
        command
    }

    /// Shuts it down in order, writing an RDB file first, and starts it again with what it persisted.
    #[track_caller]
    pub fn restart(&mut self) {
        self.shutdown("SAVE");
        self.start_again();
    }

    /// Shuts it down in order, without writing an RDB file, and starts it again: from an append-only file, or empty.
    #[track_caller]
    pub fn restart_without_saving(&mut self) {
        self.shutdown("NOSAVE");
        self.start_again();
    }

    /// Shuts it down in order, `SAVE` or `NOSAVE`, and leaves it down.
    #[track_caller]
    pub fn shutdown(&mut self, how: &str) {
        let mut child = self.child.take().expect("the server is down already");
        // It answers only if it refuses.
        let refusal = redis::cmd("SHUTDOWN").arg(how).query::<String>(&mut self.connection());
        let deadline = Deadline::new();
        while child.try_wait().expect("the server's state").is_none() {
            if deadline.has_passed() {
                self.child = Some(child);
                panic!("SHUTDOWN {how}: {refusal:?}; the log:\n{}", self.log());
            }
            deadline.pause();
        }
    }

    /// Kills it at once, as a crash or a power cut of the process would (SIGKILL), and leaves it down.
    #[track_caller]
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("the server is down already");
        child.kill().expect("kill the server");
        child.wait().expect("await the server's end");
    }

    /// Stops its process for as long as the guard lives (SIGSTOP): it answers nobody, and its connections stay open.
    #[track_caller]
    pub fn freeze(&self) -> Frozen {
        // For scripts/stress, which stops and continues servers too, and must not wake this one.
        fs::write(self.dir.path().join("freezes-itself"), "").expect("the mark of a frozen server");
        let frozen = Frozen(self.pid());
        assert!(frozen.signal("-STOP"), "stop the server");
        frozen
    }

    /// Starts it again after [`Server::kill`] or [`Server::shutdown`]: same port, folder and configuration file.
    ///
    /// # Panics
    ///
    /// If it does not start, with its log.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        let deadline = Deadline::new();
        // Clients and replicas know its port, so here a port that is taken can only be awaited.
        self.child = loop {
            match Self::launch(&self.dir, self.port(), self.role, self.program.as_deref()) {
                Ok(child) => break Some(child),
                Err(failed) if failed.port_was_taken && !deadline.has_passed() => deadline.pause(),
                Err(failed) => panic!("{}", failed.report),
            }
        };
    }

    /// Whether it should be running: the test has neither killed it nor shut it down.
    pub(crate) fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Whether its process runs. False after a crash, a kill or a shutdown.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().expect("the server's state").is_none())
    }

    /// Waits until `replica` is connected to this server and has applied every write made here so far.
    #[track_caller]
    pub fn wait_for_sync(&self, replica: &Server) {
        let (mut here, mut there) = (self.connection(), replica.connection());
        let offset = offset(&info(&mut here, "replication"), "master_repl_offset");
        wait_until(&format!("the replica reaches offset {offset}"), || {
            // Both again each time: a replica that was connected elsewhere changes histories when it has synchronised.
            let (here, there) = (info(&mut here, "replication"), info(&mut there, "replication"));
            field(&there, "master_link_status") == Some("up")
                && field(&there, "master_replid") == field(&here, "master_replid")
                && field(&there, "slave_repl_offset").and_then(|n| n.parse().ok()).is_some_and(|n: i64| n >= offset)
        });
    }

    /// A field of a section of INFO: `server.info("stats", "total_commands_processed")`.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn info(&self, section: &str, name: &str) -> String {
        let info = info(&mut self.connection(), section);
        let Some(value) = field(&info, name) else { panic!("no {name} in INFO {section}:\n{info}") };
        value.to_owned()
    }

    /// The digest of a key's value (DEBUG DIGEST-VALUE): equal for equal values, here and on another server. Zeros
    /// where there is no such key. The key's TTL is no part of it.
    #[track_caller]
    pub fn digest(&self, key: &str) -> String {
        let (digest,): (String,) =
            redis::cmd("DEBUG").arg("DIGEST-VALUE").arg(key).query(&mut self.connection()).expect("DEBUG DIGEST-VALUE");
        digest
    }

    /// The digest of all keys with their values (DEBUG DIGEST), and whether they expire but not when.
    #[track_caller]
    pub fn digest_of_all(&self) -> String {
        text(&cmd(&mut self.connection(), "DEBUG DIGEST").expect("DEBUG DIGEST"))
    }

    #[track_caller]
    fn connect_to(&self, url: &str) -> Connection {
        match connect(url, PATIENT) {
            Ok(connection) => connection,
            Err(error) => panic!("{url}: {error}; the log:\n{}", self.log()),
        }
    }

    pub(crate) fn new(dir: TempDir, port: Port, role: Role, program: Option<String>, child: Child) -> Self {
        Self { dir, port, role, program, child: Some(child) }
    }

    /// Starts a server with the configuration file that is in `dir`, and waits until it answers.
    pub(crate) fn launch(dir: &TempDir, port: u16, role: Role, program: Option<&str>) -> Result<Child, LaunchError> {
        let config = config_path(dir);
        let log = OpenOptions::new().create(true).append(true).open(log_path(dir.path())).expect("the server's log");
        let log_start = usize::try_from(log.metadata().expect("the log's size").len()).expect("a log in memory");
        let mut command = binaries::server_command(program);
        command.arg(&config).current_dir(dir.path()).stdin(Stdio::null());
        if let Role::Sentinel = role {
            command.arg("--sentinel");
        }
        command.stdout(log.try_clone().expect("the server's log")).stderr(log);
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{command:?}: {error}. Install Redis (scripts/setup does), or name the server in REDIS_SERVER")
        });

        let deadline = Deadline::new();
        let problem = loop {
            if let Some(status) = child.try_wait().expect("the server's state") {
                break format!("the server did not start: {status}");
            }
            if answers(port, &config) {
                return Ok(child);
            }
            if deadline.has_passed() {
                let _ = child.kill();
                let _ = child.wait();
                break format!("the server did not answer within {:?}", deadline.patience);
            }
            deadline.pause();
        };
        let log = read_log(dir.path()).split_off(log_start);
        let port_was_taken = log.contains("Address already in use");
        Err(LaunchError { port_was_taken, report: format!("{problem}; {command:?} logged:\n{log}") })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut went_down = None;
        if let Some(mut child) = self.child.take() {
            went_down = child.try_wait().ok().flatten();
            if went_down.is_none() && env::var_os("REDIS_TEST_ORDERLY_END").is_some() && !std::thread::panicking() {
                terminate(&mut child);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(100)..].join("\n");
            eprintln!("--- the end of the log of the server on port {}:\n{end}\n---", self.port);
        } else if let Some(status) = went_down {
            panic!("the server went down by itself: {status}; the log:\n{}", self.log());
        }
    }
}

/// A server's process that is stopped, and goes on when this is dropped.
#[derive(Debug)]
pub struct Frozen(u32);

impl Frozen {
    fn signal(&self, signal: &str) -> bool {
        Command::new("kill").args([signal, &self.0.to_string()]).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

/// Asks a server to end, and waits: what watches its memory has the last word then.
fn terminate(child: &mut Child) {
    let deadline = Deadline::new();
    let mut pauses = 0;
    while matches!(child.try_wait(), Ok(None)) && !deadline.has_passed() {
        // Once a second: it refuses while it writes its first append-only file.
        if pauses % 200 == 0 && !Command::new("kill").arg(child.id().to_string()).status().is_ok_and(|it| it.success())
        {
            return;
        }
        pauses += 1;
        deadline.pause();
    }
}

/// How long a command of a test may take, so that a server that hangs fails its test.
const PATIENT: Duration = Duration::from_secs(30);
/// How long a question to a server that is starting may take.
const IMPATIENT: Duration = Duration::from_millis(500);

fn connect(url: &str, timeout: Duration) -> Result<Connection, RedisError> {
    let connection = Client::open(url)?.get_connection_with_timeout(timeout)?;
    connection.set_read_timeout(Some(timeout))?;
    connection.set_write_timeout(Some(timeout))?;
    Ok(connection)
}

/// Whether the server that was started with the file `config` answers on `port`, and has loaded its data. Another
/// server there may answer too, whose port was the same by chance.
fn answers(port: u16, config: &Path) -> bool {
    let Ok(mut con) = connect(&format!("redis://127.0.0.1:{port}/"), IMPATIENT) else { return false };
    match redis::cmd("INFO").arg("server").query::<String>(&mut con) {
        Ok(info) if field(&info, "config_file").is_none_or(|file| Path::new(file) != config) => return false,
        Ok(_) => {}
        // It wants a password, so it is up.
        Err(error) => return matches!(error.code(), Some("NOAUTH" | "NOPERM")),
    }
    match redis::cmd("PING").query::<String>(&mut con) {
        Ok(_) => true,
        // A replica that serves no data before its primary has sent some is up as well.
        Err(error) => error.kind() == ErrorKind::Server(ServerErrorKind::MasterDown),
    }
}

fn info(con: &mut Connection, section: &str) -> String {
    redis::cmd("INFO").arg(section).query(con).expect("INFO")
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

#[track_caller]
fn offset(info: &str, name: &str) -> i64 {
    field(info, name).and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in:\n{info}"))
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("log")
}

fn read_log(dir: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log_path(dir)).unwrap_or_default()).into_owned()
}
