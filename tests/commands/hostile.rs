//! Commands that no sane client sends: the right words in the wrong places, huge numbers, any bytes, in deep pipelines.
//! Each is answered, no answer tells a secret or of a bug, none stops the server or makes it grow, and a replica and a
//! reload come to the same data.
//!
//! ```text
//! grammar   commands, good ones and spoilt ones      values   their arguments      random   chance
//! replies   replies as the protocol has them
//! ```
//!
//! `REDIS_TEST_HOSTILE_COMMANDS` says how many commands, `REDIS_TEST_SEED` which. The ids and tokens that the server
//! makes are random all the same.

mod grammar;
mod random;
mod replies;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use redis_session_core::Reason;
use redis_session_tests::{Server, amount, cmd, cmd_args, fields, jwk_set, wait_until};

use grammar::{Grammar, SETTINGS};
use replies::{Connection, Reply};

pub(crate) use grammar::{COMMANDS, knows_option};

/// A command with its arguments, or other lists of bytes.
type Args = Vec<Vec<u8>>;

/// Commands in one write.
const BATCH: usize = 250;
/// Commands from an empty server to the next.
const CHAPTER: usize = 15_000;
/// Bytes by which the memory of an empty server may grow: buffers of the connections and of replication.
const SLACK: i64 = 8 << 20;

/// The codes that errors may have: those of the module, and those of the server for commands like COPY and EXEC.
const CODES: [&str; 8] =
    ["ERR", "WRONGTYPE", "SESSIONEXISTS", "SESSIONLIMIT", "NOSESSION", "CONFLICT", "NOSIGNINGKEY", "EXECABORT"];

/// Reasons that are met again and again.
const REASONS: [&str; 7] = ["malformed", "signature", "type", "unknown", "revoked", "user_revoked", "evicted"];

/// The secrets of the key file.
const SECRETS: [&str; 2] =
    ["oneoneoneoneoneoneoneoneoneoneoneoneoneoneA", "twotwotwotwotwotwotwotwotwotwotwotwotwotwoA"];
/// What is told of one if its beginning is.
const A_PART: usize = 12;

#[test]
fn every_hostile_command_is_answered_and_the_data_stays_whole() {
    let chance = u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos());
    let seed = env::var("REDIS_TEST_SEED").map_or(chance, |seed| seed.parse().expect("REDIS_TEST_SEED"));
    let chapters = amount("REDIS_TEST_HOSTILE_COMMANDS", 30_000).div_ceil(CHAPTER).max(1);
    println!("REDIS_TEST_SEED={seed}");
    let (began, mut most, mut tally) = (Instant::now(), None, Tally::default());
    let mut field = Field::new();
    field.empty();
    for chapter in 1..=chapters {
        let again = Again { seed: seed.wrapping_add(chapter as u64 - 1) };
        field.attack(again.seed, &mut tally);
        field.assert_whole();
        field.empty();
        // Beside what the first chapter has left in buffers.
        let used = field.used_memory();
        let most = *most.get_or_insert(used + SLACK);
        assert!(used <= most, "an empty server takes {used} bytes, and {most} should be enough");
        if chapter % 40 == 0 {
            let rate = tally.count() as f64 / began.elapsed().as_secs_f64();
            println!("{} commands, {rate:.0} a second, {used} bytes when empty", tally.count());
        }
    }
    tally.assert_was_varied();
    println!("{} commands in {:?}: {tally:?}", tally.count(), began.elapsed());
}

/// Says how to do again what failed: each chapter begins with an empty server and a seed of its own.
struct Again {
    seed: u64,
}

impl Drop for Again {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("REDIS_TEST_SEED={} REDIS_TEST_HOSTILE_COMMANDS={CHAPTER} sends these again", self.seed);
        }
    }
}

/// What has been met.
#[derive(Debug, Default)]
struct Tally {
    /// By name, how many commands were answered and how many refused.
    commands: BTreeMap<String, (u64, u64)>,
    /// The codes of errors, and the reasons why tokens were not good.
    seen: BTreeSet<String>,
}

impl Tally {
    fn count(&self) -> u64 {
        self.commands.values().map(|(answered, refused)| answered + refused).sum()
    }

    fn note(&mut self, name: &str, reply: &Reply) {
        // Looked up first: a name is seldom a new one.
        if !self.commands.contains_key(name) {
            self.commands.insert(name.to_owned(), (0, 0));
        }
        if let Some((answered, refused)) = self.commands.get_mut(name) {
            *(if matches!(reply, Reply::Error(_)) { refused } else { answered }) += 1;
        }
        reply.each(&mut |part| {
            let (word, is_code) = match part {
                Reply::Error(text) => (code(text), true),
                Reply::Text(text) if text.len() < 20 => (&text[..], false),
                _ => return,
            };
            let word = std::str::from_utf8(word).unwrap_or_default();
            if (is_code || Reason::from_name(word).is_some()) && !self.seen.contains(word) {
                self.seen.insert(word.to_owned());
            }
        });
    }

    /// Fails if what is sent is not what it is meant to be.
    fn assert_was_varied(&self) {
        for name in COMMANDS {
            let (answered, refused) = self.commands.get(name).copied().unwrap_or_default();
            assert!(refused > 0, "{name} was never refused");
            assert!(answered > 0, "{name} was never answered");
        }
        for expected in CODES.iter().chain(&REASONS).filter(|code| **code != "NOSIGNINGKEY") {
            assert!(self.seen.contains(*expected), "never met {expected}, but {:?}", self.seen);
        }
    }
}

/// The servers, and connections to one of them.
struct Field {
    primary: Server,
    replica: Server,
    connections: [Connection; 2],
}

impl Field {
    fn new() -> Self {
        let keys = jwk_set(&["one", "two"]);
        assert!(SECRETS.iter().all(|secret| keys.contains(secret)), "{keys}");
        // Valkey's own backlog would grow to 10 MB, more than SLACK.
        let primary = Server::builder().keys(&["one", "two"]).config("session.key-form any");
        let primary = primary.config("repl-backlog-size 1mb").start();
        let replica = Server::builder().keys(&["one", "two"]).replica_of(&primary).start();
        primary.wait_for_sync(&replica);
        let connections = [false, true].map(|resp3| Connection::new(&primary, resp3));
        Self { primary, replica, connections }
    }

    /// Deletes everything, and takes settings back.
    fn empty(&self) {
        let mut con = self.primary.connection();
        cmd(&mut con, "FLUSHALL SYNC").unwrap();
        cmd(&mut con, "SESSION.REVOKEALL CLEAR").unwrap();
        // Another size empties the cache.
        cmd(&mut con, "CONFIG SET session.token-cache 0").unwrap();
        let settings = SETTINGS.iter().flat_map(|(name, _, default)| [*name, *default]);
        cmd_args(&mut con, ["CONFIG", "SET"].into_iter().chain(settings)).unwrap();
        self.primary.wait_for_sync(&self.replica);
    }

    fn used_memory(&self) -> i64 {
        self.primary.info("memory", "used_memory").parse().unwrap()
    }

    /// Sends a chapter. While the server is busy with one batch, the next is made, and goes over the other connection.
    fn attack(&mut self, seed: u64, tally: &mut Tally) {
        let mut grammar = Grammar::new(seed);
        let mut on_its_way: Option<(usize, Vec<Args>)> = None;
        for number in 0..CHAPTER / BATCH {
            let batch = grammar.batch(BATCH);
            self.connections[number % 2].send(&batch);
            if let Some((connection, batch)) = on_its_way.replace((number % 2, batch)) {
                read(&mut self.connections[connection], &batch, &mut grammar, tally);
            }
        }
        if let Some((connection, batch)) = on_its_way {
            read(&mut self.connections[connection], &batch, &mut grammar, tally);
        }
    }

    /// Fails unless the servers run, hold the same, also after a reload, and know of no bug.
    fn assert_whole(&mut self) {
        let Self { primary, replica, .. } = self;
        primary.wait_for_sync(replica);
        wait_until("the replica holds what the primary does", || primary.digest_of_all() == replica.digest_of_all());
        let mut con = primary.connection();
        // What expires meanwhile is gone before and after: so what is left must be the same at some moment.
        wait_until("a reload changes nothing", || {
            let before = primary.digest_of_all();
            cmd(&mut con, "DEBUG RELOAD").unwrap();
            before == primary.digest_of_all()
        });
        let cutoff =
            |server: &Server| fields(cmd(&mut server.connection(), "SESSION.STATS").unwrap()).int("revoked_before");
        assert_eq!(cutoff(primary), cutoff(replica));
        for server in [primary, replica] {
            assert!(server.is_running());
            let stats = fields(cmd(&mut server.connection(), "SESSION.STATS").unwrap());
            assert_eq!(stats.int("panics"), 0);
            let log = server.log();
            for word in ["panic", "a bug:", "BUG REPORT", "Guru Meditation"].into_iter().chain(secrets(A_PART)) {
                assert!(!log.contains(word), "{word:?} in the log:\n{log}");
            }
        }
    }
}

/// Reads and judges the replies to a batch.
fn read(connection: &mut Connection, batch: &[Args], grammar: &mut Grammar, tally: &mut Tally) {
    let resp3 = connection.speaks_resp3();
    // Where the transaction that a reply may be of has begun.
    let mut began = None;
    for (at, args) in batch.iter().enumerate() {
        let name = String::from_utf8_lossy(&args[0]).to_ascii_uppercase();
        let reply = connection.reply().unwrap_or_else(|why| panic!("{why}, to {}", shown(args)));
        let transaction = if name == "EXEC" { began.take() } else { None };
        let about = &batch[transaction.unwrap_or(at)..=at];
        if let Err(why) = judge(&name, about, &reply, resp3, began.is_some()) {
            let about: Vec<_> = about.iter().map(shown).collect();
            panic!("{why}: {reply:?} to {}", about.join("\n"));
        }
        if name == "MULTI" {
            began = Some(at);
        }
        grammar.values.learn(&reply);
        tally.note(&name, &reply);
    }
}

fn shown(args: &Args) -> String {
    let args: Vec<_> = args.iter().map(|arg| format!("{:.300}", arg.escape_ascii().to_string())).collect();
    format!("{:.4000}", args.join(" "))
}

/// Commands whose replies show nothing that a client has stored, and no new tokens.
const KEEPS_TO_ITSELF: [&str; 4] = ["SESSION.STATS", "SESSION.KEYS", "SESSION.RELOADKEYS", "SESSION.JWKS"];

/// So many letters of each secret, at most.
fn secrets(most: usize) -> impl Iterator<Item = &'static str> {
    SECRETS.into_iter().map(move |secret| &secret[..most.min(secret.len())])
}

/// What is wrong with a reply to a command, or to a transaction's commands.
fn judge(name: &str, about: &[Args], reply: &Reply, resp3: bool, is_queued: bool) -> Result<(), &'static str> {
    let is_ours = name.starts_with("SESSION.");
    // A client may well have said that somebody's agent is `phoneoneoneoneone`.
    let letters = if KEEPS_TO_ITSELF.contains(&name) { A_PART } else { usize::MAX };
    let mut wrong = None;
    reply.each(&mut |part| {
        wrong = wrong.or(match part {
            Reply::Error(text) => fault(text, is_ours).or_else(|| told(about, text)),
            Reply::Text(text) if secrets(letters).any(|secret| contains(text, secret.as_bytes())) => {
                Some("a key is told")
            }
            Reply::Text(text) if KEEPS_TO_ITSELF.contains(&name) => told(about, text),
            _ => None,
        });
    });
    let is_map = |reply: &Reply| match reply {
        Reply::Map(_) => resp3,
        Reply::List(items) => {
            let are_names = items.iter().step_by(2).all(|name| matches!(name, Reply::Text(_)));
            !resp3 && items.len().is_multiple_of(2) && are_names
        }
        _ => false,
    };
    let given = |word: &[u8]| about.iter().flatten().any(|arg| arg.eq_ignore_ascii_case(word));
    let is_json = |text: &[u8]| given(b"JSON") && serde_json::from_slice::<serde_json::Value>(text).is_ok();
    let is_right = match (name, reply) {
        (_, Reply::Error(_)) => true,
        (_, reply) if is_queued => *reply == Reply::Text(b"QUEUED".to_vec()),
        (_, Reply::Text(text)) if is_json(text) && is_ours => true,
        ("SESSION.VALIDATE" | "SESSION.TOUCH", Reply::Int(0..) | Reply::Text(_)) => given(b"BRIEF"),
        ("SESSION.LIST", reply) => matches!(reply, Reply::List(sessions) if sessions.iter().all(is_map)),
        ("SESSION.GET", reply) => *reply == Reply::Null || is_map(reply),
        ("SESSION.COUNT" | "SESSION.SET" | "SESSION.UNSET" | "SESSION.REVOKE" | "SESSION.REVOKEUSER", reply) => {
            matches!(reply, Reply::Int(0..))
        }
        ("SESSION.INCRBY", reply) => matches!(reply, Reply::Int(_)),
        ("SESSION.DENY", reply) => matches!(reply, Reply::Int(0 | 1)),
        ("SESSION.REVOKEALL", reply) => matches!(reply, Reply::Int(1..)),
        ("SESSION.TTL", reply) => matches!(reply, Reply::Int(-2 | 0..)),
        ("SESSION.JWKS", reply) => matches!(reply, Reply::Text(json) if json.starts_with(b"{\"keys\":[")),
        // Not for clients.
        ("SESSION.APPLY", _) => false,
        _ if is_ours => is_map(reply),
        _ => true,
    };
    match wrong {
        Some(why) => Err(why),
        None if is_right => Ok(()),
        None => Err("not what this command replies"),
    }
}

fn code(error: &[u8]) -> &[u8] {
    error.split(|byte| *byte == b' ').next().unwrap_or_default()
}

/// What is wrong with the text of an error.
fn fault(error: &[u8], is_ours: bool) -> Option<&'static str> {
    let code = code(error);
    let detail = error.get(code.len() + 1..).unwrap_or_default();
    let lower = error.to_ascii_lowercase();
    if code.is_empty() || !code.iter().all(u8::is_ascii_uppercase) || detail.is_empty() {
        Some("an error without a code or without a text")
    } else if !CODES.iter().any(|known| known.as_bytes() == code) {
        Some("an error with a code that nobody knows")
    } else if contains(&lower, b"internal error") || contains(&lower, b"panic") {
        Some("a bug in a handler")
    } else if is_ours && std::str::from_utf8(error).map_or(true, |text| text.contains(char::is_control)) {
        Some("an error that is no text of one line")
    } else {
        None
    }
}

/// Whether `text` tells what proves that a token in these arguments is real: the last of its parts.
fn told(about: &[Args], text: &[u8]) -> Option<&'static str> {
    let mut tokens = about.iter().flatten().filter(|arg| arg.iter().filter(|byte| **byte == b'.').count() >= 2);
    let tells = tokens.any(|token| {
        let code = token.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        code.len() >= 16 && contains(text, code)
    });
    tells.then_some("a token is told")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.len() >= part.len() && text.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_reply_that_tells_too_much_or_makes_no_sense_is_noticed() {
    let args = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Args>();
    let about = [args("SESSION.CREATE sessions:42 eyJh.eyJi.c2lnbmF0dXJlLXNpZ25hdHVyZQ")];
    let error = |text: &str| Reply::Error(text.as_bytes().to_vec());
    let says = |name, reply: Reply| judge(name, &about, &reply, true, false);
    assert_eq!(says("SESSION.CREATE", error("ERR TTL must be a whole number")), Ok(()));
    assert_eq!(says("SESSION.COUNT", Reply::Int(1)), Ok(()));
    for reply in [
        error("ERR internal error, see the server's log"),
        error("err no code"),
        error("ERR"),
        error(""),
        error("OTHER code"),
        error("ERR a\u{7}b"),
        error("ERR unknown option eyJh.eyJi.c2lnbmF0dXJlLXNpZ25hdHVyZQ"),
        Reply::Error(b"ERR \xff".to_vec()),
        Reply::List(vec![error("ERR internal error, see the server's log")]),
        Reply::Int(1),
        Reply::Null,
        Reply::Map(vec![(Reply::Text(b"k".to_vec()), Reply::Text(SECRETS[0].into()))]),
    ] {
        assert!(says("SESSION.CREATE", reply).is_err());
    }
    let part = || Reply::Map(vec![(Reply::Text(b"k".to_vec()), Reply::Text(b"phoneoneoneoneoneone".to_vec()))]);
    assert!(says("SESSION.VALIDATE", part()).is_ok());
    assert!(says("SESSION.KEYS", part()).is_err());
    assert!(says("SESSION.COUNT", Reply::Int(-1)).is_err());
    assert!(says("SESSION.APPLY", Reply::Int(1)).is_err());
}

/// Else one command would keep the server from all others for hours. The square of these lengths takes longer than the
/// connection waits.
#[test]
fn the_time_that_a_command_takes_grows_with_its_length_and_no_faster() {
    let server = Server::start();
    let mut connection = Connection::new(&server, false);
    let mut send = |words: &[&str]| {
        let batch = [words.iter().map(|word| word.as_bytes().to_vec()).collect::<Args>()];
        connection.send(&batch);
        read(&mut connection, &batch, &mut Grammar::new(1), &mut Tally::default());
    };
    for part in ["eyJ-", "rst1.", "{\"a\":", "é"] {
        let long = part.repeat((1 << 19) / part.len());
        for name in ["GET", "REVOKE", "REGENERATE", "VALIDATE", "REFRESH", "CREATE", "REVOKEUSER", "DENY"] {
            send(&[&format!("SESSION.{name}"), "sessions:42", &long]);
        }
    }
    send(&["SESSION.CREATE", "sessions:42", "ID", "one"]);
    let many: Vec<_> = (0..200_000).map(|number| number.to_string()).collect();
    for start in [
        &["SESSION.SET", "sessions:42", "one", "name"][..],
        &["SESSION.UNSET", "sessions:42", "one"],
        &["SESSION.CREATE", "sessions:42", "DATA", "100000"],
        &["SESSION.REVOKE", "sessions:42"],
    ] {
        send(&start.iter().copied().chain(many.iter().map(|name| &name[..])).collect::<Vec<_>>());
    }
}

#[test]
#[should_panic(expected = "a bug in a handler")]
fn a_command_that_panics_is_noticed() {
    let mut field = Field::new();
    let batch = [["SESSION.COUNT", "INJECT-PANIC"].map(|word| word.as_bytes().to_vec()).to_vec()];
    field.connections[0].send(&batch);
    read(&mut field.connections[0], &batch, &mut Grammar::new(1), &mut Tally::default());
}
