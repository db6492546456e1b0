//! JWTs (RFC 7519) in the compact form (RFC 7515 section 7.1): signing and checking them.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::{Error as _, MapAccess};
use sha2::{Digest as _, Sha256};

use super::algorithm::Algorithm;
use super::claims::{Claims, Registered};
use super::json::{self, Members, Text, Walk};
use super::jti;
use super::key::{Key, TYPE, header};
use super::policy::Demands;
use super::ring::KeyRing;
use super::scratch::{Scratch, decode};
use super::shape::is_token;
use super::verified::{Checked, Issued, TokenKind, Verified};
use crate::{Reason, SessionId, Subject, UnixMillis, base64url};

/// What a new JWT is to say.
#[derive(Clone, Copy, Debug)]
pub struct NewToken<'a> {
    /// `sub`: the user.
    pub subject: Subject<'a>,
    /// `sid`: the session.
    pub session: &'a SessionId,
    /// When the session began: `jti` says it, so that the token is of no other session with this id.
    pub began_at: UnixMillis,
    /// How often the session's refresh token was exchanged: `jti` says it, so that each token has one of its own.
    pub generation: u32,
    /// `iat`, which is in whole seconds: rounded down.
    pub issued_at: UnixMillis,
    /// `exp`, which is in whole seconds: rounded down, so that no token outlives its session.
    pub expires_at: UnixMillis,
    /// The header's `typ`; `JWT` if none is given.
    pub token_type: Option<&'a str>,
    /// `iss`, if any.
    pub issuer: Option<&'a str>,
    /// `aud`, if any.
    pub audience: Option<&'a str>,
    /// The caller's own claims, which come last.
    pub claims: Option<&'a Claims>,
}

/// The claims that a token is made with, in their order.
#[derive(Serialize)]
struct Payload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    exp: u64,
    iat: u64,
    jti: &'a str,
    sid: &'a str,
}

impl NewToken<'_> {
    fn payload(&self) -> Option<Vec<u8>> {
        let sid = self.session.to_string();
        let registered = Payload {
            iss: self.issuer,
            sub: self.subject.as_str(),
            aud: self.audience,
            exp: self.expires_at.as_secs(),
            iat: self.issued_at.as_secs(),
            jti: &jti::make(&sid, self.began_at, self.generation),
            sid: &sid,
        };
        let mut payload = serde_json::to_vec(&registered).ok()?;
        if let Some(own) = self.claims.map(Claims::members).filter(|own| !own.is_empty()) {
            payload.pop();
            payload.push(b',');
            payload.extend_from_slice(own.as_bytes());
            payload.push(b'}');
        }
        Some(payload)
    }
}

impl Key {
    /// A JWT signed with this key; `None` if it cannot sign.
    ///
    /// The length of the result is the caller's to bound, see [`Claims::parse`].
    #[must_use]
    pub fn sign_jwt(&self, token: &NewToken<'_>) -> Option<String> {
        let own = self.signer()?;
        let payload = token.payload()?;
        let header = match token.token_type {
            None | Some(TYPE) => Cow::Borrowed(&*own.header),
            Some(typ) => Cow::Owned(header(self.algorithm(), self.kid()?, typ)),
        };
        let payload_letters = payload.len().saturating_mul(4).div_ceil(3);
        let mut token = String::with_capacity(header.len() + 1 + payload_letters + self.signature_letters());
        token.push_str(&header);
        token.push('.');
        base64url::encode_into(&payload, &mut token);
        self.sign(&mut token)?;
        Some(token)
    }
}

/// Checks a JWT, but not its times; see [`Verifier::verify`](super::Verifier::verify) for the order.
pub(crate) fn check(
    ring: &KeyRing,
    demands: Demands<'_>,
    subject: Subject<'_>,
    token: &[u8],
    scratch: &mut Scratch,
) -> Result<Checked, Reason> {
    // Our own header is told by its text. Its kid is that of no other key with its algorithm.
    let signer = ring.keys().find_map(|key| {
        let header = &key.own()?.header;
        let behind = token.strip_prefix(header.as_bytes())?;
        (behind.first() == Some(&b'.')).then_some((key, header.len()))
    });
    let header_length = match signer {
        Some((_, length)) => length,
        None => token.iter().position(|byte| *byte == b'.').ok_or(Reason::Malformed)?,
    };
    let (header, behind) = token.split_at_checked(header_length).ok_or(Reason::Malformed)?;
    let behind = behind.strip_prefix(b".").ok_or(Reason::Malformed)?;
    let payload_length = behind.iter().rposition(|byte| *byte == b'.').ok_or(Reason::Malformed)?;
    let (payload, signature) = behind.split_at_checked(payload_length).ok_or(Reason::Malformed)?;
    let signature = signature.strip_prefix(b".").ok_or(Reason::Malformed)?;
    // A fourth part would leave a dot in the payload, which is no letter of base64url.
    if header.is_empty() || payload.is_empty() || signature.is_empty() {
        return Err(Reason::Malformed);
    }
    let input = token.get(..token.len() - signature.len() - 1).ok_or(Reason::Malformed)?;
    let payload = decode(payload, &mut scratch.first)?;
    let signature = decode(signature, &mut scratch.second)?;
    let (is_signed, type_is_right) = match signer {
        Some((key, _)) => (key.verifies_jwt(input, signature), demands.allows_type(Some(TYPE))),
        None => {
            let header = Header::read(decode(header, &mut scratch.third)?)?;
            let algorithm = header.algorithm.as_deref().ok_or(Reason::Malformed)?;
            let algorithm = Algorithm::from_name(algorithm).ok_or(Reason::Algorithm)?;
            let mut candidates = ring.candidates(header.kid.as_deref(), algorithm)?;
            let is_signed = candidates.any(|key| key.verifies_jwt(input, signature));
            (is_signed, demands.allows_type(header.typ.as_deref()))
        }
    };
    if !is_signed {
        return Err(Reason::Signature);
    }

    let claims = Registered::read(payload, demands.audience).ok_or(Reason::Malformed)?;
    let expires_at = claims.expires_at.ok_or(Reason::Malformed)?;
    let id = session_id(&claims, input)?;
    if !type_is_right {
        return Err(Reason::Type);
    }
    let fault = if demands.issuer.is_some() && claims.issuer.as_deref() != demands.issuer {
        Some(Reason::Issuer)
    } else if demands.audience.is_some() && !claims.audience_matches {
        Some(Reason::Audience)
    } else if claims.subject.as_deref() != Some(subject.as_str()) {
        Some(Reason::Subject)
    } else {
        None
    };
    let own = claims.session.as_deref().zip(claims.token_id.as_deref());
    let issued = match own.and_then(|(sid, jti)| jti::began_at(sid, jti)) {
        Some(began_at) => Issued::ForSessionOf(began_at),
        None => Issued::InSecondOf(claims.issued_at.unwrap_or(UnixMillis::ZERO)),
    };
    let verified = Verified { id, kind: TokenKind::Jwt, issued, expires_at: Some(expires_at) };
    Ok(Checked { verified, not_before: claims.not_before, fault })
}

/// The session that a token is for.
fn session_id(claims: &Registered<'_, '_>, input: &[u8]) -> Result<SessionId, Reason> {
    match claims.session.as_ref().or(claims.token_id.as_ref()) {
        // As when a session begins with an id: none may be taken for a token.
        Some(text) if is_token(text.as_bytes()) => Err(Reason::Malformed),
        Some(text) => SessionId::from_text(text.as_bytes()).map_err(|_| Reason::Malformed),
        None => {
            let hash = Sha256::digest(input);
            let first = hash.first_chunk::<16>().ok_or(Reason::Malformed)?;
            Ok(SessionId::from_random(*first))
        }
    }
}

/// The members of a header that matter. Keys and their addresses (`jwk`, `jku`, `x5u`, `x5c`) never do
/// (RFC 8725 section 3.10).
#[derive(Default)]
struct Header<'de> {
    algorithm: Option<Cow<'de, str>>,
    kid: Option<Cow<'de, str>>,
    typ: Option<Cow<'de, str>>,
}

impl<'de> Header<'de> {
    fn read(json: &'de [u8]) -> Result<Self, Reason> {
        let mut header = Self::default();
        json::read_object(json, &mut header).map_err(|_| Reason::Malformed)?;
        Ok(header)
    }
}

impl<'de> Members<'de> for Header<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A, _: Walk<'_>) -> Result<bool, A::Error> {
        match name {
            "alg" => self.algorithm = Some(values.next_value::<Text<'de>>()?.0),
            "kid" => self.kid = Some(values.next_value::<Text<'de>>()?.0),
            "typ" => self.typ = Some(values.next_value::<Text<'de>>()?.0),
            // No extension is understood, the unencoded payload included (RFC 7515 section 4.1.11, RFC 7797).
            "crit" | "b64" => return Err(A::Error::custom("an extension that must be understood")),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
