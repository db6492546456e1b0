//! Append-only files that end anywhere, as a crash of the whole machine leaves them.
//!
//! `REDIS_TEST_ROUNDS` says how many ends are tried.

use std::fs;

use redis_session_tests::{Server, amount, cmd_args, create, create_with};

use crate::append_only_file::{part, rewrite};
use crate::chance::Random;
use crate::users::{Stored, server, stored};
use crate::wire::append_only_file;

/// The length of the log after each command, and what was stored then.
fn history(server: &Server) -> Vec<(usize, Stored)> {
    let mut con = server.connection();
    let mut history = vec![(0, stored(server))];
    for n in 0..12 {
        let key = format!("sessions:{}", n % 3);
        let data = "x".repeat(n * 40);
        let more = ["AGENT", &format!("agent {n}"), "IP", "2001:db8::1", "REFRESH", "0", "DATA", "1", "field", &data];
        let created = create_with(&mut con, &key, &more);
        history.push((append_only_file(server).len(), stored(server)));
        let (id, refresh) = (created.str("id"), created.str("refresh_token"));
        match n % 6 {
            0 => drop(cmd_args(&mut con, ["SESSION.REFRESH", &key, &refresh]).unwrap()),
            1 => drop(cmd_args(&mut con, ["SESSION.SET", &key, &id, "field", "another value"]).unwrap()),
            2 => drop(cmd_args(&mut con, ["SESSION.REVOKE", &key, &id]).unwrap()),
            3 => drop(cmd_args(&mut con, ["SESSION.REVOKEUSER", &key, "EXCEPT", &id]).unwrap()),
            4 => drop(cmd_args(&mut con, ["SESSION.REGENERATE", &key, &id]).unwrap()),
            _ => {
                let mut pipe = redis::pipe();
                pipe.atomic().cmd("SESSION.REVOKE").arg(&key).arg(&id);
                pipe.cmd("SESSION.CREATE").arg(&key).cmd("SESSION.CREATE").arg("sessions:other");
                pipe.exec(&mut con).unwrap();
            }
        }
        history.push((append_only_file(server).len(), stored(server)));
    }
    history
}

#[test]
fn a_log_cut_anywhere_gives_what_was_there_after_some_command() {
    let mut random = Random::of_this_run();
    let origin = server().appendonly().start();
    let history = history(&origin);
    let log = append_only_file(&origin);
    let incremental = part(&origin, ".incr.aof");
    let manifest = fs::read(part(&origin, ".manifest")).unwrap();
    let base = part(&origin, ".base.rdb");
    let name = |path: &std::path::Path| format!("appendonlydir/{}", path.file_name().unwrap().to_str().unwrap());
    for _ in 0..amount("REDIS_TEST_ROUNDS", 12) {
        let cut = random.below(log.len() + 1);
        // Of a transaction that is cut, nothing is left.
        let (whole, expected) = history.iter().rev().find(|(length, _)| *length <= cut).unwrap();
        let mut after = server().appendonly().config("aof-load-truncated yes");
        after = after.file(name(&base), fs::read(&base).unwrap()).file(name(&incremental), &log[..cut]);
        let mut after = after.file("appendonlydir/appendonly.aof.manifest", manifest.clone()).start();
        assert_eq!(stored(&after), *expected, "cut to {cut} of {} bytes", log.len());
        // What follows is written behind the cut. Servers leave the beginning of a transaction there, as if what follows
        // belonged to it (valkey-io/valkey#4342): then only a rewrite helps.
        if log[*whole..cut].starts_with(b"*1\r\n$5\r\nMULTI") {
            rewrite(&after);
        }
        create(&mut after.connection(), "sessions:0 AGENT later");
        let expected = stored(&after);
        after.kill();
        after.start_again();
        assert_eq!(stored(&after), expected, "cut to {cut} of {} bytes", log.len());
    }
}
