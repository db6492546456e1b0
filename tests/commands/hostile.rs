//! Commands that no sane client sends: the right words in the wrong places, huge numbers, any bytes, in deep pipelines.
//! Each is answered, none stops the server, and a replica and a reload come to the same data.
//!
//! Rounds differ by their number alone, so a failure can be repeated. `REDIS_TEST_HOSTILE_ROUNDS` asks for more than three.

use std::collections::BTreeSet;
use std::env;

use redis::{Connection, RedisResult, Value};
use redis_session_core::Reason;
use redis_session_tests::{Server, cmd, wait_until};

const BATCHES: usize = 40;
/// Commands in one pipeline.
const BATCH: usize = 100;

/// The codes that errors may have: those of the module, and those of the server for commands like COPY and CONFIG SET.
const CODES: [&str; 6] = ["ERR", "WRONGTYPE", "SESSIONEXISTS", "SESSIONLIMIT", "NOSESSION", "NOSIGNINGKEY"];

/// Reasons that the rounds meet.
const REASONS: [&str; 7] = ["malformed", "signature", "type", "unknown", "revoked", "user_revoked", "evicted"];

#[test]
fn every_hostile_command_is_answered_and_the_data_stays_whole() {
    let rounds = env::var("REDIS_TEST_HOSTILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3);
    let (mut answered, mut refused, mut seen) = (0, 0, BTreeSet::new());
    for round in 0..rounds {
        let mut primary = Server::builder().keys(&["one", "two"]).start();
        let mut replica = Server::builder().keys(&["one", "two"]).replica_of(&primary).start();
        primary.wait_for_sync(&replica);
        let mut connections = [primary.connection(), primary.connection_resp3()];
        cmd(&mut connections[0], "SET sessions:text text").unwrap();
        let mut hostile = Hostile::new(round);
        for batch in 0..BATCHES {
            let (some, errors) = hostile.attack(&mut connections[batch % 2], round);
            answered += some;
            refused += errors;
        }
        seen.extend(hostile.seen);
        primary.wait_for_sync(&replica);
        let what = format!("round {round}: the replica holds what the primary does");
        wait_until(&what, || primary.digest_of_all() == replica.digest_of_all());
        // What expires meanwhile is gone before and after: so what is left must be the same at some moment.
        wait_until(&format!("round {round}: a reload changes nothing"), || {
            let before = primary.digest_of_all();
            cmd(&mut connections[0], "DEBUG RELOAD").unwrap();
            before == primary.digest_of_all()
        });
        for server in [&mut primary, &mut replica] {
            assert!(server.is_running());
            let log = server.log();
            for word in ["panic", "a bug:", "BUG REPORT", "Guru Meditation"] {
                assert!(!log.contains(word), "round {round}: {word:?} in the log:\n{log}");
            }
        }
    }
    // Or what it sends is not what it is meant to be.
    for expected in CODES.iter().chain(&REASONS).filter(|code| **code != "NOSIGNINGKEY") {
        assert!(seen.contains(*expected), "never met {expected}, but {seen:?}");
    }
    println!("{answered} commands answered, {refused} refused");
}

type Args = Vec<Vec<u8>>;

/// Makes commands, and learns ids and tokens from the replies.
struct Hostile {
    random: Random,
    ids: Args,
    tokens: Args,
    /// Few, so that some are used again and again.
    refresh_tokens: Args,
    /// The codes of errors so far, and the reasons why tokens were not good.
    seen: BTreeSet<String>,
}

impl Hostile {
    fn new(round: u64) -> Self {
        Self {
            random: Random(round),
            ids: Vec::new(),
            tokens: Vec::new(),
            refresh_tokens: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    /// Sends a batch of commands in one pipeline; the answer is how many were answered, and how many refused.
    #[track_caller]
    fn attack(&mut self, con: &mut Connection, round: u64) -> (usize, usize) {
        let commands: Vec<Args> = (0..BATCH).map(|_| self.command()).collect();
        let mut pipe = redis::pipe();
        for args in &commands {
            let (name, rest) = args.split_first().unwrap();
            let mut command = redis::Cmd::new();
            command.arg(&name[..]);
            rest.iter().for_each(|arg| {
                command.arg(&arg[..]);
            });
            pipe.add_command(command);
        }
        let shown = |args: &Args| {
            let args: Vec<_> = args.iter().map(|arg| arg.escape_ascii().to_string()).collect();
            format!("round {round}: {:.2000}", args.join(" "))
        };
        let replies: Vec<RedisResult<Value>> =
            pipe.ignore_errors().query(con).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(replies.len(), commands.len(), "round {round}");
        let mut refused = 0;
        for (args, reply) in commands.iter().zip(&replies) {
            match reply {
                Ok(reply) => self.learn(reply),
                Err(error) => {
                    refused += 1;
                    self.seen.extend(error.code().map(str::to_owned));
                    let (code, detail) = (error.code().unwrap_or_default(), error.detail().unwrap_or_default());
                    assert!(CODES.contains(&code), "{}: {error}", shown(args));
                    assert!(!detail.contains("internal error"), "{}: {error}", shown(args));
                    assert!(!detail.is_empty() && !detail.contains(char::is_control), "{}: {error}", shown(args));
                }
            }
        }
        (replies.len() - refused, refused)
    }

    fn learn(&mut self, reply: &Value) {
        match reply {
            Value::BulkString(text) => {
                let reason = std::str::from_utf8(text).ok().and_then(Reason::from_name);
                self.seen.extend(reason.map(|reason| reason.as_str().to_owned()));
                let starts = |prefix: &[u8]| text.starts_with(prefix);
                let (pool, most) = if starts(b"rsr1.") {
                    (&mut self.refresh_tokens, 8)
                } else if starts(b"eyJ") || starts(b"rst1.") {
                    (&mut self.tokens, 64)
                } else if text.len() == 22 {
                    (&mut self.ids, 64)
                } else {
                    return;
                };
                pool.push(text.clone());
                if pool.len() > most {
                    pool.swap_remove(self.random.below(most));
                }
            }
            Value::SimpleString(text) => self.learn(&Value::BulkString(text.clone().into_bytes())),
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Map(items) => items.iter().for_each(|(_, item)| self.learn(item)),
            _ => {}
        }
    }

    fn command(&mut self) -> Args {
        let mut args = self.sane();
        let is_ours = args.first().is_some_and(|name| name.to_ascii_uppercase().starts_with(b"SESSION."));
        // The server's own errors may quote bytes that are no text, which the client cannot read.
        if is_ours && self.random.below(3) == 0 {
            (0..=self.random.below(2)).for_each(|_| self.damage(&mut args));
        }
        args
    }

    /// A command as its grammar has it, with values of all kinds.
    fn sane(&mut self) -> Args {
        let key = self.key();
        let (name, positional, options): (&str, Args, &[(&str, Kind)]) = match self.random.below(33) {
            0..=9 => ("SESSION.CREATE", vec![], CREATE),
            10..=12 => ("SESSION.VALIDATE", vec![self.value(Kind::Token)], CHECK),
            13..=15 => ("SESSION.TOUCH", vec![self.value(Kind::Token)], CHECK),
            16..=19 => ("SESSION.REFRESH", vec![self.value(Kind::RefreshToken)], REFRESH),
            20 => ("SESSION.REGENERATE", vec![self.id_or_token()], &[]),
            21 => ("SESSION.GET", vec![self.value(Kind::Id)], &[]),
            22 => ("SESSION.LIST", vec![], &[]),
            23 => ("SESSION.COUNT", vec![], &[]),
            24 => ("SESSION.TTL", vec![self.value(Kind::Id)], &[]),
            25 | 26 => ("SESSION.SET", self.fields(2), &[]),
            27 => ("SESSION.UNSET", self.fields(1), &[]),
            28 => ("SESSION.REVOKE", (0..=self.random.below(3)).map(|_| self.id_or_token()).collect(), &[]),
            // Not often, for little is left behind it.
            29 if self.random.below(8) == 0 => ("SESSION.REVOKEUSER", vec![], &[("EXCEPT", Kind::IdOrToken)]),
            29 => ("SESSION.LIST", vec![], &[]),
            30 => ("SESSION.APPLY", vec![self.value(Kind::Text)], &[]),
            31 => return self.of_the_server(key),
            _ if self.random.below(4) == 0 => return self.setting(),
            _ => return self.default_setting(),
        };
        let mut args = vec![self.spelled(name), key];
        args.extend(positional);
        let mut options = options.to_vec();
        for _ in 0..self.random.below(6).min(options.len()) {
            let (word, kind) = options.swap_remove(self.random.below(options.len()));
            args.push(self.spelled(word));
            args.extend(self.values(kind));
        }
        args
    }

    fn fields(&mut self, width: usize) -> Args {
        let mut args = vec![self.value(Kind::Id)];
        for _ in 0..=self.random.below(4) {
            args.push(self.value(Kind::Field));
            args.extend((1..width).map(|_| self.value(Kind::Text)));
        }
        args
    }

    /// What else clients do to keys.
    fn of_the_server(&mut self, key: Vec<u8>) -> Args {
        let other = self.key();
        let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect();
        match self.random.below(6) {
            0 => words(&[b"DEL", &key]),
            1 => words(&[b"COPY", &key, &other, b"REPLACE"]),
            2 => words(&[b"RENAME", &key, &other]),
            3 => words(&[b"PERSIST", &key]),
            4 => words(&[b"MEMORY", b"USAGE", &key]),
            _ => words(&[b"TYPE", &key]),
        }
    }

    /// Takes a setting back, so that one that refuses everything does not last.
    fn default_setting(&mut self) -> Args {
        let (name, _, default) = self.random.of(&SETTINGS);
        ["CONFIG", "SET", name, default].map(|word| word.as_bytes().to_vec()).to_vec()
    }

    fn setting(&mut self) -> Args {
        let (name, kind, _) = self.random.of(&SETTINGS);
        let mut args: Args = ["CONFIG", "SET", name].map(|word| word.as_bytes().to_vec()).to_vec();
        args.push(self.value(kind));
        args
    }

    fn key(&mut self) -> Vec<u8> {
        let good = [&b"sessions:42"[..], b"sessions:{42}", b"sessions:{43}", b"sessions:\xc3\xa9"];
        let bad: [&[u8]; 8] = [
            b"sessions:text",
            b"sessions:",
            b"sessions:{}",
            b"sessions:a\0b",
            b"sessions:\xff",
            b"cart:42",
            b"42",
            b"",
        ];
        match self.random.below(40) {
            0 => [b"sessions:", &self.random.bytes()[..]].concat(),
            1 | 2 => self.random.of(&bad).to_vec(),
            3..10 => self.random.of(&good).to_vec(),
            _ => good[0].to_vec(),
        }
    }

    /// A word in some case.
    fn spelled(&mut self, word: &str) -> Vec<u8> {
        match self.random.below(8) {
            0 => word.to_ascii_lowercase().into_bytes(),
            1 => word
                .bytes()
                .map(|byte| if self.random.below(2) == 0 { byte } else { byte.to_ascii_lowercase() })
                .collect(),
            _ => word.as_bytes().to_vec(),
        }
    }

    fn id_or_token(&mut self) -> Vec<u8> {
        self.value(Kind::IdOrToken)
    }

    fn values(&mut self, kind: Kind) -> Args {
        match kind {
            Kind::Nothing => vec![],
            Kind::Fields => {
                let count = self.random.below(4);
                let said = if self.random.below(4) == 0 { self.value(Kind::Number) } else { count.to_string().into() };
                let fields = (0..count).flat_map(|_| [self.value(Kind::Field), self.value(Kind::Text)]);
                [said].into_iter().chain(fields.collect::<Vec<_>>()).collect()
            }
            kind => vec![self.value(kind)],
        }
    }

    fn value(&mut self, kind: Kind) -> Vec<u8> {
        // The first ones are good.
        let (good, known): (usize, &[&[u8]]) = match kind {
            Kind::Number => (5, &NUMBERS),
            Kind::Few => (4, &[b"1", b"3", b"10", b"100", b"0", b"1000001", b""]),
            Kind::Ip => (5, &IPS),
            Kind::Json => (3, &JSON),
            Kind::Form => (4, &FORMS),
            Kind::Id => return self.id(),
            Kind::RefreshToken if !self.refresh_tokens.is_empty() && self.random.below(4) != 0 => {
                return self.refresh_tokens[self.random.below(self.refresh_tokens.len())].clone();
            }
            Kind::Token | Kind::RefreshToken => return self.token(),
            Kind::IdOrToken if self.random.below(2) == 0 => return self.id(),
            Kind::IdOrToken => return self.token(),
            Kind::Field => (5, &[b"cart", b"role", b"a", b"\0", b"\xff", b""]),
            Kind::Text | Kind::Nothing | Kind::Fields => (6, &TEXTS),
        };
        match self.random.below(40) {
            0 => self.random.bytes(),
            // At the bounds of texts, of fingerprints, of names and of the rest.
            1 => vec![b'x'; *self.random.of(&[&128, &129, &512, &513, &1024, &1025, &4096, &4097, &70_000])],
            2 if matches!(kind, Kind::Number) => self.random.next().to_string().into_bytes(),
            3..6 => self.random.of(known).to_vec(),
            _ => self.random.of(&known[..good]).to_vec(),
        }
    }

    fn id(&mut self) -> Vec<u8> {
        if !self.ids.is_empty() && self.random.below(2) == 0 {
            return self.ids[self.random.below(self.ids.len())].clone();
        }
        match self.random.below(12) {
            0 => self.random.bytes(),
            1 => vec![b'x'; 127 + self.random.below(3)],
            2 => self.random.of(&IDS).to_vec(),
            _ => self.random.of(&IDS[..5]).to_vec(),
        }
    }

    fn token(&mut self) -> Vec<u8> {
        if self.tokens.is_empty() || self.random.below(10) == 0 {
            return self.random.of(&TOKENS).to_vec();
        }
        let mut token = self.tokens[self.random.below(self.tokens.len())].clone();
        if self.random.below(6) == 0 {
            let at = self.random.below(token.len());
            match self.random.below(4) {
                0 => token.truncate(at),
                1 => token.insert(at, b'.'),
                2 => token[at] = b'A',
                _ => token[at] ^= 1,
            }
        }
        token
    }

    /// Spoils the arguments behind the name.
    fn damage(&mut self, args: &mut Args) {
        let at = 1 + self.random.below(args.len());
        let from = 1 + self.random.below(args.len());
        let other = args.get(from).cloned().unwrap_or_default();
        let is_there = at < args.len();
        match (self.random.below(12), is_there) {
            (0, true) => drop(args.remove(at)),
            (1, _) => args.truncate(at),
            (2, _) => args.insert(at, other),
            (3, true) => args[at] = other,
            (4, true) if from < args.len() => args.swap(at, from),
            (5, true) => args[at] = self.random.bytes(),
            (6, _) => args.insert(at, self.random.bytes()),
            (7, true) => args[at].push(0),
            (8, true) => args[at].clear(),
            (9, _) => {
                let word = self.random.of(&WORDS);
                args.insert(at, word.as_bytes().to_vec());
            }
            (10, _) => args.extend(args[1..].to_vec()),
            (11, _) if self.random.below(20) == 0 => args.extend((0..2000).map(|n| n.to_string().into_bytes())),
            _ => {}
        }
    }
}

/// What kind of value follows a word.
#[derive(Clone, Copy)]
enum Kind {
    Nothing,
    Number,
    Few,
    Ip,
    Text,
    Json,
    Form,
    Id,
    Token,
    RefreshToken,
    IdOrToken,
    Field,
    Fields,
}

/// Settings with their defaults.
const SETTINGS: [(&str, Kind, &str); 16] = [
    ("session.ttl", Kind::Number, "86400"),
    ("session.idle-timeout", Kind::Number, "0"),
    ("session.token-ttl", Kind::Number, "3600"),
    ("session.refresh-ttl", Kind::Number, "2592000"),
    ("session.refresh-grace", Kind::Number, "10"),
    ("session.max-per-user", Kind::Number, "100"),
    ("session.limit-policy", Kind::Text, "evict"),
    ("session.max-data-bytes", Kind::Number, "65536"),
    ("session.touch-granularity", Kind::Number, "60"),
    ("session.not-before", Kind::Number, "0"),
    ("session.active-kid", Kind::Text, ""),
    ("session.issuer", Kind::Text, ""),
    ("session.audience", Kind::Text, ""),
    ("session.leeway", Kind::Number, "0"),
    ("session.token-cache", Kind::Number, "16384"),
    ("session.max-token-bytes", Kind::Number, "8192"),
];

const CREATE: &[(&str, Kind)] = &[
    ("ID", Kind::Id),
    ("FROM", Kind::Token),
    ("TTL", Kind::Number),
    ("IDLE", Kind::Number),
    ("MAX", Kind::Few),
    ("EVICT", Kind::Nothing),
    ("REJECT", Kind::Nothing),
    ("IP", Kind::Ip),
    ("AGENT", Kind::Text),
    ("DEVICE", Kind::Text),
    ("DATA", Kind::Fields),
    ("CLAIMS", Kind::Json),
    ("TOKEN", Kind::Form),
    ("TOKENTTL", Kind::Number),
    ("REFRESH", Kind::Number),
];

const CHECK: &[(&str, Kind)] = &[
    ("IP", Kind::Ip),
    ("DEVICE", Kind::Text),
    ("AUD", Kind::Text),
    ("STATELESS", Kind::Nothing),
    ("FULL", Kind::Nothing),
];

const REFRESH: &[(&str, Kind)] = &[("IP", Kind::Ip), ("AGENT", Kind::Text), ("DEVICE", Kind::Text)];

const WORDS: [&str; 12] =
    ["ID", "FROM", "TTL", "EVICT", "REJECT", "DATA", "CLAIMS", "TOKEN", "EXCEPT", "FULL", "STATELESS", "REFRESH"];

const NUMBERS: [&[u8]; 26] = [
    b"60",
    b"3600",
    b"3600",
    b"86400",
    b"86400",
    b"0",
    b"1",
    b"2",
    b"-1",
    b"-0",
    b"+5",
    b" 5",
    b"5 ",
    b"0005",
    b"0x10",
    b"1e3",
    b"1.5",
    b"4294967295",
    b"4294967296",
    b"3162240000",
    b"3162240001",
    b"281474976710656",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"",
];

const IPS: [&[u8]; 10] = [
    b"203.0.113.7",
    b"198.51.100.1",
    b"2001:db8::1",
    b"::ffff:203.0.113.7",
    b"::",
    b"::1%eth0",
    b"256.1.1.1",
    b"1.2.3",
    b"203.0.113.7\0",
    b"",
];

const TEXTS: [&[u8]; 10] = [
    b"Firefox",
    b"phone",
    b"one",
    b"evict",
    b"https://issuer.example",
    b"\xf0\x9f\x98\x80",
    b"two\nlines",
    b"a\0b",
    b"\xff\xfe",
    b"",
];

const JSON: [&[u8]; 10] = [
    b"{}",
    br#"{"role":"admin"}"#,
    br#" { "n" : [1, 1.5e3, null, {"a": "\ud83d\ude00"}] } "#,
    br#"{"exp":1}"#,
    br#"{"a":1,"a":2}"#,
    br#"{"a":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}"#,
    br#"{"a":1e999}"#,
    b"{\"a\":\"\xff\"}",
    b"[]",
    b"{",
];

const FORMS: [&[u8]; 6] = [b"JWT", b"OPAQUE", b"NONE", b"opaque", b"JWTS", b""];

const IDS: [&[u8]; 10] = [
    b"a",
    b"b",
    b"0190163d-8694-739b-aea5-966c26f8ad91",
    b"0190163d8694739baea5966c26f8ad91",
    b"\xc3\xa9",
    b"a.b.c",
    b"rst1.a",
    b"eyJ.a.b",
    b"a\0",
    b"",
];

const TOKENS: [&[u8]; 8] = [
    b"eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiJ9.AA",
    b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.AA",
    b"rst1.NDI.YQ.AAAA",
    b"rsr1.NDI.YQ.AAAAAA.AAAA",
    b"rst1.",
    b"..",
    b"\0.\0.\0",
    b"",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.below(40);
        (0..length).flat_map(|_| self.next().to_le_bytes().into_iter().take(1)).collect()
    }
}
