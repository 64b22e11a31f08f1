//! A part of the cache: sets of eight ways, read without locks.
//!
//! A way is one word: 16 bits of the hash, the *tag*, over the 48 bits of a pointer to the entry. The set of an entry is the upper bits of its tag, so the
//! sets can be doubled without looking at the entries. A set is one cache line. Readers are protected by the epoch; writers by a lock that they
//! give up on when it is taken, since whatever the cache forgets to do only costs time. What goes when the room is used up is
//! chosen by a clock hand (Corbató, "A paging experiment with the Multics system", 1968).
#![allow(unsafe_code, reason = "readers follow pointers that the epoch keeps alive")]

use crate::keydir::prefetch::prefetch;
use crate::sync::{AtomicPtr, AtomicU64, Mutex, Ordering};
use std::ptr::NonNull;

use crate::epoch::{self, Guard};
use smallvec::SmallVec;

use super::entry::{Entry, Place};
use crate::keydir::Location;

const WAYS: usize = 8;
const TAG_BITS: u32 = 16;
const POINTER_BITS: u32 = 48;
/// The sets of a shard are at most 2^12, so that four bits of the tag still tell the ways of a set apart.
const MAX_SET_BITS: u32 = 12;
/// One insert lets the hand pass so many sets at most; the next one goes on.
const MAX_SWEPT_SETS: usize = 16;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// See the module.
#[derive(Debug, Default)]
pub struct Shard {
    /// Where the sets stand, over the number of bits that tell them apart: one word, so that a reader has both at once. Null before there are any.
    sets: AtomicPtr<Set>,
    writer: Mutex<Writer>,
}

#[derive(Debug, Default)]
struct Writer {
    bytes: u64,
    hand: usize,
}

/// The sets of a shard, whose number is a power of two.
#[derive(Clone, Copy, Debug)]
struct Sets<'g>(&'g [Set]);

impl<'g> Sets<'g> {
    fn bits(self) -> u32 {
        self.0.len().trailing_zeros()
    }

    fn of(self, tag: u64) -> &'g Set {
        &self.0[index(tag, self.bits())]
    }
}

/// The number of a tag's set.
fn index(tag: u64, bits: u32) -> usize {
    (tag >> (TAG_BITS - bits)) as usize
}

/// New empty sets as the word that names them.
fn new_sets(bits: u32) -> *mut Set {
    let sets: Box<[Set]> = (0..1usize << bits).map(|_| Set::default()).collect();
    Box::into_raw(sets)
        .cast::<Set>()
        .map_addr(|at| at | bits as usize)
}

/// Where the sets of a word stand, and how many bits tell them apart.
fn parts(word: *mut Set) -> (*mut Set, u32) {
    let bits = word.addr() % align_of::<Set>();
    (word.map_addr(|at| at - bits), bits as u32)
}

/// Frees what [`new_sets`] gave.
///
/// # Safety
/// Nobody uses them any more, and this is the one time.
unsafe fn free_sets(word: *mut Set) {
    let (sets, bits) = parts(word);
    // SAFETY: `new_sets` made a boxed slice of this length there.
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(sets, 1 << bits)) });
}

fn pack(tag: u64, entry: NonNull<Entry>) -> Option<u64> {
    let pointer = entry.as_ptr() as u64;
    (pointer >> POINTER_BITS == 0).then_some(tag << POINTER_BITS | pointer)
}

fn unpack(way: u64) -> Option<NonNull<Entry>> {
    NonNull::new((way & ((1 << POINTER_BITS) - 1)) as *mut Entry)
}

/// The ways of a set that have this tag.
fn tagged(set: &Set, tag: u64) -> impl Iterator<Item = &AtomicU64> {
    let has_tag = move |way: &&AtomicU64| {
        let word = way.load(Ordering::Relaxed);
        word != 0 && word >> POINTER_BITS == tag
    };
    set.0.iter().filter(has_tag)
}

/// The entry of a way.
fn entry(way: u64, _guard: &Guard) -> Option<&Entry> {
    // SAFETY: a way that was read from a set under this guard points to an entry that is freed only after the guard is gone.
    unpack(way).map(|entry| unsafe { entry.as_ref() })
}

/// Loads what [`Shard::get`] will look at for these tags, and where the values begin (of `whole` ones, the first quarter of a kilobyte), so that it finds them near. The loads of one round do
/// not depend on each other: the processor waits for many at once instead of one after the other. As long as the guard is kept, a look
/// needs no guard of its own, whose fence would wait for all loads before it.
pub fn warm<'s>(tags: impl Iterator<Item = (&'s Shard, u64)>, whole: bool) -> Guard {
    let kept = epoch::pin();
    let guard = &kept;
    let mut sum = 0;
    let mut wanted: SmallVec<[(&Set, u64); 128]> = SmallVec::new();
    for (shard, tag) in tags {
        if let Some(sets) = shard.sets(guard) {
            let set = sets.of(tag);
            prefetch(set);
            wanted.push((set, tag));
        }
    }
    let mut entries: SmallVec<[&Entry; 128]> = SmallVec::new();
    for (set, tag) in wanted {
        for entry in tagged(set, tag).filter_map(|way| entry(way.load(Ordering::Acquire), guard)) {
            entry.prefetch();
            entries.push(entry);
        }
    }
    for entry in entries {
        if whole {
            entry.prefetch_rest();
        }
        sum ^= entry.bytes().1.first().map_or(0, |byte| u64::from(*byte));
    }
    std::hint::black_box(sum);
    kept
}

impl Shard {
    fn sets<'g>(&'g self, _guard: &'g Guard) -> Option<Sets<'g>> {
        let (sets, bits) = parts(self.sets.load(Ordering::Acquire));
        // SAFETY: so many sets stand there, which are freed only after all guards that may have seen them are gone.
        (!sets.is_null()).then(|| Sets(unsafe { std::slice::from_raw_parts(sets, 1 << bits) }))
    }

    /// Has the processor fetch a tag's set.
    #[inline]
    pub fn prefetch(&self, tag: u64) {
        // The sets may be gone by then, which a prefetch does not mind.
        let (sets, bits) = parts(self.sets.load(Ordering::Relaxed));
        prefetch(sets.wrapping_add(index(tag, bits)));
    }

    /// Has the processor fetch the entries with this tag, mostly one. Waits for the tag's set.
    #[inline]
    pub fn prefetch_entry(&self, tag: u64) {
        let guard = &epoch::pin();
        if let Some(sets) = self.sets(guard) {
            for way in tagged(sets.of(tag), tag) {
                if let Some(entry) = entry(way.load(Ordering::Acquire), guard) {
                    entry.prefetch();
                }
            }
        }
    }

    /// Calls `f` with the key and the value of a place, if they are here. `tag` has 16 bits.
    pub fn get<R>(&self, tag: u64, place: Place, f: impl FnOnce(&[u8], &[u8]) -> R) -> Option<R> {
        let guard = &epoch::pin();
        let found = tagged(self.sets(guard)?.of(tag), tag).find_map(|way| {
            let candidate = entry(way.load(Ordering::Acquire), guard)?;
            candidate.prefetch();
            (candidate.place() == place).then_some(candidate)
        })?;
        found.touch();
        let (key, value) = found.bytes();
        Some(f(key, value))
    }

    /// Puts an entry in, or frees it: if its place is here already, or another writer is at work. If one of the place `old` is here, it
    /// goes. `limit` is the shard's share in bytes.
    pub fn put(&self, tag: u64, new: NonNull<Entry>, old: Option<Place>, limit: u64) {
        let guard = &epoch::pin();
        if self.try_put(tag, new, old, limit, guard).is_none() {
            // SAFETY: it was not published.
            unsafe { Entry::free(new) };
        }
    }

    fn try_put(
        &self,
        tag: u64,
        new: NonNull<Entry>,
        old: Option<Place>,
        limit: u64,
        guard: &Guard,
    ) -> Option<()> {
        let way = pack(tag, new)?;
        let fresh = entry(way, guard)?;
        let mut writer = self.writer.try_lock()?;
        if self.sets(guard).is_none() {
            self.sets.store(new_sets(0), Ordering::Release);
        }
        let mut sets = self.sets(guard)?;
        let mut replaced = None;
        for way in tagged(sets.of(tag), tag) {
            let place = entry(way.load(Ordering::Relaxed), guard).map(Entry::place);
            if place == Some(fresh.place()) {
                return None;
            }
            if place.is_some() && place == old {
                replaced = Some(way);
            }
        }
        writer.bytes += fresh.cost();
        if let Some(place) = replaced {
            evict(&mut writer, place, guard);
            place.store(way, Ordering::Release);
        }
        if writer.bytes > limit {
            sweep(&mut writer, sets, limit, guard);
        }
        if replaced.is_some() {
            return Some(());
        }
        let empty = |sets: Sets<'_>| {
            let ways = &sets.of(tag).0;
            ways.iter().position(|way| way.load(Ordering::Relaxed) == 0)
        };
        let mut at = empty(sets);
        if at.is_none() && sets.bits() < MAX_SET_BITS && writer.bytes * 10 < limit * 9 {
            sets = self.grow(sets, guard);
            at = empty(sets);
        }
        let set = sets.of(tag);
        let at = at.unwrap_or_else(|| victim(set, guard));
        evict(&mut writer, &set.0[at], guard);
        set.0[at].store(way, Ordering::Release);
        Some(())
    }

    /// Doubles the sets.
    fn grow<'g>(&self, old: Sets<'_>, guard: &'g Guard) -> Sets<'g> {
        let word = new_sets(old.bits() + 1);
        let (sets, bits) = parts(word);
        // SAFETY: they were made just now with this length, and are freed only after all guards are gone that could see them: this one too.
        let new = Sets(unsafe { std::slice::from_raw_parts(sets, 1 << bits) });
        for way in old.0.iter().flat_map(|set| &set.0) {
            let way = way.load(Ordering::Relaxed);
            let tag = way >> POINTER_BITS;
            // A set's entries go to two sets, so there is room.
            if let Some(free) = new.of(tag).0.iter().find(|way| way.load(Ordering::Relaxed) == 0) {
                free.store(way, Ordering::Relaxed);
            }
        }
        let before = self.sets.swap(word, Ordering::AcqRel);
        // SAFETY: no reader that pins from now on sees the old sets, and the writer alone replaces them, so this is the one time.
        unsafe { guard.defer_unchecked(move || free_sets(before)) };
        new
    }

    /// Says where the record of a place stands now, if it is here, where its tag stays the same.
    pub fn relocate(&self, tag: u64, old: Place, new: Location) {
        let guard = &epoch::pin();
        let Some(sets) = self.sets(guard) else {
            return;
        };
        for way in tagged(sets.of(tag), tag) {
            if let Some(entry) =
                entry(way.load(Ordering::Acquire), guard).filter(|entry| entry.place() == old)
            {
                entry.move_to(new);
            }
        }
    }

    /// Forgets a place, unless another writer is at work.
    pub fn remove(&self, tag: u64, place: Place) {
        let guard = &epoch::pin();
        let Some(mut writer) = self.writer.try_lock() else {
            return;
        };
        let Some(sets) = self.sets(guard) else {
            return;
        };
        for way in tagged(sets.of(tag), tag) {
            if entry(way.load(Ordering::Relaxed), guard).is_some_and(|entry| entry.place() == place) {
                evict(&mut writer, way, guard);
            }
        }
    }

    /// Forgets all entries that `f` wants gone, and more while the shard is above its limit.
    pub fn retain(&self, limit: u64, mut f: impl FnMut(Place) -> bool) {
        let guard = &epoch::pin();
        let mut writer = self.writer.lock();
        let Some(sets) = self.sets(guard) else {
            return;
        };
        for way in sets.0.iter().flat_map(|set| &set.0) {
            let keep = entry(way.load(Ordering::Relaxed), guard).is_none_or(|entry| f(entry.place()));
            if !keep || writer.bytes > limit {
                evict(&mut writer, way, guard);
            }
        }
        guard.flush();
    }
}

/// Lets the hand go on until there is room, or it has gone far enough for one call.
fn sweep(writer: &mut Writer, sets: Sets<'_>, limit: u64, guard: &Guard) {
    for _ in 0..MAX_SWEPT_SETS {
        writer.hand = (writer.hand + 1) % sets.0.len();
        for way in &sets.0[writer.hand].0 {
            if writer.bytes <= limit {
                return;
            }
            if entry(way.load(Ordering::Relaxed), guard).is_some_and(|entry| !entry.was_used()) {
                evict(writer, way, guard);
            }
        }
    }
}

/// The way of a full set that was not read of late, or the first.
fn victim(set: &Set, guard: &Guard) -> usize {
    let unused =
        |way: &AtomicU64| entry(way.load(Ordering::Relaxed), guard).is_none_or(|entry| !entry.was_used());
    set.0.iter().position(unused).unwrap_or(0)
}

/// Empties a way; its entry is freed once no reader has it.
fn evict(writer: &mut Writer, way: &AtomicU64, guard: &Guard) {
    let word = way.swap(0, Ordering::AcqRel);
    let (Some(old), Some(gone)) = (unpack(word), entry(word, guard)) else {
        return;
    };
    writer.bytes = writer.bytes.saturating_sub(gone.cost());
    // SAFETY: no way points to it any more, and writers alone take entries out, so this is the one time.
    unsafe { guard.defer_unchecked(move || Entry::free(old)) };
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.retain(0, |_| false);
        let sets = self.sets.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !sets.is_null() {
            // SAFETY: nobody else has the shard.
            unsafe { free_sets(sets) };
        }
    }
}
