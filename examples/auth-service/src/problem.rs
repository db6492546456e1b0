//! What can go wrong, as an answer: a status and a sentence.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use redis_session::redis::RedisError;
use redis_session_store::StoreError;

use crate::accounts::AccountsError;
use crate::passwords::PasswordsError;

#[derive(Debug)]
pub(crate) enum Problem {
    /// What was sent cannot be: 422.
    Invalid(&'static str),
    /// The same for a name that nobody has: 401.
    WrongPassword,
    /// The session is over: 401.
    SignedOut,
    TooManyAttempts {
        wait: Duration,
    },
    NameTaken,
    Forbidden,
    NotFound,
    /// Redis is away.
    Unavailable,
    Internal,
}

impl Problem {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::WrongPassword | Self::SignedOut => StatusCode::UNAUTHORIZED,
            Self::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NameTaken => StatusCode::CONFLICT,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Self::Invalid(text) => text,
            Self::WrongPassword => "The name or the password is wrong.",
            Self::SignedOut => "You are signed out. Please sign in again.",
            Self::TooManyAttempts { .. } => "There were too many attempts. Please try again later.",
            Self::NameTaken => "This name is taken. Please choose another.",
            Self::Forbidden => "This is not for you.",
            Self::NotFound => "There is no such thing.",
            Self::Unavailable => "Signing in does not work at the moment. Please try again soon.",
            Self::Internal => "Something went wrong here. Please try again.",
        }
    }

    /// How long to wait before it is tried again, in whole seconds.
    pub(crate) fn retry_after(&self) -> Option<HeaderValue> {
        match self {
            Self::TooManyAttempts { wait } => Some(wait.as_secs().saturating_add(1).into()),
            Self::Unavailable => Some(1_u64.into()),
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(serde_json::json!({ "error": self.text() }));
        let mut response = (self.status(), body).into_response();
        if let Some(wait) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, wait);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(_) | StoreError::NoSession => Self::SignedOut,
            error @ (StoreError::Unavailable(_) | StoreError::ModuleMissing) => {
                tracing::error!(%error, "sessions cannot be asked for");
                Self::Unavailable
            }
            error => {
                tracing::error!(%error, "sessions");
                Self::Internal
            }
        }
    }
}

impl From<RedisError> for Problem {
    fn from(error: RedisError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<AccountsError> for Problem {
    fn from(error: AccountsError) -> Self {
        if let AccountsError::NameTaken = error {
            return Self::NameTaken;
        }
        tracing::error!(%error, "SQLite");
        Self::Internal
    }
}

impl From<PasswordsError> for Problem {
    fn from(error: PasswordsError) -> Self {
        tracing::error!(%error, "argon2");
        Self::Internal
    }
}
