//! For those who look after the service.

use axum::Json;
use axum::extract::State;
use redis_session::redis::{self, FromRedisValue as _, Value as RedisValue};
use redis_session_web::Session;
use serde_json::{Map, Value};

use crate::accounts::Role;
use crate::app::App;
use crate::problem::Problem;

/// What the server stores and has done. Asked for the role each time: it is gone as soon as it is taken away.
pub(super) async fn sessions(State(app): State<App>, session: Session) -> Result<Json<Value>, Problem> {
    let account = app.accounts.by_id(&session.user).await?;
    if account.is_none_or(|account| account.role != Role::Admin) {
        return Err(Problem::Forbidden);
    }
    Ok(Json(Value::Object(stats(&app).await?)))
}

/// `SESSION.STATS`, which is no command of the session store: any client can send it.
pub(super) async fn stats(app: &App) -> Result<Map<String, Value>, Problem> {
    let stats: RedisValue = redis::cmd("SESSION.STATS").query_async(&mut app.redis.clone()).await?;
    let fields = stats.into_map_iter().map_err(|_| Problem::Internal)?;
    let number = |value| i64::from_redis_value(value).map_or(Value::Null, Value::from);
    Ok(fields.map(|(name, value)| (String::from_redis_value(name).unwrap_or_default(), number(value))).collect())
}
