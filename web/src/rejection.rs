//! What a request is answered where there is no session to go on with.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use redis_session_store::StoreError;

/// Why there is no session. As an answer it is a status and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The request brought no token: 401.
    Missing,
    /// The request brought one that is not good: 401.
    Refused,
    /// Another site made the browser send the request: 403. See [`SessionLayer::cookie`](crate::SessionLayer::cookie).
    Foreign,
    /// The user has as many sessions as the policy allows, and it says to refuse more: 409.
    Limit,
    /// Sessions cannot be checked at the moment: 503.
    Unavailable,
    /// A mistake in the application, which the log names: 500. A route has no [`SessionLayer`](crate::SessionLayer), or
    /// Redis refused a command.
    Mistake,
}

impl Rejection {
    /// The status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Missing | Self::Refused => StatusCode::UNAUTHORIZED,
            Self::Foreign => StatusCode::FORBIDDEN,
            Self::Limit => StatusCode::CONFLICT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Mistake => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer.
    #[must_use]
    pub fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // RFC 6750 section 3: no error code unless there was a token.
        let challenge = match self {
            Self::Missing => Some("Bearer"),
            Self::Refused => Some("Bearer error=\"invalid_token\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self == Self::Unavailable {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// What is the matter goes to the log.
impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(inactive) => {
                tracing::info!(reason = %inactive.reason, "a credential was refused");
                Self::Refused
            }
            StoreError::Limit => Self::Limit,
            StoreError::NoSession => Self::Refused,
            error @ (StoreError::Unavailable(_) | StoreError::ModuleMissing) => {
                tracing::error!(%error, "sessions cannot be asked for");
                Self::Unavailable
            }
            error => {
                tracing::error!(%error, "sessions");
                Self::Mistake
            }
        }
    }
}
