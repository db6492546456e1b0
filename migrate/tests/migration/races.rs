//! Logouts in the old layout while sessions are being moved.

use redis_session_tests::{Server, cmd, wait_until};

use crate::between::Between;
use crate::old::{HOUR, del, ids, jwt, login, moved, set};
use crate::program::Migration;

/// Moves the session `old` of user 42, with this done when it has been read and is about to begin.
fn moved_while(server: &Server, during: impl FnOnce(&mut redis::Connection) + Send + 'static) -> Migration {
    let mut con = server.connection();
    login(&mut con, "bystander", r#"{"uid":"43"}"#, HOUR);
    let between = Between::at(server, 1, "SESSION.CREATE", move || during(&mut con));
    let migration = Migration::between(server.url(), between.url());
    let run = migration.apply("");
    assert!(run.stdout.contains("logged_out: it was logged out while it was moved"), "{run:?}");
    assert!(moved(server, "43", "bystander").is_some());
    migration
}

#[test]
fn a_logout_that_deletes_the_key_wins() {
    let server = Server::start();
    login(&mut server.connection(), "old", r#"{"uid":"42"}"#, HOUR);
    let migration = moved_while(&server, |con| del(con, "session:old"));
    assert_eq!(ids(&server, "42"), Vec::<String>::new());
    assert_eq!(migration.reason("report.jsonl", "old").as_deref(), Some("logged_out"));
}

#[test]
fn a_logout_that_writes_the_blacklist_wins() {
    let server = Server::start();
    login(&mut server.connection(), "old", r#"{"uid":"42"}"#, HOUR);
    moved_while(&server, |con| set(con, "blacklist:old", "1"));
    assert_eq!(ids(&server, "42"), Vec::<String>::new());
}

#[test]
fn a_logout_of_the_user_wins() {
    let server = Server::start();
    login(&mut server.connection(), "old", r#"{"uid":"42","iat":1795600800}"#, HOUR);
    moved_while(&server, |con| set(con, "user_blacklist:42", "1795600900"));
    assert_eq!(ids(&server, "42"), Vec::<String>::new());
}

#[test]
fn a_logout_of_a_jwt_wins() {
    let server = Server::builder().keys(&["one"]).start();
    let issuer = Server::builder().keys(&["one"]).start();
    let token = jwt(&issuer, "42", "");
    login(&mut server.connection(), &token, "{}", HOUR);
    let key = format!("session:{token}");
    moved_while(&server, move |con| del(con, &key));
    assert_eq!(ids(&server, "42"), Vec::<String>::new());
}

#[test]
fn a_logout_in_both_layouts_wins_at_any_moment() {
    // The old key first, then the session. Here after the second look has gone through.
    let server = Server::start();
    let mut con = server.connection();
    login(&mut con, "old", r#"{"uid":"42"}"#, HOUR);
    let migration = Migration::on(&server);
    migration.apply("");
    del(&mut con, "session:old");
    cmd(&mut con, &format!("SESSION.REVOKE sessions:42 {}", crate::old::id_of("old"))).unwrap();
    migration.apply("");
    assert_eq!(ids(&server, "42"), Vec::<String>::new());
    // And the key comes back, as connect-redis's does when a request ends after the logout.
    login(&mut con, "old", r#"{"uid":"42"}"#, HOUR);
    migration.apply("");
    assert_eq!(ids(&server, "42"), Vec::<String>::new());
}

#[test]
fn a_key_that_expires_while_it_is_read_is_no_problem() {
    let server = Server::start();
    let mut con = server.connection();
    login(&mut con, "old", r#"{"uid":"42"}"#, HOUR);
    let mut other = server.connection();
    let between = Between::at(&server, 1, "PTTL", move || del(&mut other, "session:old"));
    let migration = Migration::between(between.url(), server.url());
    migration.apply("");
    assert_eq!(migration.count("/sessions/expired"), 1);
}

#[test]
fn a_key_that_has_changed_since_it_was_read_is_not_deleted() {
    let server = Server::start();
    let mut con = server.connection();
    login(&mut con, "old", r#"{"uid":"42"}"#, HOUR);
    login(&mut con, "other", r#"{"uid":"42"}"#, HOUR);
    let between =
        Between::at(&server, 1, "SESSION.CREATE", move || login(&mut con, "old", r#"{"uid":"42","cart":1}"#, HOUR));
    Migration::between(server.url(), between.url()).apply("--delete-moved");
    assert_eq!(crate::old::ask(&server, "EXISTS session:old"), "1");
    assert_eq!(crate::old::ask(&server, "EXISTS session:other"), "0");
}

#[test]
fn a_logout_while_the_program_was_killed_wins() {
    let server = Server::start();
    let mut con = server.connection();
    for n in 0..10 {
        login(&mut con, &format!("token{n}"), r#"{"uid":"42"}"#, HOUR);
    }
    // Killed with the begin of all ten on its way: nobody has looked at the old keys a second time.
    let (tell, told) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel();
    let between = Between::at(&server, 1, "SESSION.CREATE", move || {
        tell.send(()).unwrap();
        gone.recv().unwrap();
    });
    let mut migration = Migration::between(server.url(), between.url());
    let mut child = migration.start("--apply");
    told.recv().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    go.send(()).unwrap();
    wait_until("what was sent is done", || ids(&server, "42").len() == 10);
    del(&mut con, "session:token3");

    // By another name it would be another migration.
    migration.through(server.url(), between.url());
    migration.apply("");
    assert_eq!(ids(&server, "42").len(), 9);
    assert!(moved(&server, "42", "token3").is_none());
}
