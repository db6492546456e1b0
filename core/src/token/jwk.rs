//! JSON Web Key Sets (RFC 7517): from a file's bytes to keys.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::algorithm::Algorithm;
use super::json::{self, Members, Object, Walk};
use super::key::Key;
use super::ring::{KeyProblem, KeyRingError};
use crate::base64url;

/// The longest `kid`, in bytes.
const MAX_KID_BYTES: usize = 128;

/// The keys of the set `json`: at least one, all good, each `kid` once.
pub(crate) fn read_set(json: &[u8]) -> Result<Vec<Key>, KeyRingError> {
    let mut set = Set::default();
    json::read_object(json, &mut set)?;
    let Some(Field::List(items)) = set.keys else { return Err(KeyRingError::NoSet) };
    if items.is_empty() {
        return Err(KeyRingError::NoKeys);
    }
    let mut keys = Vec::<Key>::with_capacity(items.len());
    for (item, number) in items.into_iter().zip(1_usize..) {
        let Field::Key(jwk) = item else { return Err(KeyRingError::NoSet) };
        let kid = match jwk.kid {
            Some(Field::Text(ref kid)) if is_kid(kid) => kid.as_ref(),
            _ => return Err(KeyRingError::Key { key: format!("key number {number}"), problem: KeyProblem::Kid }),
        };
        let key = if keys.iter().any(|key| key.kid() == kid) { Err(KeyProblem::DuplicateKid) } else { jwk.key(kid) };
        keys.push(key.map_err(|problem| KeyRingError::Key { key: format!("key {kid:?}"), problem })?);
    }
    Ok(keys)
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
}

impl Jwk<'_> {
    fn key(&self, kid: &str) -> Result<Key, KeyProblem> {
        if text(self.kty.as_ref()) != Some("oct") {
            return Err(KeyProblem::KeyType);
        }
        let algorithm = text(self.alg.as_ref()).and_then(Algorithm::from_name).ok_or(KeyProblem::Algorithm)?;
        if self.usage.is_some() && text(self.usage.as_ref()) != Some("sig") {
            return Err(KeyProblem::Use);
        }
        let can_sign = match &self.key_ops {
            None => true,
            Some(Field::List(operations)) => may_sign(operations)?,
            Some(_) => return Err(KeyProblem::KeyOps),
        };
        let secret = text(self.k.as_ref()).and_then(|k| base64url::decode(k.as_bytes())).ok_or(KeyProblem::Secret)?;
        let needed = algorithm.min_secret_bytes();
        if secret.len() < needed {
            return Err(KeyProblem::ShortSecret {
                algorithm,
                bits: secret.len().saturating_mul(8),
                needed: needed.saturating_mul(8),
            });
        }
        Ok(Key::new(kid, algorithm, &secret, can_sign))
    }
}

fn text<'f>(field: Option<&'f Field<'_>>) -> Option<&'f str> {
    match field? {
        Field::Text(text) => Some(text),
        _ => None,
    }
}

/// Whether `operations`, which must allow to verify, allow to sign too.
fn may_sign(operations: &[Field<'_>]) -> Result<bool, KeyProblem> {
    let mut names = Vec::with_capacity(operations.len());
    for operation in operations {
        let name = text(Some(operation)).ok_or(KeyProblem::KeyOps)?;
        if names.contains(&name) {
            return Err(KeyProblem::KeyOps);
        }
        names.push(name);
    }
    if names.contains(&"verify") { Ok(names.contains(&"sign")) } else { Err(KeyProblem::KeyOps) }
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
