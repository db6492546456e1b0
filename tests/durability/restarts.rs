//! Restarts from an RDB file.

use redis::Value;
use redis_session_tests::{Server, ServerBuilder, cmd, cmd_args, create, create_with, int, wait_until};

use crate::users::{
    Credential, assert_verdicts, let_a_moment_pass, listed, server, session, stored, users_in_every_state,
};

/// Fails unless the server holds the same sessions, traces, epochs and deadlines after `restart` as before.
#[track_caller]
pub fn assert_all_survives(mut server: Server, restart: impl FnOnce(&mut Server)) {
    let credentials = users_in_every_state(&mut server.connection());
    let (stored_before, listed_before) = (stored(&server), listed(&server));
    let process = server.info("server", "run_id");
    restart(&mut server);
    assert_ne!(server.info("server", "run_id"), process, "the server was to start again");
    assert_eq!(stored(&server), stored_before);
    assert_eq!(listed(&server), listed_before);
    assert_verdicts(&mut server.connection(), &credentials);
}

/// Writes an RDB file in the background.
#[track_caller]
pub fn background_save(server: &Server) {
    cmd(&mut server.connection(), "BGSAVE").unwrap();
    wait_until("the file is written", || server.info("persistence", "rdb_bgsave_in_progress") == "0");
    assert_eq!(server.info("persistence", "rdb_last_bgsave_status"), "ok");
}

#[test]
fn an_orderly_restart_keeps_everything() {
    assert_all_survives(server().start(), Server::restart);
}

#[test]
fn a_crash_keeps_what_the_last_background_save_wrote() {
    assert_all_survives(server().start(), |server| {
        background_save(server);
        create(&mut server.connection(), "sessions:after-the-save");
        server.kill();
        server.start_again();
    });
}

#[test]
fn a_reload_in_place_keeps_everything() {
    let server = server().start();
    let credentials = users_in_every_state(&mut server.connection());
    let (stored_before, listed_before) = (stored(&server), listed(&server));
    cmd(&mut server.connection(), "DEBUG RELOAD").unwrap();
    assert_eq!(stored(&server), stored_before);
    assert_eq!(listed(&server), listed_before);
    assert_verdicts(&mut server.connection(), &credentials);
}

#[test]
fn sessions_of_every_database_survive() {
    let mut server = server().start();
    for db in 0..16 {
        let mut con = server.connection();
        cmd(&mut con, &format!("SELECT {db}")).unwrap();
        create_with(&mut con, "sessions:42", &["ID", &format!("of-{db}")]);
    }
    server.restart();
    for db in 0..16 {
        let mut con = server.connection();
        cmd(&mut con, &format!("SELECT {db}")).unwrap();
        assert_eq!(session(&mut con, "sessions:42", &format!("of-{db}")).str("id"), format!("of-{db}"));
        assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 1);
    }
}

#[test]
fn a_snapshot_keeps_uses_that_were_not_worth_replicating() {
    let mut server = ServerBuilder::new().keys(&["one"]).config("session.touch-granularity 3600").start();
    let mut con = server.connection();
    let created = create(&mut con, "sessions:42 IDLE 86400");
    let before = session(&mut con, "sessions:42", &created.str("id")).int("last_seen_at");
    let_a_moment_pass(&mut con);
    cmd_args(&mut con, ["SESSION.TOUCH", "sessions:42", &created.str("token")]).unwrap();
    let touched = session(&mut con, "sessions:42", &created.str("id"));
    assert!(touched.int("last_seen_at") > before);
    server.restart();
    assert_eq!(session(&mut server.connection(), "sessions:42", &created.str("id")), touched);
}

#[test]
fn a_user_with_three_thousand_sessions_is_saved_and_loaded() {
    let mut server = server().start();
    let mut con = server.connection();
    let mut pipe = redis::pipe();
    for n in 0..3000 {
        let create = pipe.cmd("SESSION.CREATE").arg("sessions:crawler").arg(&["MAX", "5000", "TOKEN", "NONE"]);
        create.arg("AGENT").arg(format!("crawler {n}")).arg(&["DATA", "1", "n"]).arg(n).ignore();
    }
    pipe.exec(&mut con).unwrap();
    let (stored_before, listed_before) = (stored(&server), listed(&server));
    server.restart();
    assert_eq!(int(&mut server.connection(), "SESSION.COUNT sessions:crawler"), 3000);
    assert_eq!(stored(&server), stored_before);
    assert_eq!(listed(&server), listed_before);
}

#[test]
fn a_saved_user_can_go_on() {
    let mut server = server().start();
    let kept = create(&mut server.connection(), "sessions:42 TOKEN OPAQUE AGENT one");
    let revoked = create(&mut server.connection(), "sessions:42 TOKEN OPAQUE AGENT two");
    server.restart();
    let mut con = server.connection();
    assert_eq!(cmd_args(&mut con, ["SESSION.REVOKE", "sessions:42", &revoked.str("token")]).unwrap(), Value::Int(1));
    let new = create(&mut con, "sessions:42 TOKEN OPAQUE AGENT two");
    let credentials = [(kept, "active"), (revoked, "revoked"), (new, "active")].map(|(created, verdict)| Credential {
        key: "sessions:42".into(),
        token: created.str("token"),
        verdict: verdict.into(),
    });
    assert_verdicts(&mut con, &credentials);
    server.restart();
    assert_verdicts(&mut server.connection(), &credentials);
    assert_eq!(crate::users::agents(&mut server.connection(), "sessions:42"), ["two", "one"]);
}

#[test]
fn a_server_without_the_module_says_what_it_lacks() {
    let mut with = server().start();
    create(&mut with.connection(), "sessions:42");
    with.shutdown("SAVE");
    let file = std::fs::read(with.dir().join("dump.rdb")).unwrap();
    with.start_again();
    let log = ServerBuilder::new().without_module().file("dump.rdb", file).try_start().unwrap_err();
    // The cutoff of SESSION.REVOKEALL stands before the keys; newer servers leave out one that is not set.
    assert!(log.contains("no matching module 'sessions1'") || log.contains("module type 'sessions1'"), "{log}");
}
