//! Encrypted session data: the client seals each field, in the format that docs/sealed-data.md specifies for all
//! languages.
//!
//! ```text
//! sealed value   version 1 | length of kid u8 | kid | nonce (24) | XChaCha20-Poly1305 ciphertext | tag (16)
//! associated     "redis-session data" | all up to the nonce | user | id | field, each with its length u32 in front
//! ```
//!
//! Nonces are random. With 192 bits there is no practical limit on the number of fields that one key can seal. The
//! associated data bind a value to its place, so an attacker who can write to Redis cannot move it to another session.
//! Field names are not sealed, because the server must tell fields apart. The length of a sealed value depends on the
//! length of the key's id.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use redis_session::SessionData;

use crate::data::{Fields, name_of};
use crate::error::DataError;

const VERSION: u8 = 1;
const NONCE: usize = 24;

/// The keys that session data are sealed with: one to seal, and any number of older ones to open.
///
/// ```
/// use redis_session_store::DataKeys;
///
/// let (old, new) = ([1; 32], [2; 32]); // from the application's own store of secrets
/// let keys = DataKeys::new("2026-11", new)?.older("2026-05", old)?;
/// # Ok::<(), redis_session_store::DataKeysError>(())
/// ```
///
/// A field that an older key sealed is sealed with the first key when it is next set. Remove a key when the last
/// session that was written with it has ended.
#[derive(Clone)]
pub struct DataKeys(Vec<(String, XChaCha20Poly1305)>);

/// An invalid id of a key: an id has 1 to 255 bytes, and each id may be given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataKeysError(());

impl fmt::Display for DataKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key's id must have 1 to 255 bytes and be given once")
    }
}

impl std::error::Error for DataKeysError {}

/// Shows the ids alone.
impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(kid, _)| kid)).finish()
    }
}

impl DataKeys {
    /// The key to seal with, 32 bytes from a CSPRNG, and its id.
    ///
    /// # Errors
    /// If the id is empty or longer than 255 bytes.
    pub fn new(kid: impl Into<String>, key: [u8; 32]) -> Result<Self, DataKeysError> {
        Self(Vec::new()).older(kid, key)
    }

    /// Adds an older key, which only opens.
    ///
    /// # Errors
    /// If the id is empty, longer than 255 bytes, or given already.
    pub fn older(mut self, kid: impl Into<String>, key: [u8; 32]) -> Result<Self, DataKeysError> {
        let kid = kid.into();
        if kid.is_empty() || kid.len() > 255 || self.0.iter().any(|(known, _)| *known == kid) {
            return Err(DataKeysError(()));
        }
        self.0.push((kid, XChaCha20Poly1305::new(&key.into())));
        Ok(self)
    }

    pub(crate) fn seal(&self, user: &str, id: &str, field: &str, value: &[u8]) -> Result<Vec<u8>, DataError> {
        let (kid, cipher) = self.0.first().ok_or(DataError::Randomness)?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| DataError::Randomness)?;
        let mut sealed = header(kid);
        let aad = associated(&sealed, user, id, field);
        let ciphertext =
            cipher.encrypt(&XNonce::from(nonce), Payload { msg: value, aad: &aad }).map_err(|_| DataError::Sealed)?;
        sealed.extend(nonce);
        sealed.extend(ciphertext);
        Ok(sealed)
    }

    pub(crate) fn open(&self, user: &str, id: &str, field: &str, sealed: &[u8]) -> Result<Vec<u8>, DataError> {
        self.try_open(user, id, field, sealed).ok_or(DataError::Sealed)
    }

    fn try_open(&self, user: &str, id: &str, field: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = sealed.split_at_checked(2)?;
        let [VERSION, length] = *head else { return None };
        let (kid, rest) = rest.split_at_checked(usize::from(length))?;
        let (kid, cipher) = self.0.iter().find(|(known, _)| known.as_bytes() == kid)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>()?;
        let aad = associated(&header(kid), user, id, field);
        cipher.decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &aad }).ok()
    }

    pub(crate) fn open_all(&self, user: &str, id: &str, data: &SessionData) -> Result<Fields, DataError> {
        data.iter()
            .map(|(name, value)| {
                let name = name_of(name)?;
                let value = self.open(user, id, &name, value)?;
                Ok((name, value))
            })
            .collect()
    }

    /// Finds the fields that are sealed for the old id of a session and not for the new one; and an error for the first
    /// field that opens for neither.
    pub(crate) fn reopen(
        &self,
        user: &str,
        old_id: &str,
        new_id: &str,
        data: &SessionData,
    ) -> (Fields, Option<DataError>) {
        let (mut fields, mut unopened) = (Vec::new(), None);
        for (name, value) in data.iter() {
            let opened = name_of(name).and_then(|name| match self.open(user, new_id, &name, value) {
                Ok(_) => Ok(None),
                Err(_) => self.open(user, old_id, &name, value).map(|value| Some((name, value))),
            });
            match opened {
                Ok(field) => fields.extend(field),
                Err(error) => unopened = unopened.or(Some(error)),
            }
        }
        (fields, unopened)
    }
}

fn header(kid: &str) -> Vec<u8> {
    let mut header = vec![VERSION, u8::try_from(kid.len()).unwrap_or(0)];
    header.extend(kid.as_bytes());
    header
}

fn associated(header: &[u8], user: &str, id: &str, field: &str) -> Vec<u8> {
    let mut aad = b"redis-session data".to_vec();
    aad.extend(header);
    for part in [user, id, field] {
        aad.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        aad.extend(part.as_bytes());
    }
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> DataKeys {
        DataKeys::new("new", [2; 32]).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_alone() {
        let sealed = keys().seal("42", "id", "cart", b"a secret book").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(keys().open("42", "id", "cart", &sealed).unwrap(), b"a secret book");
        for (user, id, field) in
            [("43", "id", "cart"), ("42", "ie", "cart"), ("42", "id", "name"), ("4", "2id", "cart")]
        {
            assert!(keys().open(user, id, field, &sealed).is_err(), "{user} {id} {field}");
        }
    }

    /// The test vectors that all languages share, explained in docs/sealed-data.md. The file is a symbolic link, so
    /// that the crate's archive contains it.
    #[test]
    fn the_test_vectors_open() {
        let file = include_bytes!("../sealed-data.json");
        let vectors: serde_json::Value = serde_json::from_slice(file).unwrap();
        let bytes = |hex: &serde_json::Value| -> Vec<u8> {
            let hex = hex.as_str().unwrap().as_bytes();
            hex.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
        };
        let values = vectors["values"].as_array().unwrap();
        assert!(values.len() > 2);
        for value in values {
            let text = |name: &str| value[name].as_str().unwrap();
            let key = bytes(&vectors["keys"][text("kid")]).try_into().unwrap();
            let keys = DataKeys::new(text("kid"), key).unwrap();
            let (user, id, field) = (text("user"), text("id"), text("field"));
            assert_eq!(associated(&header(text("kid")), user, id, field), bytes(&value["aad"]));
            assert_eq!(keys.open(user, id, field, &bytes(&value["sealed"])).unwrap(), bytes(&value["value"]));
        }
    }

    #[test]
    fn a_changed_value_does_not_open() {
        let sealed = keys().seal("42", "id", "cart", b"value").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys().open("42", "id", "cart", &changed).is_err(), "byte {at}");
            assert!(keys().open("42", "id", "cart", &sealed[..at]).is_err(), "cut to {at}");
        }
        assert!(keys().open("42", "id", "cart", b"\"plain\"").is_err(), "what was never sealed");
    }

    #[test]
    fn an_older_key_opens_and_the_first_seals() {
        let before = keys().seal("42", "id", "cart", b"value").unwrap();
        let rotated = DataKeys::new("newer", [3; 32]).unwrap().older("new", [2; 32]).unwrap();
        assert_eq!(rotated.open("42", "id", "cart", &before).unwrap(), b"value");
        let after = rotated.seal("42", "id", "cart", b"value").unwrap();
        assert!(keys().open("42", "id", "cart", &after).is_err(), "that key is not known there");
        let other = DataKeys::new("new", [9; 32]).unwrap();
        assert!(other.open("42", "id", "cart", &before).is_err(), "another key of that name");
    }

    #[test]
    fn no_two_sealed_values_are_alike() {
        let seal = || keys().seal("42", "id", "cart", b"value").unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn ids_of_keys_are_checked() {
        assert!(DataKeys::new("", [0; 32]).is_err());
        assert!(DataKeys::new("x".repeat(256), [0; 32]).is_err());
        assert!(keys().older("new", [1; 32]).is_err());
        assert_eq!(format!("{:?}", keys()), "[\"new\"]");
    }
}
