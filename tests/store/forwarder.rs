//! A TCP forwarder between a client and its server, that can fall silent, cut replies and lead elsewhere.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

pub struct Forwarder {
    port: u16,
    target: Arc<AtomicU16>,
    /// Whether the connections made since it was put here are silent.
    silent: Arc<Mutex<Arc<AtomicBool>>>,
    /// How many bytes of what the server says next are let through.
    let_through: Arc<AtomicUsize>,
}

impl Forwarder {
    /// To this port. It ends with the test's process.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let forwarder = Self {
            port: listener.local_addr().unwrap().port(),
            target: Arc::new(AtomicU16::new(port)),
            silent: Arc::default(),
            let_through: Arc::new(AtomicUsize::new(usize::MAX)),
        };
        let (target, silent) = (Arc::clone(&forwarder.target), Arc::clone(&forwarder.silent));
        let let_through = Arc::clone(&forwarder.let_through);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target.load(Ordering::SeqCst))) else { continue };
                let silent = Arc::clone(&silent.lock().unwrap());
                let all = Arc::new(AtomicUsize::new(usize::MAX));
                for (from, to, let_through) in [(&client, &server, &all), (&server, &client, &let_through)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (silent, let_through) = (Arc::clone(&silent), Arc::clone(let_through));
                    thread::spawn(move || carry(from, to, &silent, &let_through));
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

    /// Lets so many bytes of each piece that the server says through from now on, and closes the connection if that is not
    /// all.
    pub fn cut_replies_to(&self, bytes: usize) {
        self.let_through.store(bytes, Ordering::SeqCst);
    }

    /// Leads connections that are made from now on to this port.
    pub fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool, let_through: &AtomicUsize) {
    let mut buffer = [0; 4096];
    while let Ok(1..) = from.read(&mut buffer).map(|read| {
        let some = read.min(let_through.load(Ordering::SeqCst));
        let goes_on = silent.load(Ordering::SeqCst) || (to.write_all(&buffer[..some]).is_ok() && some == read);
        if goes_on { read } else { 0 }
    }) {}
    let _ = to.shutdown(Shutdown::Both);
}
