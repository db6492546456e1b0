//! Who is told of a change: WATCH, and keyspace notifications.

use std::time::Duration;

use redis::{Connection, Value};
use redis_session_tests::{Server, advance_to, cmd, create, int, login, on_both, verdict, wait_until};

/// Whether a transaction that watched user 42's key survives what `change` does on another connection.
fn survives(server: &Server, con: &mut Connection, change: impl FnOnce(&mut Connection)) -> bool {
    cmd(con, "WATCH sessions:42").unwrap();
    change(&mut server.connection());
    cmd(con, "MULTI").unwrap();
    cmd(con, "SET done yes").unwrap();
    cmd(con, "EXEC").unwrap() != Value::Nil
}

#[test]
fn reading_does_not_disturb_who_watches() {
    on_both(|server, con| {
        let token = login(con, "sessions:42 ID one");
        for line in [
            format!("SESSION.VALIDATE sessions:42 {token}"),
            format!("SESSION.VALIDATE sessions:42 {token} FULL IP ::1"),
            format!("SESSION.TOUCH sessions:42 {token}"),
            "SESSION.VALIDATE sessions:42 nonsense".into(),
            "SESSION.GET sessions:42 one".into(),
            "SESSION.LIST sessions:42".into(),
            "SESSION.COUNT sessions:42".into(),
            "SESSION.TTL sessions:42 one".into(),
            "SESSION.REVOKE sessions:42 nobody".into(),
            "SESSION.CREATE sessions:43".into(),
        ] {
            assert!(survives(server, con, |other| drop(cmd(other, &line).unwrap())), "{line}");
        }
        let refused = |other: &mut Connection| drop(cmd(other, "SESSION.CREATE sessions:42 ID one").unwrap_err());
        assert!(survives(server, con, refused));
    });
}

#[test]
fn a_change_of_who_is_logged_in_aborts_the_transaction_of_who_watches() {
    on_both(|server, con| {
        for line in [
            "SESSION.CREATE sessions:42 ID one",
            "SESSION.CREATE sessions:42 ID two MAX 1",
            "SESSION.REVOKE sessions:42 two",
            "SESSION.REVOKEUSER sessions:42",
        ] {
            assert!(!survives(server, con, |other| drop(cmd(other, line).unwrap())), "{line}");
        }
        assert_eq!(int(con, "EXISTS done"), 0);
    });
}

#[test]
fn a_session_that_expires_meanwhile_is_dead_inside_a_transaction() {
    on_both(|_, con| {
        create(con, "sessions:42");
        let created = create(con, "sessions:42 TTL 1800 TOKEN OPAQUE");
        let token = created.str("token");
        advance_to(con, created.int("expires_at"));
        let (answers,): (Vec<Value>,) =
            redis::pipe().atomic().cmd("SESSION.TOUCH").arg("sessions:42").arg(&token).query(con).unwrap();
        assert!(format!("{answers:?}").contains("reason"));
    });
}

#[test]
fn commands_work_in_a_transaction_one_after_the_other() {
    on_both(|_, con| {
        let (first, count, revoked, left): (Value, i64, i64, i64) = redis::pipe()
            .atomic()
            .cmd("SESSION.CREATE")
            .arg("sessions:42")
            .cmd("SESSION.COUNT")
            .arg("sessions:42")
            .cmd("SESSION.REVOKEUSER")
            .arg("sessions:42")
            .cmd("SESSION.COUNT")
            .arg("sessions:42")
            .query(con)
            .unwrap();
        assert_eq!((count, revoked, left), (1, 1, 0));
        let token = redis_session_tests::fields(first).str("token");
        assert_eq!(verdict(con, "sessions:42", &token), "user_revoked");
    });
}

/// The events of user 42's key while `change` runs, in their order. The event of a last write ends them.
fn events(server: &Server, change: impl FnOnce(&mut Connection)) -> Vec<String> {
    let mut con = server.connection();
    cmd(&mut con, "CONFIG SET notify-keyspace-events KEA").unwrap();
    let mut listener = server.connection();
    listener.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut listener = listener.as_pubsub();
    listener.subscribe("__keyspace@0__:sessions:42").unwrap();
    change(&mut con);
    cmd(&mut con, "SET sessions:42 end").unwrap();
    let mut events = Vec::new();
    loop {
        let event: String = listener.get_message().unwrap().get_payload().unwrap();
        if event == "set" {
            return events;
        }
        events.push(event);
    }
}

#[test]
fn what_happens_to_sessions_is_told_to_subscribers() {
    let server = Server::start();
    let told = events(&server, |con| {
        let token = login(con, "sessions:42 ID one");
        cmd(con, "SESSION.CREATE sessions:42 ID two MAX 1").unwrap();
        cmd(con, "SESSION.REVOKE sessions:42 two").unwrap();
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        cmd(con, &format!("SESSION.VALIDATE sessions:42 {token}")).unwrap();
        cmd(con, "DEL sessions:42").unwrap();
    });
    let told: Vec<_> = told.iter().filter(|event| *event != "expire").collect();
    assert_eq!(
        told,
        ["session.create", "session.evict", "session.create", "session.revoke", "session.revokeuser", "del"]
    );
}

#[test]
fn a_touch_is_told_when_it_is_replicated_and_not_before() {
    let server = Server::start();
    let token = login(&mut server.connection(), "sessions:42 TOKEN OPAQUE");
    let told = events(&server, |con| {
        // The granularity is a minute.
        for _ in 0..2 {
            server.advance(Duration::from_secs(31));
            cmd(con, &format!("SESSION.TOUCH sessions:42 {token}")).unwrap();
        }
    });
    assert_eq!(told, ["session.touch"]);
}

#[test]
fn what_changes_nothing_is_told_to_nobody() {
    let server = Server::start();
    let token = login(&mut server.connection(), "sessions:42 ID one");
    let told = events(&server, |con| {
        for line in [
            format!("SESSION.VALIDATE sessions:42 {token}"),
            "SESSION.TOUCH sessions:42 nonsense".into(),
            "SESSION.REVOKE sessions:42 nobody".into(),
            "SESSION.LIST sessions:42".into(),
        ] {
            cmd(con, &line).unwrap();
        }
        cmd(con, "SESSION.CREATE sessions:42 ID one").unwrap_err();
        cmd(con, "SESSION.CREATE sessions:42 MAX 1 REJECT").unwrap_err();
    });
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn the_end_of_the_key_is_told() {
    let server = Server::start();
    let token = login(&mut server.connection(), "sessions:42 TOKENTTL 600");
    let told = events(&server, |con| {
        // The token's life, and as long as its end is remembered beyond that.
        server.advance(Duration::from_secs(1200));
        assert_eq!(verdict(con, "sessions:42", &token), "token_expired");
        // Nothing is left: the session is revoked, and its token needs no reason any more.
        assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {token}")), 1);
        wait_until("the key is gone", || int(con, "EXISTS sessions:42") == 0);
    });
    assert!(matches!(told.last().map(String::as_str), Some("del" | "expired")), "{told:?}");
}

#[test]
fn client_side_caches_are_told() {
    let server = Server::start();
    let mut con = server.connection_resp3();
    let (sender, receiver) = std::sync::mpsc::channel();
    con.set_push_sender(sender);
    cmd(&mut con, "CLIENT TRACKING ON").unwrap();
    create(&mut server.connection(), "sessions:42 ID one");
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 1);
    assert_eq!(int(&mut server.connection(), "SESSION.REVOKE sessions:42 one"), 1);
    // Pushes come with the next reply.
    wait_until("the invalidation", || {
        cmd(&mut con, "PING").unwrap();
        receiver.try_iter().any(|push| push.kind == redis::PushKind::Invalidate)
    });
}
