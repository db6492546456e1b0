//! The service as others see it: over HTTP, with a Redis server of its own.

// A panic is how a test reports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

mod accounts;
mod admins;
mod authenticator;
mod browser;
mod client;
mod connections;
mod devices;
mod history;
mod keys;
mod limits;
mod outages;
mod pages;
mod process;
mod proxies;
mod requests;
mod revocations;
mod secrets;
mod tokens;

use redis_session_tests::{Fields, Server, cmd, fields};
use serde_json::Value;

use client::{Client, PASSWORD};
use process::Service;

/// A service, its Redis, and a client that is signed in as `ada`.
fn signed_in() -> (Server, Service, Client) {
    let (redis, service) = started();
    let mut client = service.client();
    client.register("ada");
    client.sign_in("ada");
    (redis, service, client)
}

fn started() -> (Server, Service) {
    let redis = Server::start();
    let service = Service::start(&redis, &[]);
    (redis, service)
}

/// What Redis has of a session; `user` is the account's id.
fn in_redis(redis: &Server, user: &str, id: &str) -> Option<Fields> {
    match cmd(&mut redis.connection(), &format!("SESSION.GET sessions:{user} {id}")).unwrap() {
        redis::Value::Nil => None,
        session => Some(fields(session)),
    }
}

/// Milliseconds that a session has left.
fn ttl(redis: &Server, user: &str, id: &str) -> i64 {
    redis::from_redis_value(cmd(&mut redis.connection(), &format!("SESSION.TTL sessions:{user} {id}")).unwrap())
        .unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("text was expected: {value}"))
}
