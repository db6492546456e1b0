//! The answers to requests without a sufficient session.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use redis_session_store::StoreError;
use redis_session_store::redis_session::{InactiveReason, Reason};

/// Why there is no session. As an answer it is a status and a JSON object with an `error`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The request brought no token: 401.
    Missing,
    /// The request brought a token that is not good: 401, with the reason if the token is genuine.
    Refused(Refusal),
    /// The user must sign in again, or with another factor: 401. See
    /// [`SessionLayer::require_level`](crate::SessionLayer::require_level).
    StepUp(StepUp),
    /// The session is good, but lacks a claim: 403. See
    /// [`SessionLayer::require_claim`](crate::SessionLayer::require_claim).
    Forbidden,
    /// Another site made the browser send the request: 403. See [`SessionLayer::cookie`](crate::SessionLayer::cookie).
    Foreign,
    /// The user is at the policy's limit of sessions, and the policy refuses more: 409.
    Limit,
    /// Redis is away, so no session can be checked: 503.
    Unavailable,
    /// The user must log in there first: 303. See
    /// [`SessionLayer::login_redirect`](crate::SessionLayer::login_redirect).
    Redirect(HeaderValue),
    /// A mistake in the application, which the log names: 500. A route has no [`SessionLayer`](crate::SessionLayer), or
    /// Redis refused a command.
    Mistake,
}

/// Why a token was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The reason. The answer contains it only if the token is genuine, so strangers do not learn it.
    pub reason: InactiveReason,
    /// The application's text for it: see [`SessionLayer::reason_text`](crate::SessionLayer::reason_text).
    pub text: Option<Cow<'static, str>>,
}

/// The sign-in that a request needs, if the session's own is not enough.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepUp {
    /// Why the token was refused: `level` or `stale`.
    pub refusal: Refusal,
    /// The required level, an Authenticator Assurance Level of NIST SP 800-63B, if known.
    pub level: Option<u8>,
    /// The greatest allowed age, if known.
    pub max_age: Option<Duration>,
}

impl StepUp {
    /// RFC 9470 section 3.
    fn challenge(&self) -> HeaderValue {
        let acr = self.level.map_or_else(String::new, |level| {
            format!(", acr_values=\"http://idmanagement.gov/ns/assurance/aal/{level}\"")
        });
        let age = self.max_age.map_or_else(String::new, |age| format!(", max_age=\"{}\"", age.as_secs()));
        self.refusal.challenge(STEP_UP, &format!("{acr}{age}"))
    }
}

/// The error codes of RFC 6750 and RFC 9470.
const INVALID: &str = "invalid_token";
const STEP_UP: &str = "insufficient_user_authentication";

impl<R: Into<InactiveReason>> From<R> for Refusal {
    fn from(reason: R) -> Self {
        Self { reason: reason.into(), text: None }
    }
}

impl Refusal {
    /// The reason, if the answer may contain it.
    fn told(&self) -> Option<&str> {
        self.reason.is_of_genuine_token().then(|| self.reason.as_str())
    }

    /// The text for people: the application's, or the reason's name.
    pub(crate) fn description(&self) -> Option<&str> {
        self.told().map(|reason| self.text.as_deref().unwrap_or(reason))
    }

    /// RFC 6750 section 3: `error_description` takes ASCII without quotes and backslashes.
    fn challenge(&self, error: &str, more: &str) -> HeaderValue {
        let is_allowed = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        let described = self.description().map(|text| text.chars().filter(is_allowed).collect::<String>());
        let described = described.filter(|text| !text.is_empty());
        let described = described.map_or_else(String::new, |text| format!(", error_description=\"{text}\""));
        HeaderValue::try_from(format!("Bearer error=\"{error}\"{described}{more}"))
            .unwrap_or(HeaderValue::from_static("Bearer error=\"invalid_token\""))
    }
}

impl Rejection {
    /// A token that was refused by a check with these demands on the sign-in.
    pub(crate) fn of(refusal: Refusal, level: Option<u8>, max_age: Option<Duration>) -> Self {
        match refusal.reason.known() {
            Some(Reason::Level | Reason::Stale) => Self::StepUp(StepUp { refusal, level, max_age }),
            _ => Self::Refused(refusal),
        }
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::Refused(_) | Self::StepUp(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::Foreign => StatusCode::FORBIDDEN,
            Self::Limit => StatusCode::CONFLICT,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Redirect(_) => StatusCode::SEE_OTHER,
            Self::Mistake => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The error code in the answer.
    const fn error(&self) -> &'static str {
        match self {
            Self::Missing | Self::Redirect(_) => "login_required",
            Self::Refused(_) => INVALID,
            Self::StepUp(_) => STEP_UP,
            Self::Forbidden => "insufficient_scope",
            Self::Foreign => "cross_site_request",
            Self::Limit => "too_many_sessions",
            Self::Unavailable => "temporarily_unavailable",
            Self::Mistake => "server_error",
        }
    }

    pub(crate) fn json(&self) -> String {
        match self {
            Self::Refused(refusal) | Self::StepUp(StepUp { refusal, .. }) if refusal.told().is_some() => {
                serde_json::json!({
                    "error": self.error(), "reason": refusal.told(), "error_description": refusal.description(),
                })
            }
            _ => serde_json::json!({ "error": self.error() }),
        }
        .to_string()
    }

    /// The answer.
    #[must_use]
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.json()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            // RFC 6750 section 3: no error code unless there was a token.
            Self::Missing => _ = headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Self::Refused(refusal) => _ = headers.insert(WWW_AUTHENTICATE, refusal.challenge(INVALID, "")),
            Self::StepUp(step_up) => _ = headers.insert(WWW_AUTHENTICATE, step_up.challenge()),
            Self::Forbidden => {
                let challenge = HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            Self::Unavailable => _ = headers.insert(RETRY_AFTER, HeaderValue::from_static("1")),
            Self::Redirect(location) => _ = headers.insert(LOCATION, location.clone()),
            Self::Foreign | Self::Limit | Self::Mistake => {}
        }
        response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error())
    }
}

impl std::error::Error for Rejection {}

/// The log has the cause.
impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(inactive) => {
                tracing::info!(reason = %inactive.reason, "a credential was refused");
                Self::of(inactive.reason.into(), None, None)
            }
            StoreError::Limit => Self::Limit,
            StoreError::NoSession => Self::Refused(Reason::Unknown.into()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(reason: Reason, text: Option<&'static str>) -> HeaderValue {
        Refusal { reason: reason.into(), text: text.map(Into::into) }.challenge(INVALID, "")
    }

    #[test]
    fn why_is_told_of_genuine_tokens_alone() {
        let invalid = "Bearer error=\"invalid_token\"";
        assert_eq!(challenge(Reason::Signature, None), invalid);
        assert_eq!(challenge(Reason::Signature, Some("You are out.")), invalid);
        assert_eq!(challenge(Reason::Revoked, None), format!("{invalid}, error_description=\"revoked\""));
        let odd = challenge(Reason::Evicted, Some("Too \"many\"\r\n \\ Gerätẽ"));
        assert_eq!(odd, format!("{invalid}, error_description=\"Too many  Gert\""));
        assert_eq!(challenge(Reason::Evicted, Some("é")), invalid);
    }
}
