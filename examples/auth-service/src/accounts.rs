//! The accounts: names, password hashes, roles and second factors.

use rusqlite::{ErrorCode, OptionalExtension as _, Row, params};
use serde::Serialize;

use crate::database::{Database, DatabaseError};

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    User,
    Admin,
}

/// A user who can sign in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// What sessions know the user by. No other user ever gets it.
    pub(crate) id: String,
    pub(crate) name: String,
    /// An argon2id hash, in the PHC string format.
    pub(crate) password: String,
    pub(crate) role: Role,
    /// The secret that the user's authenticator app shares with the service.
    pub(crate) second_factor: Option<Vec<u8>>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountsError {
    #[error("the name is taken")]
    NameTaken,
    #[error("accounts: {0}")]
    Database(#[from] DatabaseError),
}

impl From<rusqlite::Error> for AccountsError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

#[derive(Clone)]
pub(crate) struct Accounts(Database);

const COLUMNS: &str = "id, name, password, role, second_factor";

impl Accounts {
    pub(crate) fn new(database: Database) -> Self {
        Self(database)
    }

    pub(crate) async fn add(&self, name: &str, password_hash: String) -> Result<Account, AccountsError> {
        let name = name.to_owned();
        self.0
            .with(move |db| {
                let insert = format!("INSERT INTO accounts (name, password) VALUES (?, ?) RETURNING {COLUMNS}");
                match db.query_row(&insert, params![name, password_hash], account) {
                    Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                        Err(AccountsError::NameTaken)
                    }
                    added => Ok(added?),
                }
            })
            .await
    }

    pub(crate) async fn by_name(&self, name: &str) -> Result<Option<Account>, AccountsError> {
        let name = name.to_owned();
        self.0
            .with(move |db| {
                let select = format!("SELECT {COLUMNS} FROM accounts WHERE name = ?");
                Ok(db.query_row(&select, params![name], account).optional()?)
            })
            .await
    }

    pub(crate) async fn by_id(&self, id: &str) -> Result<Option<Account>, AccountsError> {
        let Ok(id) = id.parse::<i64>() else { return Ok(None) };
        self.0
            .with(move |db| {
                let select = format!("SELECT {COLUMNS} FROM accounts WHERE id = ?");
                Ok(db.query_row(&select, params![id], account).optional()?)
            })
            .await
    }

    pub(crate) async fn set_password(&self, account: &Account, password_hash: String) -> Result<(), AccountsError> {
        self.change("UPDATE accounts SET password = ?2 WHERE name = ?1", &account.name, password_hash).await?;
        Ok(())
    }

    /// Makes a user an administrator who signs in with this second factor too. False if nobody has the name.
    pub(crate) async fn make_admin(&self, name: &str, second_factor: Vec<u8>) -> Result<bool, AccountsError> {
        let update = "UPDATE accounts SET role = 'admin', second_factor = ?2, last_code = 0 WHERE name = ?1";
        self.change(update, name, second_factor).await
    }

    /// Notes the time step of a code. False if that code, or a later one, was used before: each is good once (RFC 6238
    /// section 5.2).
    pub(crate) async fn use_code(&self, account: &Account, step: u64) -> Result<bool, AccountsError> {
        let update = "UPDATE accounts SET last_code = ?2 WHERE name = ?1 AND last_code < ?2";
        self.change(update, &account.name, i64::try_from(step).unwrap_or(i64::MAX)).await
    }

    async fn change(
        &self,
        update: &'static str,
        name: &str,
        value: impl rusqlite::ToSql + Send + 'static,
    ) -> Result<bool, AccountsError> {
        let name = name.to_owned();
        self.0.with(move |db| Ok(db.execute(update, params![name, value])? == 1)).await
    }
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let role = if row.get_ref(3)?.as_str()? == "admin" { Role::Admin } else { Role::User };
    Ok(Account {
        id: row.get::<_, i64>(0)?.to_string(),
        name: row.get(1)?,
        password: row.get(2)?,
        role,
        second_factor: row.get(4)?,
    })
}
