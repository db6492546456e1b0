//! What REFRESH, REGENERATE, SET, UNSET and the options of sessions' lives refuse.

use redis_session_tests::{Server, cmd, create, int, refusal};

use crate::steps::KEY;

fn line_and<'a>(line: &'a str, last: &'a [u8]) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).chain([last.to_vec()]).collect()
}

fn line_of(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Each command gets its error and changes nothing.
#[track_caller]
fn refused(cases: Vec<(Vec<Vec<u8>>, String)>) {
    let mut server = Server::start();
    for mut con in [server.connection(), server.connection_resp3()] {
        cmd(&mut con, "FLUSHALL").unwrap();
        create(&mut con, "sessions:42 ID one DEVICE phone REFRESH 1000 DATA 1 a 1");
        cmd(&mut con, "SET text x").unwrap();
        cmd(&mut con, "SET sessions:text x").unwrap();
        let digest = server.digest_of_all();
        for (args, expected) in &cases {
            let shown: Vec<_> = args.iter().map(|arg| arg[..arg.len().min(200)].escape_ascii().to_string()).collect();
            assert_eq!(refusal(&mut con, args), *expected, "{:.200}", shown.join(" "));
        }
        assert_eq!(server.digest_of_all(), digest);
    }
    assert!(server.is_running());
}

#[test]
fn a_lifetime_of_refresh_tokens_that_is_no_number_of_seconds_is_refused() {
    let expected = "ERR REFRESH must be a whole number from 0 to 3162240000";
    let numbers = [
        "",
        "x",
        "-1",
        "+5",
        "1.5",
        "1e3",
        "0x10",
        " 5",
        "5 ",
        "5s",
        "3162240001",
        "9223372036854775807",
        "9223372036854775808",
        "99999999999999999999999",
        "\u{665}",
    ];
    refused(
        numbers
            .iter()
            .map(|number| (line_and("SESSION.CREATE sessions:42 REFRESH", number.as_bytes()), expected.to_owned()))
            .chain([(line_and("SESSION.CREATE sessions:42 REFRESH", b"5\0"), expected.to_owned())])
            .collect(),
    );
}

#[test]
fn the_longest_lifetimes_are_taken() {
    let server = Server::start();
    let mut con = server.connection();
    let line = "sessions:42 ID one TTL 3162240000 IDLE 3162240000 TOKENTTL 3162240000 REFRESH 3162240000";
    let created = create(&mut con, line);
    let began = crate::steps::session(&mut con, "one").int("created_at");
    assert_eq!(created.int("expires_at"), began + 3_162_240_000_000);
    assert_eq!(created.int("refresh_expires_at"), created.int("expires_at"));
    assert_eq!(crate::steps::refreshed(&mut con, created.str("refresh_token")), "granted");
}

#[test]
fn a_fingerprint_that_is_empty_or_oversized_is_refused() {
    let expected = "ERR DEVICE must have 1 to 4096 bytes".to_owned();
    let mut cases = Vec::new();
    for line in [
        "SESSION.CREATE sessions:42 DEVICE",
        "SESSION.VALIDATE sessions:42 token DEVICE",
        "SESSION.TOUCH sessions:42 token DEVICE",
        "SESSION.REFRESH sessions:42 token DEVICE",
    ] {
        for fingerprint in [vec![], vec![b'x'; 4097], vec![0xff; 1_000_000]] {
            cases.push((line_and(line, &fingerprint), expected.clone()));
        }
    }
    refused(cases);
}

#[test]
fn an_option_that_is_given_twice_is_refused() {
    let cases = [
        ("SESSION.CREATE sessions:42 DEVICE a DEVICE b", "DEVICE"),
        ("SESSION.CREATE sessions:42 REFRESH 5 refresh 5", "REFRESH"),
        ("SESSION.CREATE sessions:42 FROM a FROM b", "FROM"),
        ("SESSION.VALIDATE sessions:42 token DEVICE a DEVICE a", "DEVICE"),
        ("SESSION.VALIDATE sessions:42 token STATELESS STATELESS", "STATELESS"),
        ("SESSION.TOUCH sessions:42 token stateless FULL STATELESS", "STATELESS"),
        ("SESSION.REFRESH sessions:42 token IP ::1 IP ::1", "IP"),
        ("SESSION.REFRESH sessions:42 token AGENT a AGENT a", "AGENT"),
        ("SESSION.REFRESH sessions:42 token DEVICE a DEVICE a", "DEVICE"),
    ];
    refused(cases.iter().map(|(line, word)| (line_of(line), format!("ERR {word} is given twice"))).collect());
}

#[test]
fn an_option_without_its_value_is_refused() {
    let cases = [
        ("SESSION.CREATE sessions:42 DEVICE", "DEVICE"),
        ("SESSION.CREATE sessions:42 REFRESH", "REFRESH"),
        ("SESSION.CREATE sessions:42 FROM", "FROM"),
        ("SESSION.VALIDATE sessions:42 token DEVICE", "DEVICE"),
        ("SESSION.TOUCH sessions:42 token DEVICE", "DEVICE"),
        ("SESSION.REFRESH sessions:42 token IP", "IP"),
        ("SESSION.REFRESH sessions:42 token AGENT", "AGENT"),
        ("SESSION.REFRESH sessions:42 token DEVICE", "DEVICE"),
    ];
    refused(cases.iter().map(|(line, word)| (line_of(line), format!("ERR {word} needs a value"))).collect());
}

#[test]
fn an_option_of_another_command_is_refused() {
    let cases = [
        ("SESSION.REFRESH sessions:42 token FULL", "FULL"),
        ("SESSION.REFRESH sessions:42 token TTL 60", "TTL"),
        ("SESSION.REFRESH sessions:42 token STATELESS", "STATELESS"),
        ("SESSION.CREATE sessions:42 STATELESS", "STATELESS"),
        ("SESSION.CREATE sessions:42 AUD api", "AUD"),
        ("SESSION.VALIDATE sessions:42 token REFRESH 5", "REFRESH"),
        ("SESSION.TOUCH sessions:42 token AGENT a", "AGENT"),
    ];
    refused(cases.iter().map(|(line, word)| (line_of(line), format!("ERR unknown option {word}"))).collect());
}

#[test]
fn where_from_must_be_an_address() {
    let address = "ERR IP must be an IPv4 or IPv6 address";
    let cases: Vec<_> = [&b""[..], b"localhost", b"1.2.3", b"\xff", b"::1\0"]
        .map(|ip| (line_and("SESSION.REFRESH sessions:42 token IP", ip), address.to_owned()))
        .into();
    refused(cases);
}

#[test]
fn a_command_with_too_few_or_too_many_arguments_is_refused() {
    let server = Server::start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 ID one");
    let digest = server.digest_of_all();
    for line in [
        "SESSION.REFRESH",
        "SESSION.REFRESH sessions:42",
        "SESSION.REGENERATE",
        "SESSION.REGENERATE sessions:42",
        "SESSION.UNSET sessions:42 one",
        "SESSION.SET sessions:42 one a",
    ] {
        let text = refusal(&mut con, line.split(' '));
        assert!(text.starts_with("ERR wrong number of arguments for "), "{line}: {text}");
    }
    assert_eq!(server.digest_of_all(), digest);
}

#[test]
fn a_key_of_another_kind_or_without_the_prefix_is_refused() {
    let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
    let mut cases = Vec::new();
    for rest in ["REFRESH KEY rsr1.x", "REGENERATE KEY one", "SET KEY one a 1", "UNSET KEY one a"] {
        let line = |key: &str| line_of(&format!("SESSION.{}", rest.replace("KEY", key)));
        cases.push((line("sessions:text"), wrong_type.to_owned()));
    }
    refused(cases);

    let server = Server::start();
    let mut con = server.connection();
    for rest in ["REFRESH KEY rsr1.x", "REGENERATE KEY one", "SET KEY one a 1", "UNSET KEY one a"] {
        for key in ["other:42", "sessions:", "sessions:{}"] {
            let line = format!("SESSION.{}", rest.replace("KEY", key));
            let text = refusal(&mut con, line.split(' '));
            assert!(text.starts_with("ERR the key ") && text.contains("sessions:<user>"), "{line}: {text}");
        }
    }
    assert_eq!(int(&mut con, "DBSIZE"), 0);
}

#[test]
fn an_id_that_is_none_is_refused() {
    let long = "x".repeat(129);
    let mut cases = Vec::new();
    for (before, behind) in [("SESSION.REGENERATE", &[][..]), ("SESSION.SET", &["a", "1"]), ("SESSION.UNSET", &["a"])] {
        for (id, why) in [
            (&b""[..], "is empty"),
            (long.as_bytes(), "is longer than 128 bytes"),
            (b"\xff", "is not UTF-8 text without control characters"),
            (b"a\nb", "is not UTF-8 text without control characters"),
        ] {
            let mut args = line_and(&format!("{before} {KEY}"), id);
            args.extend(behind.iter().map(|word| word.as_bytes().to_vec()));
            cases.push((args, format!("ERR id {why}")));
        }
    }
    refused(cases);
}
