//! The user that a key belongs to.

use std::fmt;

use thiserror::Error;

/// A user: what a JWT's `sub` says, 1 to 255 bytes of UTF-8 without control characters, the first of them no `{`.
///
/// The bound is OpenID Connect's for `sub` (OpenID Connect Core 1.0 section 2). The brace would make the key of one user
/// that of another: `sessions:{42}` can be user `42`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject<'a>(&'a str);

/// How keys spell a user: the setting `session.key-form`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyForm {
    /// `sessions:42`.
    #[default]
    Plain,
    /// `sessions:{42}`.
    Braces,
    /// Both: two keys of one user.
    Any,
}

/// Why a key names no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubjectError {
    /// The key does not start with `session.key-prefix`.
    #[error("does not start with the session.key-prefix")]
    Prefix,
    /// A `{` follows the prefix, and the form is [`KeyForm::Plain`].
    #[error("has a {{ before the user, and this server takes plain keys (session.key-form plain)")]
    NotPlain,
    /// There are no braces around the user, and the form is [`KeyForm::Braces`].
    #[error("has no braces around the user, and this server takes keys with braces (session.key-form braces)")]
    NoBraces,
    /// The user begins with `{`.
    #[error("names a user that begins with {{")]
    Brace,
    /// Nothing follows the prefix, or only `{}`.
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
    /// If it is empty, longer than [`Subject::MAX_BYTES`], not UTF-8, has control characters, or begins with `{`.
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
        if name.starts_with('{') {
            return Err(SubjectError::Brace);
        }
        Ok(Self(name))
    }

    /// The user whose sessions are stored at `key`, which is `prefix` and the user in this form. A form with braces is
    /// for a cluster, where `sessions:{42}` is in one slot with `cart:{42}`.
    ///
    /// # Errors
    /// If the key lacks the prefix, or has another form, or what it names is no valid user.
    ///
    /// ```
    /// use redis_session_core::{KeyForm, Subject};
    /// let user = |key: &'static str, form| Subject::of_key(key.as_bytes(), b"sessions:", form).map(Subject::as_str);
    /// assert_eq!(user("sessions:42", KeyForm::Plain), Ok("42"));
    /// assert_eq!(user("sessions:{42}", KeyForm::Braces), Ok("42"));
    /// assert!(user("sessions:{42}", KeyForm::Plain).is_err());
    /// assert!(user("cart:42", KeyForm::Plain).is_err());
    /// ```
    pub fn of_key(key: &'a [u8], prefix: &[u8], form: KeyForm) -> Result<Self, SubjectError> {
        let name = key.strip_prefix(prefix).ok_or(SubjectError::Prefix)?;
        if name.is_empty() {
            return Err(SubjectError::Empty);
        }
        let bare = name.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
        match (form, bare) {
            (KeyForm::Plain, _) if name.starts_with(b"{") => Err(SubjectError::NotPlain),
            (KeyForm::Braces, None) => Err(SubjectError::NoBraces),
            (KeyForm::Braces | KeyForm::Any, Some(bare)) => Self::new(bare),
            (KeyForm::Plain | KeyForm::Any, _) => Self::new(name),
        }
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

    const FORMS: [KeyForm; 3] = [KeyForm::Plain, KeyForm::Braces, KeyForm::Any];

    fn user(key: &[u8], form: KeyForm) -> Result<&str, SubjectError> {
        Subject::of_key(key, b"sessions:", form).map(Subject::as_str)
    }

    #[test]
    fn a_key_names_its_user_in_the_form_of_the_server() {
        use SubjectError::{Brace, NoBraces, NotPlain};
        for (key, plain, braces, any) in [
            ("sessions:42", Ok("42"), Err(NoBraces), Ok("42")),
            ("sessions:{42}", Err(NotPlain), Ok("42"), Ok("42")),
            ("sessions:a:b", Ok("a:b"), Err(NoBraces), Ok("a:b")),
            ("sessions:{a:b}", Err(NotPlain), Ok("a:b"), Ok("a:b")),
            ("sessions:a{b}", Ok("a{b}"), Err(NoBraces), Ok("a{b}")),
            ("sessions:{a}b}", Err(NotPlain), Ok("a}b"), Ok("a}b")),
            ("sessions:42}", Ok("42}"), Err(NoBraces), Ok("42}")),
            ("sessions:{42", Err(NotPlain), Err(NoBraces), Err(Brace)),
            ("sessions:{4}2", Err(NotPlain), Err(NoBraces), Err(Brace)),
            ("sessions:{{42}}", Err(NotPlain), Err(Brace), Err(Brace)),
            ("sessions:{{42}", Err(NotPlain), Err(Brace), Err(Brace)),
        ] {
            assert_eq!(FORMS.map(|form| user(key.as_bytes(), form)), [plain, braces, any], "{key}");
        }
    }

    #[test]
    fn a_key_without_prefix_or_user_is_refused_in_every_form() {
        for form in FORMS {
            let refused = |key: &[u8]| user(key, form).unwrap_err();
            assert_eq!(refused(b"42"), SubjectError::Prefix);
            assert_eq!(refused(b"{42}"), SubjectError::Prefix);
            assert_eq!(refused(b"sessions"), SubjectError::Prefix);
            assert_eq!(refused(b"sessions:"), SubjectError::Empty);
            let spelled = |name: &[u8]| match form {
                KeyForm::Braces => [b"sessions:{", name, b"}"].concat(),
                KeyForm::Plain | KeyForm::Any => [b"sessions:", name].concat(),
            };
            assert_eq!(refused(&spelled(b"\xff")), SubjectError::NotText);
            assert_eq!(refused(&spelled(b"a\0b")), SubjectError::NotText);
            assert_eq!(refused(&spelled(&[b'x'; 256])), SubjectError::TooLong);
        }
        assert_eq!(user(b"sessions:{}", KeyForm::Plain), Err(SubjectError::NotPlain));
        assert_eq!(user(b"sessions:{}", KeyForm::Braces), Err(SubjectError::Empty));
        assert_eq!(user(b"sessions:{}", KeyForm::Any), Err(SubjectError::Empty));
    }

    #[test]
    fn one_form_has_one_key_for_each_user() {
        let names = ["42", "{42}", "{42", "42}", "{", "}", "{}", "{{42}}", "}{", "a{42}", "{a}b"];
        let keys = names.map(|name| format!("sessions:{name}"));
        for form in [KeyForm::Plain, KeyForm::Braces] {
            let mut users: Vec<_> = keys.iter().filter_map(|key| user(key.as_bytes(), form).ok()).collect();
            let all = users.len();
            users.sort_unstable();
            users.dedup();
            assert_eq!(users.len(), all, "{form:?}: {users:?}");
        }
    }

    #[test]
    fn no_user_begins_with_a_brace() {
        for name in ["{", "{}", "{42}", "{42", "{{42}}"] {
            assert_eq!(Subject::new(name.as_bytes()), Err(SubjectError::Brace), "{name}");
        }
        for name in ["}", "4{2}", "42}", "}{"] {
            assert_eq!(Subject::new(name.as_bytes()).map(Subject::as_str), Ok(name));
        }
    }
}
