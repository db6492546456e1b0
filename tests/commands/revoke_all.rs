//! SESSION.REVOKEALL

use std::time::Duration;

use redis::Connection;
use redis_session_tests::issuer::{claims, header, now_secs, sign, trusting_server};
use redis_session_tests::{
    Server, ServerBuilder, advance, advance_to, ask, cmd, cmd_args, create, error, fields, ids, int, list, login,
    now_ms, on_both, on_both_of, set_back, text, verdict, verdict_with, wait_until,
};

const KEY: &str = "sessions:42";

fn stateless(con: &mut Connection, token: &str) -> String {
    verdict_with(con, ["SESSION.VALIDATE", KEY, token, "STATELESS"])
}

/// The cutoff that a server says it has.
fn revoked_before(server: &Server) -> i64 {
    fields(cmd(&mut server.connection(), "SESSION.STATS").unwrap()).int("revoked_before")
}

#[test]
fn all_sessions_of_all_users_end_with_their_tokens() {
    on_both(|_, con| {
        // A swept session is unknown by its id.
        cmd(con, "CONFIG SET session.sweep-time 0").unwrap();
        let users: Vec<_> = (0..5)
            .map(|n| {
                let key = format!("sessions:{n}");
                let form = ["JWT", "OPAQUE"][n % 2];
                let created = create(con, &format!("{key} ID one TOKEN {form} REFRESH 600"));
                (key, created.str("token"), created.str("refresh_token"))
            })
            .collect();
        let before = now_ms(con);
        let cutoff = int(con, "SESSION.REVOKEALL");
        assert!(cutoff > before);
        for (key, token, refresh_token) in &users {
            assert_eq!(verdict(con, key, token), "user_revoked");
            assert_eq!(verdict_with(con, ["SESSION.TOUCH", key, token, "STATELESS"]), "user_revoked");
            let refreshed = ask(con, &format!("SESSION.REFRESH {key} {refresh_token}"));
            assert_eq!(refreshed.str("reason"), "user_revoked");
            assert_eq!(ask(con, &format!("SESSION.REGENERATE {key} one")).str("reason"), "user_revoked");
            assert_eq!(int(con, &format!("SESSION.COUNT {key}")), 0);
            assert!(ids(con, key).is_empty());
            assert_eq!(cmd(con, &format!("SESSION.GET {key} one")).unwrap(), redis::Value::Nil);
            assert_eq!(int(con, &format!("SESSION.TTL {key} one")), -2);
            assert!(error(con, &format!("SESSION.SET {key} one a 1")).ends_with("user_revoked"));
            assert_eq!(int(con, &format!("SESSION.REVOKE {key} one {token}")), 0);
            assert_eq!(int(con, &format!("SESSION.REVOKEUSER {key} EXCEPT one")), 0);
        }
    });
}

#[test]
fn a_login_right_after_it_works_in_the_same_millisecond() {
    on_both(|_, con| {
        for n in 0..50 {
            let old = [login(con, KEY), login(con, "sessions:42 TOKEN OPAQUE")];
            let mut pipe = redis::pipe();
            pipe.cmd("SESSION.REVOKEALL");
            pipe.cmd("SESSION.CREATE").arg(KEY);
            pipe.cmd("SESSION.CREATE").arg(KEY).arg("ID").arg("one").arg("TOKEN").arg("OPAQUE");
            let replies: Vec<redis::Value> = pipe.query(con).unwrap();
            for reply in &replies[1..] {
                let token = fields(reply.clone()).str("token");
                assert_eq!(verdict(con, KEY, &token), "active", "{n}");
            }
            for token in &old {
                assert_eq!(verdict(con, KEY, token), "user_revoked", "{n}");
            }
        }
    });
}

/// An id that begins again begins after all that it had before, which may be ahead of the clock.
#[test]
fn a_session_that_began_ahead_of_the_clock_ends_too() {
    on_both(|_, con| {
        let mut pipe = redis::pipe();
        for _ in 0..50 {
            pipe.cmd("SESSION.CREATE").arg(KEY).arg("ID").arg("one");
            pipe.cmd("SESSION.REVOKEUSER").arg(KEY).ignore();
        }
        pipe.cmd("SESSION.CREATE").arg(KEY).arg("ID").arg("one");
        pipe.cmd("SESSION.REVOKEALL");
        let replies: Vec<redis::Value> = pipe.query(con).unwrap();
        let last = fields(replies[replies.len() - 2].clone()).str("token");
        assert_eq!(verdict(con, KEY, &last), "user_revoked");
        assert_eq!(int(con, "SESSION.COUNT sessions:42"), 0);
    });
}

#[test]
fn jwts_from_elsewhere_of_that_second_or_earlier_are_dead_and_later_ones_are_good() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let issued = |con: &mut Connection, iat: Option<i64>| {
            let mut claims = claims(con, "42", "elsewhere");
            match iat {
                Some(iat) => claims["iat"] = iat.into(),
                None => drop(claims.as_object_mut().unwrap().remove("iat")),
            }
            sign(&header(), &claims)
        };
        let before = now_secs(con);
        let undated = issued(con, None);
        let cutoff = int(con, "SESSION.REVOKEALL");
        for iat in [before, before - 1000] {
            let token = issued(con, Some(iat));
            assert_eq!(stateless(con, &token), "user_revoked", "{iat}");
            assert_eq!(ask(con, &format!("SESSION.CREATE {KEY} FROM {token}")).str("reason"), "user_revoked");
        }
        assert_eq!(stateless(con, &undated), "user_revoked");
        let next = cutoff / 1000 + 1;
        advance_to(con, next * 1000);
        let token = issued(con, Some(next));
        assert_eq!(stateless(con, &token), "active");
        assert_eq!(stateless(con, &undated), "user_revoked");
    });
}

#[test]
fn jwts_whose_iat_is_ahead_by_the_leeway_are_dead_too() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        cmd(con, "CONFIG SET session.leeway 60").unwrap();
        let mut ahead = claims(con, "42", "ahead");
        ahead["iat"] = (now_secs(con) + 50).into();
        let ahead = sign(&header(), &ahead);
        assert_eq!(stateless(con, &ahead), "active");
        cmd(con, "SESSION.REVOKEALL").unwrap();
        assert_eq!(stateless(con, &ahead), "user_revoked");
        // Less leeway later takes nothing back.
        cmd(con, "CONFIG SET session.leeway 0").unwrap();
        advance(con, Duration::from_secs(60));
        assert_eq!(stateless(con, &ahead), "user_revoked");
    });
}

#[test]
fn before_ends_what_began_before_that_moment() {
    on_both(|server, con| {
        let [early, late] = [(); 2].map(|()| {
            advance(con, Duration::from_secs(10));
            create(con, KEY)
        });
        let began = |con: &mut Connection, created: &redis_session_tests::Fields| {
            ask(con, &format!("SESSION.GET {KEY} {}", created.str("id"))).int("created_at")
        };
        let moment = began(con, &late);
        assert_eq!(int(con, &format!("SESSION.REVOKEALL before {moment}")), moment);
        assert_eq!(revoked_before(server), moment - 1);
        assert_eq!(verdict(con, KEY, &early.str("token")), "user_revoked");
        assert_eq!(verdict(con, KEY, &late.str("token")), "active");
        // An earlier moment than the one before changes nothing.
        assert_eq!(int(con, &format!("SESSION.REVOKEALL BEFORE {}", moment - 5000)), moment);
        assert_eq!(verdict(con, KEY, &early.str("token")), "user_revoked");
        assert_eq!(int(con, &format!("SESSION.REVOKEALL BEFORE {}", moment + 1)), moment + 1);
        assert_eq!(verdict(con, KEY, &late.str("token")), "user_revoked");
    });
}

#[test]
fn a_moment_ahead_ends_what_begins_until_then_and_clear_takes_that_back_alone() {
    on_both(|_, con| {
        let old = login(con, KEY);
        let ahead = now_ms(con) + 3_600_000;
        assert_eq!(int(con, &format!("SESSION.REVOKEALL BEFORE {ahead}")), ahead);
        let meanwhile = login(con, KEY);
        for token in [&old, &meanwhile] {
            assert_eq!(verdict(con, KEY, token), "user_revoked");
        }
        let cleared = int(con, "SESSION.REVOKEALL CLEAR");
        assert!(cleared < ahead);
        let new = login(con, KEY);
        for (token, expected) in [(&old, "user_revoked"), (&meanwhile, "user_revoked"), (&new, "active")] {
            assert_eq!(verdict(con, KEY, token), expected);
        }
        // Nothing of it lies ahead any more.
        assert_eq!(int(con, "SESSION.REVOKEALL CLEAR"), cleared);
        assert_eq!(verdict(con, KEY, &new), "active");
    });
}

#[test]
fn a_moment_ahead_that_has_come_is_over() {
    on_both(|_, con| {
        let moment = now_ms(con) + 3_600_000;
        cmd(con, &format!("SESSION.REVOKEALL BEFORE {moment}")).unwrap();
        let token = login(con, "sessions:42 TTL 86400 TOKEN OPAQUE");
        advance_to(con, moment);
        let new = login(con, KEY);
        assert_eq!(verdict(con, KEY, &token), "user_revoked");
        assert_eq!(verdict(con, KEY, &new), "active");
    });
}

#[test]
fn nothing_else_takes_it_back() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let own = login(con, "sessions:42 ID one");
        let other = sign(&header(), &claims(con, "42", "elsewhere"));
        let cutoff = int(con, "SESSION.REVOKEALL");
        for line in ["FLUSHALL", "CONFIG SET session.not-before 0", "SESSION.REVOKEALL CLEAR", "DEBUG RELOAD"] {
            cmd(con, line).unwrap();
            assert_eq!(revoked_before(&server), cutoff - 1, "{line}");
            assert_eq!(stateless(con, &own), "user_revoked", "{line}");
            assert_eq!(stateless(con, &other), "user_revoked", "{line}");
        }
    });
}

#[test]
fn what_it_has_ended_is_swept_and_stays_dead() {
    let server = trusting_server();
    on_both_of(&server, |con| {
        let own = [login(con, "sessions:42 ID one"), login(con, "sessions:42 TOKEN OPAQUE")];
        let other = sign(&header(), &claims(con, "42", "one"));
        // It counts JWTs by the second.
        advance(con, Duration::from_secs(2));
        cmd(con, "SESSION.REVOKEALL").unwrap();
        wait_until("the sweep deletes the key", || int(con, "EXISTS sessions:42") == 0);
        for token in own.iter().chain([&other]) {
            assert_eq!(stateless(con, token), "user_revoked");
        }
        let next = login(con, "sessions:42 ID one");
        assert_eq!(verdict(con, KEY, &next), "active");
        for token in own.iter().chain([&other]) {
            assert_eq!(stateless(con, token), "user_revoked");
        }
    });
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    on_both(|server, con| {
        let token = login(con, KEY);
        let cutoff = revoked_before(server);
        let number = "ERR BEFORE must be a whole number from 0 to 281474976710655";
        for (line, expected) in [
            ("BEFORE x", number),
            ("BEFORE -1", number),
            ("BEFORE 281474976710656", number),
            ("BEFORE", "ERR BEFORE needs a value"),
            ("BEFORE 1 BEFORE 2", "ERR BEFORE is given twice"),
            ("BEFORE 1 CLEAR", "ERR CLEAR does not go with BEFORE"),
            ("CLEAR CLEAR", "ERR CLEAR is given twice"),
            ("NOW", "ERR unknown option NOW"),
            ("sessions:42", "ERR syntax error: an option was expected"),
            // For replicas and files alone.
            ("CUTOFF 281474976710655 281474976710655", "ERR unknown option CUTOFF"),
        ] {
            assert_eq!(error(con, &format!("SESSION.REVOKEALL {line}")), expected, "{line}");
        }
        let script = "return redis.call('SESSION.REVOKEALL', 'CUTOFF', '281474976710655', '281474976710655')";
        cmd_args(con, ["EVAL", script, "0"]).unwrap_err();
        assert_eq!(revoked_before(server), cutoff);
        assert_eq!(verdict(con, KEY, &token), "active");
    });
}

#[test]
fn it_is_counted_logged_and_audited() {
    let server = Server::builder().config("session.audit-stream audit").start();
    let mut con = server.connection();
    let cutoff = int(&mut con, "SESSION.REVOKEALL");
    cmd(&mut con, "CLIENT SETNAME console").unwrap();
    let ahead = now_ms(&mut con) + 3_600_000;
    cmd(&mut con, &format!("SESSION.REVOKEALL BEFORE {ahead}")).unwrap();
    let cleared = int(&mut con, "SESSION.REVOKEALL CLEAR");
    let entries: Vec<_> = list(cmd(&mut con, "XRANGE audit - +").unwrap())
        .into_iter()
        .map(|entry| list(list(entry)[1].clone()).iter().map(text).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        entries,
        [
            format!("event revokeall before {cutoff} acl_user default"),
            format!("event revokeall before {ahead} acl_user default client console"),
            format!("event revokeall before {cleared} acl_user default client console"),
        ]
    );
    let stats = fields(cmd(&mut con, "SESSION.STATS").unwrap());
    assert_eq!((stats.int("revoke_all"), stats.int("revoked_before")), (3, cleared - 1));
    wait_until("the log says it", || {
        server.log_contains(&format!("session: SESSION.REVOKEALL: all that began up to {} is dead", cutoff - 1))
    });
}

#[test]
fn replicas_have_it_by_the_stream_and_by_a_full_synchronisation() {
    let primary = Server::builder().keys(&["one"]).start();
    let mut con = primary.connection();
    let replica = || ServerBuilder::new().keys(&["one"]).replica_of(&primary).start();
    let [early, late] = [login(&mut con, KEY), login(&mut con, "sessions:43 TOKEN OPAQUE")];
    let first = replica();
    primary.wait_for_sync(&first);
    assert_eq!(verdict(&mut first.connection(), KEY, &early), "active");
    let cutoff = int(&mut con, "SESSION.REVOKEALL");
    let after = login(&mut con, KEY);
    primary.wait_for_sync(&first);
    let second = replica();
    primary.wait_for_sync(&second);
    for replica in [&first, &second] {
        assert_eq!(revoked_before(replica), cutoff - 1);
        let mut con = replica.connection();
        assert_eq!(verdict(&mut con, KEY, &early), "user_revoked");
        assert_eq!(verdict(&mut con, "sessions:43", &late), "user_revoked");
        assert_eq!(verdict(&mut con, KEY, &after), "active");
        assert!(error(&mut con, "SESSION.REVOKEALL").starts_with("READONLY "));
        let stats = fields(cmd(&mut con, "SESSION.STATS").unwrap());
        assert_eq!(stats.int("revoke_all"), 0, "the primary's doing");
    }
    // Also with what lies ahead, and without it again.
    let ahead = now_ms(&mut con) + 3_600_000;
    for line in [format!("SESSION.REVOKEALL BEFORE {ahead}"), "SESSION.REVOKEALL CLEAR".into()] {
        let cutoff = int(&mut con, &line);
        for replica in [&first, &second] {
            primary.wait_for_sync(replica);
            assert_eq!(revoked_before(replica), cutoff - 1, "{line}");
        }
    }
    cmd(&mut first.connection(), "REPLICAOF NO ONE").unwrap();
    let new = login(&mut first.connection(), KEY);
    for (token, expected) in [(&early, "user_revoked"), (&after, "user_revoked"), (&new, "active")] {
        assert_eq!(verdict(&mut first.connection(), KEY, token), expected);
    }
}

#[test]
fn a_transaction_and_a_script_can_hold_it() {
    let primary = Server::builder().keys(&["one"]).start();
    let replica = ServerBuilder::new().keys(&["one"]).replica_of(&primary).start();
    let mut con = primary.connection();
    let old = login(&mut con, KEY);
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("SESSION.REVOKEALL");
    pipe.cmd("SESSION.CREATE").arg(KEY);
    let (cutoff, created): (i64, redis::Value) = pipe.query(&mut con).unwrap();
    let new = fields(created).str("token");
    primary.wait_for_sync(&replica);
    for server in [&primary, &replica] {
        assert_eq!(revoked_before(server), cutoff - 1);
        assert_eq!(verdict(&mut server.connection(), KEY, &old), "user_revoked");
        assert_eq!(verdict(&mut server.connection(), KEY, &new), "active");
    }
    let cutoff = cmd_args(&mut con, ["EVAL", "return redis.call('SESSION.REVOKEALL')", "0"]).unwrap();
    primary.wait_for_sync(&replica);
    for server in [&primary, &replica] {
        assert_eq!(redis::Value::Int(revoked_before(server) + 1), cutoff);
        assert_eq!(verdict(&mut server.connection(), KEY, &new), "user_revoked");
    }
}

/// Fails unless a restart keeps the cutoff, and what it says of each token.
#[track_caller]
fn assert_it_survives(mut server: Server, restart: impl Fn(&mut Server)) {
    let mut con = server.connection();
    let old = [login(&mut con, KEY), login(&mut con, "sessions:42 TOKEN OPAQUE ID one")];
    cmd(&mut con, "SESSION.REVOKEALL").unwrap();
    let cutoff = revoked_before(&server);
    let new = login(&mut con, KEY);
    for round in 0..2 {
        restart(&mut server);
        assert_eq!(revoked_before(&server), cutoff, "{round}");
        let mut con = server.connection();
        for token in &old {
            assert_eq!(stateless(&mut con, token), "user_revoked", "{round}");
        }
        assert_eq!(verdict(&mut con, KEY, &new), "active", "{round}");
    }
}

/// The same where nothing else is stored at all.
#[track_caller]
fn assert_it_survives_alone(mut server: Server, restart: impl Fn(&mut Server)) {
    let token = login(&mut server.connection(), KEY);
    cmd(&mut server.connection(), "DEL sessions:42").unwrap();
    assert_eq!(stateless(&mut server.connection(), &token), "active");
    cmd(&mut server.connection(), "SESSION.REVOKEALL").unwrap();
    let cutoff = revoked_before(&server);
    for round in 0..2 {
        restart(&mut server);
        assert_eq!(int(&mut server.connection(), "DBSIZE"), 0);
        assert_eq!(revoked_before(&server), cutoff, "{round}");
        assert_eq!(stateless(&mut server.connection(), &token), "user_revoked", "{round}");
    }
    // It lies ahead of a clock that is behind, but did not when it was set.
    set_back(&mut server.connection(), Duration::from_secs(5));
    restart(&mut server);
    cmd(&mut server.connection(), "SESSION.REVOKEALL CLEAR").unwrap();
    assert_eq!(revoked_before(&server), cutoff);
}

fn crash(server: &mut Server) {
    server.kill();
    server.start_again();
}

/// Rewrites the append-only file.
#[track_caller]
fn rewrite(server: &Server) {
    let idle = || server.info("persistence", "aof_rewrite_in_progress") == "0";
    wait_until("no rewrite is under way", idle);
    cmd(&mut server.connection(), "BGREWRITEAOF").unwrap();
    wait_until("the log is rewritten", || idle() && server.info("persistence", "aof_rewrite_scheduled") == "0");
    assert_eq!(server.info("persistence", "aof_last_bgrewrite_status"), "ok");
}

/// A server with an append-only file whose rewrites begin with a snapshot, or do not.
fn logging(preamble: &str) -> Server {
    Server::builder().keys(&["one"]).appendonly().config(format!("aof-use-rdb-preamble {preamble}")).start()
}

fn rewrite_and_crash(server: &mut Server) {
    rewrite(server);
    // What is not in the log's new beginning comes with the next tick.
    wait_until("the log has the cutoff", || {
        let parts = std::fs::read_dir(server.dir().join("appendonlydir")).unwrap();
        parts.map(|part| std::fs::read(part.unwrap().path()).unwrap()).any(|part| has_cutoff(&part))
    });
    crash(server);
}

/// Whether a part of a log has a cutoff, as a command or in a snapshot.
fn has_cutoff(part: &[u8]) -> bool {
    part.windows(6).any(|bytes| bytes == b"CUTOFF") || part.starts_with(b"REDIS") || part.starts_with(b"VALKEY")
}

#[test]
fn a_replicas_log_that_was_rewritten_as_commands_of_no_user_keeps_it() {
    let primary = logging("no");
    let settings = "aof-use-rdb-preamble no";
    let mut replica = Server::builder().keys(&["one"]).appendonly().config(settings).replica_of(&primary).start();
    cmd(&mut primary.connection(), "SESSION.REVOKEALL").unwrap();
    primary.wait_for_sync(&replica);
    let cutoff = revoked_before(&primary);
    // Its replication goes on as if nothing had been written.
    rewrite(&replica);
    cmd(&mut primary.connection(), "SET elsewhere 1").unwrap();
    primary.wait_for_sync(&replica);
    assert_eq!(primary.info("stats", "sync_full"), "1");
    cmd(&mut primary.connection(), "DEL elsewhere").unwrap();
    primary.wait_for_sync(&replica);
    // From its own log, not from its primary.
    let frozen = primary.freeze();
    rewrite_and_crash(&mut replica);
    assert_eq!(revoked_before(&replica), cutoff);
    drop(frozen);
}

#[test]
fn an_rdb_file_keeps_it() {
    let server = || Server::builder().keys(&["one"]).start();
    assert_it_survives(server(), Server::restart);
    assert_it_survives_alone(server(), Server::restart);
}

#[test]
fn an_append_only_file_keeps_it_as_it_grows() {
    for preamble in ["yes", "no"] {
        assert_it_survives(logging(preamble), crash);
        assert_it_survives_alone(logging(preamble), crash);
    }
}

#[test]
fn a_log_that_was_rewritten_with_a_snapshot_keeps_it() {
    assert_it_survives(logging("yes"), rewrite_and_crash);
    assert_it_survives_alone(logging("yes"), rewrite_and_crash);
}

#[test]
fn a_log_that_was_rewritten_as_commands_keeps_it() {
    assert_it_survives(logging("no"), rewrite_and_crash);
}

#[test]
fn a_log_that_was_rewritten_as_commands_of_no_user_keeps_it() {
    assert_it_survives_alone(logging("no"), rewrite_and_crash);
}
