//! Replicas: what reaches them, what they answer, and what a failover keeps.

use std::time::Duration;

use redis::Value;
use redis_session_tests::{Server, ServerBuilder, cmd, cmd_args, create, create_with, error, int, verdict, wait_until};

use crate::users::{assert_verdicts, let_a_moment_pass, listed, server, session, stored, users_in_every_state};

/// A primary and its replica, synchronised.
fn pair() -> (Server, Server) {
    let primary = quiet().start();
    let replica = quiet().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    (primary, replica)
}

/// A server that sends its replicas nothing but changes, not even a sign of life.
fn quiet() -> ServerBuilder {
    server().config("repl-ping-replica-period 3600")
}

fn offset(primary: &Server) -> i64 {
    primary.info("replication", "master_repl_offset").parse().unwrap()
}

fn promote(replica: &Server) {
    cmd(&mut replica.connection(), "REPLICAOF NO ONE").unwrap();
    assert_eq!(replica.info("replication", "role"), "master");
}

#[test]
fn a_full_synchronisation_brings_everything() {
    let primary = server().start();
    let credentials = users_in_every_state(&mut primary.connection());
    let replica = server().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    assert_eq!(stored(&replica), stored(&primary));
    assert_eq!(listed(&replica), listed(&primary));
    assert_verdicts(&mut replica.connection(), &credentials);
}

#[test]
fn a_stream_of_commands_brings_everything() {
    let (primary, replica) = pair();
    let full = |primary: &Server| primary.info("stats", "sync_full");
    assert_eq!(full(&primary), "1");
    let credentials = users_in_every_state(&mut primary.connection());
    primary.wait_for_sync(&replica);
    assert_eq!(full(&primary), "1", "everything was to come as a stream");
    assert_eq!(stored(&replica), stored(&primary));
    assert_eq!(listed(&replica), listed(&primary));
    assert_verdicts(&mut replica.connection(), &credentials);
}

#[test]
fn a_replica_that_was_away_gets_what_it_missed() {
    let (primary, replica) = pair();
    cmd(&mut replica.connection(), "REPLICAOF 127.0.0.1 1").unwrap();
    let credentials = users_in_every_state(&mut primary.connection());
    let back = format!("REPLICAOF 127.0.0.1 {}", primary.port());
    cmd(&mut replica.connection(), &back).unwrap();
    primary.wait_for_sync(&replica);
    assert_eq!(stored(&replica), stored(&primary));
    assert_verdicts(&mut replica.connection(), &credentials);
}

#[test]
fn transactions_and_scripts_arrive_whole() {
    let (primary, replica) = pair();
    let mut con = primary.connection();
    let mut pipe = redis::pipe();
    pipe.atomic();
    for n in 0..5 {
        pipe.cmd("SESSION.CREATE").arg("sessions:42").arg(&["MAX", "3", "ID"]).arg(format!("session-{n}"));
    }
    pipe.cmd("SESSION.REVOKE").arg("sessions:42").arg("session-3");
    pipe.exec(&mut con).unwrap();
    let script = "for n = 1, 5 do redis.call('SESSION.CREATE', KEYS[1], 'MAX', '3', 'IP', '192.0.2.' .. n) end \
                  redis.call('SESSION.REVOKE', KEYS[1], 'nobody') \
                  return redis.call('SESSION.COUNT', KEYS[1])";
    assert_eq!(cmd_args(&mut con, ["EVAL", script, "1", "sessions:43"]).unwrap(), Value::Int(3));
    primary.wait_for_sync(&replica);
    assert_eq!(stored(&primary).len(), 2);
    assert_eq!(stored(&replica), stored(&primary));
    assert_eq!(listed(&replica), listed(&primary));
}

#[test]
fn a_replica_answers_readers() {
    let (primary, replica) = pair();
    let created = create(&mut primary.connection(), "sessions:42 IDLE 600 AGENT phone");
    primary.wait_for_sync(&replica);
    let mut con = replica.connection();
    assert_eq!(verdict(&mut con, "sessions:42", &created.str("token")), "active");
    assert_eq!(session(&mut con, "sessions:42", &created.str("id")).str("agent"), "phone");
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 1);
    assert!(int(&mut con, &format!("SESSION.TTL sessions:42 {}", created.str("id"))) > 0);
}

#[test]
fn a_replica_refuses_writers() {
    let (primary, replica) = pair();
    let created = create(&mut primary.connection(), "sessions:42 TOKEN OPAQUE ID mine");
    primary.wait_for_sync(&replica);
    let mut con = replica.connection();
    let token = created.str("token");
    for line in [
        "SESSION.CREATE sessions:42",
        &format!("SESSION.TOUCH sessions:42 {token}"),
        "SESSION.REVOKE sessions:42 mine",
        "SESSION.REVOKEUSER sessions:42",
        "SESSION.APPLY sessions:42 effects",
    ] {
        assert!(error(&mut con, line).starts_with("READONLY"), "{line}");
    }
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
}

#[test]
fn a_replica_tells_the_time_by_itself_and_deletes_nothing() {
    let (primary, replica) = pair();
    let mut con = primary.connection();
    // What the primary deletes goes on the replica too.
    cmd(&mut con, "CONFIG SET session.sweep-time 0").unwrap();
    create(&mut con, "sessions:42 TTL 3600");
    let short = create(&mut con, "sessions:42 TTL 1800 TOKEN OPAQUE").str("token");
    let idle = create(&mut con, "sessions:42 IDLE 1800 TOKEN OPAQUE").str("token");
    primary.wait_for_sync(&replica);
    let (digest, offset_before) = (primary.digest("sessions:42"), offset(&primary));
    let mut con = replica.connection();
    for (minutes, of_short, of_idle) in [(0, "active", "active"), (29, "active", "active"), (1, "expired", "idle")] {
        replica.advance(Duration::from_secs(minutes * 60));
        assert_eq!(verdict(&mut con, "sessions:42", &short), of_short);
        assert_eq!(verdict(&mut con, "sessions:42", &idle), of_idle);
    }
    assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 1);
    assert_eq!(replica.digest("sessions:42"), digest);
    assert_eq!(offset(&primary), offset_before);
}

#[test]
fn uses_within_the_granularity_stay_on_the_primary() {
    let (primary, replica) = pair();
    let mut con = primary.connection();
    cmd(&mut con, "CONFIG SET session.touch-granularity 60").unwrap();
    let created = create(&mut con, "sessions:42 IDLE 86400");
    let (id, token) = (created.str("id"), created.str("token"));
    let (digest, before) = (primary.digest("sessions:42"), offset(&primary));
    for _ in 0..20 {
        let_a_moment_pass(&mut con);
        cmd_args(&mut con, ["SESSION.TOUCH", "sessions:42", &token]).unwrap();
    }
    assert_eq!(offset(&primary), before);
    primary.wait_for_sync(&replica);
    let (here, there) = (session(&mut con, "sessions:42", &id), session(&mut replica.connection(), "sessions:42", &id));
    assert!(here.int("last_seen_at") > there.int("last_seen_at"));
    assert!(here.int("idle_expires_at") > there.int("idle_expires_at"));
    assert_eq!(primary.digest("sessions:42"), digest);
    assert_eq!(replica.digest("sessions:42"), digest);
}

#[test]
fn a_use_beyond_a_tenth_of_the_idle_timeout_reaches_the_replica() {
    let (primary, replica) = pair();
    let mut con = primary.connection();
    cmd(&mut con, "CONFIG SET session.touch-granularity 3600").unwrap();
    let created = create(&mut con, "sessions:42 IDLE 18000");
    let (id, token, before) = (created.str("id"), created.str("token"), offset(&primary));
    primary.advance(Duration::from_secs(1740));
    cmd_args(&mut con, ["SESSION.TOUCH", "sessions:42", &token]).unwrap();
    assert_eq!(offset(&primary), before, "a minute less is within it");
    primary.advance(Duration::from_secs(61));
    cmd_args(&mut con, ["SESSION.TOUCH", "sessions:42", &token]).unwrap();
    primary.wait_for_sync(&replica);
    assert_eq!(replica.digest("sessions:42"), primary.digest("sessions:42"));
    let (here, there) = (session(&mut con, "sessions:42", &id), session(&mut replica.connection(), "sessions:42", &id));
    assert_eq!(there, here);
}

/// A use that is replicated makes the replica set the key's expiry as it should be: the primary must too.
#[test]
fn a_use_leaves_the_same_deadline_on_both() {
    let (primary, replica) = pair();
    let mut con = primary.connection();
    let created = create(&mut con, "sessions:42");
    for change in ["PERSIST sessions:42", "EXPIRE sessions:42 1000"] {
        cmd(&mut con, change).unwrap();
        let_a_moment_pass(&mut con);
        cmd_args(&mut con, ["SESSION.TOUCH", "sessions:42", &created.str("token")]).unwrap();
        primary.wait_for_sync(&replica);
        assert_eq!(stored(&replica), stored(&primary), "{change}");
    }
}

#[test]
fn a_failover_keeps_revocations() {
    let (primary, replica) = pair();
    let credentials = users_in_every_state(&mut primary.connection());
    primary.wait_for_sync(&replica);
    let mut primary = primary;
    primary.kill();
    promote(&replica);
    let mut con = replica.connection();
    assert_verdicts(&mut con, &credentials);
    for credential in credentials.iter().filter(|credential| credential.verdict != "active") {
        cmd_args(&mut con, ["SESSION.TOUCH", &credential.key, &credential.token]).unwrap();
        create(&mut con, &format!("{} MAX 1000", credential.key));
    }
    assert_verdicts(&mut con, &credentials);
    primary.start_again();
}

#[test]
fn the_old_primary_learns_what_happened_after_a_failover() {
    let (primary, replica) = pair();
    let created = create(&mut primary.connection(), "sessions:42 TOKEN OPAQUE");
    primary.wait_for_sync(&replica);
    promote(&replica);
    let token = created.str("token");
    cmd_args(&mut replica.connection(), ["SESSION.REVOKE", "sessions:42", &token]).unwrap();
    cmd(&mut primary.connection(), &format!("REPLICAOF 127.0.0.1 {}", replica.port())).unwrap();
    replica.wait_for_sync(&primary);
    assert_eq!(verdict(&mut primary.connection(), "sessions:42", &token), "revoked");
    assert_eq!(stored(&primary), stored(&replica));
}

#[test]
fn a_replica_of_a_replica_has_everything() {
    let (primary, middle) = pair();
    let last = quiet().replica_of(&middle).start();
    middle.wait_for_sync(&last);
    let credentials = users_in_every_state(&mut primary.connection());
    primary.wait_for_sync(&middle);
    middle.wait_for_sync(&last);
    assert_eq!(stored(&middle), stored(&primary));
    assert_eq!(stored(&last), stored(&primary));
    assert_verdicts(&mut last.connection(), &credentials);
    promote(&middle);
    create_with(&mut middle.connection(), "sessions:after-the-failover", &["AGENT", "new"]);
    middle.wait_for_sync(&last);
    assert_eq!(stored(&last), stored(&middle));
}

#[test]
fn a_replicas_own_log_holds_what_it_received() {
    let primary = quiet().start();
    let mut replica = quiet().replica_of(&primary).appendonly().start();
    primary.wait_for_sync(&replica);
    // It begins its log again with what the synchronisation brought.
    wait_until("the replica has a log again", || {
        replica.info("persistence", "aof_enabled") == "1"
            && replica.info("persistence", "aof_rewrite_in_progress") == "0"
            && replica.info("persistence", "aof_rewrite_scheduled") == "0"
    });
    let credentials = users_in_every_state(&mut primary.connection());
    primary.wait_for_sync(&replica);
    let expected = stored(&primary);
    let mut primary = primary;
    primary.kill();
    replica.kill();
    replica.start_again();
    assert_eq!(stored(&replica), expected);
    assert_verdicts(&mut replica.connection(), &credentials);
    primary.start_again();
}

#[test]
fn a_diskless_synchronisation_replaces_what_the_replica_had() {
    for load in ["swapdb", "on-empty-db", "disabled"] {
        let primary = quiet().start();
        let credentials = users_in_every_state(&mut primary.connection());
        let replica = quiet().config(format!("repl-diskless-load {load}")).start();
        create_with(&mut replica.connection(), "sessions:of-before", &["AGENT", "of before"]);
        users_in_every_state(&mut replica.connection());
        cmd(&mut replica.connection(), &format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap();
        primary.wait_for_sync(&replica);
        assert_eq!(stored(&replica), stored(&primary), "{load}");
        assert_eq!(listed(&replica), listed(&primary), "{load}");
        assert_verdicts(&mut replica.connection(), &credentials);
        assert!(!replica.log_contains("Skipping diskless-load"), "{load}");
    }
}

/// A replica that falls behind takes in everything again, and meanwhile answers from its old data.
#[test]
fn a_synchronisation_that_breaks_off_leaves_what_was_there() {
    let primary = quiet().config("repl-backlog-size 16kb\nrdbcompression no").start();
    let replica = quiet().config("repl-diskless-load swapdb\nloading-process-events-interval-bytes 1024");
    let replica = replica.replica_of(&primary).start();
    let mut con = primary.connection();
    let token = create(&mut con, "sessions:42 TOKEN OPAQUE AGENT early").str("token");
    primary.wait_for_sync(&replica);
    let before = stored(&replica);

    // What it misses now does not fit into the backlog.
    cmd(&mut replica.connection(), "REPLICAOF 127.0.0.1 1").unwrap();
    let data = "x".repeat(1000);
    for n in 0..300 {
        let agent = format!("agent {}", n % 7);
        create_with(&mut con, &format!("sessions:{n}"), &["AGENT", &agent, "DATA", "1", "field", &data]);
    }
    assert_eq!(cmd_args(&mut con, ["SESSION.REVOKE", "sessions:42", &token]).unwrap(), Value::Int(1));
    // Microseconds for each key, so that there is time to look and to interfere.
    cmd(&mut con, "CONFIG SET rdb-key-save-delay 5000").unwrap();
    cmd(&mut replica.connection(), &format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap();

    let mut there = replica.connection();
    let is_loading = || replica.info("persistence", "async_loading") == "1";
    for _ in 0..2 {
        wait_until("the replica takes in the new data", is_loading);
        assert_eq!(verdict(&mut there, "sessions:42", &token), "active");
        assert!(error(&mut there, "SESSION.APPLY sessions:42 effects").starts_with("READONLY"));
        cmd(&mut con, "CLIENT KILL TYPE replica").unwrap();
        wait_until("the replica gives up", || !is_loading());
        assert_eq!(stored(&replica), before);
    }
    cmd(&mut con, "CONFIG SET rdb-key-save-delay 0").unwrap();
    primary.wait_for_sync(&replica);
    assert_eq!(verdict(&mut there, "sessions:42", &token), "revoked");
    assert_eq!(stored(&replica), stored(&primary));
    assert_eq!(listed(&replica), listed(&primary));
}

#[test]
fn settings_of_a_replica_have_no_say_in_what_it_stores() {
    let primary = quiet().start();
    let stricter = "session.ttl 60\nsession.idle-timeout 30\nsession.max-per-user 2\nsession.limit-policy reject\n\
                    session.max-data-bytes 4\nsession.max-fields 1\nsession.key-prefix elsewhere:";
    let replica = quiet().config(stricter).replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    users_in_every_state(&mut primary.connection());
    primary.wait_for_sync(&replica);
    assert_eq!(stored(&replica), stored(&primary));
}
