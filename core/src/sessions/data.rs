//! An application's fields of one session.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::reader::Reader;

/// An application's fields of one session, packed: per field the lengths of name (u16) and value (u32), then both.
/// Names are distinct and not empty; fields keep their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data<'a>(Cow<'a, [u8]>);

impl<'a> Data<'a> {
    /// Packs `fields`; `None` if a name is empty, longer than 65,535 bytes or there twice, or a value longer than 2^32 - 1.
    pub fn pack<'f>(fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>) -> Option<Data<'static>> {
        let (mut packed, mut names) = (Vec::new(), HashSet::new());
        for (name, value) in fields {
            if name.is_empty() || !names.insert(name) {
                return None;
            }
            packed.extend_from_slice(&u16::try_from(name.len()).ok()?.to_le_bytes());
            packed.extend_from_slice(&u32::try_from(value.len()).ok()?.to_le_bytes());
            packed.extend_from_slice(name);
            packed.extend_from_slice(value);
        }
        Some(Data(Cow::Owned(packed)))
    }

    /// The fields packed in `bytes`; `None` if they are not what [`Data::pack`] writes.
    pub(crate) fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let data = Data(Cow::Borrowed(bytes));
        let (mut names, mut length) = (HashSet::new(), 0);
        for (name, value) in Fields(Reader(bytes)) {
            if name.is_empty() || !names.insert(name) {
                return None;
            }
            length += 6 + name.len() + value.len();
        }
        (length == bytes.len()).then_some(data)
    }

    /// These fields with those of `changes` set: in their old places, new ones at the end.
    pub(crate) fn merged(&self, changes: &Data<'_>) -> Data<'static> {
        let changed: HashMap<_, _> = changes.iter().collect();
        let known = self.names();
        let kept = self.iter().map(|(name, value)| (name, changed.get(name).copied().unwrap_or(value)));
        let added = changes.iter().filter(|(name, _)| !known.contains(name));
        Data::pack(kept.chain(added)).unwrap_or_default()
    }

    /// These fields without those called as in `names`.
    pub(crate) fn without(&self, names: &Data<'_>) -> Data<'static> {
        let gone = names.names();
        Data::pack(self.iter().filter(|(name, _)| !gone.contains(name))).unwrap_or_default()
    }

    /// The names as a set. Clients choose how many names there are and how many are looked up, so a search for each
    /// would take the product of the two.
    pub(crate) fn names(&self) -> HashSet<&[u8]> {
        self.iter().map(|(name, _)| name).collect()
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_owned<'b>(self) -> Data<'b> {
        Data(Cow::Owned(self.0.into_owned()))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&u32::try_from(self.0.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.0);
    }

    pub(crate) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        Self::from_bytes(reader.counted()?)
    }

    /// The fields, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        Fields(Reader(&self.0))
    }

    /// The value of the field called `name`.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What one session's data may be at most.
#[derive(Clone, Copy, Debug)]
pub struct DataLimit {
    /// Bytes of all names and values.
    pub bytes: usize,
    /// Fields.
    pub fields: usize,
}

impl DataLimit {
    /// No limit.
    pub const NONE: Self = Self { bytes: usize::MAX, fields: usize::MAX };
}

#[derive(Clone)]
struct Fields<'a>(Reader<'a>);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = (usize::from(self.0.u16()?), usize::try_from(self.0.u32()?).ok()?);
        Some((self.0.bytes(name)?, self.0.bytes(value)?))
    }
}
