//! The layer: takes the token from a request and checks it once.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use redis::aio::ConnectionLike;
use redis_session_store::redis_session::{Inactive, InactiveReason, Reason, unverified_user};
use redis_session_store::{Assurance, SessionStore, StoreError, Visitor};
use serde_json::Value;
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Span};

use crate::cookie::SessionCookie;
use crate::origin;
use crate::rejection::{Refusal, Rejection};
use crate::session::Session;

/// Checks the token of each request, once, and puts the session into its extensions: see [the crate](crate).
///
/// ```
/// use http::header;
/// use redis_session_store::SessionStore;
/// use redis_session_web::{SessionCookie, SessionLayer};
///
/// # fn example(sessions: SessionStore<redis::aio::MultiplexedConnection>) {
/// let layer = SessionLayer::new(sessions)
///     .cookie(SessionCookie::new("session"))
///     .device_headers([header::ACCEPT_LANGUAGE])
///     // The proxy sets this header, whatever the client sent.
///     .client_ip(|parts| parts.headers.get("x-real-ip")?.to_str().ok()?.parse().ok())
///     .on_refused(|parts, refused| {
///         let user = refused.user.as_deref().unwrap_or("nobody who is known");
///         eprintln!("{} {}: {} of {user}", parts.method, parts.uri.path(), refused.reason);
///     });
/// # }
/// ```
#[derive(Clone)]
pub struct SessionLayer<C> {
    store: SessionStore<C>,
    options: Arc<Options>,
}

type ClientIp = dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync;
type OnRefused = dyn Fn(&Parts, &Refused) + Send + Sync;
type ReasonText = dyn Fn(&InactiveReason) -> Option<Cow<'static, str>> + Send + Sync;

/// A token that was refused, for a line in the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Why.
    pub reason: InactiveReason,
    /// The user of the token; `None` if its signature is bad, because anyone may have written the name.
    pub user: Option<String>,
    /// The visitor who sent it.
    pub visitor: Visitor,
}

#[derive(Clone, Default)]
struct Options {
    cookie: Option<SessionCookie>,
    trusted_origins: Vec<HeaderValue>,
    device_headers: Vec<HeaderName>,
    client_ip: Option<Arc<ClientIp>>,
    on_refused: Option<Arc<OnRefused>>,
    reason_text: Option<Arc<ReasonText>>,
    login_page: Option<HeaderValue>,
    claims: Vec<(String, Value)>,
    required: bool,
    only_validates: bool,
}

impl<C> fmt::Debug for SessionLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("cookie", &self.options.cookie)
            .field("device_headers", &self.options.device_headers)
            .field("required", &self.options.required)
            .finish_non_exhaustive()
    }
}

impl<C> SessionLayer<C> {
    /// A layer that takes tokens from `Authorization: Bearer` and restarts the idle timeouts of their sessions.
    #[must_use]
    pub fn new(store: SessionStore<C>) -> Self {
        Self { store, options: Arc::default() }
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }

    /// Takes the token from this cookie if there is no `Authorization: Bearer`.
    ///
    /// Browsers also send cookies with requests that other sites cause. So a request that may change something (any but
    /// `GET`, `HEAD` and `OPTIONS`) gets 403 if the browser says that another site caused it, unless it has a Bearer
    /// token, which no browser adds by itself. The rule applies without a cookie too, because another site can make a
    /// browser log in. Never change anything in a `GET`.
    #[must_use]
    pub fn cookie(self, cookie: SessionCookie) -> Self {
        self.with(|options| options.cookie = Some(cookie))
    }

    /// Treats requests from pages of these origins as your own: `https://app.example`.
    #[must_use]
    pub fn trusted_origins(self, origins: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.with(|options| options.trusted_origins = origins.into_iter().collect())
    }

    /// Identifies devices by the values of these headers, and binds sessions to them: see [`Visitor::device`]. Choose
    /// headers that stay the same: a version in one logs everyone out with each update.
    #[must_use]
    pub fn device_headers(self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|options| options.device_headers = headers.into_iter().collect())
    }

    /// Sets how to find a client's address. With a proxy, read a header that the proxy sets and that clients cannot
    /// set: never trust a value from the client.
    #[must_use]
    pub fn client_ip(self, ip: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.with(|options| options.client_ip = Some(Arc::new(ip)))
    }

    /// Calls this with the reason for which a token was refused, for example to write a line in the audit log.
    #[must_use]
    pub fn on_refused(self, hook: impl Fn(&Parts, &Refused) + Send + Sync + 'static) -> Self {
        self.with(|options| options.on_refused = Some(Arc::new(hook)))
    }

    /// Sets the text for a user whose genuine token was refused, which replaces the reason's name. It becomes the
    /// answer's `error_description`. If the token is not genuine, the answer has no text.
    ///
    /// ```
    /// use redis_session_store::redis_session::Reason;
    /// # use redis_session_web::SessionLayer;
    ///
    /// # fn example(layer: SessionLayer<redis::aio::MultiplexedConnection>) {
    /// let layer = layer.reason_text(|reason| match reason.known()? {
    ///     Reason::Idle | Reason::Expired => Some("Your session has ended. Please log in."),
    ///     Reason::Evicted => Some("You have logged in on too many other devices. Please log in."),
    ///     _ => None,
    /// });
    /// # }
    /// ```
    #[must_use]
    pub fn reason_text<T: Into<Cow<'static, str>>>(
        self,
        text: impl Fn(&InactiveReason) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        self.with(|options| options.reason_text = Some(Arc::new(move |reason| text(reason).map(Into::into))))
    }

    /// Accepts only sessions with this claim and this value, or with an array that contains the value. Others get 403.
    /// [`Session::claim`] says for which sessions claims are known.
    ///
    /// ```
    /// # use redis_session_web::SessionLayer;
    /// # fn example(layer: SessionLayer<redis::aio::MultiplexedConnection>) {
    /// let for_admins = layer.require_claim("role", "admin");
    /// # }
    /// ```
    #[must_use]
    pub fn require_claim(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let claim = (name.into(), value.into());
        self.with(|options| options.claims.push(claim)).required()
    }

    /// Accepts only users who have signed in with at least this level: see [`SessionStore::require_level`]. A weaker
    /// sign-in gets 401 with the error `insufficient_user_authentication`
    /// (RFC 9470 section 3), and [`login_redirect`](Self::login_redirect) sends people to a page that asks for another
    /// factor.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use redis_session_web::SessionLayer;
    ///
    /// # fn example(layer: SessionLayer<redis::aio::MultiplexedConnection>) {
    /// let for_payments = layer.clone().require_level(2).require_sign_in_within(Duration::from_secs(900));
    /// # }
    /// ```
    #[must_use]
    pub fn require_level(mut self, level: u8) -> Self {
        self.store = self.store.require_level(level);
        self.required()
    }

    /// Accepts only users who have signed in within `age`: see [`SessionStore::require_sign_in_within`]. An earlier
    /// sign-in gets the same answer as for [`require_level`](Self::require_level).
    #[must_use]
    pub fn require_sign_in_within(mut self, age: Duration) -> Self {
        self.store = self.store.require_sign_in_within(age);
        self.required()
    }

    /// Redirects browsers without a sufficient session to this page of the application: a `GET` that accepts HTML gets
    /// 303. This makes a session [required](Self::required).
    ///
    /// # Errors
    /// If the page's address is not valid in a header.
    pub fn login_redirect(self, page: &str) -> Result<Self, http::header::InvalidHeaderValue> {
        let page = HeaderValue::try_from(page)?;
        Ok(self.with(|options| options.login_page = Some(page)).required())
    }

    /// Accepts no request without a session, even if its handler takes none.
    #[must_use]
    pub fn required(self) -> Self {
        self.with(|options| options.required = true)
    }

    /// Leaves idle timeouts alone. Use it for requests that a user does not cause, such as those of a page that
    /// refreshes itself.
    #[must_use]
    pub fn without_touching(self) -> Self {
        self.with(|options| options.only_validates = true)
    }
}

impl<C: ConnectionLike + Clone + Send + Sync> SessionLayer<C> {
    /// Checks a request, and puts the result into its extensions. An error is the answer, and the request ends here.
    pub(crate) async fn admit(&self, parts: &mut Parts) -> Result<(), Rejection> {
        let options = &self.options;
        if !options.cookie_may_serve(parts) {
            tracing::error!("the session's cookie is not secure, and this is no request to loopback");
            return Err(Rejection::Mistake);
        }
        if options.is_foreign(parts) {
            tracing::warn!(method = %parts.method, "a request that another site made was refused");
            return Err(Rejection::Foreign);
        }
        let visitor = options.visitor(parts);
        let span = tracing::debug_span!("session", outcome = Empty);
        match options.check(&self.store, parts, &visitor, &span).instrument(span.clone()).await {
            Ok(session) if !options.claims.iter().all(|(name, value)| session.has_claim(name, value)) => {
                return Err(Rejection::Forbidden);
            }
            Err(rejection) if options.required => return Err(options.redirect(parts, &rejection).unwrap_or(rejection)),
            checked => Session::put(checked, &mut parts.extensions),
        }
        parts.extensions.insert(visitor);
        Ok(())
    }

    /// Adds headers that keep an answer out of caches.
    pub(crate) fn finish(&self, headers: &mut HeaderMap) {
        self.options.keep_out_of_caches(headers);
    }
}

impl Options {
    fn visitor(&self, parts: &Parts) -> Visitor {
        let mut visitor = Visitor::new();
        if let Some(ip) = self.client_ip.as_ref().and_then(|ip| ip(parts)) {
            visitor = visitor.ip(ip);
        }
        if let Some(agent) = parts.headers.get(header::USER_AGENT) {
            visitor = visitor.agent(String::from_utf8_lossy(agent.as_bytes()));
        }
        if !self.device_headers.is_empty() {
            visitor = visitor.device(fingerprint(&self.device_headers, &parts.headers));
        }
        visitor
    }

    fn is_foreign(&self, parts: &Parts) -> bool {
        self.cookie.is_some()
            && bearer_tokens(&parts.headers).next().is_none()
            && origin::is_foreign(parts, &self.trusted_origins)
    }

    fn cookie_may_serve(&self, parts: &Parts) -> bool {
        !self.cookie.as_ref().is_some_and(SessionCookie::is_for_loopback) || origin::is_loopback(parts)
    }

    fn redirect(&self, parts: &Parts, rejection: &Rejection) -> Option<Rejection> {
        let page = self.login_page.as_ref()?;
        let accepts = parts.headers.get(header::ACCEPT)?.to_str().ok()?;
        let is_person = matches!(parts.method, Method::GET | Method::HEAD) && accepts.contains("text/html");
        let may_log_in = matches!(rejection, Rejection::Missing | Rejection::Refused(_) | Rejection::StepUp(_));
        (is_person && may_log_in).then(|| Rejection::Redirect(page.clone()))
    }

    /// No cache may keep a token, or give it to another user (OWASP session management, "Web Content Caching"). A
    /// `Cache-Control` of the handler stays.
    fn keep_out_of_caches(&self, headers: &mut HeaderMap) {
        let is_ours = |value: &HeaderValue| self.cookie.as_ref().is_some_and(|cookie| cookie.is_set_by(value));
        if !headers.contains_key(header::CACHE_CONTROL) && headers.get_all(header::SET_COOKIE).iter().any(is_ours) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }

    /// The session of the request, or why it has none.
    async fn check<C: ConnectionLike + Clone + Send + Sync>(
        &self,
        store: &SessionStore<C>,
        parts: &Parts,
        visitor: &Visitor,
        span: &Span,
    ) -> Result<Session, Rejection> {
        let refused = |reason: InactiveReason, token: &str| {
            span.record("outcome", display(&reason));
            if let Some(hook) = &self.on_refused {
                let user = if reason.is_of_genuine_token() { unverified_user(token) } else { None };
                hook(parts, &Refused { reason: reason.clone(), user, visitor: visitor.clone() });
            }
            let text = self.reason_text.as_ref().and_then(|text| text(&reason));
            let refusal = Refusal { reason, text };
            Rejection::of(refusal, store.required_level(), store.required_sign_in_within())
        };
        let malformed = |()| refused(InactiveReason::Known(Reason::Malformed), "");
        let Some(token) = self.token(&parts.headers).map_err(malformed)? else {
            span.record("outcome", "none");
            return Err(Rejection::Missing);
        };
        let checked = match self.only_validates {
            true => store.authenticate(&token, visitor).await,
            false => store.touch(&token, visitor).await,
        };
        match checked {
            Ok(session) => {
                let outcome = if session.assurance == Assurance::Session { "active" } else { "token_only" };
                span.record("outcome", outcome);
                Ok(Session::new(session, token))
            }
            Err(StoreError::Refused(Inactive { reason, .. })) => Err(refused(reason, &token)),
            Err(error) => {
                span.record("outcome", "unavailable");
                tracing::error!(%error, "sessions cannot be checked");
                Err(Rejection::Unavailable)
            }
        }
    }

    /// The token of a request. An error if there are several, or if the bytes cannot be a token.
    fn token(&self, headers: &HeaderMap) -> Result<Option<String>, ()> {
        let mut given = bearer_tokens(headers);
        match (given.next(), given.next()) {
            (Some(token), None) => Ok(Some(token.to_owned())),
            (Some(_), Some(_)) => Err(()),
            (None, _) => self.cookie.as_ref().map_or(Ok(None), |cookie| cookie.token(headers)),
        }
    }
}

/// The well-formed tokens of `Authorization: Bearer`. Other schemes, such as a proxy's `Basic`, are ignored.
fn bearer_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| bearer(value.as_bytes()))
}

/// RFC 6750 section 2.1; the scheme is not case-sensitive: RFC 9110 section 11.1.
fn bearer(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    let letters = token.trim_end_matches('=');
    let is_b64token =
        !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
    (scheme.eq_ignore_ascii_case("Bearer") && is_b64token).then_some(token)
}

/// Names and values, one to a line: neither contains line breaks.
fn fingerprint(names: &[HeaderName], headers: &HeaderMap) -> Vec<u8> {
    let mut fingerprint = Vec::new();
    for name in names {
        fingerprint.extend(name.as_str().as_bytes());
        for value in headers.get_all(name) {
            fingerprint.extend(b"\n ");
            fingerprint.extend(value.as_bytes());
        }
        fingerprint.push(b'\n');
    }
    // The longest fingerprint that the server accepts.
    fingerprint.truncate(4096);
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_what_stands_behind_the_scheme() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer   abc", Some("abc")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic abc", None),
            ("Bearerabc", None),
            ("Bearer a b", None),
            ("Bearer a,b", None),
            ("Bearer ==", None),
            ("Bearer abc==", Some("abc==")),
            ("", None),
        ] {
            assert_eq!(bearer(value.as_bytes()), token, "{value}");
        }
        assert_eq!(bearer(b"Bearer \xff"), None);
    }

    #[test]
    fn fingerprints_differ_as_headers_do() {
        let names = [header::ACCEPT_LANGUAGE, header::ACCEPT_ENCODING];
        let of = |headers: &[(HeaderName, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
            fingerprint(&names, &headers.collect())
        };
        let one = of(&[(header::ACCEPT_LANGUAGE, "de"), (header::USER_AGENT, "any")]);
        assert_eq!(one, of(&[(header::ACCEPT_LANGUAGE, "de"), (header::USER_AGENT, "other")]));
        assert_ne!(one, of(&[(header::ACCEPT_ENCODING, "de")]));
        assert_ne!(one, of(&[(header::ACCEPT_LANGUAGE, "de"), (header::ACCEPT_ENCODING, "")]));
        assert_ne!(one, of(&[]));
        assert_eq!(of(&[(header::ACCEPT_LANGUAGE, "x".repeat(9000).leak())]).len(), 4096);
    }
}
