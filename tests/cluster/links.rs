//! Connections of each kind, by which a client reaches the server that has a key.

use redis_session::redis::aio::ConnectionLike as _;
use redis_session::redis::cluster::{ClusterClient, ClusterConnection};
use redis_session::redis::cluster_async;
use redis_session::redis::sentinel::{SentinelClient, SentinelServerType};
use redis_session::redis::{Cmd, Connection, ConnectionLike, Pipeline, RedisError, RedisResult, Value};
use redis_session_tests::{Cluster, Sentinels};
use tokio::runtime::{Builder, Runtime};

/// A connection that finds the server for a key.
pub trait Link: Send {
    /// Sends a command.
    fn send(&mut self, command: &Cmd) -> RedisResult<Value>;

    /// Sends a command and, over the same connection to the same server, `WAIT`. Replies how many replicas have it.
    fn send_and_wait(&mut self, command: &Cmd, replicas: u32) -> RedisResult<(Value, u32)>;
}

/// How a client gets a new connection, as often as it needs one.
pub type Connect = Box<dyn Fn() -> RedisResult<Box<dyn Link>> + Send>;

/// How long WAIT may take, in milliseconds. It does while a replica is missing.
const WAIT_MS: u32 = 100;

pub fn and_wait(command: &Cmd, replicas: u32) -> Pipeline {
    let mut both = redis_session::redis::pipe();
    both.add_command(command.clone()).cmd("WAIT").arg(replicas).arg(WAIT_MS);
    both
}

fn both(replies: Vec<Value>) -> RedisResult<(Value, u32)> {
    let mut replies = replies.into_iter().map(Value::extract_error);
    let (Some(reply), Some(replicas)) = (replies.next(), replies.next()) else { panic!("two replies were expected") };
    // The command's own error comes first: WAIT fails too where the command did.
    Ok((reply?, redis_session::redis::from_redis_value(replicas?)?))
}

impl Link for ClusterConnection {
    fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.req_command(command)
    }

    fn send_and_wait(&mut self, command: &Cmd, replicas: u32) -> RedisResult<(Value, u32)> {
        both(self.req_packed_commands(&and_wait(command, replicas).get_packed_pipeline(), 0, 2)?)
    }
}

impl Link for Connection {
    fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.req_command(command)?.extract_error()
    }

    fn send_and_wait(&mut self, command: &Cmd, replicas: u32) -> RedisResult<(Value, u32)> {
        and_wait(command, replicas).query(self)
    }
}

/// An asynchronous connection, and what drives it.
struct Async {
    runtime: Runtime,
    connection: cluster_async::ClusterConnection,
}

impl Link for Async {
    fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.runtime.block_on(self.connection.req_packed_command(command))?.extract_error()
    }

    fn send_and_wait(&mut self, command: &Cmd, replicas: u32) -> RedisResult<(Value, u32)> {
        let pair = and_wait(command, replicas);
        both(self.runtime.block_on(self.connection.req_packed_commands(&pair, 0, 2))?)
    }
}

/// A cluster's client that does not wait for seconds before it tries again.
pub fn client(cluster: &Cluster) -> ClusterClient {
    ClusterClient::builder(cluster.urls()).min_retry_wait(10).max_retry_wait(100).build().expect("a cluster's client")
}

/// Synchronous connections to a cluster.
pub fn to_cluster(cluster: &Cluster) -> Connect {
    let client = client(cluster);
    Box::new(move || Ok(Box::new(client.get_connection()?)))
}

/// Asynchronous connections to a cluster.
pub fn to_cluster_async(cluster: &Cluster) -> Connect {
    let client = client(cluster);
    Box::new(move || {
        let runtime = runtime();
        let connection = runtime.block_on(client.get_async_connection())?;
        Ok(Box::new(Async { runtime, connection }))
    })
}

/// Connections to whatever server the Sentinels name as the primary.
pub fn to_primary(sentinels: &Sentinels) -> Connect {
    let urls = sentinels.urls();
    Box::new(move || {
        let name = Sentinels::NAME.to_owned();
        let mut client = SentinelClient::build(urls.clone(), name, None, SentinelServerType::Master)?;
        Ok(Box::new(client.get_connection()?))
    })
}

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// What kind of error the user of a connection sees, without what varies from one to the next.
pub fn kind_of(error: &RedisError) -> String {
    if error.is_io_error() { error.to_string() } else { error.code().unwrap_or(error.category()).to_owned() }
}
