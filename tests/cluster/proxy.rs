//! Something between a client and a node that loses an answer.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes everything on in both directions, but for the answers that it is told to lose.
pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    doomed: Mutex<Option<String>>,
    lost: AtomicUsize,
}

impl Proxy {
    /// Starts it in front of a server. It lasts as long as the test's process.
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let own_port = listener.local_addr().expect("its port").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A server that is gone: so is the client's connection.
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                pass(client, server, &shared);
            }
        });
        Self { port: own_port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next command with this name is done, but its connection breaks before the answer arrives.
    pub fn lose_answer_to(&self, command: &str) {
        *self.state.doomed.lock().unwrap() = Some(command.to_owned());
    }

    /// How many answers were lost so far.
    pub fn lost(&self) -> usize {
        self.state.lost.load(Ordering::SeqCst)
    }
}

fn pass(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    let clone = |stream: &TcpStream| stream.try_clone().expect("the stream twice");
    let (mut client_reader, mut server_writer) = (clone(&client), clone(&server));
    let (mut server_reader, mut client_writer) = (server, client);
    let (requests, answers) = (Arc::clone(state), Arc::clone(state));
    // Set before the request is passed on, so it is always set when the answer comes.
    let is_next_lost = Arc::new(AtomicBool::new(false));
    let lose_next = Arc::clone(&is_next_lost);
    thread::spawn(move || {
        let mut buffer = [0; 16384];
        while let Ok(length @ 1..) = client_reader.read(&mut buffer) {
            let mut doomed = requests.doomed.lock().unwrap();
            let request = String::from_utf8_lossy(&buffer[..length]);
            if doomed.as_ref().is_some_and(|command| request.contains(&format!("\r\n{command}\r\n"))) {
                *doomed = None;
                lose_next.store(true, Ordering::SeqCst);
            }
            drop(doomed);
            if server_writer.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = server_writer.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let mut buffer = [0; 16384];
        while let Ok(length @ 1..) = server_reader.read(&mut buffer) {
            if is_next_lost.load(Ordering::SeqCst) {
                answers.lost.fetch_add(1, Ordering::SeqCst);
                break;
            }
            if client_writer.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = client_writer.shutdown(Shutdown::Both);
        let _ = server_reader.shutdown(Shutdown::Both);
    });
}
