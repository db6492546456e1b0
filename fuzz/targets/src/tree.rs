//! JSON as serde_json reads it, with every member of every object: what the strict reader must agree with.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// A value.
#[derive(Debug)]
pub(crate) enum Tree {
    Null,
    Bool,
    Number(Number),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Bool)
            }
            fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
                Ok(Tree::Number(number.into()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
                Ok(Tree::Number(number.into()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
                Ok(Tree::Number(Number::from_f64(number).expect("a finite number")))
            }
            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
                let mut object = Vec::new();
                while let Some(member) = members.next_entry()? {
                    object.push(member);
                }
                Ok(Tree::Object(object))
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}

/// The members of the strict object `json`: one that serde_json reads, of at most 16 levels, with each member once.
pub(crate) fn strict_object(json: &[u8]) -> Option<Vec<(String, Tree)>> {
    match serde_json::from_slice(json).ok()? {
        Tree::Object(members) if is_strict(&members, 16) => Some(members),
        _ => None,
    }
}

fn is_strict(members: &[(String, Tree)], levels: u8) -> bool {
    let mut names = HashSet::new();
    levels > 0 && members.iter().all(|(name, value)| names.insert(name) && is_strict_value(value, levels - 1))
}

fn is_strict_value(value: &Tree, levels: u8) -> bool {
    match value {
        Tree::Object(members) => is_strict(members, levels),
        Tree::List(items) => levels > 0 && items.iter().all(|item| is_strict_value(item, levels - 1)),
        Tree::Null | Tree::Bool | Tree::Number(_) | Tree::Text(_) => true,
    }
}

/// The member called `name`.
pub(crate) fn member<'t>(members: &'t [(String, Tree)], name: &str) -> Option<&'t Tree> {
    members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

impl Tree {
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}
