//! The list as a whole: handing out all entries in order, and filling it with keys that are not there yet.

use crossbeam_epoch::{self as epoch, Guard};

use super::OrderedKeydir;
use super::cell::Cell;
use super::stored::StoredKey;
use crate::keydir::Location;
use crate::sync::Ordering;
use crate::{Deadline, Key};

impl OrderedKeydir {
    /// Hands all stored keys, their locations and deadlines to `each`, in the order of the keys, as long as it says so.
    pub fn each(&self, mut each: impl FnMut(Key<'_>, Location, Deadline) -> bool) {
        let guard = epoch::pin();
        let mut whole = Vec::new();
        let mut at = self.list.front(&guard);
        while let Some(entry) = at {
            let content = entry.value().read(entry.key(), &guard);
            let compared = entry.key().key().compared();
            whole.clear();
            whole.extend_from_slice(compared);
            whole.extend_from_slice(content.suffix);
            if !each(
                Key::new(&whole, compared.len()),
                content.location,
                content.deadline,
            ) {
                return;
            }
            at = entry.next();
        }
    }

    /// Adds keys without a lock, to a keydir in which nobody looks yet. Several threads may do so with keys of their own.
    pub fn fill(&self) -> Fill<'_> {
        Fill {
            keydir: self,
            guard: epoch::pin(),
            outside: 0,
        }
    }
}

/// A keydir that is being filled.
pub struct Fill<'a> {
    keydir: &'a OrderedKeydir,
    guard: Guard,
    /// Bytes of memory outside the nodes that came.
    outside: usize,
}

impl Fill<'_> {
    /// Adds a key. If it is there already, nothing changes. Keys that come in order find their place sooner.
    pub fn push(&mut self, key: Key<'_>, location: Location, deadline: Deadline) {
        let stored = StoredKey::new(key);
        let (cell, outside) = Cell::new(location, key.suffix(), deadline);
        self.outside += stored.outside() + outside;
        self.keydir
            .list
            .get_or_insert(stored, cell, &self.guard)
            .release(&self.guard);
    }
}

impl Drop for Fill<'_> {
    fn drop(&mut self) {
        let outside = &self.keydir.shards[0].outside;
        outside.fetch_add(self.outside, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Fill<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fill")
            .field("outside", &self.outside)
            .finish_non_exhaustive()
    }
}
