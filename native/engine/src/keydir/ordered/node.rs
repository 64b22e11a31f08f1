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

    /// Gives it another location, and the stored form that goes with it. Gives by how many bytes the memory held outside changed: those that came
    /// and those that went.
    pub(super) fn update(
        &self,
        suffix: &[u8],
        location: Location,
        deadline: Deadline,
        guard: &Guard,
    ) -> (usize, usize) {
        let old = self.cell.read(&self.key, guard);
        if old.suffix == suffix && old.deadline == deadline {
            self.cell.set_location(location, guard);
            (0, 0)
        } else {
            self.cell.set_form(location, suffix, deadline, guard)
        }
    }

    /// Bytes of memory that it holds outside itself.
    pub(super) fn outside(&self, guard: &Guard) -> usize {
        self.key.outside() + self.cell.outside(guard)
    }
}
