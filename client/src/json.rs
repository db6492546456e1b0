//! Replies that are one JSON text, as every command gives them that says more than a number or a word: one element to
//! read, alike on RESP2 and RESP3.
//!
//! Members that nobody asks for are skipped, so a newer server does not break an older client; a member that is missing
//! or of another type is an error. Such an error names the member and never shows its value, which may be a token.

use redis::{ParsingError, Value};
use serde::de::DeserializeOwned;

/// Reads the reply that should be this.
pub(crate) fn read<T: DeserializeOwned>(of: &str, reply: &Value) -> Result<T, ParsingError> {
    let Value::BulkString(text) = bare(reply) else { return Err(format!("the reply is no JSON text of {of}").into()) };
    parse(of, text)
}

/// Reads the text that should be this.
pub(crate) fn parse<T: DeserializeOwned>(of: &str, text: &[u8]) -> Result<T, ParsingError> {
    serde_json::from_slice(text).map_err(|error| {
        // Ours begin with a name. Others can show what they were given.
        let error = error.to_string();
        let shown = if error.starts_with('`') { &error } else { "it is not as expected" };
        format!("the reply is no JSON text of {of}: {shown}").into()
    })
}

/// Without what RESP3 can say about it.
pub(crate) fn bare(value: &Value) -> &Value {
    match value {
        Value::Attribute { data, .. } => bare(data),
        value => value,
    }
}

/// Implements `Deserialize` for a structure: each member by its name, `required`, or `optional` if null or nothing at all
/// is as its type's default.
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

/// How a type reads a whole reply, also that of a command in a pipeline; and, with a name, how a `Vec` of it does.
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
