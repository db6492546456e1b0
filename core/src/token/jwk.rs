//! JSON Web Key Sets (RFC 7517): from a file's bytes to keys.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::algorithm::{Algorithm, Hash};
use super::json::{self, Members, Object, Walk};
use super::key::Key;
use super::problem::{Ignored, KeyProblem, KeyRingError};
use super::public::PublicKey;
use crate::base64url;

/// The longest `kid`, in bytes.
const MAX_KID_BYTES: usize = 128;

/// A key of a set that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredKey {
    /// Its `kid`, if it has one that would do.
    pub kid: Option<String>,
    /// Why it is not used.
    pub why: Ignored,
}

/// The keys of the set `json`, each `kid` once for a type of key, and what else is in it. All that are for us must be good, and at least
/// one must be.
pub(crate) fn read_set(json: &[u8]) -> Result<(Vec<Key>, Vec<IgnoredKey>), KeyRingError> {
    let mut set = Set::default();
    json::read_object(json, &mut set)?;
    let Some(Field::List(items)) = set.keys else { return Err(KeyRingError::NoSet) };
    if items.is_empty() {
        return Err(KeyRingError::NoKeys);
    }
    let (mut keys, mut ignored) = (Vec::<Key>::with_capacity(items.len()), Vec::new());
    for (item, number) in items.into_iter().zip(1_usize..) {
        let Field::Key(jwk) = item else { return Err(KeyRingError::NoSet) };
        let kid = text(jwk.kid.as_ref()).filter(|kid| is_kid(kid));
        let named = || kid.map_or_else(|| format!("key number {number}"), |kid| format!("key {kid:?}"));
        let refused = |problem| KeyRingError::Key { key: named(), problem };
        match jwk.purpose().map_err(refused)? {
            Purpose::None(why) => ignored.push(IgnoredKey { kid: kid.map(str::to_owned), why }),
            Purpose::Tokens(algorithm) => {
                // An empty one is none: some issuers write it into keys and tokens alike.
                let kid = match &jwk.kid {
                    None => None,
                    Some(Field::Text(text)) if text.is_empty() => None,
                    Some(_) => Some(kid.ok_or_else(|| refused(KeyProblem::Kid))?),
                };
                let same = |key: &Key| kid.is_some() && key.kid() == kid;
                let of_type = algorithm.key_type();
                if keys.iter().any(|key| same(key) && key.algorithm().key_type() == of_type) {
                    return Err(refused(KeyProblem::DuplicateKid));
                }
                keys.push(jwk.key(kid, algorithm).map_err(refused)?);
            }
        }
    }
    match ignored.first() {
        Some(IgnoredKey { kid, why }) if keys.is_empty() => {
            let key = kid.as_ref().map_or_else(|| "key number 1".to_owned(), |kid| format!("key {kid:?}"));
            Err(KeyRingError::NoneUsable { key, why: *why })
        }
        _ => Ok((keys, ignored)),
    }
}

fn is_kid(text: &str) -> bool {
    (1..=MAX_KID_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// What a member of a set or of a key holds, as far as it matters here.
enum Field<'de> {
    Text(Cow<'de, str>),
    List(Vec<Field<'de>>),
    Key(Box<Jwk<'de>>),
    Other,
}

#[derive(Default)]
struct Set<'de> {
    keys: Option<Field<'de>>,
}

/// The members of one key (RFC 7517 section 4) that matter here; `Some` if they are there at all.
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
}

/// What a key is for.
enum Purpose {
    Tokens(Algorithm),
    None(Ignored),
}

impl Jwk<'_> {
    /// What the key is for, by what it says of itself.
    ///
    /// A secret is the operator's own, so whatever it says must make sense here. Public keys come in files of issuers,
    /// where not every key need be for us (RFC 7517 section 5).
    fn purpose(&self) -> Result<Purpose, KeyProblem> {
        let kty = text(self.kty.as_ref());
        if kty == Some("oct") || self.k.is_some() {
            return self.purpose_of_secret().map(Purpose::Tokens);
        }
        if self.d.is_some() {
            return Err(KeyProblem::Private);
        }
        let kty = kty.ok_or(KeyProblem::KeyType)?;
        match &self.usage {
            None => {}
            Some(Field::Text(usage)) if usage == "sig" => {}
            Some(Field::Text(_)) => return Ok(Purpose::None(Ignored::Use)),
            Some(_) => return Err(KeyProblem::Use),
        }
        if self.operations()?.is_some_and(|names| !names.iter().any(|name| ["sign", "verify"].contains(name))) {
            return Ok(Purpose::None(Ignored::Use));
        }
        let by_curve = match kty {
            "RSA" => None,
            "EC" | "OKP" => match (kty, text(self.crv.as_ref()).ok_or(KeyProblem::Curve)?) {
                ("EC", "P-256") => Some(Algorithm::Es256),
                ("OKP", "Ed25519") => Some(Algorithm::EdDsa),
                _ => return Ok(Purpose::None(Ignored::Curve)),
            },
            _ => return Ok(Purpose::None(Ignored::KeyType)),
        };
        let algorithm = match &self.alg {
            None => by_curve.ok_or(KeyProblem::OpenAlgorithm)?,
            Some(Field::Text(name)) => match Algorithm::from_name(name) {
                Some(algorithm) if algorithm.key_type() == kty => algorithm,
                Some(_) => return Err(KeyProblem::OtherAlgorithm),
                None => return Ok(Purpose::None(Ignored::Algorithm)),
            },
            Some(_) => return Err(KeyProblem::Algorithm),
        };
        Ok(Purpose::Tokens(algorithm))
    }

    fn purpose_of_secret(&self) -> Result<Algorithm, KeyProblem> {
        if text(self.kty.as_ref()) != Some("oct") {
            return Err(KeyProblem::KeyType);
        }
        let algorithm = text(self.alg.as_ref()).and_then(Algorithm::from_name).ok_or(KeyProblem::Algorithm)?;
        if algorithm.hmac().is_none() {
            return Err(KeyProblem::Algorithm);
        }
        if self.usage.is_some() && text(self.usage.as_ref()) != Some("sig") {
            return Err(KeyProblem::Use);
        }
        Ok(algorithm)
    }

    /// The key itself, for the algorithm of its [purpose](Jwk::purpose).
    fn key(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Key, KeyProblem> {
        let operations = self.operations()?;
        let may = |name| operations.as_ref().is_none_or(|names| names.contains(&name));
        if !may("verify") {
            return Err(KeyProblem::KeyOps);
        }
        let public = match algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                let hash = algorithm.hmac().ok_or(KeyProblem::Algorithm)?;
                return self.secret(kid, (algorithm, hash), may("sign"));
            }
            Algorithm::Es256 => {
                let (x, y) = text(self.x.as_ref()).zip(text(self.y.as_ref())).ok_or(KeyProblem::Coordinates)?;
                PublicKey::p256(x, y)
            }
            Algorithm::EdDsa => PublicKey::ed25519(text(self.x.as_ref()).ok_or(KeyProblem::Point)?),
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let (n, e) = text(self.n.as_ref()).zip(text(self.e.as_ref())).ok_or(KeyProblem::Modulus)?;
                PublicKey::rsa(algorithm, n, e)
            }
        };
        public.map(|public| Key::public_of(kid, algorithm, public))
    }

    fn secret(
        &self,
        kid: Option<&str>,
        (algorithm, hash): (Algorithm, Hash),
        can_sign: bool,
    ) -> Result<Key, KeyProblem> {
        let secret = text(self.k.as_ref()).and_then(|k| base64url::decode(k.as_bytes())).ok_or(KeyProblem::Secret)?;
        if secret.len() < hash.bytes() {
            return Err(KeyProblem::ShortSecret {
                algorithm,
                bits: secret.len().saturating_mul(8),
                needed: hash.bytes().saturating_mul(8),
            });
        }
        Ok(Key::secret_of(kid, (algorithm, hash), &secret, can_sign))
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
            _ => return Ok(false),
        };
        *field = Some(values.next_value_seed(Read(walk))?);
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
        Ok(Field::Other)
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
