//! What is remembered of sessions by a key, the newest of one format: addresses by session id, or what `joins` knows.
//!
//! Nearly every login adds an entry, so entries live in one ring and their keys in one buffer: an insertion allocates
//! nothing once the ring is full.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Sessions one format's memory holds; one login a second keeps its session for 36 hours.
pub(crate) const LIMIT: usize = 131_072;

/// Bytes of a key, and of the texts of a login, that are remembered: 131,072 forged lines of 16 KiB would be 2 GiB.
pub(crate) const LONGEST: usize = 512;

/// Keys and what is remembered of them, in the order of their insertion.
#[derive(Debug)]
pub(crate) struct Sessions<T> {
    hasher: foldhash::fast::RandomState,
    /// Positions in `ring` of those that are remembered.
    table: HashTable<u32>,
    ring: Vec<Session<T>>,
    ids: Vec<u8>,
    /// Those before it are all forgotten.
    oldest: usize,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Session<T> {
    id_start: u32,
    id_len: u16,
    hash: u32,
    /// `None` when it is forgotten.
    value: Option<T>,
}

impl<T> Sessions<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            hasher: foldhash::fast::RandomState::default(),
            table: HashTable::new(),
            ring: Vec::new(),
            ids: Vec::new(),
            oldest: 0,
            limit,
        }
    }

    /// Remembers a session, unless its key is longer than `LONGEST`; the same key again is the newest.
    pub(crate) fn insert(&mut self, id: &[u8], value: T) {
        if id.len() > LONGEST {
            return;
        }
        if self.ring.len() >= 2 * self.limit || self.ids.len() > u32::MAX as usize - id.len() {
            self.compact();
        }
        let Self { hasher, table, ring, ids, .. } = self;
        let hash = hasher.hash_one(id) as u32;
        let same = |&at: &u32| ring[at as usize].hash == hash && ring[at as usize].id(ids) == id;
        let new = ring.len() as u32;
        match table.entry(spread(hash), same, |&at| spread(ring[at as usize].hash)) {
            Entry::Occupied(mut known) => {
                let old = std::mem::replace(known.get_mut(), new);
                ring[old as usize].value = None;
            }
            Entry::Vacant(free) => {
                free.insert(new);
            }
        }
        ring.push(Session { id_start: ids.len() as u32, id_len: id.len() as u16, hash, value: Some(value) });
        ids.extend_from_slice(id);
        if self.table.len() > self.limit {
            self.forget_oldest();
        }
    }

    /// What is remembered of a session, to be changed in its place.
    pub(crate) fn get_mut(&mut self, id: &[u8]) -> Option<&mut T> {
        let hash = spread(self.hasher.hash_one(id) as u32);
        let (ring, ids) = (&self.ring, &self.ids);
        let at = *self.table.find(hash, |&at| ring[at as usize].id(ids) == id)?;
        self.ring[at as usize].value.as_mut()
    }

    /// What is remembered of a session, which is then forgotten.
    pub(crate) fn take(&mut self, id: &[u8]) -> Option<T> {
        let hash = spread(self.hasher.hash_one(id) as u32);
        let (ring, ids) = (&self.ring, &self.ids);
        let found = self.table.find_entry(hash, |&at| ring[at as usize].id(ids) == id).ok()?;
        let (at, _) = found.remove();
        self.ring[at as usize].value.take()
    }

    fn forget_oldest(&mut self) {
        while self.ring[self.oldest].value.is_none() {
            self.oldest += 1;
        }
        let at = self.oldest as u32;
        if let Ok(found) = self.table.find_entry(spread(self.ring[self.oldest].hash), |&known| known == at) {
            found.remove();
        }
        self.ring[self.oldest].value = None;
        self.oldest += 1;
    }

    /// Drops the forgotten ones, at least half of a full ring.
    fn compact(&mut self) {
        let (old, old_ids) = (std::mem::take(&mut self.ring), std::mem::take(&mut self.ids));
        self.table.clear();
        self.oldest = 0;
        for mut login in old.into_iter().filter(|login| login.value.is_some()) {
            let id = login.id(&old_ids);
            login.id_start = self.ids.len() as u32;
            self.ids.extend_from_slice(id);
            let at = self.ring.len() as u32;
            let hash = login.hash;
            self.ring.push(login);
            let ring = &self.ring;
            self.table.insert_unique(spread(hash), at, |&at| spread(ring[at as usize].hash));
        }
    }
}

impl<T> Session<T> {
    fn id<'a>(&self, ids: &'a [u8]) -> &'a [u8] {
        &ids[self.id_start as usize..][..usize::from(self.id_len)]
    }
}

/// The table takes its tag from the top bits of a hash and its slot from the lower ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::testing::Random;

    fn address(n: usize) -> Address {
        Address::parse(format!("2001:db8::{n:x}").as_bytes()).unwrap()
    }

    #[test]
    fn agrees_with_a_plain_list_under_random_use() {
        for limit in [1, 2, 7, 40] {
            let mut sessions = Sessions::new(limit);
            let mut model: Vec<(Vec<u8>, Address)> = Vec::new();
            let mut random = Random::new(limit as u64);
            let (mut taken, mut evicted) = (0, 0);
            for step in 0..20_000 {
                let id = format!("session-{}", random.below(limit * 2)).into_bytes();
                if random.below(8) == 0 {
                    // A change in its place keeps the session's age.
                    let at = model.iter().position(|(other, _)| *other == id);
                    assert_eq!(sessions.get_mut(&id).is_some(), at.is_some());
                    if let (Some(value), Some(at)) = (sessions.get_mut(&id), at) {
                        *value = address(step % 9_999);
                        model[at].1 = *value;
                    }
                    continue;
                }
                let known = model.iter().position(|(other, _)| *other == id).map(|at| model.remove(at).1);
                if random.below(3) == 0 {
                    taken += usize::from(known.is_some());
                    assert_eq!(sessions.take(&id), known);
                } else {
                    let address = address(step % 9_999);
                    sessions.insert(&id, address);
                    model.push((id, address));
                    if model.len() > limit {
                        model.remove(0);
                        evicted += 1;
                    }
                }
                assert!(sessions.ring.len() <= 2 * limit && sessions.table.len() == model.len());
            }
            assert!(taken > 500 && evicted > 500, "{taken} {evicted}");
        }
    }

    #[test]
    fn a_long_key_is_not_remembered() {
        let mut sessions = Sessions::new(100);
        for len in [LONGEST, LONGEST + 1, 16_384] {
            let id = vec![b'x'; len];
            sessions.insert(&id, address(1));
            assert_eq!(sessions.take(&id).is_some(), len <= LONGEST);
        }
        assert!(sessions.ids.len() <= LONGEST);
    }

    #[test]
    fn one_session_that_never_ends_holds_no_memory_of_others() {
        let mut sessions = Sessions::new(100);
        sessions.insert(b"for ever", address(1));
        for n in 0..10_000 {
            sessions.insert(b"short", address(n));
            assert_eq!(sessions.take(b"short"), Some(address(n)));
        }
        assert!(sessions.ring.len() <= 200 && sessions.ids.len() <= 200 * 8);
        assert_eq!(sessions.take(b"for ever"), Some(address(1)));
    }
}
