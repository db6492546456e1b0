//! Where a request comes from, when proxies stand in front of the service.
//!
//! Each proxy appends the address that it got the request from. So the last entry is written by the nearest proxy, and
//! with `TRUSTED_HOPS` proxies of your own, as many entries from the end can be believed. A client can write anything
//! into the entries before those.

use std::net::{IpAddr, SocketAddr};
use std::sync::Once;

use axum::extract::ConnectInfo;
use axum::http::header::{FORWARDED, HeaderMap, HeaderName};
use axum::http::request::Parts;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[derive(Clone, Debug)]
pub(crate) struct Proxies {
    /// How many proxies of your own a request passes.
    pub(crate) hops: usize,
    /// Where they write the addresses.
    pub(crate) header: HeaderName,
}

impl Proxies {
    /// The address that the outermost of your proxies has seen. An entry that cannot be read ends the list: then it is the
    /// address of the proxy that wrote it, and at last the one of the connection.
    pub(crate) fn client_ip(&self, parts: &Parts) -> Option<IpAddr> {
        let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
        if self.hops == 0 {
            warn_of_a_proxy(&parts.headers);
        }
        let lines = parts.headers.get_all(&self.header).into_iter().rev();
        let entries = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        let told = entries.take(self.hops).map_while(|entry| self.address(entry)).last();
        Some(told.unwrap_or(peer.ip()).to_canonical())
    }

    /// Whether the client speaks TLS to the outermost proxy.
    pub(crate) fn is_https(&self, headers: &HeaderMap) -> bool {
        let first = |name: &HeaderName| headers.get(name)?.to_str().ok()?.split(',').next();
        let proto = match self.header == FORWARDED {
            true => first(&FORWARDED).and_then(|entry| parameter(entry, "proto")),
            false => first(&X_FORWARDED_PROTO),
        };
        self.hops > 0 && proto.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
    }

    fn address(&self, entry: &str) -> Option<IpAddr> {
        address(if self.header == FORWARDED { parameter(entry, "for")? } else { entry })
    }
}

/// The value of `name` in an element of `Forwarded` (RFC 7239 section 4), without its quotes.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some(value.trim_matches('"'))
}

/// An address as proxies write it: alone, in brackets, or with a port (RFC 7239 section 6).
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed)
}

/// Once is enough.
fn warn_of_a_proxy(headers: &HeaderMap) {
    static WARNED: Once = Once::new();
    if headers.contains_key(FORWARDED) || headers.contains_key(X_FORWARDED_FOR) {
        WARNED.call_once(|| {
            tracing::warn!(
                "a proxy seems to stand in front, and TRUSTED_HOPS is 0: all its clients have the proxy's address, and \
                 share its limit of attempts"
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    /// What a service with so many trusted hops makes of these lines of a header.
    fn seen(hops: usize, header: HeaderName, lines: &[&str]) -> String {
        let mut request = Request::builder().extension(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 4711))));
        for line in lines {
            request = request.header(&header, *line);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Proxies { hops, header }.client_ip(&parts).unwrap().to_string()
    }

    #[test]
    fn so_many_entries_from_the_end_are_believed_as_there_are_proxies() {
        let lines = ["6.6.6.6, 203.0.113.7", "198.51.100.1"];
        for (hops, ip) in [(0, "10.0.0.1"), (1, "198.51.100.1"), (2, "203.0.113.7"), (3, "6.6.6.6"), (9, "6.6.6.6")] {
            assert_eq!(seen(hops, X_FORWARDED_FOR, &lines), ip, "{hops}");
        }
        assert_eq!(seen(1, X_FORWARDED_FOR, &[]), "10.0.0.1", "a request that came past the proxy");
    }

    #[test]
    fn ports_and_brackets_are_understood() {
        for (text, ip) in [
            ("203.0.113.7:4711", "203.0.113.7"),
            (" [2001:db8::1]:4711 ", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            // Not the client's address, but not the same for all either.
            ("unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(seen(1, X_FORWARDED_FOR, &[text]), ip, "{text}");
        }
        assert_eq!(seen(2, X_FORWARDED_FOR, &["nonsense, 203.0.113.7"]), "203.0.113.7");
    }

    #[test]
    fn the_header_of_rfc_7239_is_understood() {
        let line = "for=6.6.6.6, For=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.1";
        assert_eq!(seen(1, FORWARDED, &[line]), "2001:db8::1");
        assert_eq!(seen(2, FORWARDED, &[line]), "6.6.6.6");
        assert_eq!(seen(1, FORWARDED, &["for=_hidden"]), "10.0.0.1");
    }

    #[test]
    fn https_is_what_trusted_proxies_say() {
        let proxies = |hops, header| Proxies { hops, header };
        let headers = |name: HeaderName, value: &'static str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
        assert!(proxies(1, X_FORWARDED_FOR).is_https(&headers(X_FORWARDED_PROTO, "https")));
        assert!(!proxies(0, X_FORWARDED_FOR).is_https(&headers(X_FORWARDED_PROTO, "https")));
        assert!(!proxies(1, X_FORWARDED_FOR).is_https(&headers(X_FORWARDED_PROTO, "http")));
        assert!(!proxies(1, X_FORWARDED_FOR).is_https(&HeaderMap::new()));
        assert!(proxies(1, FORWARDED).is_https(&headers(FORWARDED, "for=192.0.2.1;proto=https")));
    }
}
