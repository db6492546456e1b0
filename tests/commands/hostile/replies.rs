//! A connection that takes nothing but replies as the protocol has them, to the byte, whatever they say.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use redis_session_tests::Server;

use super::Args;

#[derive(PartialEq)]
pub(super) enum Reply {
    /// Code and text.
    Error(Vec<u8>),
    Text(Vec<u8>),
    Int(i64),
    Bool,
    Null,
    List(Vec<Reply>),
    /// Of RESP3. RESP2 has a list of names and values.
    Map(Vec<(Reply, Reply)>),
}

impl Reply {
    /// Calls `visit` with this reply and all that are in it.
    pub(super) fn each<'r>(&'r self, visit: &mut impl FnMut(&'r Self)) {
        visit(self);
        match self {
            Self::List(items) => items.iter().for_each(|item| item.each(visit)),
            Self::Map(pairs) => pairs.iter().for_each(|(name, value)| {
                name.each(visit);
                value.each(visit);
            }),
            _ => {}
        }
    }
}

/// As much as a person reads of it.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(text) => write!(f, "-{:.2000}", text.escape_ascii().to_string()),
            Self::Text(text) => write!(f, "\"{:.2000}\"", text.escape_ascii().to_string()),
            Self::Int(number) => number.fmt(f),
            Self::Bool => f.write_str("a boolean"),
            Self::Null => f.write_str("null"),
            Self::List(items) => f.debug_list().entries(items.iter().take(100)).finish(),
            Self::Map(pairs) => f.debug_map().entries(pairs.iter().map(|(name, value)| (name, value))).finish(),
        }
    }
}

pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    resp3: bool,
    line: Vec<u8>,
}

impl Connection {
    pub(super) fn new(server: &Server, resp3: bool) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut connection = Self { stream: BufReader::with_capacity(1 << 16, stream), resp3, line: Vec::new() };
        let hello = ["HELLO", if resp3 { "3" } else { "2" }].map(|word| word.as_bytes().to_vec());
        connection.send(&[hello.to_vec()]);
        connection.reply().unwrap();
        connection
    }

    pub(super) fn speaks_resp3(&self) -> bool {
        self.resp3
    }

    /// Sends all of them in one write.
    pub(super) fn send(&mut self, commands: &[Args]) {
        let mut bytes = Vec::with_capacity(commands.len() * 256);
        for args in commands {
            write!(bytes, "*{}\r\n", args.len()).unwrap();
            for arg in args {
                write!(bytes, "${}\r\n", arg.len()).unwrap();
                bytes.extend_from_slice(arg);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        self.stream.get_mut().write_all(&bytes).expect("the server reads");
    }

    /// The next reply, or what is wrong with it.
    pub(super) fn reply(&mut self) -> Result<Reply, String> {
        read(&mut self.stream, self.resp3, &mut self.line, 0)
    }
}

/// Replies nest no deeper than a session in a list in a transaction's.
const DEEPEST: usize = 6;

fn read(stream: &mut impl BufRead, resp3: bool, line: &mut Vec<u8>, depth: usize) -> Result<Reply, String> {
    line.clear();
    stream.read_until(b'\n', line).map_err(|error| format!("no reply: {error}"))?;
    let (kind, text) = match line[..] {
        [kind, ref text @ .., b'\r', b'\n'] if !text.contains(&b'\r') => (kind, text),
        [] => return Err("the server has hung up".to_owned()),
        _ => return Err(format!("a line without an end: {}", line.escape_ascii())),
    };
    let wrong = |what: &str| Err(format!("{what}: {}{}", char::from(kind), text.escape_ascii()));
    // In its one spelling.
    let number = std::str::from_utf8(text).ok();
    let number = number.and_then(|text| text.parse().ok().filter(|number: &i64| number.to_string() == text));
    let length = number.and_then(|number| usize::try_from(number).ok());
    if depth > DEEPEST {
        return wrong("too deep");
    }
    match (kind, number, length) {
        (b'-', ..) => Ok(Reply::Error(text.to_vec())),
        (b'+', ..) => Ok(Reply::Text(text.to_vec())),
        (b':', Some(number), _) => Ok(Reply::Int(number)),
        (b'$' | b'*', Some(-1), _) if !resp3 => Ok(Reply::Null),
        (b'_', ..) if resp3 && text.is_empty() => Ok(Reply::Null),
        (b'#', ..) if resp3 && matches!(text, b"t" | b"f") => Ok(Reply::Bool),
        (b'$', _, Some(length)) => {
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes).map_err(|error| format!("a text that ends early: {error}"))?;
            if bytes.split_off(length) == b"\r\n" { Ok(Reply::Text(bytes)) } else { wrong("a text that does not end") }
        }
        (b'*', _, Some(length)) => {
            (0..length).map(|_| read(stream, resp3, line, depth + 1)).collect::<Result<_, _>>().map(Reply::List)
        }
        (b'%', _, Some(length)) if resp3 => {
            let mut pair = || Ok((read(stream, resp3, line, depth + 1)?, read(stream, resp3, line, depth + 1)?));
            (0..length).map(|_| pair()).collect::<Result<_, _>>().map(Reply::Map)
        }
        _ => wrong("no reply of this protocol"),
    }
}

#[test]
fn a_reply_is_what_the_protocol_has_and_nothing_else() {
    let answer =
        |mut bytes: &[u8], resp3| read(&mut bytes, resp3, &mut Vec::new(), 0).map(|reply| (reply, bytes.len()));
    let text = |text: &str| Reply::Text(text.into());
    assert_eq!(answer(b"*2\r\n:-1\r\n$2\r\n\r\n\r\n", false), Ok((Reply::List(vec![Reply::Int(-1), text("\r\n")]), 0)));
    assert_eq!(answer(b"%1\r\n+a\r\n_\r\n+b", true), Ok((Reply::Map(vec![(text("a"), Reply::Null)]), 2)));
    let wrong: [&[u8]; 10] = [
        b"",
        b":1",
        b":1\n",
        b":01\r\n",
        b":+1\r\n",
        b"*2\r\n:1\r\n",
        b"$1\r\nab\r\n",
        b"$-2\r\n",
        b"-ERR a\rb\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    ];
    for bytes in wrong {
        assert!(answer(bytes, false).is_err() && answer(bytes, true).is_err(), "{}", bytes.escape_ascii());
    }
    let of_the_other: [(&[u8], bool); 5] =
        [(b"%0\r\n", false), (b"_\r\n", false), (b"#t\r\n", false), (b"$-1\r\n", true), (b"#x\r\n", true)];
    for (bytes, resp3) in of_the_other {
        assert!(answer(bytes, resp3).is_err(), "{}", bytes.escape_ascii());
    }
}
