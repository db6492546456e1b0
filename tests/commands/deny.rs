//! SESSION.DENY

use redis_session_tests::issuer::{claims, header, now_secs, sign, trusting_server};
use redis_session_tests::{
    Server, ServerBuilder, advance_to, cmd, cmd_args, create, error, ids, int, list, login, now_ms, on_both,
    on_both_of, refusal, text, verdict, verdict_with, wait_until,
};

const KEY: &str = "sessions:42";
/// Milliseconds for which a denial is remembered beyond `UNTIL`.
const REMEMBERED: i64 = 600_000;
/// A time that no test reaches.
const LONG: i64 = 4_102_444_800_000;

fn stateless(con: &mut redis::Connection, token: &str) -> String {
    verdict_with(con, ["SESSION.VALIDATE", KEY, token, "STATELESS"])
}

#[test]
fn a_jwt_is_denied_by_its_id_alone() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let claims_of = claims(con, "42", "one");
        let until = claims_of["exp"].as_i64().unwrap() * 1000;
        let (token, other) = (sign(&header(), &claims_of), sign(&header(), &claims(con, "42", "two")));
        assert_eq!(stateless(con, &token), "active");
        assert_eq!(int(con, &format!("SESSION.DENY {KEY} one UNTIL {until}")), 1);
        assert_eq!((stateless(con, &token), verdict(con, KEY, &token)), ("revoked".into(), "revoked".into()));
        assert_eq!(stateless(con, &other), "active");
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), until + REMEMBERED);
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
        // Of another user it is another id.
        let elsewhere = sign(&header(), &claims(con, "43", "one"));
        assert_eq!(verdict_with(con, ["SESSION.VALIDATE", "sessions:43", &elsewhere, "STATELESS"]), "active");
    });
}

#[test]
fn a_jti_is_an_id_where_there_is_no_sid() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let mut claims = claims(con, "42", "none");
        claims.as_object_mut().unwrap().remove("sid");
        claims["jti"] = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6".into();
        let token = sign(&header(), &claims);
        assert_eq!(stateless(con, &token), "active");
        cmd(con, &format!("SESSION.DENY {KEY} f81d4fae-7dec-11d0-a765-00a0c91e6bf6 until {LONG}")).unwrap();
        assert_eq!(stateless(con, &token), "revoked");
    });
}

#[test]
fn again_it_denies_nothing_but_until_later() {
    on_both(|server, con| {
        let now = now_ms(con);
        let deny = |con: &mut redis::Connection, until: i64| int(con, &format!("SESSION.DENY {KEY} one UNTIL {until}"));
        assert_eq!(deny(con, now + 60_000), 1);
        let digest = server.digest(KEY);
        assert_eq!(deny(con, now + 60_000), 0);
        assert_eq!(deny(con, now + 50_000), 0);
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(deny(con, now + 70_000), 1);
        assert_eq!(int(con, "PEXPIRETIME sessions:42"), now + 70_000 + REMEMBERED);
    });
}

#[test]
fn what_could_not_be_good_any_more_is_not_denied() {
    on_both(|_, con| {
        for until in [0, 1000, now_ms(con) - REMEMBERED] {
            assert_eq!(int(con, &format!("SESSION.DENY {KEY} one UNTIL {until}")), 0, "{until}");
        }
        assert_eq!(int(con, "DBSIZE"), 0);
    });
}

#[test]
fn a_live_session_of_the_id_ends() {
    on_both(|_, con| {
        for form in ["JWT", "OPAQUE"] {
            let created = create(con, &format!("sessions:42 ID {form} TOKEN {form} REFRESH 600"));
            let spared = login(con, "sessions:42 ID other");
            // However little of the session's time that is.
            let until = now_ms(con) + 1000;
            assert_eq!(int(con, &format!("SESSION.DENY {KEY} {form} UNTIL {until}")), 1);
            assert_eq!(ids(con, KEY), ["other"]);
            assert_eq!(verdict(con, KEY, &created.str("token")), "revoked");
            let refresh = ["SESSION.REFRESH", KEY, &created.str("refresh_token")];
            assert_eq!(redis_session_tests::fields(cmd_args(con, refresh).unwrap()).str("reason"), "revoked");
            assert_eq!(verdict(con, KEY, &spared), "active");
            assert_eq!(int(con, &format!("SESSION.DENY {KEY} {form} UNTIL {until}")), 0);
            cmd(con, "SESSION.REVOKE sessions:42 other").unwrap();
        }
    });
}

#[test]
fn a_session_that_is_dead_keeps_its_reason() {
    on_both(|_, con| {
        let evicted = login(con, "sessions:42 ID evicted TOKEN OPAQUE");
        create(con, "sessions:42 MAX 1");
        let idle = login(con, "sessions:42 ID idle IDLE 1800 TOKEN OPAQUE");
        let time = now_ms(con) + 1_800_000;
        advance_to(con, time);
        for (id, token) in [("evicted", evicted), ("idle", idle)] {
            assert_eq!(int(con, &format!("SESSION.DENY {KEY} {id} UNTIL {LONG}")), 1);
            assert_eq!(verdict(con, KEY, &token), id);
        }
    });
}

#[test]
fn the_id_of_a_denied_jwt_may_begin_a_session_of_which_the_jwt_is_not() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let token = sign(&header(), &claims(con, "42", "one"));
        cmd(con, &format!("SESSION.DENY {KEY} one UNTIL {LONG}")).unwrap();
        let begun = redis_session_tests::ask(con, &format!("SESSION.CREATE {KEY} FROM {token}"));
        assert_eq!(begun.str("reason"), "revoked");
        let own = login(con, "sessions:42 ID one");
        assert_eq!(verdict(con, KEY, &own), "active");
        for token in [&token, &sign(&header(), &claims(con, "42", "one"))] {
            assert_eq!((stateless(con, token), verdict(con, KEY, token)), ("unknown".into(), "unknown".into()));
        }
        assert_eq!(int(con, "SESSION.REVOKE sessions:42 one"), 1);
        assert_eq!(stateless(con, &token), "revoked");
    });
}

#[test]
fn a_denied_jwt_stays_so_as_long_as_it_lives() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let mut claims = claims(con, "42", "one");
        let exp = now_secs(con) + 1800;
        claims["exp"] = exp.into();
        let token = sign(&header(), &claims);
        cmd(con, &format!("SESSION.DENY {KEY} one UNTIL {}", exp * 1000)).unwrap();
        advance_to(con, (exp - 60) * 1000);
        assert_eq!(stateless(con, &token), "revoked");
        advance_to(con, exp * 1000 + REMEMBERED);
        assert_eq!(stateless(con, &token), "token_expired");
        wait_until("the sweep deletes the key", || int(con, "EXISTS sessions:42") == 0);
    });
}

#[test]
fn many_denials_are_never_forgotten_for_good() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        cmd(con, "CONFIG SET session.max-per-user 2").unwrap();
        let tokens: Vec<_> = (0..10).map(|n| sign(&header(), &claims(con, "42", &format!("s{n}")))).collect();
        for n in 0..tokens.len() {
            assert_eq!(int(con, &format!("SESSION.DENY {KEY} s{n} UNTIL {LONG}")), 1);
        }
        for (n, token) in tokens.iter().enumerate() {
            assert_ne!(stateless(con, token), "active", "{n}");
        }
        cmd(con, "CONFIG SET session.max-per-user 100").unwrap();
    });
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    on_both(|server, con| {
        let token = login(con, "sessions:42 ID one");
        let digest = server.digest(KEY);
        let number = "ERR UNTIL must be a whole number from 0 to 281474976710655";
        for until in ["x", "-1", "+5", "1e3", "281474976710656", ""] {
            assert_eq!(refusal(con, ["SESSION.DENY", KEY, "one", "UNTIL", until]), number);
        }
        let arity = error(con, "SESSION.DENY sessions:42 one");
        assert!(arity.contains("wrong number of arguments"), "{arity}");
        assert_eq!(arity, error(con, "SESSION.DENY sessions:42 one UNTIL"));
        assert_eq!(error(con, "SESSION.DENY sessions:42 one TO 5"), "ERR unknown option TO");
        assert_eq!(
            error(con, &format!("SESSION.DENY {KEY} {token} UNTIL {LONG}")),
            "ERR id looks like a token; an id must not"
        );
        assert_eq!(refusal(con, ["SESSION.DENY", KEY, "", "UNTIL", "5"]), "ERR id is empty");
        let key = error(con, "SESSION.DENY other:42 one UNTIL 5");
        assert!(key.contains("session.key-prefix"), "{key}");
        cmd(con, "SET sessions:43 text").unwrap();
        assert!(error(con, "SESSION.DENY sessions:43 one UNTIL 5").starts_with("WRONGTYPE "));
        assert_eq!(server.digest(KEY), digest);
        assert_eq!(verdict(con, KEY, &token), "active");
    });
}

#[test]
fn a_token_in_its_place_is_not_told() {
    let server = Server::start();
    let mut con = server.connection();
    cmd(&mut con, "CONFIG SET slowlog-log-slower-than 0").unwrap();
    let token = login(&mut con, "sessions:42");
    error(&mut con, &format!("SESSION.DENY {KEY} {token} UNTIL {LONG}"));
    let log = format!("{:?}", cmd(&mut con, "SLOWLOG GET 100").unwrap());
    assert!(log.to_lowercase().contains("session.deny") && !log.contains(token.rsplit('.').next().unwrap()));
}

#[test]
fn it_is_counted_audited_and_told() {
    let server = Server::builder().config("session.audit-stream audit").config("notify-keyspace-events Ed").start();
    let mut con = server.connection();
    let mut pubsub = server.client().get_connection().unwrap();
    let mut pubsub = pubsub.as_pubsub();
    pubsub.psubscribe("__keyevent@*__:session.revoke").unwrap();
    create(&mut con, "sessions:42 ID here IP 203.0.113.7");
    for id in ["here", "elsewhere", "here"] {
        cmd(&mut con, &format!("SESSION.DENY {KEY} {id} UNTIL {LONG}")).unwrap();
    }
    let entries: Vec<_> = list(cmd(&mut con, "XRANGE audit - +").unwrap())
        .into_iter()
        .map(|entry| list(list(entry)[1].clone()).iter().map(text).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        entries[1..],
        [
            "event revoke user 42 id here reason revoked ip 203.0.113.7 acl_user default",
            "event revoke user 42 id elsewhere reason revoked acl_user default",
        ]
    );
    let stats = redis_session_tests::fields(cmd(&mut con, "SESSION.STATS").unwrap());
    assert_eq!(stats.int("revoked"), 2);
    for _ in 0..2 {
        assert_eq!(pubsub.get_message().unwrap().get_payload::<String>().unwrap(), KEY);
    }
}

#[test]
fn replicas_and_files_have_it() {
    let mut server = Server::builder().keys(&["one"]).appendonly().start();
    let mut con = server.connection();
    let token = login(&mut con, "sessions:42 ID one");
    cmd(&mut con, "DEL sessions:42").unwrap();
    let replica = ServerBuilder::new().keys(&["one"]).replica_of(&server).start();
    server.wait_for_sync(&replica);
    assert_eq!(stateless(&mut replica.connection(), &token), "active");
    cmd(&mut con, &format!("SESSION.DENY {KEY} one UNTIL {LONG}")).unwrap();
    server.wait_for_sync(&replica);
    assert_eq!(stateless(&mut replica.connection(), &token), "revoked");
    let refused = error(&mut replica.connection(), &format!("SESSION.DENY {KEY} one UNTIL {LONG}"));
    assert!(refused.starts_with("READONLY "), "{refused}");
    server.kill();
    server.start_again();
    assert_eq!(stateless(&mut server.connection(), &token), "revoked");
}
