//! For administrators: the sessions of a user, buttons to end them, and what the server ended today.

use std::time::{Duration, SystemTime};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use redis_session_store::Visitor;
use serde::Deserialize;

use super::{Done, Notice, Person, Shown, devices, html, view};
use crate::accounts::Account;
use crate::api;
use crate::app::App;
use crate::audit;
use crate::problem::Problem;

/// The same as for programs, with a page for everybody else.
pub(super) struct Admin(Account);

impl FromRequestParts<App> for Admin {
    type Rejection = Shown;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Shown> {
        let api::Admin(account) = api::Admin::from_request_parts(parts, app).await?;
        Ok(Self(account))
    }
}

#[derive(Deserialize)]
pub(super) struct Asked {
    user: Option<String>,
    done: Option<Done>,
}

pub(super) async fn home(
    State(app): State<App>,
    Person(session): Person,
    _admin: Admin,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Shown> {
    let (asked, done) = asked.map_or((None, None), |Query(asked)| (asked.user, asked.done));
    let found = match &asked {
        Some(name) => find(&app, name).await?,
        None => None,
    };
    let counts = api::stats(&app).await?;
    let today = app.history.evicted_or_reused(midnight()).await?;
    let (account, theme) = devices::who(&app, &session).await?;
    let frame = view::Frame { account: &account, theme, notice: done.map(Notice::Done) };
    Ok(html(view::admin(frame, &counts, &today, asked.as_deref(), found.as_ref())).into_response())
}

async fn find(app: &App, name: &str) -> Result<Option<view::Found>, Problem> {
    let Some(account) = app.accounts.by_name(&name.trim().to_ascii_lowercase()).await? else { return Ok(None) };
    let sessions = app.sessions.devices(&account.id).await?;
    let history = app.history.of(&account.id).await?;
    Ok(Some(view::Found { account, sessions, history }))
}

/// Today's first moment, UTC.
fn midnight() -> SystemTime {
    let day = 86_400;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    SystemTime::UNIX_EPOCH + Duration::from_secs(now / day * day)
}

pub(super) async fn end_one(
    State(app): State<App>,
    Admin(admin): Admin,
    Extension(visitor): Extension<Visitor>,
    Path((user, id)): Path<(String, String)>,
) -> Result<Redirect, Shown> {
    let account = app.accounts.by_id(&user).await?.ok_or(Problem::NotFound)?;
    // Only an id may come here, and the path can hold any text.
    if app.sessions.devices(&user).await?.iter().any(|session| session.id == id) {
        let ended = app.sessions.logout_session(&user, &id).await?;
        audit::administered("Session ended by an administrator", &admin.id, &user, u64::from(ended), &visitor);
    }
    Ok(back_to(&account))
}

pub(super) async fn end_all(
    State(app): State<App>,
    Admin(admin): Admin,
    Extension(visitor): Extension<Visitor>,
    Path(user): Path<String>,
) -> Result<Redirect, Shown> {
    let account = app.accounts.by_id(&user).await?.ok_or(Problem::NotFound)?;
    let ended = app.sessions.logout_everywhere(&user).await?;
    audit::administered("All sessions ended by an administrator", &admin.id, &user, ended, &visitor);
    Ok(back_to(&account))
}

/// A name has no characters that mean something in an address, but for the plus sign.
fn back_to(account: &Account) -> Redirect {
    Redirect::to(&format!("/admin?user={}&done=sessions-ended", account.name.replace('+', "%2B")))
}
