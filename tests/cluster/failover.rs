//! Primaries that are replaced while clients are at work.
//!
//! `REDIS_TEST_ROUNDS` says how often one crashes, and how often all hand over in order.

use redis_session::AsyncSessionCommands;
use redis_session::redis::cluster::ClusterClient;
use redis_session_tests::{Cluster, amount, wait_until};

use crate::links::{runtime, to_cluster, to_cluster_async};
use crate::load::Load;
use crate::nodes::{assert_replicas_equal, start};

const USERS: usize = 12;

/// What docs/operations.md says that clients get while a primary is missing, and for a login that was done twice.
const ERRORS: [&str; 7] = [
    "Connection refused",
    "Connection reset by peer",
    "Broken pipe",
    "unexpected end of file",
    "MOVED",
    "CLUSTERDOWN",
    "SESSIONEXISTS",
];

fn clients(cluster: &Cluster, replicas: Option<u32>) -> Load {
    let connects = vec![to_cluster(cluster), to_cluster_async(cluster), to_cluster(cluster), to_cluster_async(cluster)];
    Load::start(connects, USERS, replicas)
}

#[test]
fn a_failover_in_order_loses_no_login_and_undoes_no_logout() {
    let cluster = start("");
    let load = clients(&cluster, None);
    load.go_on(100);
    for _ in 0..amount("REDIS_TEST_ROUNDS", 1) {
        for primary in cluster.primaries() {
            hand_over(&cluster, primary);
            load.go_on(50);
        }
    }
    // And one that has been a replica meanwhile takes over again.
    hand_over(&cluster, cluster.primaries()[0]);
    load.go_on(50);
    let outcome = load.stop();

    assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    let tally = outcome.verify(&to_cluster(&cluster));
    eprintln!("{tally:?}, {:?}", outcome.successes);
    assert!(tally.alive > 0 && tally.ended > 0 && tally.unknown == 0, "{tally:?}");
    assert_replicas_equal(&cluster);
}

fn hand_over(cluster: &Cluster, primary: usize) {
    let [replica] = cluster.replicas_of(primary)[..] else { panic!("one replica was expected") };
    cluster.fail_over_to(replica);
}

#[test]
fn a_crash_of_a_primary_loses_no_login_and_undoes_no_logout_that_its_replica_had() {
    let mut cluster = start("cluster-replica-no-failover no\ncluster-require-full-coverage no");
    let slot = cluster.slot_of(&Load::keys(1, 1)[0]);
    let load = clients(&cluster, Some(1));
    let (runtime, patient) = (runtime(), ClusterClient::new(cluster.urls()).unwrap());
    let patient = runtime.block_on(patient.get_async_connection()).unwrap();
    for _ in 0..amount("REDIS_TEST_ROUNDS", 1) {
        load.go_on(100);
        let primary = cluster.primary_of(slot);
        cluster.node_mut(primary).kill();
        // With the library's own settings, an asynchronous connection waits for the new primary.
        let (mut patient, key) = (patient.clone(), Load::keys(1, 1).remove(0));
        let asked = runtime.spawn(async move { patient.session_count(key).await });
        // It is down, so the others need not be patient for long.
        cluster.tell_all("CONFIG SET cluster-node-timeout 500");
        wait_until("the replica takes its place", || cluster.primary_of(slot) != primary);
        cluster.tell_all("CONFIG SET cluster-node-timeout 2000");
        load.go_on(10);
        // It finds out that it has become a replica.
        cluster.node_mut(primary).start_again();
        cluster.wait_until_whole();
        runtime.block_on(asked).unwrap().unwrap();
    }
    load.go_on(100);
    let outcome = load.stop();

    let tally = outcome.verify(&to_cluster(&cluster));
    eprintln!("{tally:?}, {:?}, {} unacknowledged, {:?}", outcome.successes, outcome.unacknowledged, outcome.errors);
    assert!(tally.alive > 0 && tally.ended > 0 && tally.unknown > 0, "{tally:?}");
    outcome.assert_no_errors_but(&ERRORS);
    assert_replicas_equal(&cluster);
}
