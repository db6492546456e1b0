//! Who signed in when, and how each session ended: the server's audit stream, followed into SQLite.
//!
//! The server remembers an ended session only until its last token has expired. The stream tells of every session, and a
//! table of it can be asked by user. Each entry is applied once, because the place in the stream is in the same
//! transaction.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis_session::redis::{self, RedisResult};
use redis_session_store::ReconnectingConnection;
use rusqlite::{OptionalExtension as _, Row, Transaction, named_params, params};

use crate::database::{Database, DatabaseError};

/// A session, living or not.
pub(crate) struct Entry {
    pub(crate) user: String,
    pub(crate) session: String,
    pub(crate) began: SystemTime,
    pub(crate) ip: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) ended: Option<SystemTime>,
    /// Why it ended, as `SESSION.VALIDATE` calls it.
    pub(crate) reason: Option<String>,
}

#[derive(Clone)]
pub(crate) struct History(Database);

/// An entry of the stream: its id, and its fields.
type Told = (String, HashMap<String, String>);

const KEPT: Duration = Duration::from_secs(90 * 86_400);
const AT_ONCE: usize = 500;
const COLUMNS: &str = "user, session, began, ip, agent, ended, reason";

impl History {
    pub(crate) fn new(database: Database) -> Self {
        Self(database)
    }

    /// A user's latest sign-ins, the newest first.
    pub(crate) async fn of(&self, user: &str) -> Result<Vec<Entry>, DatabaseError> {
        let user = user.to_owned();
        let select = format!("SELECT {COLUMNS} FROM history WHERE user = ? ORDER BY began DESC LIMIT 50");
        self.0
            .with(move |db| Ok(db.prepare(&select)?.query_map(params![user], entry)?.collect::<Result<_, _>>()?))
            .await
    }

    /// The sessions that the server ended by itself since then: to make room, or because a refresh token came twice. Each
    /// has the user's name instead of the id.
    pub(crate) async fn evicted_or_reused(&self, since: SystemTime) -> Result<Vec<Entry>, DatabaseError> {
        let select = "
            SELECT coalesce(name, user), session, began, ip, agent, ended, reason
            FROM history LEFT JOIN accounts ON accounts.id = CAST(user AS INTEGER)
            WHERE ended >= ? AND reason IN ('evicted', 'reused') ORDER BY ended DESC LIMIT 200";
        let since = millis(since);
        self.0
            .with(move |db| Ok(db.prepare(select)?.query_map(params![since], entry)?.collect::<Result<_, _>>()?))
            .await
    }

    /// Follows the stream for as long as the service runs.
    pub(crate) async fn follow(self, redis: ReconnectingConnection, stream: String) {
        let mut is_well = true;
        loop {
            let pause = match self.read_on(&redis, &stream).await {
                Ok(read) => {
                    is_well = true;
                    if read == AT_ONCE { Duration::ZERO } else { Duration::from_secs(1) }
                }
                Err(error) => {
                    if is_well {
                        tracing::warn!(%error, stream, "the audit stream cannot be followed at the moment");
                    }
                    is_well = false;
                    Duration::from_secs(5)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Applies the next entries, and says how many there were.
    async fn read_on(&self, redis: &ReconnectingConnection, stream: &str) -> Result<usize, Box<dyn std::error::Error>> {
        let name = stream.to_owned();
        let last = self.0.with(move |db| {
            let select = "SELECT entry FROM followed WHERE stream = ?";
            Ok::<_, DatabaseError>(db.query_row(select, params![name], |row| row.get(0)).optional()?)
        });
        let last: String = last.await?.unwrap_or_else(|| "0".to_owned());
        let entries = entries_after(redis, stream, &last).await?;
        let read = entries.len();
        let Some((newest, _)) = entries.last() else { return Ok(0) };
        let (name, newest) = (stream.to_owned(), newest.clone());
        let apply = self.0.with(move |db| {
            let transaction = db.transaction()?;
            for (id, fields) in &entries {
                apply(&transaction, id, fields)?;
            }
            transaction.execute("DELETE FROM history WHERE began < ?", params![millis(SystemTime::now() - KEPT)])?;
            transaction.execute("INSERT OR REPLACE INTO followed VALUES (?, ?)", params![name, newest])?;
            Ok::<_, DatabaseError>(transaction.commit()?)
        });
        apply.await?;
        Ok(read)
    }
}

async fn entries_after(redis: &ReconnectingConnection, stream: &str, last: &str) -> RedisResult<Vec<Told>> {
    let mut read = redis::cmd("XREAD");
    read.arg("COUNT").arg(AT_ONCE).arg("STREAMS").arg(stream).arg(last);
    let streams: Option<Vec<(String, Vec<Told>)>> = read.query_async(&mut redis.clone()).await?;
    Ok(streams.into_iter().flatten().flat_map(|(_, entries)| entries).collect())
}

/// Notes what an entry of the stream tells of sessions. Its id begins with the time, in milliseconds.
fn apply(db: &Transaction<'_>, id: &str, fields: &HashMap<String, String>) -> rusqlite::Result<()> {
    let field = |name: &str| fields.get(name).map(String::as_str);
    let at: i64 = id.split('-').next().and_then(|millis| millis.parse().ok()).unwrap_or_default();
    let (user, session, reason) = (field("user"), field("id"), field("reason"));
    match field("event") {
        Some("create") => db.execute(
            "INSERT OR REPLACE INTO history (user, session, began, ip, agent) VALUES (?, ?, ?, ?, ?)",
            params![user, session, at, field("ip"), field("agent")],
        ),
        Some("regenerate") => db.execute(
            "UPDATE OR REPLACE history SET session = ? WHERE user = ? AND session = ?",
            params![session, user, field("old_id")],
        ),
        Some("revokeuser") => db.execute(
            "UPDATE history SET ended = :at, reason = :reason
             WHERE user = :user AND ended IS NULL AND session IS NOT :except",
            named_params! { ":at": at, ":reason": reason, ":user": user, ":except": field("except") },
        ),
        Some("revokeall") => {
            let before = field("before").and_then(|before| before.parse::<i64>().ok());
            let update = "UPDATE history SET ended = ?, reason = 'user_revoked' WHERE ended IS NULL AND began < ?";
            db.execute(update, params![at, before])
        }
        Some("revoke" | "evict" | "reuse" | "expire") => db.execute(
            "UPDATE history SET ended = ?, reason = ? WHERE user = ? AND session = ? AND ended IS NULL",
            params![at, reason, user, session],
        ),
        _ => Ok(0),
    }?;
    Ok(())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let moment = |millis: i64| UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default());
    Ok(Entry {
        user: row.get(0)?,
        session: row.get(1)?,
        began: moment(row.get(2)?),
        ip: row.get(3)?,
        agent: row.get(4)?,
        ended: row.get::<_, Option<i64>>(5)?.map(moment),
        reason: row.get(6)?,
    })
}

fn millis(moment: SystemTime) -> i64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
