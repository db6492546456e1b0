//! The server itself deletes keys whose time is up. It goes by its own clock, which no test moves, so here tests wait.

use redis_session_tests::{Server, create, int, now_ms, wait_until};

use crate::steps::set;

#[test]
fn the_key_goes_with_its_last_session() {
    let server = Server::start();
    let mut con = server.connection();
    // The sweep would delete it too.
    set(&mut con, "session.sweep-time 0");
    create(&mut con, "sessions:42 TTL 1 TOKEN OPAQUE");
    let last = create(&mut con, "sessions:42 TTL 1 TOKEN OPAQUE").int("expires_at");
    wait_until("the server deletes the key", || int(&mut con, "EXISTS sessions:42") == 0);
    assert!(now_ms(&mut con) >= last);
}
