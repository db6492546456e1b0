//! The recipes of docs/deployment.md, on real servers.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use redis::{Client, TlsCertificates};
use redis_session_store::{Login, SessionStore};
use redis_session_tests::{
    Port, Sentinels, Server, ServerBuilder, cmd, create, int, list, restore_backup, verdict, wait_until,
};

use crate::commands::set;

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// The page's block that has this line.
fn block(line: &str) -> String {
    let page = file("docs/deployment.md");
    let blocks: Vec<_> = page.split("```").skip(1).step_by(2).collect();
    let found = blocks.iter().find(|block| block.lines().any(|found| found.starts_with(line)));
    let (_, lines) = found.unwrap_or_else(|| panic!("no block with {line}")).split_once('\n').unwrap();
    lines.to_owned()
}

/// The lines of a block that begin like this.
fn lines(block: &str, starts: &[&str]) -> String {
    let wanted = |line: &&str| starts.iter().any(|start| line.starts_with(start));
    block.lines().filter(wanted).map(|line| format!("{line}\n")).collect()
}

/// A server with all users of users.acl beside the default one, which is the test's own, and the keys that all servers
/// share.
fn with_users() -> ServerBuilder {
    ServerBuilder::new().keys(&["one"]).users_beside_default()
}

/// What was refused to whom.
#[track_caller]
fn assert_nothing_was_refused(server: &Server) {
    let log = list(cmd(&mut server.connection(), "ACL LOG").unwrap());
    assert!(log.is_empty(), "{log:?}");
}

#[test]
fn a_backup_is_restored_as_the_page_says() {
    let mut server = ServerBuilder::new().keys(&["one"]).appendonly().config("pidfile ./pid").start();
    let folder = server.dir().to_owned();
    let mut con = server.connection();
    let before = create(&mut con, "sessions:42 TOKEN OPAQUE").str("token");
    cmd(&mut con, "SAVE").unwrap();
    fs::copy(folder.join("dump.rdb"), folder.join("backup.rdb")).unwrap();
    cmd(&mut con, "SESSION.REVOKEUSER sessions:42").unwrap();
    let after = create(&mut con, "sessions:43 TOKEN OPAQUE").str("token");

    server.shutdown("NOSAVE");
    restore_backup(&mut server);

    let mut con = server.connection();
    assert_eq!(verdict(&mut con, "sessions:42", &before), "active", "a logout since the backup is undone");
    assert_eq!(verdict(&mut con, "sessions:43", &after), "unknown");
    // It is in the new append-only file, and so is what follows.
    let later = create(&mut con, "sessions:44 TOKEN OPAQUE").str("token");
    fs::remove_file(folder.join("dump.rdb")).unwrap();
    server.kill();
    server.start_again();
    let mut con = server.connection();
    assert_eq!(verdict(&mut con, "sessions:42", &before), "active");
    assert_eq!(verdict(&mut con, "sessions:44", &later), "active");
    let (seconds, _): (i64, i64) = redis::cmd("TIME").query(&mut con).unwrap();
    set(&mut con, "session.not-before", &(seconds * 1000 + 999).to_string()).unwrap();
    for (key, token) in [("sessions:42", &before), ("sessions:44", &later)] {
        assert_eq!(verdict(&mut con, key, token), "user_revoked");
    }
}

#[test]
fn tls_works_as_the_page_sets_it_up() {
    let folder = tempfile::TempDir::with_prefix("redis-session-tls-").unwrap();
    let script = block("openssl req -x509").replace("10.0.0.1", "127.0.0.1");
    // Shorter keys are made sooner.
    let script = script.replace("rsa:3072", "rsa:2048");
    let made = Command::new("bash").args(["-euc", &script]).current_dir(&folder).stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let tls = folder.path().join("tls").display().to_string();
    let (port, port_of_replica) = (Port::free(), Port::free());
    let config = |port: &Port| {
        let lines = lines(&block("tls-port 6379"), &["tls-"]).replace("/etc/redis/tls", &tls);
        lines.replace("tls-port 6379", &format!("tls-port {port}"))
    };
    let server = with_users().config(config(&port)).start();
    let certificate = format!("{tls}/ca.crt");
    let command = block("REDISCLI_AUTH=change-me redis-cli --tls");
    assert!(command.contains("--tls --cacert /etc/redis/tls/ca.crt -h 10.0.0.1 --user app PING"), "{command}");
    let ask = |args: &[&str]| {
        let login = ["-p", &port.to_string(), "--user", "app", "--pass", "change-me", "--no-auth-warning"];
        server.cli(&[&login, args].concat())
    };
    assert_eq!(ask(&["--tls", "--cacert", &certificate, "PING"]).stdout, "PONG");
    let login = ask(&["--tls", "--cacert", &certificate, "SESSION.CREATE", "sessions:42"]);
    assert!(login.stdout.contains("expires_at"), "{login}");
    let stranger = ask(&["--tls", "PING"]);
    assert!(stranger.stderr.contains("certificate verify failed"), "{stranger:?}");
    assert!(!ask(&["PING"]).stdout.contains("PONG"), "without TLS");
    let root_cert = Some(fs::read(&certificate).unwrap());
    let client = Client::build_with_tls(
        format!("rediss://app:change-me@127.0.0.1:{port}/"),
        TlsCertificates { client_tls: None, root_cert },
    );
    let sessions = SessionStore::connect(client.unwrap().get_connection_info().clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // A busy machine may take longer for a handshake than the store waits.
    wait_until("the store logs in over TLS", || runtime.block_on(sessions.login(&Login::new("43"))).is_ok());
    // Replicas come by the same way.
    let login = format!("masteruser replica\nmasterauth change-me\nreplicaof 127.0.0.1 {port}");
    let replica = with_users().config(config(&port_of_replica)).config(login).start();
    wait_until("the replica has the session", || {
        redis::cmd("EXISTS").arg("sessions:42").query::<u8>(&mut replica.connection()).is_ok_and(|there| there == 1)
    });
}

#[test]
fn sentinel_replaces_a_primary_with_the_users_that_the_page_names() {
    let own = lines(&block("min-replicas-to-write 1"), &["masteruser", "masterauth", "min-replicas", "replica-serve"]);
    assert_eq!(own.lines().count(), 5);
    let mut primary = with_users().config(&own).start();
    let replica = with_users().config(&own).replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    // The primary counts its replicas once a second.
    let mut con = primary.connection();
    wait_until("the replica counts", || cmd(&mut con, "SESSION.REVOKEUSER sessions:42").is_ok());
    let token = create(&mut primary.connection(), "sessions:42").str("token");
    primary.wait_for_sync(&replica);
    let auth = lines(&block("sentinel monitor"), &["sentinel auth-"]);
    assert_eq!(auth.lines().count(), 2);
    let sentinels = Sentinels::start_with(&primary, 1, &auth);
    assert_nothing_was_refused(&primary);
    primary.kill();
    sentinels.wait_for_another_than(primary.port());
    assert_eq!(sentinels.primary_port(), replica.port());
    assert_eq!(verdict(&mut replica.connection(), "sessions:42", &token), "active");
    primary.start_again();
    sentinels.wait_for_replicas(1);
    wait_until("writes go on", || cmd(&mut replica.connection(), "SESSION.REVOKEUSER sessions:42").is_ok());
    for server in [&primary, &replica] {
        assert_nothing_was_refused(server);
    }
}

#[test]
fn redis_cli_makes_a_cluster_as_the_operator_of_the_page() {
    let own = lines(&block("cluster-enabled yes"), &["masteruser", "masterauth", "cluster-"]);
    assert_eq!(own.lines().count(), 6);
    let nodes: Vec<_> = (0..3).map(|_| with_users().config(&own).start()).collect();
    let command = block("REDISCLI_AUTH=change-me redis-cli --user operator --cluster create");
    assert!(command.starts_with("REDISCLI_AUTH=change-me redis-cli --user operator --cluster create --cluster-yes "));
    let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let operator = ["--user", "operator", "--pass", "change-me", "--no-auth-warning", "--cluster"];
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let made = nodes[0].cli(&[&operator, &["create", "--cluster-yes"][..], &addresses].concat());
    assert!(made.status.success() && made.stdout.contains("All 16384 slots covered"), "{made:?}");
    let check = nodes[0].cli(&[&operator, &["check", addresses[2]][..]].concat());
    assert!(check.status.success() && check.stdout.contains("All 16384 slots covered"), "{check:?}");
    for node in &nodes {
        assert_nothing_was_refused(node);
        wait_until("the cluster is well", || node.cli(&["CLUSTER", "INFO"]).stdout.contains("cluster_state:ok"));
    }
    let reply = nodes[0].cli(&["-c", "SESSION.CREATE", "sessions:42"]);
    assert!(reply.stdout.contains("expires_at"), "{reply}");
}

#[test]
fn a_new_node_gets_slots_and_their_sessions_as_the_page_says() {
    let own = lines(&block("cluster-enabled yes"), &["masteruser", "masterauth", "cluster-"]);
    let nodes: Vec<_> = (0..4).map(|_| with_users().config(&own).start()).collect();
    let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let login = |user| ["--user", user, "--pass", "change-me", "--no-auth-warning", "--cluster"];
    let create = ["create", "--cluster-yes", &addresses[0], &addresses[1], &addresses[2]];
    let made = nodes[0].cli(&[&login("operator"), &create[..]].concat());
    assert!(made.status.success(), "{made:?}");
    wait_until("the cluster is well", || {
        nodes[..3].iter().all(|node| node.cli(&["CLUSTER", "INFO"]).stdout.contains("cluster_state:ok"))
    });
    let urls: Vec<_> = nodes.iter().map(|node| node.url().replace("redis://", "redis://app:change-me@")).collect();
    let mut app = redis::cluster::ClusterClient::new(urls).unwrap().get_connection().unwrap();
    let tokens: Vec<_> =
        (0..200).map(|user| redis_session_tests::login(&mut app, &format!("sessions:{user}"))).collect();
    for (user, token) in tokens.iter().enumerate().step_by(2) {
        cmd(&mut app, &format!("SESSION.REVOKE sessions:{user} {token}")).unwrap();
    }

    let page = block("REDISCLI_AUTH=change-me redis-cli --user reshard --cluster add-node");
    let steps: Vec<Vec<String>> = page
        .lines()
        .filter_map(|line| line.strip_prefix("REDISCLI_AUTH=change-me redis-cli --user reshard --cluster "))
        .map(|line| {
            let line = line.replace("10.0.0.7:6379", &addresses[3]).replace("10.0.0.1:6379", &addresses[0]);
            line.split(' ').map(str::to_owned).collect()
        })
        .collect();
    assert!(steps.len() == 3 && page.contains("CLUSTER INFO      # until it says cluster_state:ok"), "{page}");
    for step in &steps {
        let words: Vec<_> =
            step.iter().map(String::as_str).take_while(|word| *word != "#" && !word.is_empty()).collect();
        let run = || nodes[0].cli(&[&login("reshard"), &words[..]].concat());
        if words[0] == "check" {
            wait_until("all nodes agree", || {
                run().status.success()
                    && nodes.iter().all(|node| {
                        let info = node.cli(&["CLUSTER", "INFO"]).stdout;
                        info.contains("cluster_known_nodes:4") && info.contains("cluster_state:ok")
                    })
            });
            continue;
        }
        let done = run();
        assert!(done.status.success() && !done.stdout.contains("ERR"), "{done:?}");
    }
    let moved = int(&mut nodes[3].connection(), "DBSIZE");
    assert!(moved > 10, "{moved} users moved");
    for (user, token) in tokens.iter().enumerate() {
        let expected = if user % 2 == 0 { "revoked" } else { "active" };
        assert_eq!(verdict(&mut app, &format!("sessions:{user}"), token), expected, "{user}");
    }
    for node in &nodes {
        // valkey-cli 9 asks how many databases there are, and takes no answer for one. CONFIG GET shows passwords as well.
        let log = list(cmd(&mut node.connection(), "ACL LOG").unwrap());
        let refused: Vec<_> = log.iter().filter(|entry| !format!("{entry:?}").contains("\"config|get\"")).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
}

/// Near enough to choose `maxmemory` by: what a server takes is at most a tenth more, and not much less.
#[test]
fn sessions_take_the_memory_that_the_formula_says() {
    let page = file("docs/deployment.md");
    let (_, formula) = page.split_once("    bytes = ").unwrap();
    let mut numbers = formula.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<i64>().ok());
    let (of_user, of_session) = (numbers.next().unwrap(), numbers.next().unwrap());
    for per_user in [1, 2, 4] {
        let server = Server::start();
        let mut con = server.connection();
        let used = || server.info("memory", "used_memory").parse::<i64>().unwrap();
        cmd(&mut con, "PING").unwrap();
        let before = used();
        // The users fill nine tenths of the table of keys, which doubles when it is full.
        let users = 1875;
        for start in (0..users).step_by(125) {
            let mut pipe = redis::pipe();
            for n in (start..start + 125).flat_map(|user| std::iter::repeat_n(user, per_user)) {
                let key = format!("sessions:{n}");
                pipe.cmd("SESSION.CREATE")
                    .arg(&[&key, "IP", "203.0.113.7", "AGENT", "phone", "TOKEN", "NONE"])
                    .ignore();
            }
            pipe.exec(&mut con).unwrap();
        }
        drop(con);
        let sessions = users * i64::try_from(per_user).unwrap();
        let (taken, said) = (used() - before, of_user * users + of_session * sessions);
        // Valkey takes less for a key than Redis.
        let near = taken * 10 < said * 11 && taken * 4 > said * 3;
        assert!(near, "{per_user} sessions per user: {taken} taken, {said} said");
        assert_eq!(int(&mut server.connection(), "DBSIZE"), users);
    }
}
