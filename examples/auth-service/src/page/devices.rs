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

use super::{Done, Notice, Person, Shown, html, view};
use crate::accounts::Account;
use crate::api::{self, Changes, Kept, Theme};
use crate::app::App;
use crate::audit;
use crate::problem::Problem;
use crate::reasons;

#[derive(Deserialize)]
pub(super) struct Asked {
    done: Option<Done>,
}

/// A user's devices, or the form to sign in.
pub(super) async fn home(
    State(app): State<App>,
    session: Result<Session, Rejection>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Shown> {
    let done = asked.ok().and_then(|Query(asked)| asked.done).map(Notice::Done);
    match session {
        Ok(session) => Ok(html(markup(&app, &session, done).await?).into_response()),
        Err(Rejection::Missing) => Ok(html(view::sign_in(done, "")).into_response()),
        // A session that has ended. Its cookie is of no use any more.
        Err(Rejection::Refused(refusal)) => {
            let notice = Notice::Problem(reasons::for_people(&refusal.reason));
            Ok(([(SET_COOKIE, app.cookie.clear())], html(view::sign_in(Some(notice), ""))).into_response())
        }
        Err(rejection) => Ok(rejection.into_response()),
    }
}

pub(super) async fn markup(app: &App, session: &Session, notice: Option<Notice>) -> Result<Markup, Problem> {
    let (account, theme) = who(app, session).await?;
    let list = list(app, session).await?;
    Ok(view::devices(view::Frame { account: &account, theme, notice }, &list))
}

/// The user of a session, and how this device shows the pages.
pub(super) async fn who(app: &App, session: &Session) -> Result<(Account, Theme), Problem> {
    let account = app.accounts.by_id(&session.user).await?.ok_or(Problem::SignedOut)?;
    let kept: Kept = app.sessions.data(&session.user, &session.id).await?.unwrap_or_default();
    Ok((account, kept.theme))
}

/// The list alone, for a page that is open.
pub(super) async fn live(State(app): State<App>, session: Session) -> Result<Response, Problem> {
    Ok(html(list(&app, &session).await?).into_response())
}

/// This device first, then the others, the one that was seen last before the rest.
async fn list(app: &App, session: &Session) -> Result<Markup, Problem> {
    let mut devices = app.sessions.devices(&session.user).await?;
    devices.sort_by_key(|device| (device.id != session.id, std::cmp::Reverse(device.last_seen_at)));
    Ok(view::list(&devices, &session.id))
}

pub(super) async fn sign_out_one(
    State(app): State<App>,
    Person(session): Person,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Redirect, Shown> {
    match api::end_one(&app, &session, &visitor, &id).await {
        // Or it has ended in the meantime.
        Ok(()) | Err(Problem::NotFound) => Ok(Done::DeviceSignedOut.redirect()),
        Err(problem) => Err(Shown(problem)),
    }
}

pub(super) async fn sign_out_others(
    State(app): State<App>,
    Person(session): Person,
    Extension(visitor): Extension<Visitor>,
) -> Result<Redirect, Shown> {
    let ended = app.sessions.logout_others(&session.user, session.token()).await?;
    audit::done("Signed out all other devices", &session.user, &session.id, ended, &visitor);
    Ok(Done::OthersSignedOut.redirect())
}

pub(super) async fn theme(
    State(app): State<App>,
    Person(session): Person,
    Form(changes): Form<Changes>,
) -> Result<Redirect, Shown> {
    app.sessions.set_data(&session.user, &session.id, &changes).await?;
    Ok(Done::ThemeChanged.redirect())
}
