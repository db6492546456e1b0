//! From a user, or a token, to the key that holds the user's sessions.

use redis_session_core::token::unverified_subject;

/// How a user's key is called: the server's `session.key-prefix` and then the user, in the server's `session.key-form`.
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
    /// `sessions:`, as the server's.
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

    /// Write the user as a hash tag, so that on a cluster `sessions:{42}` is in one slot with `cart:{42}`. The server's
    /// `session.key-form` must be `braces`: by default it refuses such keys.
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

    /// The key of this user's sessions. Different users have different keys, whatever characters their names have.
    ///
    /// A name that is empty, longer than 255 bytes, has control characters or begins with `{` is no user's. Its key is
    /// one that the server refuses with an error that says why, whatever its `session.key-form`: so refuse such a name
    /// where accounts are made.
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

    /// The key that the session of this token is in, if it is a session there at all. `None` if the text is no token
    /// that names a user: answer as to any bad credential.
    ///
    /// This is for routing only. It verifies nothing; [`session_validate`](crate::SessionCommands::session_validate)
    /// does, also that the token's user is the key's.
    #[must_use]
    pub fn key_of_token(&self, token: impl AsRef<[u8]>) -> Option<String> {
        unverified_user(token).map(|user| self.key(&user))
    }
}

/// The user that a token claims to be of: a JWT's `sub`, or the user part of a token that starts with `rst1.` or
/// `rsr1.`. `None` if the text is no such token.
///
/// **Nothing is verified.** Anyone can write a token with any user in it. Trust the name once
/// [`session_validate`](crate::SessionCommands::session_validate) with that user's key has answered that the token
/// is active.
///
/// ```
/// // {"alg":"HS256"} . {"sub":"42"} . a signature that nobody looks at
/// let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2ln";
/// assert_eq!(redis_session::unverified_user(token).as_deref(), Some("42"));
/// ```
#[must_use]
pub fn unverified_user(token: impl AsRef<[u8]>) -> Option<String> {
    unverified_subject(token.as_ref())
}

#[cfg(test)]
mod tests {
    use redis_session_core::{KeyForm, Subject, base64url};

    use super::*;

    fn jwt(payload: &str) -> String {
        format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", base64url::encode(payload.as_bytes()))
    }

    #[test]
    fn every_kind_of_token_leads_to_its_users_key() {
        let key = |token: &str| KeyPrefix::default().key_of_token(token);
        assert_eq!(key(&jwt(r#"{"sid":"x","sub":"42","roles":["a",{"b":1}]}"#)).unwrap(), "sessions:42");
        assert_eq!(key(&jwt(r#"{"sub":"J\u00fcrgen \"J\""}"#)).unwrap(), "sessions:Jürgen \"J\"");
        assert_eq!(key("rst1.NDI.AAECAwQFBgcICQoLDA0ODw.c2ln").unwrap(), "sessions:42");
        assert_eq!(key("rsr1.NDI.AAECAwQFBgcICQoLDA0ODw.AA.c2ln").unwrap(), "sessions:42");
    }

    #[test]
    fn the_prefix_and_the_hash_tag_are_those_of_the_application() {
        let token = jwt(r#"{"sub":"42"}"#);
        assert_eq!(KeyPrefix::new("app:s:").key_of_token(&token).unwrap(), "app:s:42");
        assert_eq!(KeyPrefix::default().hash_tag().key_of_token(token.as_bytes()).unwrap(), "sessions:{42}");
    }

    #[test]
    fn no_user_can_be_named_so_that_the_key_is_anothers() {
        let forms = [KeyForm::Plain, KeyForm::Braces, KeyForm::Any];
        for keys in [KeyPrefix::default(), KeyPrefix::default().hash_tag(), KeyPrefix::new("")] {
            for user in ["42", "{42}", "{{42}}", "{42", "42}", "{", "}", "{}", "}{", "a{42}", "{a}b", "sessions:42"] {
                let key = keys.key(user);
                let found = forms.map(|form| Subject::of_key(key.as_bytes(), keys.prefix.as_bytes(), form).ok());
                let [plain, braces, any] = found.map(|found| found.map(Subject::as_str));
                let expected = Some(user).filter(|user| !user.starts_with('{'));
                let (tagged, untagged) = if keys.hash_tag { (expected, None) } else { (None, expected) };
                assert_eq!((plain, braces, any), (untagged, tagged, expected), "{key}");
            }
        }
    }

    #[test]
    fn no_token_leads_to_a_user_that_begins_with_a_brace() {
        for token in [&jwt(r#"{"sub":"{42}"}"#), "rst1.ezQyfQ.AAECAwQFBgcICQoLDA0ODw.c2ln"] {
            assert_eq!(KeyPrefix::default().key_of_token(token), None, "{token}");
            assert_eq!(unverified_user(token), None, "{token}");
        }
    }

    #[test]
    fn what_is_no_token_leads_nowhere() {
        let deep = jwt(&format!(r#"{{"sub":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000)));
        let long = jwt(&format!(r#"{{"sub":"{}"}}"#, "x".repeat(256)));
        for garbage in [
            "",
            ".",
            "..",
            "...",
            "....",
            "a.b.c",
            "Bearer x",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2ln.x",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9=.c2ln",
            "rst1..AAECAwQFBgcICQoLDA0ODw.c2ln",
            "rst1.!.AAECAwQFBgcICQoLDA0ODw.c2ln",
            "rst1._w.AAECAwQFBgcICQoLDA0ODw.c2ln",
            "rst2.NDI.AAECAwQFBgcICQoLDA0ODw.c2ln",
            &jwt(""),
            &jwt("null"),
            &jwt("{}"),
            &jwt(r#"{"sub":42}"#),
            &jwt(r#"{"sub":""}"#),
            &jwt(r#"{"sub":null}"#),
            &jwt(r#"{"sub":"a","sub":"b"}"#),
            &jwt(r#"{"sub":"a\u0000b"}"#),
            &jwt(r#"{"sub":"42"} x"#),
            &jwt(r#"[{"sub":"42"}]"#),
            &long,
            &deep,
        ] {
            let start = garbage.get(..60).unwrap_or(garbage);
            assert_eq!(KeyPrefix::default().key_of_token(garbage), None, "{start:?}");
        }
        assert_eq!(unverified_user([0xff, b'.', 0, b'.', 0xfe]), None);
    }
}
