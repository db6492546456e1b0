//! The nodes of a cluster, each with a connection that tracks what it reads.
//!
//! redis-rs does not say over which connection of a cluster a reply came, so a cache could not tell which node's pushes
//! concern it. Broadcasts (`CLIENT TRACKING ON BCAST`) would bring each process all writes of the cluster, not only
//! those of users that it has asked about. So a near cache sends its reads itself, over its own connection to the node
//! that has the key, as it does to a single server. If a node answers anything but a check (a slot has moved, or is
//! moving), the application's connection takes the request, as after any error.
//!
//! Once a second the near cache asks each primary which node has which slots, which also proves that the connection is
//! alive. When an answer is new, everything is dropped: a node that has lost a slot no longer reports changes of its
//! keys. For the same reason a read counts only if the slots have not changed since before the read looked for its
//! node.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::cluster_routing::Slot;
use redis::{ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue as _, RedisError, RedisResult, Value, cmd};
use tokio::task::JoinSet;

use super::cache::Cache;
use super::{BEAT, Link};
use crate::connect::ReconnectingConnection;

/// How many nodes there may be, replicas included: the most that Redis recommends.
pub(super) const MOST_NODES: u16 = 1000;
/// The shortest time between two questions about the slots.
const PAUSE: Duration = Duration::from_millis(100);

/// A host and a port.
type Address = (String, u16);

/// A range of slots, and the primary that has them.
type View = Vec<(u16, u16, Address)>;

/// The nodes of a cluster, and the owner of each slot.
pub(super) struct Cluster {
    seeds: Vec<ConnectionInfo>,
    cache: Arc<Cache>,
    state: Mutex<State>,
    /// Held by the call that asks while nothing is known.
    asking: tokio::sync::Mutex<()>,
    /// Whether a node has said something that contradicts the table.
    is_doubted: AtomicBool,
}

#[derive(Default)]
struct State {
    view: View,
    /// The numbers of the nodes that have slots.
    owners: HashMap<Slot, u16>,
    /// Every node that has had a connection, by its number.
    nodes: Vec<(Address, ReconnectingConnection)>,
    asked: Option<Instant>,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<ConnectionInfo>, cache: Arc<Cache>) -> Self {
        let (state, asking) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { seeds, cache, state, asking, is_doubted: AtomicBool::new(false) }
    }

    pub(super) fn seeds(&self) -> Vec<ConnectionInfo> {
        self.seeds.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection to the node that has this key.
    pub(super) async fn link(&self, key: &str) -> RedisResult<Link> {
        if let Some(link) = self.known(key) {
            return Ok(link);
        }
        let _turn = self.asking.lock().await;
        if let Some(link) = self.known(key) {
            return Ok(link);
        }
        self.ask_any().await?;
        self.known(key).ok_or_else(|| (ErrorKind::ClusterConnectionNotFound, "no node has the slot").into())
    }

    /// The numbers of the nodes that have slots.
    pub(super) fn primaries(&self) -> Vec<u16> {
        self.state().primaries().into_iter().map(|(link, _)| link.node).collect()
    }

    fn known(&self, key: &str) -> Option<Link> {
        // Before looking for the node: if slots move in between, the ticket has a generation that has ended.
        let since = Some(self.cache.generation());
        let state = self.state();
        let node = *state.owners.get(&Slot::for_key(key))?;
        let (_, connection) = state.nodes.get(usize::from(node))?;
        Some(Link { node, connection: connection.clone(), since })
    }

    /// Requests a question about the slots soon.
    pub(super) fn doubt(&self) {
        self.is_doubted.store(true, Ordering::Relaxed);
        self.cache.wake();
    }

    /// Asks all primaries about the slots, if it is time.
    pub(super) async fn beat(self: &Arc<Self>) {
        let primaries = {
            let mut state = self.state();
            let age = state.asked.map(|asked| asked.elapsed());
            let is_doubted = self.is_doubted.load(Ordering::Relaxed) && age.is_none_or(|age| age >= PAUSE);
            if !is_doubted && (self.cache.is_empty() || age.is_some_and(|age| age < BEAT)) {
                return;
            }
            self.is_doubted.store(false, Ordering::Relaxed);
            state.asked = Some(Instant::now());
            state.primaries()
        };
        let mut asking = JoinSet::new();
        for (link, address) in primaries {
            let cluster = Arc::clone(self);
            // In parallel: a node that does not answer must not keep the others from proving alive.
            asking.spawn(async move { cluster.ask(&link, &address).await.is_ok() });
        }
        let answers = asking.join_all().await;
        if !answers.contains(&true) {
            let _ = self.ask_any().await;
        }
    }

    /// Asks one node after the other about the slots, until one answers.
    async fn ask_any(&self) -> RedisResult<()> {
        let mut nodes = self.state().primaries();
        for seed in &self.seeds {
            if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } = seed.addr() {
                let address = (host.clone(), *port);
                nodes.extend(self.reach(&mut self.state(), &address).map(|link| (link, address)));
            }
        }
        let mut failure = (ErrorKind::InvalidClientConfig, "no node of the cluster is known").into();
        for (link, address) in nodes {
            match self.ask(&link, &address).await {
                Ok(()) => return Ok(()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Asks this node about the slots.
    async fn ask(&self, link: &Link, (host, _): &Address) -> RedisResult<()> {
        let mut slots = cmd("CLUSTER");
        slots.arg("SLOTS");
        let (reply, ticket) = link.ask(&self.cache, "", &slots).await?;
        let view = view(reply, host)?;
        self.cache.heard(&ticket);
        self.adopt(view);
        Ok(())
    }

    /// Stores the owners of the slots, and drops everything if they are new.
    fn adopt(&self, view: View) {
        let mut state = self.state();
        if state.view == view {
            return;
        }
        let mut owners = HashMap::new();
        for (first, last, address) in &view {
            if let Some(link) = self.reach(&mut state, address) {
                owners.extend((*first..=*last).filter_map(Slot::new).map(|slot| (slot, link.node)));
            }
        }
        (state.owners, state.view) = (owners, view);
        // Under the lock: a read that finds its node after this point sees the new generation.
        self.cache.clear();
    }

    /// The connection to the node at this address; `None` if there are too many nodes, or this is no address.
    fn reach(&self, state: &mut State, address: &Address) -> Option<Link> {
        if let Some(at) = state.nodes.iter().position(|(known, _)| known == address) {
            return state.link(at);
        }
        let node = u16::try_from(state.nodes.len()).ok().filter(|node| *node < MOST_NODES)?;
        let seed = self.seeds.first()?;
        let (host, port) = address.clone();
        let at = match seed.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        let connection = ReconnectingConnection::new(seed.clone().set_addr(at)).ok()?;
        state.nodes.push((address.clone(), connection.listening(self.cache.ear(node))));
        state.link(usize::from(node))
    }
}

impl State {
    fn link(&self, at: usize) -> Option<Link> {
        let (_, connection) = self.nodes.get(at)?;
        Some(Link { node: u16::try_from(at).ok()?, connection: connection.clone(), since: None })
    }

    /// The nodes that have slots.
    fn primaries(&self) -> Vec<(Link, Address)> {
        let has_slots = |address: &Address| self.view.iter().any(|(_, _, owner)| owner == address);
        let nodes = self.nodes.iter().enumerate().filter(|(_, (address, _))| has_slots(address));
        nodes.filter_map(|(at, (address, _))| Some((self.link(at)?, address.clone()))).collect()
    }
}

/// Reads the reply of `CLUSTER SLOTS` from a node at this host.
fn view(reply: Value, host: &str) -> RedisResult<View> {
    let mut view = Vec::new();
    for range in Vec::<Vec<Value>>::from_redis_value(reply)? {
        let mut range = range.into_iter();
        let (Some(first), Some(last), Some(primary)) = (range.next(), range.next(), range.next()) else {
            return Err(unexpected());
        };
        let mut primary = Vec::<Value>::from_redis_value(primary)?.into_iter();
        let (Some(name), Some(port)) = (primary.next(), primary.next()) else { return Err(unexpected()) };
        // A node that does not know its own address is at the one that was asked.
        let name = Option::<String>::from_redis_value(name)?.filter(|name| !name.is_empty() && name != "?");
        let address = (name.unwrap_or_else(|| host.to_owned()), u16::from_redis_value(port)?);
        view.push((u16::from_redis_value(first)?, u16::from_redis_value(last)?, address));
    }
    view.sort_unstable();
    Ok(view)
}

fn unexpected() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "the reply of CLUSTER SLOTS has another form").into()
}
