//! The public keys that check the access tokens, for services that check them by themselves.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use redis_session::AsyncSessionCommands as _;

use crate::app::App;
use crate::problem::Problem;

/// Clients may cache the set for five minutes. So a new key must be in the server's file for that long before it signs.
const CACHING: &str = "public, max-age=300";

/// A JWK Set (RFC 7517 section 5); 304 for a client that has it already. It is empty if the server signs with a secret.
pub(super) async fn keys(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    let set = app.redis.clone().session_jwks().await?;
    let mut hasher = DefaultHasher::new();
    set.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let known = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    // RFC 9110 section 13.1.2: a list, whose tags may be weak.
    let mut known = known.flat_map(|list| list.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    let is_known = known.any(|known| known == tag || known == "*");
    let caching = [(header::CACHE_CONTROL, CACHING.to_owned()), (header::ETAG, tag)];
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    Ok((caching, [(header::CONTENT_TYPE, "application/jwk-set+json")], set).into_response())
}
