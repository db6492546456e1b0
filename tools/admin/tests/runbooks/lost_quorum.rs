//! docs/runbooks/lost-quorum.md

use std::fs;
use std::time::Instant;

use redis_session_tests::{Cluster, Sentinels, Server, cmd, error, wait_until};

use super::{line, node, shell, to};
use crate::load::{Load, Losses};
use crate::program::well;

const PAGE: &str = "lost-quorum.md";

#[test]
fn a_cluster_without_a_majority_goes_on_with_what_the_replicas_have() {
    let mut cluster = Cluster::start(node());
    let load = Load::on_cluster(&cluster.urls());
    let replicas: Vec<usize> = (0..2).map(|primary| cluster.replicas_of(primary)[0]).collect();
    let marked = Instant::now();
    for (primary, replica) in replicas.iter().enumerate() {
        cluster.nodes()[primary].wait_for_sync(&cluster.nodes()[*replica]);
    }
    load.go_on(100);
    for primary in 0..2 {
        cluster.node_mut(primary).kill();
    }
    wait_until("the third primary sees no majority", || {
        cluster.nodes()[2].cli(&["CLUSTER", "INFO"]).stdout.contains("cluster_state:fail")
    });
    for replica in &replicas {
        shell(&line(PAGE, "TAKEOVER"), &[("-h 10.0.0.4", &to(&cluster.nodes()[*replica]))]);
    }
    cluster.wait_until_whole();
    load.go_on(100);
    let address = format!("127.0.0.1:{}", cluster.nodes()[replicas[0]].port());
    assert!(shell(&line(PAGE, "--cluster check"), &[("10.0.0.4:6379", &address)]).contains("All 16384 slots covered"));
    // The old primaries come back as replicas.
    for primary in 0..2 {
        cluster.node_mut(primary).start_again();
    }
    cluster.wait_until_whole();
    load.go_on(100);
    let history = load.end();
    let mut con = redis::cluster::ClusterClient::new(cluster.urls()).unwrap().get_connection().unwrap();
    history.report("lost quorum, cluster", &history.losses(&mut con));
    assert_eq!(history.until(marked).losses(&mut con), Losses::NONE, "the replicas had all of that time");
}

#[test]
fn without_a_quorum_of_sentinels_a_replica_is_promoted_by_hand() {
    let mut servers = vec![node().start()];
    for _ in 0..2 {
        let replica = node().replica_of(&servers[0]).start();
        servers[0].wait_for_sync(&replica);
        servers.push(replica);
    }
    let mut sentinels = Sentinels::start(&servers[0], 2);
    // So that the Sentinels that go have a later epoch than one that begins again.
    let sentinel = format!("127.0.0.1:{}", sentinels.each()[0].port());
    well(&format!("switchover --to 127.0.0.1:{} --sentinel {sentinel}", servers[1].port()));
    sentinels.wait_for_replicas(2);
    let mut primary = servers.remove(1);
    let load = Load::start(&[primary.url(), servers[0].url(), servers[1].url()]);
    let marked = Instant::now();
    for replica in &servers {
        primary.wait_for_sync(replica);
    }
    load.go_on(100);
    sentinels.sentinel_mut(1).kill();
    sentinels.sentinel_mut(2).kill();
    primary.kill();

    let left = |line: &str| cmd(&mut sentinels.each()[0].connection(), line).unwrap();
    left("SENTINEL SET sessions down-after-milliseconds 500");
    wait_until("the Sentinel that is left sees no quorum", || {
        let mut con = sentinels.each()[0].connection();
        cmd(&mut con, "SENTINEL CKQUORUM sessions").is_err_and(|error| error.to_string().contains("NOQUORUM"))
    });
    let offset = |server: &Server| {
        let printed = shell(&line(PAGE, "slave_repl_offset"), &[("-h 10.0.0.2", &to(server))]);
        printed.lines().find_map(|line| line.trim().strip_prefix("slave_repl_offset:")?.parse::<u64>().ok()).unwrap()
    };
    servers.sort_by_key(offset);
    let [other, second] = &servers[..] else { panic!("two replicas") };
    let here = format!("127.0.0.1 {}", second.port());
    shell(&line(PAGE, "REPLICAOF NO ONE"), &[("-h 10.0.0.2", &to(second))]);
    shell(&line(PAGE, "REPLICAOF 10.0.0.2"), &[("-h 10.0.0.3", &to(other)), ("10.0.0.2 6379", &here)]);
    let port = sentinels.each()[0].port().to_string();
    shell(&line(PAGE, "SENTINEL REMOVE"), &[("-p 26379", &format!("-p {port}"))]);
    shell(&line(PAGE, "SENTINEL MONITOR"), &[("-p 26379", &format!("-p {port}")), ("10.0.0.2 6379", &here)]);
    load.go_on(100);

    // What was down learns of it before it starts.
    for number in 1..3 {
        let sentinel = sentinels.sentinel_mut(number);
        let conf = sentinel.config_path().display().to_string();
        shell(&line(PAGE, "sed -i"), &[("/etc/redis/sentinel.conf", &conf), ("10.0.0.2 6379", &here)]);
        sentinel.start_again();
    }
    sentinels.wait_for_replicas(1);
    let conf = fs::read_to_string(primary.config_path()).unwrap();
    fs::write(primary.config_path(), format!("{conf}\nreplicaof {here}\n")).unwrap();
    primary.start_again();
    sentinels.wait_for_replicas(2);
    for sentinel in sentinels.each() {
        let named = sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Sentinels::NAME]).stdout;
        assert!(named.contains(&second.port().to_string()), "{named}");
    }
    second.wait_for_sync(&primary);
    let history = load.end();
    let mut con = second.connection();
    history.report("lost quorum, Sentinel", &history.losses(&mut con));
    assert_eq!(history.until(marked).losses(&mut con), Losses::NONE, "the replicas had all of that time");
    assert!(error(&mut primary.connection(), "SESSION.CREATE sessions:42").starts_with("READONLY"));
}
