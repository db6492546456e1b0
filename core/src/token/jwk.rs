//! JSON Web Key Sets (RFC 7517): from a file's bytes to keys.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::algorithm::{Algorithm, Curve, Family, Hash};
use super::json::{self, Members, Object, Walk};
use super::key::Key;
use super::private::{PrivateKey, RsaNumbers};
use super::problem::{KeyProblem, KeyRingError};
use super::public::PublicKey;
use crate::base64url;

/// The longest `kid`, in bytes.
const MAX_KID_BYTES: usize = 128;

/// The byte order mark, which RFC 8259 section 8.1 lets a reader skip.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A public key of a set that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredKey {
    /// Its `kid`, if it has one that would do.
    pub kid: Option<String>,
    /// Why.
    pub why: KeyProblem,
}

/// Whose keys a set has.
#[derive(Clone, Copy)]
pub(crate) enum Owner<'a> {
    /// Ours, which sign. Those of others may stand beside them.
    Own,
    /// Another issuer's.
    Issuer(IssuerKeys<'a>),
}

/// How the keys of another issuer are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct IssuerKeys<'a> {
    /// The algorithms that its tokens may be signed with. An RSA key without an `alg` is for all those of RSA among them.
    /// By default a key is for its `alg`, or else for RS256, EdDSA, or the algorithm of its curve.
    pub algorithms: Option<&'a [Algorithm]>,
    /// Whether there may be secrets (`kty` `oct`): those of an application that has signed its tokens itself.
    pub secrets: bool,
}

impl IssuerKeys<'_> {
    /// What keys of our own are held to.
    const OWN: Self = Self { algorithms: None, secrets: true };

    fn allow(&self, algorithm: Algorithm) -> bool {
        self.algorithms.is_none_or(|allowed| allowed.contains(&algorithm))
    }
}

/// The keys of the set `json`, and those that are left out. All secrets and private keys must be good.
pub(crate) fn read_set(json: &[u8], owner: Owner<'_>) -> Result<(Vec<Key>, Vec<IgnoredKey>), KeyRingError> {
    let mut set = Set::default();
    json::read_object(json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json), &mut set)?;
    let Some(Field::List(items)) = set.keys else { return Err(KeyRingError::NoSet) };
    let mut found = Found { keys: Vec::with_capacity(items.len()), ignored: Vec::new() };
    for (item, number) in items.into_iter().zip(1_usize..) {
        let Field::Key(jwk) = item else { return Err(KeyRingError::NoSet) };
        let kid = text(jwk.kid.as_ref()).filter(|kid| is_kid(kid));
        let refused = |problem| KeyRingError::Key { key: called(kid, number), problem };
        if jwk.is_secret() || jwk.is_private() {
            let key = jwk.own_key(owner).map_err(refused)?;
            found.add_own(key).map_err(refused)?;
            continue;
        }
        let rules = match owner {
            Owner::Own => IssuerKeys::OWN,
            Owner::Issuer(rules) => rules,
        };
        match jwk.public_keys(&rules) {
            Ok(keys) => keys.into_iter().for_each(|key| found.add_public(key)),
            Err(why) => found.ignored.push(IgnoredKey { kid: kid.map(str::to_owned), why }),
        }
    }
    match (owner, found.keys.is_empty(), found.ignored.first()) {
        (Owner::Own, true, None) => Err(KeyRingError::NoKeys),
        (Owner::Own, true, Some(first)) => {
            Err(KeyRingError::NoneUsable { key: called(first.kid.as_deref(), 1), problem: first.why })
        }
        _ => Ok((found.keys, found.ignored)),
    }
}

/// How an error names a key.
fn called(kid: Option<&str>, number: usize) -> String {
    kid.map_or_else(|| format!("key number {number}"), |kid| format!("key {kid:?}"))
}

fn is_kid(text: &str) -> bool {
    (1..=MAX_KID_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// What has been found in a set so far.
struct Found {
    keys: Vec<Key>,
    ignored: Vec<IgnoredKey>,
}

impl Found {
    /// A secret or a private key. Its `kid` names no other of them, as opaque tokens and refresh tokens say no algorithm.
    fn add_own(&mut self, key: Key) -> Result<(), KeyProblem> {
        let twins: Vec<_> = self.keys.iter().filter(|other| !other.is_public() && other.kid() == key.kid()).collect();
        if twins.iter().any(|twin| twin.is_same(&key)) {
            return Ok(());
        }
        if key.kid().is_some() && !twins.is_empty() {
            return Err(KeyProblem::DuplicateKid);
        }
        // Its own public half, which some write beside it, and others that tokens would name like it.
        let goes = |other: &mut Key| other.is_named_like(&key) && (key.own().is_some() || other.is_same(&key));
        for twin in self.keys.extract_if(.., goes) {
            if !twin.is_same(&key) {
                self.ignored.push(left_out(&twin));
            }
        }
        self.keys.push(key);
        Ok(())
    }

    fn add_public(&mut self, key: Key) {
        let twins: Vec<_> = self.keys.iter().filter(|other| other.is_named_like(&key)).collect();
        if twins.iter().any(|twin| twin.is_same(&key)) {
            return;
        }
        if twins.iter().any(|twin| twin.own().is_some()) {
            self.ignored.push(left_out(&key));
        } else {
            self.keys.push(key);
        }
    }
}

/// A public key that tokens would name like one that signs: a token of ours is told by the text of its header.
fn left_out(key: &Key) -> IgnoredKey {
    IgnoredKey { kid: key.kid().map(str::to_owned), why: KeyProblem::DuplicateKid }
}

/// What a member of a set or of a key holds, as far as it matters here.
enum Field<'de> {
    Text(Cow<'de, str>),
    List(Vec<Field<'de>>),
    Key(Box<Jwk<'de>>),
    Null,
    Other,
}

#[derive(Default)]
struct Set<'de> {
    keys: Option<Field<'de>>,
}

/// The members of one key (RFC 7517 section 4) that matter here; `Some` if they are there at all. Those that are null are
/// not: some libraries write every member that they know.
#[derive(Default)]
struct Jwk<'de> {
    kid: Option<Field<'de>>,
    kty: Option<Field<'de>>,
    alg: Option<Field<'de>>,
    usage: Option<Field<'de>>,
    key_ops: Option<Field<'de>>,
    k: Option<Field<'de>>,
    crv: Option<Field<'de>>,
    x: Option<Field<'de>>,
    y: Option<Field<'de>>,
    n: Option<Field<'de>>,
    e: Option<Field<'de>>,
    d: Option<Field<'de>>,
    p: Option<Field<'de>>,
    q: Option<Field<'de>>,
    dp: Option<Field<'de>>,
    dq: Option<Field<'de>>,
    qi: Option<Field<'de>>,
    /// Of an RSA key with more primes than two (RFC 7518 section 6.3.2.7).
    oth: Option<Field<'de>>,
    /// The private part of types to come.
    private: Option<Field<'de>>,
}

impl Jwk<'_> {
    fn is_secret(&self) -> bool {
        text(self.kty.as_ref()) == Some("oct") || self.k.is_some()
    }

    /// Whether any private member is there.
    fn is_private(&self) -> bool {
        let members = [&self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.oth, &self.private];
        members.into_iter().any(Option::is_some)
    }

    /// The `kid`; an empty one is none, as some issuers write it into keys and tokens alike.
    fn kid(&self) -> Result<Option<&str>, KeyProblem> {
        match &self.kid {
            None => Ok(None),
            Some(Field::Text(text)) if text.is_empty() => Ok(None),
            Some(Field::Text(text)) if is_kid(text) => Ok(Some(text)),
            Some(_) => Err(KeyProblem::Kid),
        }
    }

    /// A secret or a private key.
    fn own_key(&self, owner: Owner<'_>) -> Result<Key, KeyProblem> {
        match owner {
            Owner::Own if self.is_secret() => self.secret(&IssuerKeys::OWN, true),
            Owner::Own => self.private_key(),
            Owner::Issuer(rules) if rules.secrets && self.is_secret() => self.secret(&rules, false),
            Owner::Issuer(_) if self.is_secret() => Err(KeyProblem::Secret),
            Owner::Issuer(_) => Err(KeyProblem::Private),
        }
    }

    fn secret(&self, rules: &IssuerKeys<'_>, is_ours: bool) -> Result<Key, KeyProblem> {
        if text(self.kty.as_ref()) != Some("oct") {
            return Err(KeyProblem::KeyType);
        }
        let algorithm = text(self.alg.as_ref()).and_then(Algorithm::from_name).ok_or(KeyProblem::Algorithm)?;
        let Family::Hmac(hash) = algorithm.family() else { return Err(KeyProblem::Algorithm) };
        if !rules.allow(algorithm) {
            return Err(KeyProblem::ForbiddenAlgorithm);
        }
        if self.usage.is_some() && text(self.usage.as_ref()) != Some("sig") {
            return Err(KeyProblem::Use);
        }
        let operations = self.operations()?;
        let may = |name| operations.as_ref().is_none_or(|names| names.contains(&name));
        if !may("verify") {
            return Err(KeyProblem::KeyOps);
        }
        let kid = self.kid()?;
        let secret = text(self.k.as_ref()).and_then(|k| base64url::decode(k.as_bytes()));
        let secret = secret.ok_or(KeyProblem::SecretText)?;
        check_length(algorithm, hash, &secret)?;
        Ok(if is_ours {
            Key::secret_of(kid, (algorithm, hash), &secret, may("sign"))
        } else {
            Key::foreign_secret_of(kid, (algorithm, hash), &secret)
        })
    }

    fn private_key(&self) -> Result<Key, KeyProblem> {
        self.check_purpose()?;
        // Of one that signs, some write that alone.
        let operations = self.operations()?;
        let may_sign = operations.is_none_or(|names| names.contains(&"sign"));
        let (algorithm, _) = self.algorithms(&IssuerKeys::OWN)?;
        let kid = self.kid()?;
        let d = text(self.d.as_ref());
        let (key, bytes) = match algorithm.family() {
            Family::Hmac(_) => return Err(KeyProblem::OtherAlgorithm),
            Family::Ecdsa(curve) => {
                let (x, y) = self.coordinates(curve)?;
                PrivateKey::ecdsa(curve, x, y, d.ok_or(KeyProblem::PrivateBytes { bytes: curve.bytes() })?)
            }
            Family::Ed25519 => PrivateKey::ed25519(self.point()?, d.ok_or(KeyProblem::PrivateBytes { bytes: 32 })?),
            Family::Pkcs1(_) | Family::Pss(_) => {
                let numbers = self.private_numbers().ok_or(KeyProblem::PrivateNumbers)?;
                let (n, e) = self.modulus()?;
                PrivateKey::rsa(algorithm, n, e, &numbers)
            }
        }?;
        Ok(Key::private_of(kid, algorithm, key, &bytes, may_sign))
    }

    /// The public key, once for each algorithm that it is for.
    fn public_keys(&self, rules: &IssuerKeys<'_>) -> Result<Vec<Key>, KeyProblem> {
        self.check_purpose()?;
        if self.operations()?.is_some_and(|names| !names.contains(&"verify")) {
            return Err(KeyProblem::KeyOps);
        }
        let (first, more) = self.algorithms(rules)?;
        let kid = self.kid()?;
        let read = |algorithm: Algorithm| {
            let key = match algorithm.family() {
                Family::Hmac(_) => Err(KeyProblem::OtherAlgorithm),
                Family::Ecdsa(curve) => self.coordinates(curve).and_then(|(x, y)| PublicKey::ecdsa(curve, x, y)),
                Family::Ed25519 => self.point().and_then(PublicKey::ed25519),
                Family::Pkcs1(_) | Family::Pss(_) => self.modulus().and_then(|(n, e)| PublicKey::rsa(algorithm, n, e)),
            };
            key.map(|key| Key::public_of(kid, algorithm, key))
        };
        std::iter::once(first).chain(more).map(read).collect()
    }

    /// Refuses a key that is not for signatures (RFC 7517 sections 4.2 and 4.3).
    fn check_purpose(&self) -> Result<(), KeyProblem> {
        match &self.usage {
            None => {}
            Some(Field::Text(usage)) if usage == "sig" => {}
            Some(Field::Text(_)) => return Err(KeyProblem::NotForSignatures),
            Some(_) => return Err(KeyProblem::Use),
        }
        match self.operations()? {
            Some(names) if !names.iter().any(|name| ["sign", "verify"].contains(name)) => {
                Err(KeyProblem::NotForSignatures)
            }
            _ => Ok(()),
        }
    }

    /// The algorithms that a key which is no secret is for: one, unless it is an RSA key that leaves them open.
    fn algorithms(&self, rules: &IssuerKeys<'_>) -> Result<(Algorithm, Vec<Algorithm>), KeyProblem> {
        let kty = text(self.kty.as_ref()).ok_or(KeyProblem::KeyType)?;
        let by_curve = match kty {
            "RSA" => None,
            "EC" | "OKP" => match (kty, text(self.crv.as_ref()).ok_or(KeyProblem::Curve)?) {
                ("EC", name) => Some(Curve::from_name(name).ok_or(KeyProblem::UnknownCurve)?.algorithm()),
                ("OKP", "Ed25519") => Some(Algorithm::EdDsa),
                _ => return Err(KeyProblem::UnknownCurve),
            },
            _ => return Err(KeyProblem::UnknownKeyType),
        };
        let named = match &self.alg {
            None => None,
            Some(Field::Text(name)) => match Algorithm::from_name(name) {
                Some(algorithm) if algorithm.key_type() == kty && by_curve.is_none_or(|by| by == algorithm) => {
                    Some(algorithm)
                }
                Some(_) => return Err(KeyProblem::OtherAlgorithm),
                None => return Err(KeyProblem::UnknownAlgorithm),
            },
            Some(_) => return Err(KeyProblem::Algorithm),
        };
        let mut fitting: Vec<_> = match (named.or(by_curve), rules.algorithms) {
            (Some(one), _) => vec![one],
            (None, None) => vec![Algorithm::Rs256],
            (None, Some(allowed)) => {
                Algorithm::ALL.into_iter().filter(|of| of.key_type() == kty && allowed.contains(of)).collect()
            }
        };
        fitting.retain(|algorithm| rules.allow(*algorithm));
        let mut fitting = fitting.into_iter();
        fitting.next().map(|first| (first, fitting.collect())).ok_or(KeyProblem::ForbiddenAlgorithm)
    }

    fn coordinates(&self, curve: Curve) -> Result<(&str, &str), KeyProblem> {
        let bytes = curve.bytes();
        text(self.x.as_ref()).zip(text(self.y.as_ref())).ok_or(KeyProblem::Coordinates { bytes })
    }

    fn point(&self) -> Result<&str, KeyProblem> {
        text(self.x.as_ref()).ok_or(KeyProblem::Point)
    }

    fn modulus(&self) -> Result<(&str, &str), KeyProblem> {
        text(self.n.as_ref()).zip(text(self.e.as_ref())).ok_or(KeyProblem::Modulus)
    }

    /// `None` if one of them is missing, or if there are more primes than two.
    fn private_numbers(&self) -> Option<RsaNumbers<'_>> {
        if self.oth.is_some() {
            return None;
        }
        Some(RsaNumbers {
            d: text(self.d.as_ref())?,
            p: text(self.p.as_ref())?,
            q: text(self.q.as_ref())?,
            dp: text(self.dp.as_ref())?,
            dq: text(self.dq.as_ref())?,
            qi: text(self.qi.as_ref())?,
        })
    }

    /// The names in `key_ops`, if it is there: at least one, each once (RFC 7517 section 4.3).
    fn operations(&self) -> Result<Option<Vec<&str>>, KeyProblem> {
        let Some(field) = &self.key_ops else { return Ok(None) };
        let Field::List(operations) = field else { return Err(KeyProblem::KeyOps) };
        let mut names = Vec::with_capacity(operations.len());
        for operation in operations {
            let name = text(Some(operation)).ok_or(KeyProblem::KeyOps)?;
            if names.contains(&name) {
                return Err(KeyProblem::KeyOps);
            }
            names.push(name);
        }
        if names.is_empty() { Err(KeyProblem::KeyOps) } else { Ok(Some(names)) }
    }
}

/// Refuses a secret that is shorter than the hash (RFC 7518 section 3.2).
fn check_length(algorithm: Algorithm, hash: Hash, secret: &[u8]) -> Result<(), KeyProblem> {
    if secret.len() >= hash.bytes() {
        return Ok(());
    }
    let [bits, needed] = [secret.len(), hash.bytes()].map(|bytes| bytes.saturating_mul(8));
    Err(KeyProblem::ShortSecret { algorithm, bits, needed })
}

fn text<'f>(field: Option<&'f Field<'_>>) -> Option<&'f str> {
    match field? {
        Field::Text(text) => Some(text),
        _ => None,
    }
}

impl<'de> Members<'de> for Set<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A, walk: Walk<'_>) -> Result<bool, A::Error> {
        if name == "keys" {
            self.keys = Some(values.next_value_seed(Read(walk))?);
        }
        Ok(name == "keys")
    }
}

impl<'de> Members<'de> for Jwk<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A, walk: Walk<'_>) -> Result<bool, A::Error> {
        let field = match name {
            "kid" => &mut self.kid,
            "kty" => &mut self.kty,
            "alg" => &mut self.alg,
            "use" => &mut self.usage,
            "key_ops" => &mut self.key_ops,
            "k" => &mut self.k,
            "crv" => &mut self.crv,
            "x" => &mut self.x,
            "y" => &mut self.y,
            "n" => &mut self.n,
            "e" => &mut self.e,
            "d" => &mut self.d,
            "p" => &mut self.p,
            "q" => &mut self.q,
            "dp" => &mut self.dp,
            "dq" => &mut self.dq,
            "qi" => &mut self.qi,
            "oth" => &mut self.oth,
            "priv" => &mut self.private,
            _ => return Ok(false),
        };
        *field = Some(values.next_value_seed(Read(walk))?).filter(|value| !matches!(value, Field::Null));
        Ok(true)
    }
}

/// Reads a [`Field`] of any type, so that a wrong one is told by the key's name and not by serde's message, which
/// quotes the value.
struct Read<'f>(Walk<'f>);

impl<'de> DeserializeSeed<'de> for Read<'_> {
    type Value = Field<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Read<'_> {
    type Value = Field<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Field<'de>, E> {
        Ok(Field::Null)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Field<'de>, E> {
        Ok(Field::Other)
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field<'de>, A::Error> {
        let inside = self.0.enter()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Read(inside))? {
            list.push(item);
        }
        Ok(Field::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field<'de>, A::Error> {
        let mut jwk = Jwk::default();
        Object { members: &mut jwk, walk: self.0 }.visit_map(map)?;
        Ok(Field::Key(Box::new(jwk)))
    }
}
