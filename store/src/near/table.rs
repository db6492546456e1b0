//! The remembered answers by token, and the tokens of each key.
//!
//! Tokens are spread over shards, each with its own lock, so that checks rarely wait for each other. So are keys. Code
//! that needs both locks takes the key's first.
//!
//! A check of many tokens waits mostly for memory. So a check reads only two places: a slot of one cache line, and the
//! answer that it returns. The rest of an entry is elsewhere.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashTable;

use super::clock::Moment;
use super::name::{Name, Namer};
use crate::authenticated::Authenticated;

/// A power of two.
const SHARDS: usize = 256;
/// The most tokens of one user to remember: a user may have many for each session.
const TOKENS_OF_A_KEY: usize = 256;
/// An estimate of an entry's size besides its texts, in bytes.
const OVERHEAD: usize = 380;

/// An answer of the server, with all that a check needs to give it again. One cache line of the usual size.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Slot {
    name: Name,
    /// The generation of the cache in which the server was asked.
    pub(super) generation: u64,
    /// Until when it may be given.
    pub(super) until: Moment,
    /// From when on the next use must be sent.
    due: Moment,
    /// Which connection tracks it.
    pub(super) node: u16,
    /// Whether it was given since it was last considered for eviction.
    was_used: bool,
    /// Whether the check named a device.
    has_device: bool,
    /// Whether the answer has details.
    has_details: bool,
    pub(super) answer: Arc<Authenticated>,
    pub(super) entry: Arc<Entry>,
}

/// The part that a check needs only if it names a device.
#[derive(Debug)]
pub(super) struct Entry {
    name: Name,
    /// What the check said about the device.
    device: Option<Name>,
    pub(super) key: Arc<str>,
    /// How long a use counts after it was sent.
    interval: Duration,
    bytes: usize,
}

/// When the uses of a session are to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uses {
    pub(super) due: Moment,
    pub(super) interval: Duration,
}

impl Slot {
    /// Whether the check named this device, with or without details as asked.
    pub(super) fn is_for(&self, device: Option<Name>, details: bool) -> bool {
        self.has_details == details && self.is_for_device(device)
    }

    fn is_for_device(&self, device: Option<Name>) -> bool {
        match device {
            None => !self.has_device,
            Some(_) => self.has_device && self.entry.device == device,
        }
    }

    /// Whether to send this use. If so, the next one is due only after a while.
    pub(super) fn take_use(&mut self, now: Moment) -> bool {
        let is_due = now >= self.due;
        if is_due {
            self.due = now.after(self.entry.interval);
        }
        is_due
    }
}

/// The remembered answers.
#[derive(Debug)]
pub(super) struct Table {
    /// `None` if there was no randomness for the secret. Then nothing is kept.
    namer: Option<Namer>,
    shards: Box<[Shard]>,
    hasher: RandomState,
    keys: Box<[Mutex<Keys>]>,
    entries: AtomicUsize,
    bytes: AtomicUsize,
    evictions: AtomicU64,
    most_entries: usize,
    most_bytes: usize,
}

/// A part of the tokens, on cache lines of its own, so that a processor that takes it disturbs no other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Tokens>);

#[derive(Debug, Default)]
struct Tokens {
    hits: u64,
    table: HashTable<Slot>,
    /// In the order of eviction. May contain tokens that have left the table.
    queue: VecDeque<Arc<Entry>>,
}

/// A part of the keys.
#[derive(Debug, Default)]
struct Keys {
    /// The number of changes of these keys. An answer is dropped if its read began before the last one.
    changes: u64,
    entries: HashMap<Arc<str>, Vec<Arc<Entry>>>,
}

impl Table {
    pub(super) fn new(most_entries: usize, most_bytes: usize) -> Self {
        Self {
            namer: Namer::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            hasher: RandomState::new(),
            keys: (0..SHARDS).map(|_| Mutex::default()).collect(),
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
            most_entries,
            most_bytes,
        }
    }

    /// Whether it can keep anything.
    pub(super) fn works(&self) -> bool {
        self.namer.is_some()
    }

    /// What a device is compared by.
    pub(super) fn device(&self, device: Option<&[u8]>) -> Option<Name> {
        Some(self.namer.as_ref()?.name(device?))
    }

    fn tokens(&self, name: Name) -> Option<MutexGuard<'_, Tokens>> {
        Some(self.shards.get(name.part(SHARDS))?.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[allow(clippy::cast_possible_truncation)] // only some bits count
    fn keys(&self, key: &str) -> Option<MutexGuard<'_, Keys>> {
        let keys = self.keys.get(self.hasher.hash_one(key) as usize % SHARDS)?;
        Some(keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls `take` with the slot of this token, if there is one. A result counts as a hit.
    pub(super) fn get<T>(&self, token: &str, take: impl FnOnce(&mut Slot) -> Option<T>) -> Option<T> {
        let name = self.namer.as_ref()?.name(token.as_bytes());
        let mut tokens = self.tokens(name)?;
        let slot = tokens.table.find_mut(name.hash(), |slot| slot.name == name)?;
        let taken = take(slot)?;
        // A cache line that is only read need not be written back to memory.
        if !slot.was_used {
            slot.was_used = true;
        }
        tokens.hits = tokens.hits.wrapping_add(1);
        Some(taken)
    }

    /// The number of changes of keys in this key's part.
    pub(super) fn changes(&self, key: &str) -> u64 {
        self.keys(key).map_or(0, |keys| keys.changes)
    }

    /// A slot for this token.
    pub(super) fn slot(
        &self,
        (node, generation): (u16, u64),
        until: Moment,
        uses: Uses,
        (key, token, device): (&str, &str, Option<&[u8]>),
        answer: Arc<Authenticated>,
    ) -> Option<Slot> {
        let (name, device) = (self.namer.as_ref()?.name(token.as_bytes()), self.device(device));
        let (key, interval, bytes) = (key.into(), uses.interval, OVERHEAD + 2 * key.len() + answer.bytes());
        let (has_device, has_details) = (device.is_some(), answer.details.is_some());
        let entry = Arc::new(Entry { name, device, key, interval, bytes });
        Some(Slot {
            name,
            generation,
            until,
            due: uses.due,
            node,
            was_used: false,
            has_device,
            has_details,
            answer,
            entry,
        })
    }

    /// Keeps an answer, unless its key has changed since `changes` was read.
    pub(super) fn keep(&self, slot: Slot, changes: u64) {
        let entry = Arc::clone(&slot.entry);
        if entry.bytes > self.most_bytes || self.most_entries == 0 {
            return;
        }
        {
            let Some(mut keys) = self.keys(&entry.key) else { return };
            if keys.changes != changes {
                return;
            }
            let siblings = keys.entries.entry(Arc::clone(&entry.key)).or_default();
            if siblings.len() >= TOKENS_OF_A_KEY {
                self.remove(&siblings.swap_remove(0));
            }
            if let Some(replaced) = self.insert(slot) {
                siblings.retain(|sibling| !Arc::ptr_eq(sibling, &replaced));
            }
            siblings.push(Arc::clone(&entry));
        }
        while self.entries.load(Ordering::Relaxed) > self.most_entries
            || self.bytes.load(Ordering::Relaxed) > self.most_bytes
        {
            let Some(evicted) = self.evict(entry.name) else { break };
            self.evictions.fetch_add(1, Ordering::Relaxed);
            self.unlist(&evicted);
        }
    }

    /// Replaces the answer of the same token.
    fn insert(&self, slot: Slot) -> Option<Arc<Entry>> {
        let mut tokens = self.tokens(slot.name)?;
        let Tokens { table, queue, .. } = &mut *tokens;
        queue.push_back(Arc::clone(&slot.entry));
        self.count(&slot.entry);
        let replaced = match table.find_mut(slot.name.hash(), |other| other.name == slot.name) {
            Some(place) => {
                let replaced = std::mem::replace(place, slot);
                self.discount(&replaced.entry);
                Some(replaced.entry)
            }
            None => {
                table.insert_unique(slot.name.hash(), slot, |slot| slot.name.hash());
                None
            }
        };
        tokens.tidy();
        replaced
    }

    fn count(&self, entry: &Entry) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(entry.bytes, Ordering::Relaxed);
    }

    /// Counts an entry that has left the table.
    fn discount(&self, entry: &Entry) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(entry.bytes, Ordering::Relaxed);
    }

    /// Takes this entry out of the table, if it is still there.
    fn remove(&self, entry: &Arc<Entry>) {
        let Some(mut tokens) = self.tokens(entry.name) else { return };
        if tokens.take(entry) {
            self.discount(entry);
        }
        tokens.tidy();
    }

    /// Removes the entry that was unused longest in the shard of this name, or in another if that one is empty.
    fn evict(&self, name: Name) -> Option<Arc<Entry>> {
        let shards = self.shards.iter().cycle().skip(name.part(SHARDS)).take(SHARDS);
        let evicted =
            shards.into_iter().find_map(|shard| shard.0.lock().unwrap_or_else(PoisonError::into_inner).evict())?;
        self.discount(&evicted);
        Some(evicted)
    }

    /// Removes an evicted entry from the list of its key.
    fn unlist(&self, entry: &Arc<Entry>) {
        let Some(mut keys) = self.keys(&entry.key) else { return };
        if let Some(siblings) = keys.entries.get_mut(&entry.key) {
            siblings.retain(|sibling| !Arc::ptr_eq(sibling, entry));
            if siblings.is_empty() {
                keys.entries.remove(&entry.key);
            }
        }
    }

    /// Makes the next use due earlier, because the last one could not be sent.
    pub(super) fn use_failed(&self, entry: &Arc<Entry>, due: Moment) {
        let Some(mut tokens) = self.tokens(entry.name) else { return };
        if let Some(slot) = tokens.table.find_mut(entry.name.hash(), |slot| Arc::ptr_eq(&slot.entry, entry)) {
            slot.due = slot.due.min(due);
        }
    }

    /// Drops what is remembered of a key, and the answers of reads in progress.
    pub(super) fn forget(&self, key: &str) {
        let Some(mut keys) = self.keys(key) else { return };
        keys.changes = keys.changes.wrapping_add(1);
        let entries = keys.entries.remove(key).unwrap_or_default();
        entries.iter().for_each(|entry| self.remove(entry));
    }

    /// Drops everything.
    pub(super) fn clear(&self) {
        for keys in &self.keys {
            let mut keys = keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.changes = keys.changes.wrapping_add(1);
            let entries = std::mem::take(&mut keys.entries);
            entries.values().flatten().for_each(|entry| self.remove(entry));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.load(Ordering::Relaxed) == 0
    }

    pub(super) fn hits(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.lock().unwrap_or_else(PoisonError::into_inner).hits).sum()
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// The number of entries, and their size.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl Tokens {
    /// Removes this entry's slot from the table. Returns whether it was there.
    fn take(&mut self, entry: &Arc<Entry>) -> bool {
        let found = self.table.find_entry(entry.name.hash(), |slot| Arc::ptr_eq(&slot.entry, entry));
        found.map(|found| drop(found.remove())).is_ok()
    }

    /// Removes the first entry that was not used since its last turn.
    fn evict(&mut self) -> Option<Arc<Entry>> {
        // Each entry may get a second turn. After that, the first one counts as unused.
        for _ in 0..=2 * self.queue.len() {
            let entry = self.queue.pop_front()?;
            let slot = self.table.find_mut(entry.name.hash(), |slot| Arc::ptr_eq(&slot.entry, &entry));
            match slot.map(|slot| std::mem::take(&mut slot.was_used)) {
                None => {}
                Some(true) => self.queue.push_back(entry),
                Some(false) => {
                    self.take(&entry);
                    return Some(entry);
                }
            }
        }
        None
    }

    /// Removes stale tokens from the queue, once they are the majority.
    fn tidy(&mut self) {
        let Self { table, queue, .. } = self;
        if queue.len() > 2 * table.len() + 16 {
            queue.retain(|entry| table.find(entry.name.hash(), |slot| Arc::ptr_eq(&slot.entry, entry)).is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use redis_session::Timestamp;

    use super::*;
    use crate::authenticated::Assurance;

    const EVER: Moment = Moment::from_nanos(u64::MAX);

    fn table(entries: usize, bytes: usize) -> Table {
        Table::new(entries, bytes)
    }

    fn slot(table: &Table, key: &str, token: &str) -> Slot {
        let answer = Arc::new(Authenticated {
            user: key.to_owned(),
            id: token.to_owned(),
            expires_at: Timestamp::from_unix_millis(1).unwrap(),
            assurance: Assurance::Session,
            details: None,
        });
        let uses = Uses { due: EVER, interval: Duration::from_secs(1) };
        table.slot((0, 1), EVER, uses, (key, token, None), answer).unwrap()
    }

    fn keep(table: &Table, key: &str, token: &str) {
        table.keep(slot(table, key, token), table.changes(key));
    }

    fn has(table: &Table, token: &str) -> bool {
        table.get(token, |slot| Some(slot.answer.id == token)).unwrap_or(false)
    }

    fn listed(table: &Table) -> usize {
        table.keys.iter().map(|keys| keys.lock().unwrap().entries.values().map(Vec::len).sum::<usize>()).sum()
    }

    #[test]
    fn a_token_is_found_until_its_key_is_changed() {
        let table = table(10, 1 << 20);
        for (key, token) in [("a", "a one"), ("a", "a two"), ("b", "b one")] {
            keep(&table, key, token);
        }
        assert!(has(&table, "a one") && has(&table, "a two") && has(&table, "b one") && !has(&table, "b two"));
        table.forget("a");
        assert!(!has(&table, "a one") && !has(&table, "a two") && has(&table, "b one"));
        assert_eq!((table.size().0, listed(&table)), (1, 1));
        table.clear();
        assert!(!has(&table, "b one") && table.is_empty());
        assert_eq!((table.size(), listed(&table)), ((0, 0), 0));
    }

    #[test]
    fn a_token_with_another_character_is_another_one() {
        let table = table(1000, 1 << 20);
        let token = "t".repeat(340);
        keep(&table, "a", &token);
        for place in 0..token.len() {
            let mut other = token.clone();
            other.replace_range(place..=place, "u");
            let (start, _) = token.split_at(place);
            assert!(!has(&table, &other) && !has(&table, start), "{place}");
            assert!(!has(&table, &format!("{start}{}", "\0".repeat(340 - place))), "{place}");
        }
        assert!(has(&table, &token) && !has(&table, &format!("{token}\0")));
    }

    #[test]
    fn a_read_that_a_change_has_overtaken_is_not_kept() {
        let table = table(10, 1 << 20);
        for change in [Table::forget as fn(&Table, &str), |table, _| table.clear()] {
            let begun = table.changes("a");
            let read = slot(&table, "a", "token");
            change(&table, "a");
            table.keep(read, begun);
            assert!(!has(&table, "token"));
        }
        keep(&table, "a", "token");
        assert!(has(&table, "token"));
    }

    #[test]
    fn a_token_that_is_read_again_is_held_once() {
        let table = table(10, 1 << 20);
        keep(&table, "a", "token");
        let (_, bytes) = table.size();
        for _ in 0..1000 {
            keep(&table, "a", "token");
        }
        assert_eq!((table.size(), listed(&table)), ((1, bytes), 1));
        let queued: usize = table.shards.iter().map(|shard| shard.0.lock().unwrap().queue.len()).sum();
        assert!(queued < 100, "{queued}");
        table.forget("a");
        assert_eq!((table.size(), listed(&table)), ((0, 0), 0));
    }

    #[test]
    fn no_more_is_held_than_was_allowed_and_what_is_used_stays() {
        let table = table(1000, 1 << 20);
        keep(&table, "used", "used");
        for n in 0..5000 {
            assert!(has(&table, "used"), "{n}");
            keep(&table, &format!("key {n}"), &format!("token {n}"));
            assert!(table.size().0 <= 1000);
        }
        assert!(table.size().0 > 990 && listed(&table) == table.size().0);
        assert_eq!(table.evictions(), 5001 - table.size().0 as u64);
        let small = self::table(1000, 10_000);
        for n in 0..500 {
            keep(&small, &format!("key {n}"), &format!("token {n}"));
            assert!(small.size().1 <= 10_000);
        }
        assert!(!small.is_empty());
        for none in [self::table(0, 1 << 20), self::table(10, 100)] {
            keep(&none, "key", "token");
            assert!(none.is_empty() && listed(&none) == 0);
        }
    }

    #[test]
    fn of_one_user_only_so_many_tokens_are_held() {
        let table = table(10_000, 1 << 30);
        for n in 0..2000 {
            keep(&table, "a", &format!("token {n}"));
        }
        assert_eq!((table.size().0, listed(&table)), (TOKENS_OF_A_KEY, TOKENS_OF_A_KEY));
        assert!(has(&table, "token 1999"));
    }

    #[test]
    fn a_use_is_sent_once_in_its_interval() {
        let table = table(10, 1 << 20);
        let answer = slot(&table, "a", "token").answer;
        let uses = Uses { due: Moment::from_nanos(100), interval: Duration::from_nanos(50) };
        let slot = table.slot((0, 1), EVER, uses, ("a", "token", None), answer).unwrap();
        let entry = Arc::clone(&slot.entry);
        table.keep(slot, table.changes("a"));
        let takes = |nanos| table.get("token", |slot| Some(slot.take_use(Moment::from_nanos(nanos)))).unwrap();
        let sent: Vec<_> = (0..300).filter(|nanos| takes(*nanos)).collect();
        assert_eq!(sent, [100, 150, 200, 250]);
        table.use_failed(&entry, Moment::from_nanos(270));
        assert!(!takes(269) && takes(270));
        // The answer is gone, so this has no effect.
        table.forget("a");
        table.use_failed(&entry, Moment::from_nanos(0));
        assert!(table.is_empty());
    }

    #[test]
    fn an_answer_is_for_the_device_that_was_named() {
        let table = table(10, 1 << 20);
        let answer = slot(&table, "a", "token").answer;
        let uses = Uses { due: EVER, interval: Duration::from_secs(1) };
        for device in [None, Some(&b"laptop"[..])] {
            let slot = table.slot((0, 1), EVER, uses, ("a", "token", device), Arc::clone(&answer)).unwrap();
            for other in [None, Some(&b""[..]), Some(b"laptop"), Some(b"laptop ")] {
                assert_eq!(slot.is_for(table.device(other), false), device == other, "{device:?} {other:?}");
                assert!(!slot.is_for(table.device(other), true));
            }
        }
    }

    #[test]
    fn a_slot_takes_one_cache_line() {
        assert_eq!((size_of::<Slot>(), align_of::<Slot>()), (64, 64));
    }

    #[test]
    fn changes_and_reads_at_the_same_time_leave_nothing_stale() {
        let table = Arc::new(table(64, 1 << 20));
        // The version of each key, as on a server. The id of an entry is the version that it saw.
        let versions: Arc<Vec<AtomicU64>> = Arc::new((0..8).map(|_| AtomicU64::new(0)).collect());
        std::thread::scope(|scope| {
            for seed in 0..2_usize {
                let (table, versions) = (Arc::clone(&table), Arc::clone(&versions));
                scope.spawn(move || {
                    for n in 0..20_000_usize {
                        let key = (n * 7 + seed) % versions.len();
                        let begun = table.changes(&key.to_string());
                        let seen = versions[key].load(Ordering::SeqCst);
                        let read = slot(&table, &key.to_string(), &format!("{key} {seen}"));
                        std::thread::yield_now();
                        table.keep(read, begun);
                    }
                });
            }
            let (table, versions) = (Arc::clone(&table), Arc::clone(&versions));
            scope.spawn(move || {
                for n in 0..20_000_usize {
                    let key = (n * 3) % versions.len();
                    let before = versions[key].fetch_add(1, Ordering::SeqCst);
                    table.forget(&key.to_string());
                    assert!(!has(&table, &format!("{key} {before}")), "an answer outlives its change");
                }
            });
        });
        for (key, version) in versions.iter().enumerate() {
            for old in 0..version.load(Ordering::SeqCst) {
                assert!(!has(&table, &format!("{key} {old}")), "an answer outlives its change");
            }
        }
    }
}
