//! While Redis is away, or the service stops.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use redis_session_tests::{ServerBuilder, wait_until};
use serde_json::json;

use crate::client::credentials;
use crate::{PASSWORD, Service, started};

#[test]
fn while_redis_is_away_nobody_is_let_in_and_afterwards_all_is_as_before() {
    let mut redis = ServerBuilder::new().keys(&["one"]).appendonly().start();
    let service = Service::start(&redis, &[]);
    let mut client = service.client();
    client.register("ada");
    client.sign_in("ada");
    // Strangers are told no counts.
    assert_eq!(client.get("/health").expect(200).json(), json!({ "redis": "ok", "module": "ok" }));
    redis.kill();
    assert_eq!(client.get("/me").expect(503).header("retry-after"), "1");
    client.get("/health").expect(503);
    client.other().post("/login", &credentials("ada", PASSWORD)).expect(503);
    client.post("/logout", &().into()).expect(503);
    assert!(client.cookie.is_some(), "who could not be signed out keeps the cookie");
    let page = client.get("/").expect(503);
    assert!(page.header("content-type").starts_with("text/html") && page.body.contains("try again"), "{}", page.body);
    redis.start_again();
    wait_until("the service is well again", || client.get("/health").status == 200);
    client.get("/me").expect(200);
}

#[test]
fn a_redis_without_the_module_is_not_healthy() {
    let redis = ServerBuilder::new().without_module().start();
    let service = Service::start(&redis, &[]);
    assert_eq!(service.client().get("/health").expect(503).json()["module"], "missing");
}

#[test]
fn what_is_under_way_is_finished_before_the_service_stops() {
    let (_redis, service) = started();
    service.client().register("ada");
    let body = credentials("ada", PASSWORD).to_string();
    let mut connection = TcpStream::connect(service.url.strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         expect: 100-continue\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    // Now the handler waits for the body.
    let mut interim = [0; 25];
    connection.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    service.signal_to_stop();
    wait_until("it has begun to stop", || service.log().contains("stopping"));
    connection.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    wait_until("it has stopped", || !service.lines("stopped").is_empty());
    assert!(TcpStream::connect(service.url.strip_prefix("http://").unwrap()).is_err());
}
