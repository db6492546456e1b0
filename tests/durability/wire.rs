//! The commands in append-only files and replication streams.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use redis_session_tests::{Server, cmd};

/// One command: its name in upper case, and its other arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub name: String,
    pub args: Vec<Vec<u8>>,
}

/// What the append-only file holds beyond its base, byte by byte.
pub fn append_only_file(server: &Server) -> Vec<u8> {
    let mut parts: Vec<_> = fs::read_dir(server.dir().join("appendonlydir"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".incr.aof"))
        .collect();
    parts.sort();
    parts.iter().flat_map(|part| fs::read(part).unwrap()).collect()
}

/// The commands in the bytes of an append-only file or of a replication stream, but no PING: servers send it to replicas
/// now and then, and Valkey 9.1 right behind the snapshot.
#[track_caller]
pub fn commands(mut bytes: &[u8]) -> Vec<Written> {
    let mut commands = Vec::new();
    while !bytes.is_empty() {
        let count = number(&mut bytes, b'*');
        let mut args = (0..count).map(|_| {
            let length = number(&mut bytes, b'$');
            let (arg, rest) = bytes.split_at(length);
            bytes = rest.strip_prefix(b"\r\n").expect("the end of an argument");
            arg.to_vec()
        });
        let name = String::from_utf8(args.next().expect("a command")).unwrap().to_uppercase();
        let args = args.collect();
        if name != "PING" {
            commands.push(Written { name, args });
        }
    }
    commands
}

#[track_caller]
fn number(bytes: &mut &[u8], kind: u8) -> usize {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("a whole line");
    let (line, rest) = bytes.split_at(end);
    *bytes = &rest[2..];
    assert_eq!(line[0], kind, "{:?}", String::from_utf8_lossy(line));
    std::str::from_utf8(&line[1..]).unwrap().parse().unwrap()
}

/// The names of commands, in order.
pub fn names(commands: &[Written]) -> Vec<&str> {
    commands.iter().map(|written| written.name.as_str()).collect()
}

/// What a replica would receive from now on.
pub struct Stream(BufReader<TcpStream>);

impl Stream {
    /// Attaches to a server as its replicas do, past the full synchronisation.
    pub fn of(server: &Server) -> Self {
        let mut socket = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        socket.write_all(b"SYNC\r\n").unwrap();
        let mut reader = BufReader::new(socket);
        let mut line = String::new();
        // Empty lines come while the snapshot is being made.
        while line.trim().is_empty() {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "the server has hung up");
        }
        let length: usize = line.trim().strip_prefix('$').expect("a snapshot").parse().expect("its length");
        reader.read_exact(&mut vec![0; length]).unwrap();
        Self(reader)
    }

    /// Everything that the server has sent until now, byte by byte.
    pub fn bytes(mut self, server: &Server) -> Vec<u8> {
        const END: &str = "the-end-of-the-stream";
        cmd(&mut server.connection(), &format!("PUBLISH {END} {END}")).unwrap();
        let mut bytes = Vec::new();
        let last = format!("*3\r\n$7\r\nPUBLISH\r\n$21\r\n{END}\r\n$21\r\n{END}\r\n");
        while !bytes.ends_with(last.as_bytes()) {
            let more = self.0.fill_buf().unwrap();
            assert!(!more.is_empty(), "the server has hung up");
            let length = more.len();
            bytes.extend_from_slice(more);
            self.0.consume(length);
        }
        bytes.truncate(bytes.len() - last.len());
        bytes
    }
}
