//! The layer: takes the token from a request and asks about it, once.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use redis::aio::ConnectionLike;
use redis_session_store::redis_session::{Inactive, InactiveReason, Reason, unverified_user};
use redis_session_store::{Assurance, SessionStore, StoreError, Visitor};
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Span};

use crate::cookie::SessionCookie;
use crate::origin;
use crate::rejection::Rejection;
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

/// A token that was refused: what a line in the audit log says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Why.
    pub reason: InactiveReason,
    /// Whose token it is; `None` if its signature is not good, for then anybody may have written the name.
    pub user: Option<String>,
    /// Who brought it.
    pub visitor: Visitor,
}

#[derive(Clone, Default)]
struct Options {
    cookie: Option<SessionCookie>,
    trusted_origins: Vec<HeaderValue>,
    device_headers: Vec<HeaderName>,
    client_ip: Option<Arc<ClientIp>>,
    on_refused: Option<Arc<OnRefused>>,
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
    /// A layer that takes tokens from `Authorization: Bearer` and slides the idle timers of their sessions.
    #[must_use]
    pub fn new(store: SessionStore<C>) -> Self {
        Self { store, options: Arc::default() }
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }

    /// Take the token from this cookie where there is no header.
    ///
    /// A browser sends cookies with what other sites make it send, too. So a request that may change something (any but
    /// `GET`, `HEAD` and `OPTIONS`) and has no header `Authorization` is answered 403 if the browser says that it comes
    /// from elsewhere, be there a cookie or not: a login that another site makes is one as well. Let no `GET` change
    /// anything.
    #[must_use]
    pub fn cookie(self, cookie: SessionCookie) -> Self {
        self.with(|options| options.cookie = Some(cookie))
    }

    /// Take what pages of these origins send as if it came from here: `https://app.example`.
    #[must_use]
    pub fn trusted_origins(self, origins: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.with(|options| options.trusted_origins = origins.into_iter().collect())
    }

    /// Tell devices apart by the values of these headers, and bind sessions to them: see [`Visitor::device`]. Choose
    /// headers that a browser does not change: a version in one logs everybody out with each update.
    #[must_use]
    pub fn device_headers(self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.with(|options| options.device_headers = headers.into_iter().collect())
    }

    /// How to tell a client's address. Behind a proxy that is a header which the proxy sets, and which nobody else can:
    /// trust none that a client may bring.
    #[must_use]
    pub fn client_ip(self, ip: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.with(|options| options.client_ip = Some(Arc::new(ip)))
    }

    /// What to do with the reason for which a token was refused: a line in the audit log.
    #[must_use]
    pub fn on_refused(self, hook: impl Fn(&Parts, &Refused) + Send + Sync + 'static) -> Self {
        self.with(|options| options.on_refused = Some(Arc::new(hook)))
    }

    /// Let no request through without a session, whatever its handler takes.
    #[must_use]
    pub fn required(self) -> Self {
        self.with(|options| options.required = true)
    }

    /// Slide no idle timers: for requests that a user does not make, as those of a page that refreshes itself.
    #[must_use]
    pub fn without_touching(self) -> Self {
        self.with(|options| options.only_validates = true)
    }
}

impl<C: ConnectionLike + Clone + Send + Sync> SessionLayer<C> {
    /// Checks a request, and puts what came of it into its extensions. An error is the answer, and then the request goes no
    /// further.
    pub(crate) async fn admit(&self, parts: &mut Parts) -> Result<(), Rejection> {
        let options = &self.options;
        if options.is_foreign(parts) {
            tracing::warn!(method = %parts.method, "a request that another site made was refused");
            return Err(Rejection::Foreign);
        }
        let visitor = options.visitor(parts);
        let span = tracing::debug_span!("session", outcome = Empty);
        match options.check(&self.store, parts, &visitor, &span).instrument(span.clone()).await {
            Ok(session) => _ = parts.extensions.insert(session),
            Err(rejection) if options.required => return Err(rejection),
            Err(rejection) => _ = parts.extensions.insert(rejection),
        }
        parts.extensions.insert(visitor);
        Ok(())
    }

    /// Adds to an answer what keeps it out of caches.
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
            && !parts.headers.contains_key(header::AUTHORIZATION)
            && origin::is_foreign(parts, &self.trusted_origins)
    }

    /// No cache may keep a token, or hand it to somebody else (OWASP session management, "Web Content Caching"). What the
    /// handler says of caches itself stays.
    fn keep_out_of_caches(&self, headers: &mut HeaderMap) {
        let is_ours = |value: &HeaderValue| self.cookie.as_ref().is_some_and(|cookie| cookie.is_set_by(value));
        if !headers.contains_key(header::CACHE_CONTROL) && headers.get_all(header::SET_COOKIE).iter().any(is_ours) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }

    /// Whose request it is.
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
                hook(parts, &Refused { reason, user, visitor: visitor.clone() });
            }
            Rejection::Refused
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

    /// The token that a request brings; an error if what it brings cannot be one.
    fn token(&self, headers: &HeaderMap) -> Result<Option<String>, ()> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        match (given.next(), given.next()) {
            (Some(value), None) => bearer(value.to_str().map_err(|_| ())?).map(Some).ok_or(()),
            (Some(_), Some(_)) => Err(()),
            (None, _) => self.cookie.as_ref().map_or(Ok(None), |cookie| cookie.token(headers)),
        }
    }
}

/// The token of an `Authorization` header (RFC 6750 section 2.1; the scheme is not case-sensitive: RFC 9110 section
/// 11.1).
fn bearer(value: &str) -> Option<String> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then(|| token.to_owned())
}

/// Names and values, one to a line: neither has line breaks.
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
    // More than the server takes of a fingerprint cannot be told apart.
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
            ("", None),
        ] {
            assert_eq!(bearer(value).as_deref(), token, "{value}");
        }
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
