//! What the server tells of the module and its commands.

use std::collections::BTreeMap;

use redis::{Connection, Value};
use redis_session_tests::{Fields, Server, cmd, cmd_args, create, fields, int, list, text};

use crate::commands::{COMMANDS, KEYLESS, READERS, on_key};

/// Name, arity and flags, as COMMAND INFO tells them.
const INFO: [(&str, i64, &[&str]); 21] = [
    ("SESSION.CREATE", -2, &["denyoom", "module", "write"]),
    ("SESSION.VALIDATE", -3, &["fast", "module", "readonly"]),
    ("SESSION.TOUCH", -3, &["fast", "module", "write"]),
    ("SESSION.GET", -3, &["fast", "module", "readonly"]),
    ("SESSION.LIST", -2, &["module", "readonly"]),
    ("SESSION.COUNT", 2, &["module", "readonly"]),
    ("SESSION.TTL", 3, &["fast", "module", "readonly"]),
    ("SESSION.REFRESH", -3, &["denyoom", "module", "write"]),
    ("SESSION.REGENERATE", -3, &["denyoom", "module", "write"]),
    ("SESSION.SET", -5, &["denyoom", "module", "write"]),
    ("SESSION.INCRBY", 5, &["denyoom", "module", "write"]),
    ("SESSION.UNSET", -4, &["module", "write"]),
    ("SESSION.REVOKE", -3, &["module", "write"]),
    ("SESSION.REVOKEUSER", -2, &["module", "write"]),
    ("SESSION.DENY", -5, &["denyoom", "module", "write"]),
    ("SESSION.REVOKEALL", -1, &["admin", "module", "write"]),
    ("SESSION.STATS", -1, &["fast", "loading", "module", "readonly", "stale"]),
    ("SESSION.KEYS", -1, &["loading", "module", "readonly", "stale"]),
    ("SESSION.RELOADKEYS", -1, &["admin", "module", "readonly"]),
    ("SESSION.JWKS", -1, &["loading", "module", "readonly", "stale"]),
    ("SESSION.APPLY", 3, &["module", "skip_monitor", "skip_slowlog", "write"]),
];

fn info(con: &mut Connection, command: &str) -> Vec<Value> {
    let reply = list(cmd_args(con, ["COMMAND", "INFO", command]).unwrap());
    list(reply.into_iter().next().unwrap())
}

fn sorted(words: &Value) -> Vec<String> {
    let mut words: Vec<_> = list(words.clone()).iter().map(text).collect();
    words.sort_unstable();
    words
}

#[test]
fn there_are_these_commands_and_no_others() {
    let server = Server::start();
    let mut con = server.connection();
    let mut found: Vec<_> =
        list(cmd(&mut con, "COMMAND LIST FILTERBY MODULE session").unwrap()).iter().map(text).collect();
    found.sort_unstable();
    let mut expected = INFO.map(|(name, ..)| name.to_owned());
    expected.sort_unstable();
    assert_eq!(found, expected);
    let plain = Server::builder().without_module().start();
    let count = |con: &mut Connection| int(con, "COMMAND COUNT");
    assert_eq!(count(&mut con) - count(&mut plain.connection()), 21);
}

#[test]
fn arity_and_flags_are_those_of_the_documentation() {
    let server = Server::start();
    let mut con = server.connection();
    for (name, arity, flags) in INFO {
        let info = info(&mut con, name);
        assert_eq!(text(&info[0]), name);
        assert_eq!(info[1], Value::Int(arity), "{name}");
        // The slow log has another name in Valkey.
        let found: Vec<_> = sorted(&info[2]).iter().map(|flag| flag.replace("commandlog", "slowlog")).collect();
        let mut found: Vec<_> = found.iter().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, flags, "{name}");
        let key = i64::from(!KEYLESS.contains(&name));
        assert_eq!(info[3..6], [Value::Int(key), Value::Int(key), Value::Int(key)], "{name}: where its key is");
    }
}

#[test]
fn the_number_of_arguments_is_checked() {
    let server = Server::start();
    let mut con = server.connection();
    for (name, arity, _) in INFO {
        let least = usize::try_from(arity.abs()).unwrap();
        // A command is one word at least.
        let fewer = (least > 1).then(|| least - 1);
        let more = (arity > 0).then(|| least + 1);
        let counts = fewer.into_iter().chain(more);
        for count in counts {
            let line = std::iter::once(name).chain(std::iter::repeat_n("sessions:1", count - 1)).collect::<Vec<_>>();
            let error = cmd_args(&mut con, line).unwrap_err().to_string();
            assert!(error.contains("wrong number of arguments"), "{name} with {count}: {error}");
        }
    }
}

#[test]
fn key_specifications_say_who_reads_and_who_writes() {
    let server = Server::start();
    let mut con = server.connection();
    for (name, expected) in [
        ("SESSION.CREATE", "RW access insert"),
        ("SESSION.VALIDATE", "RO access "),
        ("SESSION.TOUCH", "RW access update"),
        ("SESSION.GET", "RO access "),
        ("SESSION.LIST", "RO access "),
        ("SESSION.COUNT", "RO access "),
        ("SESSION.TTL", "RO access "),
        ("SESSION.REVOKE", "RW access delete"),
        ("SESSION.REVOKEUSER", "RW access delete"),
        ("SESSION.DENY", "RW access insert"),
        ("SESSION.APPLY", "RW access insert"),
    ] {
        let specs = list(info(&mut con, name)[8].clone());
        assert_eq!(specs.len(), 1, "{name}");
        let flags = sorted(fields(specs[0].clone()).get("flags").unwrap());
        let expected: Vec<_> = expected.split_whitespace().collect();
        assert_eq!(flags, expected, "{name}");
    }
}

#[test]
fn every_command_has_one_key_its_first_argument() {
    let server = Server::start();
    let mut con = server.connection();
    for (command, _) in COMMANDS {
        let line = format!("COMMAND GETKEYS {}", on_key(command, "sessions:42"));
        let keys: Vec<_> = list(cmd(&mut con, &line).unwrap()).iter().map(text).collect();
        assert_eq!(keys, ["sessions:42"], "{command}");
    }
    let create = "COMMAND GETKEYS SESSION.CREATE sessions:42 ID sessions:1 DATA 1 sessions:2 sessions:3 EVICT";
    assert_eq!(list(cmd(&mut con, create).unwrap()).len(), 1);
    let revoke = "COMMAND GETKEYS SESSION.REVOKE sessions:42 sessions:1 sessions:2";
    assert_eq!(list(cmd(&mut con, revoke).unwrap()).len(), 1);
}

fn docs(con: &mut Connection, command: &str) -> Fields {
    fields(cmd_args(con, ["COMMAND", "DOCS", command]).unwrap()).fields(command)
}

#[test]
fn every_command_is_documented() {
    let server = Server::start();
    for mut con in [server.connection(), server.connection_resp3()] {
        let mut summaries = BTreeMap::new();
        for (name, ..) in INFO {
            let docs = docs(&mut con, name);
            let summary = docs.str("summary");
            assert!(summary.len() > 20 && summary.ends_with('.'), "{name}: {summary}");
            assert_eq!(summaries.insert(summary, name), None, "{name}");
            assert_eq!(docs.str("since"), env!("CARGO_PKG_VERSION"), "{name}");
            assert!(docs.str("complexity").starts_with("O("), "{name}");
            assert_eq!(docs.str("module"), "session", "{name}");
            if KEYLESS.contains(&name) {
                assert!(docs.has("arguments"), "{name}");
                continue;
            }
            let args = list(docs.get("arguments").unwrap().clone());
            let key = fields(args[0].clone());
            assert_eq!((key.str("name"), key.str("type"), key.int("key_spec_index")), ("key".into(), "key".into(), 0));
        }
    }
}

/// A command's arguments as its documentation writes them.
fn syntax(args: Vec<Value>) -> String {
    let words = args.into_iter().map(|arg| {
        let arg = fields(arg);
        let has = |flag: &str| arg.has("flags") && arg.strings("flags").iter().any(|found| found == flag);
        let inner = |separator: &str| {
            let inner = list(arg.get("arguments").unwrap().clone());
            inner.into_iter().map(|one| syntax(vec![one])).collect::<Vec<_>>().join(separator)
        };
        let value = match arg.str("type").as_str() {
            "pure-token" => String::new(),
            "oneof" => inner(" | "),
            "block" => inner(" "),
            _ => arg.str("name"),
        };
        let token = if arg.has("token") { arg.str("token") } else { String::new() };
        let mut whole = format!("{token} {value}").trim().to_owned();
        if has("multiple") {
            whole = format!("{whole} ...");
        }
        if has("optional") { format!("[{whole}]") } else { whole }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_documentation_has_every_argument() {
    let server = Server::start();
    let mut con = server.connection();
    let check = "key token | ID id [IP ip] [DEVICE fingerprint] [AUD audience] [LEVEL n] [MAXAGE seconds] [STATELESS] [BRIEF | FULL] \
                 [JSON]";
    for (name, expected) in [
        (
            "SESSION.CREATE",
            "key [ID id | FROM jwt] [TTL seconds] [IDLE seconds] [MAX n] [EVICT | REJECT] [IP ip] [AGENT text] \
             [DEVICE fingerprint] [DATA n field value ...] [CLAIMS json] [LEVEL n] [TOKEN JWT | OPAQUE | NONE] \
             [TOKENTTL seconds] [REFRESH seconds] [JSON]",
        ),
        ("SESSION.VALIDATE", check),
        ("SESSION.TOUCH", check),
        ("SESSION.GET", "key id [JSON]"),
        ("SESSION.LIST", "key [LIMIT offset count] [ENDED] [JSON]"),
        ("SESSION.COUNT", "key"),
        ("SESSION.TTL", "key id"),
        ("SESSION.REFRESH", "key refresh-token [IP ip] [AGENT text] [DEVICE fingerprint] [JSON]"),
        ("SESSION.REGENERATE", "key id-or-token [CLAIMS json] [LEVEL n] [TTL seconds] [IP ip] [AGENT text] [JSON]"),
        ("SESSION.SET", "key id [VERSION v] field value ..."),
        ("SESSION.INCRBY", "key id field n"),
        ("SESSION.UNSET", "key id field ..."),
        ("SESSION.REVOKE", "key id-or-token ..."),
        ("SESSION.REVOKEUSER", "key [EXCEPT id-or-token]"),
        ("SESSION.DENY", "key id UNTIL unix-time-milliseconds [ISS issuer]"),
        ("SESSION.REVOKEALL", "[BEFORE unix-time-milliseconds | CLEAR]"),
    ] {
        let args = list(docs(&mut con, name).get("arguments").unwrap().clone());
        assert_eq!(syntax(args), expected, "{name}");
    }
}

/// An argument and those inside it.
fn all_of(arg: Value) -> Vec<Fields> {
    let arg = fields(arg);
    let inner = arg.get("arguments").map_or_else(Vec::new, |inner| list(inner.clone()));
    inner.into_iter().flat_map(all_of).chain([arg.clone()]).collect()
}

/// redis-cli's hints: it forgets a choice that has a word of its own as soon as that word is typed, so such a choice is
/// in a block.
#[test]
fn the_command_line_client_can_give_hints_for_each_argument() {
    let server = Server::start();
    let mut con = server.connection();
    for (command, _) in COMMANDS {
        for arg in list(docs(&mut con, command).get("arguments").unwrap().clone()).into_iter().flat_map(all_of) {
            let (kind, has_token) = (arg.str("type"), arg.has("token"));
            assert!(kind != "oneof" || !has_token, "{command} {arg:?}");
            assert!(kind != "pure-token" || has_token, "{command} {arg:?}");
            assert!(["oneof", "block", "pure-token"].contains(&kind.as_str()) || !arg.str("name").is_empty());
            let counts = ["seconds", "n", "offset", "count"].contains(&arg.str("name").as_str());
            assert_eq!(kind == "integer", counts, "{command} {arg:?}");
        }
    }
}

#[test]
fn readers_run_where_only_reading_is_allowed() {
    let server = Server::start();
    let mut con = server.connection();
    create(&mut con, "sessions:1");
    for (command, more) in COMMANDS {
        let script = "return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))";
        let args = ["EVAL_RO", script, "1", "sessions:1", command, more];
        let allowed = cmd_args(&mut con, args.into_iter().filter(|arg| !arg.is_empty())).is_ok();
        assert_eq!(allowed, READERS.contains(&command), "{command}");
    }
}

#[test]
fn the_module_can_cope_with_broken_connections_and_swapped_databases() {
    let server = Server::start();
    let info: String = redis::cmd("INFO").arg("modules").query(&mut server.connection()).unwrap();
    let line = info.lines().find(|line| line.starts_with("module:name=session,")).expect("a line of INFO modules");
    assert!(line.contains("handle-io-errors|handle-repl-async-load"), "{line}");
    let part = |digits: &str| digits.parse::<u32>().unwrap();
    let version = part(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
        + part(env!("CARGO_PKG_VERSION_MINOR")) * 100
        + part(env!("CARGO_PKG_VERSION_PATCH"));
    assert!(line.contains(&format!("ver={version},")), "{line}");
}

#[test]
fn the_type_of_a_key_is_sessions1() {
    let server = Server::start();
    let mut con = server.connection();
    create(&mut con, "sessions:42");
    cmd(&mut con, "SET text value").unwrap();
    assert_eq!(text(&cmd(&mut con, "TYPE sessions:42").unwrap()), "sessions1");
    assert_eq!(text(&cmd(&mut con, "OBJECT ENCODING sessions:42").unwrap()), "raw");
    let scan = list(cmd(&mut con, "SCAN 0 TYPE sessions1").unwrap());
    assert_eq!(list(scan[1].clone()).iter().map(text).collect::<Vec<_>>(), ["sessions:42"]);
}

#[test]
fn other_types_and_sessions_keep_out_of_each_others_keys() {
    let server = Server::start();
    let mut con = server.connection();
    create(&mut con, "sessions:42");
    cmd(&mut con, "HSET sessions:hash field value").unwrap();
    for line in ["GET sessions:42", "HGETALL sessions:42", "LPUSH sessions:42 x", "INCR sessions:42"] {
        assert_eq!(crate::commands::error_code(&mut con, line), "WRONGTYPE", "{line}");
    }
    for (command, _) in COMMANDS {
        let line = on_key(command, "sessions:hash");
        assert_eq!(crate::commands::error_code(&mut con, &line), "WRONGTYPE", "{line}");
    }
}
