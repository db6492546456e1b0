//! Each documented client logs in as the user `app` of users.acl, on one server, through Sentinel and on a cluster, while
//! the default user is off. What it starts with is refused nowhere.

use redis::cluster::ClusterClient;
use redis::cluster_read_routing::RandomReplicaStrategy;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{Connection, ConnectionLike, RedisConnectionInfo};
use redis_session_tests::{Cluster, Sentinels, Server, ServerBuilder, cmd, int, list, login, verdict, wait_until};

use crate::languages::{IOREDIS, Library, NODE_REDIS, REDIS_PY, say};
use crate::markdown::file;

fn builder() -> ServerBuilder {
    let replication = "masteruser replica\nmasterauth change-me";
    ServerBuilder::new().keys(&["one"]).users_beside_default().config(replication)
}

/// A primary and its replica under Sentinels, and a cluster. Nobody but the users of the file may log in.
struct Servers {
    primary: Server,
    replica: Server,
    sentinels: Sentinels,
    cluster: Cluster,
    /// One for each server.
    admins: Vec<Connection>,
}

impl Servers {
    fn start() -> Self {
        let primary = builder().start();
        let replica = builder().replica_of(&primary).start();
        primary.wait_for_sync(&replica);
        let auth = "sentinel auth-user sessions sentinel\nsentinel auth-pass sessions change-me";
        let sentinels = Sentinels::start_with(&primary, 1, auth);
        let cluster = Cluster::start(builder());
        let servers = [&primary, &replica].into_iter().chain(cluster.nodes());
        let admins = servers.map(|server| {
            let mut admin = server.connection();
            cmd(&mut admin, "AUTH admin change-me").unwrap();
            cmd(&mut admin, "ACL SETUSER default off").unwrap();
            cmd(&mut admin, "ACL LOG RESET").unwrap();
            admin
        });
        let admins = admins.collect();
        Self { primary, replica, sentinels, cluster, admins }
    }

    /// Takes what was refused since the last time.
    #[track_caller]
    fn assert_nothing_was_refused(&mut self) {
        for admin in &mut self.admins {
            let log = list(cmd(admin, "ACL LOG").unwrap());
            assert!(log.is_empty(), "{log:?}");
        }
    }

    fn port_of_a_sentinel(&self) -> String {
        let url = &self.sentinels.urls()[0];
        url.trim_end_matches('/').rsplit(':').next().unwrap().to_owned()
    }
}

#[track_caller]
fn check(library: Library, program: &str, servers: &mut Servers) {
    let Some(versions) = library.versions() else { return };
    let mut program = file(&format!("tests/documents/languages/{program}"));
    for (name, port) in [
        ("SERVER", servers.primary.port().to_string()),
        ("SENTINEL", servers.port_of_a_sentinel()),
        ("CLUSTER", servers.cluster.nodes()[1].port().to_string()),
    ] {
        assert!(program.contains(name), "{name}");
        program = program.replace(name, &port);
    }
    // Logouts on one server, through Sentinel and on the cluster, and what a replica says in between.
    assert_eq!(library.run(&program).split_whitespace().collect::<Vec<_>>(), ["1", "1", "0", "1"], "{versions}");
    servers.assert_nothing_was_refused();
    say(&format!("{versions} logs in as app on one server, through Sentinel and on a cluster"));
}

#[test]
fn clients_log_in_as_the_application_wherever_sessions_are() {
    let mut servers = Servers::start();
    check(REDIS_PY, "app.py", &mut servers);
    check(NODE_REDIS, "app.mjs", &mut servers);
    check(IOREDIS, "app-ioredis.mjs", &mut servers);
}

#[track_caller]
fn begin_and_end(con: &mut impl ConnectionLike) {
    let token = login(con, "sessions:42");
    assert_eq!(verdict(con, "sessions:42", &token), "active");
    assert_eq!(int(con, &format!("SESSION.REVOKE sessions:42 {token}")), 1);
}

#[test]
fn the_rust_client_logs_in_as_the_application_and_as_the_validator_wherever_sessions_are() {
    let mut servers = Servers::start();
    let (app, validator) = ("app:change-me@", "validator:change-me@");
    let with = |url: String, user: &str| url.replace("redis://", &format!("redis://{user}"));
    let connect = |url: String| redis::Client::open(url).unwrap().get_connection().unwrap();
    begin_and_end(&mut connect(with(servers.primary.url(), app)));
    assert_eq!(int(&mut connect(with(servers.replica.url(), validator)), "SESSION.COUNT sessions:42"), 0);

    for (role, user) in [(SentinelServerType::Master, "app"), (SentinelServerType::Replica, "validator")] {
        let is_app = user == "app";
        let login = RedisConnectionInfo::default().set_username(user).set_password("change-me");
        let node = SentinelNodeConnectionInfo::default().set_redis_connection_info(login);
        let mut client = SentinelClient::build(servers.sentinels.urls(), Sentinels::NAME, Some(node), role).unwrap();
        let mut con = client.get_connection().unwrap();
        if is_app {
            begin_and_end(&mut con);
        } else {
            assert_eq!(int(&mut con, "SESSION.COUNT sessions:42"), 0);
        }
    }

    let urls = |user: &str| servers.cluster.urls().into_iter().map(|url| with(url, user)).collect::<Vec<_>>();
    let mut con = ClusterClient::new(urls(app)).unwrap().get_connection().unwrap();
    for user in 0..30 {
        login(&mut con, &format!("sessions:{user}"));
    }
    begin_and_end(&mut con);
    let reader = ClusterClient::builder(urls(validator)).read_routing_strategy(RandomReplicaStrategy).build().unwrap();
    let mut con = reader.get_connection().unwrap();
    wait_until("the replica has the session", || int(&mut con, "SESSION.COUNT sessions:1") == 1);
    servers.assert_nothing_was_refused();
}
