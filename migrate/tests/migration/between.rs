//! A connection's middle: what a program sends passes through the hands of the test.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use redis_session_tests::Server;

/// Something in front of a server that sees all that is sent there.
pub(crate) struct Between {
    port: u16,
}

impl Between {
    /// `before` is called with what was sent, before the server gets it.
    pub(crate) fn start(server: &Server, before: impl FnMut(&[u8]) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, to) = (listener.local_addr().unwrap().port(), server.port());
        let before = Arc::new(Mutex::new(before));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (before, server) = (Arc::clone(&before), TcpStream::connect(("127.0.0.1", to)).unwrap());
                let (mut replies, mut answered) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || pass(client, server, |sent| (before.lock().unwrap())(sent)));
                thread::spawn(move || {
                    let _ = std::io::copy(&mut replies, &mut answered);
                    let _ = answered.shutdown(Shutdown::Both);
                });
            }
        });
        Self { port }
    }

    /// Calls `then` once, when the command is sent for the `n`th time, and before the server gets it.
    pub(crate) fn at(server: &Server, n: usize, command: &'static str, then: impl FnOnce() + Send + 'static) -> Self {
        let (mut then, mut left) = (Some(then), n);
        Self::start(server, move |sent| {
            let is_it = sent.windows(command.len()).any(|part| part == command.as_bytes());
            left = left.saturating_sub(usize::from(is_it));
            if left == 0
                && let Some(then) = then.take()
            {
                then();
            }
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut before: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => {
                before(&buffer[..read]);
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
        }
    }
    // The server carries out a command although its client is gone.
    let _ = to.shutdown(Shutdown::Write);
}
