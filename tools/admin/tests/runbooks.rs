//! The commands of docs/runbooks, on real servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use redis_session_tests::{Cluster, Sentinels, Server, ServerBuilder, cmd, login, verdict, wait_until};

use crate::load::{Load, Losses};
use crate::program::{at, run, well};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbooks")
}

/// The blocks of commands of a page.
fn blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(folder().join(page)).unwrap();
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    blocks.map(str::to_owned).collect()
}

/// Runs a block with other words in place of some of its own, each of which it must have.
#[track_caller]
fn shell(block: &str, changes: &[(&str, &str)]) -> String {
    let mut script = block.to_owned();
    for (from, to) in changes {
        assert!(script.contains(from), "{from}: {script}");
        script = script.replace(from, to);
    }
    let done = Command::new("bash").args(["-euc", &script]).output().unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && !printed.contains("ERR"), "{script}\n{printed}");
    printed
}

fn node() -> ServerBuilder {
    ServerBuilder::new().keys(&["one"])
}

fn to(server: &Server) -> String {
    format!("-h 127.0.0.1 -p {}", server.port())
}

#[test]
fn the_program_takes_each_command_that_the_pages_have() {
    let mut commands = 0;
    let mut pages: Vec<_> = fs::read_dir(folder()).unwrap().map(|page| page.unwrap().file_name()).collect();
    pages.sort();
    for page in pages {
        for line in blocks(page.to_str().unwrap()).iter().flat_map(|block| block.lines()) {
            let Some(words) = line.strip_prefix("redis-session-admin ") else { continue };
            let words = words.split('#').next().unwrap();
            // Nobody listens there: it is understood, and not done.
            let ran = run(&format!("{words} --url redis://127.0.0.1:1"));
            assert!(ran.code == 1 && ran.errors.contains("127.0.0.1:1"), "{page:?}: {line}: {ran:?}");
            commands += 1;
        }
    }
    assert!(commands > 10, "{commands}");
}

#[test]
fn a_cluster_without_a_majority_goes_on_with_what_the_replicas_have() {
    let block = blocks("lost-quorum.md").into_iter().find(|block| block.contains("TAKEOVER")).unwrap();
    let mut cluster = Cluster::start(node());
    let mut con = redis::cluster::ClusterClient::new(cluster.urls()).unwrap().get_connection().unwrap();
    let tokens: Vec<_> = (0..60).map(|user| login(&mut con, &format!("sessions:{user}"))).collect();
    for (user, token) in tokens.iter().enumerate().step_by(3) {
        cmd(&mut con, &format!("SESSION.REVOKE sessions:{user} {token}")).unwrap();
    }
    let replicas: Vec<usize> = (0..2).map(|primary| cluster.replicas_of(primary)[0]).collect();
    for (primary, replica) in replicas.iter().enumerate() {
        cluster.nodes()[primary].wait_for_sync(&cluster.nodes()[*replica]);
    }
    for primary in 0..2 {
        cluster.node_mut(primary).kill();
    }
    for replica in &replicas {
        let takeover: String = block.lines().take(1).collect();
        shell(&takeover, &[("-h 10.0.0.4", &to(&cluster.nodes()[*replica]))]);
    }
    cluster.wait_until_whole();
    let check = format!("redis-cli --cluster check 127.0.0.1:{}", cluster.nodes()[replicas[0]].port());
    assert!(block.contains("redis-cli --cluster check 10.0.0.4:6379"));
    assert!(shell(&check, &[]).contains("All 16384 slots covered"));
    let urls = cluster.nodes()[2..].iter().map(Server::url).collect::<Vec<_>>();
    let mut con = redis::cluster::ClusterClient::new(urls).unwrap().get_connection().unwrap();
    for (user, token) in tokens.iter().enumerate() {
        let expected = if user % 3 == 0 { "revoked" } else { "active" };
        assert_eq!(verdict(&mut con, &format!("sessions:{user}"), token), expected, "{user}");
    }
}

#[test]
fn without_a_quorum_of_sentinels_a_replica_is_promoted_by_hand() {
    let pages = blocks("lost-quorum.md");
    let mut primary = node().start();
    let second = node().replica_of(&primary).start();
    let third = node().replica_of(&primary).start();
    primary.wait_for_sync(&second);
    primary.wait_for_sync(&third);
    let sentinels = Sentinels::start(&primary, 2);
    let token = login(&mut primary.connection(), "sessions:42");
    let over = login(&mut primary.connection(), "sessions:43");
    cmd(&mut primary.connection(), &format!("SESSION.REVOKE sessions:43 {over}")).unwrap();
    primary.wait_for_sync(&second);
    primary.kill();
    let port = second.port().to_string();
    shell(
        &pages[0],
        &[("10.0.0.2 6379", &format!("127.0.0.1 {port}")), ("-h 10.0.0.2", &to(&second)), ("-h 10.0.0.3", &to(&third))],
    );
    for url in sentinels.urls() {
        let sentinel = url.trim_end_matches('/').rsplit(':').next().unwrap();
        shell(&pages[1], &[("-p 26379", &format!("-p {sentinel}")), ("10.0.0.2 6379", &format!("127.0.0.1 {port}"))]);
    }
    assert_eq!(sentinels.primary_port(), second.port());
    wait_until("the other replica follows", || third.info("replication", "master_link_status") == "up");
    let mut con = second.connection();
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active");
    assert_eq!(verdict(&mut con, "sessions:43", &over), "revoked");
    login(&mut con, "sessions:44");
}

#[test]
fn everyone_out_ends_all_sessions_under_load_and_none_comes_back() {
    let primary = node().start();
    let replica = node().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    let before: Vec<_> =
        (0..50).map(|user| login(&mut primary.connection(), &format!("sessions:before-{user}"))).collect();
    let load = Load::start(&[primary.url()]);
    well(&format!("everyone-out --yes {}", at(&replica)));
    load.go_on(50);
    for server in [&primary, &replica] {
        primary.wait_for_sync(&replica);
        for (user, token) in before.iter().enumerate() {
            let key = format!("sessions:before-{user}");
            assert_eq!(verdict(&mut server.connection(), &key, token), "user_revoked");
        }
    }
    // Those who were in are out; no logout is undone.
    let (losses, _) = load.stop(&mut primary.connection());
    assert_eq!(losses.undone, 0);
}

#[test]
fn a_cut_off_primary_stops_taking_writes_and_a_logout_that_waited_is_not_undone() {
    let settings = "min-replicas-to-write 1\nmin-replicas-max-lag 3";
    let primary = node().config(settings).start();
    let replica = node().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    let mut con = primary.connection();
    wait_until("the replica counts", || cmd(&mut con, "SESSION.CREATE sessions:1").is_ok());
    let frozen = replica.freeze();
    // A logout that nobody else has is said to be one.
    let token = login(&mut con, "sessions:2");
    cmd(&mut con, &format!("SESSION.REVOKE sessions:2 {token}")).unwrap();
    let reached: i64 = redis::cmd("WAIT").arg(1).arg(100).query(&mut con).unwrap();
    assert_eq!(reached, 0);
    wait_until("the primary refuses logins", || {
        cmd(&mut con, "SESSION.CREATE sessions:3").is_err_and(|error| error.to_string().contains("NOREPLICAS"))
    });
    for line in ["SESSION.REVOKEUSER sessions:1", "SESSION.DENY sessions:1 x UNTIL 99999999999999"] {
        assert!(cmd(&mut con, line).unwrap_err().to_string().contains("NOREPLICAS"), "{line}");
    }
    assert_eq!(verdict(&mut con, "sessions:2", &token), "revoked");
    drop(frozen);
    wait_until("writes go on", || cmd(&mut con, "SESSION.CREATE sessions:4").is_ok());
}

/// Users move to other machines: the new server is a replica first.
#[test]
fn users_move_to_another_machine_and_nothing_is_lost() {
    let block = blocks("moving-users.md").remove(0);
    let old = node().start();
    let new = node().start();
    let load = Load::start(&[old.url(), new.url()]);
    let follow = block.lines().next().unwrap();
    shell(follow, &[("-h NEW", &to(&new)), ("10.0.0.1 6379", &format!("127.0.0.1 {}", old.port()))]);
    old.wait_for_sync(&new);
    assert!(block.contains("redis-session-admin switchover --to NEW:6379"));
    well(&format!("switchover --to 127.0.0.1:{} {}", new.port(), at(&old)));
    load.go_on(100);
    assert_eq!(load.stop(&mut new.connection()).0, Losses { lost: 0, undone: 0 });
}
