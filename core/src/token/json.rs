//! Strict JSON: an object whose members occur once at any depth, nested at most [`MAX_DEPTH`] levels, and no byte
//! after it (RFC 7515 section 5.2, RFC 8259 section 4).
//!
//! Two readers that pick different ones of two equal members see two different tokens, so both are refused. Values are
//! handed to [`Members`] as they come, borrowed from the text, and no tree is built.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// How many arrays and objects may be inside each other, the outermost included.
pub(crate) const MAX_DEPTH: u8 = 16;

/// Reads the object `json` into `members`.
pub(crate) fn read_object<'de>(json: &'de [u8], members: &mut impl Members<'de>) -> Result<(), JsonError> {
    // UTF-8 is checked once for the whole text, which is faster than string by string.
    let text = std::str::from_utf8(json).map_err(|error| {
        let (line, column) = json.iter().take(error.valid_up_to()).fold((1, 0), |(line, column), byte| match byte {
            b'\n' => (line + 1, 0),
            _ => (line, column + 1),
        });
        JsonError { fault: Fault::Syntax, line, column }
    })?;
    let fault = Cell::new(None);
    let walk = Walk { levels_left: MAX_DEPTH, fault: &fault };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Object { members, walk }.deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(|error| {
        JsonError { fault: fault.take().unwrap_or(Fault::Syntax), line: error.line(), column: error.column() }
    })
}

/// What reads an object's members.
pub(crate) trait Members<'de> {
    /// Takes the value of the member `name` out of `values` and returns true, or returns false for a member that
    /// means nothing here: it is then checked and skipped. Called once per name.
    fn member<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A, walk: Walk<'_>) -> Result<bool, A::Error>;
}

/// Why a text was refused, and the line and column (from 1) before which that was seen. Quotes no value of the text:
/// it may be secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    pub(crate) fault: Fault,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON, no object, a member of another type than asked for, or more bytes after the object.
    Syntax,
    /// An object has this member twice.
    Duplicate(String),
    /// Deeper than [`MAX_DEPTH`].
    TooDeep,
}

/// Where in the nesting a value is.
#[derive(Clone, Copy)]
pub(crate) struct Walk<'f> {
    levels_left: u8,
    fault: &'f Cell<Option<Fault>>,
}

impl Walk<'_> {
    pub(crate) fn enter<E: de::Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Self { levels_left, ..self }),
            None => Err(self.refuse(Fault::TooDeep)),
        }
    }

    fn refuse<E: de::Error>(self, fault: Fault) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }
}

/// A string, borrowed from the text unless it has escapes. (Serde's own `Cow` always copies.)
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The names of one object: the first ones on the stack, and more than that, which only a text from elsewhere has, in
/// a set, so that a hostile object costs no quadratic time.
struct Names<'de> {
    first: [Cow<'de, str>; 12],
    used: usize,
    more: BTreeSet<Cow<'de, str>>,
    /// A bit for each name seen, by [`bit_of`]: most new names are told by a bit that is not set.
    bits: u64,
}

/// One of 64 bits, from a name's length, first and last byte.
fn bit_of(name: &str) -> u64 {
    let end = |byte: Option<&u8>| byte.copied().map_or(0, usize::from);
    let bytes = name.as_bytes();
    1 << ((bytes.len() + end(bytes.first()) * 7 + end(bytes.last()) * 31) % 64)
}

impl<'de> Names<'de> {
    fn new() -> Self {
        Self { first: [const { Cow::Borrowed("") }; 12], used: 0, more: BTreeSet::new(), bits: 0 }
    }

    fn contains(&self, name: &str) -> bool {
        self.bits & bit_of(name) != 0
            && (self.first.iter().take(self.used).any(|seen| seen == name) || self.more.contains(name))
    }

    fn add(&mut self, name: Cow<'de, str>) {
        self.bits |= bit_of(&name);
        match self.first.get_mut(self.used) {
            Some(free) => {
                *free = name;
                self.used += 1;
            }
            None => {
                self.more.insert(name);
            }
        }
    }
}

/// An object that `members` reads.
pub(crate) struct Object<'m, 'f, M> {
    pub(crate) members: &'m mut M,
    pub(crate) walk: Walk<'f>,
}

impl<'de, M: Members<'de>> DeserializeSeed<'de> for Object<'_, '_, M> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, M: Members<'de>> Visitor<'de> for Object<'_, '_, M> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inside = self.walk.enter()?;
        let mut names = Names::new();
        while let Some(Text(name)) = map.next_key()? {
            if names.contains(&name) {
                return Err(inside.refuse(Fault::Duplicate(name.into_owned())));
            }
            if !self.members.member(&name, &mut map, inside)? {
                map.next_value_seed(Skip(inside))?;
            }
            names.add(name);
        }
        Ok(())
    }
}

/// Any value: checked, and dropped.
pub(crate) struct Skip<'f>(pub(crate) Walk<'f>);

impl<'de> DeserializeSeed<'de> for Skip<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.0.enter()?;
        while items.next_element_seed(Skip(inside))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        Object { members: &mut Nothing, walk: self.0 }.visit_map(map)
    }
}

/// The members of an object that means nothing here.
struct Nothing;

impl<'de> Members<'de> for Nothing {
    fn member<A: MapAccess<'de>>(&mut self, _: &str, _: &mut A, _: Walk<'_>) -> Result<bool, A::Error> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault_of(json: impl AsRef<[u8]>) -> Option<Fault> {
        read_object(json.as_ref(), &mut Nothing).err().map(|error| error.fault)
    }

    fn nested(levels: usize) -> String {
        let inner = levels - 1;
        format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
    }

    #[test]
    fn every_kind_of_value_is_read() {
        assert_eq!(fault_of(r#" {"a":null,"b":[true,1,-1,1.5e3,"x\u00e9",{}],"c":{"d":[]}} "#), None);
        assert_eq!(fault_of("{}"), None);
    }

    #[test]
    fn what_is_no_object_or_has_more_behind_it_is_refused() {
        let texts: &[&[u8]] = &[
            b"",
            b" ",
            b"null",
            b"1",
            b"\"a\"",
            b"[]",
            b"[{}]",
            b"{",
            b"}",
            b"{}}",
            b"{}{}",
            b"{} x",
            b"{}\0",
            b"{\"a\"}",
            b"{\"a\":}",
            b"{\"a\":1,}",
            b"{a:1}",
            b"{'a':1}",
            b"{\"a\":01}",
            b"{\"a\":+1}",
            b"{\"a\":.5}",
            b"{\"a\":NaN}",
            b"{\"a\":1e999}",
            b"{\"a\":\"\n\"}",
            b"{\"a\":\"\xff\"}",
            b"{\"\xff\":1}",
            b"{\"a\":\"\\ud800\"}",
            b"\xef\xbb\xbf{}",
            b"{/**/}",
            b"{1:2}",
        ];
        for text in texts {
            assert_eq!(fault_of(text), Some(Fault::Syntax), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_member_occurs_once_at_every_depth_however_it_is_spelled() {
        let twice = |name: &str| Some(Fault::Duplicate(name.to_owned()));
        assert_eq!(fault_of(r#"{"a":1,"b":2,"a":1}"#), twice("a"));
        assert_eq!(fault_of(r#"{"a":1,"\u0061":2}"#), twice("a"));
        assert_eq!(fault_of(r#"{"":1,"":2}"#), twice(""));
        assert_eq!(fault_of(r#"{"x":[{"y":{"a":1,"a":2}}]}"#), twice("a"));
        assert_eq!(fault_of(r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#), None);
        assert_eq!(fault_of(r#"{"a":1,"A":2}"#), None);
    }

    #[test]
    fn a_member_of_a_large_object_occurs_once() {
        let object = |last: &str| {
            let members: String = (0..100).map(|n| format!("\"{n}\":0,")).collect();
            format!("{{{members}\"{last}\":0}}")
        };
        assert_eq!(fault_of(object("100")), None);
        for name in [0, 11, 12, 13, 99] {
            assert_eq!(fault_of(object(&name.to_string())), Some(Fault::Duplicate(name.to_string())));
        }
    }

    #[test]
    fn sixteen_levels_are_the_deepest() {
        assert_eq!(fault_of(nested(16)), None);
        assert_eq!(fault_of(nested(17)), Some(Fault::TooDeep));
        assert_eq!(fault_of(nested(200_000)), Some(Fault::TooDeep));
        assert_eq!(fault_of("{\"a\":".repeat(17) + "1" + &"}".repeat(17)), Some(Fault::TooDeep));
    }

    #[test]
    fn an_error_says_where() {
        let error = read_object(b"{\n \"a\": 1,\n \"a\": 2\n}", &mut Nothing).unwrap_err();
        assert_eq!(error.line, 3);
        let error = read_object(b"{\n \"a\": \"\xff\"\n}", &mut Nothing).unwrap_err();
        assert_eq!((error.line, error.column), (2, 7));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_as_serde_json_does(bytes in "[{}\\[\\]\":,ab1\\\\ ]{0,40}") {
            let lenient = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&bytes).is_ok();
            match fault_of(&bytes) {
                None => prop_assert!(lenient),
                Some(Fault::Syntax) => prop_assert!(!lenient),
                Some(_) => {}
            }
        }
    }
}
