//! Redis Sentinel: three servers that watch a primary and its replicas.

use std::collections::HashMap;

use crate::builder::ServerBuilder;
use crate::command::cmd;
use crate::server::Server;
use crate::wait::wait_until;

/// For how long a server does not answer before it is down.
const PATIENCE_MS: u32 = 10_000;

/// Three Sentinels, two of which must agree that the primary is down.
///
/// ```no_run
/// use redis_session_tests::{Sentinels, ServerBuilder};
///
/// let mut primary = ServerBuilder::new().start();
/// let replica = ServerBuilder::new().replica_of(&primary).start();
/// let sentinels = Sentinels::start(&primary, 1);
/// primary.kill();
/// sentinels.wait_for_another_than(primary.port());
/// assert_eq!(sentinels.primary_port(), replica.port());
/// ```
#[derive(Debug)]
pub struct Sentinels {
    sentinels: Vec<Server>,
}

impl Sentinels {
    /// The name of what they watch.
    pub const NAME: &str = "sessions";

    /// Starts them, and waits until they know each other and so many replicas of the primary.
    ///
    /// A server that has not answered for ten seconds is down, so that a busy machine is not taken for a failure.
    #[track_caller]
    pub fn start(primary: &Server, replicas: usize) -> Self {
        Self::start_with(primary, replicas, "")
    }

    /// The same with more lines of configuration.
    #[track_caller]
    pub fn start_with(primary: &Server, replicas: usize, lines: &str) -> Self {
        let name = Self::NAME;
        let config = format!(
            "sentinel monitor {name} 127.0.0.1 {} 2\nsentinel down-after-milliseconds {name} {PATIENCE_MS}\n\
             sentinel failover-timeout {name} 3000\nsentinel parallel-syncs {name} 2\n{lines}",
            primary.port()
        );
        let start = |_| {
            let sentinel = ServerBuilder::new().sentinel().config(&config).start();
            // How often they ask the servers and tell each other: so often that a server that is back is known soon.
            // What they know of a replica counts for five pings. One that could not run for two seconds does nothing
            // for the tilt period.
            let line = "SENTINEL DEBUG PING-PERIOD 500 INFO-PERIOD 200 PUBLISH-PERIOD 100 ASK-PERIOD 100 \
                        TILT-PERIOD 2000";
            cmd(&mut sentinel.connection(), line).unwrap_or_else(|error| panic!("{line}: {error}"));
            sentinel
        };
        let sentinels = Self { sentinels: (0..3).map(start).collect() };
        sentinels.wait_for_replicas(replicas);
        sentinels
    }

    /// The URLs of the Sentinels, for a `redis::sentinel::SentinelClient`.
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(Server::url).collect()
    }

    /// The Sentinels, in the order of their start.
    pub fn each(&self) -> &[Server] {
        &self.sentinels
    }

    /// A Sentinel, to be killed and started again.
    pub fn sentinel_mut(&mut self, n: usize) -> &mut Server {
        &mut self.sentinels[n]
    }

    /// Waits until all of them know each other and so many replicas that work, and so would agree on a failover.
    #[track_caller]
    pub fn wait_for_replicas(&self, replicas: usize) {
        wait_until("the Sentinels know each other and the replicas", || {
            self.sentinels.iter().all(|sentinel| {
                let primary = primary(sentinel);
                let well = self::replicas(sentinel).iter().filter(|replica| is_well(replica)).count();
                primary["flags"] == "master" && primary["num-other-sentinels"] == "2" && well == replicas
            })
        });
    }

    /// Waits until all of them name another primary than the server with this port, which has crashed: so they need
    /// not be patient.
    #[track_caller]
    pub fn wait_for_another_than(&self, port: u16) {
        self.set_patience(500);
        wait_until("the Sentinels name another primary", || {
            self.sentinels.iter().all(|sentinel| primary_named_by(sentinel) != port)
        });
        self.set_patience(PATIENCE_MS);
    }

    #[track_caller]
    fn set_patience(&self, millis: u32) {
        let line = format!("SENTINEL SET {} down-after-milliseconds {millis}", Self::NAME);
        for sentinel in &self.sentinels {
            cmd(&mut sentinel.connection(), &line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    /// The port of the primary, as the first of them names it.
    #[track_caller]
    pub fn primary_port(&self) -> u16 {
        primary_named_by(&self.sentinels[0])
    }
}

/// What a Sentinel tells clients, which is the new primary before the other replicas follow it.
fn primary_named_by(sentinel: &Server) -> u16 {
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(Sentinels::NAME);
    let (_, port): (String, u16) = command.query(&mut sentinel.connection()).expect("SENTINEL GET-MASTER-ADDR-BY-NAME");
    port
}

/// What a Sentinel knows of the primary.
fn primary(sentinel: &Server) -> HashMap<String, String> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("MASTER").arg(Sentinels::NAME).query(&mut sentinel.connection()).expect("SENTINEL MASTER")
}

/// What a Sentinel knows of the replicas.
fn replicas(sentinel: &Server) -> Vec<HashMap<String, String>> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("REPLICAS").arg(Sentinels::NAME).query(&mut sentinel.connection()).expect("SENTINEL REPLICAS")
}

fn is_well(replica: &HashMap<String, String>) -> bool {
    replica["flags"] == "slave" && replica["master-link-status"] == "ok"
}
