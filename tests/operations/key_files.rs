//! The keys that sign tokens: files, their faults, and their rotation.

use redis_session_tests::issuer::foreign;
use redis_session_tests::{Server, ServerBuilder, cmd, cmd_args, create, jwk_set, verdict, verdict_with};

use crate::commands::{get, set, set_error};

/// What may be wrong with a file, and what the error must say.
fn faults() -> Vec<(String, &'static str)> {
    let short = r#"{"keys":[{"kty":"oct","kid":"one","alg":"HS256","k":"c2hvcnQ"}]}"#;
    vec![
        ("keys = none".into(), "JSON"),
        (String::new(), "JSON"),
        ("{}".into(), "keys"),
        (r#"{"keys":[]}"#.into(), "key"),
        (short.into(), "the secret has 40 bits, and HS256 needs 256 or more"),
        (jwk_set(&["one"]).replace("oct", "RSA"), "\"one\""),
        (jwk_set(&["one"]).replace("HS256", "none"), "\"one\""),
        (jwk_set(&["one", "two"]).replace("\"two\"", "\"one\""), "\"one\""),
    ]
}

#[test]
fn tokens_outlive_a_restart() {
    let mut server = ServerBuilder::new().keys(&["one"]).start();
    let jwt = create(&mut server.connection(), "sessions:42").str("token");
    let opaque = create(&mut server.connection(), "sessions:42 TOKEN OPAQUE").str("token");
    server.restart();
    for token in [jwt, opaque] {
        assert_eq!(verdict(&mut server.connection(), "sessions:42", &token), "active");
    }
}

#[test]
fn tokens_without_a_file_do_not_outlive_a_restart() {
    let mut server = Server::start();
    let token = create(&mut server.connection(), "sessions:42").str("token");
    assert_eq!(verdict(&mut server.connection(), "sessions:42", &token), "active");
    server.restart();
    assert_eq!(verdict(&mut server.connection(), "sessions:42", &token), "unknown_key");
}

#[test]
fn the_log_warns_that_there_is_no_file() {
    let warning = "session.keys-file is not set: tokens are signed with a random key";
    assert!(Server::start().log_contains(warning));
    assert!(!ServerBuilder::new().keys(&["one"]).start().log_contains(warning));
}

#[test]
fn servers_with_the_same_file_know_each_others_tokens() {
    let start = || ServerBuilder::new().keys(&["one"]).start();
    let (here, there) = (start(), start());
    let created = create(&mut here.connection(), "sessions:42 ID mine");
    let check = ["SESSION.VALIDATE", "sessions:42", &created.str("token"), "STATELESS"];
    assert_eq!(verdict_with(&mut there.connection(), check), "active");
    let payload: Vec<u8> = redis::cmd("DUMP").arg("sessions:42").query(&mut here.connection()).unwrap();
    let restore = redis::cmd("RESTORE").arg("sessions:42").arg(0).arg(payload).exec(&mut there.connection());
    restore.unwrap();
    assert_eq!(verdict(&mut there.connection(), "sessions:42", &created.str("token")), "active");
    let stranger = ServerBuilder::new().keys(&["two"]).start();
    create(&mut stranger.connection(), "sessions:42 ID mine TOKEN NONE");
    assert_eq!(verdict(&mut stranger.connection(), "sessions:42", &created.str("token")), "unknown_key");
}

#[test]
fn a_file_may_be_a_load_argument() {
    let server = ServerBuilder::new()
        .file("keys.json", jwk_set(&["one", "two"]))
        .module_arg("keys-file")
        .module_arg("keys.json")
        .module_arg("active-kid")
        .module_arg("two")
        .start();
    let token = create(&mut server.connection(), "sessions:42").str("token");
    let other = ServerBuilder::new().keys(&["two"]).start();
    assert_eq!(verdict(&mut other.connection(), "sessions:42", &token), "unknown");
}

#[test]
fn a_server_with_a_bad_file_does_not_start_and_says_why() {
    for (content, reason) in faults() {
        let line = "session.keys-file bad.json";
        let log = ServerBuilder::new().file("bad.json", content.clone()).config(line).try_start().unwrap_err();
        let refusal = log.lines().find(|line| line.contains("session: not loaded")).unwrap_or_else(|| panic!("{log}"));
        assert!(refusal.contains("bad.json") && refusal.contains(reason), "{content}: {refusal}");
    }
    let log = ServerBuilder::new().config("session.keys-file missing.json").try_start().unwrap_err();
    assert!(log.contains("session: not loaded: session.keys-file missing.json: No such file"), "{log}");
}

#[test]
fn a_server_with_an_unknown_active_key_does_not_start_and_says_why() {
    let log = ServerBuilder::new().keys(&["one"]).config("session.active-kid two").try_start().unwrap_err();
    assert!(log.contains("session: not loaded") && log.contains("two"), "{log}");
    let log = ServerBuilder::new().config("session.active-kid two").try_start().unwrap_err();
    assert!(log.contains("session.active-kid names a key, but session.keys-file is empty"), "{log}");
}

#[test]
fn a_bad_file_at_run_time_is_refused_with_the_reason_and_changes_nothing() {
    let server = ServerBuilder::new().keys(&["one"]).start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42").str("token");
    for (content, reason) in faults() {
        server.write("bad.json", &content);
        let error = set_error(&mut con, "session.keys-file", "bad.json");
        assert!(error.contains(reason), "{content}: {error}");
        assert_eq!(get(&mut con, "session.keys-file"), "keys.json");
        assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
    }
    let error = set_error(&mut con, "session.keys-file", "missing.json");
    assert!(error.contains("No such file"), "{error}");
    let error = set_error(&mut con, "session.active-kid", "two");
    assert!(error.contains("two"), "{error}");
    assert_eq!(get(&mut con, "session.active-kid"), "");
    let new = create(&mut con, "sessions:42").str("token");
    assert_eq!(verdict(&mut con, "sessions:42", &new), "active");
}

#[test]
fn the_file_is_read_again_when_that_is_asked_for() {
    let server = ServerBuilder::new().keys(&["old"]).start();
    let mut con = server.connection();
    let old = create(&mut con, "sessions:42").str("token");
    server.write("keys.json", jwk_set(&["new"]));
    // The server drops a CONFIG SET to the value that a setting already has before the module hears of it.
    set(&mut con, "session.keys-file", "keys.json").unwrap();
    assert_eq!(get(&mut con, "session.keys-file"), "keys.json");
    assert_eq!(verdict(&mut con, "sessions:42", &old), "active");
    cmd(&mut con, "SESSION.RELOADKEYS").unwrap();
    assert_eq!(verdict(&mut con, "sessions:42", &old), "unknown_key");
}

#[test]
fn a_file_that_went_bad_is_refused_when_it_is_read_again_and_the_old_keys_stay() {
    let server = ServerBuilder::new().keys(&["one"]).start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42").str("token");
    server.write("keys.json", "not any more");
    let error = redis_session_tests::error(&mut con, "SESSION.RELOADKEYS");
    assert!(error.starts_with("ERR session.keys-file keys.json: is not a JSON object"), "{error}");
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
    let new = create(&mut con, "sessions:42").str("token");
    assert_eq!(verdict(&mut con, "sessions:42", &new), "active");
}

#[test]
fn no_error_and_no_log_line_quotes_a_secret() {
    let set_of = jwk_set(&["one"]);
    let secret = set_of.split('"').find(|part| part.len() == 43).unwrap().to_owned();
    let server = ServerBuilder::new().keys(&["one"]).start();
    let mut con = server.connection();
    for bad in [set_of.replace("HS256", "HS512"), set_of.replace("oct", &secret), format!("\"{secret}\"")] {
        server.write("bad.json", bad);
        assert!(!set_error(&mut con, "session.keys-file", "bad.json").contains(&secret));
    }
    assert!(!server.log_contains(&secret));
}

#[test]
fn keys_are_rotated_without_anyones_being_logged_out() {
    let mut server = ServerBuilder::new().keys(&["old"]).start();
    let mut con = server.connection();
    let before = create(&mut con, "sessions:42").str("token");

    // The new key becomes known before it signs.
    server.write("keys-2.json", jwk_set(&["old", "new"]));
    set(&mut con, "session.keys-file", "keys-2.json").unwrap();
    let between = create(&mut con, "sessions:42").str("token");
    set(&mut con, "session.active-kid", "new").unwrap();
    let after = create(&mut con, "sessions:42").str("token");
    for token in [&before, &between, &after] {
        assert_eq!(verdict(&mut con, "sessions:42", token), "active");
    }

    // Which key signed shows once the old one is taken out.
    server.write("keys-3.json", jwk_set(&["new"]));
    set(&mut con, "session.keys-file", "keys-3.json").unwrap();
    assert_eq!(verdict(&mut con, "sessions:42", &before), "unknown_key");
    assert_eq!(verdict(&mut con, "sessions:42", &between), "unknown_key");
    assert_eq!(verdict(&mut con, "sessions:42", &after), "active");

    cmd(&mut con, "CONFIG REWRITE").unwrap();
    server.restart();
    assert_eq!(verdict(&mut server.connection(), "sessions:42", &after), "active");
}

#[test]
fn file_and_active_key_change_in_one_step() {
    let server = ServerBuilder::new().keys(&["old"]).config("session.active-kid old").start();
    let mut con = server.connection();
    server.write("next.json", jwk_set(&["next"]));
    let both = ["CONFIG", "SET", "session.keys-file", "next.json", "session.active-kid", "next"];
    cmd_args(&mut con, both).unwrap();
    let token = create(&mut con, "sessions:42").str("token");
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
}

#[test]
fn other_settings_leave_a_random_key_alone() {
    let server = Server::start();
    let mut con = server.connection();
    let token = create(&mut con, "sessions:42").str("token");
    set(&mut con, "session.keys-file", "").unwrap();
    set(&mut con, "session.ttl", "60").unwrap();
    assert!(set(&mut con, "session.active-kid", "one").is_err());
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
}

#[test]
fn a_file_that_only_verifies_lets_nobody_in() {
    let verifying = jwk_set(&["one"]).replace(r#""alg""#, r#""key_ops":["verify"],"alg""#);
    let server = ServerBuilder::new().file("keys.json", verifying).config("session.keys-file keys.json").start();
    let mut con = server.connection();
    assert_eq!(crate::commands::error_code(&mut con, "SESSION.CREATE sessions:42"), "NOSIGNINGKEY");
    create(&mut con, "sessions:42 ID mine TOKEN NONE");
    let signing = ServerBuilder::new().keys(&["one"]).start();
    let token = create(&mut signing.connection(), "sessions:42 ID mine").str("token");
    assert_eq!(verdict(&mut con, "sessions:42", &token), "unknown", "a session of the other server");
    assert_eq!(verdict(&mut con, "sessions:42", &foreign(&token)), "active");
}
