//! A TCP forwarder between a client and its server, that can fall silent and lead elsewhere.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

pub struct Forwarder {
    port: u16,
    target: Arc<AtomicU16>,
    /// Whether the connections made since it was put here are silent.
    silent: Arc<Mutex<Arc<AtomicBool>>>,
}

impl Forwarder {
    /// To this port. It ends with the test's process.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let forwarder = Self {
            port: listener.local_addr().unwrap().port(),
            target: Arc::new(AtomicU16::new(port)),
            silent: Arc::default(),
        };
        let (target, silent) = (Arc::clone(&forwarder.target), Arc::clone(&forwarder.silent));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target.load(Ordering::SeqCst))) else { continue };
                let silent = Arc::clone(&silent.lock().unwrap());
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let silent = Arc::clone(&silent);
                    thread::spawn(move || carry(from, to, &silent));
                }
            }
        });
        forwarder
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Swallows from now on what comes over the connections that there are, and closes none of them.
    pub fn silence_connections(&self) {
        let silent = std::mem::take(&mut *self.silent.lock().unwrap());
        silent.store(true, Ordering::SeqCst);
    }

    /// Leads connections that are made from now on to this port.
    pub fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = from.read(&mut buffer).map(|read| {
        let goes_on = silent.load(Ordering::SeqCst) || to.write_all(&buffer[..read]).is_ok();
        if goes_on { read } else { 0 }
    }) {}
    let _ = to.shutdown(Shutdown::Both);
}
