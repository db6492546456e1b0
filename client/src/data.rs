//! What an application keeps with a session.

use std::fmt;

use redis::Value;

use crate::fields::FromField;

/// What an application keeps with a session: fields and their values, both any bytes, in the server's order.
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

/// Shows how many fields there are, and none of them: what is kept with a session is not for logs.
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

impl FromField for SessionData {
    const IS: &'static str = "map of strings";

    fn from_field(value: Value) -> Option<Self> {
        let fields = value.into_map_iter().ok()?;
        fields
            .map(|(field, value)| Some((Vec::from_field(field)?, Vec::from_field(value)?)))
            .collect::<Option<_>>()
            .map(Self)
    }
}
