//! One user's sessions.

use std::fmt::Write as _;

use redis::{Cmd, FromRedisValue, RedisError, ServerErrorKind};
use redis_session::Session;
use redis_session::commands::session_list;

use crate::deployment::{Deployment, Node};
use crate::{Failure, Outcome};

pub(crate) fn show(servers: &mut Deployment, key: &str) -> Result<Outcome, Failure> {
    let (_, sessions): (_, Vec<Session>) = on_its_node(servers, &session_list(key))?;
    let mut text = format!("{key}: {} sessions\n", sessions.len());
    for session in sessions {
        // Nothing that a user has sent moves the cursor of who reads it.
        let line = format!(
            "    {}  began {}  used {}  ends {}  from {}  with {}",
            session.id,
            session.created_at.unix_millis(),
            session.last_seen_at.unix_millis(),
            session.expires_at.unix_millis(),
            session.ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string()),
            session.agent.as_deref().unwrap_or("-"),
        );
        let _ = writeln!(text, "{}", line.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>());
    }
    Ok(Outcome::well(text))
}

pub(crate) fn end(servers: &mut Deployment, key: &str) -> Result<Outcome, Failure> {
    let (node, ended): (usize, i64) = on_its_node(servers, redis::cmd("SESSION.REVOKEUSER").arg(key))?;
    let mut text = format!("{key}: {ended} sessions ended");
    let mut is_well = true;
    let replicas = servers.nodes.get(node).map_or(0, |node| servers.replicas_of(&node.address));
    if let (Some(node), true) = (servers.nodes.get_mut(node), replicas > 0) {
        let reached: usize = redis::cmd("WAIT").arg(replicas).arg(5000).query(&mut node.connection)?;
        let _ = write!(text, "; {reached} of {replicas} replicas know");
        is_well = reached >= replicas;
    }
    text.push('\n');
    Ok(Outcome { text, is_well })
}

/// Asks the primary that has the key, which all others say is elsewhere.
fn on_its_node<T: FromRedisValue>(servers: &mut Deployment, command: &Cmd) -> Result<(usize, T), Failure> {
    let mut moved: Option<RedisError> = None;
    for (number, node) in servers.nodes.iter_mut().enumerate().filter(|(_, node)| node.is_primary()) {
        match ask(node, command) {
            Ok(reply) => return Ok((number, reply)),
            Err(error) if error.kind() == ServerErrorKind::Moved.into() => moved = Some(error),
            Err(error) => return Err(format!("{}: {error}", node.address).into()),
        }
    }
    Err(moved
        .map_or_else(|| "there is no primary".into(), |error| format!("the user's primary is away: {error}").into()))
}

fn ask<T: FromRedisValue>(node: &mut Node, command: &Cmd) -> Result<T, RedisError> {
    command.query(&mut node.connection)
}
