//! One user's sessions, shown and ended.

use redis_session_tests::{Cluster, Server, ServerBuilder, cmd, login, verdict};

use crate::program::{at, run, run_as, well};

#[test]
fn support_sees_a_users_sessions_and_ends_them() {
    let server = Server::builder().users_beside_default().start();
    let mut con = server.connection();
    let agent = "phone\u{1b}[2J";
    redis::cmd("SESSION.CREATE")
        .arg(&["sessions:42", "ID", "mine", "IP", "203.0.113.7", "AGENT", agent])
        .exec(&mut con)
        .unwrap();
    let shown = run_as(&format!("user show 42 --user support {}", at(&server)), Some("change-me"));
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.printed.contains("sessions:42: 1 sessions") && shown.printed.contains("203.0.113.7"), "{shown:?}");
    assert!(shown.printed.contains("mine") && !shown.printed.contains('\u{1b}'), "{shown:?}");
    let ended = run_as(&format!("user end 42 --user support {}", at(&server)), Some("change-me"));
    assert_eq!(ended.printed, "sessions:42: 1 sessions ended\n");
    assert_eq!(well(&format!("user show 42 {}", at(&server))), "sessions:42: 0 sessions\n");
    let denied = run_as(&format!("user end 42 --user monitor {}", at(&server)), Some("change-me"));
    assert!(denied.code == 1 && denied.errors.contains("no permissions"), "{denied:?}");
    cmd(&mut con, "CONFIG SET session.key-form braces").unwrap();
    cmd(&mut con, "SESSION.CREATE sessions:{7}").unwrap();
    assert!(well(&format!("user show 7 --braces {}", at(&server))).contains("sessions:{7}: 1 sessions"));
    let plain = run(&format!("user show 7 {}", at(&server)));
    assert!(plain.code == 1 && plain.errors.contains("braces"), "{plain:?}");
}

#[test]
fn on_a_cluster_a_user_is_found_and_the_replica_knows_of_the_end() {
    let cluster = Cluster::start(ServerBuilder::new().keys(&["one"]));
    let mut con = redis::cluster::ClusterClient::new(cluster.urls()).unwrap().get_connection().unwrap();
    for user in 0..6 {
        let key = format!("sessions:{user}");
        let token = login(&mut con, &key);
        assert!(well(&format!("user show {user} {}", at(&cluster.nodes()[3]))).contains("1 sessions"));
        let ended = well(&format!("user end {user} {}", at(&cluster.nodes()[0])));
        assert_eq!(ended, format!("{key}: 1 sessions ended; 1 of 1 replicas know\n"));
        assert_eq!(verdict(&mut con, &key, &token), "user_revoked");
    }
}
