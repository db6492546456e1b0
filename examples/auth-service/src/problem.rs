//! Errors, as answers: a status and a sentence.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use redis_session::InactiveReason;
use redis_session::redis::RedisError;
use redis_session_store::StoreError;

use crate::accounts::AccountsError;
use crate::database::DatabaseError;
use crate::passwords::PasswordsError;
use crate::reasons;
use crate::second_factor::SecondFactorError;

#[derive(Debug)]
pub(crate) enum Problem {
    /// The request does not make sense: 422.
    Invalid(&'static str),
    /// Also for a name that nobody has: 401.
    WrongPassword,
    /// The code of the authenticator app: 401.
    WrongCode,
    /// Nobody is signed in: 401.
    SignedOut,
    /// The session is over: 401, and why.
    Ended(InactiveReason),
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
            Self::WrongPassword | Self::WrongCode | Self::SignedOut | Self::Ended(_) => StatusCode::UNAUTHORIZED,
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
            Self::WrongCode => "That code is wrong, or was used before. Please wait for the next one.",
            Self::SignedOut => "You are signed out. Please sign in again.",
            Self::Ended(reason) => reasons::for_people(reason),
            Self::TooManyAttempts { .. } => "There were too many attempts. Please try again later.",
            Self::NameTaken => "This name is taken. Please choose another.",
            Self::Forbidden => "You are not allowed to do this.",
            Self::NotFound => "There is nothing here.",
            Self::Unavailable => "Signing in does not work at the moment. Please try again soon.",
            Self::Internal => "Something went wrong. Please try again.",
        }
    }

    /// How long to wait before the next try, in whole seconds.
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
            StoreError::Refused(inactive) => Self::Ended(inactive.reason),
            StoreError::NoSession => Self::SignedOut,
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

impl From<DatabaseError> for Problem {
    fn from(error: DatabaseError) -> Self {
        AccountsError::from(error).into()
    }
}

impl From<SecondFactorError> for Problem {
    fn from(error: SecondFactorError) -> Self {
        tracing::error!(%error);
        Self::Internal
    }
}

impl From<PasswordsError> for Problem {
    fn from(error: PasswordsError) -> Self {
        tracing::error!(%error, "argon2");
        Self::Internal
    }
}
