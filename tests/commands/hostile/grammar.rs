//! Commands: each as its grammar has it, and then spoilt.

use super::Args;
use super::values::{Kind, Values};

pub(crate) const COMMANDS: [&str; 21] = [
    "SESSION.CREATE",
    "SESSION.VALIDATE",
    "SESSION.TOUCH",
    "SESSION.REFRESH",
    "SESSION.REGENERATE",
    "SESSION.GET",
    "SESSION.LIST",
    "SESSION.COUNT",
    "SESSION.TTL",
    "SESSION.SET",
    "SESSION.INCRBY",
    "SESSION.UNSET",
    "SESSION.REVOKE",
    "SESSION.REVOKEUSER",
    "SESSION.DENY",
    "SESSION.REVOKEALL",
    "SESSION.STATS",
    "SESSION.KEYS",
    "SESSION.RELOADKEYS",
    "SESSION.JWKS",
    "SESSION.APPLY",
];

/// Settings with their defaults.
pub(super) const SETTINGS: [(&str, Kind, &str); 21] = [
    ("session.ttl", Kind::Number, "86400"),
    ("session.idle-timeout", Kind::Number, "0"),
    ("session.token-ttl", Kind::Number, "3600"),
    ("session.refresh-ttl", Kind::Number, "2592000"),
    ("session.refresh-grace", Kind::Number, "10"),
    ("session.refresh-recovery", Kind::Number, "0"),
    ("session.max-per-user", Kind::Few, "100"),
    ("session.limit-policy", Kind::Text, "evict"),
    ("session.max-data-bytes", Kind::Number, "65536"),
    ("session.max-fields", Kind::Number, "1024"),
    ("session.touch-granularity", Kind::Number, "60"),
    ("session.sweep-time", Kind::Number, "1000"),
    ("session.not-before", Kind::Number, "0"),
    ("session.active-kid", Kind::Text, ""),
    ("session.issuer", Kind::Text, ""),
    ("session.audience", Kind::Text, ""),
    ("session.token-type", Kind::Text, ""),
    ("session.leeway", Kind::Number, "0"),
    ("session.token-cache", Kind::Number, "16384"),
    ("session.audit-maxlen", Kind::Number, "100000"),
    ("session.max-token-bytes", Kind::Number, "8192"),
];

type Options = &'static [(&'static str, Kind)];

const CREATE: Options = &[
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
    ("LEVEL", Kind::Few),
    ("TOKEN", Kind::Form),
    ("TOKENTTL", Kind::Number),
    ("REFRESH", Kind::Number),
    ("JSON", Kind::Nothing),
];

const CHECK: Options = &[
    ("IP", Kind::Ip),
    ("DEVICE", Kind::Text),
    ("AUD", Kind::Text),
    ("LEVEL", Kind::Few),
    ("MAXAGE", Kind::Number),
    ("STATELESS", Kind::Nothing),
    ("BRIEF", Kind::Nothing),
    ("FULL", Kind::Nothing),
    ("JSON", Kind::Nothing),
];

const REFRESH: Options = &[("IP", Kind::Ip), ("AGENT", Kind::Text), ("DEVICE", Kind::Text), ("JSON", Kind::Nothing)];

const LIST: Options = &[("LIMIT", Kind::Page), ("ENDED", Kind::Nothing), ("JSON", Kind::Nothing)];

const READ: Options = &[("JSON", Kind::Nothing)];

const REGENERATE: Options = &[
    ("CLAIMS", Kind::Json),
    ("LEVEL", Kind::Few),
    ("TTL", Kind::Number),
    ("IP", Kind::Ip),
    ("AGENT", Kind::Text),
    ("JSON", Kind::Nothing),
];

const EXCEPT: Options = &[("EXCEPT", Kind::IdOrToken)];

const UNTIL: Options = &[("UNTIL", Kind::Time)];

const DENY: Options = &[("ISS", Kind::Text)];

const BEFORE: Options = &[("BEFORE", Kind::Time), ("CLEAR", Kind::Nothing), ("CUTOFF", Kind::Time)];

const VERSION: Options = &[("VERSION", Kind::Few)];

const ALL: Options = &[("ALL", Kind::Nothing)];

const ALL_OPTIONS: [Options; 11] =
    [CREATE, CHECK, LIST, REFRESH, REGENERATE, EXCEPT, UNTIL, DENY, BEFORE, VERSION, ALL];

/// Whether calls are made with this option.
pub(crate) fn knows_option(word: &str) -> bool {
    ALL_OPTIONS.iter().flat_map(|options| options.iter()).any(|(known, _)| *known == word)
}

/// Makes commands.
pub(super) struct Grammar {
    pub(super) values: Values,
}

impl Grammar {
    pub(super) fn new(seed: u64) -> Self {
        Self { values: Values::new(seed) }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.values.random.below(bound)
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.values.random.once_in(times)
    }

    /// So many commands, or a few more so that no transaction is torn.
    pub(super) fn batch(&mut self, length: usize) -> Vec<Args> {
        let mut batch = Vec::with_capacity(length + 8);
        while batch.len() < length {
            match self.below(200) {
                0..4 => {
                    batch.push(vec![b"MULTI".to_vec()]);
                    for _ in 0..self.below(6) {
                        batch.push(self.ours());
                    }
                    batch.push(vec![b"EXEC".to_vec()]);
                }
                4..8 => {
                    let key = self.values.key();
                    let script = [&b"EVAL"[..], b"return redis.pcall(unpack(ARGV))", b"1", &key].map(<[u8]>::to_vec);
                    batch.push(script.into_iter().chain(self.ours()).collect());
                }
                8..14 => batch.push(self.of_the_server()),
                14..16 => batch.push(self.setting()),
                16..22 => batch.push(self.default_setting()),
                _ => batch.push(self.ours()),
            }
        }
        batch
    }

    /// One of the module's commands.
    fn ours(&mut self) -> Args {
        let mut args = self.sane();
        if self.once_in(3) {
            (0..=self.below(3)).for_each(|_| self.damage(&mut args));
        }
        args
    }

    /// A command as its grammar has it, with values of all kinds.
    fn sane(&mut self) -> Args {
        let (name, options): (&str, Options) = match self.below(38) {
            0..=9 => ("SESSION.CREATE", CREATE),
            10..=12 => ("SESSION.VALIDATE", CHECK),
            13..=15 => ("SESSION.TOUCH", CHECK),
            16..=19 => ("SESSION.REFRESH", REFRESH),
            20 | 21 => ("SESSION.REGENERATE", REGENERATE),
            22 => ("SESSION.GET", READ),
            23 if self.once_in(4) => ("SESSION.LIST", LIST),
            23 | 24 => ("SESSION.COUNT", &[]),
            25 => ("SESSION.TTL", &[]),
            26 => ("SESSION.INCRBY", &[]),
            27 => ("SESSION.SET", &[]),
            28 | 29 => ("SESSION.UNSET", &[]),
            30 | 31 => ("SESSION.REVOKE", &[]),
            // Not often, for little is left behind it.
            32 if self.once_in(8) => ("SESSION.REVOKEUSER", EXCEPT),
            36 => ("SESSION.DENY", DENY),
            37 if self.once_in(4) => ("SESSION.REVOKEALL", BEFORE),
            33 => ("SESSION.STATS", READ),
            34 if self.once_in(3) => ("SESSION.JWKS", ALL),
            34 if self.once_in(3) => ("SESSION.RELOADKEYS", &[]),
            34 => ("SESSION.KEYS", READ),
            _ => ("SESSION.APPLY", &[]),
        };
        let mut args = vec![self.values.spelled(name)];
        let keyless = ["SESSION.STATS", "SESSION.KEYS", "SESSION.RELOADKEYS", "SESSION.JWKS", "SESSION.REVOKEALL"];
        if !keyless.contains(&name) {
            args.push(self.values.key());
        }
        args.extend(self.positional(name));
        let mut options = options.to_vec();
        for _ in 0..self.below(6).min(options.len()) {
            let (word, kind) = options.swap_remove(self.below(options.len()));
            args.push(self.values.spelled(word));
            args.extend(self.values.values(kind));
            // The two together are what a login is refused for, else met by a rare chance alone.
            if word == "MAX" && self.once_in(2) {
                args.push(self.values.spelled("REJECT"));
            }
        }
        args
    }

    fn positional(&mut self, name: &str) -> Args {
        match name {
            "SESSION.VALIDATE" | "SESSION.TOUCH" if self.once_in(4) => {
                vec![self.values.spelled("ID"), self.values.value(Kind::Id)]
            }
            "SESSION.VALIDATE" | "SESSION.TOUCH" => vec![self.values.value(Kind::Token)],
            "SESSION.REFRESH" => vec![self.values.value(Kind::RefreshToken)],
            "SESSION.REGENERATE" => vec![self.values.value(Kind::IdOrToken)],
            "SESSION.GET" | "SESSION.TTL" => vec![self.values.value(Kind::Id)],
            "SESSION.INCRBY" => {
                vec![self.values.value(Kind::Id), self.values.value(Kind::Field), self.values.value(Kind::Number)]
            }
            "SESSION.SET" if self.once_in(3) => {
                let mut args = self.fields(2);
                let (word, version) = (self.values.spelled("VERSION"), self.values.value(Kind::Few));
                args.splice(1..1, [word, version]);
                args
            }
            "SESSION.SET" => self.fields(2),
            "SESSION.UNSET" => self.fields(1),
            "SESSION.REVOKE" => (0..=self.below(3)).map(|_| self.values.value(Kind::IdOrToken)).collect(),
            "SESSION.DENY" => {
                let (id, word) = (self.values.value(Kind::Id), self.values.spelled("UNTIL"));
                vec![id, word, self.values.value(Kind::Time)]
            }
            "SESSION.APPLY" => vec![self.values.value(Kind::Text)],
            _ => vec![],
        }
    }

    fn fields(&mut self, width: usize) -> Args {
        let mut args = vec![self.values.value(Kind::Id)];
        for _ in 0..=self.below(4) {
            args.push(self.values.value(Kind::Field));
            args.extend((1..width).map(|_| self.values.value(Kind::Text)));
        }
        args
    }

    /// What else clients do to keys.
    fn of_the_server(&mut self) -> Args {
        let (other, number) = (self.values.key(), self.values.value(Kind::Number));
        // Not often the one that most commands are for, for little is left of it.
        let key = if self.once_in(4) { self.values.key() } else { b"sessions:{43}".to_vec() };
        let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect();
        match self.below(11) {
            0 => words(&[b"DEL", &key]),
            1 => words(&[b"UNLINK", &key]),
            2 => words(&[b"COPY", &key, &other, b"REPLACE"]),
            3 => words(&[b"RENAME", &key, &other]),
            4 => words(&[b"PERSIST", &key]),
            5 => words(&[b"EXPIRE", &key, &number]),
            6 => words(&[b"MEMORY", b"USAGE", &key]),
            7 => words(&[b"DUMP", &key]),
            8 | 9 => words(&[b"SET", b"sessions:text", b"text"]),
            _ => words(&[b"TYPE", &key]),
        }
    }

    /// Takes a setting back, so that one that refuses everything does not last.
    fn default_setting(&mut self) -> Args {
        let (name, _, default) = self.values.random.of(&SETTINGS);
        ["CONFIG", "SET", name, default].map(|word| word.as_bytes().to_vec()).to_vec()
    }

    fn setting(&mut self) -> Args {
        let (name, kind, _) = self.values.random.of(&SETTINGS);
        let mut args: Args = ["CONFIG", "SET", name].map(|word| word.as_bytes().to_vec()).to_vec();
        args.push(self.values.value(kind));
        args
    }

    /// Spoils the arguments behind the name.
    fn damage(&mut self, args: &mut Args) {
        let at = 1 + self.below(args.len());
        let from = 1 + self.below(args.len());
        let other = args.get(from).cloned().unwrap_or_default();
        match (self.below(17), at < args.len()) {
            (0, true) => drop(args.remove(at)),
            (1, _) => args.truncate(at),
            (2, _) => args.insert(at, other),
            (3, true) => args[at] = other,
            (4, true) if from < args.len() => args.swap(at, from),
            (5, true) => args[at] = self.values.random.bytes(),
            (6, _) => args.insert(at, self.values.random.bytes()),
            (7, true) => args[at].push(0),
            (8, true) => args[at].clear(),
            (9, _) => args.insert(at, self.word()),
            (10, _) if args.len() < 100 => args.extend(args[1..].to_vec()),
            (11, _) if self.once_in(50) => args.extend((0..2000).map(|n| n.to_string().into_bytes())),
            (12 | 13, true) => args[at] = self.values.mutated(std::mem::take(&mut args[at])),
            (14, true) => args[at] = self.values.any(),
            (15, _) => args.insert(at, self.values.any()),
            (16, _) => {
                let options = self.values.random.of(&ALL_OPTIONS);
                let (word, kind) = self.values.random.of(options);
                args.push(self.values.spelled(word));
                args.extend(self.values.values(kind));
            }
            _ => {}
        }
    }

    /// An option's word, or what is left of one.
    fn word(&mut self) -> Vec<u8> {
        let options = self.values.random.of(&ALL_OPTIONS);
        let (word, _) = self.values.random.of(options);
        let mut word = self.values.spelled(word);
        match self.below(8) {
            0 => word.truncate(self.below(word.len())),
            1 => word.extend_from_within(..),
            2 => word.push(self.values.random.of(b"\0 S\xff")),
            _ => {}
        }
        word
    }
}
