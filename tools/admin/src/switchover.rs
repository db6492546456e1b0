//! Makes a replica the primary in order: writes wait until it has all of them, so none is lost.
//!
//! Alone, the primary's own FAILOVER does it. Under Sentinel the primary is paused first, then Sentinel fails over: its own
//! failover waits for nothing, and leaves the old primary taking writes for seconds. On a cluster CLUSTER FAILOVER, which
//! the replica is sent, pauses and waits by itself.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use redis::{Cmd, Connection, ConnectionInfo, RedisResult};

use crate::connect::{Address, Place};
use crate::deployment::{Deployment, Kind, Node};
use crate::info::{self, number, text};
use crate::{Failure, Outcome};

/// How long writes wait at most, should this program end before its work does.
const PAUSE: Duration = Duration::from_secs(8);
/// How long the replica may take for what it lacks.
const CATCH_UP: Duration = Duration::from_secs(3);
/// How long the new primary may take to be one.
const TAKE_OVER: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

pub(crate) fn run(place: &Place, mut servers: Deployment, to: Option<&str>) -> Result<Outcome, Failure> {
    let to = to.map(Address::parse).transpose()?;
    if !servers.away.is_empty() {
        return Err(format!("not with a server missing:\n{}", servers.absent()).into());
    }
    let replica = chosen(&mut servers, to.as_ref())?;
    let mut replica = servers.nodes.swap_remove(replica);
    let of = replica.follows.clone().ok_or("the chosen server is no replica")?;
    let primary = servers.nodes.iter().position(|node| node.address == of);
    let primary = primary.ok_or_else(|| format!("{} follows {of}, which is none of these servers", replica.address))?;
    let mut primary = servers.nodes.swap_remove(primary);
    let started = Instant::now();
    let (kind, mut sentinel) = (servers.kind.clone(), servers.sentinel.take());
    let mut change =
        Change { way: &servers.way, primary: &mut primary, replica: &mut replica, others: &mut servers.nodes };
    let waited = match (kind, sentinel.as_mut()) {
        (Kind::Cluster, _) => change.cluster()?,
        (Kind::Sentinel { name, .. }, Some(sentinel)) => change.sentinel(sentinel, &name)?,
        _ => change.alone()?,
    };
    let mut outcome = Outcome::well(format!(
        "{} is the primary in place of {}; writes waited for {:.1} s, all took {:.1} s\n",
        replica.address,
        primary.address,
        waited.as_secs_f64(),
        started.elapsed().as_secs_f64()
    ));
    // As all see it now. The address that was given may be the old primary's, which may end at any moment.
    let now = Deployment::find(place);
    if let Err(why) = primary.info(&servers.way, "replication") {
        let _ = writeln!(outcome.text, "{} has ended, and its log says why: {why}", primary.address);
        outcome.is_well = false;
    }
    match now {
        Ok(now) => {
            for node in &now.nodes {
                let follows = node.follows.as_ref().map(|of| format!(" of {of}")).unwrap_or_default();
                let _ = writeln!(outcome.text, "    {} {}{follows}", node.address, node.role());
            }
        }
        Err(why) if outcome.is_well => return Err(why),
        Err(_) => {}
    }
    Ok(outcome)
}

/// The replica that was named, or the one that has most of the one primary.
fn chosen(servers: &mut Deployment, to: Option<&Address>) -> Result<usize, Failure> {
    if to.is_none() && servers.nodes.iter().filter(|node| node.is_primary()).count() != 1 {
        return Err("there are several primaries: --to HOST:PORT names the replica".into());
    }
    let mut best: Option<(u64, usize)> = None;
    for (number, node) in servers.nodes.iter_mut().enumerate().filter(|(_, node)| !node.is_primary()) {
        if to.is_some_and(|to| *to != node.address) {
            continue;
        }
        let replication = info::info(&mut node.connection, "replication")?;
        if text(&replication, "master_link_status") != "up" {
            if to.is_some() {
                return Err(format!("{} has lost its primary: see its log", node.address).into());
            }
            continue;
        }
        if !has_module(&mut node.connection)? {
            return Err(
                format!("{} has no module, and so no sessions: it must not be the primary", node.address).into()
            );
        }
        let offset = self::number(&replication, "slave_repl_offset");
        if best.is_none_or(|(most, _)| offset > most) {
            best = Some((offset, number));
        }
    }
    match (best, to) {
        (Some((_, number)), _) => Ok(number),
        (None, Some(to)) => Err(format!("{to} is no replica here").into()),
        (None, None) => Err("there is no replica that could take over".into()),
    }
}

/// Whether the server knows what a session is.
pub(crate) fn has_module(con: &mut Connection) -> RedisResult<bool> {
    let known: Vec<redis::Value> = redis::cmd("COMMAND").arg("INFO").arg("SESSION.VALIDATE").query(con)?;
    Ok(known.first().is_some_and(|command| *command != redis::Value::Nil))
}

fn wait_until(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let started = Instant::now();
    while !condition()? {
        if started.elapsed() > patience {
            return Err(format!("{what}: not within {} s", patience.as_secs()).into());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// The servers whose roles change, and the way to them.
///
/// Once the replica is the primary, the old one may end: if its disk is full, or the new one writes a later format, it
/// can't be a replica. That ends no switchover.
struct Change<'a> {
    way: &'a ConnectionInfo,
    primary: &'a mut Node,
    replica: &'a mut Node,
    others: &'a mut [Node],
}

impl Change<'_> {
    fn replica_is_primary(&mut self) -> Result<bool, Failure> {
        Ok(text(&self.replica.info(self.way, "replication")?, "role") == "master")
    }

    fn primary_follows_or_has_ended(&mut self) -> bool {
        self.primary.info(self.way, "replication").map_or(true, |replication| text(&replication, "role") == "slave")
    }

    /// Sends a command to the old primary, unless it has ended.
    fn tell_old(&mut self, command: &Cmd) -> Result<(), Failure> {
        match self.primary.ask::<redis::Value>(self.way, command) {
            Err(why) if self.primary.info(self.way, "replication").is_ok() => Err(why),
            _ => Ok(()),
        }
    }

    /// `REPLICAOF` the new primary.
    fn follow(&self) -> Cmd {
        let Address { host, port } = &self.replica.address;
        redis::cmd("REPLICAOF").arg(host).arg(port).take()
    }

    fn cluster(&mut self) -> Result<Duration, Failure> {
        let started = Instant::now();
        self.replica.ask::<()>(self.way, redis::cmd("CLUSTER").arg("FAILOVER"))?;
        wait_until("the replica takes over", TAKE_OVER, || self.replica_is_primary())?;
        wait_until("the old primary follows it", TAKE_OVER, || Ok(self.primary_follows_or_has_ended()))?;
        Ok(started.elapsed())
    }

    fn alone(&mut self) -> Result<Duration, Failure> {
        let started = Instant::now();
        let Address { host, port } = &self.replica.address;
        let millis = u64::try_from(CATCH_UP.as_millis())?;
        let failover = redis::cmd("FAILOVER").arg("TO").arg(host).arg(port).arg("TIMEOUT").arg(millis).take();
        // A replica that has just synchronised is online with its next sign of life, a second later.
        wait_until("the primary counts the replica", CATCH_UP, || match self.primary.ask::<()>(self.way, &failover) {
            Err(why) if why.to_string().contains("not online") => Ok(false),
            done => done.map(|()| true),
        })?;
        wait_until("the replica takes over", TAKE_OVER, || {
            // In this order: one that ends as a replica has handed over before.
            let replication = self.primary.info(self.way, "replication");
            let has_taken_over = self.replica_is_primary()?;
            let replication = match replication {
                Err(_) if has_taken_over => return Ok(true),
                replication => replication?,
            };
            if text(&replication, "master_failover_state") == "no-failover" && text(&replication, "role") == "master" {
                return Err("the primary gave up, and is the primary still: the replica was too far behind".into());
            }
            Ok(text(&replication, "role") == "slave" && has_taken_over)
        })?;
        let waited = started.elapsed();
        let (follow, old) = (self.follow(), self.primary.address.clone());
        for other in self.others.iter_mut().filter(|node| node.follows.as_ref() == Some(&old)) {
            other.ask::<()>(self.way, &follow)?;
        }
        let all = self.others.iter_mut().chain([&mut *self.primary, &mut *self.replica]);
        for node in all {
            // One without a file has nothing to keep it in.
            let _ = node.ask::<()>(self.way, redis::cmd("CONFIG").arg("REWRITE"));
        }
        Ok(waited)
    }

    fn sentinel(&mut self, sentinel: &mut Connection, name: &str) -> Result<Duration, Failure> {
        // It chooses by priority, then by who has most: all others step back meanwhile.
        let mut stepped_back = Vec::new();
        let old = self.primary.address.clone();
        for (number, other) in self.others.iter_mut().enumerate() {
            if other.follows.as_ref() == Some(&old) {
                let before = info::settings(&mut other.connection, "replica-priority")?;
                stepped_back.push((number, text(&before, "replica-priority").to_owned()));
                other.ask::<()>(self.way, &priority("0"))?;
            }
        }
        let chosen = if stepped_back.is_empty() {
            Ok(())
        } else {
            wait_until("the Sentinel knows which replica it is to be", TAKE_OVER, || {
                let known: Vec<info::Map> = redis::cmd("SENTINEL").arg("REPLICAS").arg(name).query(sentinel)?;
                Ok(known.iter().filter(|known| text(known, "slave-priority") != "0").count() == 1)
            })
        };
        let done = chosen.and_then(|()| self.paused(sentinel, name));
        for (number, before) in stepped_back {
            if let Some(other) = self.others.get_mut(number) {
                other.ask::<()>(self.way, &priority(&before))?;
            }
        }
        done
    }

    /// Writes wait from here until there is a new primary.
    fn paused(&mut self, sentinel: &mut Connection, name: &str) -> Result<Duration, Failure> {
        let started = Instant::now();
        let millis = u64::try_from(PAUSE.as_millis())?;
        self.primary.ask::<()>(self.way, redis::cmd("CLIENT").arg("PAUSE").arg(millis).arg("WRITE"))?;
        let done = self.take_over(sentinel, name);
        // Whatever became of it. Those who wait are told READONLY if there is a new primary.
        self.tell_old(redis::cmd("CLIENT").arg("UNPAUSE"))?;
        done?;
        let waited = started.elapsed();
        // They ask a Sentinel for the primary when they connect.
        let kill = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").take();
        self.tell_old(&kill)?;
        Ok(waited)
    }

    fn take_over(&mut self, sentinel: &mut Connection, name: &str) -> Result<(), Failure> {
        wait_until("the replica has all that the primary has", CATCH_UP, || {
            let here = self.primary.info(self.way, "replication")?;
            let there = self.replica.info(self.way, "replication")?;
            Ok(number(&there, "slave_repl_offset") >= number(&here, "master_repl_offset"))
        })?;
        redis::cmd("SENTINEL").arg("FAILOVER").arg(name).exec(sentinel)?;
        wait_until("the replica takes over", PAUSE, || self.replica_is_primary())?;
        // Sentinel would do so ten seconds later, and meanwhile the old primary would take writes.
        self.tell_old(&self.follow())?;
        wait_until("the Sentinel names the new primary", TAKE_OVER, || {
            let mut ask = redis::cmd("SENTINEL");
            let named: (String, u16) = ask.arg("GET-MASTER-ADDR-BY-NAME").arg(name).query(sentinel)?;
            Ok(Address::new(named.0, named.1) == self.replica.address)
        })
    }
}

fn priority(number: &str) -> Cmd {
    redis::cmd("CONFIG").arg("SET").arg("replica-priority").arg(number).take()
}
