//! What the holder of a shard's lock does with it.
#![allow(unsafe_code, reason = "turns the shard's pointers into slices")]
#![allow(
    clippy::cast_ptr_alignment,
    reason = "the memory was allocated with the alignment"
)]

use std::alloc::Layout;
use std::cmp::Ordering as Order;
use std::{ptr, slice};

use super::arena::Arena;
use super::entry::Stored;
use super::marks::{self, Marks};
use super::reclaim::{Reclaim, SlotMemory};
use super::shard::Shard;
use super::slots::{self, Slot};
use super::{capacity, h32_of};
use crate::keydir::prefetch::{LINE, prefetch};
use crate::keydir::{Candidate, Full, Hit, Location};
use crate::sync::Ordering;
use crate::{Deadline, Key};

/// What only writers need to know of a shard.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) arena: Arena,
    /// That of the slots, and of the marks behind them.
    memory: Option<SlotMemory>,
    /// The hash with which the pass of `compact` goes on, if one is under way.
    pub(super) pass: Option<u32>,
}

/// A shard in the hands of the one who may change it.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) shard: &'a Shard,
    pub(super) state: &'a mut State,
    pub(super) reclaim: Reclaim,
    /// Which of the shards it is: capacities differ a little from shard to shard.
    pub(super) index: usize,
}

impl<'a> Writer<'a> {
    /// The writer of a shard. Gives the shard its first memory if it has none.
    pub(super) fn new(
        shard: &'a Shard,
        state: &'a mut Option<Box<State>>,
        index: usize,
        reclaim: Reclaim,
    ) -> Self {
        let fresh = state.is_none();
        let mut writer = Writer {
            shard,
            state: state.get_or_insert_default(),
            reclaim,
            index,
        };
        if fresh {
            writer.grew(size_of::<State>());
            writer.rebuild(capacity::MIN, 0);
        }
        writer
    }

    pub(super) fn get(&self, hash: u64, key: Key<'_>) -> Option<Hit> {
        let at = self.find(h32_of(hash), key.compared()).ok()?;
        let stored = self.stored_at(at);
        Some(Hit {
            location: Location::from_bits(self.slots()[at].location()),
            same_form: stored.key.suffix() == key.suffix(),
            deadline: stored.deadline,
        })
    }

    pub(super) fn prefetch_key(&self, hash: u64, removes: bool) {
        let from = self.slots_from_home(h32_of(hash));
        if let Some((_, slot)) = likely(from, h32_of(hash)) {
            let key_ref = slots::key_ref_of(slot.meta());
            prefetch(self.address(key_ref));
            if removes {
                self.prefetch_head(key_ref);
                self.marks().prefetch_slots(h32_of(hash), self.slots());
            }
        }
        // Where a search goes on, and a new entry moves others to.
        prefetch(from.as_ptr().wrapping_add(LINE / size_of::<Slot>()));
    }

    /// The first entry with this hash, whose key is not looked at but fetched, for who has to look at it after all.
    #[inline]
    pub(super) fn candidate(&self, hash: u64) -> Option<Candidate> {
        let (at, slot) = likely(self.slots_from_home(h32_of(hash)), h32_of(hash))?;
        prefetch(self.address(slots::key_ref_of(slot.meta())));
        Some(Candidate {
            location: Location::from_bits(slot.location()),
            at,
        })
    }

    /// Replaces what [`Writer::candidate`] gave for this hash. No two entries have one location, so this tells which it is.
    pub(super) fn replace_candidate(&self, hash: u64, old: Candidate, new: Location) -> bool {
        let slot = self.slots_from_home(h32_of(hash)).get(old.at);
        let is_it = |slot: &&Slot| {
            slots::hash_of(slot.meta()) == h32_of(hash) && slot.location() == old.location.to_bits()
        };
        slot.filter(is_it)
            .inspect(|slot| slot.set_location(new.to_bits()))
            .is_some()
    }

    /// The slots from an entry's home on.
    fn slots_from_home(&self, h32: u32) -> &[Slot] {
        let home = slots::home(h32, self.capacity());
        self.slots().get(home..).unwrap_or_default()
    }

    pub(super) fn stored_key(&self, hash: u64, key: Key<'_>) -> Option<(Key<'_>, Location)> {
        let at = self.find(h32_of(hash), key.compared()).ok()?;
        Some((
            self.stored_at(at).key,
            Location::from_bits(self.slots()[at].location()),
        ))
    }

    pub(super) fn put(
        &mut self,
        hash: u64,
        key: Key<'_>,
        location: Location,
        deadline: Deadline,
    ) -> Result<Option<Hit>, Full> {
        let stored = Stored { key, deadline };
        match self.find(h32_of(hash), key.compared()) {
            Ok(at) => self.replace(at, stored, location).map(Some),
            Err(at) => self.insert(h32_of(hash), at, stored, location).map(|()| None),
        }
    }

    pub(super) fn set_location(&mut self, hash: u64, key: Key<'_>, location: Location) -> Option<Location> {
        let at = self.find(h32_of(hash), key.compared()).ok()?;
        let slot = &self.slots()[at];
        let old = slot.location();
        slot.set_location(location.to_bits());
        Some(Location::from_bits(old))
    }

    pub(super) fn relocate(&mut self, hash: u64, key: Key<'_>, old: Location, new: Location) -> bool {
        let Ok(at) = self.find(h32_of(hash), key.compared()) else {
            return false;
        };
        let slot = &self.slots()[at];
        let same = slot.location() == old.to_bits();
        if same {
            slot.set_location(new.to_bits());
        }
        same
    }

    pub(super) fn remove(&mut self, hash: u64, key: Key<'_>) -> Option<Location> {
        let at = self.find(h32_of(hash), key.compared()).ok()?;
        let slots = self.slots();
        let (meta, old) = (slots[at].meta(), slots[at].location());
        let len = self.len() - 1;
        self.shard.change(|| {
            slots::remove(slots, self.capacity(), at);
            self.marks().renew(slots::hash_of(meta), slots);
            self.shard.len.store(len, Ordering::Release);
        });
        self.drop_key(slots::key_ref_of(meta));
        if capacity::is_sparse(len, self.capacity()) {
            self.rebuild(capacity::for_len(len + len / 2, self.index), 0);
        }
        self.compact_sparse();
        Some(Location::from_bits(old))
    }

    /// Makes room for `len` entries in all. Never shrinks.
    pub(super) fn reserve(&mut self, len: u32) {
        let capacity = capacity::for_len(len, self.index);
        if capacity > self.capacity() {
            self.rebuild(capacity, 0);
        }
    }

    /// Moves the entries to so many slots, which they must have room in.
    pub(super) fn resize(&mut self, capacity: u32) {
        self.rebuild(capacity, 0);
    }

    /// Doubles the slots behind the last home.
    pub(super) fn add_overflow(&mut self) {
        let overflow = self.slots().len() - self.capacity() as usize;
        self.rebuild(self.capacity(), overflow * 2);
    }

    /// Frees everything. The shard is not used after it.
    pub(super) fn free(&mut self) {
        self.free_arena();
        let slots = self.shard.slots.swap(ptr::null_mut(), Ordering::Release);
        if let Some(memory) = self.state.memory.take() {
            // SAFETY: that of the slots, allocated in `rebuild`, and the shard has let go of them.
            unsafe { memory.free(slots.cast(), self.reclaim) };
        }
    }

    pub(super) fn slots(&self) -> &[Slot] {
        let slots = self.shard.slots.load(Ordering::Relaxed);
        if slots.is_null() {
            return &[];
        }
        // SAFETY: `total` slots stand there, and only `rebuild` and `free`, which borrow the writer mutably, let go of
        // them.
        unsafe { slice::from_raw_parts(slots, self.shard.total.load(Ordering::Relaxed) as usize) }
    }

    /// The marks of the entries in the slots.
    pub(super) fn marks(&self) -> Marks<'_> {
        let total = self.shard.total.load(Ordering::Relaxed) as usize;
        let slots = self.shard.slots.load(Ordering::Relaxed);
        if slots.is_null() {
            return Marks::default();
        }
        let words = marks::words(self.capacity());
        // SAFETY: the marks of `capacity` homes stand behind the slots, which go as `slots` says.
        let words = unsafe { slice::from_raw_parts(slots.add(total).cast(), words) };
        Marks::new(words, self.capacity())
    }

    pub(super) fn capacity(&self) -> u32 {
        self.shard.capacity.load(Ordering::Relaxed)
    }

    pub(super) fn grew(&mut self, bytes: usize) {
        let memory = self.shard.memory.load(Ordering::Relaxed);
        self.shard.memory.store(memory + bytes, Ordering::Relaxed);
    }

    pub(super) fn shrank(&mut self, bytes: usize) {
        let memory = self.shard.memory.load(Ordering::Relaxed);
        self.shard.memory.store(memory - bytes, Ordering::Relaxed);
    }

    pub(super) fn len(&self) -> u32 {
        self.shard.len.load(Ordering::Relaxed)
    }

    fn stored_at(&self, at: usize) -> Stored<'_> {
        // SAFETY: the reference stands in a slot; keys are dropped by methods that borrow the writer mutably.
        unsafe { self.stored(slots::key_ref_of(self.slots()[at].meta())) }
    }

    /// Where the key stands, or else where it would have to.
    fn find(&self, h32: u32, compared: &[u8]) -> Result<usize, usize> {
        let slots = self.slots();
        let mut at = slots::home(h32, self.capacity());
        loop {
            let meta = slots[at].meta();
            let hash = slots::hash_of(meta);
            if meta == 0 || hash > h32 {
                return Err(at);
            }
            if hash == h32 {
                match self.stored_at(at).key.compared().cmp(compared) {
                    Order::Equal => return Ok(at),
                    Order::Greater => return Err(at),
                    Order::Less => {}
                }
            }
            at += 1;
        }
    }

    fn replace(&mut self, at: usize, new: Stored<'_>, location: Location) -> Result<Hit, Full> {
        let (meta, old) = (self.slots()[at].meta(), self.slots()[at].location());
        let before = self.stored_at(at);
        let hit = Hit {
            location: Location::from_bits(old),
            same_form: before.key.suffix() == new.key.suffix(),
            deadline: before.deadline,
        };
        if before.is(new.key, new.deadline) {
            self.slots()[at].set_location(location.to_bits());
        } else {
            let key_ref = self.store_key(new)?;
            let slot = &self.slots()[at];
            self.shard.change(|| {
                slot.set_location(location.to_bits());
                slot.set_meta(slots::meta(slots::hash_of(meta), key_ref));
            });
            self.drop_key(slots::key_ref_of(meta));
            self.compact();
        }
        Ok(hit)
    }

    fn insert(&mut self, h32: u32, at: usize, stored: Stored<'_>, location: Location) -> Result<(), Full> {
        let key = stored.key;
        let key_ref = self.store_key(stored)?;
        let len = self.len() + 1;
        let mut place = slots::gap(self.slots(), at).map(|gap| (at, gap));
        if len > capacity::max_len(self.capacity()) {
            self.rebuild(capacity::next(self.capacity(), self.index), 0);
            place = self.place(h32, key);
        }
        let (at, gap) = loop {
            if let Some(place) = place {
                break place;
            }
            // What stands over the end has no room to move on.
            self.add_overflow();
            place = self.place(h32, key);
        };
        let slots = self.slots();
        self.shard.change(|| {
            slots::insert(slots, at, gap, slots::meta(h32, key_ref), location.to_bits());
            self.marks().set(h32);
            self.shard.len.store(len, Ordering::Release);
        });
        self.compact();
        Ok(())
    }

    /// Where a key that is not there has to stand, and the next empty slot, or `None` if there is none.
    fn place(&self, h32: u32, key: Key<'_>) -> Option<(usize, usize)> {
        let (Ok(at) | Err(at)) = self.find(h32, key.compared());
        slots::gap(self.slots(), at).map(|gap| (at, gap))
    }

    /// Moves the entries to new slots of this capacity, with at least `overflow` slots behind it.
    fn rebuild(&mut self, capacity: u32, overflow: usize) {
        let mut overflow = overflow.max(capacity::overflow(capacity));
        let (new, total, memory) = loop {
            let total = capacity as usize + overflow;
            let (new, memory) = SlotMemory::allocate(slots_layout(total, capacity));
            let new = new.cast::<Slot>();
            // SAFETY: `total` slots and the marks of `capacity` homes were allocated there, and zeros are empty slots and no marks.
            let (slots, words) = unsafe {
                let words = slice::from_raw_parts(new.add(total).cast(), marks::words(capacity));
                (slice::from_raw_parts(new, total), words)
            };
            if slots::rebuild(self.slots(), slots, Marks::new(words, capacity)) {
                break (new, total, memory);
            }
            // SAFETY: allocated just now, and seen by nobody.
            unsafe { memory.free(new.cast(), Reclaim::Now) };
            overflow *= 2;
        };
        let old = self.shard.slots.load(Ordering::Relaxed);
        self.shard.change(|| {
            self.shard.slots.store(new, Ordering::Release);
            self.shard.capacity.store(capacity, Ordering::Release);
            self.shard.total.store(total as u32, Ordering::Release);
        });
        self.grew(memory.len());
        if let Some(memory) = self.state.memory.replace(memory) {
            self.shrank(memory.len());
            // SAFETY: that of the old slots, which the shard has just let go of.
            unsafe { memory.free(old.cast(), self.reclaim) };
        }
    }
}

/// The first of the slots from its home on that has this hash.
fn likely(from_home: &[Slot], h32: u32) -> Option<(usize, &Slot)> {
    for (at, slot) in from_home.iter().enumerate() {
        let meta = slot.meta();
        let hash = slots::hash_of(meta);
        if meta == 0 || hash >= h32 {
            return (hash == h32 && meta != 0).then_some((at, slot));
        }
    }
    None
}

/// Slots begin with a cache line, of which each fills a quarter. Behind them stand the marks.
fn slots_layout(total: usize, capacity: u32) -> Layout {
    let bytes = total * size_of::<Slot>() + marks::words(capacity) * size_of::<u64>();
    // SAFETY: 64 is a power of two, and 2^33 slots of 16 bytes with their marks are far from overflowing.
    unsafe { Layout::from_size_align_unchecked(bytes, 64) }
}
