//! docs/runbooks/everyone-out.md

use std::time::Instant;

use redis_session_tests::Cluster;

use super::node;
use crate::load::{Load, Losses};
use crate::program::{at, well};

const LINE: &str = "everyone-out --yes";

#[test]
fn all_sessions_from_before_are_dead_and_those_from_after_are_alive() {
    let primary = node().start();
    let replica = node().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    let load = Load::start(&[primary.url()]);
    let sent = Instant::now();
    well(&format!("{LINE} {}", at(&replica)));
    let done = Instant::now();
    load.go_on(200);
    let mut history = load.end();
    history.everyone_is_out(sent, done);
    let losses = history.losses(&mut primary.connection());
    history.report("everyone out", &losses);
    assert_eq!(losses, Losses::NONE);
    primary.wait_for_sync(&replica);
    assert_eq!(history.losses(&mut replica.connection()), Losses::NONE);
}

#[test]
fn on_a_cluster_too() {
    let cluster = Cluster::start(node());
    let load = Load::on_cluster(&cluster.urls());
    let sent = Instant::now();
    let printed = well(&format!("{LINE} {}", at(&cluster.nodes()[4])));
    let done = Instant::now();
    assert_eq!(printed.matches("on 1 of 1 replicas too").count(), 3, "{printed}");
    load.go_on(200);
    let mut history = load.end();
    history.everyone_is_out(sent, done);
    let mut con = redis::cluster::ClusterClient::new(cluster.urls()).unwrap().get_connection().unwrap();
    let losses = history.losses(&mut con);
    history.report("everyone out, cluster", &losses);
    assert_eq!(losses, Losses::NONE);
}
