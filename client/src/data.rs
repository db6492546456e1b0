//! The application's data of a session.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The application's data of a session: fields and their values, both any bytes, in the server's order.
///
/// ```
/// # fn show(session: &redis_session::Session) {
/// let cart: Option<u64> = session.data.text("cart").and_then(|id| id.parse().ok());
/// for (field, value) in session.data.iter() {
///     println!("{} has {} bytes", field.escape_ascii(), value.len());
/// }
/// # }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SessionData(Vec<(Vec<u8>, Vec<u8>)>);

impl SessionData {
    /// The value of this field.
    #[must_use]
    pub fn get(&self, field: impl AsRef<[u8]>) -> Option<&[u8]> {
        let field = field.as_ref();
        self.iter().find_map(|(name, value)| (name == field).then_some(value))
    }

    /// The value of this field, if it is UTF-8.
    #[must_use]
    pub fn text(&self, field: impl AsRef<[u8]>) -> Option<&str> {
        std::str::from_utf8(self.get(field)?).ok()
    }

    /// Every field and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(field, value)| (field.as_slice(), value.as_slice()))
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Shows the number of fields and no field: session data does not belong in logs.
impl fmt::Debug for SessionData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionData").field("fields", &self.len()).finish_non_exhaustive()
    }
}

impl IntoIterator for SessionData {
    type Item = (Vec<u8>, Vec<u8>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A JSON object. If a name is not UTF-8, an array with an array of name and value for each field.
impl<'de> Deserialize<'de> for SessionData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = SessionData;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the fields of a session")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<SessionData, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, Bytes(value))) = members.next_entry::<String, Bytes>()? {
                    fields.push((name.into_bytes(), value));
                }
                Ok(SessionData(fields))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<SessionData, A::Error> {
                let mut fields = Vec::new();
                while let Some((Bytes(name), Bytes(value))) = pairs.next_element()? {
                    fields.push((name, value));
                }
                Ok(SessionData(fields))
            }
        }

        deserializer.deserialize_any(Fields)
    }
}

/// A JSON string. Bytes that are not UTF-8 are an object with the member `base64` (RFC 4648 section 4).
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or an object with `base64`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
                Ok(Bytes(text.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Bytes, A::Error> {
                let encoded = members.next_entry::<String, String>()?.filter(|(name, _)| name == "base64");
                let bytes = encoded.and_then(|(_, text)| STANDARD.decode(text).ok());
                bytes.map(Bytes).ok_or_else(|| A::Error::missing_field("base64"))
            }
        }

        deserializer.deserialize_any(Text)
    }
}
