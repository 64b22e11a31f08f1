//! A part of the cache: sets of eight ways, read without locks.
//!
//! A way is one word: 16 bits of the place's hash, the *tag*, over the 48 bits of a pointer to the entry. The set of an entry is the upper bits of its tag, so the
//! sets can be doubled without looking at the entries. A set is one cache line. Readers are protected by crossbeam-epoch; writers by a lock that they
//! give up on when it is taken, since whatever the cache forgets to do only costs time. What goes when the room is used up is
//! chosen by a clock hand (Corbató, "A paging experiment with the Multics system", 1968).
#![allow(unsafe_code, reason = "readers follow pointers that the epoch keeps alive")]

use crate::sync::{AtomicU64, Mutex, Ordering};
use std::ptr::NonNull;

use crossbeam_epoch::{self as epoch, Atomic, Guard, Owned};
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

#[derive(Debug)]
struct Sets {
    bits: u32,
    sets: Box<[Set]>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Shard {
    sets: Atomic<Sets>,
    writer: Mutex<Writer>,
}

#[derive(Debug, Default)]
struct Writer {
    bytes: u64,
    hand: usize,
}

impl Sets {
    fn new(bits: u32) -> Self {
        Sets {
            bits,
            sets: (0..1usize << bits).map(|_| Set::default()).collect(),
        }
    }

    fn of(&self, tag: u64) -> &Set {
        &self.sets[(tag >> (TAG_BITS - self.bits)) as usize]
    }
}

fn pack(tag: u64, entry: NonNull<Entry>) -> Option<u64> {
    let pointer = entry.as_ptr() as u64;
    (pointer >> POINTER_BITS == 0).then_some(tag << POINTER_BITS | pointer)
}

fn unpack(way: u64) -> Option<NonNull<Entry>> {
    NonNull::new((way & ((1 << POINTER_BITS) - 1)) as *mut Entry)
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
        // SAFETY: sets are freed only after all guards that may have seen them are gone.
        if let Some(sets) = unsafe { shard.sets.load(Ordering::Acquire, guard).as_ref() } {
            let set = sets.of(tag);
            sum ^= set.0[0].load(Ordering::Relaxed);
            wanted.push((set, tag));
        }
    }
    let mut entries: SmallVec<[&Entry; 128]> = SmallVec::new();
    for (set, tag) in wanted {
        let ways = set.0.iter().map(|way| way.load(Ordering::Acquire));
        for entry in ways
            .filter(|way| way >> POINTER_BITS == tag)
            .filter_map(|way| entry(way, guard))
        {
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
    /// Calls `f` with the key and the value of a place, if they are here. `tag` has 16 bits.
    pub fn get<R>(&self, tag: u64, place: Place, f: impl FnOnce(&[u8], &[u8]) -> R) -> Option<R> {
        let guard = &epoch::pin();
        // SAFETY: sets are freed only after all guards that may have seen them are gone.
        let sets = unsafe { self.sets.load(Ordering::Acquire, guard).as_ref() }?;
        let found = sets.of(tag).0.iter().find_map(|way| {
            let way = way.load(Ordering::Acquire);
            let candidate = if way >> POINTER_BITS == tag {
                entry(way, guard)
            } else {
                None
            };
            candidate.filter(|entry| entry.place() == place)
        })?;
        found.touch();
        let (key, value) = found.bytes();
        Some(f(key, value))
    }

    /// Puts an entry in, or frees it: if its place is here already, or another writer is at work. `limit` is the shard's share in bytes.
    pub fn put(&self, tag: u64, new: NonNull<Entry>, limit: u64) {
        let guard = &epoch::pin();
        if self.try_put(tag, new, limit, guard).is_none() {
            // SAFETY: it was not published.
            unsafe { Entry::free(new) };
        }
    }

    /// Moves a record to its new place in `to`, or forgets it, if another writer is at work in either shard.
    pub fn relocate(&self, tag: u64, old: Place, to: (&Shard, u64), new: Location, limit: u64) {
        let guard = &epoch::pin();
        let Some(moved) = self.take(tag, old, guard) else {
            return;
        };
        if let Some(entry) = entry(moved.as_ptr() as u64, guard) {
            entry.move_to(new);
        }
        let (shard, tag) = to;
        if shard.try_put(tag, moved, limit, guard).is_none() {
            // SAFETY: no way points to it, and it was this call that took it out, so this is the one time.
            unsafe { guard.defer_unchecked(move || Entry::free(moved)) };
        }
    }

    /// Takes an entry out and leaves its freeing to the caller; readers may be in it.
    fn take(&self, tag: u64, place: Place, guard: &Guard) -> Option<NonNull<Entry>> {
        let mut writer = self.writer.try_lock()?;
        // SAFETY: only a writer replaces the sets, and this is the writer.
        let sets = unsafe { self.sets.load(Ordering::Relaxed, guard).as_ref() }?;
        sets.of(tag).0.iter().find_map(|way| {
            let word = way.load(Ordering::Relaxed);
            let found = entry(word, guard).filter(|_| word >> POINTER_BITS == tag)?;
            if found.place() != place {
                return None;
            }
            way.store(0, Ordering::Release);
            writer.bytes = writer.bytes.saturating_sub(found.cost());
            unpack(word)
        })
    }

    fn try_put(&self, tag: u64, new: NonNull<Entry>, limit: u64, guard: &Guard) -> Option<()> {
        let way = pack(tag, new)?;
        let fresh = entry(way, guard)?;
        let mut writer = self.writer.try_lock()?;
        if self.sets.load(Ordering::Relaxed, guard).is_null() {
            self.sets.store(Owned::new(Sets::new(0)), Ordering::Release);
        }
        // SAFETY: only a writer replaces the sets, and this is the writer.
        let mut sets = unsafe { self.sets.load(Ordering::Relaxed, guard).as_ref() }?;
        let here = |way: &AtomicU64| {
            let word = way.load(Ordering::Relaxed);
            word >> POINTER_BITS == tag
                && entry(word, guard).is_some_and(|entry| entry.place() == fresh.place())
        };
        if sets.of(tag).0.iter().any(here) {
            return None;
        }
        writer.bytes += fresh.cost();
        if writer.bytes > limit {
            sweep(&mut writer, sets, limit, guard);
        }
        let empty = |sets: &Sets| {
            sets.of(tag)
                .0
                .iter()
                .position(|way| way.load(Ordering::Relaxed) == 0)
        };
        let mut at = empty(sets);
        if at.is_none() && sets.bits < MAX_SET_BITS && writer.bytes * 10 < limit * 9 {
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
    fn grow<'g>(&self, old: &Sets, guard: &'g Guard) -> &'g Sets {
        let new = Sets::new(old.bits + 1);
        for way in old.sets.iter().flat_map(|set| &set.0) {
            let way = way.load(Ordering::Relaxed);
            let tag = way >> POINTER_BITS;
            // A set's entries go to two sets, so there is room.
            if let Some(free) = new.of(tag).0.iter().find(|way| way.load(Ordering::Relaxed) == 0) {
                free.store(way, Ordering::Relaxed);
            }
        }
        let new = Owned::new(new).into_shared(guard);
        let old = self.sets.swap(new, Ordering::AcqRel, guard);
        // SAFETY: no reader that pins from now on sees the old sets, and the writer alone replaces them, so this is the one time. The new ones
        // live for as long as the guard at least.
        unsafe {
            guard.defer_destroy(old);
            new.deref()
        }
    }

    /// Forgets a place, unless another writer is at work.
    pub fn remove(&self, tag: u64, place: Place) {
        let guard = &epoch::pin();
        let Some(mut writer) = self.writer.try_lock() else {
            return;
        };
        // SAFETY: only a writer replaces the sets, and this is the writer.
        let Some(sets) = (unsafe { self.sets.load(Ordering::Relaxed, guard).as_ref() }) else {
            return;
        };
        for way in &sets.of(tag).0 {
            let word = way.load(Ordering::Relaxed);
            if word >> POINTER_BITS == tag && entry(word, guard).is_some_and(|entry| entry.place() == place) {
                evict(&mut writer, way, guard);
            }
        }
    }

    /// Forgets all entries that `f` wants gone, and more while the shard is above its limit.
    pub fn retain(&self, limit: u64, mut f: impl FnMut(Place) -> bool) {
        let guard = &epoch::pin();
        let mut writer = self.writer.lock();
        // SAFETY: only a writer replaces the sets, and this is the writer.
        let Some(sets) = (unsafe { self.sets.load(Ordering::Relaxed, guard).as_ref() }) else {
            return;
        };
        for way in sets.sets.iter().flat_map(|set| &set.0) {
            let keep = entry(way.load(Ordering::Relaxed), guard).is_none_or(|entry| f(entry.place()));
            if !keep || writer.bytes > limit {
                evict(&mut writer, way, guard);
            }
        }
        guard.flush();
    }
}

/// Lets the hand go on until there is room, or it has gone far enough for one call.
fn sweep(writer: &mut Writer, sets: &Sets, limit: u64, guard: &Guard) {
    for _ in 0..MAX_SWEPT_SETS {
        writer.hand = (writer.hand + 1) % sets.sets.len();
        for way in &sets.sets[writer.hand].0 {
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
        let guard = &epoch::pin();
        let sets = self.sets.swap(epoch::Shared::null(), Ordering::AcqRel, guard);
        if !sets.is_null() {
            // SAFETY: nobody else has the shard.
            unsafe { guard.defer_destroy(sets) };
        }
    }
}
