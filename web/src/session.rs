//! The session of a request.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Extensions;
use redis_session_store::Authenticated;
use serde_json::Value;

use crate::rejection::Rejection;

/// The session of the request, which a [`SessionLayer`](crate::SessionLayer) has checked and put into the request's
/// extensions. It has the fields of [`Authenticated`]: `user`, `id` and so on.
///
/// With axum it is an argument of a handler (feature `axum`). A handler with this argument does not run without a
/// session. One with an `Option<Session>` does, unless Redis is away. In other frameworks, [`Session::of`] gets it from
/// the extensions.
#[derive(Clone)]
pub struct Session {
    found: Arc<Authenticated>,
    token: Arc<str>,
}

impl Session {
    pub(crate) fn new(found: Arc<Authenticated>, token: String) -> Self {
        Self { found, token: token.into() }
    }

    /// Puts the result of a layer into a request's extensions. It replaces that of an outer layer.
    pub(crate) fn put(checked: Result<Self, Rejection>, extensions: &mut Extensions) {
        extensions.remove::<Self>();
        extensions.remove::<Rejection>();
        match checked {
            Ok(session) => _ = extensions.insert(session),
            Err(rejection) => _ = extensions.insert(rejection),
        }
    }

    /// The session that the layer put into these extensions.
    ///
    /// # Errors
    /// The answer to a request without a session: see [`Rejection`].
    pub fn of(extensions: &Extensions) -> Result<Self, Rejection> {
        Self::found(extensions.get(), extensions.get())
    }

    pub(crate) fn found(session: Option<&Self>, rejection: Option<&Rejection>) -> Result<Self, Rejection> {
        match (session, rejection) {
            (Some(session), _) => Ok(session.clone()),
            (None, Some(rejection)) => Err(rejection.clone()),
            (None, None) => {
                tracing::error!("a session is asked for where there is no SessionLayer");
                Err(Rejection::Mistake)
            }
        }
    }

    /// The same for a route that needs no session: `None` without one.
    ///
    /// # Errors
    /// If Redis is away, or if the route has no layer.
    pub fn optional_of(extensions: &Extensions) -> Result<Option<Self>, Rejection> {
        match Self::of(extensions) {
            Ok(session) => Ok(Some(session)),
            Err(Rejection::Missing | Rejection::Refused(_)) => Ok(None),
            Err(rejection) => Err(rejection),
        }
    }

    /// The request's token, for a logout. It is a secret.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A claim of the session, from [`Login::claims`](redis_session_store::Login::claims), or of its verified JWT. An
    /// opaque token contains no claims: the session's are known if the store's policy asks for
    /// [details](redis_session_store::Policy::details).
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<Value> {
        let claims = match self.details.as_ref().and_then(|details| details.claims.as_deref()) {
            Some(claims) => claims.as_bytes().to_vec(),
            None => URL_SAFE_NO_PAD.decode(payload_of_jwt(self.token())?).ok()?,
        };
        serde_json::from_slice::<Value>(&claims).ok()?.get_mut(name).map(Value::take)
    }

    /// The level of the user's sign-in, 1 to 3, if the login gave one and the store's policy asks for
    /// [details](redis_session_store::Policy::details). A [layer that requires a
    /// level](crate::SessionLayer::require_level) needs no details.
    #[must_use]
    pub fn level(&self) -> Option<u8> {
        self.details.as_ref()?.level
    }

    /// Whether a claim has this value, or is an array with it.
    #[must_use]
    pub fn has_claim(&self, name: &str, value: &Value) -> bool {
        match self.claim(name) {
            Some(Value::Array(values)) => values.contains(value),
            claim => claim.as_ref() == Some(value),
        }
    }
}

/// The second of a JWT's three parts (RFC 7515 section 7.1). An opaque token has four, and its second part is the user,
/// whose name may be any text.
fn payload_of_jwt(token: &str) -> Option<&str> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(payload)
}

impl Deref for Session {
    type Target = Authenticated;

    fn deref(&self) -> &Authenticated {
        &self.found
    }
}

/// Leaves the token out.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
