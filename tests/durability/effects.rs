//! What is written for replicas and append-only files: effects, never decisions or secrets.

use redis::{Connection, Value};
use redis_session_tests::{Server, cmd, cmd_args, create, error};

use crate::users::{let_a_moment_pass, server, users_in_every_state};
use crate::wire::{Stream, append_only_file, commands, names};

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Fails unless the bytes hold effects alone: no command as it was given, no token.
#[track_caller]
fn assert_effects_alone(bytes: &[u8], tokens: &[String]) {
    let written = commands(bytes);
    assert!(written.iter().filter(|written| written.name == "SESSION.APPLY").count() > 100);
    for written in &written {
        assert!(["SELECT", "SESSION.APPLY"].contains(&written.name.as_str()), "{written:?}");
    }
    for word in ["SESSION.CREATE", "SESSION.TOUCH", "SESSION.REVOKE", "TTL", "TOKEN", "IDLE", "MAX", "CLAIMS"] {
        assert!(!contains(bytes, word), "{word}");
    }
    for token in tokens {
        assert!(!contains(bytes, token), "{token}");
        // Neither is the part that makes it valid.
        let signature = token.rsplit('.').next().unwrap();
        assert!(signature.len() > 40 && !contains(bytes, signature), "{token}");
    }
}

#[test]
fn the_append_only_file_holds_effects_and_no_token() {
    let server = server().appendonly().start();
    let credentials = users_in_every_state(&mut server.connection());
    let tokens: Vec<_> = credentials.into_iter().map(|credential| credential.token).collect();
    assert_effects_alone(&append_only_file(&server), &tokens);
}

#[test]
fn the_replication_stream_holds_effects_and_no_token() {
    let server = server().start();
    let stream = Stream::of(&server);
    let credentials = users_in_every_state(&mut server.connection());
    let tokens: Vec<_> = credentials.into_iter().map(|credential| credential.token).collect();
    assert_effects_alone(&stream.bytes(&server), &tokens);
}

#[test]
fn the_snapshot_holds_no_token() {
    let mut server = server().config("rdbcompression no").start();
    let credentials = users_in_every_state(&mut server.connection());
    server.shutdown("SAVE");
    let file = std::fs::read(server.dir().join("dump.rdb")).unwrap();
    assert!(contains(&file, "A phone, version 1"), "the file is to be readable");
    for credential in credentials {
        assert!(!contains(&file, credential.token.rsplit('.').next().unwrap()), "{credential:?}");
    }
    server.start_again();
}

#[test]
fn times_are_written_as_moments() {
    let server = server().start();
    let stream = Stream::of(&server);
    let created = create(&mut server.connection(), "sessions:42 TTL 1234567");
    let written = commands(&stream.bytes(&server));
    let effects = &written.last().unwrap().args[1];
    let moment = &created.int("expires_at").to_le_bytes()[..6];
    assert!(effects.windows(6).any(|window| window == moment), "{effects:?}");
    assert!(!effects.windows(4).any(|window| window == 1_234_567_i32.to_le_bytes()), "{effects:?}");
}

#[test]
fn each_command_writes_one_effect_for_its_key() {
    let server = server().start();
    let mut con = server.connection();
    let old = create(&mut con, "sessions:42 TOKEN OPAQUE");
    let_a_moment_pass(&mut con);
    type Step<'a> = (&'a str, Vec<&'a str>);
    let token = old.str("token");
    let steps: [Step<'_>; 5] = [
        ("TOUCH", vec!["SESSION.TOUCH", "sessions:42", &token]),
        ("CREATE with an eviction", vec!["SESSION.CREATE", "sessions:42", "MAX", "1", "ID", "new"]),
        ("REVOKE", vec!["SESSION.REVOKE", "sessions:42", "new"]),
        ("REVOKEUSER", vec!["SESSION.REVOKEUSER", "sessions:42"]),
        ("DENY", vec!["SESSION.DENY", "sessions:42", "elsewhere", "UNTIL", "4102444800000"]),
    ];
    for (what, step) in steps {
        let stream = Stream::of(&server);
        cmd_args(&mut con, step).unwrap();
        let written = commands(&stream.bytes(&server));
        assert_eq!(names(&written), ["SELECT", "SESSION.APPLY"], "{what}");
        assert_eq!(written[1].args[0], b"sessions:42", "{what}");
    }
}

/// Commands that change nothing, for a user with the session `mine` and the revoked session `gone`.
fn change_nothing(con: &mut Connection, tokens: [&str; 2]) {
    let [mine, gone] = tokens;
    for line in [
        "SESSION.REVOKE sessions:42 unknown",
        "SESSION.REVOKE sessions:42 gone",
        "SESSION.REVOKE sessions:nobody unknown",
        "SESSION.DENY sessions:42 gone UNTIL 1",
        "SESSION.DENY sessions:nobody unknown UNTIL 1",
        &format!("SESSION.REVOKE sessions:42 {gone}"),
        &format!("SESSION.REVOKE sessions:other {mine}"),
    ] {
        assert_eq!(cmd(con, line).unwrap(), Value::Int(0), "{line}");
    }
    for line in [
        &format!("SESSION.VALIDATE sessions:42 {mine} FULL") as &str,
        &format!("SESSION.VALIDATE sessions:42 {gone}"),
        &format!("SESSION.TOUCH sessions:42 {gone}"),
        "SESSION.TOUCH sessions:42 no-token",
        "SESSION.TOUCH sessions:nobody no-token",
        "SESSION.LIST sessions:42",
        "SESSION.COUNT sessions:42",
        "SESSION.GET sessions:42 mine",
        "SESSION.TTL sessions:42 mine",
    ] {
        cmd(con, line).unwrap();
    }
    for (line, code) in [
        ("SESSION.CREATE sessions:42 MAX 1 REJECT", "SESSIONLIMIT"),
        ("SESSION.CREATE sessions:42 ID mine", "SESSIONEXISTS"),
        ("SESSION.CREATE sessions:42 TTL 0", "ERR"),
        ("SESSION.CREATE sessions:42 NONSENSE", "ERR"),
        ("SESSION.CREATE sessions:", "ERR"),
        ("SESSION.CREATE elsewhere:42", "ERR"),
        ("SESSION.CREATE", "ERR"),
        ("SESSION.CREATE sessions:list", "WRONGTYPE"),
        ("SESSION.REVOKEUSER sessions:42 EXCEPT", "ERR"),
        ("SESSION.REVOKEUSER sessions:list", "WRONGTYPE"),
        ("SESSION.APPLY sessions:42 effects", "ERR"),
    ] {
        let error = error(con, line);
        assert!(error.starts_with(&format!("{code} ")), "{line}: {error}");
    }
}

fn user_with_one_revoked(con: &mut Connection) -> [String; 2] {
    cmd(con, "RPUSH sessions:list item").unwrap();
    let gone = create(con, "sessions:42 ID gone TOKEN OPAQUE");
    cmd(con, "SESSION.REVOKE sessions:42 gone").unwrap();
    let mine = create(con, "sessions:42 ID mine TOKEN OPAQUE");
    [mine.str("token"), gone.str("token")]
}

#[test]
fn what_changes_nothing_is_not_logged() {
    let server = server().appendonly().start();
    let mut con = server.connection();
    let [mine, gone] = user_with_one_revoked(&mut con);
    let before = append_only_file(&server);
    change_nothing(&mut con, [&mine, &gone]);
    assert!(append_only_file(&server) == before);
}

#[test]
fn what_changes_nothing_is_not_replicated() {
    let server = server().start();
    let mut con = server.connection();
    let [mine, gone] = user_with_one_revoked(&mut con);
    let stream = Stream::of(&server);
    change_nothing(&mut con, [&mine, &gone]);
    // Before anything else, even before the mark at the end, the stream names the database.
    assert_eq!(names(&commands(&stream.bytes(&server))), ["SELECT"]);
}

/// How much the server's count of changes since the last snapshot grows.
fn changes(server: &Server, work: impl FnOnce()) -> i64 {
    let count = || server.info("persistence", "rdb_changes_since_last_save").parse::<i64>().unwrap();
    let before = count();
    work();
    count() - before
}

#[test]
fn a_change_counts_towards_the_next_snapshot() {
    let server = server().start();
    let mut con = server.connection();
    assert!(changes(&server, || drop(create(&mut con, "sessions:42 ID one TOKEN NONE"))) > 0);
    let revoke = "SESSION.REVOKE sessions:42 one";
    assert!(changes(&server, || drop(cmd(&mut con, revoke).unwrap())) > 0);
    assert_eq!(changes(&server, || drop(cmd(&mut con, revoke).unwrap())), 0);
    assert!(changes(&server, || drop(cmd(&mut con, "SESSION.REVOKEUSER sessions:42").unwrap())) > 0);
}
