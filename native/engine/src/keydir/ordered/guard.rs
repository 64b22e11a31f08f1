//! A write lock, and what its holder may do.

use crossbeam_epoch::{self as epoch, Guard};
use crossbeam_skiplist::base::RefEntry;

use super::cell::Cell;
use super::stored::StoredKey;
use super::{OrderedKeydir, shard_of};
use crate::keydir::{Hit, Location};
use crate::sync::{MutexGuard, Ordering};
use crate::{Deadline, Key};

/// The write lock of the keys that share it, held until dropped. Readers go on meanwhile.
///
/// All hashes given to it must be of its lock.
#[derive(Debug)]
pub struct WriteGuard<'a> {
    keydir: &'a OrderedKeydir,
    index: usize,
    _lock: MutexGuard<'a, ()>,
}

impl<'a> WriteGuard<'a> {
    pub(super) fn new(keydir: &'a OrderedKeydir, index: usize, lock: MutexGuard<'a, ()>) -> Self {
        WriteGuard {
            keydir,
            index,
            _lock: lock,
        }
    }

    /// Looks a key up.
    pub fn get(&mut self, hash: u64, key: Key<'_>) -> Option<Hit> {
        debug_assert_eq!(shard_of(hash), self.index);
        self.keydir.get(key)
    }

    /// Stores a key's location, for an object that does not expire, and gives the one it had. The stored bytes become those of `key` if its suffix differs.
    pub fn put(&mut self, hash: u64, key: Key<'_>, location: Location) -> Option<Location> {
        let old = self.put_until(hash, key, location, Deadline::NEVER);
        old.map(|hit| hit.location)
    }

    /// As [`WriteGuard::put`], for an object that expires. Gives what the key had, expired or not.
    pub fn put_until(
        &mut self,
        hash: u64,
        key: Key<'_>,
        location: Location,
        deadline: Deadline,
    ) -> Option<Hit> {
        debug_assert_eq!(shard_of(hash), self.index);
        let guard = epoch::pin();
        let Some(entry) = self.keydir.list.get(key.compared(), &guard) else {
            self.insert(key, location, deadline, &guard).release(&guard);
            return None;
        };
        Some(self.overwrite(entry.key(), entry.value(), key, (location, deadline), &guard))
    }

    /// As [`WriteGuard::put_until`], sooner for a key that is not there, later for a long one that is. No other record has this location.
    pub fn load(
        &mut self,
        hash: u64,
        key: Key<'_>,
        location: Location,
        deadline: Deadline,
    ) -> Option<Location> {
        debug_assert_eq!(shard_of(hash), self.index);
        let guard = epoch::pin();
        let entry = self.insert(key, location, deadline, &guard);
        let found = entry.value().read(entry.key(), &guard).location;
        let old = if found == location {
            None
        } else {
            // The node that was not put in was counted.
            let (_, outside) = Cell::new(location, key.suffix(), deadline);
            self.account(0, StoredKey::outside_of(key) + outside);
            let hit = self.overwrite(entry.key(), entry.value(), key, (location, deadline), &guard);
            Some(hit.location)
        };
        entry.release(&guard);
        old
    }

    /// The key's node, which is a new one with this location if it has none.
    fn insert(
        &self,
        key: Key<'_>,
        location: Location,
        deadline: Deadline,
        guard: &Guard,
    ) -> RefEntry<'a, StoredKey, Cell> {
        let stored = StoredKey::new(key);
        let (cell, outside) = Cell::new(location, key.suffix(), deadline);
        self.account(stored.outside() + outside, 0);
        self.keydir.list.get_or_insert(stored, cell, guard)
    }

    fn overwrite(
        &self,
        stored: &StoredKey,
        cell: &Cell,
        key: Key<'_>,
        (location, deadline): (Location, Deadline),
        guard: &Guard,
    ) -> Hit {
        let old = cell.read(stored, guard);
        let hit = Hit {
            location: old.location,
            same_form: old.suffix == key.suffix(),
            deadline: old.deadline,
        };
        if hit.same_form && hit.deadline == deadline {
            cell.set_location(location, guard);
        } else {
            let (came, went) = cell.set_form(location, key.suffix(), deadline, guard);
            self.account(came, went);
        }
        hit
    }

    /// Removes a key and gives its location.
    pub fn remove(&mut self, hash: u64, key: Key<'_>) -> Option<Location> {
        debug_assert_eq!(shard_of(hash), self.index);
        let guard = epoch::pin();
        let entry = self.keydir.list.remove(key.compared(), &guard)?;
        let old = entry.value().read(entry.key(), &guard).location;
        let outside = entry.key().outside() + entry.value().outside(&guard);
        self.account(0, outside);
        entry.release(&guard);
        // A writer may be idle for ever after this call: hand the memory to whoever comes by.
        guard.flush();
        Some(old)
    }

    /// Replaces the key's location `old` by `new`; `false` and no change if it is another by now, or the key is gone.
    pub fn relocate(&mut self, hash: u64, key: Key<'_>, old: Location, new: Location) -> bool {
        debug_assert_eq!(shard_of(hash), self.index);
        let guard = epoch::pin();
        let Some(entry) = self.keydir.list.get(key.compared(), &guard) else {
            return false;
        };
        let same = entry.value().read(entry.key(), &guard).location == old;
        if same {
            entry.value().set_location(new, &guard);
        }
        same
    }

    /// Books memory outside the nodes that came and went.
    fn account(&self, came: usize, went: usize) {
        let outside = &self.keydir.shards[self.index].outside;
        // Only the lock's holder writes it.
        let bytes = outside.load(Ordering::Relaxed).wrapping_add(came);
        outside.store(bytes.wrapping_sub(went), Ordering::Relaxed);
    }
}
