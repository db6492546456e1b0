//! JWTs (RFC 7519) in the compact form (RFC 7515 section 7.1): signing and checking them.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::{Error as _, MapAccess};
use sha2::{Digest as _, Sha256};

use super::algorithm::Algorithm;
use super::cause::Cause;
use super::claims::{self, Claims, Registered};
use super::issuers::{Issuer, Issuers};
use super::json::{self, Fault, JsonError, Members, Text, Walk};
use super::jti;
use super::key::{Key, TYPE, header};
use super::policy::{Demands, TokenPolicy};
use super::ring::KeyRing;
use super::scratch::{Scratch, decode};
use super::shape::holds_token;
use super::verified::{Checked, Issued, Maker, TokenKind, Verified};
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
    /// `auth_time`, in whole seconds: when the user signed in (OpenID Connect Core section 2).
    pub auth_time: UnixMillis,
    /// `acr`: how strongly, 1 to 3, or 0 for a token that does not say it.
    pub level: u8,
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
    auth_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'static str>,
}

/// The names of the levels as `acr` has them. It should be a URI or a registered name, for a bare number means another level
/// to each issuer (OpenID Connect Core section 2, RFC 6711). These are the URIs that the US government's issuer uses for the
/// levels of NIST SP 800-63B.
fn acr(level: u8) -> Option<&'static str> {
    match level {
        1 => Some("http://idmanagement.gov/ns/assurance/aal/1"),
        2 => Some("http://idmanagement.gov/ns/assurance/aal/2"),
        3 => Some("http://idmanagement.gov/ns/assurance/aal/3"),
        _ => None,
    }
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
            auth_time: self.auth_time.as_secs(),
            acr: acr(self.level),
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

/// What JWTs are checked by: keys, and what they must say.
#[derive(Clone, Copy)]
pub(crate) struct Trust<'a> {
    pub(crate) ring: &'a KeyRing,
    pub(crate) issuers: &'a Issuers,
    pub(crate) policy: &'a TokenPolicy,
}

/// What is asked about a JWT.
#[derive(Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// Whether it is good, perhaps for another audience than usual.
    Good(Option<&'a str>),
    /// Which session it is of, whatever its type and audience.
    Named,
}

/// Under whose key a JWT has the right signature.
#[derive(Clone, Copy)]
enum Signer<'a> {
    Own(&'a Key),
    Other(&'a Issuer),
}

impl<'a> Trust<'a> {
    /// Who has signed a JWT with this header and payload, of the keys that may sign for its `iss` (RFC 8725 section 3.8).
    ///
    /// Nothing but that is read of the payload, and nothing of it is believed before the signature is right.
    fn signer(
        &self,
        header: &Header<'_>,
        payload: &[u8],
        asked: Asked<'_>,
        is_right: impl Fn(&Key) -> bool,
    ) -> Result<Signer<'a>, Cause> {
        let algorithm = header.algorithm.as_deref().ok_or(Cause::MalformedAlgMissing)?;
        let algorithm = Algorithm::from_name(algorithm).ok_or(Cause::AlgorithmUnknown)?;
        let kid = header.kid.as_deref();
        if self.issuers.is_empty() {
            return right(self.ring, Candidates::All, kid, algorithm, is_right).map(Signer::Own);
        }
        let iss = claims::issuer_of(payload)?;
        let own = self.policy.issuer.as_deref();
        let Some(issuer) = self.issuers.get(iss.as_deref()) else {
            // An issuer that was another before has made tokens that can be revoked still.
            if own.is_some() && own != iss.as_deref() && !matches!(asked, Asked::Named) {
                return Err(Cause::IssuerUnknown);
            }
            let own = right(self.ring, Candidates::All, kid, algorithm, is_right);
            return own.map(Signer::Own).map_err(|cause| match cause {
                Cause::UnknownKeyKid | Cause::UnknownKeyAlgorithm if iss.is_some() => Cause::IssuerUnknown,
                cause => cause,
            });
        };
        // Tokens that are made here say the same `iss`, or none as well.
        let own = if own == iss.as_deref() {
            right(self.ring, Candidates::Own, kid, algorithm, &is_right)
        } else {
            Err(Cause::UnknownKeyKid)
        };
        let other = |why| match issuer.allows(algorithm) {
            true => right(issuer.keys(), Candidates::All, kid, algorithm, &is_right)
                .map(|_| Signer::Other(issuer))
                .map_err(|cause| if why == Cause::Signature { why } else { cause }),
            false => Err(Cause::AlgorithmNotAllowed),
        };
        own.map(Signer::Own).or_else(other)
    }
}

/// Which keys of a ring may have signed a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Candidates {
    All,
    /// Those that are not public keys of others.
    Own,
}

/// The key of `ring` under which the signature is right.
fn right<'r>(
    ring: &'r KeyRing,
    which: Candidates,
    kid: Option<&str>,
    algorithm: Algorithm,
    is_right: impl Fn(&Key) -> bool,
) -> Result<&'r Key, Cause> {
    let unknown = if kid.is_none_or(str::is_empty) { Cause::UnknownKeyAlgorithm } else { Cause::UnknownKeyKid };
    let candidates = ring.candidates(kid, algorithm).map_err(|reason| match reason {
        Reason::Algorithm => Cause::AlgorithmOfKey,
        _ => unknown,
    })?;
    let mut why = unknown;
    for key in candidates.filter(|key| which == Candidates::All || !key.is_public()) {
        if is_right(key) {
            return Ok(key);
        }
        why = Cause::Signature;
    }
    Err(why)
}

impl<'a> Signer<'a> {
    /// What its tokens must say.
    fn demands(self, policy: &'a TokenPolicy, asked: Asked<'a>) -> Demands<'a> {
        match (self, asked) {
            (Self::Own(_), Asked::Good(audience)) => policy.demands(audience),
            (Self::Other(issuer), Asked::Good(audience)) => issuer.demands(audience),
            (_, Asked::Named) => Demands::default(),
        }
    }

    /// Who made a token of it, and what that tells of the time. `sid` and `jti` are told to be of a session here by their
    /// check alone, so that must be a key of the ring that can also make codes.
    fn maker(self, claims: &Registered<'_, '_>) -> (Maker, Issued) {
        let iat = Issued::InSecondOf(claims.issued_at.unwrap_or(UnixMillis::ZERO));
        match self {
            Self::Own(key) if !key.is_public() => {
                let own = claims.session.as_deref().zip(claims.token_id.as_deref());
                match own.and_then(|(sid, jti)| jti::began_at(sid, jti)) {
                    Some(began_at) => (Maker::Here, Issued::ForSessionOf(began_at)),
                    None => (Maker::Application, iat),
                }
            }
            Self::Other(issuer) if issuer.iss().is_none() => (Maker::Application, iat),
            Self::Own(_) | Self::Other(_) => (Maker::Issuer, iat),
        }
    }
}

/// The parts of a JWT, each in base64url.
pub(crate) struct Parts<'a> {
    pub(crate) header: &'a [u8],
    payload: &'a [u8],
    pub(crate) signature: &'a [u8],
    /// What is signed: the first two parts and the dot between them.
    pub(crate) input: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(crate) fn of(token: &'a [u8]) -> Result<Self, Cause> {
        let header_length = token.iter().position(|byte| *byte == b'.').ok_or(Cause::MalformedParts)?;
        Self::behind(token, header_length)
    }

    /// Those of a token whose header has so many letters.
    fn behind(token: &'a [u8], header_length: usize) -> Result<Self, Cause> {
        let (header, behind) = token.split_at_checked(header_length).ok_or(Cause::MalformedParts)?;
        let behind = behind.strip_prefix(b".").ok_or(Cause::MalformedParts)?;
        let payload_length = behind.iter().rposition(|byte| *byte == b'.').ok_or(Cause::MalformedParts)?;
        let (payload, signature) = behind.split_at_checked(payload_length).ok_or(Cause::MalformedParts)?;
        let signature = signature.strip_prefix(b".").ok_or(Cause::MalformedParts)?;
        // A fourth part would leave a dot in the payload, which is no letter of base64url.
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(Cause::MalformedParts);
        }
        let input = token.get(..token.len() - signature.len() - 1).ok_or(Cause::MalformedParts)?;
        Ok(Self { header, payload, signature, input })
    }
}

/// Checks a JWT, but not its times; see [`Verifier::verify`](super::Verifier::verify) for the order.
pub(crate) fn check(
    trust: Trust<'_>,
    asked: Asked<'_>,
    subject: Subject<'_>,
    token: &[u8],
    scratch: &mut Scratch,
) -> Result<Checked, Cause> {
    // Our own header is told by its text. Of the own keys, it names this one and no other.
    let own = trust.ring.keys().find_map(|key| {
        let header = &key.own()?.header;
        let behind = token.strip_prefix(header.as_bytes())?;
        (behind.first() == Some(&b'.')).then_some((key, header.len()))
    });
    let Parts { header, payload, signature, input } = match own {
        Some((_, length)) => Parts::behind(token, length)?,
        None => Parts::of(token)?,
    };
    let payload = decode(payload, &mut scratch.first)?;
    let signature = decode(signature, &mut scratch.second)?;
    let own = own.map(|(key, _)| key);
    let (signer, typ) = match own {
        Some(key) if key.verifies_jwt(input, signature) => (Signer::Own(key), Some(Cow::Borrowed(TYPE))),
        Some(_) if trust.issuers.is_empty() => return Err(Cause::Signature),
        // Another issuer may call its key so, too.
        _ => {
            let is_tried = |key: &Key| own.is_some_and(|own| std::ptr::eq(own, key));
            let is_right = |key: &Key| !is_tried(key) && key.verifies_jwt(input, signature);
            let header = Header::read(decode(header, &mut scratch.third)?)?;
            (trust.signer(&header, payload, asked, is_right)?, header.typ)
        }
    };

    let demands = signer.demands(trust.policy, asked);
    let claims = Registered::read(payload, demands.audience)?;
    let expires_at = claims.expires_at.ok_or(Cause::MalformedExpMissing)?;
    let (maker, issued) = signer.maker(&claims);
    let id = session_id(maker, &claims, input)?;
    if !demands.allows_type(typ.as_deref()) {
        return Err(Cause::TypeHeader);
    }
    // The own keys speak for the own issuer, and for those that have no entry.
    let is_anothers = matches!((signer, asked), (Signer::Own(_), Asked::Good(_)))
        && claims.issuer.is_some()
        && claims.issuer.as_deref() != trust.policy.issuer.as_deref()
        && trust.issuers.get(claims.issuer.as_deref()).is_some();
    let fault = if is_anothers || (demands.issuer.is_some() && claims.issuer.as_deref() != demands.issuer) {
        Some(Cause::IssuerOther)
    } else if !demands.audience.are_any() && !claims.audience_matches {
        Some(Cause::Audience)
    } else if claims.subject.as_deref() != Some(subject.as_str()) {
        Some(Cause::Subject)
    } else {
        None
    };
    let verified = Verified { id, kind: TokenKind::Jwt, maker, issued, expires_at: Some(expires_at) };
    Ok(Checked { verified, not_before: claims.not_before, fault })
}

/// The session that a token is for.
fn session_id(maker: Maker, claims: &Registered<'_, '_>, input: &[u8]) -> Result<SessionId, Cause> {
    let Some(text) = claims.session.as_deref().or(claims.token_id.as_deref()) else {
        let hash = Sha256::digest(input);
        let first = hash.first_chunk::<16>().ok_or(Cause::MalformedSessionId)?;
        return Ok(SessionId::from_random(*first));
    };
    let id = match maker {
        Maker::Issuer => SessionId::of_issuer(claims.issuer.as_deref().unwrap_or_default(), text.as_bytes()),
        // As when a session begins with an id: none may be taken for a token.
        Maker::Here | Maker::Application if holds_token(text.as_bytes()) => return Err(Cause::MalformedSessionId),
        Maker::Here | Maker::Application => SessionId::of_application(text.as_bytes()),
    };
    id.map_err(|_| Cause::MalformedSessionId)
}

/// The members of a header that matter. Keys and their addresses (`jwk`, `jku`, `x5u`, `x5c`) never do
/// (RFC 8725 section 3.10).
#[derive(Default)]
pub(crate) struct Header<'de> {
    pub(crate) algorithm: Option<Cow<'de, str>>,
    pub(crate) kid: Option<Cow<'de, str>>,
    typ: Option<Cow<'de, str>>,
    has_extension: bool,
}

impl<'de> Header<'de> {
    pub(crate) fn read(json: &'de [u8]) -> Result<Self, Cause> {
        let mut header = Self::default();
        match json::read_object(json, &mut header) {
            Ok(()) => Ok(header),
            Err(_) if header.has_extension => Err(Cause::MalformedCrit),
            Err(JsonError { fault: Fault::Duplicate(_), .. }) => Err(Cause::MalformedDuplicate),
            Err(_) => Err(Cause::MalformedHeader),
        }
    }
}

impl<'de> Members<'de> for Header<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A, _: Walk<'_>) -> Result<bool, A::Error> {
        match name {
            "alg" => self.algorithm = Some(values.next_value::<Text<'de>>()?.0),
            // Serializers that write absent members as null are common.
            "kid" => self.kid = values.next_value::<Option<Text<'de>>>()?.map(|text| text.0),
            "typ" => self.typ = values.next_value::<Option<Text<'de>>>()?.map(|text| text.0),
            // No extension is understood, the unencoded payload included (RFC 7515 section 4.1.11, RFC 7797).
            "crit" | "b64" => {
                self.has_extension = true;
                return Err(A::Error::custom("an extension that must be understood"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
