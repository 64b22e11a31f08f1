//! The value cache: one for all tables of the process, bounded in bytes. A hit takes no lock, counts no references, and writes to an entry
//! only the first time in a while.

mod account;
mod blocks;
mod entry;
mod shard;
#[cfg(test)]
mod tests;

use crate::sync::{AtomicBool, AtomicU64, Lines, Ordering};
use std::sync::LazyLock;

use crate::epoch::{self, Guard};

use crate::keydir::Location;
use account::Account;
pub use blocks::{Blocks, Filler, use_large_pages};
use entry::Entry;
use shard::Shard;

const SHARD_BITS: u32 = 10;
/// A value larger than this is never cached: it would push out thousands of small ones.
const MAX_VALUE_LEN: usize = 1 << 20;

static CACHE: LazyLock<Cache> = LazyLock::new(|| Cache::new(default_capacity_bytes()));
static NEXT_TABLE: AtomicU64 = AtomicU64::new(0);

/// An eighth of the memory that the process may use.
fn default_capacity_bytes() -> u64 {
    crate::ram::bytes() / 8
}

/// Gives the cache a new bound in bytes; with 0 it keeps nothing. Walks the whole cache.
pub fn set_capacity(bytes: u64) {
    CACHE.limit.store(bytes >> SHARD_BITS, Ordering::Relaxed);
    blocks::make_room(block_limit(), &epoch::pin());
    CACHE.retain(|_| true);
}

/// What blocks may take in all, in bytes: half of the cache.
fn block_limit() -> u64 {
    CACHE.limit() << SHARD_BITS >> 1
}

/// What a shard's entries may take, in bytes: their part of what blocks leave of the cache.
fn entry_limit() -> u64 {
    (CACHE.limit() << SHARD_BITS).saturating_sub(blocks::bytes()) >> SHARD_BITS
}

#[derive(Debug)]
struct Cache {
    /// What a shard may hold, in bytes.
    limit: AtomicU64,
    shards: Box<[Shard]>,
}

impl Cache {
    fn new(capacity_bytes: u64) -> Self {
        Cache {
            limit: AtomicU64::new(capacity_bytes >> SHARD_BITS),
            shards: (0..1usize << SHARD_BITS).map(|_| Shard::default()).collect(),
        }
    }

    /// The shard of a hash, and its tag there: the two ends of a hash of it, which is half of a product folded onto the other (as in wyhash).
    fn shard(&self, hash: u64) -> (&Shard, u64) {
        let mixed = u128::from(hash) * 0xa076_1d64_78bd_642f;
        let hash = mixed as u64 ^ (mixed >> 64) as u64;
        (&self.shards[(hash >> (64 - SHARD_BITS)) as usize], hash & 0xffff)
    }

    fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    fn retain(&self, f: impl Fn(entry::Place) -> bool) {
        for shard in &self.shards {
            shard.retain(entry_limit(), &f);
        }
    }
}

/// Which record is meant: the hash of its key, by which it is found, and its location, by which it is known.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// The hash of the key's compared part.
    pub hash: u64,
    /// Where the record stands.
    pub location: Location,
}

impl Spot {
    /// The record at this location, whose key has this hash.
    pub fn new(hash: u64, location: Location) -> Self {
        Spot { hash, location }
    }
}

/// A table's share in the cache.
#[derive(Debug)]
pub struct TableCache {
    table: u64,
    /// Whether a key has many records. Then the location takes part in where each is kept, lest they all want one set.
    many: bool,
    /// Whether it ever had an entry. What was only written, and stands in blocks, has none.
    entered: Lines<AtomicBool>,
    held: &'static Account,
}

/// What makes blocks for a table's segments.
#[derive(Clone, Copy, Debug)]
pub struct Keeper(&'static Account);

impl Keeper {
    /// Who fills the blocks of a segment. If it `presses`, older blocks go when there is no room for more.
    pub fn filler(&self, presses: bool) -> Filler {
        Filler::new(self.0, presses)
    }
}

impl Drop for TableCache {
    fn drop(&mut self) {
        self.held.leave();
    }
}

impl TableCache {
    /// The share of a table in which a key has many records, or one.
    pub fn new(many: bool) -> Self {
        TableCache {
            table: NEXT_TABLE.fetch_add(1, Ordering::Relaxed),
            many,
            entered: Lines(AtomicBool::new(false)),
            held: Account::open(),
        }
    }

    fn shard(&self, spot: Spot) -> (&'static Shard, u64) {
        let own = if self.many { spot.location.to_bits() } else { 0 };
        CACHE.shard(spot.hash ^ own ^ self.table.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// What makes blocks for the table's segments.
    pub fn keeper(&self) -> Keeper {
        Keeper(self.held)
    }

    /// Whether there may be entries.
    pub fn has_entries(&self) -> bool {
        self.entered.load(Ordering::Relaxed)
    }

    fn place(&self, spot: Spot) -> entry::Place {
        (self.table, spot.location)
    }

    /// Has the processor fetch what a look for any record of a key with this hash begins with, without waiting.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if !self.many && self.has_entries() {
            let (shard, tag) = self.shard(Spot::new(hash, Location::from_bits(0)));
            shard.prefetch(tag);
        }
    }

    /// Has the processor fetch the record that stands here for a key with this hash, if there is one, without waiting for it.
    #[inline]
    pub fn prefetch_record(&self, hash: u64) {
        if !self.many && self.has_entries() {
            let (shard, tag) = self.shard(Spot::new(hash, Location::from_bits(0)));
            shard.prefetch_entry(tag);
        }
    }

    /// Calls `f` with the stored key's bytes and the value of a record, if they are cached.
    pub fn get<R>(&self, spot: Spot, f: impl FnOnce(&[u8], &[u8]) -> R) -> Option<R> {
        if !self.has_entries() {
            return None;
        }
        let (shard, tag) = self.shard(spot);
        shard.get(tag, self.place(spot), f)
    }

    /// To be called before many records are asked for by [`TableCache::get`], which then costs less, and less still while the guard is
    /// kept. That holds up the freeing of memory, so it is to be let go before anything waits. `whole` says that whole values will be looked at, not only where they begin.
    pub fn warm(&self, spots: impl Iterator<Item = Spot>, whole: bool) -> Guard {
        shard::warm(spots.map(|spot| self.shard(spot)), whole)
    }

    /// Keeps a record, perhaps.
    pub fn put(&self, spot: Spot, key: &[u8], value: &[u8]) {
        self.replace(spot, None, key, value);
    }

    /// Keeps a record, perhaps, and forgets the one of the same key at `old`, which no reader will ask for again.
    pub fn replace(&self, spot: Spot, old: Option<Location>, key: &[u8], value: &[u8]) {
        let limit = entry_limit();
        let len = key.len() + value.len();
        let entry = if len > MAX_VALUE_LEN || len as u64 > limit / 8 {
            None
        } else {
            Entry::new(self.place(spot), self.held, key, value)
        };
        if entry.is_some() && !self.has_entries() {
            self.entered.store(true, Ordering::Relaxed);
        }
        let (shard, tag) = self.shard(spot);
        // Where each record has a place of its own, the old one stands elsewhere.
        let beside = entry.is_some() && !self.many;
        if let Some(entry) = entry {
            let old = old.filter(|_| beside);
            shard.put(tag, entry, old.map(|old| (self.table, old)), limit);
        }
        if let Some(location) = old.filter(|_| !beside) {
            self.remove(Spot::new(spot.hash, location));
        }
    }

    /// Forgets a record that no reader will ask for again.
    pub fn remove(&self, spot: Spot) {
        if !self.has_entries() {
            return;
        }
        let (shard, tag) = self.shard(spot);
        shard.remove(tag, self.place(spot));
    }

    /// Keeps a record at its new place.
    pub fn relocate(&self, spot: Spot, new: Location) {
        if !self.has_entries() {
            return;
        }
        if !self.many {
            let (shard, tag) = self.shard(spot);
            return shard.relocate(tag, self.place(spot), new);
        }
        let kept = self.get(spot, |key, value| {
            self.replace(Spot::new(spot.hash, new), Some(spot.location), key, value);
        });
        if kept.is_none() {
            self.remove(spot);
        }
    }

    /// Forgets all records of segments with these slots. Walks the whole cache.
    pub fn forget_segments(&self, slots: &[u16]) {
        CACHE.retain(|(table, location)| table != self.table || !slots.contains(&location.segment()));
    }

    /// The bytes that this table holds in the cache.
    pub fn held_bytes(&self) -> u64 {
        self.held.bytes()
    }

    /// Forgets all records of the table. Walks the whole cache.
    pub fn clear(&self) {
        if self.held_bytes() > 0 {
            CACHE.retain(|(table, _)| table != self.table);
        }
    }
}
