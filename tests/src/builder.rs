//! What a server is started with.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::binaries;
use crate::clock;
use crate::format;
use crate::keys::{jwk_set, write_private};
use crate::port::Port;
use crate::server::{Role, Server};

/// A server to be started: with the module and without persistence, unless it is told otherwise.
///
/// ```no_run
/// use redis_session_tests::ServerBuilder;
///
/// let primary = ServerBuilder::new().appendonly().config("session.ttl 60").start();
/// let replica = ServerBuilder::new().replica_of(&primary).start();
/// primary.wait_for_sync(&replica);
/// ```
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    module: bool,
    role: Role,
    program: Option<String>,
    module_args: Vec<String>,
    lines: Vec<String>,
    files: Vec<(String, Vec<u8>)>,
    /// Milliseconds that the module's clock is behind.
    behind: i64,
    first_port: Option<u16>,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerBuilder {
    /// A server with the module.
    pub fn new() -> Self {
        Self {
            module: true,
            role: Role::Data,
            program: None,
            module_args: Vec::new(),
            lines: Vec::new(),
            files: Vec::new(),
            behind: 0,
            first_port: None,
        }
    }

    /// A server that does not load the module.
    pub fn without_module(mut self) -> Self {
        self.module = false;
        self
    }

    /// Starts another program than all others do: a command, or one with arguments, as in `REDIS_SERVER`.
    pub fn program(mut self, command: impl Into<String>) -> Self {
        self.program = Some(command.into());
        self
    }

    /// Adds an argument of the `loadmodule` line. It may contain spaces.
    pub fn module_arg(mut self, arg: impl Into<String>) -> Self {
        self.module_args.push(arg.into());
        self
    }

    /// Adds a line of `redis.conf`, or several. A setting that is given again counts as it is given last.
    pub fn config(mut self, lines: impl Into<String>) -> Self {
        self.lines.push(lines.into());
        self
    }

    /// Adds lines before all others, which so count for more.
    pub(crate) fn config_first(mut self, lines: impl Into<String>) -> Self {
        self.lines.insert(0, lines.into());
        self
    }

    /// Puts a file into the server's folder, where its path is relative to, before the server starts. Nobody but its owner
    /// can read it, as a file of keys must be.
    pub fn file(mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.into(), content.into()));
        self
    }

    /// Signs tokens with the first of these keys, kept in the file `keys.json`: see [`crate::jwk_set`]. Tokens then
    /// outlive the server, and are good on every other that is started with the same keys.
    pub fn keys(self, kids: &[&str]) -> Self {
        self.file("keys.json", jwk_set(kids)).config("session.keys-file keys.json")
    }

    /// Gives it the users of `users.acl`, each with the password `change-me`, in a file of the server's own. The default
    /// user is off.
    pub fn users(self) -> Self {
        self.file("users.acl", users_acl()).config("aclfile users.acl")
    }

    /// The same, and the default user may do everything, as the tests need it.
    ///
    /// # Panics
    ///
    /// If the file does not switch the default user off.
    pub fn users_beside_default(self) -> Self {
        let users = users_acl();
        let others = users.strip_prefix("user default off\n").expect("a file that switches the default user off");
        self.file("users.acl", format!("user default on nopass ~* &* +@all\n{others}")).config("aclfile users.acl")
    }

    /// Logs every write to an append-only file, synced before the reply, so that [`Server::kill`] loses nothing.
    pub fn appendonly(self) -> Self {
        self.config("appendonly yes\nappendfsync always")
    }

    /// Starts the module's clock so far behind. What it issues for less time has expired for all others.
    pub fn clock_behind(mut self, by: Duration) -> Self {
        self.behind = i64::try_from(by.as_millis()).expect("a span of time");
        self
    }

    /// Makes it a server of the next version of the module: it writes a format that other servers cannot read.
    pub fn later_format(self) -> Self {
        self.file(format::FILE, "")
    }

    /// Makes the server a replica. [`Server::wait_for_sync`] awaits its data.
    pub fn replica_of(self, primary: &Server) -> Self {
        self.config(format!("replicaof 127.0.0.1 {}", primary.port()))
    }

    /// Makes it a Sentinel, which loads no module and takes what it watches as lines of its configuration.
    pub(crate) fn sentinel(self) -> Self {
        Self { role: Role::Sentinel, ..self.without_module() }
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not start, with its log.
    #[track_caller]
    pub fn start(self) -> Server {
        // Not in a closure, so that the panic names the line of the test.
        match self.try_start() {
            Ok(server) => server,
            Err(log) => panic!("{log}"),
        }
    }

    /// Starts the server, or tells why it did not start: the reason, followed by the server's log.
    ///
    /// # Errors
    ///
    /// If the server exits before it answers, which is how a bad setting or a module that refuses to load shows.
    pub fn try_start(self) -> Result<Server, String> {
        let dir = TempDir::with_prefix("redis-session-test-").expect("a temporary folder");
        clock::create_in(dir.path(), self.behind);
        for (path, content) in &self.files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder for the file")).expect("the file's folder");
            write_private(&path, content);
        }
        let mut port = self.first_port.map_or_else(Port::free, Port::unclaimed);
        loop {
            fs::write(config_path(&dir), self.config_file(port.number())).expect("the server's redis.conf");
            match Server::launch(&dir, port.number(), self.role, self.program.as_deref()) {
                Ok(child) => return Ok(Server::new(dir, port, self.role, self.program, child)),
                Err(failed) if failed.port_was_taken => port = Port::free(),
                Err(failed) => return Err(failed.report),
            }
        }
    }

    /// Tries this port before others, as the tests of the retry need.
    #[cfg(test)]
    pub(crate) fn first_port(mut self, port: u16) -> Self {
        self.first_port = Some(port);
        self
    }

    fn config_file(&self, port: u16) -> String {
        let mut file = format!("port {port}\n{DEFAULTS}");
        if self.role == Role::Data && self.program.is_none() && env::var_os("REDIS_TEST_DEFRAGMENT").is_some() {
            file += DEFRAGMENT;
        }
        if self.module {
            file += &format!("loadmodule {}", quoted(&binaries::module_path().display().to_string()));
            for arg in &self.module_args {
                file += &format!(" {}", quoted(arg));
            }
            file.push('\n');
        }
        for line in &self.lines {
            file += line;
            file.push('\n');
        }
        file
    }
}

/// The users that the documents propose.
///
/// # Panics
///
/// If there is no such file.
pub fn users_acl() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../users.acl")).expect("users.acl")
}

/// Where a server's configuration is, in its folder.
pub(crate) fn config_path(dir: &TempDir) -> PathBuf {
    dir.path().join("redis.conf")
}

const DEFAULTS: &str = "\
bind 127.0.0.1
daemonize no
dir ./
# To standard output, which is a file: so the report of a crash goes there too.
logfile \"\"
save \"\"
appendonly no
# DEBUG DIGEST-VALUE, DEBUG RELOAD and their like.
enable-debug-command local
enable-module-command local
# Replicas at once: no wait for a second one to share the transfer.
repl-diskless-sync-delay 0
# An effect that its replica or the append-only file cannot apply is a bug: stop there.
propagation-error-behavior panic
";

/// Defragments all the time, however little there is to gain, and large values in parts.
const DEFRAGMENT: &str = "\
activedefrag yes
active-defrag-ignore-bytes 1
active-defrag-threshold-lower 0
active-defrag-cycle-min 10
active-defrag-max-scan-fields 10
";

/// As redis.conf wants an argument that may contain anything.
fn quoted(arg: &str) -> String {
    format!("\"{}\"", arg.replace('\\', "\\\\").replace('"', "\\\""))
}
