//! Opaque session tokens and refresh tokens: the user to route by and the session's id, authenticated.
//!
//! ```text
//! rst1 . base64url(user) . base64url(id's text) . base64url(kid 0x00 began expires mac)
//! |------------------ the mac is over this -----| and over |-----------|
//!
//! rsr1 . base64url(user) . base64url(id's text) . base64url(generation u32) . base64url(kid 0x00 began mac)
//! |------------------ the mac is over this ---------------------------------| and over |---|
//! ```
//!
//! `began` is when the session began (u48, Unix milliseconds): an id that an application chooses may come again, and
//! must not bring the earlier session's tokens back. `expires` (u48, too) is when the session ends at the latest. A
//! check says it and does not look at it: the session, or what is left of it, decides.
//!
//! A `kid` has no control characters, so the first zero byte ends it whatever the length of the code that follows.
//! The code is made with a key derived for this kind of credential and this `kid`.

use super::cause::Cause;
use super::key::{Key, Own};
use super::mac::MacKey;
use super::ring::KeyRing;
use super::scratch::{Scratch, decode};
use super::shape::{OPAQUE, REFRESH, is_token};
use super::verified::{Checked, Issued, Maker, TokenKind, Verified};
use crate::{SessionId, Subject, UnixMillis, base64url};

/// What a refresh token that was verified says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session it is for.
    pub id: SessionId,
    /// How many rotations came before it.
    pub generation: u32,
    /// When that session began.
    pub session_began_at: UnixMillis,
}

impl Key {
    /// An opaque token for the session `id` of `subject` that began at `began_at` and ends at `expires_at` at the
    /// latest, authenticated with this key; `None` if it cannot sign.
    ///
    /// It does not expire by itself: it is good as long as its session is.
    #[must_use]
    pub fn sign_opaque(
        &self,
        subject: Subject<'_>,
        id: &SessionId,
        began_at: UnixMillis,
        expires_at: UnixMillis,
    ) -> Option<String> {
        self.seal(named(OPAQUE, subject, id), [began_at, expires_at], |own| &own.opaque)
    }

    /// The refresh token of this `generation` for the session `id` of `subject` that began at `began_at`,
    /// authenticated with this key; `None` if it cannot sign.
    ///
    /// It is the same each time, so nothing secret need be stored to give it out again.
    #[must_use]
    pub fn sign_refresh(
        &self,
        subject: Subject<'_>,
        id: &SessionId,
        generation: u32,
        began_at: UnixMillis,
    ) -> Option<String> {
        let mut token = named(REFRESH, subject, id);
        token.push('.');
        base64url::encode_into(&generation.to_be_bytes(), &mut token);
        self.seal(token, [began_at], |own| &own.refresh)
    }

    fn seal<const N: usize>(
        &self,
        mut token: String,
        times: [UnixMillis; N],
        mac: fn(&Own) -> &MacKey,
    ) -> Option<String> {
        let times = times.map(UnixMillis::to_bytes);
        let times = times.as_flattened();
        let (kid, tag) = (self.kid()?, mac(self.signer()?).tag_of(token.as_bytes(), times));
        token.push('.');
        base64url::encode_into(&[kid.as_bytes(), b"\0", times, tag.as_bytes()].concat(), &mut token);
        Some(token)
    }
}

/// The parts that both kinds begin with.
fn named(prefix: &str, subject: Subject<'_>, id: &SessionId) -> String {
    let mut token = String::from(prefix);
    base64url::encode_into(subject.as_str().as_bytes(), &mut token);
    token.push('.');
    base64url::encode_into(id.to_string().as_bytes(), &mut token);
    token
}

/// Checks a token that starts with [`OPAQUE`].
pub(crate) fn check(
    ring: &KeyRing,
    subject: Subject<'_>,
    token: &[u8],
    scratch: &mut Scratch,
) -> Result<Checked, Cause> {
    let (input, seal) = split_last(token).ok_or(Cause::MalformedOpaque)?;
    let parts = input.strip_prefix(OPAQUE.as_bytes()).ok_or(Cause::MalformedOpaque)?;
    let (id, [began_at, expires_at]) = authenticate(ring, subject, (input, parts, seal), |own| &own.opaque, scratch)?;
    let issued = Issued::ForSessionOf(began_at);
    let verified = Verified { id, kind: TokenKind::Opaque, maker: Maker::Here, issued, expires_at: Some(expires_at) };
    Ok(Checked { verified, not_before: None, fault: None })
}

/// Checks a refresh token; see [`Verifier::verify_refresh`](super::Verifier::verify_refresh).
pub(crate) fn check_refresh(
    ring: &KeyRing,
    subject: Subject<'_>,
    token: &[u8],
    scratch: &mut Scratch,
) -> Result<RefreshToken, Cause> {
    if !token.starts_with(REFRESH.as_bytes()) {
        return Err(if is_token(token) { Cause::TypeAccess } else { Cause::MalformedOpaque });
    }
    let (input, seal) = split_last(token).ok_or(Cause::MalformedOpaque)?;
    let (named, generation) = split_last(input).ok_or(Cause::MalformedOpaque)?;
    let parts = named.strip_prefix(REFRESH.as_bytes()).ok_or(Cause::MalformedOpaque)?;
    let generation: [u8; 4] = decode(generation, &mut scratch.first)?.try_into().map_err(|_| Cause::MalformedOpaque)?;
    let (id, [session_began_at]) = authenticate(ring, subject, (input, parts, seal), |own| &own.refresh, scratch)?;
    Ok(RefreshToken { id, generation: u32::from_be_bytes(generation), session_began_at })
}

/// Checks what both kinds have in common: the code (`seal`) over `input`, and that `parts` names the user; the answer is
/// the session's id and the times in the seal.
fn authenticate<const N: usize>(
    ring: &KeyRing,
    subject: Subject<'_>,
    (input, parts, seal): (&[u8], &[u8], &[u8]),
    mac: fn(&Own) -> &MacKey,
    scratch: &mut Scratch,
) -> Result<(SessionId, [UnixMillis; N]), Cause> {
    // One part more would leave a dot in the user, which is no letter of base64url.
    let (user, id) = split_last(parts).ok_or(Cause::MalformedOpaque)?;
    let user = decode(user, &mut scratch.first)?;
    let user = Subject::new(user).map_err(|_| Cause::MalformedOpaque)?;
    let id = SessionId::from_text(decode(id, &mut scratch.second)?).map_err(|_| Cause::MalformedOpaque)?;
    let seal = decode(seal, &mut scratch.third)?;
    let kid_length = seal.iter().position(|byte| *byte == 0).ok_or(Cause::MalformedOpaque)?;
    let (kid, tag) = seal.split_at_checked(kid_length).ok_or(Cause::MalformedOpaque)?;
    let (sealed, tag) =
        tag.strip_prefix(b"\0").and_then(|rest| rest.split_at_checked(6 * N)).ok_or(Cause::MalformedOpaque)?;
    let times: [[u8; 6]; N] = sealed.as_chunks().0.try_into().map_err(|_| Cause::MalformedOpaque)?;
    let kid = std::str::from_utf8(kid).map_err(|_| Cause::MalformedOpaque)?;

    let own = ring.own(kid).ok_or(Cause::UnknownKeyKid)?;
    if !mac(own).verify_of(input, sealed, tag) {
        return Err(Cause::Signature);
    }
    if user != subject {
        return Err(Cause::Subject);
    }
    Ok((id, times.map(UnixMillis::from_bytes)))
}

/// The text before the last dot, and the text after it.
fn split_last(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|byte| *byte == b'.')?;
    let (before, behind) = text.split_at_checked(at)?;
    Some((before, behind.strip_prefix(b".")?))
}
