//! What can go wrong in a store.

use std::fmt;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::error::SessionErrorCode;
use crate::replies::Inactive;

/// Why a [`SessionStore`](super::SessionStore) did not do what it was asked to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The credential is not good: 401. Why is for the log; a stranger need not know.
    Refused(Inactive),
    /// The user has as many sessions as the policy allows, and it says to refuse more.
    Limit,
    /// The session whose data were to be changed is not alive.
    NoSession,
    /// Redis cannot be asked at the moment, or takes no changes (it is a replica, or lacks replicas, disk or memory):
    /// 503. Nobody was let in, and whether a change was made is not known.
    Unavailable(RedisError),
    /// Redis refused: a mistake in the application or its configuration, which the text names.
    Redis(RedisError),
    /// What is kept with the session cannot be read or written.
    Data(DataError),
}

/// Why what is kept with a session cannot be read or written. It shows none of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DataError {
    /// The value has no named fields, so that it is no data of a session.
    NoFields,
    /// The field's name is no UTF-8.
    Name,
    /// The value cannot be written as JSON, or the fields cannot be read as the type that was asked for: the text says
    /// why.
    Json(String),
    /// The field was not sealed, or with a key that is not known, or for another session, or it was changed.
    #[cfg(feature = "encryption")]
    Sealed {
        /// The field's name.
        field: String,
    },
    /// The operating system gave no randomness to seal with.
    #[cfg(feature = "encryption")]
    Randomness,
}

impl DataError {
    #[cfg(feature = "encryption")]
    #[allow(clippy::needless_pass_by_value)] // for map_err
    pub(super) fn sealing(_error: impl fmt::Display) -> Self {
        Self::Randomness
    }
}

impl StoreError {
    /// Whether this is for a 401: the credential is not good.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        match SessionErrorCode::of(&error) {
            Some(SessionErrorCode::SessionLimit) => Self::Limit,
            Some(SessionErrorCode::NoSession) => Self::NoSession,
            _ if is_away(&error) || takes_no_changes(&error) => Self::Unavailable(error),
            _ => Self::Redis(error),
        }
    }
}

impl From<DataError> for StoreError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

/// Whether the server is a replica.
pub(super) fn is_read_only(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Whether the server makes no changes at the moment but may answer questions: it is a replica, it has fewer replicas
/// than `min-replicas-to-write`, it cannot save (the disk is full, say), or no memory is left.
pub(super) fn takes_no_changes(error: &RedisError) -> bool {
    is_read_only(error) || matches!(error.code(), Some("NOREPLICAS" | "MISCONF" | "OOM"))
}

/// Whether nothing can be asked: asking later, or another server, may help.
fn is_away(error: &RedisError) -> bool {
    let kind = error.kind();
    let cannot_answer = [
        ErrorKind::Io,
        ErrorKind::ClusterConnectionNotFound,
        ErrorKind::MasterNameNotFoundBySentinel,
        ErrorKind::NoValidReplicasFoundBySentinel,
        ErrorKind::Server(ServerErrorKind::BusyLoading),
        ErrorKind::Server(ServerErrorKind::ClusterDown),
        ErrorKind::Server(ServerErrorKind::MasterDown),
        ErrorKind::Server(ServerErrorKind::TryAgain),
    ];
    cannot_answer.contains(&kind) || error.is_connection_dropped() || error.is_timeout()
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(inactive) => inactive.fmt(f),
            Self::Limit => f.write_str("the user has as many sessions as are allowed"),
            Self::NoSession => f.write_str("the session is not alive"),
            Self::Unavailable(error) => write!(f, "Redis cannot be asked: {error}"),
            Self::Redis(error) => write!(f, "Redis refused: {error}"),
            Self::Data(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFields => f.write_str("session data must be a struct or a map with names"),
            Self::Name => f.write_str("the name of a session's field is not UTF-8"),
            Self::Json(why) => write!(f, "session data: {why}"),
            #[cfg(feature = "encryption")]
            Self::Sealed { field } => write!(f, "the session's field {field} cannot be opened"),
            #[cfg(feature = "encryption")]
            Self::Randomness => f.write_str("the operating system gave no randomness"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(inactive) => Some(inactive),
            Self::Unavailable(error) | Self::Redis(error) => Some(error),
            Self::Data(error) => Some(error),
            Self::Limit | Self::NoSession => None,
        }
    }
}

impl std::error::Error for DataError {}
