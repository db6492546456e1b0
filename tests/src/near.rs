//! What a store with a near cache says of tokens, and whether it asks Redis.

use redis::aio::ConnectionLike;
use redis_session_store::{SessionStore, StoreError, Visitor};

/// What a check says: `active`, or why not.
pub async fn verdict<C>(store: &SessionStore<C>, token: &str) -> String
where
    C: ConnectionLike + Clone + Send + Sync,
{
    match store.authenticate(token, &Visitor::new()).await {
        Ok(_) => "active".to_owned(),
        Err(StoreError::Refused(inactive)) => inactive.reason.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Whether the next check is answered from memory.
///
/// # Panics
///
/// If the store has no near cache.
pub async fn is_remembered<C>(store: &SessionStore<C>, token: &str) -> bool
where
    C: ConnectionLike + Clone + Send + Sync,
{
    let hits = || store.near_cache_figures().expect("a near cache").hits;
    let before = hits();
    let _ = store.authenticate(token, &Visitor::new()).await;
    hits() > before
}
