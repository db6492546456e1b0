//! Tokens that were good lately, so that checking one again costs no MAC and no JSON.
//!
//! A check is a function of keys, policy, user, token, audience and time. An entry remembers the outcome for all of these
//! but the time, and the times that the answer depends on. It counts only for exactly the same user, token and audience,
//! and then the times are compared again. Other keys or another policy clear the cache. So a check gives the same answer
//! with and without it.

use std::hint::black_box;

use super::verified::Checked;
use crate::Subject;

/// Longer tokens are not remembered, so that the memory taken is bounded by the number of entries.
const MAX_BYTES: usize = 2048;

/// A bounded memory of good tokens.
#[derive(Default)]
pub(crate) struct Cache {
    /// Pairs: a token's entry is in one of the two slots of its pair, the later one first.
    slots: Vec<Option<Entry>>,
    hits: u64,
    misses: u64,
}

/// A token, and what is asked of it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) token: &'a [u8],
    pub(crate) subject: Subject<'a>,
    pub(crate) audience: Option<&'a str>,
}

struct Entry {
    token: Box<[u8]>,
    subject: Box<str>,
    audience: Option<Box<str>>,
    checked: Checked,
}

impl Cache {
    /// Changes how many tokens are remembered, rounded up to a power of two; 0 for none. If that is another number,
    /// forgets all.
    pub(crate) fn resize(&mut self, entries: usize) {
        let size = if entries == 0 { 0 } else { entries.next_power_of_two().max(2) };
        if size != self.slots.len() {
            self.slots = std::iter::repeat_with(|| None).take(size).collect();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.slots.fill_with(|| None);
    }

    /// How many were found, and how many were not.
    pub(crate) fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    /// What is remembered of this token; it is counted.
    pub(crate) fn find(&mut self, asked: Asked<'_>) -> Option<&Checked> {
        // Nothing is counted where nothing is remembered.
        let first = self.first_of_pair(asked.token)?;
        let found = self.place(first, asked);
        *(if found.is_some() { &mut self.hits } else { &mut self.misses }) += 1;
        self.slots.get(found?)?.as_ref().map(|entry| &entry.checked)
    }

    pub(crate) fn forget(&mut self, asked: Asked<'_>) {
        let place = self.first_of_pair(asked.token).and_then(|first| self.place(first, asked));
        if let Some(place) = place.and_then(|at| self.slots.get_mut(at)) {
            *place = None;
        }
    }

    /// Remembers a good token, in the place of the older one of its pair.
    pub(crate) fn keep(&mut self, asked: Asked<'_>, checked: Checked) {
        let Some(first) = self.first_of_pair(asked.token).filter(|_| asked.token.len() <= MAX_BYTES) else { return };
        let entry = Entry {
            token: asked.token.into(),
            subject: asked.subject.as_str().into(),
            audience: asked.audience.map(Into::into),
            checked,
        };
        let older = self.slots.get_mut(first).and_then(|place| place.replace(entry));
        if let Some(place) = self.slots.get_mut(first ^ 1).filter(|_| older.is_some()) {
            *place = older;
        }
    }

    /// Where its entry is, in the pair that begins at `first`.
    fn place(&self, first: usize, asked: Asked<'_>) -> Option<usize> {
        let is_there =
            |at: &usize| self.slots.get(*at).and_then(Option::as_ref).is_some_and(|entry| entry.is_for(asked));
        [first, first ^ 1].into_iter().find(is_there)
    }

    /// Where the pair of this token begins; `None` if nothing is remembered.
    ///
    /// A token ends with its code, which nobody without the key can choose: that is as good as a hash.
    fn first_of_pair(&self, token: &[u8]) -> Option<usize> {
        let end: [u8; 16] = *token.last_chunk()?;
        let mixed = u128::from_le_bytes(end).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let bits = self.slots.len().checked_ilog2()?;
        usize::try_from(mixed >> (128 - bits)).ok()
    }
}

impl Entry {
    fn is_for(&self, asked: Asked<'_>) -> bool {
        same(&self.token, asked.token)
            && *self.subject == *asked.subject.as_str()
            && self.audience.as_deref() == asked.audience
    }
}

/// Compares in a time that depends on the lengths alone, so that a guess does not tell how far it was right.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && black_box(one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b))) == 0
}
