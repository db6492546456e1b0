//! What tokens look like, before anything of one is checked.

use std::cell::OnceCell;

use crate::base64url;

/// What an opaque session token starts with.
pub(crate) const OPAQUE: &str = "rst1.";
/// What a refresh token starts with.
pub(crate) const REFRESH: &str = "rsr1.";

/// Whether `text`, given where either a session id or a token may stand, is to be read as a token: it has the prefix
/// of an opaque one, or the shape of a JWT (three parts, the first of which is the base64url of a JSON object).
///
/// Ids that look like that are refused when a session begins, so neither can be taken for the other.
///
/// ```
/// use redis_session_core::token::is_token;
/// assert!(is_token(b"eyJhbGciOiJIUzI1NiJ9.e30.AA") && is_token(b"rst1.NDI.aWQ.AA"));
/// assert!(is_token(b"eyAiYWxnIjogIkhTMjU2IiB9.e30.AA")); // `{ "alg": "HS256" }`
/// assert!(!is_token(b"0190163d-8694-739b-aea5-966c26f8ad91") && !is_token(b"a.b.c"));
/// ```
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    let opaque = [OPAQUE, REFRESH].iter().any(|prefix| text.starts_with(prefix.as_bytes()));
    opaque || (text.iter().filter(|byte| **byte == b'.').count() == 2 && opens_object(text))
}

/// Whether `text` has a token in it, perhaps with something around it: `Bearer eyJ...`, quotes, `token=rst1...`. Such a
/// text is neither a token nor an id. Logs and replies must not repeat it.
///
/// ```
/// use redis_session_core::token::holds_token;
/// assert!(holds_token(b"eyJhbGciOiJIUzI1NiJ9.e30.AA") && holds_token(b"Bearer eyJhbGciOiJIUzI1NiJ9.e30.AA"));
/// assert!(holds_token(b"\"rst1.NDI.aWQ.AA\""));
/// assert!(!holds_token(b"first1.example") && !holds_token(b"eyJ"));
/// ```
#[must_use]
pub fn holds_token(text: &[u8]) -> bool {
    let begins_word =
        |at: usize| at.checked_sub(1).and_then(|at| text.get(at)).is_none_or(|b| !b.is_ascii_alphanumeric());
    // The last dot but one: looking for two dots after each `eyJ` would take the square of the length.
    let last_but_one = OnceCell::new();
    let find_last_but_one = || {
        let dots = text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.');
        dots.map(|(at, _)| at).nth(1)
    };
    let is_inside = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        let opaque = [OPAQUE, REFRESH].iter().any(|prefix| rest.starts_with(prefix.as_bytes()));
        opaque || (rest.starts_with(b"eyJ") && last_but_one.get_or_init(find_last_but_one).is_some_and(|dot| dot > at))
    };
    // The first letters of the three decide for most places.
    let begins = |byte: u8| matches!(byte, b'e' | b'r');
    let mut places = text.iter().enumerate().filter(|(_, byte)| begins(**byte)).map(|(at, _)| at);
    is_token(text) || places.any(|at| begins_word(at) && is_inside(at))
}

/// Whether the part before the first dot begins a JSON object: `{"` as issuers write it, or what decodes to an object
/// with white space in or before it (RFC 8259 section 2).
fn opens_object(text: &[u8]) -> bool {
    let header = text.split(|byte| *byte == b'.').next().unwrap_or_default();
    let first = |json: Vec<u8>| json.into_iter().find(|byte| !b" \t\n\r".contains(byte));
    header.starts_with(b"eyJ") || base64url::decode(header).and_then(first) == Some(b'{')
}
