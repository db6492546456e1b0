//! The server itself deletes keys whose time is up. It goes by its own clock, which no test moves, so here tests wait.

use redis_session_tests::{Server, cmd, create, int, login, on_both, verdict, wait_until};

#[test]
fn the_key_is_gone_once_its_only_session_is_over() {
    let server = Server::start();
    let mut con = server.connection();
    // The sweep would delete it too.
    cmd(&mut con, "CONFIG SET session.sweep-time 0").unwrap();
    create(&mut con, "sessions:42 TTL 1 TOKEN OPAQUE");
    wait_until("the server deletes the key", || int(&mut con, "EXISTS sessions:42") == 0);
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 0);
}

#[test]
fn a_key_that_is_made_to_expire_earlier_takes_its_sessions_along() {
    on_both(|_, con| {
        let token = login(con, "sessions:42");
        assert_eq!(int(con, "PEXPIRE sessions:42 20"), 1);
        wait_until("the server deletes the key", || verdict(con, "sessions:42", &token) != "active");
        assert_eq!(verdict(con, "sessions:42", &token), "unknown");
        let token = login(con, "sessions:42");
        assert_eq!(verdict(con, "sessions:42", &token), "active");
    });
}
