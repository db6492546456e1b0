//! What is wrong with servers is found, and the command that it names mends it.

use std::fs;
use std::process::Command;

use redis::Connection;
use redis_session_tests::{Cluster, Sentinels, Server, ServerBuilder, cmd, fields, jwk_set, skipped, users_acl};

use crate::program::{at, findings, run, run_as, well};

/// As redis.conf has it, with users whose passwords nobody knows.
pub(crate) fn good() -> ServerBuilder {
    let users = users_acl().replace("change-me", "a-password-of-its-own");
    let users = users.replace("user default off", "user default on nopass ~* &* +@all");
    let lines = "aclfile users.acl\nappendonly yes\nmaxmemory 1gb\nmaxmemory-policy noeviction\ncrash-log-enabled no";
    ServerBuilder::new().keys(&["one"]).file("users.acl", users).config(lines)
}

fn pair() -> (Server, Server) {
    let primary = good().start();
    let replica = good().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    (primary, replica)
}

#[test]
fn servers_as_the_documents_have_them_are_well() {
    let (primary, replica) = pair();
    for server in [&primary, &replica] {
        let printed = well(&format!("verify {}", at(server)));
        assert_eq!(printed, "2 servers, 0 findings\n");
    }
    // As the user of the file, with the default user off.
    cmd(&mut primary.connection(), "ACL SETUSER default off").unwrap();
    cmd(&mut replica.connection(), "ACL SETUSER default off").unwrap();
    let ran = run_as(&format!("verify --user operator {}", at(&primary)), Some("a-password-of-its-own"));
    assert_eq!(ran.printed, "2 servers, 0 findings\n", "{ran:?}");
}

#[test]
fn each_fault_is_found_and_its_command_mends_it() {
    let (primary, replica) = pair();
    // Where a server has this on, as Valkey does by itself, a report of a crash shows no token.
    for server in [&primary, &replica] {
        let _ = cmd(&mut server.connection(), "CONFIG SET hide-user-data-from-log no");
    }
    for (fault, what) in [
        ("CONFIG SET session.ttl 100", "session.ttl is \"100\""),
        ("CONFIG SET session.key-form any", "session.key-form is \"any\""),
        ("CONFIG SET appendonly no", "has no append-only file"),
        ("CONFIG SET appendfsync no", "leaves it to the system"),
        ("CONFIG SET maxmemory-policy allkeys-lru", "logs users out when memory is short"),
        ("CONFIG SET propagation-error-behavior ignore", "goes on as a replica"),
        ("CONFIG SET crash-log-enabled yes", "shows tokens in the log"),
        ("ACL SETUSER stranger on >x", "has other users"),
    ] {
        cmd(&mut replica.connection(), fault).unwrap();
        let printed = findings(&format!("verify {}", at(&primary)));
        let place = format!("127.0.0.1:{}: {what}", replica.port());
        assert!(printed.contains(&place) && printed.ends_with("2 servers, 1 findings\n"), "{fault}: {printed}");
        let mend = printed.lines().find_map(|line| line.strip_prefix("    ")).unwrap();
        let mend = mend.rsplit_once("then ").map_or(mend, |(_, command)| command);
        let done = Command::new("bash").args(["-euc", mend]).output().unwrap();
        assert!(done.status.success(), "{mend}: {done:?}");
        redis_session_tests::wait_until("the fault is mended", || {
            run(&format!("verify {}", at(&primary))).printed == "2 servers, 0 findings\n"
        });
    }
}

#[test]
fn the_settings_that_must_be_alike_are_those_of_the_fingerprint() {
    let (primary, replica) = pair();
    replica.write("other.json", jwk_set(&["one"]));
    replica.write("issuers.json", r#"{"issuers":[]}"#);
    let mut con = replica.connection();
    let fingerprint = |con: &mut Connection| fields(cmd(con, "SESSION.STATS").unwrap()).int("settings_fingerprint");
    let alike = fingerprint(&mut con);
    let settings: Vec<String> = redis::cmd("CONFIG").arg(&["GET", "session.*"]).query(&mut con).unwrap();
    let mut own = Vec::new();
    for setting in settings.chunks_exact(2) {
        let (name, value) = (&setting[0], &setting[1]);
        let changed = match (name.as_str(), value.parse::<u64>()) {
            ("session.keys-file", _) => "other.json".to_owned(),
            ("session.issuers-file", _) => "issuers.json".to_owned(),
            ("session.active-kid", _) => "one".to_owned(),
            ("session.limit-policy", _) => "reject".to_owned(),
            ("session.key-form", _) => "any".to_owned(),
            (_, Ok(number)) => (number + 1).to_string(),
            (_, Err(_)) => format!("{value}x"),
        };
        redis::cmd("CONFIG").arg(&["SET", name, &changed]).exec(&mut con).unwrap_or_else(|why| panic!("{name}: {why}"));
        let differs = fingerprint(&mut con) != alike;
        let ran = run(&format!("verify {}", at(&primary)));
        assert_eq!(
            ran.printed.contains(&format!("127.0.0.1:{}: {name} is", replica.port())),
            differs,
            "{name}: {ran:?}"
        );
        assert_eq!(ran.code, i32::from(differs), "{name}: {ran:?}");
        if !differs {
            own.push(name.trim_start_matches("session."));
        }
        redis::cmd("CONFIG").arg(&["SET", name, value]).exec(&mut con).unwrap();
        assert_eq!(fingerprint(&mut con), alike, "{name}");
    }
    own.sort_unstable();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md")).unwrap();
    let said =
        page.split_once("of a deployment, or they change").and_then(|(_, rest)| rest.split_once("The first three"));
    let mut said: Vec<_> = said.unwrap().0.split('`').filter_map(|word| word.strip_prefix("session.")).collect();
    said.sort_unstable();
    assert_eq!(own, said);
    assert_eq!(own, ["active-kid", "issuers-file", "keys-file", "sweep-time", "token-cache"]);
    assert!(settings.len() > 50, "{settings:?}");
}

#[test]
fn keys_that_differ_or_are_random_are_found() {
    let (primary, replica) = pair();
    // The same name, and another secret: no figure tells it.
    replica.write("keys.json", jwk_set(&["one"]).replace("\"k\":\"", "\"k\":\"AAAA"));
    let printed = findings(&format!("verify {}", at(&primary)));
    assert!(printed.contains("have changed since it read them"), "{printed}");
    cmd(&mut replica.connection(), "SESSION.RELOADKEYS").unwrap();
    let printed = findings(&format!("verify {}", at(&primary)));
    assert!(printed.contains(&format!("127.0.0.1:{}: has other keys than", replica.port())), "{printed}");
    redis::cmd("CONFIG").arg(&["SET", "session.keys-file", ""]).exec(&mut replica.connection()).unwrap();
    let printed = findings(&format!("verify {}", at(&primary)));
    assert!(printed.contains("signs with a random key"), "{printed}");
}

#[test]
fn a_server_without_the_module_and_one_that_is_away_are_found() {
    let none = ServerBuilder::new().without_module().start();
    let printed = findings(&format!("verify {}", at(&none)));
    assert!(printed.contains("has no module"), "{printed}");
    let (primary, mut replica) = pair();
    let frozen = replica.freeze();
    let printed = findings(&format!("verify {}", at(&primary)));
    assert!(printed.contains(&format!("127.0.0.1:{}: does not answer", replica.port())), "{printed}");
    drop(frozen);
    replica.kill();
    replica.start_again();
    assert_eq!(run("verify --url redis://127.0.0.1:1").code, 1);
}

#[test]
fn a_module_that_the_next_start_loads_twice_is_found() {
    let server = good().start();
    assert_eq!(well(&format!("verify {}", at(&server))), "1 servers, 0 findings\n");
    let path = server.config_path();
    let conf = fs::read_to_string(&path).unwrap();
    let module = conf.lines().find(|line| line.starts_with("loadmodule ")).unwrap().to_owned();
    fs::write(&path, format!("{conf}\n{module}\n")).unwrap();
    let printed = findings(&format!("verify {}", at(&server)));
    assert!(printed.contains("loads the module 2 times"), "{printed}");
    let included = server.dir().join("module.conf");
    fs::write(&included, format!("{module}\n")).unwrap();
    fs::write(&path, conf.replace(&module, &format!("include {}", included.display()))).unwrap();
    let printed = findings(&format!("verify {}", at(&server)));
    assert!(printed.contains("CONFIG REWRITE, which writes a second loadmodule line"), "{printed}");
    fs::write(&path, conf).unwrap();
    assert_eq!(well(&format!("verify {}", at(&server))), "1 servers, 0 findings\n");
}

#[test]
fn published_passwords_are_found() {
    let server =
        good().file("users.acl", users_acl().replace("user default off", "user default on nopass ~* &* +@all"));
    let server = server.start();
    let printed = findings(&format!("verify {}", at(&server)));
    let others = users_acl().lines().count() - 1;
    assert_eq!(printed.matches("is the published one").count(), others, "{printed}");
    assert!(!printed.contains("change-me"), "{printed}");
}

#[test]
fn under_sentinel_a_primary_that_would_take_writes_while_it_is_cut_off_is_found() {
    let (primary, replica) = pair();
    let sentinels = Sentinels::start(&primary, 1);
    let sentinel = sentinels.urls()[0].replace("redis://", "").replace('/', "");
    let printed = findings(&format!("verify --sentinel {sentinel}"));
    assert_eq!(printed.matches("min-replicas-to-write 0").count(), 2, "{printed}");
    // The tests' Sentinels give a server up after ten seconds.
    assert_eq!(printed.matches("Sentinel replaces it after 10.0 s").count(), 2, "{printed}");
    for server in [&primary, &replica] {
        cmd(&mut server.connection(), "CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 3").unwrap();
    }
    assert_eq!(well(&format!("verify --sentinel {sentinel}")), "2 servers, 0 findings\n");
}

#[test]
fn all_nodes_of_a_cluster_are_checked() {
    if std::env::var_os("REDIS_TEST_DEFRAGMENT").is_some() {
        return skipped("verify on a cluster: the servers defragment");
    }
    let cluster = Cluster::start(good());
    assert_eq!(well(&format!("verify {}", at(&cluster.nodes()[5]))), "6 servers, 0 findings\n");
    cmd(&mut cluster.nodes()[4].connection(), "CONFIG SET session.leeway 5").unwrap();
    let printed = findings(&format!("verify {}", at(&cluster.nodes()[0])));
    assert!(printed.contains(&format!("127.0.0.1:{}: session.leeway", cluster.nodes()[4].port())), "{printed}");
}
