//! A write lock, and what its holder may do.

use crate::epoch;

use super::node::Node;
use super::{OrderedKeydir, shard_of};
use crate::keydir::{Hit, Location};
use crate::sync::MutexGuard;
use crate::{Deadline, Key};

/// Memory that went is handed on at once if it is more than this, in bytes.
const KEPT_MAX: usize = 4096;

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
        let make = || Node::new(key, location, deadline);
        let (node, is_new) = self.keydir.tree.get_or_insert(key.compared(), make, &guard);
        if is_new {
            self.account(1, node.outside(&guard), 0);
            return None;
        }
        let old = node.cell.read(&node.key, &guard);
        let hit = Hit {
            location: old.location,
            same_form: old.suffix == key.suffix(),
            deadline: old.deadline,
        };
        let (came, went) = node.update(key.suffix(), location, deadline, &guard);
        if came != went {
            self.account(0, came, went);
        }
        Some(hit)
    }

    /// Removes a key and gives its location.
    pub fn remove(&mut self, hash: u64, key: Key<'_>) -> Option<Location> {
        debug_assert_eq!(shard_of(hash), self.index);
        let guard = epoch::pin();
        let node = self.keydir.tree.remove(key.compared(), &guard)?;
        let old = node.cell.read(&node.key, &guard).location;
        let went = node.outside(&guard);
        self.account(-1, 0, went);
        if went > KEPT_MAX {
            // A writer may be idle for ever after this call: hand much memory to whoever comes by.
            guard.flush();
        }
        Some(old)
    }

    /// Replaces the key's location `old` by `new`; `false` and no change if it is another by now, or the key is gone.
    pub fn relocate(&mut self, hash: u64, key: Key<'_>, old: Location, new: Location) -> bool {
        debug_assert_eq!(shard_of(hash), self.index);
        let guard = epoch::pin();
        let Some(node) = self.keydir.tree.get(key.compared(), &guard) else {
            return false;
        };
        let same = node.cell.read(&node.key, &guard).location == old;
        if same {
            node.cell.set_location(new, &guard);
        }
        same
    }

    /// Books how many keys there are more, and memory outside the nodes that came and went.
    fn account(&self, more: isize, came: usize, went: usize) {
        self.keydir.shards[self.index].account(more, came, went);
    }
}
