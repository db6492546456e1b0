//! The nodes of a cluster, and what they hold.

use redis_session_tests::{Cluster, Server, ServerBuilder, cmd};

/// A server that shares its keys with all others, writes every use of a session down, and forgets no trace.
pub fn node() -> ServerBuilder {
    ServerBuilder::new().keys(&["one"]).config("session.touch-granularity 0\nsession.max-per-user 100000")
}

/// A cluster of such nodes.
#[track_caller]
pub fn start(settings: &str) -> Cluster {
    Cluster::start(node().config(settings))
}

/// How often all nodes together answered with this error since they started.
pub fn errors_sent(cluster: &Cluster, code: &str) -> usize {
    let count = |node: &Server| -> usize {
        let stats: String = redis::cmd("INFO").arg("errorstats").query(&mut node.connection()).expect("INFO");
        let line = format!("errorstat_{code}:count=");
        stats.lines().find_map(|found| found.strip_prefix(&line)).map_or(0, |count| count.trim().parse().unwrap())
    };
    cluster.nodes().iter().map(count).sum()
}

/// Fails unless every primary has a replica and each of these holds what the primary does, key by key.
#[track_caller]
pub fn assert_replicas_equal(cluster: &Cluster) {
    let mut keys_seen = 0;
    for primary in cluster.primaries() {
        let replicas = cluster.replicas_of(primary);
        assert!(!replicas.is_empty(), "node {primary} has no replica");
        let primary = &cluster.nodes()[primary];
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut primary.connection()).expect("KEYS");
        keys_seen += keys.len();
        for replica in replicas {
            let replica = &cluster.nodes()[replica];
            primary.wait_for_sync(replica);
            for (there, here) in values(replica, &keys).iter().zip(values(primary, &keys)) {
                assert_eq!(*there, here);
            }
            assert_eq!(replica.digest_of_all(), primary.digest_of_all());
            let size = |node: &Server| cmd(&mut node.connection(), "DBSIZE").expect("DBSIZE");
            assert_eq!(size(replica), size(primary));
        }
    }
    assert!(keys_seen > 0, "there are no keys");
}

/// Each key with the digest of its value and its end, asked for together.
fn values(node: &Server, keys: &[String]) -> Vec<(String, String, i64)> {
    if keys.is_empty() {
        return Vec::new();
    }
    // From a replica too, which otherwise sends its clients to the primary.
    let mut con = node.connection();
    cmd(&mut con, "READONLY").expect("READONLY");
    let mut digests = redis::pipe();
    let mut ends = redis::pipe();
    for key in keys {
        digests.cmd("DEBUG").arg("DIGEST-VALUE").arg(key);
        ends.cmd("PEXPIRETIME").arg(key);
    }
    let digests: Vec<(String,)> = digests.query(&mut con).expect("DEBUG DIGEST-VALUE");
    let ends: Vec<i64> = ends.query(&mut con).expect("PEXPIRETIME");
    keys.iter().cloned().zip(digests).zip(ends).map(|((key, (digest,)), end)| (key, digest, end)).collect()
}
