//! The cookie with a session's token.

use std::time::SystemTime;

use cookie::time::Duration;
use cookie::{Cookie, CookieBuilder};
use http::{HeaderMap, HeaderValue, header};
use redis_session_store::redis_session::Created;

/// The longest name and value of a cookie that browsers keep, in bytes (draft-ietf-httpbis-rfc6265bis section 5.6).
const MOST_BYTES: usize = 4096;

/// Which requests from other sites carry the cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// None, not even a link to this site: a user who follows a link looks logged out.
    Strict,
    /// Links to this site, but no request that changes anything.
    #[default]
    Lax,
    /// All of them, for pages that are embedded in other sites.
    None,
}

/// A cookie for the session's token: `__Host-`, `Secure`, `HttpOnly`, `SameSite`, for this host alone.
///
/// Browsers refuse a cookie whose name starts with `__Host-` unless it is secure, for all paths, and for exactly the
/// host that sets it. So no other host of the domain can plant one (draft-ietf-httpbis-rfc6265bis section 4.1.3.2).
/// With a [`domain`](Self::domain) or a [`path`](Self::path) the name starts with `__Secure-`.
///
/// A [`SessionLayer`](crate::SessionLayer) that [knows the cookie](crate::SessionLayer::cookie) adds `Cache-Control:
/// no-store` to an answer that sets or deletes it, unless the handler sets `Cache-Control` itself. Without the layer,
/// and for pages that show a user's private data, set the header yourself.
///
/// A browser drops a cookie of more than 4,096 bytes; then the log has a warning. The opaque tokens that a store makes
/// by default have less than 500 bytes; a JWT with large claims may not fit.
///
/// ```
/// use redis_session_web::{SameSite, SessionCookie};
///
/// let cookie = SessionCookie::new("session").same_site(SameSite::Strict);
/// assert_eq!(cookie.name(), "__Host-session");
/// assert_eq!(cookie.domain("example.com").name(), "__Secure-session");
/// ```
#[derive(Clone, Debug)]
pub struct SessionCookie {
    /// Its name without prefix.
    base: String,
    /// Its name with the prefix.
    name: String,
    same_site: SameSite,
    domain: Option<String>,
    path: String,
    is_secure: bool,
}

impl SessionCookie {
    /// A cookie with this name after `__Host-`. Characters that RFC 6265 forbids in a name are left out.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let is_tchar = |c: &char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(*c);
        let base = name.chars().filter(is_tchar).collect::<String>();
        let same_site = SameSite::default();
        Self { base, name: String::new(), same_site, domain: None, path: "/".to_owned(), is_secure: true }.named()
    }

    /// Chooses the strictest prefix that the attributes allow.
    fn named(mut self) -> Self {
        let prefix = match (self.is_secure, &self.domain, self.path.as_str()) {
            (false, ..) => "",
            (true, None, "/") => "__Host-",
            (true, ..) => "__Secure-",
        };
        self.name = format!("{prefix}{}", self.base);
        self
    }

    /// Sets which requests from other sites carry the cookie.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// `Domain`: the cookie is for all hosts of this domain. Each of them can read and replace it.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> Self {
        self.domain = Some(attribute(domain));
        self.named()
    }

    /// `Path`: the cookie is for the paths below this one. Default: `/`. It does not protect the cookie from other
    /// pages of the same host.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = attribute(path);
        self.named()
    }

    /// For development over plain HTTP, with a browser that does not treat `http://localhost` as secure: without
    /// `Secure`, and without a prefix.
    ///
    /// A [`SessionLayer`](crate::SessionLayer) with such a cookie serves only loopback: it answers 500 to requests for
    /// other hosts than `localhost`, `127.0.0.1` and similar ones, and the log says why.
    #[must_use]
    pub fn insecure_on_loopback(mut self) -> Self {
        self.is_secure = false;
        self.named()
    }

    /// Its name with the prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of `Set-Cookie` with the access token of a login. With `remember`, as for
    /// [`Login::remember`](redis_session_store::Login::remember), the cookie lasts as long as the token. Otherwise it
    /// lasts until the browser is closed. If there is no access token, the value deletes the cookie.
    #[must_use]
    pub fn set(&self, created: &Created, remember: bool) -> HeaderValue {
        let (Some(token), Some(until)) = (&created.token, created.token_expires_at) else { return self.clear() };
        let left = || until.to_system_time().duration_since(SystemTime::now()).unwrap_or_default();
        let left = remember.then(left).map(|left| Duration::seconds(i64::try_from(left.as_secs()).unwrap_or(i64::MAX)));
        if self.name.len() + token.len() > MOST_BYTES {
            tracing::warn!(bytes = token.len(), "browsers drop a cookie of more than 4096 bytes: use opaque tokens");
        }
        self.value(token, left)
    }

    /// The value of `Set-Cookie` that deletes the cookie.
    #[must_use]
    pub fn clear(&self) -> HeaderValue {
        self.value("", Some(Duration::ZERO))
    }

    fn value(&self, token: &str, max_age: Option<Duration>) -> HeaderValue {
        let same_site = match self.same_site {
            SameSite::Strict => cookie::SameSite::Strict,
            SameSite::Lax => cookie::SameSite::Lax,
            SameSite::None => cookie::SameSite::None,
        };
        let mut cookie: CookieBuilder<'_> = Cookie::build((self.name.as_str(), token))
            .path(self.path.as_str())
            .secure(self.is_secure)
            .http_only(true)
            .same_site(same_site);
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(domain.as_str());
        }
        if let Some(max_age) = max_age {
            cookie = cookie.max_age(max_age);
        }
        // Tokens are base64url and dots, which are valid in a header.
        let mut value = HeaderValue::try_from(cookie.build().to_string()).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }

    /// Whether it works only for requests to loopback.
    pub(crate) fn is_for_loopback(&self) -> bool {
        !self.is_secure
    }

    /// Whether this value of `Set-Cookie` sets or deletes the cookie.
    pub(crate) fn is_set_by(&self, value: &HeaderValue) -> bool {
        let rest = value.as_bytes().strip_prefix(self.name.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    }

    /// The token in a request's cookie. An error if there are several, or if the bytes cannot be a token. Other cookies
    /// are ignored, valid or not.
    pub(crate) fn token(&self, headers: &HeaderMap) -> Result<Option<String>, ()> {
        let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
        let mut values = pairs.filter_map(|pair| self.value_of(pair)).filter(|value| !value.is_empty());
        let value = values.next();
        if values.next().is_some() {
            return Err(());
        }
        value.map(|value| std::str::from_utf8(value).map(str::to_owned).map_err(|_| ())).transpose()
    }

    /// The value, if the pair is this cookie (RFC 6265 section 4.2.1).
    fn value_of<'p>(&self, pair: &'p [u8]) -> Option<&'p [u8]> {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(at)?;
        if name.trim_ascii() != self.name.as_bytes() {
            return None;
        }
        let value = value.strip_prefix(b"=")?.trim_ascii();
        Some(value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value))
    }
}

/// Whether this can be the value of an attribute (RFC 6265 section 4.1.1).
fn attribute(value: &str) -> String {
    value.chars().filter(|c| !c.is_control() && c.is_ascii() && *c != ';').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute() -> Option<Duration> {
        Some(Duration::seconds(60))
    }

    #[test]
    fn a_cookie_is_for_this_host_alone() {
        let cookie = SessionCookie::new("session");
        assert_eq!(
            cookie.value("a.b-c_d", minute()),
            "__Host-session=a.b-c_d; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        assert_eq!(
            cookie.same_site(SameSite::Strict).clear(),
            "__Host-session=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0"
        );
        assert!(SessionCookie::new("x").value("secret", minute()).is_sensitive());
        assert_eq!(SessionCookie::new("a b;c=d\r\n").name(), "__Host-abcd");
    }

    #[test]
    fn all_attributes_can_be_chosen_and_the_prefix_follows() {
        let cookie = SessionCookie::new("s");
        for (cookie, value) in [
            (cookie.clone(), "__Host-s=t; HttpOnly; SameSite=Lax; Secure; Path=/"),
            (
                cookie.clone().domain("example.com; HttpOnly\r\n"),
                "__Secure-s=t; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com HttpOnly",
            ),
            (cookie.clone().path("/app"), "__Secure-s=t; HttpOnly; SameSite=Lax; Secure; Path=/app"),
            (cookie.clone().path("/app").path("/"), "__Host-s=t; HttpOnly; SameSite=Lax; Secure; Path=/"),
            (cookie.clone().same_site(SameSite::None), "__Host-s=t; HttpOnly; SameSite=None; Secure; Path=/"),
            (cookie.insecure_on_loopback(), "s=t; HttpOnly; SameSite=Lax; Path=/"),
        ] {
            assert_eq!(cookie.value("t", None), value);
        }
    }

    #[test]
    fn a_request_brings_one_or_none() {
        let cookie = SessionCookie::new("session");
        for (lines, expected) in [
            (&[&b"a=b; __Host-session=token; c=d"[..]][..], Ok(Some("token"))),
            (&[b"a=b", b"__Host-session=token"], Ok(Some("token"))),
            (&[b"a=\xff\xfe; __Host-session=token; \xe9=\xe9"], Ok(Some("token"))),
            (&[b"\xff", b"__Host-session = \"token\" ;;=;"], Ok(Some("token"))),
            (&[b"session=token"], Ok(None)),
            (&[b"__Host-session="], Ok(None)),
            (&[b"__Host-session"], Ok(None)),
            (&[b"a=__Host-session=token"], Ok(None)),
            (&[], Ok(None)),
            (&[b"__Host-session=\xff"], Err(())),
            (&[b"__Host-session=one; __Host-session=two"], Err(())),
            (&[b"__Host-session=one", b"__Host-session=two"], Err(())),
        ] {
            let value = |line: &&[u8]| (header::COOKIE, HeaderValue::from_bytes(line).unwrap());
            let found = cookie.token(&lines.iter().map(value).collect());
            assert_eq!(found.as_ref().map(Option::as_deref), expected.as_ref().map(|token| *token), "{lines:?}");
        }
    }
}
