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

pub(crate) use account::{Begun, begin, end_everywhere, end_here, hand_out, renewed_cookie, signed_out};
pub(crate) use admin::{Admin, stats};
pub(crate) use session::{Changes, Kept, Theme, end_one};

/// Those that need to know whose session a request belongs to.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/register", post(account::register))
        .route("/login", post(account::login))
        .route("/logout", post(account::logout))
        .route("/logout-all", post(account::logout_all))
        .route("/password", post(account::password))
        .route("/me", get(account::me))
        .route("/token", post(token::token))
        .route("/session", patch(session::change))
        .route("/sessions", get(session::list))
        .route("/sessions/{id}", delete(session::end))
        .route("/history", get(session::history))
        .route("/second-factor", post(account::second_factor))
}

/// Those that need a second factor.
pub(crate) fn admin_routes() -> Router<App> {
    Router::new().route("/admin/sessions", get(admin::sessions))
}

/// Those for which sessions do not matter.
pub(crate) fn open_routes() -> Router<App> {
    Router::new().route("/health", get(health::health)).route("/.well-known/jwks.json", get(keys::keys))
}
