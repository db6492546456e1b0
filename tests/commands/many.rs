//! A user with many sessions, whose store is an indexed one.

use redis::{Connection, Value};
use redis_session_tests::{Server, ask, cmd, cmd_args, create, error_text, fields, ids, int, verdict};

/// Logs the user in this many times, as `s0`, `s1`, ... with opaque tokens.
fn log_in(con: &mut Connection, count: usize) -> Vec<String> {
    let mut pipe = redis::pipe();
    for n in 0..count {
        pipe.cmd("SESSION.CREATE").arg("sessions:42").arg("ID").arg(format!("s{n}"));
        pipe.arg("MAX").arg(count).arg("TOKEN").arg("OPAQUE").arg("AGENT").arg(format!("agent {}", n % 3));
    }
    let replies: Vec<Value> = pipe.query(con).unwrap_or_else(|error| panic!("{}", error_text(&error)));
    replies.into_iter().map(|reply| fields(reply).str("token")).collect()
}

fn newest_first(numbers: impl DoubleEndedIterator<Item = usize>) -> Vec<String> {
    numbers.rev().map(|n| format!("s{n}")).collect()
}

fn list_find_and_revoke(con: &mut Connection, count: usize) {
    let tokens = log_in(con, count);
    assert_eq!(int(con, "SESSION.COUNT sessions:42"), count as i64);
    assert_eq!(ids(con, "sessions:42"), newest_first(0..count));
    for n in [0, 1, count / 2, count - 2, count - 1] {
        assert_eq!(ask(con, &format!("SESSION.GET sessions:42 s{n}")).str("agent"), format!("agent {}", n % 3));
        assert_eq!(ask(con, &format!("SESSION.TOUCH sessions:42 {}", tokens[n])).str("id"), format!("s{n}"));
        assert!(int(con, &format!("SESSION.TTL sessions:42 s{n}")) > 0);
    }

    // Every third one, in one command, by id and by token.
    let third: Vec<usize> = (0..count).step_by(3).collect();
    let named = third.iter().map(|n| if n % 2 == 0 { format!("s{n}") } else { tokens[*n].clone() });
    let args: Vec<String> = ["SESSION.REVOKE".into(), "sessions:42".into()].into_iter().chain(named).collect();
    assert_eq!(cmd_args(con, &args).unwrap(), Value::Int(third.len() as i64));
    assert_eq!(cmd_args(con, &args).unwrap(), Value::Int(0));
    let kept: Vec<usize> = (0..count).filter(|n| n % 3 != 0).collect();
    assert_eq!(ids(con, "sessions:42"), newest_first(kept.iter().copied()));
    assert_eq!(int(con, "SESSION.COUNT sessions:42"), kept.len() as i64);
    for (n, token) in tokens.iter().enumerate() {
        let expected = if n % 3 == 0 { "revoked" } else { "active" };
        assert_eq!(verdict(con, "sessions:42", token), expected, "s{n}");
    }

    // The oldest makes room, and the reply says which.
    let evicted = create(con, &format!("sessions:42 ID new MAX {} EVICT", kept.len()));
    assert_eq!(evicted.strings("evicted"), ["s1"]);
    assert_eq!(verdict(con, "sessions:42", &tokens[1]), "evicted");

    let spared = kept[kept.len() / 2];
    assert_eq!(int(con, &format!("SESSION.REVOKEUSER sessions:42 EXCEPT {}", tokens[spared])), kept.len() as i64 - 1);
    assert_eq!(ids(con, "sessions:42"), [format!("s{spared}")]);
    assert_eq!(verdict(con, "sessions:42", &tokens[spared]), "active");
    assert_eq!(int(con, "SESSION.REVOKEUSER sessions:42"), 1);
    assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
    assert_eq!(verdict(con, "sessions:42", &tokens[spared]), "user_revoked");

    let token = create(con, "sessions:42").str("token");
    assert_eq!(verdict(con, "sessions:42", &token), "active");
}

#[test]
fn a_hundred_sessions_are_listed_found_and_revoked() {
    let server = Server::start();
    for mut con in [server.connection(), server.connection_resp3()] {
        cmd(&mut con, "FLUSHALL").unwrap();
        list_find_and_revoke(&mut con, 100);
    }
}

#[test]
fn a_thousand_sessions_are_listed_found_and_revoked() {
    let server = Server::start();
    for mut con in [server.connection(), server.connection_resp3()] {
        cmd(&mut con, "FLUSHALL").unwrap();
        // As many traces as sessions end here.
        cmd(&mut con, "CONFIG SET session.max-per-user 1000").unwrap();
        list_find_and_revoke(&mut con, 1000);
    }
}

#[test]
fn a_limit_of_one_leaves_one_of_a_thousand() {
    let server = Server::start();
    let mut con = server.connection();
    log_in(&mut con, 1000);
    let created = create(&mut con, "sessions:42 ID last MAX 1");
    let evicted: Vec<_> = (0..1000).map(|n| format!("s{n}")).collect();
    assert_eq!(created.strings("evicted"), evicted);
    assert_eq!(ids(&mut con, "sessions:42"), ["last"]);
}

#[test]
fn users_do_not_share_their_sessions() {
    let server = Server::start();
    let mut con = server.connection();
    let mut pipe = redis::pipe();
    for user in 0..100 {
        for n in 0..3 {
            pipe.cmd("SESSION.CREATE").arg(format!("sessions:{user}")).arg("ID").arg(format!("s{n}"));
            pipe.arg("AGENT").arg(format!("agent {user}")).ignore();
        }
    }
    pipe.exec(&mut con).unwrap();
    for user in (0..100).step_by(2) {
        assert_eq!(int(&mut con, &format!("SESSION.REVOKEUSER sessions:{user}")), 3);
    }
    for user in 0..100 {
        let expected = if user % 2 == 0 { 0 } else { 3 };
        assert_eq!(int(&mut con, &format!("SESSION.COUNT sessions:{user}")), expected);
        if expected > 0 {
            let session = ask(&mut con, &format!("SESSION.GET sessions:{user} s1"));
            assert_eq!(session.str("agent"), format!("agent {user}"));
        }
    }
}
