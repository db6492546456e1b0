//! Tokens that were verified lately, so that checking one again costs no MAC and no JSON.
//!
//! [`verify`](super::verify()) is a function of ring, policy, user, token, audience and time. An entry remembers one
//! answer together with all of these but the time, and the times that the answer hangs on; it is used only where
//! everything else is the same to the letter, and then the times are compared anew. So the answer with the cache is
//! the answer without it.

use std::hint::black_box;

use super::policy::TokenPolicy;
use super::ring::KeyRing;
use super::scratch::Scratch;
use super::verified::{Checked, Verified};
use super::verify::check;
use crate::{Reason, Subject, UnixMillis};

/// Longer tokens are not remembered, so that the memory taken is bounded by the number of entries.
const MAX_BYTES: usize = 2048;

/// A bounded memory of verified tokens. It must be [cleared](TokenCache::clear) when the ring changes; a change of the
/// policy it notices.
#[derive(Default)]
pub struct TokenCache {
    /// Pairs: a token's entry is in one of the two slots of its pair, the later one first.
    slots: Vec<Option<Entry>>,
    policy: TokenPolicy,
    hits: u64,
    misses: u64,
}

struct Entry {
    token: Box<[u8]>,
    subject: Box<str>,
    audience: Option<Box<str>>,
    checked: Checked,
}

impl TokenCache {
    /// Changes how many tokens are remembered, rounded up to a power of two; 0 for none. Forgets all.
    ///
    /// An entry takes about 200 bytes and the token's length, which is at most 2048 bytes.
    pub fn resize(&mut self, entries: usize) {
        let size = if entries == 0 { 0 } else { entries.next_power_of_two().max(2) };
        self.slots = std::iter::repeat_with(|| None).take(size).collect();
    }

    /// Forgets all tokens.
    pub fn clear(&mut self) {
        self.slots.fill_with(|| None);
    }

    /// How many checks found their token here, and how many did not.
    #[must_use]
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    /// As [`verify`](super::verify()), with a memory.
    ///
    /// # Errors
    /// As there.
    #[allow(clippy::too_many_arguments)] // those of `verify`
    pub fn verify(
        &mut self,
        ring: &KeyRing,
        policy: &TokenPolicy,
        subject: Subject<'_>,
        token: &[u8],
        audience: Option<&str>,
        now: UnixMillis,
        scratch: &mut Scratch,
    ) -> Result<Verified, Reason> {
        if self.policy != *policy {
            self.clear();
            self.policy = policy.clone();
        }
        let Some(first) = self.first_of_pair(token) else {
            return super::verify::verify(ring, policy, subject, token, audience, now, scratch);
        };
        for at in [first, first ^ 1] {
            let Some(place) = self.slots.get_mut(at) else { continue };
            let Some(entry) = place.as_ref().filter(|entry| entry.is_for(token, subject, audience)) else { continue };
            let answer = entry.checked.at(policy, now);
            if answer == Err(Reason::TokenExpired) {
                *place = None;
            }
            self.hits += 1;
            return answer;
        }
        self.misses += 1;
        let checked = check(ring, policy, subject, token, audience, scratch)?;
        let answer = checked.at(policy, now)?;
        if token.len() > MAX_BYTES {
            return Ok(answer);
        }
        let entry = Entry {
            token: token.into(),
            subject: subject.as_str().into(),
            audience: audience.map(Into::into),
            checked,
        };
        let older = self.slots.get_mut(first).and_then(|place| place.replace(entry));
        if let Some(place) = self.slots.get_mut(first ^ 1).filter(|_| older.is_some()) {
            *place = older;
        }
        Ok(answer)
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
    fn is_for(&self, token: &[u8], subject: Subject<'_>, audience: Option<&str>) -> bool {
        same(&self.token, token) && *self.subject == *subject.as_str() && self.audience.as_deref() == audience
    }
}

/// Compares in a time that depends on the lengths alone, so that a guess does not tell how far it was right.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && black_box(one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b))) == 0
}
