//! The servers of one side: one that stands alone, or the primaries of a cluster.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use redis_session::redis::{
    self, Client, Cmd, Connection, ConnectionAddr, ConnectionInfo, ConnectionLike as _, RedisError, RedisResult, Value,
    cmd,
};

use crate::error::Failure;
use crate::tls::Tls;

/// How long a connection, and an answer, may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a command is sent again that a cluster sends elsewhere, or cannot answer while it changes.
const REDIRECTIONS: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// The servers of one side.
pub(crate) struct Servers {
    info: ConnectionInfo,
    nodes: Vec<Node>,
    /// First and last slot, and the node that has them; empty for a server that stands alone.
    slots: Vec<(u16, u16, usize)>,
}

struct Node {
    address: ConnectionAddr,
    /// Another after each start of the server: a cursor is worth something within one run only.
    run_id: String,
    connection: Connection,
}

/// A command, and the key by which a cluster knows its node.
pub(crate) struct Ask {
    key: Vec<u8>,
    command: Cmd,
}

impl Ask {
    pub(crate) fn new(key: impl Into<Vec<u8>>, command: Cmd) -> Self {
        Self { key: key.into(), command }
    }

    /// A command that has the key alone.
    pub(crate) fn of(name: &str, key: &[u8]) -> Self {
        Self { key: key.to_vec(), command: cmd(name).arg(key).take() }
    }
}

impl Servers {
    pub(crate) fn connect(url: &str, tls: &Tls) -> Result<Self, Failure> {
        let mut servers = Self { info: tls.connection_info(url)?, nodes: Vec::new(), slots: Vec::new() };
        servers.join().map_err(|error| servers.failed(error))?;
        Ok(servers)
    }

    fn join(&mut self) -> RedisResult<()> {
        let mut first = Node::connect(&self.info, self.info.addr().clone())?;
        if first.says("cluster", "cluster_enabled")? != "1" {
            self.nodes = vec![first];
            return Ok(());
        }
        self.nodes.clear();
        self.find_slots(&mut first.connection)
    }

    /// Asks who has which slots, and connects to those it is not connected to.
    fn find_slots(&mut self, through: &mut Connection) -> RedisResult<()> {
        let shards: Vec<Vec<Value>> = cmd("CLUSTER").arg("SLOTS").query(through)?;
        let mut slots = Vec::new();
        for shard in shards {
            let Shard { first, last, host, port } = Shard::read(shard)?;
            let address = self.address(host.as_deref(), port);
            let known = self.nodes.iter().position(|node| node.address == address);
            let node = match known {
                Some(node) => node,
                None => {
                    self.nodes.push(Node::connect(&self.info, address)?);
                    self.nodes.len() - 1
                }
            };
            slots.push((first, last, node));
        }
        self.slots = slots;
        Ok(())
    }

    /// A node's address, by the same means as the first one's. One without a host is at the host that was asked.
    fn address(&self, host: Option<&str>, port: u16) -> ConnectionAddr {
        let host = |asked: &str| host.filter(|host| !host.is_empty()).unwrap_or(asked).to_owned();
        match self.info.addr() {
            ConnectionAddr::TcpTls { host: asked, insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host: host(asked), port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            ConnectionAddr::Tcp(asked, _) => ConnectionAddr::Tcp(host(asked), port),
            _ => ConnectionAddr::Tcp(host("127.0.0.1"), port),
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        !self.slots.is_empty()
    }

    /// How many nodes are to be scanned.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The addresses, with each server's run.
    pub(crate) fn runs(&self) -> BTreeMap<String, String> {
        self.nodes.iter().map(|node| (node.address.to_string(), node.run_id.clone())).collect()
    }

    /// The next keys of a node, and where to go on; 0 for nowhere.
    pub(crate) fn scan(
        &mut self,
        node: usize,
        cursor: u64,
        prefix: &str,
        count: u32,
    ) -> Result<(u64, Vec<Vec<u8>>), Failure> {
        let command = cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern(prefix)).arg("COUNT").arg(count).take();
        self.ask_node(node, &command)
    }

    /// Asks one node.
    pub(crate) fn ask_node<T: redis::FromRedisValue>(&mut self, node: usize, command: &Cmd) -> Result<T, Failure> {
        let reply = match self.nodes.get_mut(node) {
            Some(node) => command.query(&mut node.connection),
            None => Err((redis::ErrorKind::Client, "there is no such node").into()),
        };
        reply.map_err(|error| self.failed(error))
    }

    /// Sends the commands, all of a node's at once, and returns their replies in the same order. What a server answers
    /// to one of them with an error is a reply too.
    pub(crate) fn ask(&mut self, commands: &[Ask]) -> Result<Vec<Value>, Failure> {
        self.ask_all(commands).map_err(|error| self.failed(error))
    }

    /// The same, where an error to any of them is one of the whole.
    pub(crate) fn demand(&mut self, commands: &[Ask]) -> Result<Vec<Value>, Failure> {
        let replies = self.ask(commands)?;
        replies.into_iter().map(|reply| self.is_no_error(reply)).collect()
    }

    pub(crate) fn is_no_error(&self, reply: Value) -> Result<Value, Failure> {
        match reply {
            Value::ServerError(error) => Err(self.failed(error.into())),
            reply => Ok(reply),
        }
    }

    fn ask_all(&mut self, commands: &[Ask]) -> RedisResult<Vec<Value>> {
        let mut of_nodes: BTreeMap<usize, (Vec<u8>, Vec<usize>)> = BTreeMap::new();
        for (at, Ask { key, command }) in commands.iter().enumerate() {
            let (packed, places) = of_nodes.entry(self.node_of(key)).or_default();
            command.write_packed_command(packed);
            places.push(at);
        }
        let mut replies = vec![Value::Nil; commands.len()];
        for (node, (packed, places)) in of_nodes {
            let Some(node) = self.nodes.get_mut(node) else { continue };
            let answered = node.connection.req_packed_commands(&packed, 0, places.len())?;
            for (place, reply) in places.into_iter().zip(answered) {
                if let Some(free) = replies.get_mut(place) {
                    *free = reply;
                }
            }
        }
        for (reply, command) in replies.iter_mut().zip(commands) {
            if redirection(reply).is_some() {
                *reply = self.follow(command)?;
            }
        }
        Ok(replies)
    }

    /// Asks until the command has reached the node that has its key.
    fn follow(&mut self, ask: &Ask) -> RedisResult<Value> {
        let mut asking = None;
        for _ in 0..REDIRECTIONS {
            let at = self.node_of(&ask.key);
            let reply = match &mut asking {
                Some(Node { connection, .. }) => {
                    cmd("ASKING").exec(connection)?;
                    connection.req_packed_command(&ask.command.get_packed_command())?
                }
                None => match self.nodes.get_mut(at) {
                    Some(node) => node.connection.req_packed_command(&ask.command.get_packed_command())?,
                    None => return Err((redis::ErrorKind::Client, "there is no such node").into()),
                },
            };
            asking = None;
            let Some(error) = redirection(&reply) else { return Ok(reply) };
            match (error.code(), error.redirect_node()) {
                (Some("ASK"), Some((address, _))) => {
                    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
                    let address = self.address(Some(host), port.parse().unwrap_or(6379));
                    asking = Some(Node::connect(&self.info, address)?);
                }
                _ => {
                    thread::sleep(PAUSE);
                    let mut known = Node::connect(&self.info, self.info.addr().clone())?;
                    self.find_slots(&mut known.connection)?;
                }
            }
        }
        Err((redis::ErrorKind::Client, "the cluster sends a command to and fro").into())
    }

    fn node_of(&self, key: &[u8]) -> usize {
        let slot = slot(key);
        let found = self.slots.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        found.map_or(0, |(_, _, node)| *node)
    }

    pub(crate) fn failed(&self, error: RedisError) -> Failure {
        Failure::Server { server: self.info.addr().to_string(), error }
    }

    pub(crate) fn unfit(&self, why: &str) -> Failure {
        Failure::Unfit { server: self.info.addr().to_string(), why: why.to_owned() }
    }
}

impl Node {
    fn connect(info: &ConnectionInfo, address: ConnectionAddr) -> RedisResult<Self> {
        let client = Client::open(info.clone().set_addr(address.clone()))?;
        let connection = client.get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        let mut node = Self { address, run_id: String::new(), connection };
        node.run_id = node.says("server", "run_id")?;
        Ok(node)
    }

    /// A field of a section of INFO.
    fn says(&mut self, section: &str, name: &str) -> RedisResult<String> {
        let info: String = cmd("INFO").arg(section).query(&mut self.connection)?;
        let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(found.unwrap_or_default().to_owned())
    }
}

/// Slots, and the primary that has them.
struct Shard {
    first: u16,
    last: u16,
    host: Option<String>,
    port: u16,
}

impl Shard {
    /// An entry of CLUSTER SLOTS: the first slot, the last, the primary, its replicas.
    fn read(entry: Vec<Value>) -> RedisResult<Self> {
        let mut fields = entry.into_iter();
        let mut next = || fields.next().unwrap_or(Value::Nil);
        let (first, last, primary) = (next(), next(), next());
        // Host and port, then what else there may be of it.
        let mut primary = primary.into_sequence().unwrap_or_default().into_iter();
        let mut next = || primary.next().unwrap_or(Value::Nil);
        let (host, port) = (next(), next());
        Ok(Self {
            first: redis::from_redis_value(first)?,
            last: redis::from_redis_value(last)?,
            host: redis::from_redis_value(host)?,
            port: redis::from_redis_value(port)?,
        })
    }
}

/// The error in a reply that says to ask again, here or elsewhere.
fn redirection(reply: &Value) -> Option<RedisError> {
    let Value::ServerError(error) = reply else { return None };
    matches!(error.code(), "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN").then(|| error.clone().into())
}

/// A pattern that matches keys with this prefix and no others.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::new();
    for letter in prefix.chars() {
        if "*?[]\\".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern + "*"
}

/// The slot of a key: CRC16 (XMODEM) of it, or of what is between its first braces (Redis Cluster specification, "Key
/// distribution model").
fn slot(key: &[u8]) -> u16 {
    let tag = || {
        let open = key.iter().position(|byte| *byte == b'{')?;
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    };
    let crc = tag().unwrap_or(key).iter().fold(0_u16, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 },
        )
    });
    crc % 16384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_slot_is_the_clusters() {
        // As CLUSTER KEYSLOT says.
        for (key, expected) in [("123456789", 12739), ("foo", 12182), ("sessions:{foo}", 12182), ("{}foo", 9500)] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
    }

    #[test]
    fn a_prefix_matches_itself_alone() {
        assert_eq!(pattern("session:"), "session:*");
        assert_eq!(pattern(r"a*b[c]?\"), r"a\*b\[c\]\?\\*");
    }
}
