//! A key of the index, with what changes of it.

use crate::epoch::Guard;

use super::cell::Cell;
use super::stored::StoredKey;
use crate::keydir::Location;
use crate::{Deadline, Key};

/// Stands at one address for as long as its key is there, so that overwrites change nothing but the cell.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) cell: Cell,
    pub(super) key: StoredKey,
}

impl Node {
    pub(super) fn new(key: Key<'_>, location: Location, deadline: Deadline) -> Self {
        Node {
            cell: Cell::new(location, key.suffix(), deadline),
            key: StoredKey::new(key),
        }
    }

    /// Bytes of memory that it holds outside itself.
    pub(super) fn outside(&self, guard: &Guard) -> usize {
        self.key.outside() + self.cell.outside(guard)
    }
}
