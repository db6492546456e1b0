//! The SQLite file: what is in it, who may read it, and a thread to wait for it on.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the query did not finish")]
    Cancelled,
}

/// One file, one connection, which clones share.
#[derive(Clone)]
pub(crate) struct Database(Arc<Mutex<Connection>>);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS accounts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        password TEXT NOT NULL,
        role TEXT NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
        second_factor BLOB,
        last_code INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE IF NOT EXISTS history (
        user TEXT NOT NULL,
        session TEXT NOT NULL,
        began INTEGER NOT NULL,
        ip TEXT,
        agent TEXT,
        ended INTEGER,
        reason TEXT,
        PRIMARY KEY (user, session)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS history_began ON history (began);
    CREATE INDEX IF NOT EXISTS history_ended ON history (ended);
    CREATE TABLE IF NOT EXISTS followed (stream TEXT PRIMARY KEY, entry TEXT NOT NULL) STRICT;";

impl Database {
    /// Opens the file, or makes it. Only its owner may read it: it has password hashes. SQLite gives the files beside it
    /// (`-wal`, `-shm`) the same permissions.
    pub(crate) fn open(path: &Path) -> Result<Self, DatabaseError> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs a query on a thread that may wait for the disk.
    pub(crate) async fn with<T: Send + 'static, E: From<DatabaseError> + Send + 'static>(
        &self,
        query: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let connection = Arc::clone(&self.0);
        let run = move || query(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(run).await.map_err(|_| DatabaseError::Cancelled)?
    }
}
