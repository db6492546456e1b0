//! A connection with one prepared reply, and replies for it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::{ConnectionLike, RedisResult, Value, parse_redis_value};

/// A connection that answers every request with one reply and keeps the requests.
pub(crate) struct Scripted {
    reply: Value,
    pub(crate) asked: Vec<u8>,
}

impl Scripted {
    pub(crate) fn new(reply: Value) -> Self {
        Self { reply, asked: Vec::new() }
    }

    /// The reply as bytes from the network.
    pub(crate) fn wire(reply: &str) -> Self {
        Self::new(parse_redis_value(reply.as_bytes()).unwrap())
    }
}

impl ConnectionLike for Scripted {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.asked = command.to_vec();
        Ok(self.reply.clone())
    }

    fn req_packed_commands(&mut self, commands: &[u8], _: usize, _: usize) -> RedisResult<Vec<Value>> {
        self.asked = commands.to_vec();
        Ok(self.reply.clone().into_sequence().unwrap())
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        true
    }

    fn is_open(&self) -> bool {
        true
    }
}

#[cfg(feature = "aio")]
impl redis::aio::ConnectionLike for Scripted {
    fn req_packed_command<'a>(&'a mut self, command: &'a redis::Cmd) -> redis::RedisFuture<'a, Value> {
        Box::pin(async move { ConnectionLike::req_packed_command(self, &command.get_packed_command()) })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a redis::Pipeline,
        offset: usize,
        count: usize,
    ) -> redis::RedisFuture<'a, Vec<Value>> {
        Box::pin(
            async move { ConnectionLike::req_packed_commands(self, &commands.get_packed_pipeline(), offset, count) },
        )
    }

    fn get_db(&self) -> i64 {
        0
    }
}

/// A JWT with this payload and a bad signature.
pub(crate) fn jwt(payload: &str) -> String {
    format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
}

pub(crate) fn text(text: &str) -> Value {
    Value::BulkString(text.into())
}

pub(crate) fn array(items: impl Into<Vec<Value>>) -> Value {
    Value::Array(items.into())
}

/// A reply that is this JSON text.
pub(crate) fn json(json: &str) -> Value {
    text(json)
}
