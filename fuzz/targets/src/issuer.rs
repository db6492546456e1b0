//! Tokens as their definition has them, made and checked by other hands than the product's: what it must agree with.

use std::hash::Hasher as _;
use std::sync::{Arc, LazyLock};

use hmac::{Hmac, KeyInit, Mac as _};
use redis_session_core::token::{
    Algorithm, Issued, KeyRing, Maker, RefreshToken, TokenKind, TokenPolicy, Verified, holds_token,
};
use redis_session_core::{Reason, SessionId, Subject, UnixMillis};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::public;
use crate::tree::{Tree, member, strict_object};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for letter in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * letter)) as usize & 63]));
        }
    }
    text
}

/// What [`encode`] writes, and nothing else.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for chunk in text.chunks(4) {
        let mut bits = 0_u32;
        for letter in chunk {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - chunk.len());
        let (whole, length) = (bits.to_be_bytes(), chunk.len() * 6 / 8);
        if length == 0 || whole[1 + length..].iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(&whole[1..=length]);
    }
    Some(bytes)
}

/// A secret, ready for use.
#[derive(Clone)]
enum Secret {
    Hs256(Hmac<Sha256>),
    Hs384(Hmac<Sha384>),
    Hs512(Hmac<Sha512>),
}

impl Secret {
    fn new(algorithm: Algorithm, secret: &[u8]) -> Self {
        const ANY: &str = "a secret of any length";
        match algorithm {
            Algorithm::Hs256 => Self::Hs256(Hmac::new_from_slice(secret).expect(ANY)),
            Algorithm::Hs384 => Self::Hs384(Hmac::new_from_slice(secret).expect(ANY)),
            Algorithm::Hs512 => Self::Hs512(Hmac::new_from_slice(secret).expect(ANY)),
            other => panic!("{other} has no secret"),
        }
    }

    /// The HMAC over `message` and, behind it, `end`.
    fn sign(&self, message: &[u8], end: &[u8]) -> Vec<u8> {
        match self.clone() {
            Self::Hs256(mac) => mac.chain_update(message).chain_update(end).finalize().into_bytes().to_vec(),
            Self::Hs384(mac) => mac.chain_update(message).chain_update(end).finalize().into_bytes().to_vec(),
            Self::Hs512(mac) => mac.chain_update(message).chain_update(end).finalize().into_bytes().to_vec(),
        }
    }
}

/// The HMAC over `message`.
pub(crate) fn sign(algorithm: Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    Secret::new(algorithm, secret).sign(message, b"")
}

/// A key that tokens are signed with.
pub(crate) struct Key {
    pub(crate) kid: &'static str,
    pub(crate) algorithm: Algorithm,
    /// In base64url.
    text: String,
    jwt: Secret,
    opaque: Secret,
    refresh: Secret,
}

/// Every symmetric algorithm, and two keys of one, which a header must tell apart.
pub(crate) static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let key = |kid, algorithm, letter, length| Key::new(kid, algorithm, &vec![letter; length]);
    vec![
        key("k256", Algorithm::Hs256, b'a', 32),
        key("k384", Algorithm::Hs384, b'b', 48),
        key("k512", Algorithm::Hs512, b'c', 64),
        key("other384", Algorithm::Hs384, b'd', 200),
        key("é\"\\", Algorithm::Hs512, b'e', 64),
    ]
});

/// The ring of [`KEYS`] and the keys of [`public`].
pub(crate) static RING: LazyLock<Arc<KeyRing>> = LazyLock::new(|| {
    let keys = KEYS
        .iter()
        .map(|key| serde_json::json!({ "kty": "oct", "kid": key.kid, "alg": key.algorithm.as_str(), "k": key.text }));
    let set = serde_json::json!({ "keys": keys.chain(public::jwks()).collect::<Vec<_>>() });
    Arc::new(KeyRing::from_jwk_set(set.to_string().as_bytes(), None).expect("a key ring"))
});

impl Key {
    pub(crate) fn new(kid: &'static str, algorithm: Algorithm, secret: &[u8]) -> Self {
        let jwt = Secret::new(algorithm, secret);
        let derived = |kind| {
            let label = format!("redis-session credential {kind} {kid}");
            Secret::new(algorithm, &jwt.sign(label.as_bytes(), b""))
        };
        let (opaque, refresh) = (derived("rst1"), derived("rsr1"));
        Self { kid, algorithm, text: encode(secret), jwt, opaque, refresh }
    }

    /// The secret, in base64url.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The header of the JWTs that the product signs with this key.
    pub(crate) fn header(&self) -> String {
        serde_json::json!({ "alg": self.algorithm.as_str(), "kid": self.kid, "typ": "JWT" }).to_string()
    }

    pub(crate) fn sign_jwt(&self, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", encode(header), encode(payload));
        let code = self.jwt.sign(input.as_bytes(), b"");
        format!("{input}.{}", encode(&code))
    }

    fn signed(&self, input: &[u8], signature: &[u8]) -> bool {
        self.jwt.sign(input, b"") == signature
    }

    /// The code of an opaque (`rst1`) or refresh (`rsr1`) token.
    fn code(&self, kind: &str, input: &[u8], times: &[u8]) -> Vec<u8> {
        let secret = if kind == "rst1" { &self.opaque } else { &self.refresh };
        secret.sign(input, times)
    }

    /// A token of this kind and these parts, with a seal that is right but for its `kid`.
    pub(crate) fn seal(&self, kind: &str, parts: &[&[u8]], kid: &[u8], times: &[u8]) -> String {
        let input = parts.iter().fold(kind.to_owned(), |input, part| input + "." + &encode(part));
        let code = self.code(kind, input.as_bytes(), times);
        format!("{input}.{}", encode(&[kid, b"\0", times, &code].concat()))
    }
}

/// The `jti` of a JWT that is made here for a session with this id, from when it began and the token's generation.
pub(crate) fn jti(sid: &str, began: u64, generation: u32) -> String {
    let said = [&began.to_be_bytes()[2..], &generation.to_be_bytes()].concat();
    // SipHash-2-4, as the standard library has it still.
    #[expect(deprecated)]
    let mut hasher =
        std::hash::SipHasher::new_with_keys(u64::from_le_bytes(*b"redisses"), u64::from_le_bytes(*b"sion jti"));
    hasher.write(&[sid.as_bytes(), &said].concat());
    encode(&[&said[..], &hasher.finish().to_be_bytes()].concat())
}

/// Whether a text is to be read as a token.
pub(crate) fn is_token(text: &[u8]) -> bool {
    let parts: Vec<_> = text.split(|byte| *byte == b'.').collect();
    let object = |header: &[u8]| {
        let json = decode(header).unwrap_or_default();
        json.into_iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) == Some(b'{')
    };
    match parts[..] {
        [b"rst1" | b"rsr1", _, ..] => true,
        [header, _, _] => header.starts_with(b"eyJ") || object(header),
        _ => false,
    }
}

/// The registered claims of a payload.
pub(crate) struct Payload {
    pub(crate) issuer: Option<String>,
    pub(crate) subject: Option<String>,
    session: Option<String>,
    token_id: Option<String>,
    expires_at: Option<UnixMillis>,
    not_before: Option<UnixMillis>,
    issued_at: Option<UnixMillis>,
    pub(crate) audience_matches: bool,
}

/// A member of a certain type, if it is there; `None` if it is of another.
fn typed<T>(members: &[(String, Tree)], name: &str, read: fn(&Tree) -> Option<T>) -> Option<Option<T>> {
    member(members, name).map_or(Some(None), |value| read(value).map(Some))
}

/// The same, where null means that it is not there.
fn optional<T>(members: &[(String, Tree)], name: &str, read: fn(&Tree) -> Option<T>) -> Option<Option<T>> {
    match member(members, name) {
        Some(Tree::Null) => Some(None),
        _ => typed(members, name, read),
    }
}

fn owned(value: &Tree) -> Option<String> {
    value.as_text().map(str::to_owned)
}

/// A string, or the digits of a whole number.
fn user(value: &Tree) -> Option<String> {
    match value {
        Tree::Number(number) => number.as_u64().map(|n| n.to_string()).or(number.as_i64().map(|n| n.to_string())),
        value => owned(value),
    }
}

fn date(value: &Tree) -> Option<UnixMillis> {
    let Tree::Number(number) = value else { return None };
    if let Some(seconds) = number.as_u64() {
        return seconds.checked_mul(1000).and_then(UnixMillis::new);
    }
    let millis = (number.as_f64()? * 1000.0).floor();
    // Negative whole numbers have no fraction to lose, and are before the epoch like others.
    if number.is_i64() || !(0.0..281_474_976_710_656.0).contains(&millis) {
        return None;
    }
    UnixMillis::new(millis as u64)
}

fn audience(value: &Tree) -> Option<Vec<String>> {
    match value {
        Tree::Text(text) => Some(vec![text.clone()]),
        Tree::List(items) => items.iter().map(owned).collect(),
        _ => None,
    }
}

impl Payload {
    pub(crate) fn read(json: &[u8], wanted: Option<&str>) -> Option<Self> {
        let members = strict_object(json)?;
        let audience = optional(&members, "aud", audience)?.unwrap_or_default();
        Some(Self {
            issuer: optional(&members, "iss", owned)?,
            subject: optional(&members, "sub", user)?,
            session: optional(&members, "sid", owned)?,
            token_id: optional(&members, "jti", owned)?,
            expires_at: optional(&members, "exp", date)?,
            not_before: optional(&members, "nbf", date)?,
            issued_at: optional(&members, "iat", date)?,
            audience_matches: wanted.is_some_and(|wanted| audience.iter().any(|audience| audience == wanted)),
        })
    }
}

/// What a check must answer.
pub(crate) fn verify(
    policy: &TokenPolicy,
    subject: &str,
    token: &[u8],
    audience: Option<&str>,
    now: UnixMillis,
) -> Result<Verified, Reason> {
    check(policy, subject, token, audience, Some(now))
}

/// Which session a token must name, whatever else it says.
pub(crate) fn identify(subject: &str, token: &[u8], max_token_bytes: usize) -> Result<Verified, Reason> {
    if token.starts_with(b"rsr1.") {
        let RefreshToken { id, session_began_at, .. } = verify_refresh(subject, token, max_token_bytes)?;
        let issued = Issued::ForSessionOf(session_began_at);
        return Ok(Verified { id, kind: TokenKind::Refresh, maker: Maker::Here, issued, expires_at: None });
    }
    check(&TokenPolicy { max_token_bytes, ..TokenPolicy::default() }, subject, token, None, None)
}

/// The times count if there is a clock.
fn check(
    policy: &TokenPolicy,
    subject: &str,
    token: &[u8],
    audience: Option<&str>,
    now: Option<UnixMillis>,
) -> Result<Verified, Reason> {
    if token.len() > policy.max_token_bytes {
        return Err(Reason::Malformed);
    }
    let parts: Vec<_> = token.split(|byte| *byte == b'.').collect();
    match parts[..] {
        [b"rst1", user, id, seal] => {
            let (id, times) = unseal("rst1", token, &[user, id, seal], 2, subject)?;
            let issued = Issued::ForSessionOf(times[0]);
            Ok(Verified { id, kind: TokenKind::Opaque, maker: Maker::Here, issued, expires_at: Some(times[1]) })
        }
        [b"rsr1", _, ..] => Err(Reason::Type),
        [header, payload, signature] if parts.iter().all(|part| !part.is_empty()) => {
            let input = [header, b".", payload].concat();
            let decoded = [header, payload, signature].map(decode);
            let [Some(header), Some(payload), Some(signature)] = decoded else { return Err(Reason::Malformed) };
            let header = strict_object(&header).ok_or(Reason::Malformed)?;
            let mut signers = signers(&header)?.into_iter();
            let has_signed =
                |key: &Option<&Key>| key.map_or_else(|| public::is_signed(token), |key| key.signed(&input, &signature));
            let Some(signer) = signers.find(has_signed) else { return Err(Reason::Signature) };
            let audience = audience.or(policy.audience.as_deref());
            let payload = Payload::read(&payload, audience).ok_or(Reason::Malformed)?;
            let typ = member(&header, "typ").and_then(Tree::as_text);
            let by = if signer.is_some() { Maker::Here } else { Maker::Issuer };
            check_payload(policy, subject, &payload, typ, (&input, audience, by), now)
        }
        _ => Err(Reason::Malformed),
    }
}

/// The keys that may have signed a JWT with this header; `None` stands for those whose public parts alone are known here.
fn signers(header: &[(String, Tree)]) -> Result<Vec<Option<&'static Key>>, Reason> {
    let algorithm = typed(header, "alg", owned);
    let [kid, typ] = ["kid", "typ"].map(|name| optional(header, name, owned));
    let (Some(algorithm), Some(kid), Some(_)) = (algorithm, kid, typ) else { return Err(Reason::Malformed) };
    if member(header, "crit").is_some() || member(header, "b64").is_some() {
        return Err(Reason::Malformed);
    }
    let algorithm = Algorithm::from_name(&algorithm.ok_or(Reason::Malformed)?).ok_or(Reason::Algorithm)?;
    let secrets = KEYS.iter().map(|key| (key.kid, key.algorithm, Some(key)));
    let others = public::ALGORITHMS.iter().map(|of| (of.as_str(), *of, None));
    let mut keys: Vec<_> = secrets.chain(others).collect();
    if let Some(kid) = kid.filter(|kid| !kid.is_empty()) {
        keys.retain(|(name, ..)| *name == kid);
        if !keys.is_empty() && keys.iter().all(|(_, of, _)| *of != algorithm) {
            return Err(Reason::Algorithm);
        }
    }
    keys.retain(|(_, of, _)| *of == algorithm);
    if keys.is_empty() { Err(Reason::UnknownKey) } else { Ok(keys.into_iter().map(|(.., key)| key).collect()) }
}

/// Whether two texts name the same media type, where `application/` may be left out unless there is another slash
/// behind it (RFC 7515 section 4.1.9).
fn are_same_type(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|text| {
        let text = text.to_ascii_lowercase();
        if text.contains('/') { text } else { format!("application/{text}") }
    });
    one == other
}

fn of_hash(bytes: &[u8]) -> SessionId {
    SessionId::from_text(encode(&Sha256::digest(bytes)[..16]).as_bytes()).expect("an id")
}

/// What is checked of a payload that is signed by somebody who may make such tokens: `Here` for the own keys, which also
/// the application has.
pub(crate) fn check_payload(
    policy: &TokenPolicy,
    subject: &str,
    payload: &Payload,
    typ: Option<&str>,
    (input, audience, by): (&[u8], Option<&str>, Maker),
    now: Option<UnixMillis>,
) -> Result<Verified, Reason> {
    let expires_at = payload.expires_at.ok_or(Reason::Malformed)?;
    let id = match payload.session.as_ref().or(payload.token_id.as_ref()) {
        Some(id) if id.is_empty() => return Err(Reason::Malformed),
        // Who has a private key is another issuer, with ids of its own.
        Some(id) if by == Maker::Issuer => {
            let iss = payload.issuer.as_deref().unwrap_or_default();
            let length = (iss.len() as u64).to_be_bytes();
            let label = b"redis-session id of an issuer\0";
            of_hash(&[label, &length[..], iss.as_bytes(), id.as_bytes()].concat())
        }
        Some(id) if holds_token(id.as_bytes()) => return Err(Reason::Malformed),
        Some(id) if id.len() > 128 => of_hash(&[b"redis-session long id\0", id.as_bytes()].concat()),
        Some(id) => SessionId::from_text(id.as_bytes()).map_err(|_| Reason::Malformed)?,
        None => of_hash(input),
    };
    let leeway = u128::from(policy.leeway_secs) * 1000;
    let issued_at = payload.issued_at.unwrap_or(UnixMillis::ZERO);
    let is_ours = by == Maker::Here;
    let began_at = payload.session.as_ref().zip(payload.token_id.as_ref()).and_then(|(sid, found)| {
        let said = decode(found.as_bytes())?;
        let began = said.iter().take(6).fold(0, |millis, byte| millis << 8 | u64::from(*byte));
        let generation = u32::from_be_bytes(said.get(6..10)?.try_into().ok()?);
        UnixMillis::new(began).filter(|_| is_ours && *found == jti(sid, began, generation))
    });
    let is_past = |time: UnixMillis| now.is_some_and(|now| u128::from(now.get()) >= u128::from(time.get()) + leeway);
    let is_future = |time: UnixMillis| now.is_some_and(|now| u128::from(time.get()) > u128::from(now.get()) + leeway);
    let wanted = policy.token_type.as_deref();
    if wanted.is_some_and(|wanted| !typ.is_some_and(|typ| are_same_type(typ, wanted))) {
        Err(Reason::Type)
    } else if is_past(expires_at) {
        Err(Reason::TokenExpired)
    } else if payload.not_before.is_some_and(is_future) {
        Err(Reason::NotYetValid)
    } else if policy.issuer.is_some() && policy.issuer != payload.issuer {
        Err(Reason::Issuer)
    } else if audience.is_some() && !payload.audience_matches {
        Err(Reason::Audience)
    } else if payload.subject.as_deref() != Some(subject) {
        Err(Reason::Subject)
    } else {
        let issued = began_at.map_or(Issued::InSecondOf(issued_at), Issued::ForSessionOf);
        let maker = if by == Maker::Here && began_at.is_none() { Maker::Application } else { by };
        Ok(Verified { id, kind: TokenKind::Jwt, maker, issued, expires_at: Some(expires_at) })
    }
}

/// What a check of a refresh token must answer.
pub(crate) fn verify_refresh(subject: &str, token: &[u8], max_bytes: usize) -> Result<RefreshToken, Reason> {
    if token.len() > max_bytes {
        return Err(Reason::Malformed);
    }
    let parts: Vec<_> = token.split(|byte| *byte == b'.').collect();
    match parts[..] {
        [b"rsr1", user, id, generation, seal] => {
            let generation = decode(generation).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
            let generation = u32::from_be_bytes(generation.ok_or(Reason::Malformed)?);
            let (id, times) = unseal("rsr1", token, &[user, id, seal], 1, subject)?;
            Ok(RefreshToken { id, generation, session_began_at: times[0] })
        }
        [b"rsr1", _, ..] => Err(Reason::Malformed),
        _ if is_token(token) => Err(Reason::Type),
        _ => Err(Reason::Malformed),
    }
}

/// The session's id, and as many times as the seal of this kind has.
fn unseal(
    kind: &str,
    token: &[u8],
    parts: &[&[u8]; 3],
    count: usize,
    subject: &str,
) -> Result<(SessionId, Vec<UnixMillis>), Reason> {
    let [Some(user), Some(id), Some(seal)] = parts.map(decode) else { return Err(Reason::Malformed) };
    let user = Subject::new(&user).map_err(|_| Reason::Malformed)?;
    let id = SessionId::from_text(&id).map_err(|_| Reason::Malformed)?;
    let (kid, rest) = seal.split_at(seal.iter().position(|byte| *byte == 0).ok_or(Reason::Malformed)?);
    let (times, code) = rest[1..].split_at_checked(6 * count).ok_or(Reason::Malformed)?;
    let kid = std::str::from_utf8(kid).map_err(|_| Reason::Malformed)?;
    let key = KEYS.iter().find(|key| key.kid == kid).ok_or(Reason::UnknownKey)?;
    let input = &token[..token.len() - parts[2].len() - 1];
    if key.code(kind, input, times) != code {
        return Err(Reason::Signature);
    }
    if user.as_str() != subject {
        return Err(Reason::Subject);
    }
    let time = |bytes: &[u8]| bytes.iter().rev().fold(0, |millis, byte| millis << 8 | u64::from(*byte));
    Ok((id, times.chunks(6).map(|bytes| UnixMillis::new(time(bytes)).expect("48 bits")).collect()))
}
