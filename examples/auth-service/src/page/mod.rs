//! The pages for people. Every button is a form, so all works without a script; `live.js` keeps the list up to date.

mod account;
mod admin;
mod device_name;
mod devices;
mod files;
mod history;
mod view;
mod when;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::Markup;
use redis_session_web::{Rejection, Session};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::problem::Problem;

pub(crate) use files::files;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(devices::home))
        .route("/sign-in", post(account::sign_in))
        .route("/sign-up", get(account::sign_up_form).post(account::sign_up))
        .route("/sign-out", post(account::sign_out))
        .route("/sign-out-everywhere", get(account::confirm_everywhere).post(account::sign_out_everywhere))
        .route("/change-password", post(account::change_password))
        .route(SECOND_FACTOR, get(account::second_factor_form).post(account::second_factor))
        .route("/your-history", get(history::history))
        .route("/theme", post(devices::theme))
        .route("/sign-out-others", post(devices::sign_out_others))
        .route("/devices/{id}/sign-out", post(devices::sign_out_one))
}

/// Where administrators show their second factor.
pub(crate) const SECOND_FACTOR: &str = "/confirm";

/// The pages that need a second factor.
pub(crate) fn admin_routes() -> Router<App> {
    Router::new()
        .route("/admin", get(admin::home))
        .route("/admin/users/{user}/end", post(admin::end_all))
        .route("/admin/users/{user}/sessions/{id}/end", post(admin::end_one))
}

/// The requests that the page makes by itself.
pub(crate) fn live_routes() -> Router<App> {
    Router::new().route("/devices", get(devices::live))
}

/// What was done, for the page that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Done {
    Registered,
    SignedOut,
    SignedOutEverywhere,
    DeviceSignedOut,
    OthersSignedOut,
    PasswordChanged,
    ThemeChanged,
    SessionsEnded,
}

impl Done {
    /// As it stands in the address: the same as for serde.
    fn in_path(self) -> &'static str {
        match self {
            Self::Registered => "/?done=registered",
            Self::SignedOut => "/?done=signed-out",
            Self::SignedOutEverywhere => "/?done=signed-out-everywhere",
            Self::DeviceSignedOut => "/?done=device-signed-out",
            Self::OthersSignedOut => "/?done=others-signed-out",
            Self::PasswordChanged => "/?done=password-changed",
            Self::ThemeChanged => "/?done=theme-changed",
            Self::SessionsEnded => "/?done=sessions-ended",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Registered => "Your account is ready, and you are signed in.",
            Self::SignedOut => "You have signed out.",
            Self::SignedOutEverywhere => "You have signed out on all devices.",
            Self::DeviceSignedOut => "That device has been signed out.",
            Self::OthersSignedOut => "All other devices have been signed out.",
            Self::PasswordChanged => "Your password has been changed. All other devices have been signed out.",
            Self::ThemeChanged => "Saved.",
            Self::SessionsEnded => "The sessions have been ended.",
        }
    }

    /// To the page, by a `GET`, so that reloading it does nothing again.
    fn redirect(self) -> Redirect {
        Redirect::to(self.in_path())
    }
}

/// The sentence at the head of a page.
enum Notice {
    Done(Done),
    Problem(&'static str),
}

/// The session of a user who looks at a page. Everybody else gets the form to sign in, and the reason.
struct Person(Session);

impl<S: Send + Sync> FromRequestParts<S> for Person {
    type Rejection = Shown;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Shown> {
        Session::of(&parts.extensions).map(Self).map_err(|rejection| {
            Shown(match rejection {
                Rejection::Missing => Problem::SignedOut,
                Rejection::Refused(refusal) => Problem::Ended(refusal.reason),
                Rejection::Unavailable => Problem::Unavailable,
                _ => Problem::Internal,
            })
        })
    }
}

/// A problem, as a page.
struct Shown(Problem);

impl<E> From<E> for Shown
where
    Problem: From<E>,
{
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let markup = match problem {
            Problem::SignedOut | Problem::Ended(_) => view::sign_in(Some(Notice::Problem(problem.text())), ""),
            _ => view::problem(problem.text()),
        };
        page(problem.status(), markup, &problem)
    }
}

/// Every other address.
pub(crate) async fn not_found(headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match accepts.contains("text/html") {
        true => (StatusCode::NOT_FOUND, html(view::not_found())).into_response(),
        false => Problem::NotFound.into_response(),
    }
}

fn page(status: StatusCode, markup: Markup, problem: &Problem) -> Response {
    let mut response = (status, html(markup)).into_response();
    if let Some(wait) = problem.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

fn html(markup: Markup) -> ([(header::HeaderName, HeaderValue); 1], String) {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))], markup.into_string())
}

/// Replaces the session layer's answers for programs with pages.
pub(crate) async fn for_people(response: Response) -> Response {
    let is_page = |kind: &HeaderValue| kind.as_bytes().starts_with(b"text/html");
    let is_for_people = response.headers().get(header::CONTENT_TYPE).is_some_and(is_page);
    let markup = match response.status() {
        StatusCode::UNAUTHORIZED => view::sign_in(Some(Notice::Problem(Problem::SignedOut.text())), ""),
        StatusCode::FORBIDDEN => view::problem("Another site asked for this. Nothing has been done."),
        StatusCode::SERVICE_UNAVAILABLE => view::problem(Problem::Unavailable.text()),
        _ => return response,
    };
    if is_for_people {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    (parts, html(markup)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_in_the_address() {
        use Done::{
            DeviceSignedOut, OthersSignedOut, PasswordChanged, Registered, SessionsEnded, SignedOut,
            SignedOutEverywhere, ThemeChanged,
        };
        for done in [
            Registered,
            SignedOut,
            SignedOutEverywhere,
            DeviceSignedOut,
            OthersSignedOut,
            PasswordChanged,
            ThemeChanged,
            SessionsEnded,
        ] {
            let name = serde_json::to_value(done).unwrap();
            assert_eq!(done.in_path(), format!("/?done={}", name.as_str().unwrap()));
        }
    }
}
