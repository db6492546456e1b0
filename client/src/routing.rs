//! Finds the key of a user, or of a token's user.

use crate::subject::unverified_user;

/// How keys are named: the server's `session.key-prefix` and then the user, in the server's `session.key-form`.
///
/// ```
/// use redis_session::KeyPrefix;
///
/// let keys = KeyPrefix::default();
/// assert_eq!(keys.key("42"), "sessions:42");
/// assert_eq!(keys.key_of_token("rst1.NDI.AAECAwQFBgcICQoLDA0ODw.c2ln").as_deref(), Some("sessions:42"));
/// assert_eq!(keys.key_of_token("no token at all"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyPrefix {
    prefix: String,
    hash_tag: bool,
}

impl Default for KeyPrefix {
    /// `sessions:`, the server's default.
    fn default() -> Self {
        Self::new("sessions:")
    }
}

impl KeyPrefix {
    /// Another prefix, which must be the server's `session.key-prefix`.
    #[must_use]
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), hash_tag: false }
    }

    /// Writes the user as a hash tag, so that on a cluster `sessions:{42}` is in one slot with `cart:{42}`. The
    /// server's `session.key-form` must be `braces`: the default refuses such keys.
    ///
    /// ```
    /// use redis_session::KeyPrefix;
    ///
    /// assert_eq!(KeyPrefix::default().hash_tag().key("42"), "sessions:{42}");
    /// ```
    #[must_use]
    pub fn hash_tag(mut self) -> Self {
        self.hash_tag = true;
        self
    }

    /// The key of this user's sessions. Different users have different keys, whatever characters their names contain.
    ///
    /// A name must not be empty, longer than 255 bytes, contain control characters or begin with `{`. The server
    /// refuses the key of such a name with an error that says why, whatever its `session.key-form`. So refuse such
    /// names when you create accounts.
    ///
    /// ```
    /// use redis_session::KeyPrefix;
    ///
    /// // Not `sessions:{42}`, which can be user 42's.
    /// assert_eq!(KeyPrefix::default().key("{42}"), "sessions:{{42}}");
    /// ```
    #[must_use]
    pub fn key(&self, user: &str) -> String {
        let prefix = &self.prefix;
        if self.hash_tag || user.starts_with('{') { format!("{prefix}{{{user}}}") } else { format!("{prefix}{user}") }
    }

    /// The key of this token's session, if it has one. `None` if the text is not a token that names a user: answer as
    /// for any bad credential.
    ///
    /// Use it for routing only. It verifies nothing; [`session_validate`](crate::SessionCommands::session_validate)
    /// does, and also checks that the token's user is the key's.
    #[must_use]
    pub fn key_of_token(&self, token: impl AsRef<[u8]>) -> Option<String> {
        unverified_user(token).map(|user| self.key(&user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::jwt;

    #[test]
    fn a_token_leads_to_its_users_key() {
        let token = jwt(r#"{"sub":"42"}"#);
        assert_eq!(KeyPrefix::default().key_of_token(&token).unwrap(), "sessions:42");
        assert_eq!(KeyPrefix::new("app:s:").key_of_token(&token).unwrap(), "app:s:42");
        assert_eq!(KeyPrefix::default().hash_tag().key_of_token(token.as_bytes()).unwrap(), "sessions:{42}");
        assert_eq!(KeyPrefix::default().key_of_token("rst1.NDI.AAECAwQFBgcICQoLDA0ODw.c2ln").unwrap(), "sessions:42");
    }

    #[test]
    fn what_is_no_token_leads_nowhere() {
        for token in ["", "a.b.c", &jwt(r#"{"sub":"{42}"}"#), "rst1.ezQyfQ.AAECAwQFBgcICQoLDA0ODw.c2ln"] {
            assert_eq!(KeyPrefix::default().key_of_token(token), None, "{token}");
        }
    }
}
