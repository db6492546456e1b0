//! docs/runbooks/restore.md

use std::fs;
use std::time::Instant;

use redis_session_tests::{Server, login, restore_backup, verdict, wait_until};

use super::{line, shell_on};
use crate::load::{Load, Losses};
use crate::verify::good;

/// All that it has kept.
fn lose_data(server: &mut Server) {
    server.kill();
    fs::remove_dir_all(server.dir().join("appendonlydir")).unwrap();
    let _ = fs::remove_file(server.dir().join("dump.rdb"));
}

#[test]
fn a_backup_revives_what_was_logged_out_since_until_everyone_is_out() {
    let mut primary = good().config("pidfile ./pid").start();
    let mut replica = good().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    let load = Load::start(&[primary.url()]);
    let backed_up = Instant::now();
    assert!(primary.cli(&["BGSAVE"]).stdout.contains("started"));
    let done = |field, value| primary.info("persistence", field) == value;
    wait_until("the file is written", || done("rdb_bgsave_in_progress", "0") && done("rdb_saves", "1"));
    let backup = fs::read(primary.dir().join("dump.rdb")).unwrap();
    load.go_on(300);
    let lost = Instant::now();
    lose_data(&mut primary);
    lose_data(&mut replica);
    let mut history = load.end();

    primary.write("backup.rdb", backup);
    restore_backup(&mut primary);
    // What the page warns of.
    let losses = history.losses(&mut primary.connection());
    assert!(losses.lost > 0 && losses.undone > 0, "{losses:?}");
    history.report("restore without its third step", &losses);
    let losses = history.until(backed_up).losses(&mut primary.connection());
    assert_eq!(losses, Losses::NONE, "the backup has all of its time");

    shell_on(&primary, &line("restore.md", "everyone-out"), &[]);
    let done = Instant::now();
    history.everyone_is_out(lost, done);
    let again = login(&mut primary.connection(), "sessions:again");
    history.waited = lost.elapsed();
    let losses = history.losses(&mut primary.connection());
    history.report("restore", &losses);
    assert_eq!(losses, Losses::NONE);

    // Empty, as the page says; and what everyone-out did is kept.
    replica.start_again();
    primary.wait_for_sync(&replica);
    shell_on(&primary, "redis-session-admin verify", &[]);
    primary.kill();
    primary.start_again();
    primary.wait_for_sync(&replica);
    for server in [&primary, &replica] {
        let mut con = server.connection();
        assert_eq!(history.losses(&mut con), Losses::NONE);
        assert_eq!(verdict(&mut con, "sessions:again", &again), "active");
    }
    let load = Load::start(&[primary.url()]);
    assert_eq!(load.stop("after the restore", &mut primary.connection()), Losses::NONE);
}
