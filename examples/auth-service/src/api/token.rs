//! Tokens for apps: the token endpoint of OAuth 2.0, with a password or a refresh token (RFC 6749 sections 4.3 and 6).
//!
//! OAuth 2.1 drops the password grant, because it lets every app see passwords. It is right for the service's own apps,
//! and for nobody else's.

use axum::extract::rejection::FormRejection;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use redis_session::{Created, Timestamp, unverified_user};
use redis_session_store::{StoreError, Visitor};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::audit;
use crate::problem::Problem;
use crate::sign_in::{self, Credentials};

/// A `scope` and other fields may be there too: they change nothing.
#[derive(Deserialize)]
pub(super) struct TokenForm {
    grant_type: String,
    username: Option<String>,
    password: Option<String>,
    refresh_token: Option<String>,
}

pub(super) async fn token(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    form: Result<Form<TokenForm>, FormRejection>,
) -> Result<Json<Value>, TokenProblem> {
    let Form(form) = form.map_err(|_| TokenProblem::BadForm)?;
    let created = match (form.grant_type.as_str(), form.username, form.password, form.refresh_token) {
        ("password", Some(name), Some(password), _) => {
            with_password(&app, &visitor, Credentials { name, password }).await
        }
        ("refresh_token", _, _, Some(token)) => with_refresh_token(&app, &visitor, &token).await,
        ("password" | "refresh_token", ..) => return Err(TokenProblem::BadForm),
        _ => return Err(TokenProblem::OtherGrant),
    };
    Ok(Json(tokens(&created.map_err(TokenProblem::Refused)?)))
}

async fn with_password(app: &App, visitor: &Visitor, credentials: Credentials) -> Result<Created, Problem> {
    let (account, created) = sign_in::sign_in(app, &app.app_sessions, visitor, credentials, false).await?;
    audit::signed_in("Token issued", &account, visitor, &created);
    Ok(created)
}

async fn with_refresh_token(app: &App, visitor: &Visitor, token: &str) -> Result<Created, Problem> {
    let refreshed = app.app_sessions.refresh(token, visitor).await;
    if let Err(StoreError::Refused(inactive)) = &refreshed {
        audit::refresh_refused(inactive, token, visitor);
    }
    let created = refreshed?;
    let user = unverified_user(token).unwrap_or_default();
    audit::done("Token refreshed", &user, &created.id, 0, visitor);
    Ok(created)
}

/// The answer of RFC 6749 section 5.1. It has the session's id too, as `GET /sessions` shows it.
pub(super) fn tokens(created: &Created) -> Value {
    json!({
        "token_type": "Bearer",
        "access_token": created.token,
        "expires_in": created.token_expires_at.map(seconds_until),
        "refresh_token": created.refresh_token,
        "refresh_expires_in": created.refresh_expires_at.map(seconds_until),
        "session": created.id,
    })
}

fn seconds_until(moment: Timestamp) -> u64 {
    moment.to_system_time().duration_since(std::time::SystemTime::now()).unwrap_or_default().as_secs()
}

/// An error of the token endpoint (RFC 6749 section 5.2).
pub(super) enum TokenProblem {
    BadForm,
    OtherGrant,
    Refused(Problem),
}

impl IntoResponse for TokenProblem {
    fn into_response(self) -> Response {
        let (status, error, text) = match &self {
            Self::BadForm => (StatusCode::BAD_REQUEST, "invalid_request", "A field is missing, or this is no form."),
            Self::OtherGrant => (StatusCode::BAD_REQUEST, "unsupported_grant_type", "password or refresh_token"),
            Self::Refused(problem) => match problem.status() {
                StatusCode::UNAUTHORIZED => (StatusCode::BAD_REQUEST, "invalid_grant", problem.text()),
                // RFC 6749 has no name for these.
                status => (status, "temporarily_unavailable", problem.text()),
            },
        };
        let mut response = (status, Json(json!({ "error": error, "error_description": text }))).into_response();
        if let Self::Refused(problem) = &self
            && let Some(wait) = problem.retry_after()
        {
            response.headers_mut().insert(header::RETRY_AFTER, wait);
        }
        response
    }
}
