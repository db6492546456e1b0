//! "History": where a user signed in, and how that ended.

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::{Person, Shown, devices, html, view};
use crate::app::App;

pub(super) async fn history(State(app): State<App>, Person(session): Person) -> Result<Response, Shown> {
    let (account, theme) = devices::who(&app, &session).await?;
    let entries = app.history.of(&session.user).await?;
    let frame = view::Frame { account: &account, theme, notice: None };
    Ok(html(view::history(frame, &entries)).into_response())
}
