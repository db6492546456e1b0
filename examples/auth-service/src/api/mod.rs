//! The routes for programs: JSON in, JSON out.

mod account;
mod admin;
mod health;
mod keys;
mod session;
mod token;

use axum::Router;
use axum::routing::{delete, get, patch, post};

use crate::app::App;

pub(crate) use account::{begin, end_everywhere, end_here, signed_out};
pub(crate) use session::{Preferences, Theme, end_one};

/// Those behind the session layer.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/register", post(account::register))
        .route("/login", post(account::login))
        .route("/logout", post(account::logout))
        .route("/logout-all", post(account::logout_all))
        .route("/password", post(account::password))
        .route("/me", get(account::me))
        .route("/token", post(token::token))
        .route("/refresh", post(token::refresh))
        .route("/session", patch(session::change))
        .route("/sessions", get(session::list))
        .route("/sessions/{id}", delete(session::end))
        .route("/admin/sessions", get(admin::sessions))
}

/// Those that ask for nobody's session.
pub(crate) fn open_routes() -> Router<App> {
    Router::new().route("/health", get(health::health)).route("/.well-known/jwks.json", get(keys::keys))
}
