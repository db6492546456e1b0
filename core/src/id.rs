//! Session ids.

use std::fmt;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::base64url;

/// A session's id.
///
/// Ids made here are 128 bits from a CSPRNG, written as 22 characters of base64url. Ids that an application
/// brings keep their exact text, 1 to [`SessionId::MAX_BYTES`] bytes of UTF-8 without control characters.
/// The common texts (ours, a lower-case UUID, 32 lower-case hex digits) are kept as 16 bytes; each text has
/// exactly one form, so two ids are equal just when their texts are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Form);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Form {
    /// 16 bytes and how they are spelled.
    Compact(Spelling, [u8; 16]),
    /// Any other text.
    Text(Box<str>),
}

/// How 16 bytes are written as an id's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Spelling {
    /// 22 characters of base64url: the ids made here.
    Base64Url,
    /// `8-4-4-4-12` lower-case hex digits (RFC 9562 section 4).
    Uuid,
    /// 32 lower-case hex digits.
    Hex,
}

/// Why a text is no session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionIdError {
    /// No text at all.
    #[error("is empty")]
    Empty,
    /// More than [`SessionId::MAX_BYTES`] bytes.
    #[error("is longer than 128 bytes")]
    TooLong,
    /// Not UTF-8, or control characters in it.
    #[error("is not UTF-8 text without control characters")]
    NotText,
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl SessionId {
    /// The longest id, in bytes of text.
    pub const MAX_BYTES: usize = 128;

    /// A new id of 128 random bits (OWASP ASVS 7.2.3) from the operating system's CSPRNG.
    ///
    /// # Errors
    /// If the operating system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self::from_random(bytes))
    }

    /// The id made of these 16 bytes, which must come from a CSPRNG.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(Form::Compact(Spelling::Base64Url, bytes))
    }

    /// The id with this text.
    ///
    /// # Errors
    /// If the text is empty, too long, not UTF-8, or has control characters.
    pub fn from_text(text: &[u8]) -> Result<Self, SessionIdError> {
        if text.is_empty() {
            return Err(SessionIdError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(SessionIdError::TooLong);
        }
        if let Some(form) = compact(text) {
            return Ok(Self(form));
        }
        let text = std::str::from_utf8(text).map_err(|_| SessionIdError::NotText)?;
        if text.chars().any(char::is_control) {
            return Err(SessionIdError::NotText);
        }
        Ok(Self(Form::Text(text.into())))
    }

    /// The id here of what the issuer `iss` calls `text`, a `sid` or `jti` of any length: the first 128 bits of a hash of
    /// both. So an issuer's ids are never those of sessions that began here, nor another issuer's. `iss` is empty for
    /// tokens that have none.
    ///
    /// ```text
    /// SHA-256( "redis-session id of an issuer" 0x00 | length of iss u64 | iss | text )     numbers big-endian
    /// ```
    ///
    /// # Errors
    /// If `text` is empty.
    ///
    /// ```
    /// use redis_session_core::SessionId;
    /// let id = SessionId::of_issuer("https://id.example.com/", b"08a5019c-17e1-4977-8f42-65a12843ea02")?;
    /// assert_eq!(id.to_string().len(), 22);
    /// # Ok::<(), redis_session_core::SessionIdError>(())
    /// ```
    pub fn of_issuer(iss: &str, text: &[u8]) -> Result<Self, SessionIdError> {
        if text.is_empty() {
            return Err(SessionIdError::Empty);
        }
        let length = u64::try_from(iss.len()).unwrap_or(u64::MAX).to_be_bytes();
        Ok(Self::hash_of(b"redis-session id of an issuer\0", &[&length, iss.as_bytes(), text]))
    }

    /// The id here of what the application calls `text` in its tokens: that text, or, if it is longer than
    /// [`SessionId::MAX_BYTES`], the first 128 bits of a hash of it.
    ///
    /// # Errors
    /// If the text is empty, or short enough and not UTF-8 text without control characters.
    pub fn of_application(text: &[u8]) -> Result<Self, SessionIdError> {
        if text.len() <= Self::MAX_BYTES {
            return Self::from_text(text);
        }
        Ok(Self::hash_of(b"redis-session long id\0", &[text]))
    }

    fn hash_of(label: &[u8], parts: &[&[u8]]) -> Self {
        let hash = parts.iter().fold(Sha256::new().chain_update(label), |hash, part| hash.chain_update(part));
        let digest: [u8; 32] = hash.finalize().into();
        Self::from_random(digest.first_chunk().copied().unwrap_or_default())
    }

    pub(crate) fn from_form(form: Form) -> Self {
        Self(form)
    }

    pub(crate) fn form(&self) -> &Form {
        &self.0
    }
}

/// The 16-byte form of `text`, if it is exactly one of the three spellings.
fn compact(text: &[u8]) -> Option<Form> {
    let mut bytes = [0; 16];
    match text.len() {
        22 => match base64url::decode_into(text, &mut bytes)?.len() {
            16 => Some(Form::Compact(Spelling::Base64Url, bytes)),
            _ => None,
        },
        32 => {
            from_hex(text.iter().copied(), &mut bytes)?;
            Some(Form::Compact(Spelling::Hex, bytes))
        }
        36 => {
            let mut digits = [0; 32];
            let mut free = digits.iter_mut();
            for (at, byte) in text.iter().enumerate() {
                if matches!(at, 8 | 13 | 18 | 23) {
                    if *byte != b'-' {
                        return None;
                    }
                } else {
                    *free.next()? = *byte;
                }
            }
            from_hex(digits.into_iter(), &mut bytes)?;
            Some(Form::Compact(Spelling::Uuid, bytes))
        }
        _ => None,
    }
}

fn from_hex(mut digits: impl Iterator<Item = u8>, bytes: &mut [u8; 16]) -> Option<()> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    for byte in bytes {
        *byte = (value(digits.next()?)? << 4) | value(digits.next()?)?;
    }
    Some(())
}

impl SessionId {
    /// Its text; `buffer` is room for it where it is not kept as text.
    ///
    /// ```
    /// use redis_session_core::SessionId;
    /// let id = SessionId::from_text(b"0190163d-8694-739b-aea5-966c26f8ad91").unwrap();
    /// assert_eq!(id.text(&mut [0; 36]), "0190163d-8694-739b-aea5-966c26f8ad91");
    /// ```
    pub fn text<'a>(&'a self, buffer: &'a mut [u8; 36]) -> &'a str {
        let length = match &self.0 {
            Form::Text(text) => return text,
            Form::Compact(Spelling::Base64Url, bytes) => base64url::encode_to(bytes, buffer),
            Form::Compact(spelling, bytes) => {
                let dashes: &[usize] = if *spelling == Spelling::Uuid { &[4, 6, 8, 10] } else { &[] };
                let digits = bytes.iter().enumerate().flat_map(|(at, byte)| {
                    let dash = dashes.contains(&at).then_some(b'-');
                    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied();
                    [dash, digit(byte >> 4), digit(byte & 15)]
                });
                buffer.iter_mut().zip(digits.flatten()).map(|(place, letter)| *place = letter).count()
            }
        };
        buffer.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; 36]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_compact(text: &str) -> bool {
        matches!(SessionId::from_text(text.as_bytes()).unwrap().0, Form::Compact(..))
    }

    #[test]
    fn common_texts_take_16_bytes_and_come_back_to_the_letter() {
        for text in
            ["AAECAwQFBgcICQoLDA0ODw", "0190163d-8694-739b-aea5-966c26f8ad91", "0190163d8694739baea5966c26f8ad91"]
        {
            assert!(is_compact(text), "{text}");
            assert_eq!(SessionId::from_text(text.as_bytes()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn respelled_texts_are_other_ids() {
        for text in [
            "0190163D-8694-739B-AEA5-966C26F8AD91",
            "0190163D8694739BAEA5966C26F8AD91",
            "AAECAwQFBgcICQoLDA0ODx",
            "0190163d-8694739b--aea5-966c26f8ad91",
        ] {
            assert!(!is_compact(text), "{text}");
            assert_eq!(SessionId::from_text(text.as_bytes()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let refused = |text: &[u8]| SessionId::from_text(text).unwrap_err();
        assert_eq!(refused(b""), SessionIdError::Empty);
        assert_eq!(refused(&[b'x'; 129]), SessionIdError::TooLong);
        assert_eq!(refused(b"a\xff"), SessionIdError::NotText);
        assert_eq!(refused(b"a\nb"), SessionIdError::NotText);
    }

    #[test]
    fn random_ids_are_22_characters_and_differ() {
        let (one, two) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        assert_eq!(one.to_string().len(), 22);
        assert_ne!(one, two);
        assert!(is_compact(&one.to_string()));
    }

    #[test]
    fn an_issuers_ids_are_hashes_of_both_names_with_their_lengths() {
        // printf 'redis-session id of an issuer\0\0\0\0\0\0\0\0\1ab' | sha256sum, its first 16 bytes
        let id = SessionId::of_issuer("a", b"b").unwrap();
        assert_eq!(id.to_string(), "pN5L9CpE0hTB96Sl7z7h4A");
        for (iss, text) in [("", &b"ab"[..]), ("ab", b"c"), ("b", b"a"), ("a", b"b "), ("A", b"b")] {
            assert_ne!(SessionId::of_issuer(iss, text).unwrap(), id);
        }
        assert_ne!(SessionId::of_issuer("ab", b"c").unwrap(), SessionId::of_issuer("a", b"bc").unwrap());
        assert!(is_compact(&SessionId::of_issuer("a", &[0xff; 5000]).unwrap().to_string()));
        assert_eq!(SessionId::of_issuer("a", b""), Err(SessionIdError::Empty));
    }

    #[test]
    fn a_long_id_of_the_applications_is_taken_by_its_hash() {
        let (longest, longer) = ([b'x'; 128], [b'x'; 129]);
        assert_eq!(SessionId::of_application(&longest), SessionId::from_text(&longest));
        let id = SessionId::of_application(&longer).unwrap();
        assert_eq!(id.to_string().len(), 22);
        assert_ne!(SessionId::of_application(&[b'x'; 130]).unwrap(), id);
        assert_ne!(SessionId::of_issuer("", &longer).unwrap(), id);
        assert_eq!(SessionId::of_application(b""), Err(SessionIdError::Empty));
        assert_eq!(SessionId::of_application(b"a\n"), Err(SessionIdError::NotText));
    }

    proptest! {
        #[test]
        fn every_text_comes_back_to_the_letter(text in "[ -~é]{1,64}") {
            prop_assert_eq!(SessionId::from_text(text.as_bytes()).unwrap().to_string(), text);
        }

        #[test]
        fn every_16_bytes_have_one_text_in_each_spelling(bytes: [u8; 16]) {
            for spelling in [Spelling::Base64Url, Spelling::Uuid, Spelling::Hex] {
                let id = SessionId(Form::Compact(spelling, bytes));
                prop_assert_eq!(SessionId::from_text(id.to_string().as_bytes()).unwrap(), id);
            }
        }
    }
}
