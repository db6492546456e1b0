//! The audit stream.

use std::time::Duration;

use redis::{Connection, Value};
use redis_session_tests::{Server, ServerBuilder, cmd, cmd_args, create, fields, int, list, text, wait_until};

use crate::commands::error_code;

fn audited() -> ServerBuilder {
    ServerBuilder::new().keys(&["one"]).config("session.audit-stream audit\nsession.sweep-time 0")
}

/// The entries as lines of names and values, without the ids and times of the run.
fn entries(con: &mut Connection, stream: &str) -> Vec<String> {
    let entries = list(cmd_args(con, ["XRANGE", stream, "-", "+"]).unwrap());
    let line = |entry: Value| {
        let words: Vec<_> = list(list(entry)[1].clone()).iter().map(text).collect();
        words.chunks(2).map(|pair| pair.join("=")).collect::<Vec<_>>().join(" ")
    };
    entries.into_iter().map(line).collect()
}

#[test]
fn what_happens_to_sessions_is_written_to_the_stream() {
    let server = audited().config("session.refresh-grace 0\nsession.key-form any").start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 ID a IP 203.0.113.7 AGENT phone");
    create(&mut con, "sessions:{42} ID x");
    create(&mut con, "sessions:42 ID b MAX 1 IP 2001:db8::7");
    let refreshable = create(&mut con, "sessions:43 REFRESH 600");
    let id = refreshable.str("id");
    let stolen = refreshable.str("refresh_token");
    for _ in 0..2 {
        cmd_args(&mut con, ["SESSION.REFRESH", "sessions:43", &stolen]).unwrap();
    }
    let new = fields(cmd(&mut con, "SESSION.REGENERATE sessions:42 b").unwrap()).str("id");
    cmd_args(&mut con, ["SESSION.REVOKE", "sessions:42", &new, "never"]).unwrap();
    create(&mut con, "sessions:44 ID d");
    create(&mut con, "sessions:44 ID e");
    cmd(&mut con, "SESSION.REVOKEUSER sessions:44").unwrap();
    let expected = [
        "event=create user=42 id=a ip=203.0.113.7 agent=phone".to_owned(),
        "event=create user=42 id=x".into(),
        "event=evict user=42 id=a reason=evicted ip=203.0.113.7 agent=phone".into(),
        "event=create user=42 id=b ip=2001:db8::7".into(),
        format!("event=create user=43 id={id}"),
        format!("event=refresh user=43 id={id}"),
        format!("event=reuse user=43 id={id} reason=reused"),
        format!("event=regenerate user=42 id={new} old_id=b ip=2001:db8::7"),
        format!("event=revoke user=42 id={new} reason=revoked ip=2001:db8::7"),
        "event=create user=44 id=d".into(),
        "event=create user=44 id=e".into(),
        "event=revokeuser user=44 sessions=2 reason=user_revoked".into(),
    ]
    .map(|line| format!("{line} acl_user=default"));
    assert_eq!(entries(&mut con, "audit"), expected);
}

#[test]
fn a_logout_everywhere_is_one_entry_that_says_how_many_and_who_was_spared() {
    let server = audited().start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42 ID here").str("token");
    for id in ["b", "c", "d"] {
        create(&mut con, &format!("sessions:42 ID {id}"));
    }
    cmd(&mut con, "SESSION.REVOKE sessions:42 d").unwrap();
    assert_eq!(int(&mut con, &format!("SESSION.REVOKEUSER sessions:42 EXCEPT {token}")), 2);
    assert_eq!(int(&mut con, "SESSION.REVOKEUSER sessions:42 EXCEPT here"), 0);
    assert_eq!(int(&mut con, "SESSION.REVOKEUSER sessions:42 EXCEPT b"), 1);
    assert_eq!(
        entries(&mut con, "audit")[5..],
        [
            "event=revokeuser user=42 sessions=2 except=here reason=user_revoked acl_user=default",
            "event=revokeuser user=42 sessions=0 except=here reason=user_revoked acl_user=default",
            "event=revokeuser user=42 sessions=1 reason=user_revoked acl_user=default",
        ]
    );
}

#[test]
fn what_changes_no_session_is_not_written() {
    let server = audited().start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42 ID a").str("token");
    for line in [
        format!("SESSION.VALIDATE sessions:42 {token}"),
        format!("SESSION.TOUCH sessions:42 {token}"),
        "SESSION.SET sessions:42 a theme dark".into(),
        "SESSION.UNSET sessions:42 a theme".into(),
        "SESSION.REVOKE sessions:42 nobody".into(),
        "SESSION.LIST sessions:42".into(),
    ] {
        cmd(&mut con, &line).unwrap();
    }
    assert_eq!(error_code(&mut con, "SESSION.CREATE sessions:42 ID a"), "SESSIONEXISTS");
    assert_eq!(entries(&mut con, "audit").len(), 1);
}

#[test]
fn without_a_name_there_is_no_stream() {
    let server = Server::start();
    let mut con = server.connection();
    create(&mut con, "sessions:42");
    assert_eq!(int(&mut con, "DBSIZE"), 1);
    cmd(&mut con, "CONFIG SET session.audit-stream log").unwrap();
    create(&mut con, "sessions:42 ID a");
    assert_eq!(entries(&mut con, "log"), ["event=create user=42 id=a acl_user=default"]);
    cmd_args(&mut con, ["CONFIG", "SET", "session.audit-stream", ""]).unwrap();
    create(&mut con, "sessions:42 ID b");
    assert_eq!(int(&mut con, "XLEN log"), 1);
}

#[test]
fn deadlines_are_written_when_the_sweep_or_a_write_comes_across_them() {
    let server = audited().start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 ID a IDLE 1800 AGENT phone");
    create(&mut con, "sessions:43 ID b TTL 1800 MAX 1");
    create(&mut con, "sessions:43 ID c TTL 3600 MAX 9");
    server.advance(Duration::from_secs(1800));
    cmd(&mut con, "SESSION.REVOKE sessions:43 c").unwrap();
    assert_eq!(
        entries(&mut con, "audit")[3..],
        [
            "event=revoke user=43 id=c reason=revoked acl_user=default",
            "event=expire user=43 id=b reason=expired acl_user=default",
        ]
    );
    cmd(&mut con, "CONFIG SET session.sweep-time 1000").unwrap();
    wait_until("the sweep", || int(&mut con, "XLEN audit") == 6);
    assert_eq!(entries(&mut con, "audit")[5], "event=expire user=42 id=a reason=idle agent=phone", "nobody did it");
}

#[test]
fn the_stream_says_who_did_it() {
    let server = audited().start();
    let mut con = server.connection();
    let rules = ["ACL", "SETUSER", "app", "on", "nopass", "~sessions:*", "-@all", "+session.create", "+client"];
    cmd_args(&mut con, rules).unwrap();
    let mut app = server.connection();
    cmd(&mut con, "CLIENT SETNAME admin").unwrap();
    cmd(&mut app, "AUTH app any").unwrap();
    cmd(&mut app, "CLIENT SETNAME checkout").unwrap();
    create(&mut app, "sessions:42 ID a");
    assert_eq!(error_code(&mut app, "XADD audit * event forged"), "NOPERM", "what it may not write itself");
    let script = "redis.call('SESSION.REVOKE', KEYS[1], 'a')";
    cmd_args(&mut con, ["EVAL", script, "1", "sessions:42"]).unwrap();
    let entries = entries(&mut con, "audit");
    assert_eq!(entries[0], "event=create user=42 id=a acl_user=app client=checkout");
    assert!(entries[1].starts_with("event=revoke user=42 id=a reason=revoked acl_user=default"), "{}", entries[1]);
}

#[test]
fn no_token_is_written() {
    let server = audited().start();
    let mut con = server.connection();
    let login = create(&mut con, "sessions:42 REFRESH 600");
    let (token, refresh) = (login.str("token"), login.str("refresh_token"));
    cmd_args(&mut con, ["SESSION.REFRESH", "sessions:42", &refresh]).unwrap();
    cmd_args(&mut con, ["SESSION.REVOKE", "sessions:42", &token]).unwrap();
    let entries = entries(&mut con, "audit").join("\n");
    assert_eq!(entries.lines().count(), 3);
    for secret in token.split('.').chain(refresh.split('.')).filter(|part| part.len() > 30) {
        assert!(!entries.contains(secret), "{entries}");
    }
}

#[test]
fn the_stream_keeps_about_as_much_as_is_said() {
    let server = audited().config("session.audit-maxlen 100").start();
    let mut con = server.connection();
    let many = |con: &mut Connection| {
        for _ in 0..500 {
            create(con, "sessions:42 TOKEN NONE MAX 1000");
        }
    };
    many(&mut con);
    let kept = int(&mut con, "XLEN audit");
    assert!((100..=300).contains(&kept), "{kept}");
    cmd(&mut con, "CONFIG SET session.audit-maxlen 0").unwrap();
    many(&mut con);
    assert_eq!(int(&mut con, "XLEN audit"), kept + 500);
}

#[test]
fn the_stream_is_replicated_and_logged_with_the_change() {
    // The test waits for the replica itself, so SHUTDOWN need not: that takes it up to a second.
    let mut primary = audited().appendonly().config("shutdown-timeout 0").start();
    let replica = audited().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    let mut con = primary.connection();
    create(&mut con, "sessions:42 ID a");
    let pipe = redis::pipe()
        .atomic()
        .cmd("SESSION.CREATE")
        .arg(&["sessions:42", "ID", "b", "MAX", "1"])
        .cmd("SESSION.REVOKEUSER")
        .arg("sessions:42")
        .clone();
    pipe.exec(&mut con).unwrap();
    primary.wait_for_sync(&replica);
    let digest = primary.digest_of_all();
    assert_eq!(entries(&mut con, "audit").len(), 4);
    assert_eq!(replica.digest_of_all(), digest, "the same entries with the same ids");
    primary.restart_without_saving();
    assert_eq!(primary.digest_of_all(), digest);
}

/// A user must be logged out even if nobody can write it down.
#[test]
fn a_stream_that_takes_no_entry_stops_nobody() {
    let server = audited().start();
    let mut con = server.connection();
    cmd(&mut con, "SET audit text").unwrap();
    create(&mut con, "sessions:42 ID a");
    assert_eq!(int(&mut con, "SESSION.REVOKE sessions:42 a"), 1);
    assert_eq!(server.info("session", "session_audit_failures"), "2");
    assert!(server.log_contains("no entry could be added to audit"), "{}", server.log());
}

#[test]
fn a_name_with_braces_is_refused() {
    let server = Server::start();
    let mut con = server.connection();
    for name in ["a{b", "{audit}", "a}"] {
        let error = cmd_args(&mut con, ["CONFIG", "SET", "session.audit-stream", name]).unwrap_err().to_string();
        assert!(error.contains("must not contain { or }"), "{error}");
    }
}
