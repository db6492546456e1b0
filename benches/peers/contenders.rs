//! Who takes part, and on which server.

use std::path::Path;
use std::process::{Command, Stdio};

use redis_session_tests::{Server, ServerBuilder};

use crate::layouts::{Hash, Jwt, Layout, Lua, Module, RoundTrips, Set, TTL, Walk};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Module,
    Jwt,
    /// As [`Contender::Jwt`], but a check's three EXISTS go in one pipeline.
    JwtPipelined,
    /// As [`Contender::Jwt`], but a user's sessions are looked for one by one.
    JwtOneByOne,
    Set,
    Lua,
    Hash,
    /// The module on the server of [`Contender::Hash`], to compare the two.
    ModuleOn8,
}

impl Contender {
    pub(crate) const ALL: [Self; 8] = [
        Self::Module,
        Self::Jwt,
        Self::JwtPipelined,
        Self::JwtOneByOne,
        Self::Set,
        Self::Lua,
        Self::ModuleOn8,
        Self::Hash,
    ];

    /// What it is called in tables and plots.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Module => "redis-session",
            Self::Jwt => "(a) JWT, 3 EXISTS",
            Self::JwtPipelined => "(a) in one pipeline",
            Self::JwtOneByOne => "(a) SCAN, GET each",
            Self::Set => "(b) string, set",
            Self::Lua => "(d) Lua script",
            Self::ModuleOn8 => "redis-session, Redis 8",
            Self::Hash => "(c) field TTLs, Redis 8",
        }
    }

    pub(crate) fn layout(self) -> Box<dyn Layout> {
        match self {
            Self::Module | Self::ModuleOn8 => Box::new(Module::default()),
            Self::Jwt => Box::new(Jwt::new(RoundTrips::Three, Walk::Batches)),
            Self::JwtPipelined => Box::new(Jwt::new(RoundTrips::One, Walk::Batches)),
            Self::JwtOneByOne => Box::new(Jwt::new(RoundTrips::Three, Walk::OneByOne)),
            Self::Set => Box::new(Set),
            Self::Lua => Box::new(Lua::default()),
            Self::Hash => Box::new(Hash),
        }
    }

    /// Who is measured on the same data: the variants of one layout.
    pub(crate) fn shares_data_with(self) -> Option<Self> {
        matches!(self, Self::JwtPipelined | Self::JwtOneByOne).then_some(Self::Jwt)
    }

    /// The module on the same server, which the ratios are to.
    pub(crate) fn compared_with(self) -> Self {
        if self.is_on_8() { Self::ModuleOn8 } else { Self::Module }
    }

    pub(crate) fn is_on_8(self) -> bool {
        matches!(self, Self::ModuleOn8 | Self::Hash)
    }

    /// An empty server for it. `None` where there is none that it works on.
    pub(crate) fn server(self, redis_8: Option<&str>, sessions_of_one_user: usize) -> Option<Server> {
        let builder = match self {
            Self::Module | Self::ModuleOn8 => Server::builder()
                .config(format!("session.token-ttl {TTL}"))
                .config(format!("session.max-per-user {}", sessions_of_one_user.max(100))),
            _ => ServerBuilder::new().without_module(),
        };
        let builder = if self.is_on_8() { builder.program(redis_8?) } else { builder };
        Some(builder.start())
    }
}

/// The command that starts Redis 8, from Debian's packages. With `fetch`, they are fetched unless they are there.
pub(crate) fn redis_8(fetch: bool) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    if !fetch && !root.join(".cache/servers/redis-8").exists() {
        return None;
    }
    let mut script = Command::new(root.join("scripts/test-servers"));
    let output = script.args(["--fetch", "redis-8"]).stderr(Stdio::inherit()).output().ok()?;
    let command = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !command.is_empty()).then_some(command)
}
