//! Whose token is this? For finding the key to send it to, before anything has been checked.

use super::claims::Registered;
use super::shape::{OPAQUE, REFRESH};
use crate::{Subject, base64url};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 65_536;

/// The user that `token` claims to be for: a JWT's `sub`, or the user part of an opaque or refresh token; `None` if it
/// is none of these, names no valid user, or is longer than 64 KiB.
///
/// **Nothing is verified.** Anyone can write any user into a token. Use it to find the key to validate the token
/// against, and for nothing else.
#[must_use]
pub fn unverified_subject(token: &[u8]) -> Option<String> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let ours = [OPAQUE, REFRESH].into_iter().find_map(|prefix| token.strip_prefix(prefix.as_bytes()));
    let mut parts = ours.unwrap_or(token).split(|byte| *byte == b'.');
    if ours.is_some() {
        return valid(&base64url::decode(parts.next()?)?);
    }
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    valid(Registered::read(&base64url::decode(payload)?, None)?.subject?.as_bytes())
}

fn valid(user: &[u8]) -> Option<String> {
    Subject::new(user).ok().map(|user| user.as_str().to_owned())
}
