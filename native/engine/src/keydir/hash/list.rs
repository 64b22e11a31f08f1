//! The entries of one key of a bag, in the order of their seqs.
//!
//! ```text
//! length (4)   fingerprints (4 each)   padding to 8   locations (8 each)   seqs (8 each)   [deadlines (8 each)]
//! ```
//! The highest bit of the length says that there are deadlines: a list has them from when one of its objects expires on.
//!
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
use crate::{Deadline, Now};

/// In the length: there are deadlines.
const EXPIRES: u32 = 1 << 31;
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
    /// As many as there are objects, or none.
    deadlines: &'a [Deadline],
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
            deadline: self.deadline(at),
        }
    }

    fn deadline(self, at: usize) -> Deadline {
        self.deadlines.get(at).copied().unwrap_or(Deadline::NEVER)
    }

    /// When the last one expires.
    pub fn last_deadline(self) -> Deadline {
        self.deadlines.iter().max().copied().unwrap_or(Deadline::NEVER)
    }

    /// Whether there is room for deadlines.
    pub fn can_expire(self) -> bool {
        !self.deadlines.is_empty()
    }

    /// Those that have not expired.
    pub fn live(self, now: Now) -> impl Iterator<Item = Entry> {
        self.iter().filter(move |entry| !entry.deadline.is_over(now))
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

    /// Whether there is no room for one more.
    pub(super) fn is_full(self) -> bool {
        capacity(self.len()) == self.len()
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

    /// A list of `len` entries, at least one. `expires` says whether one of them may expire.
    pub(super) fn allocate(len: usize, expires: bool, entries: impl Iterator<Item = Entry>) -> Self {
        let shape = Shape::of(len, expires);
        let list = List(allocate(layout(shape)));
        let mut written = 0;
        for (at, entry) in entries.take(len).enumerate() {
            written = at + 1;
            // SAFETY: `at` is below the capacity, and nobody else has the list yet.
            unsafe { list.write(shape, at, entry) };
        }
        // SAFETY: the length stands at the start, and nobody else has the list yet.
        unsafe { list.0.cast::<u32>().write(shape.word(len)) };
        debug_assert_eq!((written, len > 0), (len, true));
        list
    }

    /// Its entries at this moment.
    ///
    /// # Safety
    /// The list was allocated and is not freed during `'a`.
    pub(super) unsafe fn entries<'a>(self) -> Entries<'a> {
        // SAFETY: the length stands at the start and changes atomically.
        let word = unsafe { &*self.0.cast::<AtomicU32>() }.load(Ordering::Acquire);
        let len = (word & !EXPIRES) as usize;
        let shape = Shape::of(len, word & EXPIRES != 0);
        let parts = Parts::of(shape);
        // SAFETY: `len` entries were written before the length counted them. Their fingerprints, seqs and deadlines never
        // change, their locations are atomics, and what is written behind them is not part of the slices.
        unsafe {
            Entries {
                deadlines: slice::from_raw_parts(
                    self.0.add(parts.deadlines).cast(),
                    if shape.expires { len } else { 0 },
                ),
                fingerprints: slice::from_raw_parts(self.0.add(parts.fingerprints).cast(), len),
                locations: slice::from_raw_parts(self.0.add(parts.locations).cast(), len),
                seqs: slice::from_raw_parts(self.0.add(parts.seqs).cast(), len),
            }
        }
    }

    /// Adds an entry at the end; `false` if the list is full, or the entry expires and the list has no deadlines.
    ///
    /// # Safety
    /// The list was allocated, is not freed, and only the caller changes it.
    pub(super) unsafe fn push(self, entry: Entry) -> bool {
        // SAFETY: by the contract, as for `entries`.
        let (len, shape) = unsafe { (self.entries().len(), self.shape()) };
        if len == shape.capacity || entry.deadline != Deadline::NEVER && !shape.expires {
            return false;
        }
        // SAFETY: there is room behind the length, at which no reader looks.
        unsafe { self.write(shape, len, entry) };
        // SAFETY: the length stands at the start and changes atomically.
        unsafe { &*self.0.cast::<AtomicU32>() }.store(shape.word(len + 1), Ordering::Release);
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
        layout(unsafe { self.shape() }).size()
    }

    /// Its shape.
    ///
    /// # Safety
    /// As for [`List::entries`].
    unsafe fn shape(self) -> Shape {
        // SAFETY: by the contract.
        let entries = unsafe { self.entries() };
        Shape::of(entries.len(), entries.can_expire())
    }

    /// Gives its memory back.
    ///
    /// # Safety
    /// As for [`Reclaim::free`]: it is freed once and can no longer be reached through the shard.
    pub(super) unsafe fn free(self, reclaim: Reclaim) {
        // SAFETY: the list is still there.
        let layout = layout(unsafe { self.shape() });
        // SAFETY: by the contract.
        unsafe { reclaim.free(self.0, layout) };
    }

    /// # Safety
    /// The list has this shape and `at` is below its capacity. No reader looks at this entry.
    unsafe fn write(self, shape: Shape, at: usize, entry: Entry) {
        let parts = Parts::of(shape);
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
            if shape.expires {
                let deadlines = self.0.add(parts.deadlines).cast::<Deadline>();
                deadlines.add(at).write(entry.deadline);
            }
        }
    }
}

/// What decides how a list is laid out.
#[derive(Clone, Copy)]
struct Shape {
    capacity: usize,
    expires: bool,
}

impl Shape {
    fn of(len: usize, expires: bool) -> Self {
        let capacity = capacity(len);
        Shape { capacity, expires }
    }

    /// The word at the start of a list of so many entries.
    fn word(self, len: usize) -> u32 {
        len as u32 | if self.expires { EXPIRES } else { 0 }
    }
}

/// Where the parts of a list begin, in bytes.
struct Parts {
    fingerprints: usize,
    locations: usize,
    seqs: usize,
    deadlines: usize,
    end: usize,
}

impl Parts {
    fn of(Shape { capacity, expires }: Shape) -> Parts {
        let fingerprints = size_of::<u32>();
        let locations =
            (fingerprints + capacity * size_of::<u32>()).next_multiple_of(align_of::<AtomicU64>());
        let seqs = locations + capacity * size_of::<AtomicU64>();
        let deadlines = seqs + capacity * size_of::<u64>();
        let expiring = if expires { capacity } else { 0 };
        Parts {
            fingerprints,
            locations,
            seqs,
            deadlines,
            end: deadlines + expiring * size_of::<Deadline>(),
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

fn layout(shape: Shape) -> Layout {
    // SAFETY: 8 is a power of two, and a list of fewer than 2^31 entries of 28 bytes is far from overflowing.
    unsafe { Layout::from_size_align_unchecked(Parts::of(shape).end, align_of::<AtomicU64>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u64) -> Entry {
        Entry {
            location: Location::from_bits(n * 3),
            seq: n,
            fingerprint: n as u32 ^ 0xffff,
            deadline: if n > 100 { Deadline::at(n) } else { Deadline::NEVER },
        }
    }

    #[test]
    fn entries_come_back_in_order_while_a_list_grows() {
        let mut list = List::allocate(1, false, [entry(1)].into_iter());
        for n in 2..3000 {
            // SAFETY: the list is this test's alone, and freed where it is replaced.
            unsafe {
                if !list.push(entry(n)) {
                    let next = List::allocate(n as usize, n > 100, list.entries().iter().chain([entry(n)]));
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
        let bytes = |n: usize| layout(Shape::of(n, false)).size();
        assert_eq!((bytes(1), bytes(2), bytes(10)), (24, 48, 208));
        for n in 1..10_000 {
            let expiring = layout(Shape::of(n, true)).size();
            assert_eq!(expiring, bytes(n) + 8 * capacity(n));
            assert!(bytes(n) <= 28 * n + 24, "{n}: {}", bytes(n));
        }
    }
}
