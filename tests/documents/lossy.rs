//! A connection that loses replies: what stands between a client and its server, and fails.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// What becomes of the reply to a login.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// The connection breaks in its place, as often as the number says. Then replies come through.
    Breaks(usize),
    /// Nothing comes any more, and the connection stays.
    Silence,
}

/// A way to the server on `port` that loses the replies to `SESSION.CREATE`; the command itself arrives. Its own port
/// is the answer. It works as long as the test does.
pub(crate) fn lossy(port: u16, loss: Loss) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let own = listener.local_addr().expect("its number").port();
    let lost = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { continue };
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server");
            // Whether a login was sent whose reply has not come yet.
            let login = Arc::new(AtomicBool::new(false));
            let (to_client, from_server) =
                (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            let (sent, lost) = (Arc::clone(&login), Arc::clone(&lost));
            thread::spawn(move || {
                relay(client, server, |bytes| {
                    if bytes.windows(14).any(|word| word == b"SESSION.CREATE") {
                        login.store(true, Ordering::SeqCst);
                    }
                    true
                });
            });
            thread::spawn(move || {
                relay(from_server, to_client, |_| match loss {
                    Loss::Breaks(times) => {
                        !sent.swap(false, Ordering::SeqCst) || lost.fetch_add(1, Ordering::SeqCst) >= times
                    }
                    Loss::Silence => {
                        while sent.load(Ordering::SeqCst) {
                            thread::park();
                        }
                        true
                    }
                });
            });
        }
    });
    own
}

/// Passes on what comes, as long as `may_pass` says so; then the connection ends on both sides.
fn relay(mut from: TcpStream, mut to: TcpStream, may_pass: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 65_536];
    while let Ok(length) = from.read(&mut buffer) {
        let bytes = &buffer[..length];
        if length == 0 || !may_pass(bytes) || to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
