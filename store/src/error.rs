//! The errors of a store.

use std::fmt;

use redis::{ErrorKind, RedisError, ServerErrorKind};
#[cfg(feature = "encryption")]
use redis_session::Created;
use redis_session::{Inactive, SessionErrorCode, redact};

/// Why a [`SessionStore`](crate::SessionStore) did not do what it was asked to.
///
/// ```
/// use redis_session_store::StoreError;
///
/// fn status(error: &StoreError) -> u16 {
///     match error {
///         StoreError::Refused(_) | StoreError::NoSession => 401,
///         StoreError::Limit => 409,
///         StoreError::Unavailable(_) | StoreError::ModuleMissing => 503,
///         _ => 500,
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The credential is not good: 401. Log the reason, and do not show it to strangers.
    Refused(Inactive),
    /// The user is at the policy's limit of sessions, and the policy refuses more.
    Limit,
    /// The session whose data you change is not alive.
    NoSession,
    /// Redis does not answer, or accepts no writes (it is a replica, or lacks replicas, disk or memory): 503. Let
    /// nobody in. A write may or may not have been carried out.
    Unavailable(RedisError),
    /// The server is a Redis without the module, as after a restart or a failover: 503. Load the module on every server
    /// that can become the primary. Let nobody in; nothing was changed.
    ModuleMissing,
    /// Redis refused the command. The text names the mistake in the application or its configuration.
    Redis(RedisError),
    /// The data of the session cannot be read or written.
    Data(DataError),
    /// The session has a new id and new tokens, which this error contains, but some of its data are still sealed for
    /// the old id.
    #[cfg(feature = "encryption")]
    #[cfg_attr(docsrs, doc(cfg(feature = "encryption")))]
    Resealing(Box<Resealing>),
}

/// A session that was [regenerated](crate::SessionStore::regenerate), with data that could not all be sealed for its
/// new id.
///
/// Nothing is lost. Hand out the new tokens, because the old ones are dead, and call
/// [`SessionStore::reseal`](crate::SessionStore::reseal) until it succeeds. The `Debug` form and the text contain only
/// the cause.
///
/// ```no_run
/// use redis_session::{Created, RegenerateOptions};
/// use redis_session_store::{Resealing, SessionStore, StoreError};
///
/// # async fn example(
/// #     sessions: SessionStore<redis::aio::MultiplexedConnection>, token: &str,
/// #     later: std::sync::mpsc::Sender<(String, String, String)>,
/// # ) -> Result<Created, StoreError> {
/// match sessions.regenerate(token, &RegenerateOptions::new()).await {
///     Err(StoreError::Resealing(left)) => {
///         eprintln!("{left}"); // for the log
///         let Resealing { created, user, old_id, .. } = *left;
///         // Another task calls `sessions.reseal(&user, &old_id, &new_id)`, with pauses, until it succeeds.
///         let _ = later.send((user, old_id, created.id.clone()));
///         Ok(created)
///     }
///     result => result,
/// }
/// # }
/// ```
#[cfg(feature = "encryption")]
#[derive(Clone)]
#[non_exhaustive]
pub struct Resealing {
    /// The new tokens, and the new id.
    pub created: Created,
    /// The user.
    pub user: String,
    /// The id that the data are sealed for. It is dead.
    pub old_id: String,
    /// Why they could not be sealed for the new one.
    pub cause: StoreError,
}

#[cfg(feature = "encryption")]
impl fmt::Debug for Resealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resealing").field("cause", &self.cause).finish_non_exhaustive()
    }
}

#[cfg(feature = "encryption")]
impl fmt::Display for Resealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the session has a new id, but some of its data are still sealed for the old one: {}", self.cause)
    }
}

/// Why session data cannot be read or written. The text shows no data, not even the names of stored fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DataError {
    /// The value has no named fields, so it cannot be session data.
    NoFields,
    /// The field's name is not UTF-8.
    Name,
    /// The value cannot be written as JSON, or the fields cannot be read as the requested type. The text says why.
    Json(String),
    /// The field is not sealed, is sealed with an unknown key or for another session, or was changed.
    #[cfg(feature = "encryption")]
    Sealed,
    /// The operating system gave no randomness, for a session's id or to seal with.
    Randomness,
}

impl StoreError {
    /// Whether this is for a 401: the credential is not good.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// The text [leaves out](redact) arguments of a command that the server repeats.
impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        let error = redact(error);
        match SessionErrorCode::of(&error) {
            Some(SessionErrorCode::ModuleMissing) => Self::ModuleMissing,
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
pub(crate) fn is_read_only(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// Whether the server accepts no writes at the moment but may answer questions: it is a replica, it has fewer replicas
/// than `min-replicas-to-write`, it cannot save (for example, the disk is full), or its memory is full.
pub(crate) fn takes_no_changes(error: &RedisError) -> bool {
    is_read_only(error) || matches!(error.code(), Some("NOREPLICAS" | "MISCONF" | "OOM"))
}

/// Whether the server can answer nothing. A later request, or another server, may succeed.
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
            Self::ModuleMissing => f.write_str(
                "the server does not have the redis-session module: load it, on every server that can become the primary",
            ),
            Self::Redis(error) => write!(f, "Redis refused: {error}"),
            Self::Data(error) => error.fmt(f),
            #[cfg(feature = "encryption")]
            Self::Resealing(left) => left.fmt(f),
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
            Self::Sealed => f.write_str("a field of the session cannot be opened"),
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
            #[cfg(feature = "encryption")]
            Self::Resealing(left) => Some(&left.cause),
            Self::Limit | Self::NoSession | Self::ModuleMissing => None,
        }
    }
}

impl std::error::Error for DataError {}

/// Why a JWK Set cannot be used; the text names the key.
#[cfg(any(feature = "offline", feature = "testing"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "offline", feature = "testing"))))]
#[derive(Debug)]
pub struct KeySetError(redis_session_core::token::KeyRingError);

#[cfg(any(feature = "offline", feature = "testing"))]
impl KeySetError {
    pub(crate) fn new(why: redis_session_core::token::KeyRingError) -> Self {
        Self(why)
    }
}

#[cfg(any(feature = "offline", feature = "testing"))]
impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(any(feature = "offline", feature = "testing"))]
impl std::error::Error for KeySetError {}
