//! docs/monitoring: the exporter's script, the dashboard and the alerts, with each other and with a real exporter.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use redis::Connection;
use redis_session_tests::{Port, Server, ServerBuilder, cmd, cmd_args, create, fields, skipped, wait_until};
use serde_json::Value;

use crate::commands::is_denied;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn file(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn script() -> String {
    file("docs/monitoring/redis_exporter.lua")
}

/// What the script answers, as the exporter asks for it.
fn values(con: &mut Connection) -> BTreeMap<String, String> {
    let reply = fields(cmd_args(con, ["EVAL", &script(), "0", "0"]).unwrap());
    reply.names().into_iter().map(|name| (name.to_owned(), reply.str(name))).collect()
}

/// A server with the user `monitor` that users.acl proposes.
fn monitored() -> ServerBuilder {
    ServerBuilder::new().keys(&["one"]).users_beside_default()
}

fn log_in(server: &Server) -> Connection {
    let mut con = server.connection();
    cmd(&mut con, "AUTH monitor change-me").unwrap();
    con
}

/// The expressions of the dashboard, and those that fill its variables.
fn dashboard() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member.as_str().filter(|_| ["expr", "query", "definition"].contains(&name.as_str())) {
                        Some(expression) => found.push(expression.to_owned()),
                        None => collect(member, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::from_str(&file("docs/monitoring/grafana-dashboard.json")).unwrap(), &mut found);
    assert!(found.len() > 30, "{found:#?}");
    found
}

/// The expressions of the alerts: each is one line of the file.
fn alerts() -> Vec<String> {
    let rules = file("docs/monitoring/alerts.yml");
    let expressions: Vec<_> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned).collect();
    assert_eq!(expressions.len(), rules.matches("- alert: ").count() + rules.matches("- record: ").count());
    assert!(expressions.len() > 15, "{expressions:#?}");
    expressions
}

/// The metrics that an expression asks for, each with the pattern of its label `key`, if it has one.
fn metrics(expression: &str) -> Vec<(String, Option<String>)> {
    let in_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = expression.match_indices("redis_").filter(|(at, _)| !expression[..*at].ends_with(in_name));
    let metrics = words.map(|(at, _)| {
        let (name, rest) =
            expression[at..].split_at(expression[at..].find(|c| !in_name(c)).unwrap_or(expression.len() - at));
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
        let key = labels.strip_prefix("key=").and_then(|rest| rest.trim_start_matches('~').split('"').nth(1));
        (name.to_owned(), key.map(str::to_owned))
    });
    metrics.collect()
}

/// Whether a pattern takes a key: words between `|`, of which `.+` at the end stands for any letters.
fn takes(pattern: &str, key: &str) -> bool {
    pattern.split('|').any(|word| {
        let start = word.strip_suffix(".+").filter(|start| key.len() > start.len() && key.starts_with(start));
        word == key || start.is_some()
    })
}

fn patterns(expressions: &[String]) -> Vec<String> {
    let metrics = expressions.iter().flat_map(|expression| metrics(expression));
    metrics.filter(|(name, _)| name == "redis_script_values").map(|(_, key)| key.expect("a key")).collect()
}

#[test]
fn the_script_gives_each_figure_of_session_stats_as_a_number() {
    let server = monitored().start();
    create(&mut server.connection(), "sessions:42 AGENT phone");
    let mut con = log_in(&server);
    let values = values(&mut con);
    for (name, value) in &values {
        value.parse::<u64>().unwrap_or_else(|error| panic!("{name} {value}: {error}"));
    }
    let stats = fields(cmd(&mut con, "SESSION.STATS").unwrap());
    let moves = |name: &&str| name.starts_with("sweep_") || *name == "keys_age_seconds";
    for name in stats.names() {
        let value = values.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert!(moves(&name) || *value == stats.int(name).to_string(), "{name} {value}");
    }
    assert_eq!(values["sessions"], "1");
}

#[test]
fn the_script_tells_keys_that_do_not_last_and_a_key_file_that_is_to_be_read_again() {
    let server = monitored().start();
    let mut con = server.connection();
    let keys = |con: &mut Connection| {
        let values = values(con);
        ["keys_from_file", "keys_file_changed", "keys_can_sign"].map(|name| values[name].clone())
    };
    assert_eq!(keys(&mut con), ["1", "0", "1"]);
    server.write("keys.json", redis_session_tests::jwk_set(&["two", "three"]));
    assert_eq!(keys(&mut con), ["1", "1", "1"]);
    assert_eq!(keys(&mut Server::start().connection()), ["0", "0", "1"], "a random key");
}

#[test]
fn the_script_runs_where_all_else_is_refused() {
    let primary = monitored().start();
    let replica = monitored().config("replica-serve-stale-data no").replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    drop(primary);
    let mut con = log_in(&replica);
    wait_until("the replica notices", || {
        let count = cmd(&mut replica.connection(), "SESSION.COUNT sessions:42");
        count.is_err_and(|error| error.code() == Some("MASTERDOWN"))
    });
    assert!(values(&mut con).contains_key("users"));
    let full = monitored().config("maxmemory 1").start();
    assert!(values(&mut log_in(&full)).contains_key("users"));
}

#[test]
fn who_may_run_the_script_sees_no_session_by_another_one() {
    let server = monitored().start();
    create(&mut server.connection(), "sessions:42 ID mine");
    let mut con = log_in(&server);
    for call in ["'SESSION.LIST', 'sessions:42'", "'SESSION.REVOKEUSER', 'sessions:42'", "'CONFIG', 'GET', '*'"] {
        assert!(cmd_args(&mut con, ["EVAL", &format!("return redis.call({call})"), "0"]).is_err(), "{call}");
    }
    assert!(is_denied(&mut con, "CONFIG GET *"));
}

#[test]
fn what_the_dashboard_and_the_alerts_ask_for_is_what_the_script_gives() {
    let server = Server::start();
    let values = values(&mut server.connection());
    let asked: BTreeSet<_> = patterns(&dashboard()).into_iter().chain(patterns(&alerts())).collect();
    for word in asked.iter().flat_map(|pattern| pattern.split('|')) {
        assert!(values.keys().any(|key| takes(word, key)), "{word}: there are {:?}", values.keys());
    }
}

#[test]
fn the_dashboard_shows_each_value_that_the_script_gives() {
    let server = Server::start();
    let shown = patterns(&dashboard());
    for key in values(&mut server.connection()).keys() {
        assert!(shown.iter().any(|pattern| takes(pattern, key)), "{key}");
    }
}

#[test]
fn the_dashboard_asks_the_data_source_that_is_chosen() {
    let dashboard: Value = serde_json::from_str(&file("docs/monitoring/grafana-dashboard.json")).unwrap();
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        for asked in std::iter::once(panel).chain(panel["targets"].as_array().unwrap()) {
            assert_eq!(asked["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
    }
}

/// A program that may be missing, by its variable of the environment or one of its names.
fn installed(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(program) = std::env::var_os(variable).filter(|program| !program.is_empty()) {
        return Some(program.into());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::env::split_paths(&folders).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    programs.into_iter().find(|program| program.is_file())
}

/// A redis_exporter that asks a server as its user `monitor`.
struct Exporter(Child, Port);

impl Exporter {
    fn start(program: &Path, server: &Server) -> Self {
        let port = Port::free();
        let mut command = Command::new(program);
        command.arg("-script").arg(path("docs/monitoring/redis_exporter.lua"));
        command
            .args(["-redis.addr", &server.url(), "-redis.user", "monitor", "-config-command", "-"])
            .env("REDIS_PASSWORD", "change-me");
        command.args(["-web.listen-address", &format!("127.0.0.1:{port}")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")), port)
    }

    /// The lines of its page: a metric with its labels, and a number.
    fn lines(&self) -> Vec<String> {
        let mut page = String::new();
        wait_until("the exporter answers", || {
            let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.1.number())) else { return false };
            page.clear();
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").is_ok() && stream.read_to_string(&mut page).is_ok()
        });
        page.lines().filter(|line| line.starts_with("redis_")).map(str::to_owned).collect()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the server has denied to its users.
fn denied(server: &Server) -> Vec<String> {
    let log: Vec<Vec<redis::Value>> = redis::cmd("ACL").arg("LOG").query(&mut server.connection()).unwrap();
    log.iter().map(|entry| format!("{entry:?}")).collect()
}

#[test]
fn the_exporters_user_may_do_all_that_a_stock_exporter_does() {
    let server = monitored().config("session.audit-stream audit").start();
    create(&mut server.connection(), "sessions:42");
    let mut con = log_in(&server);
    for line in [
        "CLIENT SETNAME redis_exporter",
        "PING",
        "INFO ALL",
        "LATENCY LATEST",
        "LATENCY HISTOGRAM",
        "SLOWLOG LEN",
        "SLOWLOG GET 1",
    ] {
        cmd(&mut con, line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    // Of a server that is no node of a cluster this is an error of another kind.
    assert!(!is_denied(&mut con, "CLUSTER INFO"));
    wait_until("the server has looked at the stream", || values(&mut con)["audit_length"] == "1");
    assert_eq!(denied(&server), Vec::<String>::new());
}

#[test]
fn the_script_tells_how_far_readers_of_the_audit_stream_are() {
    let server = monitored().config("session.audit-stream audit\nsession.audit-maxlen 100").start();
    let (mut con, mut monitor) = (server.connection(), log_in(&server));
    let mut are = |wanted: [u64; 4], why: &str| {
        wait_until(why, || {
            let values = values(&mut monitor);
            let figures = ["audit_length", "audit_lag", "audit_headroom", "audit_lost"];
            figures.map(|name| values[name].parse::<u64>().unwrap()) == wanted
        });
    };
    are([0, 0, 100, 0], "there is no stream");
    (0..3).for_each(|n| drop(create(&mut con, &format!("sessions:{n}"))));
    are([3, 0, 100, 0], "nobody reads it");
    cmd(&mut con, "XGROUP CREATE audit siem 0").unwrap();
    cmd(&mut con, "XGROUP CREATE audit archive $").unwrap();
    are([3, 3, 97, 0], "the slowest counts");
    cmd(&mut con, "XREADGROUP GROUP siem one COUNT 1 STREAMS audit >").unwrap();
    are([3, 2, 98, 0], "one is read");
    cmd(&mut con, "XTRIM audit MAXLEN 1").unwrap();
    are([1, 2, 98, 1], "one was dropped that was not read");
    cmd(&mut con, "DEL audit").unwrap();
    are([0, 0, 100, 0], "the stream is gone");
    cmd(&mut con, "SET audit text").unwrap();
    create(&mut con, "sessions:42");
    are([0, 0, 100, 0], "it is no stream");
    // A look at what is not there, or is no stream, counts as nobody's miss and nobody's error.
    assert_eq!(server.info("stats", "keyspace_misses"), "0");
    assert!(server.info("commandstats", "cmdstat_xinfo|stream").ends_with("failed_calls=0"));
}

#[test]
fn a_stock_exporter_gives_each_metric_that_the_dashboard_and_the_alerts_ask_for() {
    let Some(program) = installed("REDIS_EXPORTER", &["redis_exporter", "prometheus-redis-exporter"]) else {
        skipped("the exporter's metrics: no redis_exporter here; REDIS_EXPORTER names one");
        return;
    };
    let primary = monitored().appendonly().config("maxmemory 1gb").start();
    let login = create(&mut primary.connection(), "sessions:42");
    cmd_args(&mut primary.connection(), ["SESSION.VALIDATE", "sessions:42", &login.str("token")]).unwrap();
    let replica = monitored().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    let node = monitored().config("cluster-enabled yes").start();
    let _ = cmd_args(&mut primary.connection(), ["SESSION.VALIDATE", "another key", "x"]);
    // A replica's link to its primary is a metric of the replica alone, and the state of a cluster of its nodes.
    let servers = [&primary, &replica, &node].map(|server| Exporter::start(&program, server).lines());
    for server in [&primary, &replica, &node] {
        assert_eq!(denied(server), Vec::<String>::new());
    }
    let lines = servers.concat();
    let has = |name: &str, key: Option<&str>| {
        let of_name =
            lines.iter().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with([' ', '{']));
        let mut keys = of_name.map(|rest| rest.split_once("key=\"").and_then(|(_, key)| key.split('"').next()));
        keys.any(|found| key.is_none_or(|pattern| takes(pattern, found.unwrap_or_default())))
    };
    let counts_by_time = lines.iter().any(|line| line.starts_with("redis_commands_latencies_usec"));
    if !counts_by_time {
        skipped("percentiles within a window: this redis_exporter does not export redis_commands_latencies_usec");
    }
    for expression in dashboard().into_iter().chain(alerts()) {
        let exported = |name: &str| counts_by_time || !name.starts_with("redis_commands_latencies_usec");
        for (name, pattern) in metrics(&expression).into_iter().filter(|(name, _)| exported(name)) {
            for key in pattern.as_deref().map_or_else(|| vec![None], |keys| keys.split('|').map(Some).collect()) {
                assert!(has(&name, key), "{name} {key:?} of {expression}\nthe exporter gives\n{}", lines.join("\n"));
            }
        }
    }
    let validated = lines.iter().filter(|line| line.contains("key=\"validated\"")).find(|line| line.ends_with(" 1"));
    assert!(validated.is_some(), "{}", lines.join("\n"));
}

/// What tests/operations/alerts.yml evaluates of the dashboard, with its interval and without its variables.
#[test]
fn slow_calls_after_many_fast_ones_are_tried_with_the_panels_own_expressions() {
    let tests = file("tests/operations/alerts.yml");
    let (_, slow) = tests.split_once("2,000 slow checks after 300,000 fast ones").unwrap();
    let of_time: Vec<_> = dashboard()
        .into_iter()
        .filter(|expression| expression.contains("latencies_usec") || expression.contains("duration_seconds"))
        .map(|expression| {
            expression.replace(r#",job=~"$job",instance=~"$instance""#, "").replace("$__rate_interval", "5m")
        })
        .collect();
    assert_eq!(of_time.len(), 2, "{of_time:?}");
    for expression in of_time {
        assert!(slow.contains(&format!("'{expression} > bool")), "{expression}");
    }
}

#[test]
fn what_counts_as_fast_are_the_servers_own_buckets() {
    let (_, listed) =
        alerts().iter().find_map(|rule| rule.split_once("le=~\"").map(|(a, b)| (a.len(), b.to_owned()))).unwrap();
    let listed: Vec<u64> = listed.split('"').next().unwrap().split('|').map(|le| le.parse().unwrap()).collect();
    let server = ServerBuilder::new().config("enable-debug-command yes").start();
    let mut con = server.connection();
    for seconds in ["0", "0.0001", "0.0003", "0.0006", "0.003"] {
        cmd(&mut con, &format!("DEBUG SLEEP {seconds}")).unwrap();
    }
    let reply: Vec<redis::Value> =
        cmd(&mut con, "LATENCY HISTOGRAM").and_then(|reply| Ok(redis::from_redis_value(reply)?)).unwrap();
    let histograms = reply.chunks_exact(2).map(|pair| fields(pair[1].clone()).fields("histogram_usec"));
    let seen: BTreeSet<u64> = histograms
        .flat_map(|buckets| buckets.names().into_iter().map(|le| le.parse().unwrap()).collect::<Vec<u64>>())
        .collect();
    assert!(seen.len() > 5 && seen.last() > Some(&2000), "{seen:?}");
    for le in seen {
        assert_eq!(listed.contains(&le), le <= 1056, "{le}: {listed:?}");
    }
}

#[test]
fn prometheus_takes_the_alerts() {
    let Some(promtool) = installed("PROMTOOL", &["promtool"]) else {
        skipped("the syntax of the alerts: no promtool here; PROMTOOL names one");
        return;
    };
    let tests = ["alerts.yml", "budgets.yml"].map(|name| ("test", format!("tests/operations/{name}")));
    for (how, name) in [("check", "docs/monitoring/alerts.yml".to_owned())].into_iter().chain(tests) {
        let output = Command::new(&promtool).args([how, "rules"]).arg(path(&name)).output().unwrap();
        let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{name}: {}{}", said(&output.stdout), said(&output.stderr));
    }
}
