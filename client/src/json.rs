//! Replies that are one JSON text. Every command that replies with more than a number or a word can give one: it is one
//! element to read, the same in RESP2 and RESP3.
//!
//! Unknown members are skipped, so a newer server does not break an older client. A missing member, or one of another
//! type, is an error. The error names the member and never shows its value, which may be a token.

use redis::{ParsingError, Value};
use serde::de::DeserializeOwned;

/// Reads the reply as a `T`.
pub(crate) fn read<T: DeserializeOwned>(of: &str, reply: &Value) -> Result<T, ParsingError> {
    let Value::BulkString(text) = bare(reply) else { return Err(format!("the reply is no JSON text of {of}").into()) };
    parse(of, text)
}

/// Reads the text as a `T`.
pub(crate) fn parse<T: DeserializeOwned>(of: &str, text: &[u8]) -> Result<T, ParsingError> {
    serde_json::from_slice(text).map_err(|error| {
        // This crate's errors begin with a name. Others can show the text.
        let error = error.to_string();
        let shown = if error.starts_with('`') { &error } else { "it is not as expected" };
        format!("the reply is no JSON text of {of}: {shown}").into()
    })
}

/// The value without RESP3 attributes.
pub(crate) fn bare(value: &Value) -> &Value {
    match value {
        Value::Attribute { data, .. } => bare(data),
        value => value,
    }
}

/// Implements `Deserialize` for a structure: each member by its name, `required`, or `optional`, whose missing or null
/// value is the default of its type.
macro_rules! from_object {
    ($type:ident { $($field:ident: $presence:ident,)* }) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[allow(non_camel_case_types)]
                enum Name { $($field,)* Other }

                impl<'de> serde::Deserialize<'de> for Name {
                    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                        struct Text;
                        impl serde::de::Visitor<'_> for Text {
                            type Value = Name;
                            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                                f.write_str("a name")
                            }
                            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Name, E> {
                                Ok(match name {
                                    $(stringify!($field) => Name::$field,)*
                                    _ => Name::Other,
                                })
                            }
                        }
                        deserializer.deserialize_identifier(Text)
                    }
                }

                struct Object;
                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<$type, A::Error> {
                        use serde::de::Error as _;
                        $(let mut $field = None;)*
                        while let Some(name) = members.next_key()? {
                            match name {
                                $(Name::$field => {
                                    let value = members.next_value();
                                    $field = Some(value.map_err(|_| {
                                        A::Error::custom(concat!("`", stringify!($field), "` cannot be read"))
                                    })?);
                                })*
                                Name::Other => _ = members.next_value::<serde::de::IgnoredAny>()?,
                            }
                        }
                        Ok($type { $($field: crate::json::$presence!(A, $field),)* })
                    }
                }
                deserializer.deserialize_map(Object)
            }
        }
    };
}
pub(crate) use from_object;

macro_rules! required {
    ($access:ident, $field:ident) => {
        $field.ok_or_else(|| $access::Error::custom(concat!("`", stringify!($field), "` is missing")))?
    };
}
pub(crate) use required;

macro_rules! optional {
    ($access:ident, $field:ident) => {
        $field.unwrap_or_default()
    };
}
pub(crate) use optional;

/// Reads a whole reply as this type, in pipelines too; and, with a name, as a `Vec` of it.
macro_rules! from_redis_value {
    ($($reply:ty = $read:expr $(, list $of:literal)?;)*) => {$(
        impl redis::FromRedisValue for $reply {
            fn from_redis_value(reply: redis::Value) -> Result<Self, redis::ParsingError> {
                $read(reply)
            }

            $(fn from_byte_vec(text: Vec<u8>) -> Result<Vec<Self>, redis::ParsingError> {
                crate::json::parse($of, &text)
            })?
        }
    )*};
}
pub(crate) use from_redis_value;
