//! A replica becomes the primary while applications work, and nothing that was answered is lost.

use redis_session_tests::{Cluster, Sentinels, Server, ServerBuilder, wait_until};

use crate::load::{Load, Losses};
use crate::program::{at, run, well};

fn node() -> ServerBuilder {
    ServerBuilder::new().keys(&["one"]).config("repl-backlog-size 16mb")
}

fn pair() -> (Server, Server) {
    let primary = node().start();
    let replica = node().replica_of(&primary).start();
    primary.wait_for_sync(&replica);
    (primary, replica)
}

#[test]
fn a_pair_changes_its_roles_and_back_and_loses_nothing() {
    let (primary, replica) = pair();
    let third = node().replica_of(&primary).start();
    primary.wait_for_sync(&third);
    let load = Load::start(&[primary.url(), replica.url()]);
    let printed = well(&format!("switchover --to 127.0.0.1:{} {}", replica.port(), at(&primary)));
    assert!(printed.contains(&format!("127.0.0.1:{} is the primary", replica.port())), "{printed}");
    load.go_on(100);
    assert_eq!(primary.info("replication", "role"), "slave");
    wait_until("the third follows the new primary", || {
        third.info("replication", "master_port") == replica.port().to_string()
    });
    // Asked of any of them.
    well(&format!("switchover --to 127.0.0.1:{} {}", primary.port(), at(&third)));
    load.go_on(100);
    assert_eq!(load.stop("switchover, a pair", &mut primary.connection()), Losses::NONE);
}

#[test]
fn sentinel_changes_the_primary_and_nothing_is_lost() {
    let (primary, replica) = pair();
    let third = node().replica_of(&primary).start();
    primary.wait_for_sync(&third);
    let sentinels = Sentinels::start(&primary, 2);
    let load = Load::start(&[primary.url(), replica.url(), third.url()]);
    let sentinel = sentinels.urls()[0].replace("redis://", "").replace('/', "");
    well(&format!("switchover --to 127.0.0.1:{} --sentinel {sentinel}", third.port()));
    assert_eq!(sentinels.primary_port(), third.port());
    load.go_on(100);
    assert_eq!(load.stop("switchover, Sentinel", &mut third.connection()), Losses::NONE);
    sentinels.wait_for_replicas(2);
    for server in [&primary, &replica] {
        assert_eq!(server.info("replication", "master_port"), third.port().to_string());
        let priority = server.cli(&["CONFIG", "GET", "replica-priority"]).stdout;
        assert!(priority.ends_with("100"), "{priority}");
    }
}

#[test]
fn a_cluster_changes_a_primary_and_nothing_is_lost() {
    let cluster = Cluster::start(ServerBuilder::new().keys(&["one"]));
    let load = Load::on_cluster(&cluster.urls());
    let nodes = cluster.nodes();
    let replica = cluster.replicas_of(0)[0];
    let unnamed = run(&format!("switchover {}", at(&nodes[1])));
    assert!(unnamed.code == 1 && unnamed.errors.contains("several primaries"), "{unnamed:?}");
    well(&format!("switchover --to 127.0.0.1:{} {}", nodes[replica].port(), at(&nodes[1])));
    assert_eq!(nodes[replica].info("replication", "role"), "master");
    assert_eq!(nodes[0].info("replication", "role"), "slave");
    cluster.wait_until_whole();
    load.go_on(100);
    let mut con = redis::cluster::ClusterClient::new(cluster.urls()).unwrap().get_connection().unwrap();
    assert_eq!(load.stop("switchover, cluster", &mut con), Losses::NONE);
}

#[test]
fn a_server_that_should_not_be_the_primary_does_not_become_it() {
    let (primary, replica) = pair();
    let lone = Server::start();
    for (line, why) in [
        (format!("switchover {}", at(&lone)), "no replica that could take over"),
        (format!("switchover --to 127.0.0.1:1 {}", at(&primary)), "is no replica here"),
        (format!("switchover --to 127.0.0.1:{} {}", primary.port(), at(&primary)), "is no replica here"),
        (format!("switchover --to nonsense {}", at(&primary)), "is not HOST:PORT"),
    ] {
        let ran = run(&line);
        assert!(ran.code == 1 && ran.errors.contains(why), "{line}: {ran:?}");
    }
    // One that hangs: the program gives up, and the primary takes writes as before.
    let frozen = replica.freeze();
    let ran = run(&format!("switchover {}", at(&primary)));
    assert_eq!(ran.code, 1, "{ran:?}");
    drop(frozen);
    assert_eq!(primary.info("replication", "role"), "master");
    redis_session_tests::create(&mut primary.connection(), "sessions:42");
}
