//! Where one user's records are: in one packed allocation, or, once they are many, in one each with an index.
//!
//! ```text
//! packed    cutoffs u8 | [revoked_before] | [tombstones_dropped_before] | record | record | ...
//! cutoffs   bit 0: revoked_before is there; bit 1: so is tombstones_dropped_before
//! cutoff    began u48 | iat u48 | until u48
//! ```
//!
//! Records stand in the order in which they were added: sessions by age, tombstones by their end. A packed store is
//! searched from the front. Past [`PACKED_MAX_RECORDS`] or [`PACKED_MAX_BYTES`] it becomes an indexed one, in which
//! finding, adding and removing take logarithmic time however many sessions one user has; it is packed again when little
//! is left.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::mem::size_of;

use hashbrown::HashTable;

use super::cutoff::{Cutoff, UserCutoff};
use super::reader::Reader;
use super::record::{IdKey, RecordRef};
use crate::{SessionId, UnixMillis};

/// Where a search from the front starts to cost more than an index. An index takes about as much again as the records.
const PACKED_MAX_RECORDS: usize = 24;
/// The most bytes that each change copies: a few sessions with data.
const PACKED_MAX_BYTES: usize = 4096;
/// An indexed store is packed again at a quarter of both bounds. The gap keeps it from switching back and forth.
const REPACK: usize = 4;

/// The cutoffs of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cutoffs {
    /// All sessions and tokens up to here were revoked.
    pub(crate) revoked_before: Option<UserCutoff>,
    /// Tombstones that were still needed, for credentials up to here, were dropped because they were too many.
    pub(crate) tombstones_dropped_before: Option<UserCutoff>,
}

impl Cutoffs {
    /// When none of them matters any more.
    fn until(self) -> Option<UnixMillis> {
        self.revoked_before.into_iter().chain(self.tombstones_dropped_before).map(|cutoff| cutoff.until).max()
    }
}

/// The bytes of a packed cutoff: began, iat, until.
const CUTOFF_BYTES: usize = 6 + 6 + 6;
/// What begins a packed store without cutoffs.
const NO_CUTOFFS: u8 = 0;

#[derive(Clone, Debug)]
pub(crate) enum Store {
    Packed(Packed),
    Indexed(Box<Indexed>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Packed(Box<[u8]>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Indexed {
    cutoffs: Cutoffs,
    records: BTreeMap<u64, Box<[u8]>>,
    by_id: HashTable<u64>,
    hasher: RandomState,
    next: u64,
    bytes: usize,
    /// How many of the records are sessions.
    sessions: usize,
    /// The last deadline of all records.
    deadline: UnixMillis,
    /// The last deadline of each block of places that has records.
    deadlines: BTreeMap<u64, UnixMillis>,
    /// Blocks of which a record with that deadline has gone, so that it may be earlier now.
    stale: BTreeSet<u64>,
}

/// How many places are a block. To correct a deadline takes a look at one block's records and at all blocks' deadlines.
const BLOCK: u64 = 256;

impl Default for Store {
    fn default() -> Self {
        Self::Packed(Packed::default())
    }
}

impl Store {
    pub(crate) fn cutoffs(&self) -> Cutoffs {
        match self {
            Self::Packed(packed) => packed.cutoffs(),
            Self::Indexed(indexed) => indexed.cutoffs,
        }
    }

    pub(crate) fn set_cutoffs(&mut self, cutoffs: Cutoffs) {
        match self {
            Self::Packed(packed) => packed.set_cutoffs(cutoffs),
            Self::Indexed(indexed) => indexed.cutoffs = cutoffs,
        }
    }

    pub(crate) fn find(&self, id: &SessionId) -> Option<RecordRef<'_>> {
        let id = IdKey::of(id);
        match self {
            Self::Packed(packed) => packed.iter().find(|record| record.has_id(id)),
            Self::Indexed(indexed) => indexed.find(id).and_then(|at| indexed.record(at)),
        }
    }

    /// The bytes of the record with this id, to be changed in place.
    pub(crate) fn find_mut(&mut self, id: &SessionId) -> Option<&mut [u8]> {
        let id = IdKey::of(id);
        match self {
            Self::Packed(packed) => {
                let (start, end) = packed.span(id)?;
                packed.0.get_mut(start..end)
            }
            Self::Indexed(indexed) => {
                let at = indexed.find(id)?;
                indexed.records.get_mut(&at).map(|record| &mut **record)
            }
        }
    }

    /// All records, the ones added first at the front.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RecordRef<'_>> {
        let (packed, indexed) = match self {
            Self::Packed(packed) => (Some(packed.iter()), None),
            Self::Indexed(indexed) => (None, Some(indexed.iter())),
        };
        packed.into_iter().flatten().chain(indexed.into_iter().flatten())
    }

    /// All records, the ones added last at the front.
    pub(crate) fn iter_back(&self) -> impl Iterator<Item = RecordRef<'_>> {
        let (packed, indexed) = match self {
            // They are few, and can be read from the front alone.
            Self::Packed(packed) => (Some(packed.iter().collect::<Vec<_>>()), None),
            Self::Indexed(indexed) => (None, Some(indexed.records.values().rev())),
        };
        let indexed = indexed.into_iter().flatten().filter_map(|bytes| RecordRef::whole(bytes));
        packed.into_iter().flatten().rev().chain(indexed)
    }

    /// About `most` records from the place `from` on, which is 0 at first, and the place to go on from.
    pub(crate) fn part(&self, from: u64, most: usize) -> (impl Iterator<Item = RecordRef<'_>>, Option<u64>) {
        let (packed, indexed, next) = match self {
            // They are few.
            Self::Packed(packed) => (Some(packed.iter()), None, None),
            Self::Indexed(indexed) => {
                let next = indexed.records.range(from..).nth(most).map(|(at, _)| *at);
                let part = indexed.records.range(from..next.unwrap_or(u64::MAX));
                (None, Some(part.filter_map(|(_, bytes)| RecordRef::whole(bytes))), next)
            }
        };
        (packed.into_iter().flatten().chain(indexed.into_iter().flatten()), next)
    }

    /// How many of the records are sessions.
    pub(crate) fn sessions(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.iter().filter(|record| !record.is_tombstone()).count(),
            Self::Indexed(indexed) => indexed.sessions,
        }
    }

    /// Puts `record` where the record with its id is, or at the end.
    pub(crate) fn put(&mut self, record: &[u8]) {
        match self {
            Self::Packed(packed) => packed.put(record),
            Self::Indexed(indexed) => indexed.put(record),
        }
        self.index();
    }

    /// Puts `record` at the end, in place of the record with its id, if there is one.
    pub(crate) fn put_last(&mut self, record: &[u8]) {
        let Some(id) = RecordRef::whole(record).map(RecordRef::id_key) else { return };
        match self {
            Self::Packed(packed) => match packed.span(id) {
                Some((start, end)) => {
                    packed.0 = packed.around(start, end, |front, back| [front, back, record].concat());
                }
                None => packed.put(record),
            },
            Self::Indexed(indexed) => {
                indexed.remove(id);
                indexed.push(record.into());
                self.repack();
            }
        }
        self.index();
    }

    /// Whether the records are in one allocation, through which each change goes.
    pub(crate) fn is_packed(&self) -> bool {
        matches!(self, Self::Packed(_))
    }

    /// Adds records with new ids at the end of a packed store.
    pub(crate) fn append(&mut self, records: &[u8]) {
        if let Self::Packed(packed) = self
            && !records.is_empty()
        {
            if packed.0.is_empty() {
                packed.0 = Box::new([NO_CUTOFFS]);
            }
            packed.splice(packed.0.len(), packed.0.len(), records);
        }
        self.index();
    }

    fn index(&mut self) {
        if let Self::Packed(packed) = self
            && (packed.0.len() > PACKED_MAX_BYTES || packed.iter().nth(PACKED_MAX_RECORDS).is_some())
        {
            *self = Self::Indexed(Box::new(packed.to_indexed()));
        }
    }

    /// Puts `record` where the record with the id `old` is, or at the end. Its own id must not be in the store.
    pub(crate) fn replace(&mut self, old: &SessionId, record: &[u8]) {
        let old = IdKey::of(old);
        match self {
            Self::Packed(packed) => match packed.span(old) {
                Some((start, end)) => packed.splice(start, end, record),
                None => packed.put(record),
            },
            Self::Indexed(indexed) => indexed.replace(old, record),
        }
        self.index();
    }

    /// Takes out the record with this id, if there is one.
    pub(crate) fn remove(&mut self, id: &SessionId) {
        let id = IdKey::of(id);
        match self {
            Self::Packed(packed) => {
                if let Some((start, end)) = packed.span(id) {
                    packed.splice(start, end, &[]);
                }
            }
            Self::Indexed(indexed) => {
                indexed.remove(id);
                self.repack();
            }
        }
    }

    /// Keeps only the records that `keep` accepts.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(RecordRef<'_>) -> bool) {
        match self {
            Self::Packed(packed) => {
                let mut kept = Vec::with_capacity(packed.0.len());
                kept.extend_from_slice(packed.0.get(..packed.records_start()).unwrap_or_default());
                for record in packed.iter().filter(|record| keep(*record)) {
                    kept.extend_from_slice(record.bytes());
                }
                packed.0 = kept.into_boxed_slice();
            }
            Self::Indexed(indexed) => {
                let mut kept = Indexed { cutoffs: indexed.cutoffs, ..Indexed::default() };
                for (_, bytes) in std::mem::take(&mut indexed.records) {
                    if RecordRef::whole(&bytes).is_some_and(&mut keep) {
                        kept.push(bytes);
                    }
                }
                **indexed = kept;
                self.repack();
            }
        }
    }

    fn repack(&mut self) {
        if let Self::Indexed(indexed) = self
            && indexed.bytes <= PACKED_MAX_BYTES / REPACK
            && indexed.records.len() <= PACKED_MAX_RECORDS / REPACK
        {
            let mut packed = Packed::default();
            packed.set_cutoffs(indexed.cutoffs);
            let mut bytes = packed.0.to_vec();
            bytes.reserve_exact(1 + indexed.bytes);
            if bytes.is_empty() {
                bytes.push(0);
            }
            for record in indexed.iter() {
                bytes.extend_from_slice(record.bytes());
            }
            *self = Self::Packed(Packed(bytes.into_boxed_slice()));
        }
    }

    /// Whether there are fewer records than `bound`, as far as that can be told without counting.
    pub(crate) fn is_surely_below(&self, bound: usize) -> bool {
        matches!(self, Self::Indexed(indexed) if indexed.records.len() < bound)
    }

    /// Whether there is neither a record nor a cutoff.
    pub(crate) fn is_empty(&self) -> bool {
        self.cutoffs() == Cutoffs::default() && self.iter().next().is_none()
    }

    /// Corrects [`Store::deadline`] after records have gone. Call it once after removing many.
    pub(crate) fn settle(&mut self) {
        if let Self::Indexed(indexed) = self {
            indexed.settle();
        }
    }

    /// The last deadline of all records and cutoffs, after which the store can be deleted.
    pub(crate) fn deadline(&self) -> UnixMillis {
        let records = match self {
            Self::Packed(packed) => packed.iter().map(RecordRef::last_deadline).max(),
            Self::Indexed(indexed) => Some(indexed.deadline),
        };
        records.into_iter().chain(self.cutoffs().until()).max().unwrap_or_default()
    }

    /// The allocations that hold the records from the place `from` on.
    pub(crate) fn allocations_from(&mut self, from: u64) -> impl Iterator<Item = (u64, &mut Box<[u8]>)> {
        let (packed, indexed) = match self {
            Self::Packed(packed) => (Some((0, &mut packed.0)), None),
            Self::Indexed(indexed) => (None, Some(indexed.records.range_mut(from..).map(|(at, bytes)| (*at, bytes)))),
        };
        packed.into_iter().chain(indexed.into_iter().flatten())
    }

    /// How many allocations there are.
    pub(crate) fn allocations(&self) -> usize {
        match self {
            Self::Packed(_) => 1,
            Self::Indexed(indexed) => 2 + indexed.records.len(),
        }
    }

    /// How many bytes are allocated, without the allocator's own.
    pub(crate) fn allocated_bytes(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.0.len(),
            // A tree node's entry and the index's slot, at the fill that both keep on average.
            Self::Indexed(indexed) => {
                let entry = (size_of::<u64>() + size_of::<Box<[u8]>>()) * 3 / 2;
                let slot = size_of::<u64>() + 1;
                size_of::<Indexed>()
                    + indexed.bytes
                    + indexed.records.len() * entry
                    + indexed.by_id.capacity() * slot * 8 / 7
            }
        }
    }
}

impl Packed {
    fn cutoffs(&self) -> Cutoffs {
        let mut reader = Reader(&self.0);
        let bits = reader.u8().unwrap_or(0);
        let mut read = |bit| {
            if bits & bit == 0 {
                return None;
            }
            let cutoff = Cutoff::read(&mut reader)?;
            Some(UserCutoff { cutoff, until: reader.time()? })
        };
        Cutoffs { revoked_before: read(1), tombstones_dropped_before: read(2) }
    }

    fn set_cutoffs(&mut self, cutoffs: Cutoffs) {
        let Cutoffs { revoked_before, tombstones_dropped_before } = cutoffs;
        let bits = u8::from(revoked_before.is_some()) | (u8::from(tombstones_dropped_before.is_some()) << 1);
        let mut head = Vec::with_capacity(1 + 2 * CUTOFF_BYTES);
        head.push(bits);
        for UserCutoff { cutoff, until } in [revoked_before, tombstones_dropped_before].into_iter().flatten() {
            head.extend_from_slice(&cutoff.to_bytes());
            head.extend_from_slice(&until.to_bytes());
        }
        self.splice(0, self.records_start(), &head);
    }

    fn records_start(&self) -> usize {
        match self.0.first() {
            None => 0,
            Some(&NO_CUTOFFS) => 1,
            Some(1 | 2) => 1 + CUTOFF_BYTES,
            Some(_) => 1 + 2 * CUTOFF_BYTES,
        }
    }

    fn iter(&self) -> PackedIter<'_> {
        PackedIter(self.0.get(self.records_start()..).unwrap_or_default())
    }

    /// Where the record with this id begins and ends.
    fn span(&self, id: IdKey<'_>) -> Option<(usize, usize)> {
        let mut start = self.records_start();
        for record in self.iter() {
            let end = start + record.bytes().len();
            if record.has_id(id) {
                return Some((start, end));
            }
            start = end;
        }
        None
    }

    fn put(&mut self, record: &[u8]) {
        if self.0.is_empty() {
            self.0 = [&[NO_CUTOFFS], record].concat().into_boxed_slice();
            return;
        }
        let id = RecordRef::whole(record).map(RecordRef::id_key);
        let (start, end) = id.and_then(|id| self.span(id)).unwrap_or((self.0.len(), self.0.len()));
        self.splice(start, end, record);
    }

    /// Replaces the bytes from `start` to `end`. The result has no spare capacity: most users have a session or two.
    fn splice(&mut self, start: usize, end: usize, with: &[u8]) {
        self.0 = self.around(start, end, |front, back| [front, with, back].concat());
    }

    /// What `join` makes of the bytes before `start` and those from `end` on.
    fn around(&self, start: usize, end: usize, join: impl FnOnce(&[u8], &[u8]) -> Vec<u8>) -> Box<[u8]> {
        let (front, back) = (self.0.get(..start).unwrap_or_default(), self.0.get(end..).unwrap_or_default());
        join(front, back).into_boxed_slice()
    }

    fn to_indexed(&self) -> Indexed {
        let mut indexed = Indexed { cutoffs: self.cutoffs(), ..Indexed::default() };
        for record in self.iter() {
            indexed.push(record.bytes().into());
        }
        indexed
    }
}

struct PackedIter<'a>(&'a [u8]);

impl<'a> Iterator for PackedIter<'a> {
    type Item = RecordRef<'a>;

    fn next(&mut self) -> Option<RecordRef<'a>> {
        let (record, rest) = RecordRef::split_first(self.0)?;
        self.0 = rest;
        Some(record)
    }
}

impl Indexed {
    fn iter(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.records.values().filter_map(|bytes| RecordRef::whole(bytes))
    }

    fn record(&self, at: u64) -> Option<RecordRef<'_>> {
        RecordRef::whole(self.records.get(&at)?)
    }

    fn find(&self, id: IdKey<'_>) -> Option<u64> {
        let hash = self.hasher.hash_one(id.as_parts());
        self.by_id.find(hash, |at| self.record(*at).is_some_and(|record| record.has_id(id))).copied()
    }

    fn put(&mut self, bytes: &[u8]) {
        let Some(record) = RecordRef::whole(bytes) else { return };
        let Some(at) = self.find(record.id_key()) else {
            return self.push(bytes.into());
        };
        let deadline = record.last_deadline();
        self.sessions += usize::from(!record.is_tombstone());
        let old = self.records.insert(at, bytes.into());
        self.bytes += bytes.len();
        self.forget(at, old.as_deref());
        self.lasts_until(at, deadline);
    }

    /// Notes the deadline of a record that is at a place now.
    fn lasts_until(&mut self, at: u64, deadline: UnixMillis) {
        let block = self.deadlines.entry(at / BLOCK).or_default();
        *block = deadline.max(*block);
        self.deadline = self.deadline.max(deadline);
    }

    fn settle(&mut self) {
        if self.stale.is_empty() {
            return;
        }
        for block in std::mem::take(&mut self.stale) {
            let first = block.saturating_mul(BLOCK);
            let records = self.records.range(first..first.saturating_add(BLOCK)).map(|(_, bytes)| bytes);
            let last = records.filter_map(|bytes| RecordRef::whole(bytes)).map(RecordRef::last_deadline).max();
            match last {
                Some(last) => self.deadlines.insert(block, last),
                None => self.deadlines.remove(&block),
            };
        }
        self.deadline = self.deadlines.values().copied().max().unwrap_or_default();
    }

    fn push(&mut self, bytes: Box<[u8]>) {
        let at = self.next;
        self.next += 1;
        self.insert(at, bytes);
    }

    fn replace(&mut self, old: IdKey<'_>, bytes: &[u8]) {
        match self.find(old) {
            Some(at) => {
                self.remove(old);
                self.insert(at, bytes.into());
            }
            None => self.push(bytes.into()),
        }
    }

    /// Puts a record with a new id at a place that is free.
    fn insert(&mut self, at: u64, bytes: Box<[u8]>) {
        let Some(record) = RecordRef::whole(&bytes) else { return };
        let hash = self.hasher.hash_one(record.id_key().as_parts());
        let deadline = record.last_deadline();
        self.sessions += usize::from(!record.is_tombstone());
        self.bytes += bytes.len();
        self.records.insert(at, bytes);
        self.lasts_until(at, deadline);
        let (records, hasher) = (&self.records, &self.hasher);
        self.by_id.insert_unique(hash, at, |at| {
            let record = records.get(at).and_then(|bytes| RecordRef::whole(bytes));
            record.map_or(0, |record| hasher.hash_one(record.id_key().as_parts()))
        });
    }

    fn remove(&mut self, id: IdKey<'_>) {
        let Some(at) = self.find(id) else { return };
        let hash = self.hasher.hash_one(id.as_parts());
        if let Ok(entry) = self.by_id.find_entry(hash, |known| *known == at) {
            entry.remove();
        }
        let old = self.records.remove(&at);
        self.forget(at, old.as_deref());
    }

    /// Takes a record that is gone from a place out of the sums.
    fn forget(&mut self, at: u64, old: Option<&[u8]>) {
        let Some(old) = old.and_then(RecordRef::whole) else { return };
        self.bytes -= old.bytes().len();
        self.sessions -= usize::from(!old.is_tombstone());
        let block = at / BLOCK;
        if self.deadlines.get(&block).is_none_or(|last| old.last_deadline() >= *last) {
            self.stale.insert(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::{EndReason, Tombstone};
    use super::*;
    use proptest::prelude::*;

    fn tombstone(n: u8, size: usize, until: u32) -> Vec<u8> {
        let id = SessionId::from_text(format!("{n:03}{}", "x".repeat(size)).as_bytes()).unwrap();
        let until = UnixMillis::new(u64::from(until)).unwrap();
        let mut bytes = Vec::new();
        Tombstone { id, reason: EndReason::Revoked, ended: Cutoff::default(), until }.write(&mut bytes);
        bytes
    }

    fn id(n: u8, size: usize) -> SessionId {
        SessionId::from_text(format!("{n:03}{}", "x".repeat(size)).as_bytes()).unwrap()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u8, u32),
        PutLast(u8, u32),
        Replace(u8, u8),
        Remove(u8),
        Retain(u8),
        Cut(Option<u32>, Option<u32>),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (any::<u8>(), any::<u32>()).prop_map(|(n, until)| Step::Put(n, until)),
            2 => (any::<u8>(), any::<u32>()).prop_map(|(n, until)| Step::PutLast(n, until)),
            1 => (any::<u8>(), any::<u8>()).prop_map(|(old, new)| Step::Replace(old, new)),
            2 => any::<u8>().prop_map(Step::Remove),
            1 => (1..8u8).prop_map(Step::Retain),
            1 => any::<(Option<u32>, Option<u32>)>().prop_map(|(one, two)| Step::Cut(one, two)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// The same steps on a plain list give the same records, packed or indexed.
        #[test]
        fn a_store_is_an_ordered_list(size in 1..100usize, steps in prop::collection::vec(step(), 1..300)) {
            let (mut store, mut list, mut cutoffs) = (Store::default(), Vec::<(u8, u32, Vec<u8>)>::new(), Cutoffs::default());
            for step in steps {
                match step {
                    Step::Put(n, until) => {
                        let bytes = tombstone(n, size, until);
                        store.put(&bytes);
                        match list.iter_mut().find(|known| known.0 == n) {
                            Some(known) => *known = (n, until, bytes),
                            None => list.push((n, until, bytes)),
                        }
                    }
                    Step::PutLast(n, until) => {
                        let bytes = tombstone(n, size, until);
                        store.put_last(&bytes);
                        list.retain(|known| known.0 != n);
                        list.push((n, until, bytes));
                    }
                    Step::Replace(old, new) => {
                        if list.iter().any(|known| known.0 == old) && list.iter().all(|known| known.0 != new) {
                            let bytes = tombstone(new, size, 9);
                            store.replace(&id(old, size), &bytes);
                            let place = list.iter_mut().find(|known| known.0 == old);
                            place.into_iter().for_each(|known| *known = (new, 9, bytes.clone()));
                        }
                    }
                    Step::Remove(n) => {
                        store.remove(&id(n, size));
                        list.retain(|known| known.0 != n);
                    }
                    Step::Retain(part) => {
                        let drop: Vec<_> = list.iter().filter(|known| known.0 % 8 < part).cloned().collect();
                        store.retain(|record| drop.iter().all(|gone| record.bytes() != gone.2));
                        list.retain(|known| known.0 % 8 >= part);
                    }
                    Step::Cut(one, two) => {
                        let time = |millis: u32| UnixMillis::new(u64::from(millis)).unwrap();
                        let cutoff = |millis: u32| UserCutoff {
                            cutoff: Cutoff { began: time(millis / 3), iat: time(millis / 2) },
                            until: time(millis),
                        };
                        cutoffs =
                            Cutoffs { revoked_before: one.map(cutoff), tombstones_dropped_before: two.map(cutoff) };
                        store.set_cutoffs(cutoffs);
                    }
                }
                store.settle();
                let bytes: Vec<_> = list.iter().map(|known| &known.2[..]).collect();
                prop_assert_eq!(store.iter().map(RecordRef::bytes).collect::<Vec<_>>(), &bytes[..]);
                let back: Vec<_> = store.iter_back().map(RecordRef::bytes).collect();
                prop_assert_eq!(back.into_iter().rev().collect::<Vec<_>>(), &bytes[..]);
                prop_assert_eq!(store.cutoffs(), cutoffs);
                let parts = std::iter::successors(Some(Some(0)), |at| Some(store.part((*at)?, 7).1));
                let parts = parts.map_while(|at| at).flat_map(|at| store.part(at, 7).0);
                prop_assert_eq!(parts.map(RecordRef::bytes).collect::<Vec<_>>(), bytes);
                prop_assert_eq!(store.is_empty(), list.is_empty() && cutoffs == Cutoffs::default());
                let last = list.iter().map(|known| u64::from(known.1)).chain(cutoffs.until().map(UnixMillis::get)).max();
                prop_assert_eq!(store.deadline().get(), last.unwrap_or(0));
                for n in [0, 100, 255] {
                    prop_assert_eq!(store.find(&id(n, size)).is_some(), list.iter().any(|known| known.0 == n));
                    prop_assert_eq!(store.find_mut(&id(n, size)).is_some(), list.iter().any(|known| known.0 == n));
                }
            }
        }
    }

    #[test]
    fn a_large_store_is_indexed_and_packed_again_when_little_is_left() {
        let mut store = Store::default();
        (0..200).for_each(|n| store.put(&tombstone(n, 40, 1)));
        assert!(matches!(store, Store::Indexed(_)));
        assert_eq!(store.iter().count(), 200);
        assert_eq!(store.allocations_from(150).count(), 50);
        store.retain(|record| record.has_id(IdKey::of(&id(7, 40))));
        assert!(matches!(store, Store::Packed(_)));
        assert_eq!(store.iter().count(), 1);
    }
}
