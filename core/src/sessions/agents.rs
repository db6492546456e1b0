//! User-agent texts, each stored once for the whole server.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

/// The user-agent texts of all sessions. Thousands of sessions come from one browser release, so a session
/// holds four bytes that name a text here, and the text lives as long as a session names it.
#[derive(Debug)]
pub struct AgentPool {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    /// Many tables, each for a part of the hashes. A full table is rehashed as a whole. With a million texts in one
    /// table, that would block the server for more than a second.
    by_text: [HashTable<u32>; TABLES],
    hasher: RandomState,
}

const TABLES: usize = 256;

impl Default for AgentPool {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            by_text: std::array::from_fn(|_| HashTable::new()),
            hasher: RandomState::new(),
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    text: Box<str>,
    users: u32,
}

/// One session's claim on a text of an [`AgentPool`]. It must be given back with [`AgentPool::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentId(pub(crate) u32);

impl AgentPool {
    /// An empty pool.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Claims `text`, storing it if no session has it yet.
    pub fn acquire(&mut self, text: &str) -> AgentId {
        let hash = self.hasher.hash_one(text);
        let known = table(&mut self.by_text, hash)
            .find(hash, |at| slot(&self.slots, *at).is_some_and(|slot| &*slot.text == text));
        if let Some(at) = known.copied() {
            self.retain(AgentId(at));
            return AgentId(at);
        }
        let fresh = Slot { text: text.into(), users: 1 };
        let at = match self.vacant.pop() {
            Some(at) => {
                if let Some(slot) = slot_mut(&mut self.slots, at) {
                    *slot = fresh;
                }
                at
            }
            None => {
                // A server would need 600 GB of memory for 2^32 texts and the sessions that name them.
                let at = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                self.slots.push(fresh);
                at
            }
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash_of = |at: &u32| hasher.hash_one(slot(slots, *at).map_or("", |slot| &*slot.text));
        table(&mut self.by_text, hash).insert_unique(hash, at, hash_of);
        AgentId(at)
    }

    /// Claims the text of `agent` once more, for a copy of its session.
    pub fn retain(&mut self, agent: AgentId) {
        if let Some(slot) = slot_mut(&mut self.slots, agent.0) {
            slot.users = slot.users.saturating_add(1);
        }
    }

    /// Gives one claim back; the text goes with the last.
    pub fn release(&mut self, agent: AgentId) {
        let Some(slot) = slot_mut(&mut self.slots, agent.0) else { return };
        slot.users = slot.users.saturating_sub(1);
        if slot.users > 0 || slot.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut slot.text);
        let hash = self.hasher.hash_one(&*text);
        if let Ok(entry) = table(&mut self.by_text, hash).find_entry(hash, |at| *at == agent.0) {
            entry.remove();
        }
        self.vacant.push(agent.0);
        if self.is_empty() {
            *self = Self::default();
        } else {
            self.shrink(hash);
        }
    }

    /// Gives memory back once most texts have gone, of which the last one had this hash. The cost is spread over the texts:
    /// a table shrinks by half at least, and the slots are looked at whenever the number of texts has halved.
    fn shrink(&mut self, hash: u64) {
        let (slots, hasher) = (&self.slots, &self.hasher);
        let table = table(&mut self.by_text, hash);
        if table.capacity() > 4 * (table.len() + 1) {
            table.shrink_to(2 * table.len(), |at| hasher.hash_one(slot(slots, *at).map_or("", |slot| &*slot.text)));
        }
        let len = self.len();
        if len.is_power_of_two() && len * 8 <= self.slots.len() {
            let end = self.slots.iter().rposition(|slot| slot.users > 0).map_or(0, |last| last + 1);
            self.slots.truncate(end);
            self.slots.shrink_to_fit();
            self.vacant.retain(|at| usize::try_from(*at).is_ok_and(|at| at < end));
            self.vacant.shrink_to_fit();
        }
    }

    /// The text that `agent` names.
    #[must_use]
    pub fn get(&self, agent: AgentId) -> Option<&str> {
        slot(&self.slots, agent.0).map(|slot| &*slot.text)
    }

    /// How many texts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.vacant.len())
    }

    /// Whether no session names any text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The table of a hash: by bits that the tables themselves do not look at.
#[allow(clippy::indexing_slicing)] // there is a table for each byte
fn table(tables: &mut [HashTable<u32>; TABLES], hash: u64) -> &mut HashTable<u32> {
    let [.., byte, _, _, _, _] = hash.to_be_bytes();
    &mut tables[usize::from(byte)]
}

fn slot(slots: &[Slot], at: u32) -> Option<&Slot> {
    slots.get(usize::try_from(at).ok()?)
}

fn slot_mut(slots: &mut [Slot], at: u32) -> Option<&mut Slot> {
    slots.get_mut(usize::try_from(at).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_stored_once_and_goes_with_its_last_session() {
        let mut pool = AgentPool::new();
        let (one, two) = (pool.acquire("Firefox"), pool.acquire("Firefox"));
        let other = pool.acquire("Safari");
        assert_eq!(one, two);
        assert_ne!(one, other);
        assert_eq!(pool.len(), 2);
        pool.release(one);
        assert_eq!(pool.get(two), Some("Firefox"));
        pool.release(two);
        assert_eq!(pool.len(), 1);
        assert_eq!(pool.get(other), Some("Safari"));
        let third = pool.acquire("Chrome");
        assert_eq!(third, one, "a vacant slot is used again");
        assert_eq!(pool.get(third), Some("Chrome"));
    }

    #[test]
    fn many_texts_are_all_found_again() {
        let mut pool = AgentPool::new();
        let ids: Vec<_> = (0..5000).map(|n| pool.acquire(&format!("agent {n}"))).collect();
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(pool.get(*id), Some(format!("agent {n}").as_str()));
            assert_eq!(pool.acquire(&format!("agent {n}")), *id);
            pool.release(*id);
        }
        ids.into_iter().for_each(|id| pool.release(id));
        assert!(pool.is_empty());
    }

    #[test]
    fn memory_goes_with_most_of_the_texts() {
        let mut pool = AgentPool::new();
        let first = pool.acquire("first");
        let ids: Vec<_> = (0..5000).map(|n| pool.acquire(&format!("agent {n}"))).collect();
        let (kept, gone) = ids.split_at(3);
        gone.iter().for_each(|id| pool.release(*id));
        let tables: usize = pool.by_text.iter().map(HashTable::capacity).sum();
        assert!(tables <= 4 * TABLES, "{tables}");
        assert!(pool.slots.capacity() <= 8 && pool.vacant.capacity() <= 8, "{:?}", pool.slots.len());
        assert_eq!((pool.get(first), pool.get(kept[2])), (Some("first"), Some("agent 2")));
        let more: Vec<_> = (0..5000).map(|n| pool.acquire(&format!("agent {n}"))).collect();
        assert_eq!(&more[..3], kept, "a text that is kept is found");
        more.iter().enumerate().for_each(|(n, id)| assert_eq!(pool.get(*id), Some(&*format!("agent {n}"))));
        assert_eq!(pool.len(), 5001);
    }

    #[test]
    fn no_text_has_more_than_a_small_share_of_the_others_hashed_anew() {
        let mut pool = AgentPool::new();
        for n in 0..50_000 {
            pool.acquire(&format!("agent {n}"));
        }
        let largest = pool.by_text.iter().map(HashTable::len).max().unwrap_or(0);
        assert!(largest < 50_000 / 64, "{largest} in one table");
        assert_eq!(pool.by_text.iter().map(HashTable::len).sum::<usize>(), pool.len());
    }
}
