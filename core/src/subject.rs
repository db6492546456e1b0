//! The user that a key belongs to.

use std::fmt;

use thiserror::Error;

/// A user: what a JWT's `sub` says, 1 to 255 bytes of UTF-8 without control characters.
///
/// The bound is OpenID Connect's for `sub` (OpenID Connect Core 1.0 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject<'a>(&'a str);

/// Why a key names no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubjectError {
    /// The key does not start with `session.key-prefix`.
    #[error("does not start with the session.key-prefix")]
    Prefix,
    /// Nothing behind the prefix, or only `{}`.
    #[error("names no user")]
    Empty,
    /// More than [`Subject::MAX_BYTES`] bytes.
    #[error("names a user of more than 255 bytes")]
    TooLong,
    /// Not UTF-8, or control characters in it.
    #[error("names a user that is not UTF-8 text without control characters")]
    NotText,
}

impl<'a> Subject<'a> {
    /// The longest user, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// The user called `name`.
    ///
    /// # Errors
    /// If it is empty, longer than [`Subject::MAX_BYTES`], not UTF-8, or has control characters.
    pub fn new(name: &'a [u8]) -> Result<Self, SubjectError> {
        if name.is_empty() {
            return Err(SubjectError::Empty);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(SubjectError::TooLong);
        }
        let name = std::str::from_utf8(name).map_err(|_| SubjectError::NotText)?;
        if name.chars().any(char::is_control) {
            return Err(SubjectError::NotText);
        }
        Ok(Self(name))
    }

    /// The user whose sessions are stored at `key`: what follows `prefix`, without one pair of `{}` around it,
    /// so that `sessions:{42}` shares a cluster slot with `cart:{42}` and still is user `42`.
    ///
    /// # Errors
    /// If the key lacks the prefix, or what follows is no valid user.
    ///
    /// ```
    /// use redis_session_core::Subject;
    /// assert_eq!(Subject::of_key(b"sessions:{42}", b"sessions:").unwrap().as_str(), "42");
    /// assert!(Subject::of_key(b"cart:42", b"sessions:").is_err());
    /// ```
    pub fn of_key(key: &'a [u8], prefix: &[u8]) -> Result<Self, SubjectError> {
        let name = key.strip_prefix(prefix).ok_or(SubjectError::Prefix)?;
        let bare = name.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
        Self::new(bare.unwrap_or(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_user() {
        let user = |key: &'static str| Subject::of_key(key.as_bytes(), b"sessions:").map(Subject::as_str);
        assert_eq!(user("sessions:42"), Ok("42"));
        assert_eq!(user("sessions:{42}"), Ok("42"));
        assert_eq!(user("sessions:{42"), Ok("{42"));
        assert_eq!(user("sessions:a:b"), Ok("a:b"));
        assert_eq!(user("sessions:{{42}}"), Ok("{42}"));
    }

    #[test]
    fn a_key_without_prefix_or_user_is_refused() {
        let user = |key: &[u8]| Subject::of_key(key, b"sessions:").map(|_| ()).unwrap_err();
        assert_eq!(user(b"42"), SubjectError::Prefix);
        assert_eq!(user(b"sessions"), SubjectError::Prefix);
        assert_eq!(user(b"sessions:"), SubjectError::Empty);
        assert_eq!(user(b"sessions:{}"), SubjectError::Empty);
        assert_eq!(user(b"sessions:\xff"), SubjectError::NotText);
        assert_eq!(user(b"sessions:a\0b"), SubjectError::NotText);
        assert_eq!(user(&[b"sessions:".as_slice(), &[b'x'; 256]].concat()), SubjectError::TooLong);
    }
}
