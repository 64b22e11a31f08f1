//! A write lock, and what its holder may do.

use crossbeam_epoch::{self as epoch, Guard};
use crossbeam_skiplist::base::RefEntry;

use super::cell::Cell;
use super::stored::StoredKey;
use super::{OrderedKeydir, shard_of};
use crate::Key;
use crate::keydir::{Hit, Location};
use crate::sync::{MutexGuard, Ordering};

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

    /// Stores a key's location and gives the one it had. The stored bytes become those of `key` if its suffix differs.
    pub fn put(&mut self, hash: u64, key: Key<'_>, location: Location) -> Option<Location> {
        debug_assert_eq!(shard_of(hash), self.index);
        let guard = epoch::pin();
        let Some(entry) = self.keydir.list.get(key.compared(), &guard) else {
            self.insert(key, location, &guard).release(&guard);
            return None;
        };
        Some(self.overwrite(entry.key(), entry.value(), key, location, &guard))
    }

    /// As [`WriteGuard::put`], sooner for a key that is not there, later for a long one that is. No other record has this location.
    pub fn load(&mut self, hash: u64, key: Key<'_>, location: Location) -> Option<Location> {
        debug_assert_eq!(shard_of(hash), self.index);
        let guard = epoch::pin();
        let entry = self.insert(key, location, &guard);
        let (found, _) = entry.value().read(entry.key(), &guard);
        let old = if found == location {
            None
        } else {
            // The node that was not put in was counted.
            self.account(0, StoredKey::outside_of(key));
            Some(self.overwrite(entry.key(), entry.value(), key, location, &guard))
        };
        entry.release(&guard);
        old
    }

    /// The key's node, which is a new one with this location if it has none.
    fn insert(&self, key: Key<'_>, location: Location, guard: &Guard) -> RefEntry<'a, StoredKey, Cell> {
        let stored = StoredKey::new(key);
        self.account(stored.outside(), 0);
        self.keydir.list.get_or_insert(stored, Cell::new(location), guard)
    }

    fn overwrite(
        &self,
        stored: &StoredKey,
        cell: &Cell,
        key: Key<'_>,
        location: Location,
        guard: &Guard,
    ) -> Location {
        let (old, suffix) = cell.read(stored, guard);
        if suffix == key.suffix() {
            cell.set_location(location, guard);
        } else {
            let (came, went) = cell.set_form(location, key.suffix(), guard);
            self.account(came, went);
        }
        old
    }

    /// Removes a key and gives its location.
    pub fn remove(&mut self, hash: u64, key: Key<'_>) -> Option<Location> {
        debug_assert_eq!(shard_of(hash), self.index);
        let guard = epoch::pin();
        let entry = self.keydir.list.remove(key.compared(), &guard)?;
        let (old, _) = entry.value().read(entry.key(), &guard);
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
        let same = entry.value().read(entry.key(), &guard).0 == old;
        if same {
            entry.value().set_location(new, &guard);
        }
        same
    }

    /// Books memory outside the nodes that came and went.
    fn account(&self, came: usize, went: usize) {
        let outside = &self.keydir.shards[self.index].outside;
        // Only the lock's holder writes it.
        outside.store(outside.load(Ordering::Relaxed) + came - went, Ordering::Relaxed);
    }
}
