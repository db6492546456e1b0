//! Clients that open connections and say nothing, or half of what they have to say.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis_session_tests::Server;

use crate::Service;

fn connect(service: &Service) -> TcpStream {
    TcpStream::connect(service.url.strip_prefix("http://").unwrap()).unwrap()
}

/// What comes until the service hangs up.
fn rest(mut connection: TcpStream) -> String {
    connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut told = Vec::new();
    match connection.read_to_end(&mut told) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => _ = read.expect("the service hangs up"),
    }
    String::from_utf8(told).unwrap()
}

#[test]
fn half_a_request_is_cut() {
    let redis = Server::start();
    let service = Service::start(&redis, &[("HEADER_TIMEOUT", "1"), ("BODY_TIMEOUT", "1")]);
    let silent = connect(&service);
    let mut half_a_head = connect(&service);
    half_a_head.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n").unwrap();
    let mut half_a_body = connect(&service);
    let head = "POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    half_a_body.write_all(head.as_bytes()).unwrap();
    rest(silent);
    assert!(!rest(half_a_head).contains("200 OK"));
    assert!(rest(half_a_body).starts_with("HTTP/1.1 4"), "refused");
    service.client().get("/health").expect(200);
}

/// 550 connections, every second of which sends half a request, in a process of their own: this one may not have so many
/// files open. They stay open until it is dropped.
struct Idle(Child);

impl Idle {
    fn at(service: &Service) -> Self {
        let port = service.url.rsplit(':').next().unwrap();
        let script = format!(
            "for i in {{1..550}}; do exec {{fd}}<>/dev/tcp/127.0.0.1/{port} || exit; \
             ((i % 2)) && printf 'GET /health HTTP/1.1\\r\\nho' >&$fd; done; echo open; read"
        );
        let mut bash = Command::new("bash");
        let mut child = bash.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut told = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut told).unwrap();
        assert_eq!(told, "open\n");
        Self(child)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn idle_connections_do_not_keep_others_out() {
    let redis = Server::start();
    let service = Service::start(&redis, &[("HEADER_TIMEOUT", "3600")]);
    let _idle = [Idle::at(&service), Idle::at(&service)];
    service.client().get("/health").expect(200);
}

/// A request to sign in whose last byte does not come. Its handler waits for it.
fn half_a_sign_in(service: &Service) -> TcpStream {
    let body = crate::client::credentials("ada", crate::PASSWORD).to_string();
    let mut connection = connect(service);
    let head = "POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n";
    connection.write_all(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
    let mut interim = [0; 25];
    connection.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(&body.as_bytes()[1..]).unwrap();
    connection
}

#[test]
fn requests_whose_bodies_do_not_come_make_room() {
    let redis = Server::start();
    let service = Service::start(&redis, &[("CONNECTIONS", "2"), ("BODY_TIMEOUT", "3600")]);
    let [oldest, other] = [(); 2].map(|()| half_a_sign_in(&service));
    service.client().get("/health").expect(200);
    assert_eq!(rest(oldest), "", "closed without an answer");
    drop(other);
}
