//! The value cache: one for all tables of the process, bounded in bytes. A hit takes no lock, counts no references, and writes to an entry
//! only the first time in a while.

mod entry;
mod shard;
#[cfg(test)]
mod tests;

use crate::sync::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use crossbeam_epoch::Guard;

use crate::keydir::Location;
use entry::Entry;
use shard::Shard;

const SHARD_BITS: u32 = 10;
/// A value larger than this is never cached: it would push out thousands of small ones.
const MAX_VALUE_LEN: usize = 1 << 20;

static CACHE: LazyLock<Cache> = LazyLock::new(|| Cache::new(default_capacity_bytes()));
static NEXT_TABLE: AtomicU64 = AtomicU64::new(0);

/// An eighth of the machine's memory.
fn default_capacity_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit)) / 8
}

/// Gives the cache a new bound in bytes; with 0 it keeps nothing. Walks the whole cache.
pub fn set_capacity(bytes: u64) {
    CACHE.limit.store(bytes >> SHARD_BITS, Ordering::Relaxed);
    CACHE.retain(|_| true);
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

    /// The shard of a place, and its tag there: the two ends of a hash, which is half of a product folded onto the other (as in wyhash).
    fn shard(&self, (table, location): entry::Place) -> (&Shard, u64) {
        let mixed = u128::from(location.to_bits() ^ table.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            * 0xa076_1d64_78bd_642f;
        let hash = mixed as u64 ^ (mixed >> 64) as u64;
        (&self.shards[(hash >> (64 - SHARD_BITS)) as usize], hash & 0xffff)
    }

    fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    fn retain(&self, f: impl Fn(entry::Place) -> bool) {
        for shard in &self.shards {
            shard.retain(self.limit(), &f);
        }
    }
}

/// A table's share in the cache.
#[derive(Debug)]
pub struct TableCache {
    table: u64,
    held: Arc<AtomicU64>,
}

impl Default for TableCache {
    fn default() -> Self {
        TableCache {
            table: NEXT_TABLE.fetch_add(1, Ordering::Relaxed),
            held: Arc::default(),
        }
    }
}

impl TableCache {
    /// Calls `f` with the stored key's bytes and the value at a location, if they are cached.
    pub fn get<R>(&self, location: Location, f: impl FnOnce(&[u8], &[u8]) -> R) -> Option<R> {
        let place = (self.table, location);
        let (shard, tag) = CACHE.shard(place);
        shard.get(tag, place, f)
    }

    /// To be called before many records are asked for by [`TableCache::get`], which then costs less, and less still while the guard is
    /// kept. That holds up the freeing of memory, so it is to be let go before anything waits. `whole` says that whole values will be looked at, not only where they begin.
    pub fn warm(&self, locations: impl Iterator<Item = Location>, whole: bool) -> Guard {
        shard::warm(
            locations.map(|location| CACHE.shard((self.table, location))),
            whole,
        )
    }

    /// Keeps a record, perhaps.
    pub fn put(&self, location: Location, key: &[u8], value: &[u8]) {
        let limit = CACHE.limit();
        let len = key.len() + value.len();
        if len > MAX_VALUE_LEN || len as u64 > limit / 8 {
            return;
        }
        let place = (self.table, location);
        let (shard, tag) = CACHE.shard(place);
        if let Some(entry) = Entry::new(place, &self.held, key, value) {
            shard.put(tag, entry, limit);
        }
    }

    /// Forgets a record that no reader will ask for again.
    pub fn remove(&self, location: Location) {
        let place = (self.table, location);
        let (shard, tag) = CACHE.shard(place);
        shard.remove(tag, place);
    }

    /// Keeps a record at its new place.
    pub fn relocate(&self, old: Location, new: Location) {
        let place = (self.table, old);
        let (from, tag) = CACHE.shard(place);
        from.relocate(tag, place, CACHE.shard((self.table, new)), new, CACHE.limit());
    }

    /// Forgets all records of segments with these slots. Walks the whole cache.
    pub fn forget_segments(&self, slots: &[u16]) {
        CACHE.retain(|(table, location)| table != self.table || !slots.contains(&location.segment()));
    }

    /// The bytes that this table holds in the cache.
    pub fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Forgets all records of the table. Walks the whole cache.
    pub fn clear(&self) {
        if self.held_bytes() > 0 {
            CACHE.retain(|(table, _)| table != self.table);
        }
    }
}
