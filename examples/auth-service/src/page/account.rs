//! Signing up, in and out, by forms.

use axum::Form;
use axum::extract::{Extension, State};
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use redis_session_store::Visitor;
use redis_session_web::Session;
use serde::Deserialize;

use super::{Done, Notice, Shown, devices, html, page, view};
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

pub(super) async fn sign_up(
    State(app): State<App>,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<Credentials>,
) -> Response {
    let name = form.name.clone();
    match signing_in::register(&app, &visitor, form).await {
        Ok(_) => Done::Registered.redirect().into_response(),
        Err(problem) => page(problem.status(), view::sign_up(Some(Notice::Problem(problem.text())), &name), &problem),
    }
}

pub(super) async fn sign_out(
    State(app): State<App>,
    session: Option<Session>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Shown> {
    api::end_here(&app, session.as_ref(), &visitor).await?;
    Ok((api::signed_out(&app), Done::SignedOut.redirect()).into_response())
}

pub(super) async fn sign_out_everywhere(
    State(app): State<App>,
    session: Session,
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
    session: Session,
    Extension(visitor): Extension<Visitor>,
    Form(form): Form<PasswordForm>,
) -> Result<Response, Shown> {
    match signing_in::change_password(&app, &session, &visitor, form.current, form.new).await {
        Ok(_) => Ok(Done::PasswordChanged.redirect().into_response()),
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
