//! The servers that belong together.

use redis::{Cmd, Connection, ConnectionInfo, FromRedisValue};

use crate::Failure;
use crate::connect::{self, Address, Place, Start};
use crate::info::{self, Map, text};

/// How they find their primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An operator says so.
    Alone,
    /// Sentinels agree on it.
    Sentinel { name: String, down_after_ms: u64 },
    /// The nodes agree on it.
    Cluster,
}

pub(crate) struct Deployment {
    pub(crate) kind: Kind,
    /// Primaries first.
    pub(crate) nodes: Vec<Node>,
    /// Those that are known and do not answer, and why.
    pub(crate) away: Vec<(Address, String)>,
    /// How to get to any of them.
    pub(crate) way: ConnectionInfo,
    /// The Sentinel that was asked.
    pub(crate) sentinel: Option<Connection>,
}

pub(crate) struct Node {
    pub(crate) address: Address,
    /// The primary that it follows; none if it is one.
    pub(crate) follows: Option<Address>,
    pub(crate) connection: Connection,
}

impl Node {
    /// Asks it, and once more if it has closed the connection: a server does so to all of them when its role changes.
    pub(crate) fn ask<T: FromRedisValue>(&mut self, way: &ConnectionInfo, command: &Cmd) -> Result<T, Failure> {
        match command.query(&mut self.connection) {
            Err(error) if error.is_io_error() && !error.is_timeout() => {
                self.connection = connect::open(&connect::to(way, &self.address))?;
                Ok(command.query(&mut self.connection)?)
            }
            reply => Ok(reply?),
        }
    }

    /// A section of INFO, in the same way.
    pub(crate) fn info(&mut self, way: &ConnectionInfo, section: &str) -> Result<Map, Failure> {
        Ok(info::fields(&self.ask::<String>(way, redis::cmd("INFO").arg(section))?))
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.follows.is_none()
    }

    pub(crate) fn role(&self) -> &'static str {
        if self.is_primary() { "primary" } else { "replica" }
    }
}

impl Deployment {
    pub(crate) fn find(place: &Place) -> Result<Self, Failure> {
        let (mut found, named) = match &place.start {
            Start::Server { url } => Self::from_server(place, url)?,
            Start::Sentinel { address, name } => Self::from_sentinel(place, address, name)?,
        };
        let mut queue = named;
        let mut next = 0;
        while let Some(address) = queue.get(next).cloned() {
            next += 1;
            match ask(&found.way, &address) {
                Ok((connection, follows, replicas)) => {
                    if found.kind == Kind::Alone {
                        let others = follows.iter().chain(&replicas);
                        for other in others.cloned().collect::<Vec<_>>() {
                            if !queue.contains(&other) {
                                queue.push(other);
                            }
                        }
                    }
                    found.nodes.push(Node { address, follows, connection });
                }
                Err(why) => found.away.push((address, why.to_string())),
            }
        }
        if found.nodes.is_empty() {
            let why: Vec<String> = found.away.iter().map(|(address, why)| format!("{address}: {why}")).collect();
            return Err(why.join("; ").into());
        }
        found.nodes.sort_by_key(|node| (!node.is_primary(), node.address.clone()));
        Ok(found)
    }

    fn from_server(place: &Place, url: &str) -> Result<(Self, Vec<Address>), Failure> {
        let (address, way) = place.first(url)?;
        let mut connection = connect::open(&way).map_err(|why| format!("{address}: {why}"))?;
        let is_cluster = text(&info::info(&mut connection, "cluster")?, "cluster_enabled") == "1";
        let (kind, named) = if is_cluster {
            (Kind::Cluster, of_cluster(&mut connection, &address)?)
        } else {
            (Kind::Alone, vec![address])
        };
        Ok((Self { kind, nodes: Vec::new(), away: Vec::new(), way, sentinel: None }, named))
    }

    fn from_sentinel(place: &Place, sentinel: &str, name: &str) -> Result<(Self, Vec<Address>), Failure> {
        let sentinel = Address::parse(sentinel)?;
        let info = place.sentinel(&sentinel)?;
        let mut connection = connect::open(&info).map_err(|why| format!("the Sentinel {sentinel}: {why}"))?;
        let primary = redis::cmd("SENTINEL").arg("MASTER").arg(name).query::<info::Map>(&mut connection);
        let primary = primary.map_err(|why| format!("the Sentinel {sentinel}, {name:?}: {why}"))?;
        let replicas: Vec<info::Map> = redis::cmd("SENTINEL").arg("REPLICAS").arg(name).query(&mut connection)?;
        let down_after_ms = info::number(&primary, "down-after-milliseconds");
        let mut named = Vec::new();
        for server in std::iter::once(&primary).chain(&replicas) {
            let port = text(server, "port").parse().map_err(|_| "a Sentinel names a server without a port")?;
            named.push(Address::new(text(server, "ip"), port));
        }
        let first = named.first().ok_or("a Sentinel names no primary")?;
        let way = place.server(first)?;
        let kind = Kind::Sentinel { name: name.to_owned(), down_after_ms };
        Ok((Self { kind, nodes: Vec::new(), away: Vec::new(), way, sentinel: Some(connection) }, named))
    }

    pub(crate) fn primaries(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.iter_mut().filter(|node| node.is_primary())
    }

    /// How many replicas each address is followed by.
    pub(crate) fn replicas_of(&self, primary: &Address) -> usize {
        self.nodes.iter().filter(|node| node.follows.as_ref() == Some(primary)).count()
    }

    /// A line for each server that does not answer.
    pub(crate) fn absent(&self) -> String {
        self.away.iter().map(|(address, why)| format!("{address} does not answer: {why}\n")).collect()
    }
}

/// The nodes of a cluster, as one of them knows them.
fn of_cluster(con: &mut Connection, asked: &Address) -> Result<Vec<Address>, Failure> {
    let nodes: String = redis::cmd("CLUSTER").arg("NODES").query(con)?;
    let mut named = Vec::new();
    for line in nodes.lines() {
        let mut words = line.split(' ');
        let (Some(place), Some(flags)) = (words.nth(1), words.next()) else { continue };
        if flags.contains("noaddr") || flags.contains("handshake") {
            continue;
        }
        let place = place.split(['@', ',']).next().unwrap_or(place);
        let mut address = Address::parse(place)?;
        // A node that has met no other does not know its own address.
        if flags.contains("myself") {
            address = asked.clone();
        }
        named.push(address);
    }
    Ok(named)
}

type Answer = (Connection, Option<Address>, Vec<Address>);

/// Connects to a server, and asks whom it follows and who follows it.
fn ask(way: &ConnectionInfo, address: &Address) -> Result<Answer, Failure> {
    let mut connection = connect::open(&connect::to(way, address))?;
    let replication = info::info(&mut connection, "replication")?;
    let follows = match text(&replication, "role") {
        "slave" => Some(Address::new(
            text(&replication, "master_host"),
            text(&replication, "master_port").parse().map_err(|_| "INFO names no port of its primary")?,
        )),
        _ => None,
    };
    let mut replicas = Vec::new();
    for (name, value) in &replication {
        let is_replica = name.strip_prefix("slave").is_some_and(|n| n.parse::<u32>().is_ok());
        if !is_replica {
            continue;
        }
        let field = |wanted: &str| {
            value.split(',').filter_map(|field| field.split_once('=')).find(|(name, _)| *name == wanted).map(|(_, v)| v)
        };
        if let (Some(host), Some(Ok(port))) = (field("ip"), field("port").map(str::parse)) {
            replicas.push(Address::new(host, port));
        }
    }
    Ok((connection, follows, replicas))
}
