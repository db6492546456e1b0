//! Arguments: good ones, those at the bounds, and those beyond.

use super::Args;
use super::random::Random;
use super::replies::Reply;

/// What kind of value a place has.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Nothing,
    Number,
    Few,
    Time,
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
    Page,
}

/// Those of one argument.
const SINGLE: [Kind; 12] = [
    Kind::Number,
    Kind::Few,
    Kind::Time,
    Kind::Ip,
    Kind::Text,
    Kind::Json,
    Kind::Form,
    Kind::Id,
    Kind::Token,
    Kind::RefreshToken,
    Kind::IdOrToken,
    Kind::Field,
];

/// Makes values, also of what it learnt from replies.
pub(super) struct Values {
    pub(super) random: Random,
    /// Few of each, so that many are of sessions that are alive, and some are used again and again.
    ids: Args,
    tokens: Args,
    refresh_tokens: Args,
}

impl Values {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random(seed), ids: Vec::new(), tokens: Vec::new(), refresh_tokens: Vec::new() }
    }

    /// Remembers ids and tokens.
    pub(super) fn learn(&mut self, reply: &Reply) {
        reply.each(&mut |part| {
            let Reply::Text(text) = part else { return };
            let starts = |prefix: &[u8]| text.starts_with(prefix);
            let (pool, most) = if starts(b"rsr1.") {
                (&mut self.refresh_tokens, 8)
            } else if starts(b"eyJ") || starts(b"rst1.") {
                (&mut self.tokens, 24)
            } else if text.len() == 22 {
                (&mut self.ids, 12)
            } else {
                return;
            };
            pool.push(text.clone());
            if pool.len() > most {
                pool.swap_remove(self.random.below(most));
            }
        });
    }

    pub(super) fn key(&mut self) -> Vec<u8> {
        let good = [&b"sessions:42"[..], b"sessions:{42}", b"sessions:{43}", b"sessions:\xc3\xa9"];
        let bad: [&[u8]; 14] = [
            b"sessions:text",
            b"sessions:text",
            b"sessions:",
            b"sessions:{}",
            b"sessions:{",
            b"sessions:{42",
            b"sessions:{4}2",
            b"sessions:a\0b",
            b"sessions:\xff",
            b"Sessions:42",
            b"session",
            b"cart:42",
            b"42",
            b"",
        ];
        match self.random.below(40) {
            0 if self.random.once_in(4) => [&b"sessions:"[..], &self.long()].concat(),
            0 => [b"sessions:", &self.random.bytes()[..]].concat(),
            1 | 2 => self.random.of(&bad).to_vec(),
            3..10 => self.random.of(&good).to_vec(),
            _ => good[0].to_vec(),
        }
    }

    /// A word in some case.
    pub(super) fn spelled(&mut self, word: &str) -> Vec<u8> {
        match self.random.below(8) {
            0 => word.to_ascii_lowercase().into_bytes(),
            1 => {
                word.bytes().map(|byte| if self.random.once_in(2) { byte } else { byte.to_ascii_lowercase() }).collect()
            }
            _ => word.as_bytes().to_vec(),
        }
    }

    /// All that follows a word.
    pub(super) fn values(&mut self, kind: Kind) -> Args {
        match kind {
            Kind::Nothing => vec![],
            Kind::Fields => {
                let count = self.random.below(4);
                let said = if self.random.once_in(4) { self.value(Kind::Number) } else { count.to_string().into() };
                let fields = (0..count).flat_map(|_| [self.value(Kind::Field), self.value(Kind::Text)]);
                [said].into_iter().chain(fields.collect::<Vec<_>>()).collect()
            }
            Kind::Page => vec![self.value(Kind::Few), self.value(Kind::Few)],
            kind => vec![self.value(kind)],
        }
    }

    /// A value of whatever kind.
    pub(super) fn any(&mut self) -> Vec<u8> {
        let kind = self.random.of(&SINGLE);
        self.value(kind)
    }

    pub(super) fn value(&mut self, kind: Kind) -> Vec<u8> {
        // The first ones are good.
        let (good, known): (usize, &[&[u8]]) = match kind {
            Kind::Number => (5, &NUMBERS),
            Kind::Few => (4, &[b"30", b"50", b"100", b"200", b"1", b"2", b"5", b"0", b"1000000", b"1000001", b""]),
            Kind::Time => (3, &TIMES),
            Kind::Ip => (5, &IPS),
            Kind::Json => (3, &JSON),
            Kind::Form => (4, &FORMS),
            Kind::Id => return self.id(),
            Kind::RefreshToken if !self.refresh_tokens.is_empty() && !self.random.once_in(4) => {
                let token = self.refresh_tokens[self.random.below(self.refresh_tokens.len())].clone();
                return self.perhaps_spoilt(token);
            }
            Kind::Token | Kind::RefreshToken => return self.token(),
            Kind::IdOrToken if self.random.once_in(2) => return self.id(),
            Kind::IdOrToken => return self.token(),
            Kind::Field => (9, &[b"cart", b"role", b"a", b"b", b"c", b"d", b"\0", b"\xff", b"\xc3\xa9", b""]),
            Kind::Text | Kind::Nothing | Kind::Fields | Kind::Page => (6, &TEXTS),
        };
        match self.random.below(40) {
            0 => self.random.bytes(),
            1 => self.long(),
            2 if kind == Kind::Number => self.random.next().to_string().into_bytes(),
            2 => {
                let value = self.random.of(known).to_vec();
                self.mutated(value)
            }
            3..6 => self.random.of(known).to_vec(),
            _ => self.random.of(&known[..good]).to_vec(),
        }
    }

    /// At the bounds of ids, texts, names, fingerprints and the rest, in letters of one byte or of two.
    fn long(&mut self) -> Vec<u8> {
        let bound = self.random.of(&[22, 36, 128, 512, 1024, 4096, 4096, 8192, 65_536, 70_000]);
        let length = bound + self.random.below(3) - 1;
        let letters: &[u8] = match self.random.below(10) {
            0 => "é".as_bytes(),
            1 => b"[",
            2 => b"9",
            3 => b"-eyJ.",
            _ => b"x",
        };
        letters.iter().copied().cycle().take(length).collect()
    }

    /// With some bytes changed, doubled, put in or taken out.
    pub(super) fn mutated(&mut self, mut value: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.random.below(3) {
            let at = self.random.below(value.len() + 1);
            let byte = match self.random.below(3) {
                0 => self.random.byte(),
                1 => self.random.of(b"\0\t\n\r\x1f \"'*$+-.:0A_{}\x7f\x80\xc0\xed\xf5\xff"),
                _ => value.get(at).map_or(0, |byte| byte ^ (1 << self.random.below(8))),
            };
            match (self.random.below(5), at < value.len()) {
                (0 | 1, true) => value[at] = byte,
                (2, true) => drop(value.remove(at)),
                (3, true) => value.truncate(at),
                (4, true) if value.len() < 1000 => value.extend_from_within(at..),
                _ => value.insert(at, byte),
            }
        }
        value
    }

    fn id(&mut self) -> Vec<u8> {
        if !self.ids.is_empty() && self.random.once_in(2) {
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
        if self.tokens.is_empty() || self.random.once_in(10) {
            return self.random.of(&TOKENS).to_vec();
        }
        let token = self.tokens[self.random.below(self.tokens.len())].clone();
        self.perhaps_spoilt(token)
    }

    fn perhaps_spoilt(&mut self, mut token: Vec<u8>) -> Vec<u8> {
        if self.random.once_in(6) {
            let at = self.random.below(token.len());
            match self.random.below(6) {
                0 => token.truncate(at),
                1 => token.insert(at, b'.'),
                2 => token[at] = b'A',
                3 => token[at] ^= 1,
                4 => return [b"Bearer ", &token[..]].concat(),
                _ => return self.mutated(token),
            }
        }
        token
    }
}

const NUMBERS: [&[u8]; 48] = [
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
    b"00",
    b"+5",
    b"--5",
    b" 5",
    b"5 ",
    b"5\n",
    b"5\0",
    b"0005",
    b"0x10",
    b"1e3",
    b"1.5",
    b"1_000",
    b"\xd9\xa3",
    b"nan",
    b"127",
    b"128",
    b"256",
    b"600",
    b"3601",
    b"65536",
    b"65537",
    b"1000000",
    b"1000001",
    b"16777217",
    b"2147483647",
    b"2147483648",
    b"4294967295",
    b"4294967296",
    b"3162240000",
    b"3162240001",
    b"281474976710655",
    b"281474976710656",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"",
];

/// Long ago, and a few that no session of the test reaches.
const TIMES: [&[u8]; 12] = [
    b"0",
    b"1000",
    b"1700000000000",
    b"1",
    b"4102444800000",
    b"281474976710655",
    b"281474976710656",
    b"9223372036854775807",
    b"-1",
    b"+5",
    b"1e3",
    b"",
];

const IPS: [&[u8]; 16] = [
    b"203.0.113.7",
    b"198.51.100.1",
    b"2001:db8::1",
    b"::ffff:203.0.113.7",
    b"::",
    b"::1%eth0",
    b"[::1]",
    b"256.1.1.1",
    b"1.2.3",
    b"01.2.3.4",
    b"1.2.3.4.5",
    b"1:2:3:4:5:6:7:8:9",
    b"::ffff:0:0:1.2.3.4",
    b"203.0.113.7\0",
    b"203.0.113.7:80",
    b"",
];

const TEXTS: [&[u8]; 16] = [
    b"Firefox",
    b"phone",
    b"one",
    b"evict",
    b"https://issuer.example",
    b"\xf0\x9f\x98\x80",
    b"at+jwt",
    b"two\nlines",
    b"a\0b",
    b"\x7f",
    b"\xc2\x85",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xf4\x90\x80\x80",
    b"",
];

const JSON: [&[u8]; 18] = [
    b"{}",
    br#"{"role":"admin"}"#,
    br#" { "n" : [1, 1.5e3, null, {"a": "\ud83d\ude00"}] } "#,
    br#"{"exp":1}"#,
    br#"{"\u0065xp":1}"#,
    br#"{"a":1,"a":2}"#,
    br#"{"a":1,"\u0061":2}"#,
    br#"{"a":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}"#,
    br#"{"a":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}"#,
    br#"{"a":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}"#,
    br#"{"a":1e999}"#,
    br#"{"a":-0,"b":123456789012345678901234567890}"#,
    br#"{"a":"\ud83d"}"#,
    br#"{"a":1}{"#,
    b"{\"a\":\"\xff\"}",
    b"{\"a\":\"\0\"}",
    b"[]",
    b"{",
];

const FORMS: [&[u8]; 6] = [b"JWT", b"OPAQUE", b"NONE", b"opaque", b"JWTS", b""];

const IDS: [&[u8]; 13] = [
    b"a",
    b"b",
    b"0190163d-8694-739b-aea5-966c26f8ad91",
    b"0190163d8694739baea5966c26f8ad91",
    b"\xc3\xa9",
    b"0190163D-8694-739B-AEA5-966C26F8AD91",
    b"AAECAwQFBgcICQoLDA0OD-",
    b"a.b.c",
    b"rst1.a",
    b"eyJ.a.b",
    b"a\0",
    b"\xff",
    b"",
];

const TOKENS: [&[u8]; 12] = [
    b"eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiJ9.AA",
    b"eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiJ9.",
    b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.AA",
    b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiI0MiJ9.AA",
    b"eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSJ9..",
    b"rst1.NDI.YQ.AAAA",
    b"rst1.NDI.YQ.b25lAAAAAAAAAAAAAAAA",
    b"rsr1.NDI.YQ.AAAAAA.AAAA",
    b"rst1.",
    b"..",
    b"\0.\0.\0",
    b"",
];
