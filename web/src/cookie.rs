//! The cookie that brings a session's token.

use std::time::SystemTime;

use ::cookie::time::Duration;
use ::cookie::{Cookie, CookieBuilder};
use http::{HeaderMap, HeaderValue, header};
use redis_session_store::redis_session::Created;

/// Which requests from other sites the cookie goes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// With none, not even with a link to this site: who follows one looks logged out.
    Strict,
    /// With links to this site, and with nothing that changes something.
    #[default]
    Lax,
}

/// A cookie for the session's token: `__Host-`, `Secure`, `HttpOnly`, `SameSite`, for this host alone.
///
/// Browsers refuse a cookie whose name starts with `__Host-` unless it is secure, for all paths, and for the very host
/// that sets it, so that no other host of the domain can plant one (draft-ietf-httpbis-rfc6265bis section 4.1.3.2).
/// For development, browsers take `http://localhost` for secure.
///
/// A [`SessionLayer`](crate::SessionLayer) that [knows the cookie](crate::SessionLayer::cookie) adds `Cache-Control:
/// no-store` to an answer that sets it or takes it back, unless the handler says what caches may do. Elsewhere, and for
/// pages that show what is the user's alone, the application must.
///
/// A browser keeps 4096 bytes of a cookie: with large claims, use
/// [`TokenFormat::Opaque`](redis_session_store::redis_session::TokenFormat::Opaque).
///
/// ```
/// use redis_session_web::{SameSite, SessionCookie};
///
/// let cookie = SessionCookie::new("session").same_site(SameSite::Strict);
/// assert_eq!(cookie.name(), "__Host-session");
/// ```
#[derive(Clone, Debug)]
pub struct SessionCookie {
    name: String,
    same_site: SameSite,
}

impl SessionCookie {
    /// A cookie with this name, behind `__Host-`. Of a name, what RFC 6265 does not let a name have is left out.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let is_tchar = |c: &char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(*c);
        let name = name.chars().filter(is_tchar).collect::<String>();
        Self { name: format!("__Host-{name}"), same_site: SameSite::default() }
    }

    /// With which requests from other sites it goes.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Its whole name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of `Set-Cookie` that hands out the access token of a login, for as long as it lasts. Without an access
    /// token it takes the cookie back.
    #[must_use]
    pub fn set(&self, created: &Created) -> HeaderValue {
        let (Some(token), Some(until)) = (&created.token, created.token_expires_at) else { return self.clear() };
        let left = until.to_system_time().duration_since(SystemTime::now()).unwrap_or_default();
        self.value(token, Duration::seconds(i64::try_from(left.as_secs()).unwrap_or(i64::MAX)))
    }

    /// The value of `Set-Cookie` that takes the cookie back.
    #[must_use]
    pub fn clear(&self) -> HeaderValue {
        self.value("", Duration::ZERO)
    }

    fn value(&self, token: &str, max_age: Duration) -> HeaderValue {
        let same_site = match self.same_site {
            SameSite::Strict => ::cookie::SameSite::Strict,
            SameSite::Lax => ::cookie::SameSite::Lax,
        };
        let cookie: CookieBuilder<'_> = Cookie::build((self.name.as_str(), token))
            .path("/")
            .secure(true)
            .http_only(true)
            .same_site(same_site)
            .max_age(max_age);
        // Tokens are base64url and dots, which a header takes.
        let mut value = HeaderValue::try_from(cookie.build().to_string()).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }

    /// Whether this value of `Set-Cookie` hands it out or takes it back.
    pub(crate) fn is_set_by(&self, value: &HeaderValue) -> bool {
        let rest = value.as_bytes().strip_prefix(self.name.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    }

    /// The token that a request brings in it; an error if it brings several.
    pub(crate) fn token(&self, headers: &HeaderMap) -> Result<Option<String>, ()> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut tokens = cookies
            .flat_map(|text| Cookie::split_parse(text.to_owned()).flatten())
            .filter(|cookie| cookie.name() == self.name && !cookie.value().is_empty())
            .map(|cookie| cookie.value().to_owned());
        let token = tokens.next();
        if tokens.next().is_some() { Err(()) } else { Ok(token) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_this_host_alone() {
        let cookie = SessionCookie::new("session");
        assert_eq!(
            cookie.value("a.b-c_d", Duration::seconds(60)),
            "__Host-session=a.b-c_d; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        assert_eq!(
            cookie.same_site(SameSite::Strict).clear(),
            "__Host-session=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0"
        );
        assert!(SessionCookie::new("x").value("secret", Duration::ZERO).is_sensitive());
        assert_eq!(SessionCookie::new("a b;c=d\r\n").name(), "__Host-abcd");
    }

    #[test]
    fn a_request_brings_one_or_none() {
        let cookie = SessionCookie::new("session");
        for (lines, expected) in [
            (&["a=b; __Host-session=token; c=d"][..], Ok(Some("token"))),
            (&["a=b", "__Host-session=token"], Ok(Some("token"))),
            (&["session=token"], Ok(None)),
            (&["__Host-session="], Ok(None)),
            (&[], Ok(None)),
            (&["__Host-session=one; __Host-session=two"], Err(())),
            (&["__Host-session=one", "__Host-session=two"], Err(())),
        ] {
            let headers = lines.iter().map(|line| (header::COOKIE, HeaderValue::from_static(line))).collect();
            let found = cookie.token(&headers);
            assert_eq!(found.as_ref().map(Option::as_deref), expected.as_ref().map(|token| *token), "{lines:?}");
        }
    }
}
