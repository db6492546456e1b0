//! The redis.conf of this repository, on a real server.

use std::fs;
use std::path::Path;
use std::process::Command;

use redis::Connection;
use redis_session_tests::{
    Server, ServerBuilder, cmd, create, fields, jwk_set, list, module_path, program_path, text, users_acl, verdict,
    wait_until,
};

use crate::commands::{COMMANDS, READERS, get, is_denied, on_key};

fn redis_conf() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../redis.conf")).unwrap()
}

/// The file as it is, but for where the module is and which port it listens on.
fn adapted(conf: &str) -> String {
    let module = format!("loadmodule \"{}\"", module_path().display());
    assert!(conf.contains("\nport 6379\n"), "the port, which other tests of this machine use too");
    let conf = conf.replace("\nport 6379\n", "\n").replace("bind 127.0.0.1 -::1", "bind 127.0.0.1");
    let lines = conf.lines().map(|line| if line.starts_with("loadmodule ") { &module } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

fn start(conf: &str) -> Server {
    let server = ServerBuilder::new().without_module().config(adapted(conf));
    server.file("data/keys.json", jwk_set(&["one"])).file("data/users.acl", users_acl()).start()
}

/// With the users that it speaks of.
fn with_users(conf: &str) -> String {
    assert!(conf.contains("\n# aclfile users.acl\n"));
    conf.replace("\n# aclfile users.acl\n", "\naclfile users.acl\n")
}

fn log_in(server: &Server, name: &str) -> Connection {
    let mut con = server.connection();
    cmd(&mut con, &format!("AUTH {name} change-me")).unwrap();
    con
}

#[test]
fn the_file_starts_a_server_that_keeps_sessions() {
    let mut server = start(&redis_conf().replace("session.keys-file \"\"", "session.keys-file keys.json"));
    let token = create(&mut server.connection(), "sessions:42").str("token");
    server.kill();
    server.start_again();
    assert_eq!(verdict(&mut server.connection(), "sessions:42", &token), "active");
    assert!(server.dir().join("data/appendonlydir").is_dir());
}

#[test]
fn the_lines_of_the_packages_start_a_server_that_keeps_sessions() {
    // The key file as the page has it made, but for its place: without a file it is written to standard output.
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/install.md")).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix("runuser -u redis -- redis-session-keys ")).unwrap();
    let arguments = line.strip_suffix(" /etc/redis/session-keys.json").unwrap().split(' ');
    let made = Command::new(program_path("redis-session-keys")).args(arguments).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let keys = String::from_utf8(made.stdout).unwrap();
    for name in ["session.conf", "container/redis.conf"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(name);
        let conf = fs::read_to_string(file).unwrap();
        // What is the machine's own: the module and the key file, and in a container all addresses and folders.
        let (mut module, mut lines) = (false, Vec::new());
        for line in conf.lines() {
            match line.split_once(' ').unwrap_or_default() {
                ("loadmodule", _) => {
                    module = true;
                    lines.push(format!("loadmodule \"{}\"", module_path().display()));
                }
                ("session.keys-file", _) => lines.push("session.keys-file keys.json".into()),
                ("port" | "bind" | "dir" | "include", _) => {}
                _ => lines.push(line.into()),
            }
        }
        assert!(module, "{name}");
        let builder = ServerBuilder::new().without_module().file("keys.json", keys.clone());
        let mut server = builder.config(lines.join("\n")).start();
        create(&mut server.connection(), "sessions:42");
        server.kill();
        server.start_again();
        assert_eq!(cmd(&mut server.connection(), "SESSION.COUNT sessions:42").unwrap(), redis::Value::Int(1), "{name}");
        let settings = fields(cmd(&mut server.connection(), "CONFIG GET *").unwrap());
        assert_eq!(settings.str("maxmemory-policy"), "noeviction", "{name}");
        assert_eq!(settings.str("crash-log-enabled"), "no", "{name}");
    }
}

#[test]
fn the_file_names_every_setting_with_its_default() {
    let conf = redis_conf();
    let server = Server::start();
    let defaults = fields(cmd(&mut server.connection(), "CONFIG GET session.*").unwrap());
    let lines: Vec<_> = conf.lines().filter_map(|line| line.strip_prefix("session.")).collect();
    assert_eq!(lines.len(), defaults.names().len());
    for line in lines {
        let (name, value) = line.split_once(' ').unwrap();
        assert_eq!(value.trim_matches('"'), defaults.str(&format!("session.{name}")), "session.{name}");
    }
}

#[test]
fn the_file_gives_each_of_its_values() {
    let server = start(&redis_conf());
    let mut con = server.connection();
    for (name, value) in [
        ("maxmemory-policy", "noeviction"),
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("lazyfree-lazy-user-del", "yes"),
        ("enable-debug-command", "no"),
        ("enable-module-command", "no"),
        ("maxmemory", "1073741824"),
    ] {
        assert_eq!(get(&mut con, name), value, "{name}");
    }
}

#[test]
fn the_file_outlives_a_rewrite() {
    let mut server = start(&redis_conf());
    let mut con = server.connection();
    cmd(&mut con, "CONFIG SET session.not-before 1700000000000").unwrap();
    cmd(&mut con, "CONFIG REWRITE").unwrap();
    server.kill();
    // The server has written down that it is in `data` by now.
    let conf = fs::read_to_string(server.config_path()).unwrap();
    assert!(conf.contains("session.not-before 1700000000000"), "{conf}");
    assert_eq!(conf.lines().filter(|line| line.starts_with("loadmodule")).count(), 1);
    server.start_again();
    assert_eq!(get(&mut server.connection(), "session.not-before"), "1700000000000");
}

#[test]
fn the_users_of_the_file_are_users() {
    let server = start(&with_users(&redis_conf()));
    let mut con = server.connection();
    assert_eq!(crate::commands::error_code(&mut con, "PING"), "NOAUTH");
    let users = users_acl();
    let names: Vec<_> = users.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "default") {
        log_in(&server, name);
        assert!(redis_conf().contains(&format!("\n#   {name} ")), "{name}: what it is for");
    }
}

#[test]
fn the_application_of_the_file_may_do_everything_with_sessions_and_nothing_else() {
    let server = start(&with_users(&redis_conf()));
    let mut con = log_in(&server, "app");
    for (command, _) in COMMANDS {
        assert!(!is_denied(&mut con, &on_key(command, "sessions:42")), "{command}");
        assert!(is_denied(&mut con, &on_key(command, "other:42")), "{command}");
    }
    let token = create(&mut con, "sessions:42").str("token");
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
    cmd(&mut con, "SESSION.STATS").unwrap();
    for line in [
        "GET sessions:42",
        "DEL sessions:42",
        "KEYS *",
        "FLUSHALL",
        "CONFIG GET session.*",
        "SESSION.KEYS",
        "SESSION.REVOKEALL",
        "SESSION.APPLY sessions:42 effects",
        "ACL LOG",
        "MODULE LIST",
        "CLUSTER RESET",
        "CLUSTER FAILOVER",
        "PUBLISH channel message",
        "EVAL return 0",
        "CLIENT KILL TYPE normal",
    ] {
        assert!(is_denied(&mut con, line), "{line}");
    }
    assert_eq!(text(&cmd(&mut con, "PING").unwrap()), "PONG");
    // As client libraries do when they connect.
    cmd(&mut con, "HELLO 3").unwrap();
    cmd(&mut con, "CLIENT SETNAME app").unwrap();
}

#[test]
fn the_validator_of_the_file_checks_and_changes_nothing() {
    let server = start(&with_users(&redis_conf()));
    let token = create(&mut log_in(&server, "app"), "sessions:42").str("token");
    let mut con = log_in(&server, "validator");
    for (command, _) in COMMANDS {
        assert_eq!(is_denied(&mut con, &on_key(command, "sessions:42")), !READERS.contains(&command), "{command}");
        assert!(is_denied(&mut con, &on_key(command, "other:42")), "{command}");
    }
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
}

#[test]
fn the_validator_of_the_file_checks_on_a_replica() {
    let conf = with_users(&redis_conf().replace("session.keys-file \"\"", "session.keys-file keys.json"));
    let primary = start(&conf);
    let token = create(&mut log_in(&primary, "app"), "sessions:42").str("token");
    let replica = start(&format!(
        "{conf}\nmasteruser replica\nmasterauth change-me\nreplicaof 127.0.0.1 {}\nrepl-diskless-sync-delay 0",
        primary.port()
    ));
    let mut con = log_in(&replica, "validator");
    redis_session_tests::wait_until("the replica has it", || verdict(&mut con, "sessions:42", &token) == "active");
}

#[test]
fn the_support_of_the_file_ends_sessions_and_begins_none() {
    let server = start(&with_users(&redis_conf()));
    create(&mut log_in(&server, "app"), "sessions:42 ID mine");
    let mut con = log_in(&server, "support");
    let may = ["LIST", "GET", "COUNT", "TTL", "REVOKE", "REVOKEUSER", "DENY"].map(|name| format!("SESSION.{name}"));
    for (command, _) in COMMANDS {
        let denied = is_denied(&mut con, &on_key(command, "sessions:42"));
        assert_eq!(denied, !may.contains(&command.to_owned()), "{command}");
    }
    assert_eq!(redis_session_tests::int(&mut log_in(&server, "app"), "SESSION.COUNT sessions:42"), 0, "they are ended");
    for line in ["SESSION.STATS", "SESSION.KEYS"] {
        cmd(&mut con, line).unwrap();
    }
    for line in
        ["GET sessions:42", "DEL sessions:42", "CONFIG GET session.*", "ACL LIST", "EVAL return 0", "SESSION.REVOKEALL"]
    {
        assert!(is_denied(&mut con, line), "{line}");
    }
}

#[test]
fn the_operator_of_the_file_changes_settings_and_touches_no_session() {
    let server = start(&with_users(&redis_conf()));
    create(&mut log_in(&server, "app"), "sessions:42");
    let mut con = log_in(&server, "operator");
    for line in [
        "CONFIG SET session.ttl 7200",
        "CONFIG SET session.not-before 1700000000000",
        "CONFIG REWRITE",
        "CONFIG GET session.*",
        "INFO session",
        "SESSION.REVOKEALL",
        "SESSION.STATS",
        "SESSION.KEYS",
        "ACL LOG",
        "SLOWLOG GET",
        "LATENCY DOCTOR",
        "CLIENT LIST",
        "MODULE LIST",
        "CLIENT PAUSE 1 WRITE",
        "CLIENT UNPAUSE",
        "TIME",
    ] {
        cmd(&mut con, line).unwrap();
    }
    for (command, _) in COMMANDS {
        assert!(is_denied(&mut con, &on_key(command, "sessions:42")), "{command}");
    }
    for line in ["DEL sessions:42", "FLUSHALL", "KEYS *", "DUMP sessions:42", "ACL SETUSER x", "EVAL return 0"] {
        assert!(is_denied(&mut con, line), "{line}");
    }
}

/// Without the default user: a password goes from one to the next, and the server's own file has it.
#[test]
fn the_admin_of_the_file_rotates_a_password_and_touches_no_session() {
    let mut server = start(&with_users(&redis_conf()));
    let log_in_with = |server: &Server, password: &str| {
        let mut con = server.connection();
        cmd(&mut con, &format!("AUTH app {password}")).map(|_| con)
    };
    let mut admin = log_in(&server, "admin");
    cmd(&mut admin, "ACL SETUSER app >next").unwrap();
    create(&mut log_in_with(&server, "change-me").expect("the old one is good still"), "sessions:42");
    let mut connected = log_in_with(&server, "next").expect("the new one is good already");
    cmd(&mut admin, "ACL SETUSER app <change-me").unwrap();
    cmd(&mut admin, "ACL SAVE").unwrap();
    assert!(log_in_with(&server, "change-me").is_err());
    cmd(&mut connected, "SESSION.COUNT sessions:42").expect("clients with the new one stay");
    for line in ["SCRIPT KILL", "FUNCTION KILL"] {
        assert!(cmd(&mut admin, line).unwrap_err().to_string().contains("No scripts in execution"), "{line}");
    }
    for line in ["ACL GETUSER app", "ACL LOG RESET", "CLIENT KILL TYPE pubsub", "CLIENT PAUSE 1", "CONFIG REWRITE"] {
        cmd(&mut admin, line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    // Redis 7.0 closes the connections of all users then, this one too.
    let _ = cmd(&mut admin, "ACL LOAD");
    let mut admin = log_in(&server, "admin");
    log_in_with(&server, "next").expect("the file has what was saved");
    for (command, _) in COMMANDS {
        assert!(is_denied(&mut admin, &on_key(command, "sessions:42")), "{command}");
    }
    for line in ["DEL sessions:42", "FLUSHALL", "DUMP sessions:42", "EVAL return 0", "MONITOR", "PSYNC ? -1"] {
        assert!(is_denied(&mut admin, line), "{line}");
    }
    // It ends the server, too.
    let _ = cmd(&mut admin, "SHUTDOWN");
    wait_until("the server is down", || !server.is_running());
    server.kill();
    server.start_again();
    assert!(log_in_with(&server, "change-me").is_err());
    log_in_with(&server, "next").expect("the file has the new one");
    let file = fs::read_to_string(server.dir().join("data/users.acl")).unwrap();
    assert!(!file.contains("next") && !file.contains("change-me"), "hashes alone: {file}");
}

/// A server without the module would take what it is sent, answer WAIT, and have nothing.
#[test]
fn a_replica_of_the_file_that_has_no_module_stops() {
    let primary = start(&redis_conf());
    create(&mut primary.connection(), "sessions:42");
    let conf: Vec<_> = redis_conf().lines().filter(|line| !line.contains("session")).map(str::to_owned).collect();
    let conf = conf.join("\n").replace("\nport 6379\n", "\n").replace("bind 127.0.0.1 -::1", "bind 127.0.0.1");
    let conf: Vec<_> = conf.lines().filter(|line| !line.starts_with("loadmodule ")).collect();
    assert!(conf.contains(&"propagation-error-behavior panic-on-replicas"));
    let conf = format!("{}\nreplicaof 127.0.0.1 {}\nrepl-diskless-sync-delay 0", conf.join("\n"), primary.port());
    // Redis 7.0 stops when it reads the cutoff of SESSION.REVOKEALL, newer servers at the first command of a session.
    match ServerBuilder::new().without_module().file("data/none", "").config(conf).try_start() {
        Err(log) => assert!(log.contains("no matching module"), "{log}"),
        Ok(mut replica) => {
            wait_until("the replica stops", || {
                create(&mut primary.connection(), "sessions:43");
                !replica.is_running()
            });
            replica.kill();
        }
    }
}

#[test]
fn the_auditor_of_the_file_reads_the_stream_and_adds_nothing() {
    let server = start(&with_users(&redis_conf().replace("session.audit-stream \"\"", "session.audit-stream audit")));
    create(&mut log_in(&server, "app"), "sessions:42 ID mine");
    let mut con = log_in(&server, "auditor");
    cmd(&mut con, "XGROUP CREATE audit siem 0").unwrap();
    let read = list(cmd(&mut con, "XREADGROUP GROUP siem reader COUNT 10 STREAMS audit >").unwrap());
    assert_eq!(read.len(), 1);
    assert_eq!(list(cmd(&mut con, "XRANGE audit - +").unwrap()).len(), 1);
    for line in ["XADD audit * event forged", "XDEL audit 0-1", "XTRIM audit MAXLEN 0", "DEL audit", "SET audit text"] {
        assert!(is_denied(&mut con, line), "{line}");
    }
    for (command, _) in COMMANDS {
        assert!(is_denied(&mut con, &on_key(command, "sessions:42")), "{command}");
    }
    assert!(is_denied(&mut log_in(&server, "app"), "XRANGE audit - +"));
}

#[test]
fn the_monitor_of_the_file_sees_no_session() {
    let server = start(&with_users(&redis_conf()));
    let mut con = log_in(&server, "monitor");
    cmd(&mut con, "INFO").unwrap();
    cmd(&mut con, "SESSION.STATS").unwrap();
    cmd(&mut con, "SESSION.KEYS").unwrap();
    for (command, _) in COMMANDS {
        assert!(is_denied(&mut con, &on_key(command, "sessions:42")), "{command}");
    }
}

#[test]
fn the_replica_of_the_file_may_replicate() {
    let primary = start(&with_users(&redis_conf()));
    create(&mut log_in(&primary, "app"), "sessions:42 ID mine");
    let login = "masteruser replica\nmasterauth change-me";
    let replica = ServerBuilder::new().config(login).replica_of(&primary).start();
    let mut con = replica.connection();
    redis_session_tests::wait_until(
        "the replica has the session",
        || matches!(cmd(&mut con, "SESSION.LIST sessions:42"), Ok(reply) if list(reply.clone()).len() == 1),
    );
}

/// A file that names what is not there would not start, or promise what nobody keeps.
#[test]
fn the_file_names_no_command_that_there_is_not() {
    let conf = redis_conf();
    let server = Server::start();
    let known = list(cmd(&mut server.connection(), "COMMAND LIST FILTERBY MODULE session").unwrap());
    let known: Vec<_> = known.iter().map(|name| text(name).to_lowercase()).collect();
    let named = conf
        .split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '-'))
        .map(|word| word.trim_end_matches('.').to_lowercase())
        .filter(|word| word.starts_with("session.") && !word.contains('-'));
    let settings = fields(cmd(&mut server.connection(), "CONFIG GET session.*").unwrap());
    for word in named {
        assert!(known.contains(&word) || settings.has(&word), "{word}");
    }
}

/// What the log of a server says that crashes while it checks a token, and the token's last part. A report has the first
/// 128 bytes of each argument: all of an opaque token.
fn crashed(conf: &str) -> (String, String) {
    let mut server = start(conf);
    let mut con = server.connection();
    let token = fields(cmd(&mut con, "SESSION.CREATE sessions:42 TOKEN OPAQUE").unwrap()).str("token");
    cmd(&mut con, &format!("SESSION.VALIDATE sessions:42 {token} INJECT-ABORT")).unwrap_err();
    wait_until("the server is gone", || !server.is_running());
    server.kill();
    (server.log(), token.rsplit('.').next().unwrap().to_owned())
}

#[test]
fn a_crash_tells_no_token() {
    let (log, secret) = crashed(&redis_conf());
    assert!(!log.contains(&secret), "{log}");

    let with_report = redis_conf().replace("\ncrash-log-enabled no\n", "\ncrash-log-enabled yes\n");
    let knows = "hide-user-data-from-log";
    let server = Server::start();
    let mut con = server.connection();
    let (shows, hides) = match fields(cmd(&mut con, &format!("CONFIG GET {knows}")).unwrap()).names().len() {
        0 => (with_report, None),
        _ => (format!("{with_report}\n{knows} no\n"), Some(format!("{with_report}\n{knows} yes\n"))),
    };
    let (log, secret) = crashed(&shows);
    assert!(log.contains("crashed by signal") && log.contains(&secret), "this is what it is for: {log}");
    if let Some(hides) = hides {
        let (log, secret) = crashed(&hides);
        assert!(log.contains("crashed by signal") && !log.contains(&secret), "{log}");
    }
}
