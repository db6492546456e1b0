//! docs/runbooks/reshard.md

use redis_session_tests::{Cluster, Server, ServerBuilder, cmd, int, list, text, wait_until};

use super::{line, shell};
use crate::load::{Load, Losses};

const PAGE: &str = "reshard.md";

/// With the users of users.acl.
fn node() -> ServerBuilder {
    super::node().users_beside_default().config("masteruser replica\nmasterauth change-me")
}

/// A cluster at work, and a server that is to join it.
struct Growing {
    cluster: Cluster,
    new: Server,
    load: Load,
    /// As the application's user.
    urls: Vec<String>,
}

impl Growing {
    fn start() -> Self {
        let cluster = Cluster::start(node());
        let new = node().config("cluster-enabled yes\ncluster-node-timeout 2000").start();
        let urls: Vec<_> = cluster.urls().iter().map(|url| url.replace("redis://", "redis://app:change-me@")).collect();
        let load = Load::on_cluster(&urls);
        let growing = Self { cluster, new, load, urls };
        growing.add();
        growing
    }

    fn all(&self) -> impl Iterator<Item = &Server> {
        self.cluster.nodes().iter().chain([&self.new])
    }

    fn id(&self) -> String {
        text(&cmd(&mut self.new.connection(), "CLUSTER MYID").unwrap())
    }

    fn users_on_new(&self) -> i64 {
        int(&mut self.new.connection(), "DBSIZE")
    }

    /// The page's line that has this text, with the addresses of these servers, and the password of its first line.
    fn step(&self, text: &str) -> String {
        let (first, new) = (self.cluster.nodes()[0].port(), self.new.port());
        let line = line(PAGE, text);
        assert!(line.contains("--user "), "{line}");
        let line = line.replace("10.0.0.1:6379", &format!("127.0.0.1:{first}"));
        let line = line.replace("10.0.0.7:6379", &format!("127.0.0.1:{new}"));
        let line = line.replace("-h 10.0.0.7", &format!("-h 127.0.0.1 -p {new}")).replace("ID", &self.id());
        shell(&format!("{}\n{line}", super::line(PAGE, "export REDISCLI_AUTH")), &[])
    }

    fn add(&self) {
        self.step("add-node");
        wait_until("the new node is well", || self.step("CLUSTER INFO").contains("cluster_state:ok"));
        wait_until("all nodes know each other", || {
            let know = |node: &Server| {
                let info = node.cli(&["CLUSTER", "INFO"]).stdout;
                info.contains("cluster_known_nodes:7") && info.contains("cluster_state:ok")
            };
            self.all().all(know)
        });
        self.wait_until_all_agree();
        self.step("--cluster check 10.0.0.7");
    }

    /// On who has which slots.
    fn wait_until_all_agree(&self) {
        let slots = |node: &Server| {
            let nodes = node.cli(&["CLUSTER", "NODES"]).stdout;
            let of_primaries = nodes.lines().filter(|line| line.contains("master"));
            let mut slots: Vec<_> = of_primaries.map(|line| line.split(' ').skip(8).collect::<String>()).collect();
            slots.sort_unstable();
            slots
        };
        wait_until("all nodes agree", || {
            let expected = slots(&self.new);
            self.all().all(|node| slots(node) == expected)
        });
    }

    /// Compares, and reports it as the cost of `what`. Clients have seen no errors but those that begin like this.
    fn end(self, what: &str, errors: &str) {
        let Self { cluster, new, load, urls } = self;
        let history = load.end();
        cluster.wait_until_whole();
        let mut con = redis::cluster::ClusterClient::new(urls).unwrap().get_connection().unwrap();
        let losses = history.losses(&mut con);
        history.report(what, &losses);
        assert_eq!(losses, Losses::NONE);
        assert!(history.errors.keys().all(|error| error.starts_with(errors)), "{:?}", history.errors);
        for node in cluster.nodes().iter().chain([&new]) {
            // valkey-cli 9 asks how many databases there are.
            let log = list(cmd(&mut node.connection(), "ACL LOG").unwrap());
            let refused: Vec<_> = log.iter().filter(|entry| !format!("{entry:?}").contains("\"config|get\"")).collect();
            assert!(refused.is_empty(), "{refused:?}");
        }
    }
}

#[test]
fn a_new_node_gets_its_share_and_no_session_is_lost() {
    let growing = Growing::start();
    growing.step("--cluster-use-empty-masters");
    growing.wait_until_all_agree();
    assert!(growing.step("--cluster check 10.0.0.1").contains("All 16384 slots covered"));
    assert!(growing.users_on_new() > 10);
    growing.load.go_on(100);
    growing.end("reshard, a new node", "none");
}

#[test]
fn a_node_that_goes_leaves_its_sessions_and_none_is_lost() {
    let growing = Growing::start();
    // Few slots, which take less time.
    let (first, from, to) = (growing.cluster.nodes()[0].port(), growing.cluster.id(0), growing.id());
    let share = format!("--cluster-from {from} --cluster-to {to} --cluster-slots 200 --cluster-yes");
    shell(&format!("redis-cli --cluster reshard 127.0.0.1:{first} {share}"), &[]);
    growing.load.go_on(1000);
    growing.wait_until_all_agree();
    assert!(growing.users_on_new() > 0);
    growing.step("cluster-allow-replica-migration");
    growing.step("--cluster-weight");
    assert_eq!(growing.users_on_new(), 0);
    // Most clients learn of the move here. Those that have not are told CLUSTERDOWN by the node that has gone.
    growing.load.go_on(1000);
    growing.step("del-node");
    growing.load.go_on(100);
    growing.end("reshard, a node that goes", "CLUSTERDOWN");
}
