//! The keys of a server: the reply of `SESSION.KEYS`.

use redis::{ParsingError, Value};

use crate::fields::{Fields, FromField, bare};
use crate::time::Timestamp;

/// The keys that sign and verify tokens on a server: the reply of `SESSION.KEYS`. There are no secrets in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRing {
    /// The key file; `None` if the key is a random one, which the next start replaces.
    pub file: Option<String>,
    /// The file of other issuers; `None` if there is none.
    pub issuers_file: Option<String>,
    /// Whether one of these files is another than the one that was read.
    pub file_changed: bool,
    /// When they were read, or the random key made.
    pub loaded_at: Timestamp,
    /// The id of the key that signs; `None` if none can.
    pub active_kid: Option<String>,
    /// The keys of `file`, in its order, then those of it that are left out; then those of each issuer.
    pub keys: Vec<Key>,
}

/// One key of a [`KeyRing`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// The issuer whose tokens it checks; empty for tokens without an issuer, `None` for a key of [`KeyRing::file`].
    pub issuer: Option<String>,
    /// Its id, which tokens name (`kid`); `None` if it has none.
    pub kid: Option<String>,
    /// `active` if it signs, and verifies; `verifies`; or `ignored`. A newer server may have others.
    pub status: String,
    /// The one algorithm that it is for.
    pub alg: Option<String>,
    /// Its type: `oct` is a secret; `EC`, `RSA` and `OKP` are public keys, or private ones if it can sign.
    pub kty: Option<String>,
    /// How long the secret or the modulus is, or the curve's field, in bits.
    pub bits: Option<u64>,
    /// Whether it can sign, so that `session.active-kid` may name it.
    pub can_sign: bool,
    /// Of a public or private key: its SHA-256 thumbprint (RFC 7638), to compare with the issuer's.
    pub thumbprint: Option<String>,
    /// The same on each server that has this key: the thumbprint, or of a secret 80 bits of an HMAC under a key that is
    /// derived from it. `None` if it is left out.
    pub fingerprint: Option<String>,
    /// Why it is left out, if it is.
    pub ignored: Option<String>,
}

impl FromField for u64 {
    const IS: &'static str = "number";

    fn from_field(value: Value) -> Option<Self> {
        match value {
            Value::Int(number) => Self::try_from(number).ok(),
            _ => None,
        }
    }
}

impl FromField for Vec<Key> {
    const IS: &'static str = "list of keys";

    fn from_field(value: Value) -> Option<Self> {
        match value {
            Value::Array(items) => items.into_iter().map(|item| key(item).ok()).collect(),
            _ => None,
        }
    }
}

fn key(value: Value) -> Result<Key, ParsingError> {
    let mut fields = Fields::of("a key", bare(value))?;
    Ok(Key {
        issuer: fields.optional("issuer")?,
        kid: fields.optional("kid")?,
        status: fields.required("status")?,
        alg: fields.optional("alg")?,
        kty: fields.optional("kty")?,
        bits: fields.optional("bits")?,
        can_sign: fields.optional("can_sign")?.unwrap_or(false),
        thumbprint: fields.optional("thumbprint")?,
        fingerprint: fields.optional("fingerprint")?,
        ignored: fields.optional("ignored")?,
    })
}

pub(crate) fn key_ring(reply: Value) -> Result<KeyRing, ParsingError> {
    let mut fields = Fields::of("a key ring", reply)?;
    Ok(KeyRing {
        file: fields.optional("file")?,
        issuers_file: fields.optional("issuers_file")?,
        file_changed: fields.optional("file_changed")?.unwrap_or(false),
        loaded_at: fields.required("loaded_at")?,
        active_kid: fields.optional("active_kid")?,
        keys: fields.required("keys")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{array, both, map, text};

    #[test]
    fn a_ring_reads_the_same_on_both_protocols() {
        let signs = map(&[
            ("kid", text("1")),
            ("status", text("active")),
            ("alg", text("HS256")),
            ("bits", Value::Int(256)),
            ("can_sign", Value::Boolean(true)),
            ("thumbprint", Value::Nil),
            ("fingerprint", text("hmac:AAAA")),
        ]);
        let ignored = map(&[
            ("issuer", text("")),
            ("kid", Value::Nil),
            ("status", text("ignored")),
            ("ignored", text("it is to encrypt")),
        ]);
        let ring = [
            ("file", text("keys.json")),
            ("issuers_file", text("issuers.json")),
            ("loaded_at", Value::Int(7)),
            ("active_kid", text("1")),
            ("keys", array([signs, ignored])),
        ];
        for reply in both(&ring) {
            let ring = key_ring(reply).unwrap();
            assert_eq!((ring.file.as_deref(), ring.active_kid.as_deref()), (Some("keys.json"), Some("1")));
            assert_eq!(ring.issuers_file.as_deref(), Some("issuers.json"));
            assert_eq!((ring.keys[0].issuer.as_deref(), ring.keys[1].issuer.as_deref()), (None, Some("")));
            assert_eq!(ring.keys[0].fingerprint.as_deref(), Some("hmac:AAAA"));
            assert_eq!((ring.loaded_at.unix_millis(), ring.keys.len()), (7, 2));
            assert_eq!((ring.keys[0].bits, ring.keys[0].can_sign), (Some(256), true));
            assert_eq!(ring.keys[1].ignored.as_deref(), Some("it is to encrypt"));
        }
        assert!(key_ring(text("no map")).is_err());
        assert!(key_ring(map(&[("loaded_at", Value::Int(7)), ("keys", array([text("no key")]))])).is_err());
    }
}
