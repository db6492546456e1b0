//! Whether the service can do its work: for a load balancer.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use redis_session::redis;
use serde_json::{Value, json};

use super::admin;
use crate::app::App;

/// 503 while nobody can sign in. The process itself is well, so a restart would not help.
pub(super) async fn health(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let ping: redis::RedisResult<String> = redis::cmd("PING").query_async(&mut app.redis.clone()).await;
    if ping.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "redis": "away" })));
    }
    match admin::stats(&app).await {
        // Anybody may ask, so no counts: administrators find them elsewhere.
        Ok(_) => (StatusCode::OK, Json(json!({ "redis": "ok", "module": "ok" }))),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "redis": "ok", "module": "missing" }))),
    }
}
