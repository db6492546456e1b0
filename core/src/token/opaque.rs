//! Opaque session tokens: the user to route by and the session's id, authenticated.
//!
//! ```text
//! rst1 . base64url(user) . base64url(id's text) . base64url(kid 0x00 mac)
//! |------------------ the mac is over this -----|
//! ```
//!
//! A `kid` has no control characters, so the first zero byte ends it whatever the length of the code that follows.
//! The code is made with a key derived for this kind of credential and this `kid`.

use super::key::Key;
use super::ring::KeyRing;
use super::verify::{Scratch, TokenKind, Verified, decode};
use crate::{Reason, SessionId, Subject, base64url};

/// What an opaque session token starts with.
pub(crate) const PREFIX: &str = "rst1.";
/// What a refresh token starts with.
pub(crate) const REFRESH_PREFIX: &str = "rsr1.";

impl Key {
    /// An opaque token for the session `id` of `subject`, authenticated with this key; `None` if it cannot sign.
    ///
    /// It holds no time: it is good as long as its session is.
    #[must_use]
    pub fn sign_opaque(&self, subject: Subject<'_>, id: &SessionId) -> Option<String> {
        if !self.can_sign() {
            return None;
        }
        let mut token = String::from(PREFIX);
        base64url::encode_into(subject.as_str().as_bytes(), &mut token);
        token.push('.');
        base64url::encode_into(id.to_string().as_bytes(), &mut token);
        let tag = self.opaque().tag(token.as_bytes());
        token.push('.');
        base64url::encode_into(&[self.kid().as_bytes(), b"\0", tag.as_bytes()].concat(), &mut token);
        Some(token)
    }
}

/// Checks a token that starts with [`PREFIX`].
pub(crate) fn verify(
    ring: &KeyRing,
    subject: Subject<'_>,
    token: &[u8],
    scratch: &mut Scratch,
) -> Result<Verified, Reason> {
    let (input, seal) = split_last(token).ok_or(Reason::Malformed)?;
    let parts = input.strip_prefix(PREFIX.as_bytes()).ok_or(Reason::Malformed)?;
    // A fifth part would leave a dot in the user, which is no letter of base64url.
    let (user, id) = split_last(parts).ok_or(Reason::Malformed)?;
    let user = decode(user, &mut scratch.first)?;
    let user = Subject::new(user).map_err(|_| Reason::Malformed)?;
    let id = SessionId::from_text(decode(id, &mut scratch.second)?).map_err(|_| Reason::Malformed)?;
    let seal = decode(seal, &mut scratch.third)?;
    let kid_length = seal.iter().position(|byte| *byte == 0).ok_or(Reason::Malformed)?;
    let (kid, tag) = seal.split_at_checked(kid_length).ok_or(Reason::Malformed)?;
    let tag = tag.strip_prefix(b"\0").ok_or(Reason::Malformed)?;
    let kid = std::str::from_utf8(kid).map_err(|_| Reason::Malformed)?;

    let key = ring.get(kid).ok_or(Reason::UnknownKey)?;
    if !key.opaque().verify(input, tag) {
        return Err(Reason::Signature);
    }
    if user != subject {
        return Err(Reason::Subject);
    }
    Ok(Verified { id, kind: TokenKind::Opaque, issued_at: None, expires_at: None })
}

/// What is before and behind the last dot.
fn split_last(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|byte| *byte == b'.')?;
    let (before, behind) = text.split_at_checked(at)?;
    Some((before, behind.strip_prefix(b".")?))
}
