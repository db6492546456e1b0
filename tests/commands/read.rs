//! SESSION.GET, SESSION.LIST, SESSION.COUNT and SESSION.TTL

use std::time::Duration;

use redis::Value;
use redis_session_tests::{Server, advance, ask, cmd, create, fields, ids, int, list, now_ms, on_both};

/// What a session is told by.
pub(crate) const NAMES: [&str; 13] = [
    "id",
    "expires_at",
    "user",
    "created_at",
    "last_seen_at",
    "idle_expires_at",
    "ip",
    "agent",
    "claims",
    "auth_time",
    "level",
    "version",
    "data",
];

#[test]
fn get_answers_with_the_whole_session() {
    on_both(|_, con| {
        let before = now_ms(con);
        create(con, "sessions:42 ID one TTL 1000 IDLE 100 IP ::1 AGENT Firefox DATA 2 cart 17 theme dark");
        let session = ask(con, "SESSION.GET sessions:42 one");
        assert_eq!(session.names(), NAMES);
        let began = session.int("created_at");
        assert!((before..=now_ms(con)).contains(&began));
        assert_eq!((session.str("id"), session.str("user")), ("one".into(), "42".into()));
        assert_eq!(session.int("expires_at"), began + 1_000_000);
        assert_eq!(session.int("last_seen_at"), began);
        assert_eq!(session.int("idle_expires_at"), began + 100_000);
        assert_eq!((session.str("ip"), session.str("agent")), ("::1".into(), "Firefox".into()));
        assert_eq!(session.fields("data").names(), ["cart", "theme"]);
    });
}

#[test]
fn get_has_nulls_where_nothing_is_known() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one");
        let session = ask(con, "SESSION.GET sessions:42 one");
        assert_eq!(session.names(), NAMES);
        for name in ["idle_expires_at", "ip", "agent", "claims", "level"] {
            assert_eq!(session.get(name), Some(&Value::Nil), "{name}");
        }
        assert!(session.fields("data").names().is_empty());
    });
}

#[test]
fn get_of_a_session_that_is_not_alive_is_null() {
    on_both(|_, con| {
        assert_eq!(cmd(con, "SESSION.GET sessions:42 one").unwrap(), Value::Nil);
        create(con, "sessions:42 ID one");
        create(con, "sessions:42 ID two");
        assert_eq!(cmd(con, "SESSION.GET sessions:42 three").unwrap(), Value::Nil);
        assert_eq!(cmd(con, "SESSION.GET sessions:43 one").unwrap(), Value::Nil);
        cmd(con, "SESSION.REVOKE sessions:42 one").unwrap();
        assert_eq!(cmd(con, "SESSION.GET sessions:42 one").unwrap(), Value::Nil);
    });
}

#[test]
fn the_shapes_of_the_replies_are_those_of_the_protocol() {
    let server = Server::start();
    let (mut two, mut three) = (server.connection(), server.connection_resp3());
    create(&mut two, "sessions:42 ID one DATA 1 k v");
    let bytes = |text: &str| Value::BulkString(text.into());

    let Value::Map(pairs) = cmd(&mut three, "SESSION.GET sessions:42 one").unwrap() else { panic!("no map") };
    assert_eq!(pairs[0], (bytes("id"), bytes("one")));
    assert_eq!(pairs[12], (bytes("data"), Value::Map(vec![(bytes("k"), bytes("v"))])));
    let Value::Array(flat) = cmd(&mut two, "SESSION.GET sessions:42 one").unwrap() else { panic!("no array") };
    assert_eq!(flat.len(), 26);
    assert_eq!(flat[25], Value::Array(vec![bytes("k"), bytes("v")]));

    let Value::Array(items) = cmd(&mut three, "SESSION.LIST sessions:42").unwrap() else { panic!("no array") };
    assert_eq!(items, [Value::Map(pairs)]);
    let Value::Array(items) = cmd(&mut two, "SESSION.LIST sessions:42").unwrap() else { panic!("no array") };
    assert_eq!(items, [Value::Array(flat)]);

    for con in [&mut two, &mut three] {
        assert_eq!(cmd(con, "SESSION.GET sessions:42 none").unwrap(), Value::Nil);
        assert_eq!(cmd(con, "SESSION.LIST sessions:43").unwrap(), Value::Array(vec![]));
        assert_eq!(cmd(con, "SESSION.COUNT sessions:42").unwrap(), Value::Int(1));
        assert_eq!(cmd(con, "SESSION.TTL sessions:42 none").unwrap(), Value::Int(-2));
    }
}

#[test]
fn list_has_the_newest_first_and_each_as_get_answers_it() {
    on_both(|_, con| {
        for id in ["one", "two", "three"] {
            create(con, &format!("sessions:42 ID {id} AGENT {id}"));
        }
        assert_eq!(ids(con, "sessions:42"), ["three", "two", "one"]);
        for item in list(cmd(con, "SESSION.LIST sessions:42").unwrap()) {
            let session = fields(item.clone());
            assert_eq!(cmd(con, &format!("SESSION.GET sessions:42 {}", session.str("agent"))).unwrap(), item);
        }
    });
}

#[test]
fn list_and_count_leave_the_dead_out() {
    on_both(|_, con| {
        for id in ["one", "two", "three"] {
            create(con, &format!("sessions:42 ID {id}"));
        }
        create(con, "sessions:42 ID four TTL 1800 TOKEN OPAQUE");
        create(con, "sessions:42 ID five IDLE 1800 TOKEN OPAQUE");
        create(con, "sessions:43 ID six");
        advance(con, Duration::from_secs(29 * 60));
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 5);
        cmd(con, "SESSION.REVOKE sessions:42 two").unwrap();
        advance(con, Duration::from_secs(60));
        assert_eq!(ids(con, "sessions:42"), ["three", "one"]);
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 2);
    });
}

#[test]
fn nobody_has_no_sessions() {
    on_both(|_, con| {
        assert!(ids(con, "sessions:42").is_empty());
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
        assert_eq!(int(con, "SESSION.TTL sessions:42 one"), -2);
        assert_eq!(int(con, "DBSIZE"), 0);
    });
}

#[test]
fn ttl_is_the_milliseconds_until_the_nearer_deadline() {
    on_both(|_, con| {
        for (options, deadline) in [("TTL 100", "expires_at"), ("TTL 1000 IDLE 50", "idle_expires_at")] {
            let id = create(con, &format!("sessions:42 {options}")).str("id");
            let deadline = ask(con, &format!("SESSION.GET sessions:42 {id}")).int(deadline);
            let before = now_ms(con);
            let left = int(con, &format!("SESSION.TTL sessions:42 {id}"));
            assert!((before..=now_ms(con)).contains(&(deadline - left)));
        }
    });
}

#[test]
fn ttl_grows_again_when_the_session_is_touched() {
    on_both(|_, con| {
        let token = create(con, "sessions:42 ID one IDLE 100 TOKEN OPAQUE").str("token");
        let began = now_ms(con);
        advance(con, Duration::from_secs(50));
        let before = int(con, "SESSION.TTL sessions:42 one");
        ask(con, &format!("SESSION.TOUCH sessions:42 {token}"));
        let deadline = ask(con, "SESSION.GET sessions:42 one").int("idle_expires_at");
        assert!(deadline >= began + 150_000);
        let after = int(con, "SESSION.TTL sessions:42 one");
        assert!(before <= 50_000 && (50_001..=100_000).contains(&after), "{before} {after}");
    });
}

#[test]
fn ttl_of_a_session_that_is_not_alive_is_minus_two() {
    on_both(|_, con| {
        create(con, "sessions:42 ID one");
        cmd(con, "SESSION.REVOKE sessions:42 one").unwrap();
        assert_eq!(int(con, "SESSION.TTL sessions:42 one"), -2);
        create(con, "sessions:42 ID two");
        cmd(con, "SESSION.REVOKEUSER sessions:42").unwrap();
        assert_eq!(int(con, "SESSION.TTL sessions:42 two"), -2);
    });
}

#[test]
fn reading_works_in_a_read_only_script() {
    on_both(|_, con| {
        let token = create(con, "sessions:42 ID one").str("token");
        for (command, arguments) in [
            ("SESSION.VALIDATE", vec![token.as_str()]),
            ("SESSION.GET", vec!["one"]),
            ("SESSION.TTL", vec!["one"]),
            ("SESSION.LIST", vec![]),
            ("SESSION.COUNT", vec![]),
        ] {
            let script = format!("return redis.call('{command}', KEYS[1], unpack(ARGV))");
            let script = redis::cmd("EVAL_RO").arg(script).arg(1).arg("sessions:42").arg(arguments).query::<Value>(con);
            assert!(script.is_ok(), "{command}: {script:?}");
        }
        let script = "return redis.call('SESSION.REVOKEUSER', KEYS[1])";
        redis::cmd("EVAL_RO").arg(script).arg(1).arg("sessions:42").query::<Value>(con).unwrap_err();
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 1);
    });
}
