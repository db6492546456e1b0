//! From a cluster, and to one.

use redis::Commands;
use redis_session_tests::{Cluster, Server, ServerBuilder};

use crate::old::ids;
use crate::program::Migration;

const SESSIONS: usize = 100;
/// Ten are blacklisted, and ten of a blacklisted user.
const MOVED: usize = SESSIONS - 20;

#[test]
fn sessions_move_from_a_cluster_and_to_a_cluster() {
    let cluster = Cluster::start(ServerBuilder::new().keys(&["one"]));
    let mut con = redis::cluster::ClusterClient::new(cluster.urls()).unwrap().get_connection().unwrap();
    for n in 0..SESSIONS {
        let () = con.set_ex(format!("session:token{n}"), format!(r#"{{"uid":"{n}"}}"#), 3600).unwrap();
    }
    for n in 0..10 {
        let () = con.set_ex(format!("blacklist:token{n}"), "1", 3600).unwrap();
        let () = con.set_ex(format!("user_blacklist:{}", n + 10), "1", 3600).unwrap();
    }
    let alone = Server::builder().keys(&["one"]).start();
    let moved = |server: &Server| (0..SESSIONS).filter(|n| !ids(server, &n.to_string()).is_empty()).count();

    let away = Migration::between(cluster.nodes()[0].url(), alone.url());
    assert!(away.run("--batch 10").stdout.contains(&format!("{MOVED}  would be moved")));
    away.apply("--batch 10");
    assert_eq!(moved(&alone), MOVED);

    // On the cluster itself, asked by another node, and while a slot has just moved.
    let slot = cluster.slot_of("session:token42");
    cluster.move_slot(slot, (cluster.primary_of(slot) + 1) % 3);
    let within = Migration::between(cluster.nodes()[1].url(), cluster.nodes()[2].url());
    within.apply("--batch 10 --delete-moved");
    assert_eq!((within.count("/sessions/moved"), within.count("/deleted")), (MOVED as u64, MOVED as u64));
    let mut counted = 0;
    for n in 0..SESSIONS {
        counted += redis::cmd("SESSION.COUNT").arg(format!("sessions:{n}")).query::<usize>(&mut con).unwrap();
    }
    assert_eq!(counted, MOVED);
}
