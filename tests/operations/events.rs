//! Keyspace events, as docs/operations.md has them.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use redis::Connection;
use redis_session_tests::{Server, cmd, cmd_args, create, text, wait_until};

use crate::commands::user;

/// The events that are told by name while `change` runs, and of which keys.
fn told(server: &Server, mut listener: Connection, change: impl FnOnce(&mut Connection)) -> Vec<String> {
    let mut con = server.connection();
    cmd(&mut con, "CONFIG SET notify-keyspace-events Ed").unwrap();
    listener.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut listener = listener.as_pubsub();
    listener.psubscribe("__keyevent@*__:session.*").unwrap();
    change(&mut con);
    create(&mut con, "sessions:end");
    let mut told = Vec::new();
    loop {
        let message = listener.get_message().unwrap();
        let (event, key) = (message.get_channel_name().to_owned(), message.get_payload::<String>().unwrap());
        if key == "sessions:end" {
            return told;
        }
        told.push(format!("{} {key}", event.trim_start_matches("__keyevent@0__:")));
    }
}

/// All that the documentation lists but `session.touch`, whose turn is when a use is replicated.
#[test]
fn each_event_is_told_with_the_users_key() {
    let server =
        Server::builder().config("session.sweep-time 0\nsession.refresh-grace 0\nsession.key-form any").start();
    let told = told(&server, server.connection(), |con| {
        create(con, "sessions:42 ID one");
        create(con, "sessions:42 ID two MAX 1");
        cmd(con, "SESSION.SET sessions:42 two theme dark").unwrap();
        cmd(con, "SESSION.UNSET sessions:42 two theme").unwrap();
        cmd(con, "SESSION.REGENERATE sessions:42 two").unwrap();
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        let token = create(con, "sessions:{43} REFRESH 600").str("refresh_token");
        for _ in 0..2 {
            cmd_args(con, ["SESSION.REFRESH", "sessions:{43}", &token]).unwrap();
        }
        create(con, "sessions:44 ID old TTL 1800");
        create(con, "sessions:44 ID new");
        server.advance(Duration::from_secs(1800));
        cmd(con, "SESSION.REVOKE sessions:44 new").unwrap();
    });
    let expected = [
        "session.create sessions:42",
        "session.evict sessions:42",
        "session.create sessions:42",
        "session.set sessions:42",
        "session.unset sessions:42",
        "session.regenerate sessions:42",
        "session.revokeuser sessions:42",
        "session.create sessions:{43}",
        "session.refresh sessions:{43}",
        "session.reuse sessions:{43}",
        "session.create sessions:44",
        "session.create sessions:44",
        "session.expire sessions:44",
        "session.revoke sessions:44",
    ];
    assert_eq!(told, expected);
}

#[test]
fn who_may_use_this_very_pattern_may_listen_and_needs_no_key() {
    let server = Server::start();
    let listener = user(&server, "listener", "resetkeys resetchannels &__keyevent@*__:session.* -@all +psubscribe");
    let told = told(&server, listener, |con| drop(create(con, "sessions:42")));
    assert_eq!(told, ["session.create sessions:42"]);
}

#[test]
fn redis_cli_prints_events_as_the_page_says() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap();
    let start = "$ redis-cli PSUBSCRIBE '__keyevent@*__:session.*'\n";
    let (_, shown) = page.split_once(start).expect("the command in the page");
    let (shown, _) = shown.split_once("```").unwrap();

    let server = Server::start();
    let mut con = server.connection();
    cmd(&mut con, "CONFIG SET notify-keyspace-events Ed").unwrap();
    let path = server.dir().join("printed");
    let mut cli = server.cli_command(&["PSUBSCRIBE", "__keyevent@*__:session.*"]);
    // As on a terminal.
    cli.env("FAKETTY", "1").stdout(File::create(&path).unwrap()).stdin(Stdio::null());
    let mut cli = cli.spawn().unwrap();
    wait_until("redis-cli listens", || text(&cmd(&mut con, "PUBSUB NUMPAT").unwrap()) == "1");
    create(&mut con, "sessions:42");
    let printed = || fs::read_to_string(&path).unwrap();
    // Some versions say first how to leave.
    wait_until("redis-cli prints the event", || printed().contains("\"sessions:42\""));
    let _ = cli.kill();
    let _ = cli.wait();
    let printed: Vec<_> =
        printed().lines().filter(|line| !line.starts_with("Reading messages")).map(str::to_owned).collect();
    assert_eq!(printed, shown.lines().collect::<Vec<_>>());
}
