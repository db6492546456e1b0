//! Signing up, in and out, by forms.

use axum::Form;
use axum::extract::{Extension, State};
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use redis_session_store::Visitor;
use redis_session_web::Session;
use serde::Deserialize;

use super::{Done, Notice, Person, Shown, devices, html, page, view};
use crate::api;
use crate::app::App;
use crate::problem::Problem;
use crate::sign_in::{self as signing_in, Credentials};

#[derive(Deserialize)]
pub(super) struct SignInForm {
    #[serde(flatten)]
    credentials: Credentials,
    /// A checkbox: there if it was ticked.
    remember: Option<String>,
}

pub(super) async fn sign_in(
    State(app): State<App>,
    before: Option<Session>,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<SignInForm>,
) -> Response {
    let name = form.credentials.name.clone();
    let remember = form.remember.is_some();
    match api::begin(&app, before.as_ref(), &visitor, form.credentials, remember).await {
        Ok(begun) => ([(SET_COOKIE, begun.header)], Redirect::to("/")).into_response(),
        Err(problem) => page(problem.status(), view::sign_in(Some(Notice::Problem(problem.text())), &name), &problem),
    }
}

pub(super) async fn sign_up_form() -> Response {
    html(view::sign_up(None, "")).into_response()
}

/// Makes an account, and signs in to it.
pub(super) async fn sign_up(
    State(app): State<App>,
    before: Option<Session>,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<Credentials>,
) -> Response {
    let name = form.name.clone();
    match register(&app, before.as_ref(), &visitor, form).await {
        Ok(begun) => ([(SET_COOKIE, begun.header)], Done::Registered.redirect()).into_response(),
        Err(problem) => page(problem.status(), view::sign_up(Some(Notice::Problem(problem.text())), &name), &problem),
    }
}

async fn register(
    app: &App,
    before: Option<&Session>,
    visitor: &Visitor,
    form: Credentials,
) -> Result<api::Begun, Problem> {
    let account = signing_in::register(app, visitor, form).await?;
    let created = signing_in::begin(&app.sessions, &account, visitor, false).await?;
    api::hand_out(app, before, visitor, &account, &created, false).await
}

pub(super) async fn sign_out(
    State(app): State<App>,
    session: Option<Session>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Shown> {
    api::end_here(&app, session.as_ref(), &visitor).await?;
    Ok((api::signed_out(&app), Done::SignedOut.redirect()).into_response())
}

pub(super) async fn confirm_everywhere(_: Person) -> Response {
    html(view::confirm_everywhere()).into_response()
}

pub(super) async fn sign_out_everywhere(
    State(app): State<App>,
    Person(session): Person,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Shown> {
    api::end_everywhere(&app, &session, &visitor).await?;
    Ok((api::signed_out(&app), Done::SignedOutEverywhere.redirect()).into_response())
}

#[derive(Deserialize)]
pub(super) struct PasswordForm {
    current: String,
    new: String,
}

pub(super) async fn change_password(
    State(app): State<App>,
    Person(session): Person,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<PasswordForm>,
) -> Result<Response, Shown> {
    match signing_in::change_password(&app, &session, &visitor, form.current, form.new).await {
        Ok((created, _)) => {
            let cookie = api::renewed_cookie(&app, &session.user, &created).await?;
            Ok(([(SET_COOKIE, cookie)], Done::PasswordChanged.redirect()).into_response())
        }
        Err(problem @ (Problem::Invalid(_) | Problem::WrongPassword | Problem::TooManyAttempts { .. })) => {
            let text = match problem {
                Problem::WrongPassword => "That is not your current password.",
                _ => problem.text(),
            };
            let markup = devices::markup(&app, &session, Some(Notice::Problem(text))).await?;
            Ok(page(problem.status(), markup, &problem))
        }
        Err(problem) => Err(Shown(problem)),
    }
}

pub(super) async fn second_factor_form(_: Person) -> Response {
    html(view::second_factor(None)).into_response()
}

#[derive(Deserialize)]
pub(super) struct CodeForm {
    code: String,
}

/// Raises the session to a second factor, on the way to the pages that need one.
pub(super) async fn second_factor(
    State(app): State<App>,
    Person(session): Person,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<CodeForm>,
) -> Result<Response, Shown> {
    match signing_in::step_up(&app, &session, &visitor, &form.code).await {
        Ok(created) => {
            let cookie = api::renewed_cookie(&app, &session.user, &created).await?;
            Ok(([(SET_COOKIE, cookie)], Redirect::to("/admin")).into_response())
        }
        Err(problem @ (Problem::WrongCode | Problem::TooManyAttempts { .. })) => {
            Ok(page(problem.status(), view::second_factor(Some(Notice::Problem(problem.text()))), &problem))
        }
        Err(problem) => Err(Shown(problem)),
    }
}
