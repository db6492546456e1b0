//! For administrators: counts. The page for them is in `page/admin.rs`.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use redis_session::redis::{self, FromRedisValue as _, Value as RedisValue};
use redis_session_web::Session;
use serde_json::{Map, Value};

use crate::accounts::{Account, Role};
use crate::app::App;
use crate::problem::Problem;

/// The administrator who makes a request. The role is asked for each time, so a role that is taken away is gone at once.
pub(crate) struct Admin(pub(crate) Account);

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let session = Session::of(&parts.extensions).map_err(|_| Problem::SignedOut)?;
        let account = app.accounts.by_id(&session.user).await?.ok_or(Problem::SignedOut)?;
        if account.role == Role::Admin { Ok(Self(account)) } else { Err(Problem::Forbidden) }
    }
}

pub(super) async fn sessions(State(app): State<App>, _admin: Admin) -> Result<Json<Value>, Problem> {
    Ok(Json(Value::Object(stats(&app).await?)))
}

/// `SESSION.STATS`, a command that the session store has no method for: any client can send it.
pub(crate) async fn stats(app: &App) -> Result<Map<String, Value>, Problem> {
    let stats: RedisValue = redis::cmd("SESSION.STATS").query_async(&mut app.redis.clone()).await?;
    let fields = stats.into_map_iter().map_err(|_| Problem::Internal)?;
    let number = |value| i64::from_redis_value(value).map_or(Value::Null, Value::from);
    Ok(fields.map(|(name, value)| (String::from_redis_value(name).unwrap_or_default(), number(value))).collect())
}
