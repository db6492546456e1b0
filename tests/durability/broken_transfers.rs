//! Snapshots that break off on their way to a replica, and snapshots that are damaged.
//!
//! `REDIS_TEST_ROUNDS` says how many damages are tried; breaks are tried at every byte.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use redis_session_tests::{Server, ServerBuilder, amount, cmd, create, int, wait_until};

use crate::chance::Random;
use crate::payloads::{dump, small_user, value_of};
use crate::users::{listed, server, stored, users_in_every_state};

/// What stands at the end of a snapshot whose length is not told.
const END: &str = "0123456789abcdef0123456789abcdef01234567";

/// A snapshot without checksum, compression or anything but sessions, and where the value of one user is in it.
fn snapshot() -> (Vec<u8>, std::ops::Range<usize>) {
    let mut server = plain().start();
    let mut con = server.connection();
    small_user(&mut con);
    create(&mut con, "sessions:another AGENT phone DEVICE key REFRESH 600");
    let payload = dump(&mut con, "sessions:42");
    // Behind the type and the module's number.
    let value = &value_of(&payload)[10..];
    server.shutdown("SAVE");
    let file = fs::read(server.dir().join("dump.rdb")).unwrap();
    server.start_again();
    let start = file.windows(value.len()).position(|bytes| bytes == value).expect("the value in the snapshot");
    (file, start..start + value.len())
}

fn plain() -> ServerBuilder {
    server().config("rdbcompression no\nrdbchecksum no\nsave \"\"")
}

/// Something that replicas take for their primary, and that sends them what it likes.
struct Source {
    listener: TcpListener,
    /// The history that the replica is part of, so that it answers from what it has while it loads.
    history: String,
}

impl Source {
    fn of(replica: &Server) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let history = replica.info("replication", "master_replid");
        let port = listener.local_addr().unwrap().port();
        cmd(&mut replica.connection(), &format!("REPLICAOF 127.0.0.1 {port}")).unwrap();
        Self { listener, history }
    }

    /// Waits for the replica, which comes again at once when a transfer has failed, and answers until it asks for data.
    fn accept(&self) -> TcpStream {
        loop {
            let mut socket = None;
            wait_until("the replica connects", || {
                socket = self.listener.accept().ok();
                socket.is_some()
            });
            let (socket, _) = socket.unwrap();
            socket.set_nonblocking(false).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            if greet(&socket).is_some() {
                return socket;
            }
        }
    }

    /// Sends a snapshot, or what there is of it, and hangs up. True if the replica has taken it.
    fn send(&self, bytes: &[u8]) -> bool {
        let mut socket = self.accept();
        // It may have seen enough before the end.
        let _ = write!(socket, "+FULLRESYNC {} 1\r\n$EOF:{END}\r\n", self.history);
        let _ = socket.write_all(bytes);
        let _ = socket.shutdown(Shutdown::Write);
        // What it has taken, it acknowledges.
        socket.read(&mut [0; 1]).is_ok_and(|length| length > 0)
    }
}

/// Answers what a replica asks first. None if it hangs up.
fn greet(mut socket: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(socket);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0).map(|_| line.trim().to_owned())
    };
    loop {
        let count: usize = line()?.strip_prefix('*')?.parse().ok()?;
        let args: Vec<_> = (0..count).map(|_| line().and_then(|_| line())).collect::<Option<_>>()?;
        match &args[0][..] {
            "PING" => socket.write_all(b"+PONG\r\n").ok()?,
            "REPLCONF" => socket.write_all(b"+OK\r\n").ok()?,
            "PSYNC" => return Some(()),
            other => panic!("{other}"),
        }
    }
}

/// A server with users of its own, which takes in snapshots as they come over the wire.
fn replica() -> Server {
    let replica = plain().config("repl-diskless-load swapdb\nrepl-timeout 3600").start();
    users_in_every_state(&mut replica.connection());
    replica
}

#[test]
fn a_transfer_that_breaks_off_anywhere_leaves_a_replica_as_it_was() {
    let (snapshot, _) = snapshot();
    let replica = replica();
    let (stored_before, digest) = (stored(&replica), replica.digest_of_all());
    let source = Source::of(&replica);
    for length in 0..snapshot.len() {
        assert!(!source.send(&snapshot[..length]), "{length} of {} bytes", snapshot.len());
        assert_eq!(replica.digest_of_all(), digest, "{length} of {} bytes", snapshot.len());
    }
    assert_eq!(stored(&replica), stored_before);
    assert!(source.send(&[&snapshot[..], END.as_bytes()].concat()), "{}", replica.log());
    let mut con = replica.connection();
    assert_eq!(int(&mut con, "DBSIZE"), 2);
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 2);
}

#[test]
fn a_file_with_a_damaged_value_is_refused_or_gives_a_value_that_works() {
    let mut random = Random::of_this_run();
    let (snapshot, value) = snapshot();
    for _ in 0..amount("REDIS_TEST_ROUNDS", 10) {
        let mut damaged = snapshot.clone();
        let at = value.start + random.below(value.len());
        damaged[at] ^= 1 << random.below(8);
        match plain().file("dump.rdb", damaged).try_start() {
            Ok(server) => {
                listed(&server);
                cmd(&mut server.connection(), "DEBUG RELOAD").unwrap();
            }
            // A damaged length makes the server read the rest as other keys, and it stops by a report of its own where two
            // of them are the same.
            Err(log) if log.contains("Duplicated key found in RDB file") => {}
            // It says what is wrong and ends: that is no crash.
            Err(log) => {
                assert!(log.contains("did not start: exit status") && !log.contains("BUG REPORT"), "byte {at}: {log}");
            }
        }
    }
}
