//! Servers of two versions of the module: upgrades in the right order, which lose nothing, and in the wrong one, which bring
//! nothing back that was revoked.

use std::fs;
use std::path::Path;

use redis::Connection;
use redis_session_tests::{
    Server, ServerBuilder, cmd, cmd_args, create, error, fields, int, login, verdict, verdict_with, wait_until,
};

use crate::append_only_file::rewrite;
use crate::users::{Credential, assert_verdicts, listed, server, stored, users_in_every_state};

const KEY: &str = "sessions:42";
/// What the log says when it cannot read something.
const LINE: &str = "is of a later version of the module or damaged";

/// A server that does not stop at what it cannot read, as none does outside these tests.
fn lasting() -> ServerBuilder {
    server().config("propagation-error-behavior ignore\nrepl-ping-replica-period 3600")
}

fn stateless(con: &mut Connection, key: &str, token: &str) -> String {
    verdict_with(con, ["SESSION.VALIDATE", key, token, "STATELESS"])
}

fn failures(server: &Server) -> i64 {
    fields(cmd(&mut server.connection(), "SESSION.STATS").unwrap()).int("apply_failures")
}

/// How often the log says that something could not be read.
fn lines(server: &Server) -> usize {
    server.log().matches(LINE).count()
}

/// Makes `replica` the primary, and its primary a replica of it, which copies nothing again.
fn fail_over(primary: &Server, replica: &Server) {
    primary.wait_for_sync(replica);
    cmd(&mut replica.connection(), "REPLICAOF NO ONE").unwrap();
    cmd(&mut primary.connection(), &format!("REPLICAOF 127.0.0.1 {}", replica.port())).unwrap();
    replica.wait_for_sync(primary);
    assert_eq!(replica.info("stats", "sync_partial_ok"), "1");
}

/// Fails unless nothing of this user is good on this server.
#[track_caller]
fn assert_closed(server: &Server, key: &str, tokens: &[&str]) {
    let mut con = server.connection();
    for token in tokens {
        assert_eq!(verdict(&mut con, key, token), "user_revoked", "{key}");
        assert_eq!(stateless(&mut con, key, token), "user_revoked", "{key}");
    }
    assert_eq!(int(&mut con, &format!("SESSION.COUNT {key}")), 0);
    assert_eq!(int(&mut con, &format!("EXISTS {key}")), 1);
}

/// A primary of the next version, and a replica of this one, which has lost nothing so far.
fn upgraded_primary(fill: impl FnOnce(&mut Connection)) -> (Server, Server) {
    let old = lasting().start();
    fill(&mut old.connection());
    let new = lasting().later_format().replica_of(&old).start();
    fail_over(&old, &new);
    (new, old)
}

#[test]
fn a_logout_that_an_older_replica_cannot_read_ends_all_of_that_users_sessions_there_and_nobody_elses() {
    let (mut tokens, mut others) = (Vec::new(), Vec::new());
    let (primary, replica) = upgraded_primary(|con| {
        tokens = ["JWT", "OPAQUE", "JWT"].map(|form| login(con, &format!("{KEY} TOKEN {form}"))).to_vec();
        others = (0..3).map(|n| (format!("sessions:other-{n}"), login(con, &format!("sessions:other-{n}")))).collect();
    });
    assert_eq!((failures(&replica), lines(&replica)), (0, 0));
    for token in &tokens {
        assert_eq!(verdict(&mut replica.connection(), KEY, token), "active");
    }

    let mut con = primary.connection();
    assert_eq!(int(&mut con, &format!("SESSION.REVOKE {KEY} {}", tokens[0])), 1);
    primary.wait_for_sync(&replica);
    let shown: Vec<&str> = tokens.iter().map(String::as_str).collect();
    assert_closed(&replica, KEY, &shown);
    assert_eq!(failures(&replica), 1);
    assert_eq!(replica.info("session", "session_apply_failures"), "1");
    wait_until("the log says it", || lines(&replica) == 1);
    for (key, token) in &others {
        assert_eq!(verdict(&mut replica.connection(), key, token), "active");
    }
    assert_eq!(verdict(&mut con, KEY, &tokens[1]), "active");
    assert_eq!(failures(&primary), 0);

    // It stays closed, whatever comes next.
    let next = login(&mut con, KEY);
    primary.wait_for_sync(&replica);
    assert_closed(&replica, KEY, &[&shown[..], &[&next]].concat());
    // Deleting the key opens it: what that forgets is in the documents.
    cmd(&mut con, "DEL sessions:42").unwrap();
    primary.wait_for_sync(&replica);
    assert_eq!(int(&mut replica.connection(), "EXISTS sessions:42"), 0);
}

#[test]
fn a_user_whom_the_replica_did_not_know_is_closed_too() {
    let mut token = String::new();
    let (primary, replica) = upgraded_primary(|con| {
        token = login(con, KEY);
        cmd(con, "DEL sessions:42").unwrap();
    });
    assert_eq!(stateless(&mut replica.connection(), KEY, &token), "active");
    cmd(&mut primary.connection(), &format!("SESSION.REVOKE {KEY} {token}")).unwrap();
    primary.wait_for_sync(&replica);
    assert_closed(&replica, KEY, &[&token]);
}

#[test]
fn the_log_has_a_line_for_the_first_and_for_each_tenfold() {
    let (primary, replica) = upgraded_primary(|_| {});
    for n in 0..12 {
        create(&mut primary.connection(), &format!("sessions:{n}"));
    }
    primary.wait_for_sync(&replica);
    assert_eq!(failures(&replica), 12);
    wait_until("the log has two lines", || lines(&replica) == 2);
    assert!(replica.log_contains("the sessions of 1 users") && replica.log_contains("the sessions of 10 users"));
}

#[test]
fn an_older_replica_that_is_upgraded_and_copies_everything_has_everything() {
    let mut credentials = Vec::new();
    let (primary, mut replica) = upgraded_primary(|con| credentials = users_in_every_state(con));
    let key = credentials[0].key.clone();
    cmd(&mut primary.connection(), &format!("SESSION.REVOKEUSER {key}")).unwrap();
    primary.wait_for_sync(&replica);
    assert_closed(&replica, &key, &[&credentials[0].token]);
    let expected: Vec<_> = credentials
        .into_iter()
        .map(|known| if known.key == key { Credential { verdict: "user_revoked".into(), ..known } } else { known })
        .collect();
    // Without the file that it had: what it could not read is not in there.
    replica.shutdown("NOSAVE");
    replica.upgrade();
    replica.start_again();
    cmd(&mut replica.connection(), &format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap();
    primary.wait_for_sync(&replica);
    assert_eq!(stored(&replica), stored(&primary));
    assert_eq!(listed(&replica), listed(&primary));
    assert_verdicts(&mut replica.connection(), &expected);
    assert_eq!(failures(&replica), 0);
}

#[test]
fn replicas_first_loses_nothing() {
    let mut old = lasting().start();
    let credentials = users_in_every_state(&mut old.connection());
    let new = lasting().later_format().replica_of(&old).start();
    old.wait_for_sync(&new);
    // By the snapshot that it began with, and by the stream.
    let more = users_in_every_state_of_others(&mut old.connection());
    old.wait_for_sync(&new);
    assert_eq!(stored(&new), stored(&old));
    assert_eq!(listed(&new), listed(&old));
    fail_over(&old, &new);
    for credentials in [&credentials, &more] {
        assert_verdicts(&mut new.connection(), credentials);
    }
    assert_eq!(failures(&new), 0);

    // The old primary is upgraded next, with its file: nothing was written since that it cannot read.
    old.shutdown("SAVE");
    old.upgrade();
    old.start_again();
    cmd(&mut old.connection(), &format!("REPLICAOF 127.0.0.1 {}", new.port())).unwrap();
    new.wait_for_sync(&old);
    let token = login(&mut new.connection(), "sessions:after");
    cmd(&mut new.connection(), &format!("SESSION.REVOKE sessions:after {token}")).unwrap();
    new.wait_for_sync(&old);
    assert_eq!(stored(&old), stored(&new));
    assert_verdicts(&mut old.connection(), &credentials);
    assert_eq!(verdict(&mut old.connection(), "sessions:after", &token), "revoked");
    assert_eq!((failures(&old), failures(&new)), (0, 0));
}

/// Users beside those of [`users_in_every_state`].
fn users_in_every_state_of_others(con: &mut Connection) -> Vec<Credential> {
    let mut credentials = Vec::new();
    for (verdict, end) in [("active", None), ("revoked", Some("REVOKE")), ("user_revoked", Some("REVOKEUSER"))] {
        let key = format!("sessions:late-{verdict}");
        let token = login(con, &format!("{key} ID one"));
        if let Some(end) = end {
            let id = if end == "REVOKE" { " one" } else { "" };
            cmd(con, &format!("SESSION.{end} {key}{id}")).unwrap();
        }
        credentials.push(Credential { key, token, verdict: verdict.into() });
    }
    credentials
}

/// Fails unless a server that has loaded what a later version wrote has closed each user, and is a server like any other.
#[track_caller]
fn assert_all_closed(server: &Server, credentials: &[Credential]) {
    let mut con = server.connection();
    let users = int(&mut con, "DBSIZE") - 1;
    assert!(users > 5);
    assert_eq!(failures(server), users);
    wait_until("the log says it", || server.log_contains(LINE));
    for Credential { key, token, .. } in credentials {
        assert_closed(server, key, &[token]);
    }
    assert_eq!(cmd(&mut con, "GET elsewhere").unwrap(), redis::Value::BulkString(b"kept".to_vec()));
    let stats = fields(cmd(&mut con, "SESSION.STATS").unwrap());
    assert_eq!((stats.int("users"), stats.int("sessions")), (0, 0));
    let token = login(&mut con, "sessions:new");
    assert_eq!(verdict(&mut con, "sessions:new", &token), "active");
    let key = &credentials[0].key;
    cmd(&mut con, &format!("DEL {key}")).unwrap();
    let token = login(&mut con, key);
    assert_eq!(verdict(&mut con, key, &token), "active");
}

/// A server of the next version with users in every state, and another key.
fn later(config: &str) -> (Server, Vec<Credential>) {
    let server = lasting().later_format().config(config).start();
    let mut con = server.connection();
    cmd(&mut con, "SET elsewhere kept").unwrap();
    let credentials = users_in_every_state(&mut con);
    (server, credentials)
}

#[test]
fn an_rdb_file_of_a_later_version_closes_its_users() {
    let (mut new, credentials) = later("");
    new.shutdown("SAVE");
    let file = fs::read(new.dir().join("dump.rdb")).unwrap();
    let mut old = lasting().file("dump.rdb", file).start();
    assert_all_closed(&old, &credentials);
    // It is kept closed in its own file, and upgrading alone brings nothing back.
    old.shutdown("SAVE");
    old.upgrade();
    old.start_again();
    let last = credentials.last().unwrap();
    assert_closed(&old, &last.key, &[&last.token]);
    assert_eq!(failures(&old), 0);
    // With the file of the later version it has everything.
    new.start_again();
    assert_verdicts(&mut new.connection(), &credentials);
}

#[test]
fn a_replica_that_copies_from_a_later_version_closes_its_users() {
    let (new, credentials) = later("");
    let old = lasting().replica_of(&new).start();
    new.wait_for_sync(&old);
    let mut con = old.connection();
    for Credential { key, token, .. } in &credentials {
        assert_closed(&old, key, &[token]);
        assert_eq!(stateless(&mut con, key, token), "user_revoked");
    }
    assert!(failures(&old) > 5);
}

/// A server of this version with the append-only file of another.
fn with_log_of(other: &Server) -> ServerBuilder {
    fn add(mut builder: ServerBuilder, folder: &Path, name: &str) -> ServerBuilder {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
            builder = builder.file(name, fs::read(path).unwrap());
        }
        builder
    }
    add(lasting().appendonly(), &other.dir().join("appendonlydir"), "appendonlydir")
}

#[test]
fn a_log_of_a_later_version_closes_its_users() {
    for (config, rewritten) in
        [("aof-use-rdb-preamble yes", false), ("aof-use-rdb-preamble yes", true), ("aof-use-rdb-preamble no", true)]
    {
        let (mut new, credentials) = later(&format!("appendonly yes\nappendfsync always\n{config}"));
        if rewritten {
            rewrite(&new);
        }
        new.kill();
        let mut old = with_log_of(&new).config(config).start();
        let mut con = old.connection();
        assert!(failures(&old) > 5, "{config} {rewritten}");
        for Credential { key, token, .. } in &credentials {
            assert_closed(&old, key, &[token]);
        }
        assert_eq!(cmd(&mut con, "GET elsewhere").unwrap(), redis::Value::BulkString(b"kept".to_vec()));
        // The log has what this version could not read, for the next one.
        old.kill();
        old.upgrade();
        old.start_again();
        assert_verdicts(&mut old.connection(), &credentials);
        assert_eq!(failures(&old), 0);
    }
}

#[test]
fn a_closed_user_stays_so_when_the_log_is_rewritten_and_time_goes_on_for_all_others() {
    let (mut new, credentials) = later("appendonly yes\nappendfsync always");
    new.kill();
    for preamble in ["aof-use-rdb-preamble yes", "aof-use-rdb-preamble no"] {
        let mut old = with_log_of(&new).config(preamble).start();
        rewrite(&old);
        old.kill();
        old.start_again();
        let Credential { key, token, .. } = &credentials[0];
        assert_closed(&old, key, &[token]);
        assert_time_goes_on(&old);
    }
}

/// Fails unless logouts on this server end what there is, and nothing that comes later.
#[track_caller]
fn assert_time_goes_on(server: &Server) {
    let mut con = server.connection();
    let key = "sessions:time";
    let old = login(&mut con, key);
    let stats = fields(cmd(&mut con, "SESSION.STATS").unwrap());
    assert!(stats.int("clock_behind_ms") < 3_600_000, "{stats:?}");
    cmd(&mut con, &format!("SESSION.REVOKEUSER {key}")).unwrap();
    let everyone = int(&mut con, "SESSION.REVOKEALL");
    assert!(everyone <= redis_session_tests::now_ms(&mut con) + 3_600_000, "{everyone}");
    let new = login(&mut con, &format!("{key} ID one"));
    assert_eq!(verdict(&mut con, key, &old), "user_revoked");
    assert_eq!(verdict(&mut con, key, &new), "active");
}

#[test]
fn an_older_replica_that_becomes_the_primary_has_its_closed_users_log_in_again() {
    let mut token = String::new();
    let (new, old) = upgraded_primary(|con| token = login(con, KEY));
    cmd(&mut new.connection(), "SESSION.SET sessions:42 nobody a 1").unwrap_err();
    let other = login(&mut new.connection(), KEY);
    new.wait_for_sync(&old);
    assert_closed(&old, KEY, &[&token, &other]);
    let second = lasting().replica_of(&old).start();
    cmd(&mut old.connection(), "REPLICAOF NO ONE").unwrap();
    old.wait_for_sync(&second);
    let mut con = old.connection();
    let again = login(&mut con, KEY);
    assert_eq!(verdict(&mut con, KEY, &again), "active");
    assert_eq!(int(&mut con, "SESSION.REVOKEUSER sessions:42"), 1);
    let last = login(&mut con, KEY);
    old.wait_for_sync(&second);
    for server in [&old, &second] {
        for token in [&token, &other, &again] {
            assert_eq!(stateless(&mut server.connection(), KEY, token), "user_revoked");
        }
        assert_eq!(verdict(&mut server.connection(), KEY, &last), "active");
    }
    cmd(&mut second.connection(), "REPLICAOF NO ONE").unwrap();
    for server in [&old, &second] {
        assert_time_goes_on(server);
    }
}

#[test]
fn a_client_that_restores_what_a_later_version_dumped_gets_an_error() {
    let (new, credentials) = later("");
    let old = lasting().start();
    let payload: Vec<u8> = redis::cmd("DUMP").arg(&credentials[0].key).query(&mut new.connection()).unwrap();
    let mut con = old.connection();
    let refused = cmd_args(&mut con, [b"RESTORE", KEY.as_bytes(), b"0", &payload[..]]).unwrap_err();
    assert!(refused.to_string().contains("Bad data format"), "{refused}");
    assert_eq!(int(&mut con, "DBSIZE"), 0);
    assert_eq!(failures(&old), 0);
    // The other way round there is nothing that it cannot read.
    let token = login(&mut con, KEY);
    let payload: Vec<u8> = redis::cmd("DUMP").arg(KEY).query(&mut con).unwrap();
    cmd_args(&mut new.connection(), [b"RESTORE", KEY.as_bytes(), b"0", &payload[..]]).unwrap();
    assert_eq!(verdict(&mut new.connection(), KEY, &token), "active");
    assert!(error(&mut con, "SESSION.APPLY sessions:42 effects").contains("not for clients"));
}
