//! One shard: what readers see of it, and how they read it without a lock.
//!
//! A shard is a seqlock. The holder of its lock makes the version odd, changes slots or pointers, and makes it even
//! again; a reader that finds the version odd, or other than at its start, has seen nothing and tries again. Memory that
//! a change takes out of the shard is freed through [`epoch`](crate::epoch), so a reader that is too late still reads memory
//! that is its own to read. Readers write to nothing but their thread's epoch.
#![allow(unsafe_code, reason = "follows pointers that a version vouches for")]

use std::slice;

use crate::epoch::{self, Guard};

use super::entry::{self, Stored};
use super::marks::{self, Marks};
use super::slots::{self, Slot};
use super::write::State;
use crate::Key;
use crate::keydir::prefetch::prefetch;
use crate::keydir::{Busy, Hit, Location};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, spin_loop};

/// How often a reader tries before it reports [`Busy`]: some microseconds, longer than any change takes unless its
/// thread is taken off the processor.
const TRIES: u32 = 64;

/// So many slots ahead the entries of a walk are fetched.
const AHEAD: usize = 16;

/// The shard changed under a reader, which has learned nothing.
#[derive(Debug)]
pub(super) struct Changed;

/// One cache line, so that a writer of one shard does not disturb the readers of its neighbours.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Shard {
    /// Odd during a change.
    version: AtomicU64,
    /// The slots, and behind them the marks.
    pub(super) slots: AtomicPtr<Slot>,
    /// The chunks of the key arena by their number, which starts at 1.
    pub(super) chunks: AtomicPtr<AtomicPtr<u8>>,
    /// Number of homes.
    pub(super) capacity: AtomicU32,
    /// Number of slots.
    pub(super) total: AtomicU32,
    /// Number of entries.
    pub(super) len: AtomicU32,
    /// Number of objects beyond the first one of each key, in a bag.
    pub(super) more: AtomicU32,
    /// Bytes allocated for the shard, this structure not counted.
    pub(super) memory: AtomicUsize,
    /// What only writers need; nothing until the first insert.
    pub(super) state: Mutex<Option<Box<State>>>,
}

impl Shard {
    /// Makes a change that readers must see whole. Only the holder of the lock may call this, and `f` must not panic.
    pub(super) fn change(&self, f: impl FnOnce()) {
        let version = self.version.load(Ordering::Relaxed);
        // Relaxed is enough: what `f` stores, it stores with Release, so whoever sees any of it sees this too.
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        f();
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// Runs `f` on the shard as it is at one moment, trying some times if writers interfere.
    #[inline]
    pub(super) fn read<T>(&self, f: impl FnMut(&View<'_>) -> Result<T, Changed>) -> Result<T, Busy> {
        self.read_under(&epoch::pin(), f)
    }

    /// As [`Shard::read`], for who has a guard.
    #[inline]
    pub(super) fn read_under<T>(
        &self,
        guard: &Guard,
        mut f: impl FnMut(&View<'_>) -> Result<T, Changed>,
    ) -> Result<T, Busy> {
        for _ in 0..TRIES {
            if let Ok(result) = self.view(guard).and_then(|view| f(&view)) {
                return Ok(result);
            }
            spin_loop();
        }
        Err(Busy)
    }

    /// Has the processor fetch the slot where an entry with this hash may stand, without waiting.
    #[inline]
    pub(super) fn prefetch(&self, h32: u32) {
        // Slots and capacity may be of two moments, which a prefetch does not mind.
        let slots = self.slots.load(Ordering::Relaxed);
        let home = slots::home(h32, self.capacity.load(Ordering::Relaxed));
        let marks = slots.wrapping_add(self.total.load(Ordering::Relaxed) as usize);
        prefetch(marks.cast::<u8>().wrapping_add(marks::offset(home)));
        prefetch(slots.wrapping_add(home));
    }

    #[inline]
    fn view<'g>(&'g self, _guard: &'g Guard) -> Result<View<'g>, Changed> {
        let version = self.version.load(Ordering::Acquire);
        if version & 1 != 0 {
            return Err(Changed);
        }
        let slots = self.slots.load(Ordering::Acquire);
        let mut view = View {
            shard: self,
            version,
            slots: &[],
            marks: Marks::default(),
            chunks: self.chunks.load(Ordering::Acquire),
            capacity: self.capacity.load(Ordering::Acquire),
            len: self.len.load(Ordering::Acquire),
        };
        let total = self.total.load(Ordering::Acquire) as usize;
        view.check()?;
        if !slots.is_null() {
            // SAFETY: the version vouches that `total` slots stand at `slots` and the marks of `capacity` homes behind them; they are freed
            // only after the epoch that the guard holds, and all their parts are atomics.
            unsafe {
                view.slots = slice::from_raw_parts(slots, total);
                let words = slice::from_raw_parts(slots.add(total).cast(), marks::words(view.capacity));
                view.marks = Marks::new(words, view.capacity);
            }
        }
        Ok(view)
    }
}

/// A shard as it is at one version. What is read through it counts only if the version is still there afterwards.
#[derive(Debug)]
pub(super) struct View<'g> {
    shard: &'g Shard,
    version: u64,
    slots: &'g [Slot],
    marks: Marks<'g>,
    chunks: *const AtomicPtr<u8>,
    capacity: u32,
    len: u32,
}

impl<'g> View<'g> {
    /// Whether all that was read through this view belongs together. The loads before it are Acquire, so this one comes
    /// after them.
    #[inline]
    fn check(&self) -> Result<(), Changed> {
        if self.shard.version.load(Ordering::Relaxed) == self.version {
            Ok(())
        } else {
            Err(Changed)
        }
    }

    /// The entry of a meta word that was read through this view. `Ok` vouches for everything read so far.
    #[inline]
    fn stored(&self, meta: u64) -> Result<Stored<'g>, Changed> {
        let key_ref = slots::key_ref_of(meta);
        self.check()?;
        // SAFETY: the version is that of the view after the word was read, so the word's chunk number is within this
        // table of chunks, which lives as long as the epoch.
        let chunk = unsafe { &*self.chunks.add((key_ref >> 16) as usize) }.load(Ordering::Acquire);
        self.check()?;
        // SAFETY: the version still is that of the view, so this is the chunk that the word meant. The entry was
        // written before the word and never changes, and the chunk lives as long as the epoch.
        Ok(unsafe { entry::read(chunk.add((key_ref & 0xffff) as usize)) })
    }

    /// Has the processor fetch the entry that a slot read through this view names, without waiting.
    #[inline]
    fn prefetch_stored(&self, slot: Option<&Slot>) -> Result<(), Changed> {
        if let Some(meta) = slot.map(Slot::meta).filter(|&meta| meta != 0) {
            let key_ref = slots::key_ref_of(meta);
            self.check()?;
            // SAFETY: as in `stored`.
            let chunk = unsafe { &*self.chunks.add((key_ref >> 16) as usize) }.load(Ordering::Relaxed);
            prefetch(chunk.wrapping_add((key_ref & 0xffff) as usize));
        }
        Ok(())
    }

    /// Finds a key; `on_hit` gets the stored entry and its location.
    #[inline]
    pub(super) fn find<T>(
        &self,
        h32: u32,
        compared: &[u8],
        on_hit: impl FnOnce(Stored<'g>, Location) -> T,
    ) -> Result<Option<T>, Changed> {
        for slot in self.candidates(h32) {
            let meta = slot.meta();
            let hash = slots::hash_of(meta);
            if meta == 0 || hash > h32 {
                break;
            }
            if hash == h32 {
                let location = slot.location();
                let stored = self.stored(meta)?;
                if stored.key.compared() == compared {
                    return Ok(Some(on_hit(stored, Location::from_bits(location))));
                }
            }
        }
        self.check()?;
        Ok(None)
    }

    /// The location of the first entry with this hash, whatever its key is.
    #[inline]
    pub(super) fn candidate(&self, h32: u32) -> Result<Option<Location>, Changed> {
        let mut found = None;
        for slot in self.candidates(h32) {
            let meta = slot.meta();
            let hash = slots::hash_of(meta);
            if meta == 0 || hash > h32 {
                break;
            }
            if hash == h32 {
                found = Some(Location::from_bits(slot.location()));
                break;
            }
        }
        self.check()?;
        Ok(found)
    }

    /// Looks a key up.
    #[inline]
    pub(super) fn get(&self, h32: u32, key: Key<'_>) -> Result<Option<Hit>, Changed> {
        self.find(h32, key.compared(), |stored, location| Hit {
            location,
            same_form: stored.key.suffix() == key.suffix(),
            deadline: stored.deadline,
        })
    }

    /// Hands entries to `sink` in order, those from `h32` on, or behind the key `after` among those of `h32`. At most
    /// `limit` of them and until `sink` says `false`. `Ok(true)` if it ended before the shard did. What was handed over
    /// before an `Err` is right, and there was nothing between.
    pub(super) fn walk(
        &self,
        h32: u32,
        after: Option<&[u8]>,
        limit: usize,
        mut sink: impl FnMut(u32, Stored<'g>, Location) -> bool,
    ) -> Result<bool, Changed> {
        self.walk_slots(h32, after, (limit, limit > AHEAD), |meta, location| {
            Ok(sink(slots::hash_of(meta), self.stored(meta)?, location))
        })
    }

    /// Adds the locations of the entries that [`View::walk`] would hand over, without a look at their keys. After an `Err` what was added is good for nothing.
    pub(super) fn locations(
        &self,
        h32: u32,
        after: Option<&[u8]>,
        limit: usize,
        out: &mut Vec<Location>,
    ) -> Result<bool, Changed> {
        let more = self.walk_slots(h32, after, (limit, false), |_, location| {
            out.push(location);
            Ok(true)
        });
        self.check()?;
        more
    }

    /// Hands the slots of [`View::walk`] to `sink`, their meta words and locations; those `ahead` have their entries fetched on request.
    #[inline]
    fn walk_slots(
        &self,
        h32: u32,
        after: Option<&[u8]>,
        (limit, ahead): (usize, bool),
        mut sink: impl FnMut(u64, Location) -> Result<bool, Changed>,
    ) -> Result<bool, Changed> {
        let mut left = limit;
        if self.len > 0 {
            let slots = self.from(h32);
            for (at, slot) in slots.iter().enumerate() {
                if ahead {
                    self.prefetch_stored(slots.get(at + AHEAD))?;
                }
                let meta = slot.meta();
                let hash = slots::hash_of(meta);
                if meta == 0 || hash < h32 {
                    continue;
                }
                if left == 0 {
                    return Ok(true);
                }
                let location = slot.location();
                if hash == h32
                    && let Some(after) = after
                    && self.stored(meta)?.key.compared() <= after
                {
                    continue;
                }
                left -= 1;
                if !sink(meta, Location::from_bits(location))? {
                    return Ok(true);
                }
            }
        }
        self.check()?;
        Ok(false)
    }

    /// The slots where an entry with this hash may stand: none if there surely is no such entry.
    #[inline]
    fn candidates(&self, h32: u32) -> &'g [Slot] {
        if self.marks.may_have(h32) {
            self.from(h32)
        } else {
            &[]
        }
    }

    fn from(&self, h32: u32) -> &'g [Slot] {
        self.slots
            .get(slots::home(h32, self.capacity)..)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::HashKeydir;
    use super::*;

    fn with_entry() -> HashKeydir {
        let keydir = HashKeydir::new(0);
        keydir
            .lock(0)
            .put(0, Key::plain(b"a"), Location::from_bits(1))
            .unwrap();
        keydir
    }

    /// What a reader gets that is overtaken by a change right after it saw the shard.
    fn overtaken<T>(
        keydir: &HashKeydir,
        f: impl FnOnce(&View<'_>) -> Result<T, Changed>,
    ) -> Result<T, Changed> {
        let guard = epoch::pin();
        let shard = &keydir.shards[0];
        let view = shard.view(&guard).unwrap();
        keydir
            .lock(0)
            .put(1 << 24, Key::plain(b"b"), Location::from_bits(2))
            .unwrap();
        f(&view)
    }

    #[test]
    fn nothing_counts_that_was_read_across_a_change() {
        assert!(overtaken(&with_entry(), |view| view.get(0, Key::plain(b"a"))).is_err());
        assert!(overtaken(&with_entry(), |view| view.get(9, Key::plain(b"x"))).is_err());
        assert!(overtaken(&with_entry(), |view| view.candidate(0)).is_err());
        assert!(overtaken(&with_entry(), |view| view.walk(9, None, 1, |_, _, _| true)).is_err());
        assert!(overtaken(&with_entry(), |view| view.walk(0, None, 9, |_, _, _| true)).is_err());
        assert!(overtaken(&with_entry(), |view| view.locations(0, None, 0, &mut Vec::new())).is_err());
        assert!(overtaken(&with_entry(), |view| view.locations(0, None, 9, &mut Vec::new())).is_err());
        assert!(overtaken(&with_entry(), |view| view.prefetch_stored(view.slots.first())).is_err());
    }
}
