//! "Your devices": where somebody is signed in, and buttons to end that.

use axum::Form;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;
use redis_session_store::Visitor;
use redis_session_web::{Rejection, Session};
use serde::Deserialize;

use super::{Done, Notice, Shown, html, view};
use crate::api::{self, Preferences};
use crate::app::App;
use crate::audit;
use crate::problem::Problem;

#[derive(Deserialize)]
pub(super) struct Asked {
    done: Option<Done>,
}

/// The devices of who is signed in, and the form to sign in for everybody else.
pub(super) async fn home(
    State(app): State<App>,
    session: Result<Session, Rejection>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Shown> {
    let done = asked.ok().and_then(|Query(asked)| asked.done).map(Notice::Done);
    match session {
        Ok(session) => Ok(html(markup(&app, &session, done).await?).into_response()),
        Err(Rejection::Missing) => Ok(html(view::sign_in(done, "")).into_response()),
        // A session that ended elsewhere, or with time. The cookie is worth nothing any more.
        Err(Rejection::Refused(_)) => {
            let notice = Notice::Problem(Problem::SignedOut.text());
            Ok(([(SET_COOKIE, app.cookie.clear())], html(view::sign_in(Some(notice), ""))).into_response())
        }
        Err(rejection) => Ok(rejection.into_response()),
    }
}

pub(super) async fn markup(app: &App, session: &Session, notice: Option<Notice>) -> Result<Markup, Problem> {
    let account = app.accounts.by_id(&session.user).await?.ok_or(Problem::SignedOut)?;
    let preferences: Preferences = app.sessions.data(&session.user, &session.id).await?.unwrap_or_default();
    let list = list(app, session).await?;
    Ok(view::devices(&account.name, preferences.theme, notice, &list))
}

/// The list alone, for a page that is open.
pub(super) async fn live(State(app): State<App>, session: Session) -> Result<Response, Problem> {
    Ok(html(list(&app, &session).await?).into_response())
}

/// This device first, then the others as they were last seen.
async fn list(app: &App, session: &Session) -> Result<Markup, Problem> {
    let mut devices = app.sessions.devices(&session.user).await?;
    devices.sort_by_key(|device| (device.id != session.id, std::cmp::Reverse(device.last_seen_at)));
    Ok(view::list(&devices, &session.id))
}

pub(super) async fn sign_out_one(
    State(app): State<App>,
    session: Session,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Redirect, Shown> {
    match api::end_one(&app, &session, &visitor, &id).await {
        // It may have ended meanwhile.
        Ok(()) | Err(Problem::NotFound) => Ok(Done::DeviceSignedOut.redirect()),
        Err(problem) => Err(Shown(problem)),
    }
}

pub(super) async fn sign_out_others(
    State(app): State<App>,
    session: Session,
    Extension(visitor): Extension<Visitor>,
) -> Result<Redirect, Shown> {
    let ended = app.sessions.logout_others(&session.user, session.token()).await?;
    audit::done("Signed out all other devices", &session.user, &session.id, ended, &visitor);
    Ok(Done::OthersSignedOut.redirect())
}

pub(super) async fn theme(
    State(app): State<App>,
    session: Session,
    Form(preferences): Form<Preferences>,
) -> Result<Redirect, Shown> {
    app.sessions.set_data(&session.user, &session.id, &preferences).await?;
    Ok(Done::ThemeChanged.redirect())
}
