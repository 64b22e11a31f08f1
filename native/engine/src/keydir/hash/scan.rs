//! Traversal: in the order of (shard, hash, key bytes), which nothing that happens to the table changes.

use super::shard::Shard;
use super::{HashKeydir, h32_of, shard_of};
use crate::Key;
use crate::keydir::{Busy, Location};
use crate::sync::Ordering;

/// One scan call stops soon after it has gathered so many bytes of keys.
const BATCH_BYTES: usize = 1 << 20;

/// A place in the order of a [`HashKeydir`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    shard: usize,
    h32: u32,
    /// The compared part of the key behind which the cursor stands; `None` means before all keys of this hash.
    after: Option<Vec<u8>>,
}

impl Cursor {
    /// The place before all keys.
    pub fn start() -> Self {
        Cursor::default()
    }

    /// The place just behind this key, whether it is present or not. `hash` is that of [`HashKeydir::hash`].
    pub fn after(hash: u64, key: Key<'_>) -> Self {
        let mut cursor = Cursor::default();
        cursor.set(shard_of(hash), h32_of(hash), key.compared());
        cursor
    }

    fn set(&mut self, shard: usize, h32: u32, compared: &[u8]) {
        self.shard = shard;
        self.h32 = h32;
        let after = self.after.get_or_insert_default();
        after.clear();
        after.extend_from_slice(compared);
    }

    fn set_shard(&mut self, shard: usize) {
        self.shard = shard;
        self.h32 = 0;
        self.after = None;
    }
}

/// Keys and locations that a scan gathered. Made once and used again, it does not allocate for each.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    end: usize,
    suffix: usize,
    h32: u32,
    location: Location,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// The stored keys, suffixes included, with their locations, in the table's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Key<'_>, Location)> {
        (0..self.entries.len()).map(|at| (self.key(at), self.entries[at].location))
    }

    fn key(&self, at: usize) -> Key<'_> {
        let start = at.checked_sub(1).map_or(0, |before| self.entries[before].end);
        let Entry { end, suffix, .. } = self.entries[at];
        Key::new(&self.bytes[start..end], end - start - suffix)
    }

    fn push(&mut self, h32: u32, key: Key<'_>, location: Location) {
        self.bytes.extend_from_slice(key.bytes());
        self.entries.push(Entry {
            end: self.bytes.len(),
            suffix: key.suffix().len(),
            h32,
            location,
        });
    }
}

/// What [`HashKeydir::next`] found; the stored key's bytes are where the caller asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// How many of the key's bytes are its compared part.
    pub compared: usize,
    /// Where the key's record stands.
    pub location: Location,
}

impl HashKeydir {
    /// The first entry behind the cursor; its stored key, suffix included, replaces what is in `key`. Takes no lock.
    pub fn next(&self, cursor: &Cursor, key: &mut Vec<u8>) -> Result<Option<Next>, Busy> {
        let (mut h32, mut after) = (cursor.h32, cursor.after.as_deref());
        for shard in self.shards.get(cursor.shard..).unwrap_or_default() {
            if !is_empty(shard) {
                let mut found = None;
                shard.read(|view| {
                    view.walk(h32, after, 1, |_, stored, location| {
                        key.clear();
                        key.extend_from_slice(stored.bytes());
                        found = Some(Next {
                            compared: stored.compared().len(),
                            location,
                        });
                        false
                    })
                })?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            (h32, after) = (0, None);
        }
        Ok(None)
    }

    /// Appends up to `limit` entries behind the cursor to `out` and moves the cursor behind the last of them; fewer when the
    /// keys are long. `true` if there may be more. An entry that is there all the time is seen exactly once, whatever
    /// is inserted, deleted or moved meanwhile. Takes no lock. After [`Busy`], `out` and the cursor stand where the scan
    /// got to. Costs O(limit).
    pub fn scan(&self, cursor: &mut Cursor, limit: usize, out: &mut Batch) -> Result<bool, Busy> {
        let first = out.len();
        let bytes_max = out.bytes.len() + BATCH_BYTES;
        while let Some(shard) = self.shards.get(cursor.shard) {
            if !is_empty(shard) {
                // What one try gathers before it fails stays: the next goes on behind it.
                let more = shard.read(|view| {
                    let start = out.len();
                    let result = view.walk(
                        cursor.h32,
                        cursor.after.as_deref(),
                        limit - (start - first),
                        |h32, key, location| {
                            out.push(h32, key, location);
                            out.bytes.len() < bytes_max
                        },
                    );
                    if out.len() > start {
                        let last = out.len() - 1;
                        cursor.set(cursor.shard, out.entries[last].h32, out.key(last).compared());
                    }
                    result
                })?;
                if more {
                    return Ok(true);
                }
            }
            cursor.set_shard(cursor.shard + 1);
        }
        Ok(false)
    }
}

fn is_empty(shard: &Shard) -> bool {
    shard.len.load(Ordering::Acquire) == 0
}
