//! The slots of a shard: an ordered linear-probing table (Amble and Knuth, "Ordered hash tables", 1974).
//!
//! Entries stand in the order of (hash, key bytes). An entry's *home* is its hash scaled to the capacity, which rises
//! with the hash, so the order is the same whatever the capacity is, and a table is rebuilt at another capacity in one
//! sequential pass. Between an entry's home and its place there is no empty slot. Behind the last home come a few
//! slots for what is pushed over the end, of which the last is always empty, so that every search ends.

use super::marks::Marks;
use crate::sync::{AtomicU64, Ordering};

/// One entry: the 32 hash bits that order it and its key's place in the arena in one word, its location in the other.
/// A meta word of zero means empty.
#[derive(Debug, Default)]
pub(super) struct Slot {
    meta: AtomicU64,
    location: AtomicU64,
}

/// The word of an entry with this hash and key.
pub(super) fn meta(h32: u32, key_ref: u32) -> u64 {
    u64::from(h32) << 32 | u64::from(key_ref)
}

/// The hash in a meta word.
pub(super) fn hash_of(meta: u64) -> u32 {
    (meta >> 32) as u32
}

/// The key reference in a meta word.
pub(super) fn key_ref_of(meta: u64) -> u32 {
    meta as u32
}

/// The first slot where an entry with this hash may stand.
pub(super) fn home(h32: u32, capacity: u32) -> usize {
    ((u64::from(h32) * u64::from(capacity)) >> 32) as usize
}

// Readers load with Acquire and writers store with Release throughout: a reader that sees a word of a change in
// progress then also sees the version that announced it, without a fence.
impl Slot {
    /// The meta word, zero if the slot is empty.
    pub(super) fn meta(&self) -> u64 {
        self.meta.load(Ordering::Acquire)
    }

    /// The location's word.
    pub(super) fn location(&self) -> u64 {
        self.location.load(Ordering::Acquire)
    }

    /// Replaces the location alone, which readers see whole without further ado.
    pub(super) fn set_location(&self, location: u64) {
        self.location.store(location, Ordering::Release);
    }

    /// Replaces the meta word alone.
    pub(super) fn set_meta(&self, meta: u64) {
        self.meta.store(meta, Ordering::Release);
    }

    fn copy_from(&self, other: &Slot) {
        self.location
            .store(other.location.load(Ordering::Relaxed), Ordering::Release);
        self.meta
            .store(other.meta.load(Ordering::Relaxed), Ordering::Release);
    }

    /// Puts an entry into an empty slot.
    pub(super) fn set(&self, meta: u64, location: u64) {
        self.location.store(location, Ordering::Release);
        self.meta.store(meta, Ordering::Release);
    }
}

/// The first empty slot at or behind `at`, or `None` if that is the last slot, which must stay empty.
pub(super) fn gap(slots: &[Slot], at: usize) -> Option<usize> {
    let gap = at + slots.get(at..)?.iter().position(|slot| slot.meta() == 0)?;
    (gap + 1 < slots.len()).then_some(gap)
}

/// Puts an entry at `at` and moves those from there up to the empty slot `gap` one slot on.
pub(super) fn insert(slots: &[Slot], at: usize, gap: usize, meta: u64, location: u64) {
    let run = &slots[at..=gap];
    for i in (1..run.len()).rev() {
        run[i].copy_from(&run[i - 1]);
    }
    run[0].set(meta, location);
}

/// Takes the entry at `at` out and moves those behind it one slot back as long as that brings none before its home.
pub(super) fn remove(slots: &[Slot], capacity: u32, at: usize) {
    let mut hole = at;
    while let Some(next) = slots.get(hole + 1) {
        let meta = next.meta();
        if meta == 0 || home(hash_of(meta), capacity) > hole {
            break;
        }
        slots[hole].copy_from(next);
        hole += 1;
    }
    slots[hole].set(0, 0);
}

/// Copies all entries of `old` in order into the empty slots `new` and marks them. `false` if they do not fit.
/// Nobody else sees `new` and `marks` yet.
pub(super) fn rebuild(old: &[Slot], new: &[Slot], marks: Marks<'_>) -> bool {
    let capacity = marks.homes();
    let mut free = 0;
    for slot in old {
        let meta = slot.meta.load(Ordering::Relaxed);
        if meta == 0 {
            continue;
        }
        let at = home(hash_of(meta), capacity).max(free);
        if at + 1 >= new.len() {
            return false;
        }
        new[at]
            .location
            .store(slot.location.load(Ordering::Relaxed), Ordering::Relaxed);
        new[at].meta.store(meta, Ordering::Relaxed);
        marks.set(hash_of(meta));
        free = at + 1;
    }
    true
}
