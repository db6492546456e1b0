//! Requests that another site causes.

use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderName, HeaderValue, header};

/// Fetch Metadata (W3C), section 2.4: the browser sets it, and scripts cannot.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether another site made a browser send this request, and the request may change something.
///
/// Browsers say so in `Sec-Fetch-Site`; older ones in the `Origin` of every request but `GET`. A client that sends
/// neither is not a browser, and sends no cookies of other people. Another host of the same domain counts as another
/// site.
pub(crate) fn is_foreign(parts: &Parts, trusted: &[HeaderValue]) -> bool {
    if parts.method.is_safe() {
        return false;
    }
    let origin = parts.headers.get(header::ORIGIN);
    if origin.is_some_and(|origin| trusted.contains(origin)) {
        return false;
    }
    match (parts.headers.get(SEC_FETCH_SITE), origin) {
        (Some(site), _) => site != "same-origin" && site != "none",
        (None, Some(origin)) => !is_of_this_host(origin, parts),
        (None, None) => false,
    }
}

/// Without the scheme, which a server with a proxy in front does not know.
fn is_of_this_host(origin: &HeaderValue, parts: &Parts) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    host(parts).zip(origin).is_some_and(|(host, (_, origin))| origin.eq_ignore_ascii_case(host))
}

/// Whether the request is to this machine itself, by the host in it: `localhost`, a name below it (RFC 6761 section
/// 6.3) or a loopback address.
pub(crate) fn is_loopback(parts: &Parts) -> bool {
    let Some(host) = host(parts) else { return false };
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let name = if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let name = name.to_ascii_lowercase();
    address.map_or_else(|_| name == "localhost" || name.ends_with(".localhost"), |address| address.is_loopback())
}

fn host(parts: &Parts) -> Option<&str> {
    match parts.headers.get(header::HOST) {
        Some(host) => host.to_str().ok(),
        None => parts.uri.authority().map(http::uri::Authority::as_str),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn foreign(method: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let request = headers.iter().fold(Request::builder().method(method), |request, (name, value)| {
            request.header(HeaderName::from_static(name), *value)
        });
        let trusted = [HeaderValue::from_static("https://app.example")];
        is_foreign(&request.body(()).unwrap().into_parts().0, &trusted)
    }

    #[test]
    fn what_a_browser_says_of_the_sites_counts() {
        for (site, is) in
            [("same-origin", false), ("none", false), ("same-site", true), ("cross-site", true), ("odd", true)]
        {
            assert_eq!(foreign("POST", &[("sec-fetch-site", site)]), is, "{site}");
            let origin = ("origin", "https://this.example");
            assert_eq!(foreign("POST", &[("sec-fetch-site", site), origin, ("host", "this.example")]), is, "{site}");
        }
    }

    #[test]
    fn an_older_browser_names_the_origin() {
        for (origin, is) in [
            ("https://this.example:8443", false),
            ("http://This.Example:8443", false),
            ("https://this.example", true),
            ("https://other.example:8443", true),
            ("https://this.example:8443.other.example", true),
            ("null", true),
            ("", true),
        ] {
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                assert_eq!(foreign(method, &[("origin", origin), ("host", "this.example:8443")]), is, "{origin}");
            }
        }
        assert!(foreign("POST", &[("origin", "https://this.example")]), "nobody knows the host");
    }

    #[test]
    fn what_is_no_browser_is_not_foreign() {
        assert!(!foreign("POST", &[("host", "this.example")]));
        assert!(!foreign("POST", &[]));
    }

    #[test]
    fn what_changes_nothing_may_come_from_everywhere() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(!foreign(method, &[("sec-fetch-site", "cross-site"), ("origin", "https://other.example")]));
        }
    }

    #[test]
    fn loopback_is_what_names_this_machine() {
        let to = |host: &str| {
            let request = Request::builder().header("host", host);
            is_loopback(&request.body(()).unwrap().into_parts().0)
        };
        for host in
            ["localhost", "localhost:8080", "LOCALHOST", "app.localhost:1", "127.0.0.1", "127.9.9.9:80", "[::1]:80"]
        {
            assert!(to(host), "{host}");
        }
        for host in
            ["", "example.com", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1:80", "[::2]", "0.0.0.0"]
        {
            assert!(!to(host), "{host}");
        }
        assert!(!is_loopback(&Request::new(()).into_parts().0));
    }

    #[test]
    fn other_origins_can_be_trusted() {
        assert!(!foreign("POST", &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")]));
        assert!(!foreign("POST", &[("origin", "https://app.example"), ("host", "this.example")]));
        assert!(foreign("POST", &[("sec-fetch-site", "cross-site"), ("origin", "http://app.example")]));
    }
}
