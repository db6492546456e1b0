//! A reply's map, read field by field, alike from a RESP3 map and from RESP2's flat array.
//!
//! Fields that nobody asks for are skipped, so a newer server does not break an older client; a field that is
//! missing or of another type is an error. Such an error names the field and never shows its value, which may be a
//! token.

use std::net::IpAddr;

use redis::{ParsingError, Value};

/// A map's fields, taken by name, in any order.
pub(crate) struct Fields {
    of: &'static str,
    fields: Vec<(Value, Value)>,
}

impl Fields {
    pub(crate) fn of(of: &'static str, reply: Value) -> Result<Self, ParsingError> {
        let fields = match bare(reply) {
            Value::Map(fields) => fields,
            reply => reply.into_map_iter().map_err(|_| format!("the reply is no map of {of}"))?.collect(),
        };
        Ok(Self { of, fields })
    }

    /// The field, or `None` if it is null or not there.
    pub(crate) fn optional<T: FromField>(&mut self, name: &str) -> Result<Option<T>, ParsingError> {
        let Some(at) = self.fields.iter().position(|(field, _)| is_text(field, name)) else { return Ok(None) };
        let (_, value) = self.fields.swap_remove(at);
        match bare(value) {
            Value::Nil => Ok(None),
            value => match T::from_field(value) {
                Some(value) => Ok(Some(value)),
                None => Err(format!("`{name}` of {} is no {}", self.of, T::IS).into()),
            },
        }
    }

    pub(crate) fn required<T: FromField>(&mut self, name: &str) -> Result<T, ParsingError> {
        self.optional(name)?.ok_or_else(|| format!("`{name}` of {} is missing", self.of).into())
    }
}

/// The value without RESP3 attributes, which servers may add to any reply and which nobody asked for.
pub(crate) fn bare(value: Value) -> Value {
    match value {
        Value::Attribute { data, .. } => bare(*data),
        value => value,
    }
}

fn is_text(value: &Value, text: &str) -> bool {
    match value {
        Value::BulkString(bytes) => bytes == text.as_bytes(),
        Value::SimpleString(string) => string == text,
        _ => false,
    }
}

/// Makes redis read these replies by themselves.
macro_rules! from_redis_value {
    ($($reply:ty = $read:expr;)*) => {$(
        /// For pipelines, and commands sent by hand.
        impl redis::FromRedisValue for $reply {
            fn from_redis_value(reply: redis::Value) -> Result<Self, redis::ParsingError> {
                $read(reply)
            }
        }
    )*};
}
pub(crate) use from_redis_value;

/// A field's type. Stricter than redis's own conversions, by which null and `2` are booleans.
pub(crate) trait FromField: Sized {
    /// What the value should have been.
    const IS: &'static str;

    fn from_field(value: Value) -> Option<Self>;
}

impl FromField for bool {
    const IS: &'static str = "boolean";

    fn from_field(value: Value) -> Option<Self> {
        match value {
            Value::Boolean(yes) => Some(yes),
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl FromField for Vec<u8> {
    const IS: &'static str = "string";

    fn from_field(value: Value) -> Option<Self> {
        match value {
            Value::BulkString(bytes) => Some(bytes),
            Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.into_bytes()),
            // redis reads the status `OK` as a value of its own.
            Value::Okay => Some(b"OK".to_vec()),
            _ => None,
        }
    }
}

impl FromField for String {
    const IS: &'static str = "UTF-8 text";

    fn from_field(value: Value) -> Option<Self> {
        Self::from_utf8(Vec::from_field(value)?).ok()
    }
}

impl FromField for IpAddr {
    const IS: &'static str = "IP address";

    fn from_field(value: Value) -> Option<Self> {
        String::from_field(value)?.parse().ok()
    }
}

impl FromField for Vec<String> {
    const IS: &'static str = "list of texts";

    fn from_field(value: Value) -> Option<Self> {
        match value {
            Value::Array(items) | Value::Set(items) => items.into_iter().map(String::from_field).collect(),
            _ => None,
        }
    }
}
