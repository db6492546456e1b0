//! The code of docs/clients.md, taken from the page and run with the libraries that it names and the adapters of
//! examples/.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use redis_session::KeyPrefix;
use redis_session_core::base64url;
use redis_session_tests::{Server, ServerBuilder, cmd, skipped, text, wait_until};
use tempfile::TempDir;

use crate::lossy::{Loss, lossy};
use crate::markdown::{Page, file, path};

const PAGE: &str = "docs/clients.md";
const END: &str = "--- end of the page ---";

/// A language of the page with one of its libraries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Library {
    name: &'static str,
    /// What its blocks begin with.
    language: &'static str,
    /// The word after that of the block that connects, to a server and to a cluster.
    connects: [&'static str; 2],
    program: &'static str,
    /// The program's arguments that print its own version.
    version: &'static [&'static str],
    /// The folder of the libraries in .cache/clients, and the file that says which they are.
    installed: (&'static str, &'static str),
    /// What begins a comment, and how to print a line.
    comment: &'static str,
    print: &'static str,
    /// In the page, and for RESP2.
    protocol: [&'static str; 2],
}

pub(crate) const REDIS_PY: Library = Library {
    name: "redis-py",
    language: "python",
    connects: ["single", "cluster"],
    program: "python3",
    version: &["-c", "import redis, sys; print(redis.__version__, 'on Python', sys.version.split()[0])"],
    installed: ("python", "requirements.txt"),
    comment: "# ",
    print: "print",
    protocol: ["protocol=3", "protocol=2"],
};

pub(crate) const NODE_REDIS: Library = Library {
    name: "node-redis",
    language: "js",
    connects: ["single", "cluster"],
    program: "node",
    version: &["-p", "require('redis/package.json').version + ' on Node ' + process.versions.node"],
    installed: ("node", "package-lock.json"),
    comment: "// ",
    print: "console.log",
    protocol: ["RESP: 3", "RESP: 2"],
};

pub(crate) const IOREDIS: Library = Library {
    name: "ioredis",
    connects: ["ioredis-single", "ioredis-cluster"],
    version: &["-p", "require('ioredis/package.json').version + ' on Node ' + process.versions.node"],
    protocol: ["protocol: 3", "protocol: 2"],
    ..NODE_REDIS
};

/// Part of a program.
struct Code {
    text: String,
    /// What the page says it prints.
    prints: Vec<String>,
}

impl Library {
    /// The first blocks of the page, from the one that connects with this word on.
    fn code(&self, connects: &str, blocks: usize) -> Code {
        let page = Page::read(PAGE);
        let mut code = Code { text: String::new(), prints: Vec::new() };
        let is_ours = |language: &str| {
            let mut words = language.split(' ');
            words.next() == Some(self.language) && words.next().is_none_or(|word| word == connects)
        };
        let (connecting, others): (Vec<_>, Vec<_>) = page
            .blocks()
            .into_iter()
            .filter(|block| is_ours(block.language))
            .partition(|block| block.language.contains(' '));
        assert_eq!(connecting.len(), 1, "blocks of {} {connects}", self.language);
        // ioredis's stands after the others.
        for block in connecting.into_iter().chain(others).take(blocks) {
            for line in block.lines {
                code.text += line;
                code.text.push('\n');
                let alone = line.trim_start().strip_prefix(self.comment).filter(|_| line.starts_with(' '));
                let behind = line.split_once(&format!("{}(", self.print));
                let behind = behind.and_then(|(_, call)| call.rsplit_once(&format!(" {}", self.comment)));
                code.prints.extend(alone.or(behind.map(|(_, said)| said)).map(str::to_owned));
            }
        }
        code
    }

    fn folder(&self) -> PathBuf {
        path(".cache/clients").join(self.installed.0)
    }

    fn command(&self, folder: &TempDir) -> Command {
        let mut command = Command::new(self.program);
        command.current_dir(folder.path()).stdin(Stdio::null());
        let (adapter, by_hand) = (path("examples/fastapi"), path("tests/documents/languages"));
        let modules = std::env::join_paths([self.folder(), adapter, by_hand]).expect("paths without colons");
        command.env("PYTHONPATH", modules).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
        // Where Node looks for libraries.
        let modules = folder.path().join("node_modules");
        if !modules.exists() {
            let there = self.folder().join("node_modules");
            std::os::unix::fs::symlink(&there, modules).expect("a link to the libraries");
            // A copy, for a link's libraries are looked for where it leads.
            let adapter = "redis-session.mjs";
            fs::copy(path("examples/express").join(adapter), folder.path().join(adapter)).expect("the adapter");
        }
        command
    }

    /// The versions of the library and of its runtime; or none, said aloud, if they are not here.
    pub(crate) fn versions(&self) -> Option<String> {
        let (_, lock) = self.installed;
        let wanted = file(&format!("tests/documents/languages/{lock}"));
        let folder = TempDir::new().expect("a temporary folder");
        let versions = if fs::read_to_string(self.folder().join(lock)).is_ok_and(|there| there == wanted) {
            self.command(&folder).args(self.version).output().ok().filter(|output| output.status.success())
        } else {
            None
        };
        let Some(versions) = versions else {
            let name = self.name;
            skipped(&format!("{PAGE} with {name}: it is not here; scripts/client-libraries installs it"));
            return None;
        };
        Some(format!("{} {}", self.name, String::from_utf8_lossy(&versions.stdout).trim()))
    }

    /// Runs a program of this language, and returns what it prints.
    #[track_caller]
    pub(crate) fn run(&self, program: &str) -> String {
        let folder = TempDir::with_prefix("redis-session-languages-").expect("a temporary folder");
        let script = folder.path().join(if self.program == "node" { "program.mjs" } else { "program.py" });
        fs::write(&script, program).expect("the program");
        fs::write(folder.path().join("tokens.json"), tokens()).expect("the tokens");
        let (output, errors) = (folder.path().join("output"), folder.path().join("errors"));
        let mut command = self.command(&folder);
        command.arg(&script).env("TOKENS", "tokens.json");
        command.stdout(File::create(&output).expect("the output")).stderr(File::create(&errors).expect("the errors"));
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut status = None;
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until("the program ends", || {
                status = child.try_wait().expect("the program's state");
                status.is_some()
            });
        }));
        if ended.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let read = |path| fs::read_to_string(path).expect("output in UTF-8");
        let (output, errors) = (read(&output), read(&errors));
        assert!(
            status.is_some_and(|status| status.success()),
            "{}: {status:?}\n--- it printed\n{output}\n--- and\n{errors}",
            self.name
        );
        output
    }
}

/// Prints to the terminal even where a test's own output is kept back.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Tokens, and the keys that the Rust client takes them to; and such as no server has made.
fn tokens() -> String {
    let jwt = |payload: &str| format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", base64url::encode(payload.as_bytes()));
    let opaque = |user: &str| format!("rst1.{}.AAECAwQFBgcICQoLDA0ODw.c2ln", base64url::encode(user.as_bytes()));
    let routed = [
        jwt(r#"{"sid":"x","sub":"42","roles":["a",{"b":1}]}"#),
        jwt(r#"{"sub":"J\u00fcrgen \"J\" \ud83d\ude00"}"#),
        jwt(r#"{"sub":"?>~"}"#),
        jwt(r#"{"sub":42}"#),
        jwt(r#"{"sub":-9007199254740991}"#),
        opaque("42"),
        opaque("Jürgen 😀"),
        opaque("a.b{c}"),
        "rsr1.NDI.AAECAwQFBgcICQoLDA0ODw.AA.c2ln".to_owned(),
        jwt(r#"{"sub":""}"#),
        jwt(r#"{"sub":"a\u0000b"}"#),
        jwt(&format!(r#"{{"sub":"{}"}}"#, "x".repeat(256))),
        jwt("{}"),
        jwt("null"),
        jwt(""),
        opaque(""),
        opaque("a\nb"),
        String::new(),
        "no token at all".to_owned(),
    ];
    let routed =
        routed.map(|token| (KeyPrefix::default().key_of_token(&token), token)).map(|(key, token)| (token, key));
    let bad = [
        ".",
        "..",
        "....",
        "a.b.c",
        "ü.ü.ü",
        "rst1",
        "rst1.",
        "rst1..",
        "rst1._w.x",
        "rst2.NDI.x.y",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2ln.x",
        &jwt(r#"{"sub":4.5}"#),
        &jwt(r#"{"sub":true}"#),
        &jwt(r#"{"sub":null}"#),
        &jwt(r#"{"sub":["42"]}"#),
        &jwt(r#"{"sub":{"42":1}}"#),
        &jwt(r#"{"sub":"a","sub":"b"}"#),
        &jwt(r#"{"sub":"{42}"}"#),
        &jwt(r#"{"sub":"{"}"#),
        &jwt(r#"{"sub":"\ud800"}"#),
        &jwt(r#"[{"sub":"42"}]"#),
        &jwt(r#""42""#),
        &jwt(&format!(r#"{{"sub":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000))),
        &jwt(&format!(r#"{{"sub":"42","n":{}}}"#, "9".repeat(5_000))),
        &"x".repeat(1_000_000),
    ];
    serde_json::json!({ "routed": routed, "bad": bad }).to_string()
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from} in\n{text}");
    text.replace(from, to)
}

/// The page's code, then `rest`, which is a file of languages/.
fn program(library: Library, code: &Code, port: u16, protocol: &str, rest: &str) -> String {
    let text = replaced(&code.text, "localhost:6379", &format!("127.0.0.1:{port}"));
    let text = replaced(&text, library.protocol[0], protocol);
    let extension = if library.program == "node" { "mjs" } else { "py" };
    let rest = file(&format!("tests/documents/languages/{rest}.{extension}"));
    format!("{text}\n{}('{END}')\n{rest}", library.print)
}

/// Runs the page's code on both protocols, compares what it prints, and then runs the further checks.
#[track_caller]
fn check(library: Library, connects: &str, start: impl Fn() -> Vec<Server>) {
    let Some(versions) = library.versions() else { return };
    let servers = start();
    let code = library.code(connects, usize::MAX);
    assert!(code.prints.len() > 10, "{:?}", code.prints);
    for (protocol, name) in library.protocol.iter().zip(["RESP3", "RESP2"]) {
        let output = library.run(&program(library, &code, servers[0].port(), protocol, "checks"));
        let (printed, _) = output.split_once(END).expect("the end of the page");
        let printed: Vec<&str> = printed.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(printed, code.prints, "{PAGE} with {versions} over {name}");
        let place = if servers.len() > 1 { "a cluster" } else { "one server" };
        say(&format!("{PAGE} with {versions} over {name} on {place}: it prints what the page says"));
        for server in &servers {
            // What went to another node first shows here.
            let errors = text(&cmd(&mut server.connection(), "INFO errorstats").unwrap());
            assert!(!errors.contains("errorstat_MOVED"), "{versions} over {name}: {errors}");
            assert_ne!(text(&cmd(&mut server.connection(), "DBSIZE").unwrap()), "0");
            cmd(&mut server.connection(), "FLUSHALL").unwrap();
        }
    }
}

#[track_caller]
fn check_on_one_server(library: Library) {
    check(library, library.connects[0], || vec![Server::start()]);
}

#[track_caller]
fn check_on_a_cluster(library: Library) {
    check(library, library.connects[1], cluster);
}

/// Three primaries, each with a third of the slots.
fn cluster() -> Vec<Server> {
    let settings = "cluster-enabled yes\ncluster-node-timeout 2000";
    let nodes = [(); 3].map(|()| ServerBuilder::new().keys(&["one"]).config(settings).start());
    for (n, (node, slots)) in nodes.iter().zip(["0 5460", "5461 10922", "10923 16383"]).enumerate() {
        let mut con = node.connection();
        cmd(&mut con, &format!("CLUSTER SET-CONFIG-EPOCH {}", n + 1)).unwrap();
        cmd(&mut con, &format!("CLUSTER ADDSLOTSRANGE {slots}")).unwrap();
    }
    wait_until("the nodes are one cluster", || {
        nodes.iter().all(|node| {
            let mut con = node.connection();
            let info = text(&cmd(&mut con, "CLUSTER INFO").unwrap());
            // Again, should one have been given up: on a busy machine a handshake can take longer than a node waits.
            if ["cluster_known_nodes:1\r", "cluster_known_nodes:2\r"].iter().any(|line| info.contains(line)) {
                for other in nodes.iter().filter(|other| other.port() != node.port()) {
                    cmd(&mut con, &format!("CLUSTER MEET 127.0.0.1 {}", other.port())).unwrap();
                }
            }
            ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_size:3"].iter().all(|line| info.contains(line))
        })
    });
    nodes.into()
}

#[test]
fn what_the_page_counts_the_lines_of_works() {
    if REDIS_PY.versions().is_none() {
        return;
    }
    let (server, code) = (Server::start(), REDIS_PY.code("single", 1));
    REDIS_PY.run(&program(REDIS_PY, &code, server.port(), REDIS_PY.protocol[0], "by_hand_checks"));
}

#[test]
fn the_page_counts_the_lines_right() {
    let source = file("tests/documents/languages/by_hand.py");
    let methods = source.split("\n    def ").skip(2).map(|method| {
        let end = method.find("\n\n\n").unwrap_or(method.len());
        let lines = method[..end].lines().filter(|line| !line.trim().is_empty()).count();
        (method.split('(').next().expect("a name").to_owned(), lines)
    });
    let methods: Vec<(String, usize)> = methods.collect();
    let page = file(PAGE);
    let mut sum = 0;
    for (name, lines) in &methods {
        let row =
            page.lines().find(|line| line.contains(&format!("| `{name}("))).unwrap_or_else(|| panic!("no {name}"));
        assert!(row.contains(&format!("| {lines} |")), "{name} has {lines} lines: {row}");
        sum += lines;
    }
    assert!(page.contains(&format!("| together | {sum} | {} |", methods.len())), "{sum} lines together");
}

#[test]
fn the_code_for_redis_py_prints_what_the_page_says() {
    check_on_one_server(REDIS_PY);
}

#[test]
fn the_code_for_redis_py_prints_what_the_page_says_on_a_cluster() {
    check_on_a_cluster(REDIS_PY);
}

#[test]
fn the_code_for_node_redis_prints_what_the_page_says() {
    check_on_one_server(NODE_REDIS);
}

#[test]
fn the_code_for_node_redis_prints_what_the_page_says_on_a_cluster() {
    check_on_a_cluster(NODE_REDIS);
}

#[test]
fn the_code_for_ioredis_prints_what_the_page_says() {
    check_on_one_server(IOREDIS);
}

#[test]
fn the_code_for_ioredis_prints_what_the_page_says_on_a_cluster() {
    check_on_a_cluster(IOREDIS);
}

/// Logs in on a connection that loses the reply. What the program says, and how many sessions there are then.
#[track_caller]
fn log_in_over(loss: Loss, server: &Server, library: Library, code: &Code) -> (String, String) {
    let port = lossy(server.port(), loss);
    if server.info("cluster", "cluster_enabled") == "1" {
        // Clients of a cluster go to where the nodes say they are.
        cmd(&mut server.connection(), &format!("CONFIG SET cluster-announce-port {port}")).unwrap();
    }
    let output = library.run(&program(library, code, port, library.protocol[0], "login"));
    let (_, output) = output.split_once(&format!("{END}\n")).expect("the end of the page");
    (output.trim().to_owned(), text(&cmd(&mut server.connection(), "SESSION.COUNT sessions:42").unwrap()))
}

/// A cluster of one, and a server without one.
fn one_node() -> [Server; 2] {
    let node = ServerBuilder::new().config("cluster-enabled yes\ncluster-announce-ip 127.0.0.1").start();
    cmd(&mut node.connection(), "CLUSTER ADDSLOTSRANGE 0 16383").unwrap();
    wait_until("the node serves all slots", || {
        text(&cmd(&mut node.connection(), "CLUSTER INFO").unwrap()).contains("cluster_state:ok")
    });
    [Server::start(), node]
}

#[track_caller]
fn a_lost_login_is_sent_once(library: Library) {
    let Some(versions) = library.versions() else { return };
    for (server, connects) in one_node().iter().zip(library.connects) {
        // What connects, and the adapter.
        let code = library.code(connects, 2);
        for loss in [Loss::Breaks(usize::MAX), Loss::Silence] {
            let (output, sessions) = log_in_over(loss, server, library, &code);
            assert!(output.starts_with("failed"), "{versions}, {connects}, {loss:?}: {output}");
            assert_eq!(sessions, "1", "{versions}, {connects}, {loss:?}: {output}");
            cmd(&mut server.connection(), "FLUSHALL").unwrap();
        }
    }
}

#[test]
fn a_login_whose_reply_is_lost_is_sent_once_by_redis_py() {
    a_lost_login_is_sent_once(REDIS_PY);
}

#[test]
fn a_login_whose_reply_is_lost_is_sent_once_by_node_redis() {
    a_lost_login_is_sent_once(NODE_REDIS);
}

#[test]
fn a_login_whose_reply_is_lost_is_sent_once_by_ioredis() {
    a_lost_login_is_sent_once(IOREDIS);
}

#[test]
fn without_the_pages_settings_some_libraries_send_a_login_again() {
    let redis_py = "import redis\nfrom redis.connection import parse_url\n\
                    client = redis.Redis(**parse_url('redis://localhost:6379'), protocol=3, decode_responses=True)";
    let ioredis = "import Redis from 'ioredis';\nconst redis = new Redis('redis://localhost:6379', { protocol: 3 });\n\
                   const client = { sendCommand: (command) => redis.callBuffer(...command) };";
    for (library, connect) in [(REDIS_PY, redis_py), (IOREDIS, ioredis)] {
        let Some(versions) = library.versions() else { continue };
        let with_settings = library.code(library.connects[0], 1).text;
        let both = library.code(library.connects[0], 2);
        let code = Code { text: replaced(&both.text, &with_settings, &format!("{connect}\n")), ..both };
        let (output, sessions) = log_in_over(Loss::Breaks(3), &Server::start(), library, &code);
        assert!(output.starts_with("answered"), "{versions}: {output}");
        assert_eq!(sessions, "4", "{versions}: {output}");
    }
}
