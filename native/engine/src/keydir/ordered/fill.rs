//! The list as a whole: handing out all entries in order, and filling it with keys that are not there yet.

use crossbeam_epoch::{self as epoch, Guard};

use super::OrderedKeydir;
use super::cell::Cell;
use super::stored::StoredKey;
use crate::Key;
use crate::keydir::Location;
use crate::sync::Ordering;

impl OrderedKeydir {
    /// Hands all stored keys and their locations to `each`, in the order of the keys, as long as it says so.
    pub fn each(&self, mut each: impl FnMut(Key<'_>, Location) -> bool) {
        let guard = epoch::pin();
        let mut whole = Vec::new();
        let mut at = self.list.front(&guard);
        while let Some(entry) = at {
            let (location, suffix) = entry.value().read(entry.key(), &guard);
            let compared = entry.key().key().compared();
            whole.clear();
            whole.extend_from_slice(compared);
            whole.extend_from_slice(suffix);
            if !each(Key::new(&whole, compared.len()), location) {
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
    pub fn push(&mut self, key: Key<'_>, location: Location) {
        let stored = StoredKey::new(key);
        self.outside += stored.outside();
        self.keydir
            .list
            .get_or_insert(stored, Cell::new(location), &self.guard)
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
