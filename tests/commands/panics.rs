//! A bug in a handler costs one error reply, not the server.

use redis_session_tests::{Server, cmd, error, fields};

const COMMANDS: [&str; 17] = [
    "SESSION.CREATE sessions:42",
    "SESSION.VALIDATE sessions:42",
    "SESSION.TOUCH sessions:42",
    "SESSION.REFRESH sessions:42",
    "SESSION.REGENERATE sessions:42",
    "SESSION.GET sessions:42",
    "SESSION.LIST",
    "SESSION.COUNT",
    "SESSION.TTL sessions:42",
    "SESSION.SET sessions:42 id field",
    "SESSION.INCRBY sessions:42 id field",
    "SESSION.UNSET sessions:42 id",
    "SESSION.REVOKE sessions:42",
    "SESSION.REVOKEUSER sessions:42",
    "SESSION.DENY sessions:42 id UNTIL",
    "SESSION.REVOKEALL",
    "SESSION.APPLY sessions:42",
];

#[test]
fn a_command_that_panics_is_answered_and_the_server_goes_on() {
    let mut server = Server::start();
    let mut con = server.connection();
    for command in COMMANDS {
        let token = fields(cmd(&mut con, "SESSION.CREATE sessions:7").unwrap()).str("token");
        assert_eq!(error(&mut con, &format!("{command} INJECT-PANIC")), "ERR internal error, see the server's log");
        let name = command.split(' ').next().unwrap();
        assert!(server.log_contains(&format!("a bug: {name} panicked")), "{}", server.log());
        // The panic held the state that all commands share.
        let check = fields(cmd(&mut con, &format!("SESSION.VALIDATE sessions:7 {token}")).unwrap());
        assert!(check.bool("active"), "{command}");
    }
    assert!(server.is_running());
    assert!(server.log_contains("session: panic at "));
    assert!(!server.log_contains("injected"), "what a panic says may be what a client sent");
}
