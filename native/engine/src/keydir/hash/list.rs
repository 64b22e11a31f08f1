//! The entries of one key of a bag, in the order of their seqs.
//!
//! ```text
//! length (4)   fingerprints (4 each)   padding to 8   locations (8 each)   seqs (8 each)
//! ```
//! The capacity follows from the length, so it is not stored: a list that is full is copied to a larger one, and one that
//! loses entries to a smaller one. An entry is written behind the length before the length counts it, and only its
//! location changes afterwards: a reader that has the list sees the key's objects as they were at one moment.
#![allow(unsafe_code, reason = "reads and writes the list's memory")]
#![allow(
    clippy::cast_ptr_alignment,
    reason = "the memory was allocated with the alignment"
)]

use std::alloc::Layout;
use std::{ptr, slice};

use super::reclaim::{Reclaim, allocate};
use crate::keydir::{Entry, Location};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// A list grows by one part in so many.
const GROWTH_PART: usize = 4;
/// The largest capacity below which every one is a class of its own.
const SMALL: usize = 2;
/// So many fingerprints are compared in one go.
const PIECE: usize = 64;

/// A pointer to a list, as it stands in a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct List(*mut u8);

/// The objects of a key at one moment, in the order of their seqs.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'a> {
    fingerprints: &'a [u32],
    seqs: &'a [u64],
    locations: &'a [AtomicU64],
}

#[expect(clippy::len_without_is_empty, reason = "it has always an entry")]
impl Entries<'_> {
    /// Number of objects, at least one.
    pub fn len(self) -> usize {
        self.seqs.len()
    }

    /// The object at this index, which must be below the length.
    pub fn get(self, at: usize) -> Entry {
        Entry {
            location: Location::from_bits(self.locations[at].load(Ordering::Acquire)),
            seq: self.seqs[at],
            fingerprint: self.fingerprints[at],
        }
    }

    /// All of them.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Entry> + ExactSizeIterator {
        (0..self.len()).map(move |at| self.get(at))
    }

    /// Those with this fingerprint. Looks at 4 bytes an object.
    pub fn with_fingerprint(self, fingerprint: u32) -> impl Iterator<Item = Entry> {
        // Whole pieces are looked at first, without a branch for each: most have none.
        let pieces = self.fingerprints.chunks(PIECE).enumerate();
        let hits = pieces.filter(move |(_, piece)| {
            let hits = piece.iter().map(|&other| u32::from(other == fingerprint));
            hits.sum::<u32>() > 0
        });
        let places = hits.flat_map(|(at, piece)| (at * PIECE..).zip(piece));
        let found = places.filter(move |(_, other)| **other == fingerprint);
        found.map(move |(at, _)| self.get(at))
    }

    /// The index of the first one with a higher seq than this.
    pub fn behind(self, seq: u64) -> usize {
        self.seqs.partition_point(|&other| other <= seq)
    }

    /// The index of the one with this seq, or where it would have to stand.
    pub(super) fn find(self, seq: u64) -> Result<usize, usize> {
        match self.seqs.last() {
            Some(&last) if seq > last => Err(self.len()),
            _ => self.seqs.binary_search(&seq),
        }
    }
}

impl List {
    /// The word that stands for it in a slot.
    pub(super) fn to_bits(self) -> u64 {
        self.0.expose_provenance() as u64
    }

    /// The list whose word this is.
    pub(super) fn from_bits(bits: u64) -> Self {
        List(ptr::with_exposed_provenance_mut(bits as usize))
    }

    /// A list of `len` entries, at least one.
    pub(super) fn allocate(len: usize, entries: impl Iterator<Item = Entry>) -> Self {
        let capacity = capacity(len);
        let list = List(allocate(layout(capacity)));
        let mut written = 0;
        for (at, entry) in entries.take(len).enumerate() {
            written = at + 1;
            // SAFETY: `at` is below the capacity, and nobody else has the list yet.
            unsafe { list.write(capacity, at, entry) };
        }
        // SAFETY: the length stands at the start, and nobody else has the list yet.
        unsafe { list.0.cast::<u32>().write(len as u32) };
        debug_assert_eq!((written, len > 0), (len, true));
        list
    }

    /// Its entries at this moment.
    ///
    /// # Safety
    /// The list was allocated and is not freed during `'a`.
    pub(super) unsafe fn entries<'a>(self) -> Entries<'a> {
        // SAFETY: the length stands at the start and changes atomically.
        let len = unsafe { &*self.0.cast::<AtomicU32>() }.load(Ordering::Acquire) as usize;
        let parts = Parts::of(capacity(len));
        // SAFETY: `len` entries were written before the length counted them. Their fingerprints and seqs never change,
        // their locations are atomics, and what is written behind them is not part of the slices.
        unsafe {
            Entries {
                fingerprints: slice::from_raw_parts(self.0.add(parts.fingerprints).cast(), len),
                locations: slice::from_raw_parts(self.0.add(parts.locations).cast(), len),
                seqs: slice::from_raw_parts(self.0.add(parts.seqs).cast(), len),
            }
        }
    }

    /// Adds an entry at the end; `false` if the list is full.
    ///
    /// # Safety
    /// The list was allocated, is not freed, and only the caller changes it.
    pub(super) unsafe fn push(self, entry: Entry) -> bool {
        // SAFETY: by the contract, as for `entries`.
        let len = unsafe { self.entries() }.len();
        let capacity = capacity(len);
        if len == capacity {
            return false;
        }
        // SAFETY: there is room behind the length, at which no reader looks.
        unsafe { self.write(capacity, len, entry) };
        // SAFETY: the length stands at the start and changes atomically.
        unsafe { &*self.0.cast::<AtomicU32>() }.store(len as u32 + 1, Ordering::Release);
        true
    }

    /// Changes the location of an entry that is there.
    ///
    /// # Safety
    /// As for [`List::push`].
    pub(super) unsafe fn set_location(self, at: usize, location: Location) {
        // SAFETY: by the contract, as for `entries`.
        unsafe { self.entries() }.locations[at].store(location.to_bits(), Ordering::Release);
    }

    /// Bytes that it takes.
    ///
    /// # Safety
    /// As for [`List::entries`].
    pub(super) unsafe fn bytes(self) -> usize {
        // SAFETY: by the contract.
        layout(capacity(unsafe { self.entries() }.len())).size()
    }

    /// Gives its memory back.
    ///
    /// # Safety
    /// As for [`Reclaim::free`]: it is freed once and can no longer be reached through the shard.
    pub(super) unsafe fn free(self, reclaim: Reclaim) {
        // SAFETY: the list is still there, and its capacity follows from its length.
        let layout = layout(capacity(unsafe { self.entries() }.len()));
        // SAFETY: by the contract.
        unsafe { reclaim.free(self.0, layout) };
    }

    /// # Safety
    /// The list has this capacity and `at` is below it. No reader looks at this entry.
    unsafe fn write(self, capacity: usize, at: usize, entry: Entry) {
        let parts = Parts::of(capacity);
        // SAFETY: the parts lie within the allocation, each with `capacity` elements at its alignment.
        unsafe {
            self.0
                .add(parts.fingerprints)
                .cast::<u32>()
                .add(at)
                .write(entry.fingerprint);
            self.0
                .add(parts.locations)
                .cast::<u64>()
                .add(at)
                .write(entry.location.to_bits());
            self.0.add(parts.seqs).cast::<u64>().add(at).write(entry.seq);
        }
    }
}

/// Where the parts of a list begin, in bytes.
struct Parts {
    fingerprints: usize,
    locations: usize,
    seqs: usize,
    end: usize,
}

impl Parts {
    fn of(capacity: usize) -> Parts {
        let fingerprints = size_of::<u32>();
        let locations =
            (fingerprints + capacity * size_of::<u32>()).next_multiple_of(align_of::<AtomicU64>());
        let seqs = locations + capacity * size_of::<AtomicU64>();
        Parts {
            fingerprints,
            locations,
            seqs,
            end: seqs + capacity * size_of::<u64>(),
        }
    }
}

/// The smallest capacity that holds so many entries. A list of length `n` always has the capacity of `n`.
fn capacity(len: usize) -> usize {
    let mut capacity = 1;
    while capacity < len {
        capacity += if capacity < SMALL {
            1
        } else {
            (capacity / GROWTH_PART).max(2)
        };
    }
    capacity
}

fn layout(capacity: usize) -> Layout {
    // SAFETY: 8 is a power of two, and a list of fewer than 2^31 entries of 20 bytes is far from overflowing.
    unsafe { Layout::from_size_align_unchecked(Parts::of(capacity).end, align_of::<AtomicU64>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u64) -> Entry {
        Entry {
            location: Location::from_bits(n * 3),
            seq: n,
            fingerprint: n as u32 ^ 0xffff,
        }
    }

    #[test]
    fn entries_come_back_in_order_while_a_list_grows() {
        let mut list = List::allocate(1, [entry(1)].into_iter());
        for n in 2..3000 {
            // SAFETY: the list is this test's alone, and freed where it is replaced.
            unsafe {
                if !list.push(entry(n)) {
                    let next = List::allocate(n as usize, list.entries().iter().chain([entry(n)]));
                    list.free(Reclaim::Now);
                    list = next;
                }
                let entries = list.entries();
                assert_eq!(entries.len() as u64, n);
                assert_eq!(
                    (entries.get(0), entries.get(n as usize - 1)),
                    (entry(1), entry(n))
                );
                assert_eq!(entries.behind(n / 2) as u64, n / 2);
            }
        }
        // SAFETY: as above.
        unsafe {
            assert!(list.entries().iter().eq((1..3000).map(entry)));
            list.free(Reclaim::Now);
        }
    }

    #[test]
    fn an_object_costs_some_24_bytes() {
        let bytes = |n: usize| layout(capacity(n)).size();
        assert_eq!((bytes(1), bytes(2), bytes(10)), (24, 48, 208));
        for n in 1..10_000 {
            assert!(bytes(n) <= 28 * n + 24, "{n}: {}", bytes(n));
        }
    }
}
