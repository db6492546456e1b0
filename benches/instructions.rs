//! How many instructions the server executes for one command, from parsing it to its reply, and how many of them are the
//! module's: counted by callgrind, so the load of the machine does not matter. callgrind sees no system calls, and no
//! instructions of the processor for SHA-2: commands that sign cost more here than in truth.
//!
//! Each count is compared with the one in `benches/instructions.txt`. Growth by more than 3 %, or a command that has no
//! count there, is a failure; with `WRITE=1` in the environment the file is written first.
//!
//! `make bench-check`, which installs valgrind. What is counted for Redis 7.0 differs on other servers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use redis::{Connection, Pipeline, RedisResult, Value};
use redis_session_benches::LIBRARIES;
use redis_session_tests::{Fields, Server, cmd, create, fields, module_path};

/// How much a count may grow, in per cent. Hash tables are seeded at random, so two runs differ by up to one.
const TOLERATED: u64 = 3;

/// How often each command is counted, in pipelines.
const TIMES: usize = 1024;
const PIPELINE: usize = 64;

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const JSON: &str = r#"{"user":"42","ip":"203.0.113.9","agent":"Mozilla/5.0 (X11; Linux x86_64)","began":1764288000}"#;

fn main() -> ExitCode {
    // `cargo test --benches` only wants to know that it builds and starts.
    if !std::env::args().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt");
    let counted = count();
    if std::env::var_os("WRITE").is_some() {
        let mut text = String::new();
        for Count { name, all, ours } in &counted {
            let _ = writeln!(text, "{name}|{all}|{ours}");
        }
        fs::write(&file, text).expect("benches/instructions.txt can be written");
    }
    let earlier = fs::read_to_string(&file).unwrap_or_default();
    let earlier: HashMap<&str, u64> = earlier
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|');
            Some((cells.next()?, cells.next()?.parse().ok()?))
        })
        .collect();
    let mut code = ExitCode::SUCCESS;
    println!("{:40} {:>8} {:>8} {:>8}", "instructions for one command", "all", "module", "before");
    for Count { name, all, ours } in counted {
        let before = earlier.get(name).copied();
        let fault = match before {
            None => "  NO COUNT",
            Some(before) if all * 100 > before * (100 + TOLERATED) => "  GROWN",
            Some(_) => "",
        };
        println!("{name:40} {all:>8} {ours:>8} {:>8}{fault}", before.unwrap_or(0));
        if !fault.is_empty() {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// The instructions of one command.
struct Count {
    name: &'static str,
    all: u64,
    /// Those in the module.
    ours: u64,
}

fn count() -> Vec<Count> {
    // ECHO ends a count: it writes down what has been executed since the last one.
    let valgrind = "valgrind --quiet --tool=callgrind --callgrind-out-file=callgrind.out --compress-strings=no \
                    --compress-pos=no --toggle-collect=processInputBuffer --dump-before=echoCommand redis-server";
    let server = Server::builder().keys(&["k"]).program(valgrind).config("session.ttl 86400").start();
    let mut bench = Bench { con: server.connection(), dumps: 0, server: &server, counted: Vec::new() };
    bench.reads();
    bench.logins();
    bench.ends();
    bench.libraries();
    bench.counted
}

struct Bench<'s> {
    con: Connection,
    server: &'s Server,
    /// How many counts callgrind has written.
    dumps: usize,
    counted: Vec<Count>,
}

impl Bench<'_> {
    fn reads(&mut self) {
        let () = redis::cmd("SET").arg("session:42").arg(JSON).query(&mut self.con).expect("SET");
        self.measure("GET", |_| vec!["GET".into(), "session:42".into()]);

        let jwt = create(&mut self.con, "sessions:42 IP 203.0.113.9 AGENT Firefox").str("token");
        let check = |command: &str, token: &str, more: &[&str]| {
            let mut words = vec![command.to_owned(), "sessions:42".into(), token.to_owned()];
            words.extend(more.iter().map(|&word| word.to_owned()));
            words
        };
        self.measure("SESSION.VALIDATE", |_| check("SESSION.VALIDATE", &jwt, &[]));
        self.measure("SESSION.VALIDATE BRIEF", |_| check("SESSION.VALIDATE", &jwt, &["BRIEF"]));
        self.measure("SESSION.TOUCH", |_| check("SESSION.TOUCH", &jwt, &[]));
        self.measure("SESSION.TOUCH BRIEF", |_| check("SESSION.TOUCH", &jwt, &["BRIEF"]));
        let idle = create(&mut self.con, "sessions:42 IDLE 1800").str("token");
        self.measure("SESSION.TOUCH BRIEF, idle timeout", |_| check("SESSION.TOUCH", &idle, &["BRIEF"]));

        // More tokens than the module remembers would evict each other; these are each seen once.
        let tokens = |con: &mut Connection, kind: &str| -> Vec<String> {
            let login = |_| create(con, &format!("sessions:42 MAX 100000 TOKEN {kind}")).str("token");
            (0..TIMES).map(login).collect()
        };
        for (name, kind) in [("SESSION.VALIDATE BRIEF, new JWT", "JWT"), ("the same, opaque token", "OPAQUE")] {
            let tokens = tokens(&mut self.con, kind);
            cmd(&mut self.con, "SESSION.RELOADKEYS").expect("it forgets the tokens");
            self.measure(name, |n| check("SESSION.VALIDATE", &tokens[n], &["BRIEF"]));
        }

        for _ in 0..4 {
            self.call(&["SESSION.CREATE", "sessions:4", "IP", "203.0.113.9", "AGENT", AGENT]).expect("a login");
        }
        self.measure("SESSION.LIST of four", |_| vec!["SESSION.LIST".into(), "sessions:4".into()]);
        let json = ["SESSION.LIST", "sessions:4", "JSON"];
        self.measure("SESSION.LIST of four, JSON", |_| json.map(str::to_owned).to_vec());
        let mut commands = redis::pipe();
        for n in 0..4 {
            commands.cmd("SET").arg(format!("session:{n}")).arg(JSON).cmd("SADD").arg("user:4").arg(n);
        }
        commands.exec(&mut self.con).expect("strings and a set");
        self.measure("SMEMBERS of four", |_| vec!["SMEMBERS".into(), "user:4".into()]);
        let mget = ["MGET", "session:0", "session:1", "session:2", "session:3"];
        self.measure("MGET of four", |_| mget.map(str::to_owned).to_vec());
    }

    fn logins(&mut self) {
        for (name, kind, json) in [
            ("SESSION.CREATE TOKEN NONE", "NONE", None),
            ("SESSION.CREATE TOKEN NONE, JSON", "NONE", Some("JSON")),
            ("SESSION.CREATE TOKEN OPAQUE", "OPAQUE", None),
            ("SESSION.CREATE TOKEN JWT", "JWT", None),
            ("SESSION.CREATE TOKEN JWT, JSON", "JWT", Some("JSON")),
        ] {
            let words = ["TTL", "86400", "IP", "203.0.113.9", "AGENT", AGENT, "TOKEN", kind];
            self.measure(name, |n| {
                let command = ["SESSION.CREATE".to_owned(), format!("sessions:{name}{n}").replace(' ', "-")];
                command.into_iter().chain(words.into_iter().chain(json).map(str::to_owned)).collect()
            });
        }
        self.measure("SET with EX", |n| {
            ["SET", &format!("session:s{n}"), JSON, "EX", "86400"].map(str::to_owned).to_vec()
        });
        self.measure("SADD", |n| ["SADD", &format!("user:{n}"), &format!("s{n}")].map(str::to_owned).to_vec());
        self.measure("EXPIRE", |n| ["EXPIRE", &format!("user:{n}"), "86400"].map(str::to_owned).to_vec());

        let logins: Vec<Fields> =
            (0..TIMES).map(|n| create(&mut self.con, &format!("sessions:r{n} TOKENTTL 600 REFRESH 86400"))).collect();
        self.measure("SESSION.REFRESH", |n| {
            ["SESSION.REFRESH", &format!("sessions:r{n}"), &logins[n].str("refresh_token")].map(str::to_owned).to_vec()
        });
        self.measure("SESSION.REGENERATE", |n| {
            ["SESSION.REGENERATE", &format!("sessions:r{n}"), &logins[n].str("id")].map(str::to_owned).to_vec()
        });
    }

    fn ends(&mut self) {
        let ids: Vec<String> =
            (0..TIMES).map(|n| create(&mut self.con, &format!("sessions:e{n} TOKEN NONE")).str("id")).collect();
        self.measure("SESSION.REVOKE", |n| {
            ["SESSION.REVOKE", &format!("sessions:e{n}"), &ids[n]].map(str::to_owned).to_vec()
        });
        for n in 0..TIMES {
            create(&mut self.con, &format!("sessions:u{n} TOKEN NONE"));
        }
        self.measure("SESSION.REVOKEUSER of one", |n| vec!["SESSION.REVOKEUSER".into(), format!("sessions:u{n}")]);
        self.measure("SREM", |n| ["SREM", &format!("user:{n}"), &format!("s{n}")].map(str::to_owned).to_vec());
        self.measure("DEL", |n| vec!["DEL".into(), format!("session:s{n}")]);
    }

    /// All commands of one request.
    fn libraries(&mut self) {
        for library in &LIBRARIES {
            self.call(library.login).expect(library.name);
            let commands = library.request.repeat(TIMES);
            let commands = commands.iter().map(|words| words.iter().map(|&word| word.to_owned()).collect()).collect();
            self.measure_all(library.name, commands);
        }
    }

    fn call(&mut self, words: &[&str]) -> RedisResult<Value> {
        let (name, words) = words.split_first().expect("a command");
        redis::cmd(name).arg(words).query(&mut self.con)
    }

    /// Counts the command that `words` makes of each number from 0 on.
    fn measure(&mut self, name: &'static str, words: impl Fn(usize) -> Vec<String>) {
        self.measure_all(name, (0..TIMES).map(words).collect());
    }

    /// Counts what the server does [`TIMES`] times with these commands.
    fn measure_all(&mut self, name: &'static str, commands: Vec<Vec<String>>) {
        self.mark();
        for commands in commands.chunks(PIPELINE) {
            let mut pipeline = Pipeline::new();
            for words in commands {
                pipeline.add_command(words.iter().skip(1).fold(redis::cmd(&words[0]), |mut command, word| {
                    command.arg(word);
                    command
                }));
            }
            let replies: Vec<Value> = pipeline.query(&mut self.con).expect(name);
            assert_eq!(replies.len(), commands.len());
            for reply in replies {
                if let Value::Map(_) = reply
                    && name.starts_with("SESSION.")
                {
                    let reply = fields(reply);
                    assert!(reply.get("active").is_none() || reply.bool("active"), "{name}: {reply:?}");
                }
            }
        }
        self.mark();
        let dump = self.server.dir().join(format!("callgrind.out.{}", self.dumps));
        let (all, ours) = executed(&fs::read_to_string(dump).expect("what callgrind has counted"));
        let times = u64::try_from(TIMES).expect("a count");
        self.counted.push(Count { name, all: all / times, ours: ours / times });
    }

    fn mark(&mut self) {
        let _ = self.call(&["ECHO", "."]).expect("ECHO");
        self.dumps += 1;
    }
}

/// The instructions of a dump, and those of them in the module. Format: <https://valgrind.org/docs/manual/cl-format.html>.
fn executed(dump: &str) -> (u64, u64) {
    let module = module_path();
    let (mut all, mut ours, mut is_ours, mut is_call) = (0, 0, false, false);
    for line in dump.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            is_ours = Path::new(object) == module;
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            // A line of the source and what it cost; after a call, what the function that was called cost.
            let cost = line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok()).unwrap_or(0);
            if !std::mem::take(&mut is_call) {
                all += cost;
                ours += if is_ours { cost } else { 0 };
            }
        }
    }
    (all, ours)
}
