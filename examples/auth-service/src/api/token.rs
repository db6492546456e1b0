//! Tokens for apps, which keep them themselves: a short-lived access token, and a refresh token for the next.

use axum::Json;
use axum::extract::{Extension, State};
use redis_session::{Created, unverified_user};
use redis_session_store::{StoreError, Visitor};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::audit;
use crate::problem::Problem;
use crate::sign_in::{self, Credentials};

pub(super) async fn token(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Json(credentials): Json<Credentials>,
) -> Result<Json<Value>, Problem> {
    let (account, created) = sign_in::sign_in(&app, &app.app_sessions, &visitor, credentials, false).await?;
    audit::signed_in("Token issued", &account, &visitor, &created);
    Ok(Json(tokens(&created)))
}

#[derive(Deserialize)]
pub(super) struct RefreshBody {
    refresh_token: String,
}

pub(super) async fn refresh(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Json(body): Json<RefreshBody>,
) -> Result<Json<Value>, Problem> {
    let refreshed = app.app_sessions.refresh(&body.refresh_token, &visitor).await;
    if let Err(StoreError::Refused(inactive)) = &refreshed {
        audit::refresh_refused(inactive, &body.refresh_token, &visitor);
    }
    let created = refreshed?;
    let user = unverified_user(&body.refresh_token).unwrap_or_default();
    audit::done("Token refreshed", &user, &created.id, 0, &visitor);
    Ok(Json(tokens(&created)))
}

/// As RFC 6749 section 5.1 names them.
fn tokens(created: &Created) -> Value {
    json!({
        "token_type": "Bearer",
        "access_token": created.token,
        "expires_at": created.token_expires_at.map(|at| at.unix_secs()),
        "refresh_token": created.refresh_token,
        "refresh_expires_at": created.refresh_expires_at.map(|at| at.unix_secs()),
        "session": created.id,
    })
}
