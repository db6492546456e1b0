//! The keys of a server: the reply of `SESSION.KEYS`.

use redis::{ParsingError, Value};

use crate::json::{self, from_object, from_redis_value};
use crate::time::Timestamp;

/// The keys that sign and verify tokens on a server: the reply of `SESSION.KEYS`. There are no secrets in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRing {
    /// The key file; `None` if the key is random: the next start makes another.
    pub file: Option<String>,
    /// The file of other issuers; `None` if there is none.
    pub issuers_file: Option<String>,
    /// Whether one of these files has changed since the server read it.
    pub file_changed: bool,
    /// When the server read them, or made the random key.
    pub loaded_at: Timestamp,
    /// The id of the key that signs; `None` if none can.
    pub active_kid: Option<String>,
    /// The keys of `file`, in its order; then its keys that were left out; then those of each issuer.
    pub keys: Vec<Key>,
}

/// One key of a [`KeyRing`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// The issuer whose tokens it checks; empty for tokens without an issuer, `None` for a key of [`KeyRing::file`].
    pub issuer: Option<String>,
    /// Its id (`kid`), which tokens name; `None` if it has none.
    pub kid: Option<String>,
    /// `active` if it signs, and verifies; `verifies`; or `ignored`. A newer server may have others.
    pub status: String,
    /// Its only algorithm.
    pub alg: Option<String>,
    /// Its type: `oct` is a secret; `EC`, `RSA` and `OKP` are public keys, or private ones if the key can sign.
    pub kty: Option<String>,
    /// The length of the secret, of the modulus or of the curve's field, in bits.
    pub bits: Option<u64>,
    /// Whether it can sign, so that `session.active-kid` may name it.
    pub can_sign: bool,
    /// For a public or private key: its SHA-256 thumbprint (RFC 7638), to compare with the issuer's.
    pub thumbprint: Option<String>,
    /// The same on each server with this key: the thumbprint, or for a secret 80 bits of an HMAC under a key that is
    /// derived from it. `None` if the key was left out.
    pub fingerprint: Option<String>,
    /// Why it was left out, if it was.
    pub ignored: Option<String>,
}

from_object! {
    KeyRing {
        file: optional,
        issuers_file: optional,
        file_changed: optional,
        loaded_at: required,
        active_kid: optional,
        keys: required,
    }
}

from_object! {
    Key {
        issuer: optional,
        kid: optional,
        status: required,
        alg: optional,
        kty: optional,
        bits: optional,
        can_sign: optional,
        thumbprint: optional,
        fingerprint: optional,
        ignored: optional,
    }
}

from_redis_value! {
    KeyRing = key_ring;
}

pub(crate) fn key_ring(reply: Value) -> Result<KeyRing, ParsingError> {
    json::read("the keys", &reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{json, text};

    #[test]
    fn a_ring_has_the_keys_that_are_used_and_those_that_are_not() {
        let reply = json(
            r#"{"file":"keys.json","issuers_file":"issuers.json","file_changed":false,"loaded_at":7,"active_kid":"1","keys":[
                {"issuer":null,"kid":"1","status":"active","alg":"HS256","bits":256,"can_sign":true,"thumbprint":null,
                 "fingerprint":"hmac:AAAA"},
                {"issuer":"","kid":null,"status":"ignored","ignored":"it is to encrypt"}]}"#,
        );
        let ring = key_ring(reply).unwrap();
        assert_eq!((ring.file.as_deref(), ring.active_kid.as_deref()), (Some("keys.json"), Some("1")));
        assert_eq!(ring.issuers_file.as_deref(), Some("issuers.json"));
        assert_eq!((ring.keys[0].issuer.as_deref(), ring.keys[1].issuer.as_deref()), (None, Some("")));
        assert_eq!(ring.keys[0].fingerprint.as_deref(), Some("hmac:AAAA"));
        assert_eq!((ring.loaded_at.unix_millis(), ring.keys.len()), (7, 2));
        assert_eq!((ring.keys[0].bits, ring.keys[0].can_sign), (Some(256), true));
        assert_eq!(ring.keys[1].ignored.as_deref(), Some("it is to encrypt"));
        for odd in [text("no map"), json(r#"{"loaded_at":7,"keys":["no key"]}"#), json(r#"{"loaded_at":7}"#)] {
            assert!(key_ring(odd).is_err());
        }
    }
}
