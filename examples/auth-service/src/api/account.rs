//! Signing up, in and out.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::header::{AUTHORIZATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use redis_session::{Created, unverified_user};
use redis_session_store::Visitor;
use redis_session_web::Session;
use serde::Deserialize;
use serde_json::{Value, json};

use super::session::Kept;
use super::token::tokens;
use crate::accounts::Account;
use crate::app::App;
use crate::audit;
use crate::problem::Problem;
use crate::sign_in::{self, Credentials};

pub(super) async fn register(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Problem> {
    let account = sign_in::register(&app, &visitor, credentials).await?;
    Ok((StatusCode::CREATED, Json(json!({ "user": account.id }))).into_response())
}

#[derive(Deserialize)]
pub(super) struct LoginBody {
    #[serde(flatten)]
    credentials: Credentials,
    #[serde(default)]
    remember: bool,
}

/// A session in a cookie. No token is in the body, where a script could read it.
pub(super) async fn login(
    State(app): State<App>,
    before: Option<Session>,
    Extension(visitor): Extension<Visitor>,
    Json(body): Json<LoginBody>,
) -> Result<Response, Problem> {
    let cookie = begin(&app, before.as_ref(), &visitor, body.credentials, body.remember).await?;
    let answer = Json(json!({ "user": cookie.user, "session": cookie.session, "expires_at": cookie.expires_at }));
    Ok(([(SET_COOKIE, cookie.header)], answer).into_response())
}

/// A session whose token is in a cookie.
pub(crate) struct Begun {
    pub(crate) header: HeaderValue,
    user: String,
    session: String,
    expires_at: u64,
}

/// Signs in with a cookie.
pub(crate) async fn begin(
    app: &App,
    before: Option<&Session>,
    visitor: &Visitor,
    credentials: Credentials,
    remember: bool,
) -> Result<Begun, Problem> {
    let (account, created) = sign_in::sign_in(app, &app.sessions, visitor, credentials, remember).await?;
    hand_out(app, before, visitor, &account, &created, remember).await
}

/// Puts a new session into a cookie. The session that the browser had before ends: without its cookie, nobody could end
/// it.
pub(crate) async fn hand_out(
    app: &App,
    before: Option<&Session>,
    visitor: &Visitor,
    account: &Account,
    created: &Created,
    remember: bool,
) -> Result<Begun, Problem> {
    if let Some(before) = before {
        app.sessions.logout(before.token()).await?;
    }
    audit::signed_in("Signed in", account, visitor, created);
    let header = app.cookie.set(created, remember);
    let (user, session) = (account.id.clone(), created.id.clone());
    Ok(Begun { header, user, session, expires_at: created.expires_at.unix_secs() })
}

/// The cookie with a session's new token. It lasts as long as the one before.
pub(crate) async fn renewed_cookie(app: &App, user: &str, created: &Created) -> Result<HeaderValue, Problem> {
    let kept: Kept = app.sessions.data(user, &created.id).await?.unwrap_or_default();
    Ok(app.cookie.set(created, kept.remembered))
}

/// The new tokens of a session: a browser gets them in its cookie, an app in the answer.
async fn renewed(app: &App, headers: &HeaderMap, user: &str, created: &Created) -> Result<Response, Problem> {
    if bearer(headers).is_some() {
        return Ok(Json(tokens(created)).into_response());
    }
    let cookie = renewed_cookie(app, user, created).await?;
    Ok(([(SET_COOKIE, cookie)], Json(json!({ "session": created.id }))).into_response())
}

/// Ends this session. It is a success if the session had ended before.
///
/// An app's access token may have expired. It still names its session, whose refresh token would go on.
pub(super) async fn logout(
    State(app): State<App>,
    session: Option<Session>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    end_here(&app, session.as_ref(), &visitor).await?;
    if let (None, Some(token)) = (session, bearer(&headers))
        && app.sessions.logout(token).await?
    {
        audit::signed_out_late(&unverified_user(token).unwrap_or_default(), &visitor);
    }
    Ok((StatusCode::NO_CONTENT, signed_out(&app)).into_response())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(crate) async fn end_here(app: &App, session: Option<&Session>, visitor: &Visitor) -> Result<(), Problem> {
    if let Some(session) = session {
        app.sessions.logout(session.token()).await?;
        audit::done("Signed out", &session.user, &session.id, 1, visitor);
    }
    Ok(())
}

/// Ends all sessions of the user.
pub(super) async fn logout_all(
    State(app): State<App>,
    session: Session,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Problem> {
    let ended = end_everywhere(&app, &session, &visitor).await?;
    Ok((signed_out(&app), Json(json!({ "ended": ended }))).into_response())
}

pub(crate) async fn end_everywhere(app: &App, session: &Session, visitor: &Visitor) -> Result<u64, Problem> {
    let ended = app.sessions.logout_everywhere(&session.user).await?;
    audit::done("Signed out everywhere", &session.user, &session.id, ended, visitor);
    Ok(ended)
}

/// Takes the cookie back, and everything else that the browser keeps of this site (W3C Clear Site Data).
pub(crate) fn signed_out(app: &App) -> [(HeaderName, HeaderValue); 2] {
    let clear = HeaderValue::from_static("\"cookies\", \"storage\"");
    [(SET_COOKIE, app.cookie.clear()), (HeaderName::from_static("clear-site-data"), clear)]
}

#[derive(Deserialize)]
pub(super) struct PasswordBody {
    current: String,
    new: String,
}

pub(super) async fn password(
    State(app): State<App>,
    session: Session,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Json(body): Json<PasswordBody>,
) -> Result<Response, Problem> {
    let (created, _) = sign_in::change_password(&app, &session, &visitor, body.current, body.new).await?;
    renewed(&app, &headers, &session.user, &created).await
}

#[derive(Deserialize)]
pub(super) struct CodeBody {
    code: String,
}

/// Raises this session to a second factor.
pub(super) async fn second_factor(
    State(app): State<App>,
    session: Session,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Json(body): Json<CodeBody>,
) -> Result<Response, Problem> {
    let created = sign_in::step_up(&app, &session, &visitor, &body.code).await?;
    renewed(&app, &headers, &session.user, &created).await
}

pub(super) async fn me(State(app): State<App>, session: Session) -> Result<Json<Value>, Problem> {
    let account = app.accounts.by_id(&session.user).await?.ok_or(Problem::SignedOut)?;
    let kept: Kept = app.sessions.data(&session.user, &session.id).await?.unwrap_or_default();
    Ok(Json(json!({
        "user": account.id,
        "name": account.name,
        "role": account.role,
        "session": session.id,
        "expires_at": session.expires_at.unix_secs(),
        "preferences": { "theme": kept.theme },
    })))
}
