//! Traversal: in the order of (shard, hash, key bytes), which nothing that happens to the table changes.

use super::entry::Stored;
use super::shard::Shard;
use super::{HashKeydir, h32_of, shard_of};
use crate::keydir::{BATCH_BYTES, Batch, Busy, Location, Next};
use crate::sync::Ordering;
use crate::{Deadline, Key};

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

impl HashKeydir {
    /// The first entry behind the cursor, expired or not; its stored key, suffix included, replaces what is in `key`. Takes no lock.
    pub fn next(&self, cursor: &Cursor, key: &mut Vec<u8>) -> Result<Option<Next>, Busy> {
        self.next_with(cursor, key, |location, deadline| (location, deadline))
    }

    /// The same, where `locate` makes a location and a deadline of what stands in the slot.
    pub(super) fn next_with(
        &self,
        cursor: &Cursor,
        key: &mut Vec<u8>,
        locate: impl Fn(Location, Deadline) -> (Location, Deadline),
    ) -> Result<Option<Next>, Busy> {
        let (mut h32, mut after) = (cursor.h32, cursor.after.as_deref());
        for shard in self.shards.get(cursor.shard..).unwrap_or_default() {
            if !is_empty(shard) {
                let mut found = None;
                shard.read(|view| {
                    view.walk(h32, after, 1, |_, stored, location| {
                        key.clear();
                        key.extend_from_slice(stored.key.bytes());
                        let (location, deadline) = locate(location, stored.deadline);
                        found = Some(Next {
                            compared: stored.key.compared().len(),
                            location,
                            deadline,
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

    /// Appends up to `limit` entries behind the cursor, expired ones too, to `out` and moves the cursor behind the last of them; fewer when the
    /// keys are long. `true` if there may be more. An entry that is there all the time is seen exactly once, whatever
    /// is inserted, deleted or moved meanwhile. Takes no lock. After [`Busy`], `out` and the cursor stand where the scan
    /// got to. Costs O(limit).
    pub fn scan(&self, cursor: &mut Cursor, limit: usize, out: &mut Batch) -> Result<bool, Busy> {
        self.scan_with(cursor, limit, out, |out, h32, stored, location| {
            out.push(h32, stored.key, location, stored.deadline);
            true
        })
    }

    /// Appends the locations of the entries that [`HashKeydir::scan`] would give, without a look at their keys, which saves a good part of the time. `true` if there may be more.
    pub fn locations(&self, cursor: &Cursor, limit: usize, out: &mut Vec<Location>) -> Result<bool, Busy> {
        let (mut h32, mut after) = (cursor.h32, cursor.after.as_deref());
        let end = out.len().saturating_add(limit);
        for shard in self.shards.get(cursor.shard..).unwrap_or_default() {
            if !is_empty(shard) {
                let start = out.len();
                let more = shard.read(|view| {
                    out.truncate(start);
                    view.locations(h32, after, end - start, out)
                })?;
                if more {
                    return Ok(true);
                }
            }
            (h32, after) = (0, None);
        }
        Ok(false)
    }

    /// Hands up to `limit` entries behind the cursor to `sink` as long as it says so and `out` does not grow by more than so many bytes of keys, and
    /// moves the cursor behind the last of them. `true` if there may be more.
    pub(super) fn scan_with(
        &self,
        cursor: &mut Cursor,
        limit: usize,
        out: &mut Batch,
        mut sink: impl FnMut(&mut Batch, u32, Stored<'_>, Location) -> bool,
    ) -> Result<bool, Busy> {
        let bytes_max = out.key_bytes() + BATCH_BYTES;
        let mut left = limit;
        while let Some(shard) = self.shards.get(cursor.shard) {
            if !is_empty(shard) {
                // What one try gathers before it fails stays: the next goes on behind it.
                let more = shard.read(|view| {
                    let start = out.len();
                    let result = view.walk(
                        cursor.h32,
                        cursor.after.as_deref(),
                        left,
                        |h32, stored, location| {
                            left -= 1;
                            sink(out, h32, stored, location) && out.key_bytes() < bytes_max
                        },
                    );
                    if out.len() > start {
                        let last = out.len() - 1;
                        cursor.set(cursor.shard, out.h32(last), out.key(last).compared());
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
