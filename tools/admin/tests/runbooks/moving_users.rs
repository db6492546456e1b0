//! docs/runbooks/moving-users.md

use std::fs;

use redis_session_tests::wait_until;

use super::{blocks, folder, line, node, shell, to};
use crate::load::{Load, Losses};
use crate::program::{at, well};

const PAGE: &str = "moving-users.md";

/// The new server is a replica first.
#[test]
fn users_move_to_another_machine_and_nothing_is_lost() {
    let block = blocks(PAGE).remove(0);
    let old = node().start();
    let new = node().start();
    let load = Load::start(&[old.url(), new.url()]);
    let follow = line(PAGE, "REPLICAOF");
    shell(&follow, &[("-h NEW", &to(&new)), ("10.0.0.1 6379", &format!("127.0.0.1 {}", old.port()))]);
    old.wait_for_sync(&new);
    assert!(block.contains("redis-session-admin switchover --to NEW:6379"));
    well(&format!("switchover --to 127.0.0.1:{} {}", new.port(), at(&old)));
    load.go_on(100);
    assert_eq!(load.stop("moving users", &mut new.connection()), Losses::NONE);
}

#[test]
fn one_server_becomes_a_cluster_and_nothing_is_lost() {
    let mut old = node().start();
    let mut new = node().appendonly().replica_of(&old).start();
    old.wait_for_sync(&new);
    let load = Load::start(&[old.url(), new.url()]);
    well(&format!("switchover --to 127.0.0.1:{} {}", new.port(), at(&old)));
    load.go_on(100);
    let history = load.end();
    old.kill();
    new.shutdown("NOSAVE");
    let conf = fs::read_to_string(new.config_path()).unwrap();
    fs::write(new.config_path(), format!("{conf}\ncluster-enabled yes\n")).unwrap();
    new.start_again();
    assert!(fs::read_to_string(folder().join(PAGE)).unwrap().contains("`redis-cli --cluster fix 127.0.0.1:6379`"));
    // It begins by saying that slots are missing.
    shell(&format!("echo yes | redis-cli --cluster fix 127.0.0.1:{} | tail -n 1", new.port()), &[]);
    wait_until("it has all slots", || {
        new.cli(&["CLUSTER", "INFO"]).stdout.contains("cluster_state:ok")
            && new.cli(&["CLUSTER", "INFO"]).stdout.contains("cluster_slots_ok:16384")
    });
    let mut con = redis::cluster::ClusterClient::new([new.url()]).unwrap().get_connection().unwrap();
    let losses = history.losses(&mut con);
    history.report("moving users to a cluster", &losses);
    assert_eq!(losses, Losses::NONE);
    let load = Load::on_cluster(&[new.url()]);
    assert_eq!(load.stop("after the move", &mut con), Losses::NONE);
}
