//! Dry runs, and one pass after another.

use std::fs;
use std::io::{BufRead as _, BufReader};

use redis_session_tests::{Server, cmd, text};

use crate::old::{HOUR, del, id_of, ids, login, moved, set};
use crate::program::{Migration, signal};

fn with_sessions(sessions: usize) -> (Server, Migration) {
    let server = Server::start();
    let mut con = server.connection();
    for n in 0..sessions {
        login(&mut con, &format!("token{n}"), &format!(r#"{{"uid":{}}}"#, n / 2), HOUR);
    }
    let migration = Migration::on(&server);
    (server, migration)
}

#[test]
fn a_dry_run_writes_nothing_and_says_what_would_be_moved() {
    let (server, migration) = with_sessions(20);
    let mut con = server.connection();
    set(&mut con, "blacklist:token3", "1");
    set(&mut con, "user_blacklist:4", "1");
    let (digest, changes) = (server.digest_of_all(), server.info("persistence", "rdb_changes_since_last_save"));
    for _ in 0..2 {
        let run = migration.run("");
        assert_eq!(run.code, 0, "{run:?}");
        for line in [
            "A dry run: nothing was written. --apply moves.",
            "20  session:*",
            "17  would be moved",
            "1  blacklisted: it is on the blacklist",
            "2  user_blacklisted:",
            "The user is in: uid (20)",
        ] {
            assert!(run.stdout.contains(line), "{line}: {}", run.stdout);
        }
        assert_eq!(migration.report("dry-run.jsonl").len(), 3, "each dry run begins a report of its own");
    }
    assert_eq!((server.digest_of_all(), server.info("persistence", "rdb_changes_since_last_save")), (digest, changes));
    assert!(!migration.path().join("state.json").exists());

    migration.apply("");
    assert!(migration.run("").stdout.contains("17  done already"));
}

#[test]
fn old_keys_stay() {
    let (server, migration) = with_sessions(3);
    migration.apply("");
    for n in 0..3 {
        assert_eq!(crate::old::ask(&server, &format!("EXISTS session:token{n}")), "1");
    }
}

#[test]
fn another_pass_changes_nothing_but_moves_late_logins() {
    let (server, migration) = with_sessions(20);
    let run = migration.apply("");
    assert!(run.stdout.contains("20  moved"), "{run:?}");
    let digest = server.digest("sessions:0");
    login(&mut server.connection(), "late", r#"{"uid":"42"}"#, HOUR);
    let run = migration.apply("");
    assert!(run.stdout.contains("1  moved") && run.stdout.contains("20  done already"), "{run:?}");
    assert_eq!(server.digest("sessions:0"), digest);
    assert!(moved(&server, "42", "late").is_some());
}

/// How often the server was asked this since it started.
fn calls(server: &Server, command: &str) -> u64 {
    let stats = text(&cmd(&mut server.connection(), "INFO commandstats").unwrap());
    let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:")));
    line.and_then(|line| line.split("calls=").nth(1)?.split(',').next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn what_has_not_changed_is_looked_at_and_no_more() {
    let (server, migration) = with_sessions(200);
    let mut con = server.connection();
    let asked = ["get", "pttl", "exists", "SESSION.TTL", "SESSION.UNSET", "SESSION.CREATE", "SESSION.REVOKE"];
    let all = || asked.map(|command| calls(&server, command));
    let before = all();
    migration.apply("");
    let first = all();
    migration.apply("");
    let second = all();
    let since = |before: &[u64], after: &[u64]| after.iter().zip(before).map(|(n, m)| n - m).collect::<Vec<_>>();
    assert_eq!(since(&before, &first), [600, 200, 600, 0, 200, 200, 0]);
    assert_eq!(since(&first, &second), [200, 0, 0, 200, 0, 0, 0]);

    // One whose value changes, one that is new and one that is not here any more.
    login(&mut con, "token0", r#"{"uid":0,"theme":"dark"}"#, HOUR);
    login(&mut con, "late", r#"{"uid":"late"}"#, HOUR);
    cmd(&mut con, "DEL sessions:7").unwrap();
    let run = migration.apply("");
    assert!(run.stdout.contains("3  moved") && run.stdout.contains("198  done already"), "{run:?}");
    assert_eq!(calls(&server, "SESSION.CREATE") - second[5], 4);
    assert!(moved(&server, "late", "late").is_some() && moved(&server, "7", "token14").is_some());
}

#[test]
fn what_was_logged_out_since_is_ended_though_its_key_has_not_changed() {
    let (server, migration) = with_sessions(6);
    let mut con = server.connection();
    migration.apply("");
    set(&mut con, "blacklist:token0", "1");
    set(&mut con, "user_blacklist:1", "1");
    // This one says so itself.
    login(&mut con, "token4", r#"{"uid":2,"revoked":true}"#, HOUR);
    migration.apply("");
    assert_eq!([0, 1, 2].map(|user| ids(&server, &user.to_string()).len()), [1, 0, 1]);
    for (token, reason) in [("token0", "blacklisted"), ("token2", "user_blacklisted"), ("token4", "over")] {
        assert_eq!(migration.reason("report.jsonl", token).as_deref(), Some(reason));
    }
    // What has ended here is still told.
    cmd(&mut con, &format!("SESSION.REVOKE sessions:2 {}", id_of("token5"))).unwrap();
    migration.apply("");
    assert_eq!(migration.reason("report.jsonl", "token5").as_deref(), Some("ended_here"));
}

#[test]
fn it_says_when_it_will_end() {
    let (_server, migration) = with_sessions(200);
    let mut run = migration.start("--apply --batch 5 --rate 10");
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let said = lines.find_map(|line| line.ok().filter(|line| line.contains("; ends at about "))).expect("an end");
    let (_, end) = said.split_once("; ends at about ").unwrap();
    assert!(end.ends_with(" UTC") && end.matches(':').count() >= 1, "{said}");
    signal(run.id(), "KILL");
    run.wait().unwrap();
}

#[test]
fn another_folder_moves_nothing_twice() {
    let (server, migration) = with_sessions(20);
    migration.apply("");
    let again = Migration::on(&server);
    again.apply("");
    assert_eq!((again.count("/sessions/moved"), again.count("/sessions/already")), (0, 20));
    assert_eq!(crate::old::live(&server), 20);
}

#[test]
fn a_session_whose_old_key_is_gone_is_ended_if_that_is_wanted() {
    let (server, migration) = with_sessions(4);
    let mut con = server.connection();
    migration.apply("");
    let swapped = id_of("token2");
    redis_session_tests::cmd(&mut con, &format!("SESSION.REGENERATE sessions:1 {swapped}")).unwrap();
    for token in ["token0", "token2"] {
        del(&mut con, &format!("session:{token}"));
    }
    // A new login that was never in the old layout.
    redis_session_tests::cmd(&mut con, "SESSION.CREATE sessions:0 ID new").unwrap();

    // Asked twice without it, the answer is the same: what is gone is not forgotten.
    for _ in 0..2 {
        let run = migration.apply("");
        assert!(run.stdout.contains("the old key was deleted since: 2; --revoke-gone ends them"), "{run:?}");
        assert_eq!(ids(&server, "0").len(), 3);
    }
    let run = migration.apply("--revoke-gone");
    assert!(run.stdout.contains("the old key was deleted since: 2; they were ended"), "{run:?}");
    assert_eq!(ids(&server, "0"), ["new".to_owned(), id_of("token1")]);
    assert_eq!(ids(&server, "1").len(), 2, "one that was swapped for a token is the new layout's");
    assert!(!migration.apply("--revoke-gone").stdout.contains("deleted since"));
}

#[test]
fn old_keys_are_deleted_once_they_are_moved_if_that_is_wanted() {
    let (server, migration) = with_sessions(10);
    let mut con = server.connection();
    migration.apply("");
    login(&mut con, "late", r#"{"uid":"42"}"#, HOUR);
    set(&mut con, "session:forever", r#"{"uid":"42"}"#);
    let run = migration.run("--apply --delete-moved");
    assert_eq!(run.code, 3);
    assert!(run.stdout.contains("Old keys deleted: 11"), "{run:?}");
    assert_eq!(crate::old::ask(&server, "EXISTS session:token0 session:token9 session:late"), "0");
    assert_eq!(crate::old::ask(&server, "EXISTS session:forever"), "1", "what is not moved is not deleted");
    assert_eq!(crate::old::live(&server), 11);

    // A key that is missing means nothing any more.
    let run = migration.run("--apply --revoke-gone");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("--delete-moved was used here"), "{run:?}");
    migration.run("--apply");
    assert_eq!(crate::old::live(&server), 11);
}

#[test]
fn what_is_kept_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let (_server, migration) = with_sessions(3);
    migration.run("");
    migration.apply("");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&migration.path()), 0o700);
    for entry in fs::read_dir(migration.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
