//! One check for every kind of credential that names a session.

use std::fmt;

use super::ring::KeyRing;
use super::{jwt, opaque};
use crate::{Reason, SessionId, Subject, UnixMillis, base64url};

/// What a token must say beyond being signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPolicy {
    /// The `typ` that a JWT's header must have, if one is set (RFC 8725 section 3.11). It is a media type: letters may
    /// be in either case, and `application/` may be left out (RFC 7515 section 4.1.9).
    pub token_type: Option<String>,
    /// The `iss` that a JWT must have, to the letter, if one is set (RFC 8725 section 3.8).
    pub issuer: Option<String>,
    /// The audience that a JWT's `aud` must hold, if one is set (RFC 8725 section 3.9).
    pub audience: Option<String>,
    /// Seconds by which clocks may differ: how long after `exp` and before `nbf` and `iat` a JWT is good.
    pub leeway_secs: u32,
    /// The longest token that is looked at, in bytes.
    pub max_token_bytes: usize,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self { token_type: None, issuer: None, audience: None, leeway_secs: 0, max_token_bytes: 8192 }
    }
}

impl TokenPolicy {
    /// Whether a header may have this `typ`.
    pub(crate) fn allows_type(&self, typ: Option<&str>) -> bool {
        self.token_type.as_deref().is_none_or(|wanted| {
            let same = |typ: &str| media_type(typ).eq_ignore_ascii_case(media_type(wanted));
            typ.is_some_and(same)
        })
    }
}

/// Without the `application/` that may be left out where no other slash follows.
fn media_type(typ: &str) -> &str {
    match typ.split_once('/') {
        Some((first, rest)) if first.eq_ignore_ascii_case("application") && !rest.contains('/') => rest,
        _ => typ,
    }
}

/// The kind of a token that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenKind {
    /// A signed JWT (RFC 7519).
    Jwt,
    /// An opaque session token, `rst1.`
    Opaque,
    /// A refresh token, `rsr1.`
    Refresh,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The session it is for.
    pub id: SessionId,
    /// Its kind.
    pub kind: TokenKind,
    /// What it tells of the time it was issued.
    pub issued: Issued,
    /// When it ends, without leeway: a JWT's `exp`, or when the session of an opaque token ends at the latest.
    pub expires_at: Option<UnixMillis>,
}

impl Verified {
    /// When it expires by itself, without leeway: a JWT's `exp`. `None` for an opaque token, which is good as long as its
    /// session is: only that decides.
    #[must_use]
    pub fn own_expiry(&self) -> Option<UnixMillis> {
        match self.kind {
            TokenKind::Jwt => self.expires_at,
            TokenKind::Opaque | TokenKind::Refresh => None,
        }
    }
}

/// What a credential tells of the time it was issued, for comparing that with revocations of all of a user's sessions
/// and with the session of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issued {
    /// Nothing: it is no credential, but an id.
    Unsaid,
    /// The second that begins at this time: a JWT's `iat`. One without `iat` counts as issued before everything.
    InSecondOf(UnixMillis),
    /// That it is a token of the session that began at exactly this time: all tokens that are made here say it, JWTs by
    /// their `jti`.
    ForSessionOf(UnixMillis),
}

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
    let opaque = [opaque::PREFIX, opaque::REFRESH_PREFIX].iter().any(|prefix| text.starts_with(prefix.as_bytes()));
    opaque || (text.iter().filter(|byte| **byte == b'.').count() == 2 && opens_object(text))
}

/// Whether `text` has a token in it, be it with something around it: `Bearer eyJ...`, quotes, `token=rst1...`. Such a text
/// is neither a token nor an id, and is not to be told to others than who sent it.
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
        |at: &usize| at.checked_sub(1).and_then(|at| text.get(at)).is_none_or(|b| !b.is_ascii_alphanumeric());
    // The last dot but one: looking for two dots anew behind each `eyJ` would take the square of the length.
    let dots = text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.');
    let last_but_one = dots.map(|(at, _)| at).nth(1);
    let is_inside = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        let opaque = [opaque::PREFIX, opaque::REFRESH_PREFIX].iter().any(|prefix| rest.starts_with(prefix.as_bytes()));
        opaque || (rest.starts_with(b"eyJ") && last_but_one.is_some_and(|dot| dot > at))
    };
    is_token(text) || (0..text.len()).filter(begins_word).any(is_inside)
}

/// Whether the part before the first dot begins a JSON object: `{"` as issuers write it, or what decodes to an object
/// with white space in or before it (RFC 8259 section 2).
fn opens_object(text: &[u8]) -> bool {
    let header = text.split(|byte| *byte == b'.').next().unwrap_or_default();
    let first = |json: Vec<u8>| json.into_iter().find(|byte| !b" \t\n\r".contains(byte));
    header.starts_with(b"eyJ") || base64url::decode(header).and_then(first) == Some(b'{')
}

/// Buffers that checks decode into, to be used again for the next one.
///
/// They grow to the longest token seen, so at most to [`TokenPolicy::max_token_bytes`], and hold the last one's parts.
#[derive(Default)]
pub struct Scratch {
    pub(crate) first: Vec<u8>,
    pub(crate) second: Vec<u8>,
    pub(crate) third: Vec<u8>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// Decodes one part of a token into `buffer`.
pub(crate) fn decode<'b>(part: &[u8], buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Reason> {
    if buffer.len() < part.len() {
        buffer.resize(part.len(), 0);
    }
    base64url::decode_into(part, buffer).ok_or(Reason::Malformed)
}

/// Checks `token`, which came with a request for `subject`, at the time `now`.
///
/// `audience` asks for another audience than the policy's, for this call. Whether the session is alive is not looked at
/// here. A token from elsewhere is as good as ours if a key of the ring signed it; its session is its `sid`, or its
/// `jti`, or, where it has neither, the first 128 bits of its signing input's SHA-256 (which, unlike a hash of the
/// whole token, no respelling of the signature changes).
///
/// # Errors
/// The first [`Reason`], in the order of that enum, for which the token is not good. Nothing in the payload is read
/// before the signature is right, so a payload that is not the JSON it should be answers
/// [`Reason::Malformed`] only if it is signed.
///
/// ```
/// use redis_session_core::token::{KeyRing, Scratch, TokenPolicy, verify};
/// use redis_session_core::{Reason, SessionId, Subject, UnixMillis};
///
/// let ring = KeyRing::ephemeral()?;
/// let (id, user) = (SessionId::random()?, Subject::new(b"42").unwrap());
/// let (now, later) = (UnixMillis::ZERO, UnixMillis::MAX);
/// let token = ring.signing_key().and_then(|key| key.sign_opaque(user, &id, now, later)).unwrap();
///
/// let (policy, mut scratch) = (TokenPolicy::default(), Scratch::default());
/// let mut check = |user| verify(&ring, &policy, user, token.as_bytes(), None, now, &mut scratch);
/// assert_eq!(check(user).unwrap().id, id);
/// assert_eq!(check(Subject::new(b"43").unwrap()), Err(Reason::Subject));
/// # Ok::<(), getrandom::Error>(())
/// ```
pub fn verify(
    ring: &KeyRing,
    policy: &TokenPolicy,
    subject: Subject<'_>,
    token: &[u8],
    audience: Option<&str>,
    now: UnixMillis,
    scratch: &mut Scratch,
) -> Result<Verified, Reason> {
    check(ring, policy, subject, token, audience, scratch).and_then(|checked| checked.at(policy, now))
}

/// What was found out about a token without looking at the clock: all there is to it but the times it hangs on.
pub(crate) struct Checked {
    pub(crate) verified: Verified,
    /// The `nbf` of a JWT.
    pub(crate) not_before: Option<UnixMillis>,
    /// What else is wrong with it. It counts only if the times are right, which come first.
    pub(crate) fault: Option<Reason>,
}

impl Checked {
    /// The answer at the time `now`.
    pub(crate) fn at(&self, policy: &TokenPolicy, now: UnixMillis) -> Result<Verified, Reason> {
        let leeway = u64::from(policy.leeway_secs) * 1000;
        let (now, soon) = (now.get(), now.get().saturating_add(leeway));
        if self.verified.own_expiry().is_some_and(|time| now >= time.get().saturating_add(leeway)) {
            return Err(Reason::TokenExpired);
        }
        // Of a token that says its session, that decides, and not when the clock said what at the time.
        let issued_at = match self.verified.issued {
            Issued::InSecondOf(time) => Some(time),
            Issued::ForSessionOf(_) | Issued::Unsaid => None,
        };
        if [self.not_before, issued_at].into_iter().flatten().any(|time| time.get() > soon) {
            return Err(Reason::NotYetValid);
        }
        match self.fault {
            Some(reason) => Err(reason),
            None => Ok(self.verified.clone()),
        }
    }
}

/// Everything that [`verify`] checks but the times.
pub(crate) fn check(
    ring: &KeyRing,
    policy: &TokenPolicy,
    subject: Subject<'_>,
    token: &[u8],
    audience: Option<&str>,
    scratch: &mut Scratch,
) -> Result<Checked, Reason> {
    if token.len() > policy.max_token_bytes {
        return Err(Reason::Malformed);
    }
    if token.starts_with(opaque::PREFIX.as_bytes()) {
        let verified = opaque::verify(ring, subject, token, scratch)?;
        return Ok(Checked { verified, not_before: None, fault: None });
    }
    if token.starts_with(opaque::REFRESH_PREFIX.as_bytes()) {
        return Err(Reason::Type);
    }
    jwt::check(ring, policy, subject, token, audience.or(policy.audience.as_deref()), scratch)
}
