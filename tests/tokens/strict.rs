//! What a strict reader of JSON notices, found by walking over a text: members that come twice, and how deep it is.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// An object has a member twice.
#[derive(Debug)]
pub(crate) struct Twice;

/// How many arrays and objects are inside each other. What is no JSON is not deep.
pub(crate) fn look(text: &str) -> Result<usize, Twice> {
    match serde_json::from_str::<Depth>(text) {
        Ok(Depth(depth)) => Ok(depth),
        Err(error) if error.to_string().starts_with(TWICE) => Err(Twice),
        Err(_) => Ok(0),
    }
}

const TWICE: &str = "a member twice";

struct Depth(usize);

impl<'de> Deserialize<'de> for Depth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Depth;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Depth, E> {
                Ok(Depth(0))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Depth, E> {
                Ok(Depth(0))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Depth, E> {
                Ok(Depth(0))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Depth, E> {
                Ok(Depth(0))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Depth, E> {
                Ok(Depth(0))
            }
            fn visit_str<E>(self, _: &str) -> Result<Depth, E> {
                Ok(Depth(0))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Depth, A::Error> {
                let mut deepest = 0;
                while let Some(Depth(depth)) = items.next_element()? {
                    deepest = deepest.max(depth);
                }
                Ok(Depth(deepest + 1))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Depth, A::Error> {
                let (mut deepest, mut names) = (0, BTreeSet::new());
                while let Some((name, Depth(depth))) = members.next_entry::<String, Depth>()? {
                    deepest = deepest.max(depth);
                    if !names.insert(name) {
                        return Err(A::Error::custom(TWICE));
                    }
                }
                Ok(Depth(deepest + 1))
            }
        }
        deserializer.deserialize_any(Walk)
    }
}

#[test]
fn members_and_levels_are_counted() {
    assert_eq!(look("[[{}]]").unwrap(), 3);
    assert_eq!(look("not JSON").unwrap(), 0);
    assert!(look(r#"{"a":[{"b":1,"\u0062":2}]}"#).is_err());
}
