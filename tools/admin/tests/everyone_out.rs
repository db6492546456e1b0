//! All sessions of all users end, on all primaries.

use redis_session_tests::{Cluster, Server, ServerBuilder, cmd, login, verdict};

use crate::program::{at, run, well};

#[test]
fn on_a_cluster_everyone_is_out_wherever_their_sessions_are() {
    let cluster = Cluster::start(ServerBuilder::new().keys(&["one"]));
    let mut con = redis::cluster::ClusterClient::new(cluster.urls()).unwrap().get_connection().unwrap();
    let tokens: Vec<_> = (0..60).map(|user| login(&mut con, &format!("sessions:{user}"))).collect();
    let printed = well(&format!("everyone-out --yes {}", at(&cluster.nodes()[4])));
    assert_eq!(printed.matches("on 1 of 1 replicas too").count(), 3, "{printed}");
    for (user, token) in tokens.iter().enumerate() {
        assert_eq!(verdict(&mut con, &format!("sessions:{user}"), token), "user_revoked");
    }
    let again = login(&mut con, "sessions:1");
    assert_eq!(verdict(&mut con, "sessions:1", &again), "active");
}

#[test]
fn it_asks_first_and_a_moment_may_be_named() {
    let server = Server::start();
    let mut con = server.connection();
    let token = login(&mut con, "sessions:42");
    let ran = run(&format!("everyone-out {}", at(&server)));
    assert!(ran.code == 1 && ran.errors.contains("Go on? (yes)") && ran.errors.contains("nothing was done"), "{ran:?}");
    let before = redis_session_tests::now_ms(&mut con) - 60_000;
    well(&format!("everyone-out --yes --before {before} {}", at(&server)));
    assert_eq!(verdict(&mut con, "sessions:42", &token), "active", "who has logged in since is spared");
    well(&format!("everyone-out --yes {}", at(&server)));
    assert_eq!(verdict(&mut con, "sessions:42", &token), "user_revoked");
}

#[test]
fn a_server_that_refuses_is_named() {
    let server = Server::start();
    cmd(&mut server.connection(), "ACL SETUSER nobody on nopass +info +cluster|nodes").unwrap();
    let url = server.url().replace("redis://", "redis://nobody:x@");
    let ran = run(&format!("everyone-out --yes --url {url}"));
    assert!(ran.code == 1 && ran.printed.contains("NOT DONE"), "{ran:?}");
}
