//! Whether the service can do its work: for a load balancer.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use redis_session::redis;
use serde_json::{Value, json};

use super::admin;
use crate::app::App;

/// 503 while nobody could sign in. The process itself is well then: restarting it would not help.
pub(super) async fn health(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let ping: redis::RedisResult<String> = redis::cmd("PING").query_async(&mut app.redis.clone()).await;
    if ping.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "redis": "away" })));
    }
    match admin::stats(&app).await {
        Ok(stats) => {
            let sessions = stats.get("sessions");
            (StatusCode::OK, Json(json!({ "redis": "ok", "module": "ok", "sessions": sessions })))
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "redis": "ok", "module": "missing" }))),
    }
}
