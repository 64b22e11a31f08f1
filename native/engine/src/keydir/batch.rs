//! What a step of a traversal gathers.

use super::Location;
use crate::{Deadline, Key, Now};

/// One scan call stops soon after it has gathered so many bytes of keys.
pub(super) const BATCH_BYTES: usize = 1 << 20;

/// Keys and locations that a scan gathered. Made once and used again, it does not allocate for each.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Where its key stands in the bytes, which are far fewer than this can tell.
    start: u32,
    end: u32,
    suffix: u32,
    h32: u32,
    location: Location,
    deadline: Deadline,
    /// Its seq, if more objects of its key follow it.
    within: Option<u64>,
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
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Key<'_>, Location)> + DoubleEndedIterator {
        (0..self.entries.len()).map(|at| (self.key(at), self.location(at)))
    }

    /// Whether the entry at `at` has expired.
    pub fn is_over(&self, at: usize, now: Now) -> bool {
        self.entries[at].deadline.is_over(now)
    }

    /// When the entry at `at` expires.
    pub fn deadline(&self, at: usize) -> Deadline {
        self.entries[at].deadline
    }

    /// The stored key of the entry at `at`.
    #[inline]
    pub fn key(&self, at: usize) -> Key<'_> {
        let Entry {
            start, end, suffix, ..
        } = self.entries[at];
        let compared = end - start - suffix;
        Key::new(&self.bytes[start as usize..end as usize], compared as usize)
    }

    /// Where the record of the entry at `at` stands.
    #[inline]
    pub fn location(&self, at: usize) -> Location {
        self.entries[at].location
    }

    /// The seq of the last one of the first `count` entries, if more objects of its key follow it in the table.
    pub fn within(&self, count: usize) -> Option<u64> {
        self.entries[..count].last()?.within
    }

    /// Bytes of memory that it keeps for keys.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes of all keys.
    pub(super) fn key_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The hash that the entry at `at` was pushed with.
    pub(super) fn h32(&self, at: usize) -> u32 {
        self.entries[at].h32
    }

    /// Adds an entry. `h32` is of use to keydirs in hash order alone.
    pub(super) fn push(&mut self, h32: u32, key: Key<'_>, location: Location, deadline: Deadline) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.bytes());
        self.push_entry(start, key.suffix().len(), h32, location, deadline);
    }

    /// Adds an entry whose key comes in its two parts.
    pub(super) fn push_parts(
        &mut self,
        h32: u32,
        compared: &[u8],
        suffix: &[u8],
        location: Location,
        deadline: Deadline,
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(compared);
        self.bytes.extend_from_slice(suffix);
        self.push_entry(start, suffix.len(), h32, location, deadline);
    }

    /// Adds an entry whose key stands in the bytes from `start` to their end.
    fn push_entry(&mut self, start: usize, suffix: usize, h32: u32, location: Location, deadline: Deadline) {
        self.entries.push(Entry {
            start: start as u32,
            end: self.bytes.len() as u32,
            suffix: suffix as u32,
            h32,
            location,
            deadline,
            within: None,
        });
    }

    /// Adds an object of a bag. `within` is its seq if more objects of its key follow it in the table, `again` whether the entry before it
    /// has the same key.
    pub(super) fn push_object(
        &mut self,
        h32: u32,
        key: Key<'_>,
        (location, deadline): (Location, Deadline),
        within: Option<u64>,
        again: bool,
    ) {
        let start = match self.entries.last() {
            Some(last) if again => last.start,
            _ => self.bytes.len() as u32,
        };
        if !again {
            self.bytes.extend_from_slice(key.bytes());
        }
        self.entries.push(Entry {
            start,
            end: self.bytes.len() as u32,
            suffix: key.suffix().len() as u32,
            h32,
            location,
            deadline,
            within,
        });
    }
}

/// What [`Keydir::next`](super::Keydir::next) found; the stored key's bytes are where the caller asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// How many of the key's bytes are its compared part.
    pub compared: usize,
    /// Where the key's record stands.
    pub location: Location,
    /// When the key expires; of many objects, when the last of them does.
    pub deadline: Deadline,
}
