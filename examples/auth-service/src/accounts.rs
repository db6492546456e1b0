//! The accounts: names, password hashes and roles, in SQLite.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};
use serde::Serialize;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    User,
    Admin,
}

/// Somebody who can sign in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// What sessions know the user by: never given to another one.
    pub(crate) id: String,
    pub(crate) name: String,
    /// An argon2id hash, in the PHC string format.
    pub(crate) password: String,
    pub(crate) role: Role,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountsError {
    #[error("the name is taken")]
    NameTaken,
    #[error("accounts: {0}")]
    Database(#[from] rusqlite::Error),
    #[error("accounts: the query did not finish")]
    Cancelled,
}

/// All accounts, in one file. Clones share its connection.
#[derive(Clone)]
pub(crate) struct Accounts(Arc<Mutex<Connection>>);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS accounts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        password TEXT NOT NULL,
        role TEXT NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin'))
    ) STRICT;";

impl Accounts {
    pub(crate) fn open(path: &Path) -> Result<Self, AccountsError> {
        let connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    pub(crate) async fn add(&self, name: &str, password_hash: String) -> Result<String, AccountsError> {
        let name = name.to_owned();
        self.with(move |db| {
            let added = db.execute("INSERT INTO accounts (name, password) VALUES (?, ?)", params![name, password_hash]);
            match added {
                Ok(_) => Ok(db.last_insert_rowid().to_string()),
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    Err(AccountsError::NameTaken)
                }
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    pub(crate) async fn by_name(&self, name: &str) -> Result<Option<Account>, AccountsError> {
        let name = name.to_owned();
        self.with(move |db| {
            let found =
                db.query_row("SELECT id, name, password, role FROM accounts WHERE name = ?", params![name], account);
            Ok(found.optional()?)
        })
        .await
    }

    pub(crate) async fn by_id(&self, id: &str) -> Result<Option<Account>, AccountsError> {
        let Ok(id) = id.parse::<i64>() else { return Ok(None) };
        self.with(move |db| {
            let found =
                db.query_row("SELECT id, name, password, role FROM accounts WHERE id = ?", params![id], account);
            Ok(found.optional()?)
        })
        .await
    }

    pub(crate) async fn set_password(&self, account: &Account, password_hash: String) -> Result<(), AccountsError> {
        let name = account.name.clone();
        self.with(move |db| {
            db.execute("UPDATE accounts SET password = ? WHERE name = ?", params![password_hash, name])?;
            Ok(())
        })
        .await
    }

    /// Whether there is such an account.
    pub(crate) async fn set_role(&self, name: &str, role: Role) -> Result<bool, AccountsError> {
        let name = name.to_owned();
        let role = if role == Role::Admin { "admin" } else { "user" };
        self.with(move |db| Ok(db.execute("UPDATE accounts SET role = ? WHERE name = ?", params![role, name])? == 1))
            .await
    }

    /// SQLite waits for the disk, so it runs where waiting hinders nobody.
    async fn with<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, AccountsError> + Send + 'static,
    ) -> Result<T, AccountsError> {
        let connection = Arc::clone(&self.0);
        let run = move || query(&connection.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(run).await.map_err(|_| AccountsError::Cancelled)?
    }
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let role = if row.get_ref(3)?.as_str()? == "admin" { Role::Admin } else { Role::User };
    Ok(Account { id: row.get::<_, i64>(0)?.to_string(), name: row.get(1)?, password: row.get(2)?, role })
}
