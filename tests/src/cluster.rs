//! A Redis Cluster: three primaries with a replica each.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::thread;

use redis::{Connection, RedisResult};

use crate::builder::ServerBuilder;
use crate::command::{cmd, cmd_args};
use crate::fields::{fields, list, text};
use crate::server::Server;
use crate::wait::wait_until;

/// How many primaries a [`Cluster`] begins with, and how many replicas.
const SHARDS: usize = 3;
const SLOTS: usize = 16384;

/// What every node is started with, unless the test says otherwise.
const SETTINGS: &str = "\
cluster-enabled yes
# Also how often the nodes tell each other what is new, and how long a new cluster waits before it answers.
cluster-node-timeout 2000
# A machine that is busy with other tests is not to be taken for a failure.
cluster-replica-no-failover yes
cluster-replica-validity-factor 0
cluster-allow-replica-migration no
";

/// Six servers that are one cluster. The first three begin as primaries of a third of the slots each; each of the
/// last three begins as a replica of the one three places before it.
///
/// ```no_run
/// use redis_session_tests::{Cluster, ServerBuilder};
///
/// let cluster = Cluster::start(ServerBuilder::new().keys(&["one"]));
/// let slot = cluster.slot_of("sessions:42");
/// cluster.move_slot(slot, (cluster.primary_of(slot) + 1) % 3);
/// ```
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
    ids: Vec<String>,
}

/// A node as another one sees it: a line of CLUSTER NODES.
#[derive(Debug)]
struct Seen {
    id: String,
    flags: Vec<String>,
    /// The primary whose replica it is.
    primary: Option<String>,
    /// Of two that claim a slot, the one with the higher epoch has it.
    epoch: u64,
    is_linked: bool,
    slots: Vec<RangeInclusive<usize>>,
}

impl Seen {
    fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|found| found == flag)
    }
}

impl Cluster {
    /// Starts six servers like `node`, joins them, and waits until all slots are served and all replicas synchronised.
    ///
    /// A primary that stops stays primary, unless `node` has `cluster-replica-no-failover no`.
    ///
    /// # Panics
    ///
    /// If a server does not start, or the cluster does not come together in time.
    #[track_caller]
    pub fn start(node: ServerBuilder) -> Self {
        let node = node.config_first(SETTINGS);
        let starting: Vec<_> = (0..2 * SHARDS)
            .map(|_| {
                let node = node.clone();
                thread::spawn(move || node.start())
            })
            .collect();
        let nodes: Vec<Server> = starting.into_iter().map(|node| node.join().expect("the node's start")).collect();
        let ids = nodes.iter().map(|node| text(&ask(node, "CLUSTER MYID"))).collect();
        let cluster = Self { nodes, ids };
        cluster.join();
        cluster
    }

    /// What `redis-cli --cluster create` does, without its pauses.
    fn join(&self) {
        for (n, node) in self.nodes.iter().enumerate() {
            ask(node, &format!("CLUSTER SET-CONFIG-EPOCH {}", n + 1));
            if n < SHARDS {
                let (first, next) = (n * SLOTS / SHARDS, (n + 1) * SLOTS / SHARDS);
                ask(node, &format!("CLUSTER ADDSLOTSRANGE {first} {}", next - 1));
            }
        }
        // Each pair by name: gossip would find them too, only later.
        let introduce = |n: usize| {
            for other in &self.nodes[n + 1..] {
                ask(&self.nodes[n], &format!("CLUSTER MEET 127.0.0.1 {}", other.port()));
            }
        };
        (0..self.nodes.len()).for_each(introduce);
        let mut connections: Vec<Connection> = self.nodes.iter().map(Server::connection).collect();
        wait_until("all nodes know each other", || {
            connections.iter_mut().enumerate().all(|(n, con)| {
                let seen = nodes(con).expect("CLUSTER NODES");
                // On a busy machine a handshake can take longer than a node waits for it, and is given up.
                if seen.len() < self.nodes.len() {
                    introduce(n);
                }
                seen.len() == self.nodes.len() && seen.iter().all(|node| node.is_linked && !node.is("handshake"))
            })
        });
        for n in SHARDS..2 * SHARDS {
            ask(&self.nodes[n], &format!("CLUSTER REPLICATE {}", self.ids[n - SHARDS]));
        }
        self.wait_until_whole();
    }

    /// The nodes, in the order of their start.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// A node, to be killed and started again.
    pub fn node_mut(&mut self, n: usize) -> &mut Server {
        &mut self.nodes[n]
    }

    /// Sends a command to every node that is up.
    #[track_caller]
    pub fn tell_all(&self, line: &str) {
        for node in self.up() {
            ask(node, line);
        }
    }

    /// The URLs of all nodes.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Server::url).collect()
    }

    /// The slot of a key.
    #[track_caller]
    pub fn slot_of(&self, key: &str) -> usize {
        let reply = cmd_args(&mut self.some_node().connection(), ["CLUSTER", "KEYSLOT", key]).expect("CLUSTER KEYSLOT");
        text(&reply).parse().expect("a slot")
    }

    /// The number of the node that is the primary of a slot, once all nodes that are up agree on who has which slots,
    /// and since which epoch: word of a move takes a moment to reach all. A node that a slot moves to before it has
    /// heard of the last move's epoch takes no higher one, can lose the slot to its last owner, who gave it up, and
    /// then the two point at each other for good.
    #[track_caller]
    pub fn primary_of(&self, slot: usize) -> usize {
        let mut connections: Vec<Connection> = self.up().map(Server::connection).collect();
        let mut primary = None;
        wait_until("all nodes agree on who has the slot", || {
            let views: Vec<_> = connections.iter_mut().map(|con| nodes(con).expect("CLUSTER NODES")).collect();
            let has_it = |node: &&Seen| node.slots.iter().any(|range| range.contains(&slot));
            primary = views[0].iter().find(has_it).map(|node| self.number(&node.id));
            let expected = claims(&views[0]);
            primary.is_some() && views.iter().all(|view| claims(view) == expected)
        });
        primary.expect("a primary")
    }

    /// The numbers of the nodes that are replicas of a primary and are up.
    #[track_caller]
    pub fn replicas_of(&self, primary: usize) -> Vec<usize> {
        let port = self.nodes[primary].port().to_string();
        let follows = |node: &Server| {
            node.info("replication", "role") == "slave" && node.info("replication", "master_port") == port
        };
        (0..self.nodes.len()).filter(|&n| self.nodes[n].is_up() && follows(&self.nodes[n])).collect()
    }

    /// The numbers of the nodes that are primaries and have slots.
    #[track_caller]
    pub fn primaries(&self) -> Vec<usize> {
        let seen = nodes(&mut self.some_node().connection()).expect("CLUSTER NODES");
        let mut primaries: Vec<usize> =
            seen.iter().filter(|node| !node.slots.is_empty()).map(|node| self.number(&node.id)).collect();
        primaries.sort_unstable();
        primaries
    }

    /// Waits until every node that is up agrees with the others on who has which slots, can serve them, and has its
    /// replicas synchronised.
    #[track_caller]
    pub fn wait_until_whole(&self) {
        let mut connections: Vec<Connection> = self.up().map(Server::connection).collect();
        wait_until("the cluster is whole", || {
            let views: RedisResult<Vec<_>> = connections.iter_mut().map(view).collect();
            let views = views.expect("a node's view of the cluster");
            let (_, expected) = &views[0];
            views.iter().all(|(is_well, slots)| *is_well && slots == expected)
        });
    }

    /// Moves a slot with all its keys to the primary `to`, one key after the other, while clients go on.
    #[track_caller]
    pub fn move_slot(&self, slot: usize, to: usize) {
        let from = self.primary_of(slot);
        if from != to {
            self.carry(slot, from, to);
        }
    }

    /// The same, to the next of the first three nodes, which are the primaries.
    #[track_caller]
    pub fn move_slot_on(&self, slot: usize) {
        let from = self.primary_of(slot);
        self.carry(slot, from, (from + 1) % SHARDS);
    }

    #[track_caller]
    fn carry(&self, slot: usize, from: usize, to: usize) {
        let (mut source, mut target) = (self.nodes[from].connection(), self.nodes[to].connection());
        let run = |con: &mut Connection, line: &str| cmd(con, line).unwrap_or_else(|error| panic!("{line}: {error}"));
        run(&mut target, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", self.ids[from]));
        run(&mut source, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", self.ids[to]));
        loop {
            let keys: Vec<String> =
                list(run(&mut source, &format!("CLUSTER GETKEYSINSLOT {slot} 10"))).iter().map(text).collect();
            if keys.is_empty() {
                break;
            }
            let port = self.nodes[to].port().to_string();
            let migrate = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            let reply = cmd_args(&mut source, migrate.iter().copied().chain(keys.iter().map(String::as_str)));
            assert_eq!(text(&reply.expect("MIGRATE")), "OK");
        }
        // The new primary first, so that there is never nobody who has it.
        for con in [&mut target, &mut source] {
            run(con, &format!("CLUSTER SETSLOT {slot} NODE {}", self.ids[to]));
        }
        for n in self.primaries() {
            if n != from && n != to {
                run(&mut self.nodes[n].connection(), &format!("CLUSTER SETSLOT {slot} NODE {}", self.ids[to]));
            }
        }
    }

    /// Moves slots of one primary, with all their keys, to the primary `to` in one go, as Valkey 9 and newer can.
    #[track_caller]
    pub fn move_slots_at_once(&self, slots: &[usize], to: usize) {
        let from = self.primary_of(slots[0]);
        let mut source = self.nodes[from].connection();
        let mut command = "CLUSTER MIGRATESLOTS SLOTSRANGE".to_owned();
        for slot in slots {
            let _ = write!(command, " {slot} {slot}");
        }
        let _ = write!(command, " NODE {}", self.ids[to]);
        cmd(&mut source, &command).unwrap_or_else(|error| panic!("{command}: {error}"));
        wait_until("the slots have moved", || {
            // The newest comes first.
            let jobs = list(cmd(&mut source, "CLUSTER GETSLOTMIGRATIONS").expect("CLUSTER GETSLOTMIGRATIONS"));
            let job = fields(jobs.into_iter().next().expect("the migration"));
            let state = job.str("state");
            assert!(state != "failed" && state != "cancelled", "{job:?}");
            state == "success"
        });
    }

    /// Makes `replica` the primary in place of its own, in order, and waits until that is so.
    #[track_caller]
    pub fn fail_over_to(&self, replica: usize) {
        let port = self.nodes[replica].info("replication", "master_port");
        let old = self.nodes.iter().position(|node| node.port().to_string() == port).expect("its primary");
        let mut con = self.nodes[replica].connection();
        assert_eq!(text(&cmd(&mut con, "CLUSTER FAILOVER").expect("CLUSTER FAILOVER")), "OK");
        let mut asked = 0;
        // A server that has won an election in the last few seconds may take the votes of that one for those of the next,
        // and is a replica again a moment later. And it gives up after five seconds if the others have not all heard of it.
        wait_until("the replica is the primary, and the old one follows it", || {
            let is_primary = text(&list(cmd(&mut con, "ROLE").expect("ROLE"))[0]) == "master";
            asked += 1;
            if !is_primary && asked % 1000 == 0 {
                let _ = cmd(&mut con, "CLUSTER FAILOVER");
            }
            is_primary && self.nodes[old].info("replication", "role") == "slave"
        });
        // Its next pings would tell the others too, a second later.
        for other in (0..self.nodes.len()).filter(|&other| other != old && self.nodes[other].is_up()) {
            ask(&self.nodes[old], &format!("CLUSTER MEET 127.0.0.1 {}", self.nodes[other].port()));
        }
        self.wait_until_whole();
    }

    /// The id of a node, as CLUSTER commands name it.
    pub fn id(&self, n: usize) -> &str {
        &self.ids[n]
    }

    fn number(&self, id: &str) -> usize {
        self.ids.iter().position(|known| known == id).unwrap_or_else(|| panic!("no node has the id {id}"))
    }

    fn some_node(&self) -> &Server {
        self.up().next().expect("a node that is up")
    }

    fn up(&self) -> impl Iterator<Item = &Server> {
        self.nodes.iter().filter(|node| node.is_up())
    }
}

#[track_caller]
fn ask(node: &Server, line: &str) -> redis::Value {
    cmd(&mut node.connection(), line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Whether a node is well, and whom it takes for the primaries.
fn view(con: &mut Connection) -> RedisResult<(bool, String)> {
    let info = text(&cmd(con, "CLUSTER INFO")?);
    let replication = text(&cmd(con, "INFO replication")?);
    let has = |info: &str, line: &str| info.lines().any(|found| found.trim() == line);
    let is_synchronised = has(&replication, "role:master") || has(&replication, "master_link_status:up");
    let is_well = has(&info, "cluster_state:ok") && has(&info, "cluster_slots_ok:16384") && is_synchronised;

    Ok((is_well, claims(&nodes(con)?)))
}

/// Who has which slots since which epoch, and who follows whom: what is the same for all nodes once they agree.
fn claims(seen: &[Seen]) -> String {
    let mut seen: Vec<&Seen> = seen.iter().filter(|node| !node.slots.is_empty() || node.primary.is_some()).collect();
    seen.sort_unstable_by_key(|node| &node.id);
    let mut claims = String::new();
    for Seen { id, primary, epoch, slots, .. } in seen {
        let _ = writeln!(claims, "{id} {primary:?} {epoch} {slots:?}");
    }
    claims
}

fn nodes(con: &mut Connection) -> RedisResult<Vec<Seen>> {
    Ok(text(&cmd(con, "CLUSTER NODES")?).lines().map(seen).collect())
}

fn seen(line: &str) -> Seen {
    let words: Vec<&str> = line.split(' ').collect();
    let [id, _address, flags, primary, _ping, _pong, epoch, link, slots @ ..] = &words[..] else {
        panic!("a line of CLUSTER NODES was expected: {line}")
    };
    let number = |text: &str| text.parse().expect("a slot's number");
    // In brackets are slots on their way to or from it.
    let slots = slots.iter().filter(|slots| !slots.starts_with('[')).map(|slots| {
        let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
        number(first)..=number(last)
    });
    Seen {
        id: (*id).to_owned(),
        flags: flags.split(',').map(str::to_owned).collect(),
        primary: (*primary != "-").then(|| (*primary).to_owned()),
        epoch: epoch.parse().expect("an epoch"),
        is_linked: *link == "connected",
        slots: slots.collect(),
    }
}
