//! What servers say of themselves, and what is wrong with it.

use std::time::{SystemTime, UNIX_EPOCH};

use redis_session::{KeyRing, SessionCommands as _};

use crate::Failure;
use crate::connect::Address;
use crate::deployment::{Kind, Node};
use crate::info::{self, Map};

/// Something that is wrong, and the command that mends it.
#[derive(Debug)]
pub(crate) struct Finding {
    /// The server that it is about; none if it is all of them.
    pub(crate) at: Option<Address>,
    pub(crate) what: String,
    pub(crate) mend: String,
}

/// What one server says of itself.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) address: Address,
    pub(crate) is_primary: bool,
    /// Everything in INFO.
    pub(crate) info: Map,
    /// Everything in CONFIG GET.
    pub(crate) settings: Map,
    /// The module's version; none without the module.
    pub(crate) module: Option<u64>,
    pub(crate) keys: Option<KeyRing>,
    /// One line for each, sorted.
    pub(crate) users: Vec<String>,
    /// Milliseconds that its clock is ahead of this machine's.
    pub(crate) clock_ahead_ms: i64,
}

impl Facts {
    /// A command for this server.
    pub(crate) fn cli(&self, command: &str) -> String {
        format!("{} {command}", self.address.cli())
    }

    /// Sets a setting, and keeps it.
    pub(crate) fn set(&self, name: &str, value: &str) -> String {
        let value = if value.is_empty() || value.contains(' ') { format!("\"{value}\"") } else { value.to_owned() };
        format!("{} && {}", self.cli(&format!("CONFIG SET {name} {value}")), self.cli("CONFIG REWRITE"))
    }

    pub(crate) fn finding(&self, what: impl Into<String>, mend: impl Into<String>) -> Finding {
        Finding { at: Some(self.address.clone()), what: what.into(), mend: mend.into() }
    }
}

/// All servers that answered.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    pub(crate) servers: Vec<Facts>,
}

/// Asks one server.
pub(crate) fn of(node: &mut Node) -> Result<Facts, Failure> {
    let con = &mut node.connection;
    let info = info::info(con, "everything")?;
    let settings = info::settings(con, "*")?;
    let modules: Vec<Map> = redis::cmd("MODULE").arg("LIST").query::<Vec<redis::Value>>(con)?.iter().map(map).collect();
    let module = modules.iter().find(|module| info::text(module, "name") == "session");
    let module = module.map(|module| info::number(module, "ver"));
    let keys = match module {
        Some(_) => Some(con.session_keys()?),
        None => None,
    };
    let users: Vec<String> = redis::cmd("ACL").arg("LIST").query(con)?;
    let mut users: Vec<String> = users.iter().map(|user| in_order(user)).collect();
    users.sort();
    let before = now_us()?;
    let (seconds, micros): (i64, i64) = redis::cmd("TIME").query(con)?;
    let after = now_us()?;
    let there = seconds.saturating_mul(1_000_000).saturating_add(micros);
    let clock_ahead_ms = there.saturating_sub(before.midpoint(after)) / 1000;
    Ok(Facts {
        address: node.address.clone(),
        is_primary: node.is_primary(),
        info,
        settings,
        module,
        keys,
        users,
        clock_ahead_ms,
    })
}

/// Each server lists a user's rules in an order of its own. The name comes first.
fn in_order(user: &str) -> String {
    let mut words: Vec<&str> = user.split(' ').collect();
    if let Some(rules) = words.get_mut(2..) {
        rules.sort_unstable();
    }
    words.join(" ")
}

/// A module's line, of which only texts and numbers count.
fn map(value: &redis::Value) -> Map {
    let mut map = Map::new();
    let redis::Value::Array(items) = value else { return map };
    for pair in items.chunks_exact(2) {
        if let [name, value] = pair
            && let Ok(name) = redis::from_redis_value_ref::<String>(name)
        {
            map.insert(name, redis::from_redis_value_ref::<String>(value).unwrap_or_default());
        }
    }
    map
}

fn now_us() -> Result<i64, Failure> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}
