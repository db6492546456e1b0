//! A user's sessions, and what is kept with one.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use redis_session_store::Visitor;
use redis_session_web::Session;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::App;
use crate::audit;
use crate::problem::Problem;

/// What is kept with a session.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Kept {
    /// How this device shows the pages.
    pub(crate) theme: Theme,
    /// Whether its user asked to stay signed in. New tokens of the session must know.
    pub(crate) remembered: bool,
}

/// What a user can change of it. A field that is not named stays.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    #[serde(skip_serializing_if = "Option::is_none")]
    theme: Option<Theme>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

pub(super) async fn change(
    State(app): State<App>,
    session: Session,
    Json(changes): Json<Changes>,
) -> Result<Json<Value>, Problem> {
    app.sessions.set_data(&session.user, &session.id, &changes).await?;
    let kept: Kept = app.sessions.data(&session.user, &session.id).await?.ok_or(Problem::SignedOut)?;
    Ok(Json(json!({ "theme": kept.theme })))
}

pub(super) async fn list(State(app): State<App>, session: Session) -> Result<Json<Vec<Value>>, Problem> {
    let devices = app.sessions.devices(&session.user).await?;
    let shown = devices.into_iter().map(|device| {
        json!({
            "id": device.id,
            "current": device.id == session.id,
            "created_at": device.created_at.unix_secs(),
            "last_seen_at": device.last_seen_at.unix_secs(),
            "expires_at": device.expires_at.unix_secs(),
            "ip": device.ip,
            "agent": device.agent,
        })
    });
    Ok(Json(shown.collect()))
}

/// The user's sign-ins of the last months, and how they ended.
pub(super) async fn history(State(app): State<App>, session: Session) -> Result<Json<Vec<Value>>, Problem> {
    let seconds = |moment: SystemTime| moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let shown = app.history.of(&session.user).await?.into_iter().map(|entry| {
        json!({
            "id": entry.session,
            "began_at": seconds(entry.began),
            "ip": entry.ip,
            "agent": entry.agent,
            "ended_at": entry.ended.map(seconds),
            "reason": entry.reason,
        })
    });
    Ok(Json(shown.collect()))
}

pub(super) async fn end(
    State(app): State<App>,
    session: Session,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    end_one(&app, &session, &visitor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of the user's own sessions. Another user's is not among them, so it is not found.
pub(crate) async fn end_one(app: &App, session: &Session, visitor: &Visitor, id: &str) -> Result<(), Problem> {
    // Looked up first: only an id may come here, and the path can hold any text, such as a token.
    let mine = app.sessions.devices(&session.user).await?;
    if !mine.iter().any(|device| device.id == id) {
        return Err(Problem::NotFound);
    }
    let ended = app.sessions.logout_session(&session.user, id).await?;
    audit::done("Signed out another device", &session.user, id, u64::from(ended), visitor);
    Ok(())
}
