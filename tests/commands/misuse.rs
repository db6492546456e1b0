//! What the commands refuse, with which words; and that a refused command changes nothing.

use redis::{Connection, RedisResult, Value};
use redis_session_tests::{Server, cmd, cmd_args, create, int, login, refusal};
use serde_json::json;

type Args = Vec<Vec<u8>>;

/// Arguments of a command, each of any bytes.
pub(super) fn args<A: AsRef<[u8]>>(args: impl IntoIterator<Item = A>) -> Args {
    args.into_iter().map(|arg| arg.as_ref().to_vec()).collect()
}

/// A command's words, split at spaces, and then one more argument of any bytes.
fn line_and(line: &str, last: impl AsRef<[u8]>) -> Args {
    let mut words = line_of(line);
    words.push(last.as_ref().to_vec());
    words
}

fn line_of(line: &str) -> Args {
    args(line.split_whitespace())
}

/// Sends commands over both protocols that must be refused with these texts, to a server where user 42 has the session
/// `one`. After each, the server runs and all that it stores is as before.
#[track_caller]
fn refused(cases: Vec<(Args, &str)>) {
    let mut server = Server::start();
    for mut con in [server.connection(), server.connection_resp3()] {
        cmd(&mut con, "FLUSHALL").unwrap();
        let token = login(&mut con, "sessions:42 ID one AGENT Firefox DATA 1 k v TOKEN OPAQUE");
        cmd(&mut con, "SET text text").unwrap();
        let digest = server.digest_of_all();
        for (args, expected) in &cases {
            let shown: Vec<_> = args.iter().map(|arg| arg[..arg.len().min(300)].escape_ascii().to_string()).collect();
            let shown = format!("{:.300}", shown.join(" "));
            assert_eq!(refusal(&mut con, args), *expected, "{shown}");
            assert_eq!(server.digest_of_all(), digest, "{shown}");
        }
        assert_eq!(redis_session_tests::verdict(&mut con, "sessions:42", &token), "active");
        cmd(&mut con, "PING").unwrap();
    }
    assert!(server.is_running());
}

/// The same text for all of these.
#[track_caller]
fn all_refused(cases: Vec<Args>, expected: &str) {
    refused(cases.into_iter().map(|args| (args, expected)).collect());
}

/// Every command as it may be called for this key, SESSION.APPLY aside.
pub(super) fn calls(key: &[u8]) -> Vec<Args> {
    let call = |name: &str, rest: &[&[u8]]| {
        let mut call = args([name.as_bytes(), key]);
        call.extend(args(rest));
        call
    };
    vec![
        call("SESSION.CREATE", &[]),
        call("SESSION.CREATE", &[b"ID", b"two", b"TOKEN", b"NONE"]),
        call("SESSION.VALIDATE", &[b"token"]),
        call("SESSION.TOUCH", &[b"token"]),
        call("SESSION.REFRESH", &[b"rsr1.NDI.b25l.MQ.AAAA"]),
        call("SESSION.REGENERATE", &[b"one"]),
        call("SESSION.SET", &[b"one", b"field", b"value"]),
        call("SESSION.SET", &[b"one", b"VERSION", b"1", b"field", b"value"]),
        call("SESSION.INCRBY", &[b"one", b"field", b"1"]),
        call("SESSION.UNSET", &[b"one", b"field"]),
        call("SESSION.GET", &[b"one"]),
        call("SESSION.LIST", &[]),
        call("SESSION.COUNT", &[]),
        call("SESSION.TTL", &[b"one"]),
        call("SESSION.REVOKE", &[b"one"]),
        call("SESSION.REVOKEUSER", &[]),
        call("SESSION.REVOKEUSER", &[b"EXCEPT", b"one"]),
    ]
}

#[test]
fn a_wrong_number_of_arguments_is_refused_by_every_command() {
    let cases = [
        "SESSION.CREATE",
        "SESSION.VALIDATE",
        "SESSION.VALIDATE sessions:42",
        "SESSION.TOUCH",
        "SESSION.TOUCH sessions:42",
        "SESSION.REFRESH",
        "SESSION.REFRESH sessions:42",
        "SESSION.REGENERATE",
        "SESSION.REGENERATE sessions:42",
        "SESSION.SET",
        "SESSION.SET sessions:42 one a",
        "SESSION.SET sessions:42 one a 1 b",
        "SESSION.UNSET",
        "SESSION.UNSET sessions:42 one",
        "SESSION.GET",
        "SESSION.GET sessions:42",
        "SESSION.LIST",
        "SESSION.COUNT",
        "SESSION.COUNT sessions:42 one",
        "SESSION.TTL",
        "SESSION.TTL sessions:42",
        "SESSION.TTL sessions:42 one two",
        "SESSION.REVOKE",
        "SESSION.REVOKE sessions:42",
        "SESSION.REVOKEUSER",
        "SESSION.APPLY",
        "SESSION.APPLY sessions:42",
        "SESSION.APPLY sessions:42 a b",
    ];
    let mut server = Server::start();
    for mut con in [server.connection(), server.connection_resp3()] {
        for line in cases {
            let name = line.split(' ').next().unwrap().to_lowercase();
            let expected = format!("err wrong number of arguments for '{name}' command");
            // Servers differ in how they spell the name.
            assert_eq!(refusal(&mut con, line_of(line)).to_lowercase(), expected, "{line}");
        }
        assert_eq!(int(&mut con, "DBSIZE"), 0);
    }
    assert!(server.is_running());
}

#[test]
fn a_key_of_another_type_is_refused_by_every_command() {
    let mut server = Server::start();
    for mut con in [server.connection(), server.connection_resp3()] {
        for line in ["SET sessions:42 text", "LPUSH sessions:42 a", "HSET sessions:42 a b", "XADD sessions:42 * a b"] {
            cmd(&mut con, "FLUSHALL").unwrap();
            cmd(&mut con, line).unwrap();
            let digest = server.digest_of_all();
            for call in calls(b"sessions:42") {
                assert_eq!(
                    refusal(&mut con, &call),
                    "WRONGTYPE Operation against a key holding the wrong kind of value"
                );
            }
            assert_eq!(server.digest_of_all(), digest);
        }
    }
    assert!(server.is_running());
}

#[test]
fn a_key_that_names_no_user_is_refused_by_every_command() {
    let expected = "expected sessions:<user>";
    let long = [&b"sessions:"[..], &[b'u'; 256]].concat();
    for (keys, why) in [
        (
            vec![&b""[..], b"42", b"session:42", b"SESSIONS:42", b"sessions", b" sessions:42", b"\xff"],
            "does not start with the session.key-prefix",
        ),
        (vec![b"sessions:"], "names no user"),
        (
            vec![
                b"sessions:{42}",
                b"sessions:{42",
                b"sessions:{4}2",
                b"sessions:{{42}}",
                b"sessions:{}",
                b"sessions:{",
            ],
            "has a { before the user, and this server takes plain keys (session.key-form plain)",
        ),
        (vec![&long], "names a user of more than 255 bytes"),
        (
            vec![b"sessions:\xff", b"sessions:a\0b", b"sessions:a\nb", b"sessions:\x1b"],
            "names a user that is not UTF-8 text without control characters",
        ),
    ] {
        let cases = keys.into_iter().flat_map(calls).collect();
        all_refused(cases, &format!("ERR the key {why}: {expected}"));
    }
}

#[test]
fn an_unknown_option_is_refused() {
    let cases =
        ["CREATE sessions:42", "VALIDATE sessions:42 token", "TOUCH sessions:42 token", "REVOKEUSER sessions:42"];
    let all = |word: &[u8]| cases.iter().map(|line| line_and(&format!("SESSION.{line}"), word)).collect();
    all_refused(all(b"Colour"), "ERR unknown option Colour");
    for word in [&b""[..], b"\xff\xfe", b"TTL\0", b"TTL ", b"a b", b"123", b"abcdefghijklmnopqrstu", b"\r\n+OK"] {
        all_refused(all(word), "ERR syntax error: an option was expected");
    }
}

#[test]
fn an_option_of_another_command_is_refused() {
    refused(vec![
        (line_of("SESSION.CREATE sessions:42 FULL"), "ERR unknown option FULL"),
        (line_of("SESSION.CREATE sessions:42 EXCEPT one"), "ERR unknown option EXCEPT"),
        (line_of("SESSION.VALIDATE sessions:42 token TTL 5"), "ERR unknown option TTL"),
        (line_of("SESSION.TOUCH sessions:42 token EXCEPT one"), "ERR unknown option EXCEPT"),
        (line_of("SESSION.REVOKEUSER sessions:42 FULL"), "ERR unknown option FULL"),
    ]);
}

#[test]
fn an_option_given_twice_is_refused() {
    refused(vec![
        (line_of("SESSION.CREATE sessions:42 ID a id b"), "ERR ID is given twice"),
        (line_of("SESSION.CREATE sessions:42 TTL 5 ttl 5"), "ERR TTL is given twice"),
        (line_of("SESSION.CREATE sessions:42 IDLE 0 IDLE 0"), "ERR IDLE is given twice"),
        (line_of("SESSION.CREATE sessions:42 MAX 5 MAX 6"), "ERR MAX is given twice"),
        (line_of("SESSION.CREATE sessions:42 EVICT EVICT"), "ERR EVICT is given twice"),
        (line_of("SESSION.CREATE sessions:42 EVICT REJECT"), "ERR REJECT does not go with EVICT"),
        (line_of("SESSION.CREATE sessions:42 REJECT EVICT"), "ERR EVICT does not go with REJECT"),
        (line_of("SESSION.CREATE sessions:42 IP ::1 IP ::1"), "ERR IP is given twice"),
        (line_of("SESSION.CREATE sessions:42 AGENT a AGENT b"), "ERR AGENT is given twice"),
        (line_of("SESSION.CREATE sessions:42 DATA 1 a b DATA 1 c d"), "ERR DATA is given twice"),
        (line_of("SESSION.CREATE sessions:42 CLAIMS {} CLAIMS {}"), "ERR CLAIMS is given twice"),
        (line_of("SESSION.CREATE sessions:42 TOKEN JWT TOKEN JWT"), "ERR TOKEN is given twice"),
        (line_of("SESSION.CREATE sessions:42 TOKENTTL 1 TOKENTTL 1"), "ERR TOKENTTL is given twice"),
        (line_of("SESSION.CREATE sessions:42 DEVICE a DEVICE a"), "ERR DEVICE is given twice"),
        (line_of("SESSION.CREATE sessions:42 REFRESH 5 REFRESH 5"), "ERR REFRESH is given twice"),
        (line_of("SESSION.CREATE sessions:42 FROM a FROM a"), "ERR FROM is given twice"),
        (line_of("SESSION.VALIDATE sessions:42 token STATELESS STATELESS"), "ERR STATELESS is given twice"),
        (line_of("SESSION.REFRESH sessions:42 token IP ::1 IP ::1"), "ERR IP is given twice"),
        (line_of("SESSION.SET sessions:42 one a 1 a 2"), "ERR a field is given twice"),
        (line_of("SESSION.UNSET sessions:42 one a a"), "ERR a field is given twice"),
        (line_of("SESSION.VALIDATE sessions:42 token FULL FULL"), "ERR FULL is given twice"),
        (line_of("SESSION.TOUCH sessions:42 token BRIEF brief"), "ERR BRIEF is given twice"),
        (line_of("SESSION.VALIDATE sessions:42 token FULL BRIEF"), "ERR BRIEF does not go with FULL"),
        (line_of("SESSION.TOUCH sessions:42 ID one BRIEF FULL"), "ERR FULL does not go with BRIEF"),
        (line_of("SESSION.TOUCH sessions:42 ID one ID one"), "ERR unknown option ID"),
        (line_of("SESSION.VALIDATE sessions:42 token ID one"), "ERR unknown option ID"),
        (line_of("SESSION.VALIDATE sessions:42 token IP ::1 IP ::1"), "ERR IP is given twice"),
        (line_of("SESSION.TOUCH sessions:42 token AUD a AUD a"), "ERR AUD is given twice"),
        (line_of("SESSION.REVOKEUSER sessions:42 EXCEPT one EXCEPT one"), "ERR EXCEPT is given twice"),
    ]);
}

#[test]
fn an_option_without_its_value_is_refused() {
    let words =
        ["ID", "TTL", "IDLE", "MAX", "IP", "AGENT", "DATA", "CLAIMS", "TOKEN", "TOKENTTL", "FROM", "DEVICE", "REFRESH"];
    let create = words.map(|word| (format!("SESSION.CREATE sessions:42 {word}"), word));
    let checks = ["VALIDATE", "TOUCH"].into_iter().flat_map(|command| {
        ["IP", "AUD", "DEVICE"].map(|word| (format!("SESSION.{command} sessions:42 token {word}"), word))
    });
    let except = [("SESSION.REVOKEUSER sessions:42 EXCEPT".to_owned(), "EXCEPT")];
    let cases: Vec<_> = create.into_iter().chain(checks).chain(except).collect();
    let texts: Vec<_> = cases.iter().map(|(_, word)| format!("ERR {word} needs a value")).collect();
    refused(cases.iter().zip(&texts).map(|((line, _), text)| (line_of(line), text.as_str())).collect());
}

#[test]
fn a_number_that_is_none_or_out_of_range_is_refused() {
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
        "--5",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999",
        "3162240001",
        "\u{665}",
    ];
    for (word, range) in [("TTL", "1 to 3162240000"), ("IDLE", "0 to 3162240000"), ("TOKENTTL", "1 to 3162240000")] {
        let mut cases: Vec<_> =
            numbers.iter().map(|number| line_and(&format!("SESSION.CREATE sessions:42 {word}"), number)).collect();
        cases.push(line_and(&format!("SESSION.CREATE sessions:42 {word}"), b"\xff"));
        cases.push(line_and(&format!("SESSION.CREATE sessions:42 {word}"), b"5\0"));
        if word != "IDLE" {
            cases.push(line_of(&format!("SESSION.CREATE sessions:42 {word} 0")));
            cases.push(line_of(&format!("SESSION.CREATE sessions:42 {word} -0")));
        }
        all_refused(cases, &format!("ERR {word} must be a whole number from {range}"));
    }
    let max = numbers.iter().chain(&["0", "1000001"]);
    let cases = max.map(|number| line_and("SESSION.CREATE sessions:42 MAX", number)).collect();
    all_refused(cases, "ERR MAX must be a whole number from 1 to 1000000");
}

#[test]
fn an_id_that_is_no_text_of_1_to_128_bytes_is_refused() {
    let long = "x".repeat(129);
    for (what, line) in [
        ("ID", "SESSION.CREATE sessions:42 ID"),
        ("id", "SESSION.GET sessions:42"),
        ("id", "SESSION.TTL sessions:42"),
        ("id", "SESSION.REGENERATE sessions:42"),
        ("id", "SESSION.REVOKE sessions:42"),
        ("id", "SESSION.REVOKE sessions:42 one"),
        ("EXCEPT", "SESSION.REVOKEUSER sessions:42 EXCEPT"),
    ] {
        all_refused(vec![line_and(line, "")], &format!("ERR {what} is empty"));
        all_refused(vec![line_and(line, &long)], &format!("ERR {what} is longer than 128 bytes"));
        let bad = [&b"\xff"[..], b"a\0b", b"a\nb", b"\x7f", "\u{85}".as_bytes(), b"AAECAwQFBgcICQoLDA0OD\xff"];
        let cases = bad.iter().map(|id| line_and(line, id)).collect();
        all_refused(cases, &format!("ERR {what} is not UTF-8 text without control characters"));
    }
}

#[test]
fn an_id_that_looks_like_a_token_is_refused() {
    let ids = ["rst1.", "rsr1.x", "rst1.NDI.b25l.AA", "eyJhbGciOiJIUzI1NiJ9.e30.AA", "eyJ.."];
    let cases = ids.iter().map(|id| line_and("SESSION.CREATE sessions:42 ID", id)).collect();
    all_refused(cases, "ERR ID looks like a token; an id must not");
}

#[test]
fn an_address_that_is_none_is_refused() {
    let bad = [
        "",
        "localhost",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3.4:",
        "1.2.3.4:65536",
        "1.2.3.4:+1",
        "1.2.3.4%eth0",
        "[1.2.3.4]",
        "[::1",
        "[::1]80",
        "[::1]:",
        "[::1]:x",
        "[[::1]]",
        "::1]",
        "::1%",
        "%eth0",
        ":::",
        "1.2.3.4/32",
        " ::1",
        "01.2.3.4",
        "203.0.113.7, 10.0.0.1",
    ];
    for line in
        ["SESSION.CREATE sessions:42 IP", "SESSION.VALIDATE sessions:42 token IP", "SESSION.TOUCH sessions:42 token IP"]
    {
        let mut cases: Vec<_> = bad.iter().map(|ip| line_and(line, ip)).collect();
        cases.push(line_and(line, b"\xff"));
        cases.push(line_and(line, b"::1\0"));
        all_refused(cases, "ERR IP must be an IPv4 or IPv6 address");
    }
}

#[test]
fn an_audience_that_is_no_text_or_too_long_is_refused() {
    let audience = [vec![b'a'; 4097], b"\xff".to_vec(), b"a\0b".to_vec()];
    let cases = audience.iter().flat_map(|audience| {
        ["VALIDATE", "TOUCH"].map(|command| line_and(&format!("SESSION.{command} sessions:42 token AUD"), audience))
    });
    all_refused(cases.collect(), "ERR AUD must be at most 4096 bytes of UTF-8 text without control characters");
}

#[test]
fn data_that_does_not_match_its_count_is_refused() {
    let long = "f".repeat(1025);
    let named = |field: &str| args(["SESSION.CREATE", "sessions:42", "DATA", "1", field, "value"]);
    let names = "ERR field names must have 1 to 1024 bytes";
    let count = "ERR DATA must be a whole number from 1 to 65536";
    refused(vec![
        (line_of("SESSION.CREATE sessions:42 DATA 1"), "ERR DATA needs a value"),
        (line_of("SESSION.CREATE sessions:42 DATA 1 a"), "ERR DATA needs a value"),
        (line_of("SESSION.CREATE sessions:42 DATA 2 a b"), "ERR DATA needs a value"),
        (line_of("SESSION.CREATE sessions:42 DATA 2 a b c"), "ERR DATA needs a value"),
        (line_of("SESSION.CREATE sessions:42 DATA 65536 a b"), "ERR DATA needs a value"),
        (line_of("SESSION.CREATE sessions:42 DATA 1 a b c d"), "ERR unknown option c"),
        (line_of("SESSION.CREATE sessions:42 DATA 0"), count),
        (line_of("SESSION.CREATE sessions:42 DATA -1 a b"), count),
        (line_of("SESSION.CREATE sessions:42 DATA 65537 a b"), count),
        (line_of("SESSION.CREATE sessions:42 DATA a b"), count),
        (line_of("SESSION.CREATE sessions:42 DATA 2 a 1 a 2"), "ERR DATA has a field twice"),
        (named(""), names),
        (named(&long), names),
    ]);
}

#[test]
fn data_over_its_limit_is_refused() {
    let value = "v".repeat(65_536);
    let large = args(["SESSION.CREATE", "sessions:42", "DATA", "2", "a", &value, "b", ""]);
    all_refused(vec![large], "ERR DATA has 65538 bytes, session.max-data-bytes is 65536");
}

#[test]
fn claims_that_are_no_strict_object_of_ones_own_are_refused() {
    let claims = |json: &str| line_and("SESSION.CREATE sessions:42 CLAIMS", json);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(16), "]".repeat(16));
    let mut cases: Vec<_> = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid"]
        .map(|name| {
            (claims(&json!({ name: 1 }).to_string()), format!("ERR CLAIMS sets \"{name}\", which is set by the server"))
        })
        .into();
    cases.extend([
        (claims("[]"), "ERR CLAIMS is not a JSON object (line 1, column 0)".to_owned()),
        (claims(r#"{"a":1,"a":1}"#), "ERR CLAIMS has a member twice (line 1, column 10)".into()),
        (claims(r#"{"a":{"b":1,"b":1}}"#), "ERR CLAIMS has a member twice (line 1, column 15)".into()),
        (claims(r#"{"\u0073id":1}"#), "ERR CLAIMS sets \"sid\", which is set by the server".into()),
        (claims(&deep), "ERR CLAIMS is nested deeper than 16 levels".into()),
    ]);
    refused(cases.iter().map(|(args, text)| (args.clone(), text.as_str())).collect());
}

#[test]
fn claims_that_are_not_json_are_refused() {
    let mut server = Server::start();
    let mut con = server.connection();
    for json in [
        &b""[..],
        b"{",
        b"null",
        b"1",
        b"\"a\"",
        b"{}{}",
        b"{} x",
        b"{a:1}",
        b"{\"a\":1,}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":NaN}",
        b"{\"a\":\"\n\"}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":\"\\ud800\"}",
    ] {
        let text = refusal(&mut con, [b"SESSION.CREATE", &b"sessions:42"[..], b"CLAIMS", json]);
        assert!(text.starts_with("ERR CLAIMS is not a JSON object (line "), "{}: {text}", json.escape_ascii());
        assert_eq!(int(&mut con, "DBSIZE"), 0);
    }
    assert!(server.is_running());
}

#[test]
fn claims_that_make_the_token_too_long_are_refused() {
    let expected = "ERR a token would be longer than session.max-token-bytes, 8192";
    let claims = |length| json!({ "a": "x".repeat(length) }).to_string();
    all_refused(vec![line_and("SESSION.CREATE sessions:42 CLAIMS", claims(8184))], expected);
    for length in [8193, 1_000_000] {
        let expected = format!("ERR CLAIMS has {length} bytes, session.max-token-bytes is 8192");
        all_refused(vec![line_and("SESSION.CREATE sessions:42 CLAIMS", claims(length - 8))], &expected);
    }
}

#[test]
fn the_longest_token_that_is_made_is_one_that_is_taken() {
    let server = Server::start();
    let mut con = server.connection();
    let create = |con: &mut Connection, length: usize| {
        let claims = json!({ "a": "x".repeat(length) }).to_string();
        cmd_args(con, ["SESSION.CREATE", "sessions:42", "CLAIMS", &claims])
    };
    let (mut fits, mut does_not) = (1, 8192);
    while does_not - fits > 1 {
        let length = (fits + does_not) / 2;
        if create(&mut con, length).is_ok() { fits = length } else { does_not = length }
    }
    let token = redis_session_tests::fields(create(&mut con, fits).unwrap()).str("token");
    assert!((8190..=8192).contains(&token.len()), "{}", token.len());
    assert_eq!(redis_session_tests::verdict(&mut con, "sessions:42", &token), "active");
}

#[test]
fn what_goes_with_a_jwt_is_refused_without_one() {
    let lifetime = "ERR TOKENTTL goes with TOKEN JWT only";
    refused(vec![
        (line_of("SESSION.CREATE sessions:42 TOKENTTL 5 TOKEN OPAQUE"), lifetime),
        (line_of("SESSION.CREATE sessions:42 TOKEN NONE TOKENTTL 5"), lifetime),
        (line_of("SESSION.CREATE sessions:42 TOKEN refresh"), "ERR TOKEN must be JWT or OPAQUE or NONE"),
        (line_and("SESSION.CREATE sessions:42 TOKEN", ""), "ERR TOKEN must be JWT or OPAQUE or NONE"),
        (line_and("SESSION.CREATE sessions:42 TOKEN", b"JWT\0"), "ERR TOKEN must be JWT or OPAQUE or NONE"),
    ]);
}

#[test]
fn claims_are_bounded_without_a_jwt_too() {
    let mut server = Server::start();
    let mut con = server.connection();
    let claims = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
    for kind in ["OPAQUE", "NONE"] {
        let text = refusal(&mut con, ["SESSION.CREATE", "sessions:42", "TOKEN", kind, "CLAIMS", &claims(8193)]);
        assert_eq!(text, "ERR CLAIMS has 8193 bytes, session.max-token-bytes is 8192");
        assert_eq!(int(&mut con, "DBSIZE"), 0);
        cmd_args(&mut con, ["SESSION.CREATE", "sessions:42", "TOKEN", kind, "CLAIMS", &claims(8192)]).unwrap();
        cmd(&mut con, "FLUSHALL").unwrap();
    }
    assert!(server.is_running());
}

#[test]
fn an_opaque_token_that_would_be_too_long_is_refused() {
    let mut server = Server::start();
    let mut con = server.connection();
    cmd(&mut con, "CONFIG SET session.max-token-bytes 256").unwrap();
    let key = format!("sessions:{}", "u".repeat(255));
    let text = refusal(&mut con, ["SESSION.CREATE", &key, "TOKEN", "OPAQUE"]);
    assert!(text.starts_with("ERR a token would be longer than session.max-token-bytes, 256"), "{text}");
    assert_eq!(int(&mut con, "DBSIZE"), 0);
    assert!(server.is_running());
}

#[test]
fn effects_are_not_taken_from_clients() {
    let expected = "ERR SESSION.APPLY is for replication and append-only files, not for clients";
    all_refused(
        vec![
            line_of("SESSION.APPLY sessions:42 x"),
            line_of("session.apply sessions:42 x"),
            line_and("SESSION.APPLY sessions:42", ""),
            line_and("SESSION.APPLY sessions:42", b"\x01\x00\xff"),
            line_of("SESSION.APPLY text x"),
        ],
        expected,
    );
    let mut server = Server::start();
    let mut con = server.connection();
    create(&mut con, "sessions:42 ID one");
    let digest = server.digest("sessions:42");
    let script = "return redis.call('SESSION.APPLY', KEYS[1], ARGV[1])";
    let text = refusal(&mut con, ["EVAL", script, "1", "sessions:42", "x"]);
    assert!(text.contains("not for clients"), "{text}");
    let failed = redis::pipe().atomic().cmd("SESSION.APPLY").arg("sessions:42").arg("x").exec(&mut con).unwrap_err();
    assert!(format!("{failed:?}").contains("not for clients"), "{failed:?}");
    assert_eq!(server.digest("sessions:42"), digest);
    assert!(server.is_running());
}

#[test]
fn a_full_server_refuses_logins_and_nothing_else() {
    let mut server = Server::start();
    for mut con in [server.connection(), server.connection_resp3()] {
        let token = login(&mut con, "sessions:42 ID one TOKEN OPAQUE");
        login(&mut con, "sessions:42 ID two");
        login(&mut con, "sessions:42 ID three");
        cmd(&mut con, "CONFIG SET maxmemory 1").unwrap();
        assert!(refusal(&mut con, ["SESSION.CREATE", "sessions:42"]).starts_with("OOM "));
        for command in ["VALIDATE", "TOUCH"] {
            assert_eq!(
                redis_session_tests::verdict_with(&mut con, [&format!("SESSION.{command}"), "sessions:42", &token]),
                "active"
            );
        }
        assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 3);
        assert_eq!(int(&mut con, "SESSION.REVOKE sessions:42 two"), 1);
        assert_eq!(int(&mut con, "SESSION.REVOKEUSER sessions:42 EXCEPT one"), 1);
        cmd(&mut con, "CONFIG SET maxmemory 0").unwrap();
        cmd(&mut con, "FLUSHALL").unwrap();
    }
    assert!(server.is_running());
}

#[test]
fn arguments_of_any_bytes_never_stop_the_server() {
    let bytes = [&b""[..], b"\0", b"\xff\xfe\xfd", b"\r\n", b"%s%n", &[b'x'; 300], &[0x80; 70_000], b"-1", b"{}"];
    let mut server = Server::start();
    for mut con in [server.connection(), server.connection_resp3()] {
        let commands = [
            "CREATE",
            "VALIDATE",
            "TOUCH",
            "REFRESH",
            "REGENERATE",
            "SET",
            "UNSET",
            "GET",
            "LIST",
            "COUNT",
            "TTL",
            "REVOKE",
            "REVOKEUSER",
            "APPLY",
        ];
        let options =
            ["", "ID", "TTL", "IDLE", "MAX", "IP", "AGENT", "DATA", "CLAIMS", "TOKEN", "TOKENTTL", "AUD", "EXCEPT"];
        for command in commands {
            for key in [&b"sessions:42"[..], bytes[1], bytes[2], bytes[6]] {
                // Whether they are refused or not.
                let mut calls = redis::pipe();
                calls.ignore_errors();
                for value in bytes {
                    // The longest ones take the most time, so such a key goes with one value, and such a value with one key.
                    if (key == bytes[6] && value != bytes[1]) || (value == bytes[6] && key != b"sessions:42") {
                        continue;
                    }
                    for option in options {
                        let name = format!("SESSION.{command}");
                        let call = calls.cmd(&name).arg(key);
                        if option.is_empty() {
                            call.arg(value);
                        } else if ["VALIDATE", "TOUCH"].contains(&command) {
                            call.arg(value).arg(option).arg(value);
                        } else {
                            call.arg(option).arg(value);
                        }
                    }
                }
                let replies: Vec<RedisResult<Value>> = calls.query(&mut con).unwrap();
                assert_eq!(replies.len(), calls.len());
            }
        }
        cmd(&mut con, "PING").unwrap();
    }
    assert!(server.is_running());
    assert!(!server.log_contains("panic"));
}
