//! A key of the index, with what changes of it.

use super::cell::Cell;
use super::stored::StoredKey;
use crate::Key;
use crate::keydir::Location;

/// Stands at one address for as long as its key is there, so that overwrites change nothing but the cell.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) cell: Cell,
    pub(super) key: StoredKey,
}

impl Node {
    pub(super) fn new(key: Key<'_>, location: Location) -> Self {
        Node {
            cell: Cell::new(location),
            key: StoredKey::new(key),
        }
    }
}
