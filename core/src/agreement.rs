//! Numbers by which servers are compared that should agree.

use sha2::{Digest as _, Sha256};

use crate::token::{Issuers, Key, KeyRing};

/// The settings that may differ between servers, without the `session.` before them. All others must be alike.
///
/// The first three name files and the key that signs: [`number_of_keys`] compares what they lead to. The other two say how
/// much of a machine is used. `audit-maxlen` is none of them: a server that takes over with less would drop entries that
/// nobody has read.
pub const EACH_ITS_OWN: [&str; 5] = ["keys-file", "issuers-file", "active-kid", "sweep-time", "token-cache"];

/// A number that is the same where the parts are, and almost surely another where they are not: 48 bits of their hash,
/// which a monitoring system that has floating-point numbers alone keeps exactly.
///
/// ```
/// use redis_session_core::agreement;
///
/// assert_eq!(agreement::number_of(["ttl", "60"]), agreement::number_of(["ttl", "60"]));
/// assert_ne!(agreement::number_of(["ttl", "60"]), agreement::number_of(["ttl6", "0"]));
/// ```
#[must_use]
pub fn number_of(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, ..] = digest;
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// The number of all keys: which there are, in whatever order, under which names, whose, and which one signs.
///
/// It reveals no more than [`Key::fingerprint`] does.
#[must_use]
pub fn number_of_keys(ring: &KeyRing, issuers: &Issuers) -> u64 {
    let line = |issuer: &str, key: &Key| {
        let kid = key.kid().map_or_else(String::new, |kid| format!("{kid:?}"));
        format!("{issuer} {kid} {} {}", key.algorithm().as_str(), key.fingerprint())
    };
    let own = ring.keys().map(|key| line("own", key));
    let others = issuers.iter().flat_map(|issuer| {
        let name = format!("{:?} {:?} {:?}", issuer.iss(), issuer.audiences(), issuer.token_type());
        issuer.keys().keys().map(|key| line(&name, key)).collect::<Vec<_>>()
    });
    let mut lines: Vec<_> = own.chain(others).collect();
    lines.sort_unstable();
    lines.push(ring.signing_key().map_or_else(String::new, |key| line("signs", key)));
    number_of(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(keys: &[(&str, &str)], active: &str) -> KeyRing {
        let secret = |text: &str| crate::base64url::encode(format!("{text:>32}").as_bytes());
        let key = |(kid, text): &(&str, &str)| {
            format!(r#"{{"kty":"oct","alg":"HS256","kid":"{kid}","k":"{}"}}"#, secret(text))
        };
        let keys: Vec<_> = keys.iter().map(key).collect();
        KeyRing::from_jwk_set(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes(), Some(active)).unwrap()
    }

    #[test]
    fn the_same_keys_have_the_same_number_and_others_have_another() {
        let number = |keys: &[(&str, &str)], active| number_of_keys(&ring(keys, active), &Issuers::default());
        let known = number(&[("a", "1"), ("b", "2")], "a");
        assert_eq!(number(&[("b", "2"), ("a", "1")], "a"), known, "the order does not matter");
        assert!(known < 1 << 48);
        for (keys, active) in [
            (&[("a", "1"), ("b", "2")][..], "b"),
            (&[("a", "1"), ("b", "3")], "a"),
            (&[("a", "1"), ("c", "2")], "a"),
            (&[("a", "1")], "a"),
        ] {
            assert_ne!(number(keys, active), known, "{keys:?} {active}");
        }
    }

    #[cfg(feature = "public-keys")]
    #[test]
    fn the_keys_of_other_issuers_count() {
        // RFC 8037, appendix A.2.
        let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let read = |iss: &str| {
            let file = format!(r#"{{"issuers":[{{"iss":"{iss}","jwks":"a.json"}}]}}"#);
            Issuers::read(file.as_bytes(), |_| Ok::<_, String>(set.as_bytes().to_vec())).unwrap()
        };
        let ring = ring(&[("a", "1")], "a");
        let numbers = [Issuers::default(), read("https://one.example"), read("https://two.example")]
            .map(|issuers| number_of_keys(&ring, &issuers));
        assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2], "{numbers:?}");
    }
}
