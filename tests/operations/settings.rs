//! The settings `session.*`: where they may stand, what they may be, and what they do.

use std::time::Duration;

use redis::Connection;
use redis_session_tests::{Server, ServerBuilder, cmd, cmd_args, create, fields, jwk_set, now_ms, verdict};

use crate::commands::{error_code, get, set, set_error};

/// Every setting, its default, and another value.
const SETTINGS: [(&str, &str, &str); 26] = [
    ("session.ttl", "86400", "7200"),
    ("session.idle-timeout", "0", "900"),
    ("session.token-ttl", "3600", "600"),
    ("session.max-per-user", "100", "7"),
    ("session.limit-policy", "evict", "reject"),
    ("session.max-data-bytes", "65536", "1000"),
    ("session.max-fields", "1024", "10"),
    ("session.key-prefix", "sessions:", "login:"),
    ("session.key-form", "plain", "braces"),
    ("session.touch-granularity", "60", "5"),
    ("session.sweep-time", "1000", "0"),
    ("session.not-before", "0", "1700000000000"),
    ("session.keys-file", "", "keys.json"),
    ("session.issuers-file", "", "issuers.json"),
    ("session.active-kid", "", "two"),
    ("session.issuer", "", "https://issuer.example"),
    ("session.audience", "", "the application"),
    ("session.token-type", "", "at+jwt"),
    ("session.leeway", "0", "30"),
    ("session.max-token-bytes", "8192", "4096"),
    ("session.refresh-ttl", "2592000", "86400"),
    ("session.refresh-grace", "10", "5"),
    ("session.refresh-recovery", "0", "600"),
    ("session.token-cache", "16384", "1000"),
    ("session.audit-stream", "", "audit"),
    ("session.audit-maxlen", "100000", "5"),
];

/// The numbers: the least and the most.
const NUMBERS: [(&str, i64, i64); 16] = [
    ("session.ttl", 1, 3_162_240_000),
    ("session.idle-timeout", 0, 3_162_240_000),
    ("session.token-ttl", 1, 3_162_240_000),
    ("session.max-per-user", 1, 1_000_000),
    ("session.max-data-bytes", 0, 16_777_216),
    ("session.max-fields", 1, 65_536),
    ("session.touch-granularity", 0, 86_400),
    ("session.sweep-time", 0, 25_000),
    ("session.not-before", 0, 281_474_976_710_655),
    ("session.leeway", 0, 300),
    ("session.max-token-bytes", 256, 1_048_576),
    ("session.refresh-ttl", 1, 3_162_240_000),
    ("session.refresh-grace", 0, 3600),
    ("session.refresh-recovery", 0, 86_400),
    ("session.token-cache", 0, 1_048_576),
    ("session.audit-maxlen", 0, 1_000_000_000_000),
];

fn with_keys() -> ServerBuilder {
    ServerBuilder::new().file("keys.json", jwk_set(&["one", "two"])).file("issuers.json", r#"{"issuers":[]}"#)
}

#[track_caller]
fn assert_others(con: &mut Connection) {
    for (name, _, other) in SETTINGS {
        assert_eq!(get(con, name), other, "{name}");
    }
}

#[test]
fn every_setting_has_its_default() {
    let server = Server::start();
    let found = fields(cmd(&mut server.connection(), "CONFIG GET session.*").unwrap());
    let mut names = found.names();
    names.sort_unstable();
    let mut expected = SETTINGS.map(|(name, ..)| name);
    expected.sort_unstable();
    assert_eq!(names, expected);
    for (name, default, _) in SETTINGS {
        assert_eq!(found.str(name), default, "{name}");
    }
}

#[test]
fn every_setting_is_a_line_of_redis_conf() {
    let lines = SETTINGS.map(|(name, _, other)| format!("{name} \"{other}\"")).join("\n");
    assert_others(&mut with_keys().config(lines).start().connection());
}

#[test]
fn every_setting_is_a_load_argument() {
    for prefix in ["session.", ""] {
        let mut server = with_keys();
        for (name, _, other) in SETTINGS {
            server = server.module_arg(name.replace("session.", prefix)).module_arg(other);
        }
        assert_others(&mut server.start().connection());
    }
}

#[test]
fn every_setting_changes_at_run_time_and_is_written_down() {
    let mut server = with_keys().start();
    let mut con = server.connection();
    for (name, _, other) in SETTINGS {
        set(&mut con, name, other).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(get(&mut con, name), other, "{name}");
    }
    cmd(&mut con, "CONFIG REWRITE").unwrap();
    server.restart();
    assert_others(&mut server.connection());
}

#[test]
fn a_setting_goes_back_to_its_default_and_stays_there() {
    let lines = SETTINGS.map(|(name, _, other)| format!("{name} \"{other}\"")).join("\n");
    let mut server = with_keys().config(lines).start();
    let mut con = server.connection();
    // The active key before the file that it is in.
    for (name, default, _) in SETTINGS.into_iter().rev() {
        set(&mut con, name, default).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    cmd(&mut con, "CONFIG REWRITE").unwrap();
    server.restart();
    for (name, default, _) in SETTINGS {
        assert_eq!(get(&mut server.connection(), name), default, "{name}");
    }
}

#[test]
fn a_load_argument_changed_at_run_time_is_written_down() {
    let mut server = ServerBuilder::new().module_arg("ttl").module_arg("7200").start();
    let mut con = server.connection();
    set(&mut con, "session.ttl", "86400").unwrap();
    cmd(&mut con, "CONFIG REWRITE").unwrap();
    server.restart();
    assert_eq!(get(&mut server.connection(), "session.ttl"), "86400");
}

#[test]
fn a_line_of_redis_conf_outranks_a_load_argument() {
    let server = ServerBuilder::new().module_arg("ttl").module_arg("7200").config("session.ttl 600").start();
    assert_eq!(get(&mut server.connection(), "session.ttl"), "600");
}

#[test]
fn the_module_takes_settings_when_it_is_loaded_at_run_time() {
    let server = ServerBuilder::new().without_module().start();
    let mut con = server.connection();
    let module = redis_session_tests::module_path().display().to_string();
    let load = ["MODULE", "LOADEX", &module, "CONFIG", "session.ttl", "7200", "ARGS", "token-ttl", "60"];
    cmd_args(&mut con, load).unwrap();
    assert_eq!(get(&mut con, "session.ttl"), "7200");
    assert_eq!(get(&mut con, "session.token-ttl"), "60");
}

#[test]
fn numbers_have_bounds_at_run_time() {
    let server = Server::start();
    let mut con = server.connection();
    for (name, least, most) in NUMBERS {
        for inside in [least, most] {
            set(&mut con, name, &inside.to_string()).unwrap_or_else(|error| panic!("{name} {inside}: {error}"));
            assert_eq!(get(&mut con, name), inside.to_string());
        }
        for outside in [(least - 1).to_string(), (most + 1).to_string(), "ten".into(), "".into(), "1.5".into()] {
            let error = set_error(&mut con, name, &outside);
            assert!(error.contains(name), "{name} {outside}: {error}");
            assert_eq!(get(&mut con, name), most.to_string());
        }
    }
}

#[test]
fn numbers_have_bounds_in_redis_conf() {
    for (name, least, most) in [NUMBERS[0], NUMBERS[3]] {
        for outside in [least - 1, most + 1] {
            let log = ServerBuilder::new().config(format!("{name} {outside}")).try_start().unwrap_err();
            assert!(log.contains(name) && log.contains("must be between"), "{log}");
        }
    }
}

#[test]
fn numbers_have_bounds_as_load_arguments() {
    for outside in ["0", "3162240001", "ten", ""] {
        let log = ServerBuilder::new().module_arg("ttl").module_arg(outside).try_start().unwrap_err();
        assert!(log.contains("not loaded: load argument ttl: must be a whole number from 1 to 3162240000"), "{log}");
    }
}

#[test]
fn a_word_is_one_of_those_there_are() {
    let server = Server::start();
    let mut con = server.connection();
    let error = set_error(&mut con, "session.limit-policy", "sometimes");
    assert!(error.contains("evict") && error.contains("reject"), "{error}");
    set(&mut con, "session.limit-policy", "REJECT").unwrap();
    assert_eq!(get(&mut con, "session.limit-policy"), "reject");
    let log = ServerBuilder::new().module_arg("limit-policy").module_arg("sometimes").try_start().unwrap_err();
    assert!(log.contains("not loaded: load argument limit-policy"), "{log}");
    let error = set_error(&mut con, "session.key-form", "curly");
    assert!(error.contains("plain") && error.contains("braces") && error.contains("any"), "{error}");
    set(&mut con, "session.key-form", "Any").unwrap();
    assert_eq!(get(&mut con, "session.key-form"), "any");
    let log = ServerBuilder::new().config("session.key-form curly").try_start().unwrap_err();
    assert!(log.contains("session.key-form"), "{log}");
}

#[test]
fn text_has_no_control_characters() {
    let server = Server::start();
    let mut con = server.connection();
    for name in ["session.issuer", "session.audience", "session.key-prefix"] {
        let before = get(&mut con, name);
        for bad in ["two\nlines", "a\0b", &"x".repeat(4097)] {
            let error = set_error(&mut con, name, bad);
            assert!(error.contains("without control characters"), "{name} {bad:?}: {error}");
        }
        assert_eq!(get(&mut con, name), before);
    }
    let not_utf8 = cmd_args(&mut con, [&b"CONFIG"[..], b"SET", b"session.issuer", b"\xff"]).unwrap_err().to_string();
    assert!(not_utf8.contains("must be UTF-8"), "{not_utf8}");
}

#[test]
fn a_load_argument_must_be_known_whole_and_given_once() {
    for (args, reason) in [
        (&["tll", "60"][..], "unknown load argument tll"),
        (&["session.", "60"], "unknown load argument session."),
        (&["ttl"], "load argument ttl has no value"),
        (&["ttl", "60", "leeway"], "load argument leeway has no value"),
        (&["ttl", "60", "session.ttl", "70"], "load argument ttl is given twice"),
    ] {
        let server = args.iter().fold(ServerBuilder::new(), |server, arg| server.module_arg(*arg));
        let log = server.try_start().unwrap_err();
        assert!(log.contains(&format!("not loaded: {reason}")), "{args:?}: {log}");
    }
}

#[test]
fn an_unknown_line_of_redis_conf_keeps_the_server_from_starting() {
    let log = ServerBuilder::new().config("session.tll 60").try_start().unwrap_err();
    assert!(log.contains("Module Configuration"), "{log}");
}

#[test]
fn lifetimes_change_for_the_next_login() {
    let server = Server::start();
    let mut con = server.connection();
    for (name, value) in [("session.ttl", "500"), ("session.token-ttl", "100"), ("session.idle-timeout", "50")] {
        set(&mut con, name, value).unwrap();
    }
    let before = now_ms(&mut con);
    let created = create(&mut con, "sessions:42");
    let session = fields(cmd_args(&mut con, ["SESSION.GET", "sessions:42", &created.str("id")]).unwrap());
    let after = now_ms(&mut con);
    assert!((before + 500_000..=after + 500_000).contains(&created.int("expires_at")));
    assert!((before + 99_000..=after + 100_000).contains(&created.int("token_expires_at")));
    assert!((before + 50_000..=after + 50_000).contains(&session.int("idle_expires_at")));
}

#[test]
fn the_limit_changes_for_the_next_login() {
    let server = Server::start();
    let mut con = server.connection();
    let first = create(&mut con, "sessions:42");
    create(&mut con, "sessions:42");
    set(&mut con, "session.max-per-user", "2").unwrap();
    assert_eq!(create(&mut con, "sessions:42").strings("evicted"), [first.str("id")]);
    set(&mut con, "session.limit-policy", "reject").unwrap();
    assert_eq!(error_code(&mut con, "SESSION.CREATE sessions:42"), "SESSIONLIMIT");
}

#[test]
fn the_size_of_data_changes_for_the_next_login() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "session.max-data-bytes", "9").unwrap();
    create(&mut con, "sessions:42 DATA 1 four 12345");
    assert_eq!(
        redis_session_tests::error(&mut con, "SESSION.CREATE sessions:42 DATA 1 four 123456"),
        "ERR DATA has 10 bytes, session.max-data-bytes is 9"
    );
}

#[test]
fn the_number_of_fields_changes_for_the_next_login() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "session.max-fields", "2").unwrap();
    create(&mut con, "sessions:42 DATA 2 a 1 b 2");
    assert_eq!(
        redis_session_tests::error(&mut con, "SESSION.CREATE sessions:42 DATA 3 a 1 b 2 c 3"),
        "ERR DATA has 3 fields, session.max-fields is 2"
    );
}

#[test]
fn the_prefix_of_keys_changes_at_once() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "session.key-prefix", "login:").unwrap();
    let created = create(&mut con, "login:42");
    assert_eq!(verdict(&mut con, "login:42", &created.str("token")), "active");
    let error = redis_session_tests::error(&mut con, "SESSION.CREATE sessions:42");
    assert!(error.contains("login:<user>"), "{error}");
}

#[test]
fn the_form_of_keys_changes_at_once_and_keys_stay_where_they_are() {
    let server = Server::start();
    let mut con = server.connection();
    let plain = create(&mut con, "sessions:42 TOKEN OPAQUE").str("token");
    set(&mut con, "session.key-form", "braces").unwrap();
    let error = redis_session_tests::error(&mut con, "SESSION.COUNT sessions:42");
    assert!(error.contains("session.key-form braces") && error.ends_with("expected sessions:{<user>}"), "{error}");
    let braces = create(&mut con, "sessions:{42} TOKEN OPAQUE").str("token");
    set(&mut con, "session.key-form", "any").unwrap();
    assert_eq!(verdict(&mut con, "sessions:42", &plain), "active");
    assert_eq!(verdict(&mut con, "sessions:{42}", &braces), "active");
    set(&mut con, "session.key-form", "plain").unwrap();
    let error = redis_session_tests::error(&mut con, "SESSION.COUNT sessions:{42}");
    assert!(error.contains("session.key-form plain") && error.ends_with("expected sessions:<user>"), "{error}");
    assert_eq!(verdict(&mut con, "sessions:42", &plain), "active");
}

#[test]
fn not_before_logs_everyone_out() {
    let server = Server::start();
    let mut con = server.connection();
    let jwt = create(&mut con, "sessions:42").str("token");
    let opaque = create(&mut con, "sessions:42 TOKEN OPAQUE").str("token");
    server.advance(Duration::from_secs(1));
    let limit = now_ms(&mut con) / 1000 * 1000;
    set(&mut con, "session.not-before", &limit.to_string()).unwrap();
    assert_eq!(verdict(&mut con, "sessions:42", &jwt), "user_revoked");
    assert_eq!(verdict(&mut con, "sessions:42", &opaque), "user_revoked");
    assert_eq!(redis_session_tests::int(&mut con, "SESSION.COUNT sessions:42"), 0);
    let new = create(&mut con, "sessions:42").str("token");
    assert_eq!(verdict(&mut con, "sessions:42", &new), "active");
    set(&mut con, "session.not-before", "0").unwrap();
    assert_eq!(verdict(&mut con, "sessions:42", &opaque), "active");
}

#[test]
fn issuer_and_audience_are_demanded_at_once() {
    let server = Server::start();
    let mut con = server.connection();
    let plain = create(&mut con, "sessions:42").str("token");
    set(&mut con, "session.issuer", "us").unwrap();
    let ours = create(&mut con, "sessions:42").str("token");
    assert_eq!(verdict(&mut con, "sessions:42", &plain), "issuer");
    assert_eq!(verdict(&mut con, "sessions:42", &ours), "active");
    set(&mut con, "session.audience", "the application").unwrap();
    assert_eq!(verdict(&mut con, "sessions:42", &ours), "audience");
    let both = create(&mut con, "sessions:42").str("token");
    assert_eq!(verdict(&mut con, "sessions:42", &both), "active");
    set(&mut con, "session.issuer", "").unwrap();
    set(&mut con, "session.audience", "").unwrap();
    assert_eq!(verdict(&mut con, "sessions:42", &plain), "active");
}

#[test]
fn longer_tokens_are_refused_at_once() {
    let server = Server::start();
    let mut con = server.connection();
    let padding = "x".repeat(400);
    let token = create(&mut con, &format!("sessions:42 CLAIMS {{\"padding\":\"{padding}\"}}")).str("token");
    set(&mut con, "session.max-token-bytes", "500").unwrap();
    assert_eq!(verdict(&mut con, "sessions:42", &token), "malformed");
    set(&mut con, "session.max-token-bytes", &token.len().to_string()).unwrap();
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
}

#[test]
fn settings_given_together_change_together_or_not_at_all() {
    let server = Server::start();
    let mut con = server.connection();
    let both = ["CONFIG", "SET", "session.ttl", "600", "session.token-ttl", "0"];
    assert!(cmd_args(&mut con, both).is_err());
    let keys = ["CONFIG", "SET", "session.ttl", "600", "session.keys-file", "missing.json"];
    assert!(cmd_args(&mut con, keys).is_err());
    assert_eq!(get(&mut con, "session.ttl"), "86400");
    assert_eq!(get(&mut con, "session.keys-file"), "");
    cmd_args(&mut con, ["CONFIG", "SET", "session.ttl", "600", "session.token-ttl", "60"]).unwrap();
    assert_eq!((get(&mut con, "session.ttl"), get(&mut con, "session.token-ttl")), ("600".into(), "60".into()));
}
