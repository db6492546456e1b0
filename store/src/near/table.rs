//! What is remembered: answers by token, and which of them belong to which key.
//!
//! Tokens are spread over shards, each with a lock of its own, so that checks hardly wait for each other. Keys are spread
//! likewise. Who needs both locks takes the key's first.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use hashbrown::HashTable;

use super::clock::Moment;
use crate::authenticated::Authenticated;

/// A power of two.
const SHARDS: usize = 256;
/// How many tokens of one user are remembered at most: he may have many of each session.
const TOKENS_OF_A_KEY: usize = 256;
/// How much of a token's end is hashed: the signature, which is the part that differs most. The rest is compared.
const HASHED: usize = 48;
/// An estimate of what an entry takes beside its texts, in bytes.
const OVERHEAD: usize = 400;

/// An answer of the server, for one token.
#[derive(Debug)]
pub(super) struct Entry {
    /// The generation of the cache that it was asked in.
    pub(super) generation: u64,
    /// Until when it may be given.
    pub(super) until: Moment,
    /// From when on the next use must be sent.
    due: AtomicU64,
    /// How long that counts.
    interval: Duration,
    has_ended: AtomicBool,
    /// Whether it was given since it was last considered for eviction.
    was_used: AtomicBool,
    hash: u64,
    bytes: usize,
    pub(super) token: Box<str>,
    pub(super) key: Box<str>,
    /// What the check said of the device.
    pub(super) device: Option<Box<[u8]>>,
    pub(super) answer: Arc<Authenticated>,
}

/// When the uses of a session are to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uses {
    pub(super) due: Moment,
    pub(super) interval: Duration,
}

impl Entry {
    /// Whether this use is one to be sent. It is then not due again for a while.
    pub(super) fn take_use(&self, now: Moment) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        let next = now.after(self.interval).nanos();
        now.nanos() >= due && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Makes the next use due earlier, because the last one could not be sent.
    pub(super) fn use_failed(&self, due: Moment) {
        self.due.fetch_min(due.nanos(), Ordering::Relaxed);
    }
}

/// What is remembered.
#[derive(Debug)]
pub(super) struct Table {
    hasher: RandomState,
    shards: Box<[Shard]>,
    keys: Box<[Mutex<Keys>]>,
    entries: AtomicUsize,
    bytes: AtomicUsize,
    evictions: AtomicU64,
    most_entries: usize,
    most_bytes: usize,
}

/// A part of the tokens. On cache lines of its own, so that a processor that counts a hit disturbs no other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    hits: AtomicU64,
    tokens: RwLock<Tokens>,
}

#[derive(Debug, Default)]
struct Tokens {
    table: HashTable<Arc<Entry>>,
    /// In the order of eviction. Those that have ended may still be in here.
    queue: VecDeque<Arc<Entry>>,
}

/// A part of the keys.
#[derive(Debug, Default)]
struct Keys {
    /// How many changes of these keys are known of. A read that was begun before the last one is not kept.
    changes: u64,
    entries: HashMap<Box<str>, Vec<Arc<Entry>>>,
}

impl Table {
    pub(super) fn new(most_entries: usize, most_bytes: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            keys: (0..SHARDS).map(|_| Mutex::default()).collect(),
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
            most_entries,
            most_bytes,
        }
    }

    /// The hash of a token, with a secret of this process: nobody can make tokens that all have the same.
    fn hash(&self, token: &str) -> u64 {
        let bytes = token.as_bytes();
        let end = bytes.len().saturating_sub(HASHED);
        self.hasher.hash_one(bytes.get(end..).unwrap_or(bytes))
    }

    #[allow(clippy::cast_possible_truncation)] // only some bits count
    fn shard(&self, hash: u64) -> Option<&Shard> {
        // Others than those that the table itself uses.
        self.shards.get((hash >> 40) as usize % SHARDS)
    }

    #[allow(clippy::cast_possible_truncation)] // only some bits count
    fn keys(&self, key: &str) -> Option<MutexGuard<'_, Keys>> {
        let keys = self.keys.get(self.hasher.hash_one(key) as usize % SHARDS)?;
        Some(keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What `take` makes of the entry of this token, if there is one; counted as a hit if it is something.
    pub(super) fn get<T>(&self, token: &str, take: impl FnOnce(&Arc<Entry>) -> Option<T>) -> Option<T> {
        let hash = self.hash(token);
        let shard = self.shard(hash)?;
        let tokens = shard.tokens.read().unwrap_or_else(PoisonError::into_inner);
        // The time that a comparison takes tells nothing to those who do not know the signature, by which it is found.
        let entry = tokens.table.find(hash, |entry| *entry.token == *token)?;
        if entry.has_ended.load(Ordering::Acquire) {
            return None;
        }
        let taken = take(entry)?;
        if !entry.was_used.load(Ordering::Relaxed) {
            entry.was_used.store(true, Ordering::Relaxed);
        }
        shard.hits.fetch_add(1, Ordering::Relaxed);
        Some(taken)
    }

    /// How many changes of keys like this one are known of.
    pub(super) fn changes(&self, key: &str) -> u64 {
        self.keys(key).map_or(0, |keys| keys.changes)
    }

    /// An entry for this token.
    pub(super) fn entry(
        &self,
        generation: u64,
        until: Moment,
        uses: Uses,
        (key, token, device): (&str, &str, Option<&[u8]>),
        answer: Arc<Authenticated>,
    ) -> Arc<Entry> {
        let texts = 2 * key.len() + token.len() + device.map_or(0, <[u8]>::len);
        Arc::new(Entry {
            generation,
            until,
            due: AtomicU64::new(uses.due.nanos()),
            interval: uses.interval,
            has_ended: AtomicBool::new(false),
            was_used: AtomicBool::new(false),
            hash: self.hash(token),
            bytes: OVERHEAD + texts + answer.bytes(),
            token: token.into(),
            key: key.into(),
            device: device.map(Into::into),
            answer,
        })
    }

    /// Keeps an entry, unless its key was changed since there were so many changes.
    pub(super) fn keep(&self, entry: &Arc<Entry>, changes: u64) {
        if entry.bytes > self.most_bytes || self.most_entries == 0 {
            return;
        }
        let mut gone = Vec::new();
        {
            let Some(mut keys) = self.keys(&entry.key) else { return };
            if keys.changes != changes {
                return;
            }
            let siblings = keys.entries.entry(entry.key.clone()).or_default();
            if siblings.len() >= TOKENS_OF_A_KEY {
                self.remove(&siblings.swap_remove(0));
            }
            if let Some(replaced) = self.insert(Arc::clone(entry)) {
                siblings.retain(|sibling| !Arc::ptr_eq(sibling, &replaced));
            }
            siblings.push(Arc::clone(entry));
        }
        while self.entries.load(Ordering::Relaxed) > self.most_entries
            || self.bytes.load(Ordering::Relaxed) > self.most_bytes
        {
            let Some(evicted) = self.evict(entry.hash) else { break };
            gone.push(evicted);
        }
        for entry in gone {
            self.evictions.fetch_add(1, Ordering::Relaxed);
            self.unlist(&entry);
        }
    }

    /// Puts an entry in the place of that of the same token.
    fn insert(&self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        let mut tokens = self.tokens(entry.hash)?;
        let Tokens { table, queue } = &mut *tokens;
        queue.push_back(Arc::clone(&entry));
        self.count(&entry);
        let replaced = match table.find_mut(entry.hash, |other| other.token == entry.token) {
            Some(place) => {
                let replaced = std::mem::replace(place, entry);
                self.discount(&replaced);
                Some(replaced)
            }
            None => {
                table.insert_unique(entry.hash, entry, |entry| entry.hash);
                None
            }
        };
        tokens.forget_ended();
        replaced
    }

    fn tokens(&self, hash: u64) -> Option<RwLockWriteGuard<'_, Tokens>> {
        Some(self.shard(hash)?.tokens.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, entry: &Entry) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(entry.bytes, Ordering::Relaxed);
    }

    /// Counts an entry that has left the table, and ends it.
    fn discount(&self, entry: &Entry) {
        entry.has_ended.store(true, Ordering::Release);
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(entry.bytes, Ordering::Relaxed);
    }

    /// Takes this entry out of the table, if it is still there.
    fn remove(&self, entry: &Arc<Entry>) {
        entry.has_ended.store(true, Ordering::Release);
        let Some(mut tokens) = self.tokens(entry.hash) else { return };
        if let Ok(found) = tokens.table.find_entry(entry.hash, |other| Arc::ptr_eq(other, entry)) {
            self.discount(&found.remove().0);
        }
        tokens.forget_ended();
    }

    /// Takes out the entry that was unused for longest in the shard of this hash, or in another if that one is empty.
    fn evict(&self, hash: u64) -> Option<Arc<Entry>> {
        (0..SHARDS as u64).find_map(|step| {
            let mut tokens = self.tokens(hash.wrapping_add(step << 40))?;
            let evicted = tokens.evict()?;
            self.discount(&evicted);
            Some(evicted)
        })
    }

    /// Takes an evicted entry out of the list of its key.
    fn unlist(&self, entry: &Arc<Entry>) {
        let Some(mut keys) = self.keys(&entry.key) else { return };
        if let Some(siblings) = keys.entries.get_mut(&entry.key) {
            siblings.retain(|sibling| !Arc::ptr_eq(sibling, entry));
            if siblings.is_empty() {
                keys.entries.remove(&entry.key);
            }
        }
    }

    /// Drops what is remembered of a key, and what is being read of it.
    pub(super) fn forget(&self, key: &str) {
        let Some(mut keys) = self.keys(key) else { return };
        keys.changes = keys.changes.wrapping_add(1);
        let entries = keys.entries.remove(key).unwrap_or_default();
        entries.iter().for_each(|entry| self.remove(entry));
    }

    /// Drops all.
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
        self.shards.iter().map(|shard| shard.hits.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// How many entries there are, and what they take.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl Tokens {
    /// Takes the first entry that was not used since its last turn.
    fn evict(&mut self) -> Option<Arc<Entry>> {
        // Each may have a second turn, after which the first is not used.
        for _ in 0..=2 * self.queue.len() {
            let entry = self.queue.pop_front()?;
            if entry.has_ended.load(Ordering::Relaxed) {
                continue;
            }
            if entry.was_used.swap(false, Ordering::Relaxed) {
                self.queue.push_back(entry);
                continue;
            }
            if let Ok(found) = self.table.find_entry(entry.hash, |other| Arc::ptr_eq(other, &entry)) {
                return Some(found.remove().0);
            }
        }
        None
    }

    /// Frees those that have ended, once they are more than the others.
    fn forget_ended(&mut self) {
        if self.queue.len() > 2 * self.table.len() + 16 {
            self.queue.retain(|entry| !entry.has_ended.load(Ordering::Relaxed));
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

    fn entry(table: &Table, key: &str, token: &str) -> Arc<Entry> {
        let answer = Arc::new(Authenticated {
            user: key.to_owned(),
            id: token.to_owned(),
            expires_at: Timestamp::from_unix_millis(1).unwrap(),
            assurance: Assurance::Session,
            details: None,
        });
        let uses = Uses { due: EVER, interval: Duration::from_secs(1) };
        table.entry(1, EVER, uses, (key, token, None), answer)
    }

    fn keep(table: &Table, key: &str, token: &str) {
        table.keep(&entry(table, key, token), table.changes(key));
    }

    fn has(table: &Table, token: &str) -> bool {
        table.get(token, |entry| Some(*entry.token == *token)).unwrap_or(false)
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
    fn tokens_with_the_same_end_are_told_apart() {
        let table = table(10, 1 << 20);
        let end = "e".repeat(100);
        keep(&table, "a", &format!("one{end}"));
        keep(&table, "b", &format!("two{end}"));
        table.forget("a");
        assert!(!has(&table, &format!("one{end}")) && has(&table, &format!("two{end}")));
        assert!(!has(&table, &end));
    }

    #[test]
    fn a_read_that_a_change_has_overtaken_is_not_kept() {
        let table = table(10, 1 << 20);
        for change in [Table::forget as fn(&Table, &str), |table, _| table.clear()] {
            let begun = table.changes("a");
            let read = entry(&table, "a", "token");
            change(&table, "a");
            table.keep(&read, begun);
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
        let queued: usize = table.shards.iter().map(|shard| shard.tokens.read().unwrap().queue.len()).sum();
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
        let answer = Arc::clone(&entry(&table, "a", "token").answer);
        let uses = Uses { due: Moment::from_nanos(100), interval: Duration::from_nanos(50) };
        let entry = table.entry(1, EVER, uses, ("a", "token", None), answer);
        let sent: Vec<_> = (0..300).filter(|nanos| entry.take_use(Moment::from_nanos(*nanos))).collect();
        assert_eq!(sent, [100, 150, 200, 250]);
        entry.use_failed(Moment::from_nanos(270));
        assert!(!entry.take_use(Moment::from_nanos(269)) && entry.take_use(Moment::from_nanos(270)));
    }

    #[test]
    fn changes_and_reads_at_the_same_time_leave_nothing_stale() {
        let table = Arc::new(table(64, 1 << 20));
        // What the server would say: the version of each key. An entry says in its id which one it saw.
        let versions: Arc<Vec<AtomicU64>> = Arc::new((0..8).map(|_| AtomicU64::new(0)).collect());
        std::thread::scope(|scope| {
            for seed in 0..2_usize {
                let (table, versions) = (Arc::clone(&table), Arc::clone(&versions));
                scope.spawn(move || {
                    for n in 0..20_000_usize {
                        let key = (n * 7 + seed) % versions.len();
                        let begun = table.changes(&key.to_string());
                        let seen = versions[key].load(Ordering::SeqCst);
                        let read = entry(&table, &key.to_string(), &format!("{key} {seen}"));
                        std::thread::yield_now();
                        table.keep(&read, begun);
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
