//! What handlers take, and what they answer where there is nothing to take.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use ::axum::extract::{FromRequestParts, OptionalFromRequestParts};
use ::axum::http::request::Parts;
use ::axum::http::{HeaderValue, StatusCode, header};
use ::axum::response::{IntoResponse, Response};

use crate::store::{Authenticated, StoreError, Visitor};

/// The session of the request, which a [`SessionLayer`](super::SessionLayer) has checked: an argument of a handler.
///
/// A handler that takes one is not run without. One that takes an `Option<Session>` is, unless Redis is away. It has the
/// fields of [`Authenticated`].
#[derive(Clone)]
pub struct Session(Arc<(Authenticated, String)>);

impl Session {
    pub(super) fn new(session: Authenticated, token: String) -> Self {
        Self(Arc::new((session, token)))
    }

    /// The token that the request brought, for a logout. It is a secret.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.0.1
    }
}

impl Deref for Session {
    type Target = Authenticated;

    fn deref(&self) -> &Authenticated {
        &self.0.0
    }
}

/// Leaves the token out.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// What a layer found out about a request.
#[derive(Clone)]
pub(super) struct Checked(pub(super) Result<Session, Rejection>);

/// Why there is no session. As an answer it is a status and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The request brought no token: 401.
    Missing,
    /// The request brought one that is not good: 401.
    Refused,
    /// Another site made the browser send the request: 403. See [`SessionLayer::cookie`](super::SessionLayer::cookie).
    Foreign,
    /// Sessions cannot be checked at the moment: 503.
    Unavailable,
    /// The route has no [`SessionLayer`](super::SessionLayer): a mistake in the application, 500.
    NoLayer,
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // RFC 6750 section 3: no error code unless there was a token.
        let challenge = |text| (header::WWW_AUTHENTICATE, HeaderValue::from_static(text));
        match self {
            Self::Missing => (StatusCode::UNAUTHORIZED, [challenge("Bearer"), no_store]).into_response(),
            Self::Refused => {
                (StatusCode::UNAUTHORIZED, [challenge("Bearer error=\"invalid_token\""), no_store]).into_response()
            }
            Self::Foreign => (StatusCode::FORBIDDEN, [no_store]).into_response(),
            Self::Unavailable => {
                let retry = (header::RETRY_AFTER, HeaderValue::from_static("1"));
                (StatusCode::SERVICE_UNAVAILABLE, [retry, no_store]).into_response()
            }
            Self::NoLayer => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

fn checked(parts: &Parts) -> Result<Session, Rejection> {
    match parts.extensions.get::<Checked>() {
        Some(Checked(checked)) => checked.clone(),
        None => {
            tracing::error!("a handler takes a session where there is no SessionLayer");
            Err(Rejection::NoLayer)
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        checked(parts)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Rejection> {
        match checked(parts) {
            Ok(session) => Ok(Some(session)),
            Err(Rejection::Missing | Rejection::Refused) => Ok(None),
            Err(rejection) => Err(rejection),
        }
    }
}

/// Where the request comes from, as the [`SessionLayer`](super::SessionLayer) was told to see it: for a login.
impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        parts.extensions.get().cloned().ok_or(Rejection::NoLayer)
    }
}

/// A status and no more; what is the matter goes to the log.
impl IntoResponse for StoreError {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(inactive) => {
                tracing::info!(reason = %inactive.reason, "a credential was refused");
                Rejection::Refused.into_response()
            }
            Self::Limit => StatusCode::CONFLICT.into_response(),
            Self::NoSession => Rejection::Refused.into_response(),
            Self::Unavailable(error) => {
                tracing::error!(%error, "sessions cannot be asked for");
                Rejection::Unavailable.into_response()
            }
            error => {
                tracing::error!(%error, "sessions");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
