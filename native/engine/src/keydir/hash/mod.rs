//! The keydir of tables in hash order.
//!
//! 256 shards by the hash's first eight bits, each an ordered linear-probing table (`slots`) over an arena of key bytes
//! (`arena`, `entry`). Readers take no lock (`shard`); a writer holds the lock of its key's shard (`write`) and wins back
//! the bytes of deleted keys in small steps (`compact`). Entries stand in the order of (shard, next 32 bits of the hash,
//! key bytes) at all times, which is the order of traversal (`scan`).

mod arena;
mod bag;
mod capacity;
mod compact;
mod entry;
mod fill;
mod guard;
mod list;
mod marks;
mod pages;
mod reclaim;
mod scan;
mod shard;
mod slot;
mod slots;
mod write;

#[cfg(test)]
mod tests;

pub use bag::{BagGuard, BagKeydir, ExclusiveBag};
pub use guard::WriteGuard;
pub use list::Entries;
pub use pages::enable as use_slot_pages;
pub use scan::Cursor;

use self::reclaim::Reclaim;
use self::shard::Shard;
use self::write::Writer;
use super::{Busy, Full, Hit, LOCK_TRIES, Location, SHARDS, key_hash, shard_of};
use crate::epoch::Guard;
use crate::sync::{Ordering, spin_loop};
use crate::{Deadline, Key};

fn h32_of(hash: u64) -> u32 {
    (hash >> 24) as u32
}

/// An index from keys to locations, sharded by hash. See the module for how it is built.
///
/// Methods that look something up take the hash from the caller, who needs it anyway to find the shard to lock: it must be
/// that of [`HashKeydir::hash`] for the same key, always. Reads take no lock, write to no memory that threads share,
/// and never wait: they fail with [`Busy`] after some tries.
#[derive(Debug)]
pub struct HashKeydir {
    seed: u64,
    shards: Box<[Shard]>,
}

impl HashKeydir {
    /// An empty keydir of about 16 KiB. The seed decides the order of keys and must be hard to guess.
    pub fn new(seed: u64) -> Self {
        HashKeydir {
            seed,
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }

    /// The seed it was made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The hash of a key's compared part.
    #[inline]
    pub fn hash(&self, key: Key<'_>) -> u64 {
        key_hash(self.seed, key)
    }

    /// The shard of a hash, below [`SHARDS`].
    pub fn shard_of(hash: u64) -> usize {
        shard_of(hash)
    }

    /// Looks a key up.
    pub fn get(&self, hash: u64, key: Key<'_>) -> Result<Option<Hit>, Busy> {
        let h32 = h32_of(hash);
        self.shards[shard_of(hash)].read(|view| view.get(h32, key))
    }

    /// The location of a record whose key has this hash as far as the keydir keeps it (40 bits in all); `None` means that the key is
    /// surely not there. Does not look at key bytes, which saves a cache miss. The caller compares the key with the
    /// record's, and asks [`HashKeydir::get`] in the rare case that it is another one.
    pub fn candidate(&self, hash: u64, guard: &Guard) -> Result<Option<Location>, Busy> {
        let h32 = h32_of(hash);
        self.shards[shard_of(hash)].read_under(guard, |view| view.candidate(h32))
    }

    /// Has the processor fetch what a look for a key with this hash begins with, without waiting.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.shards[shard_of(hash)].prefetch(h32_of(hash));
    }

    /// Looks a key up; if it is there, its stored bytes, suffix included, replace what is in `stored`.
    pub fn get_stored(
        &self,
        hash: u64,
        key: Key<'_>,
        stored: &mut Vec<u8>,
    ) -> Result<Option<Location>, Busy> {
        let h32 = h32_of(hash);
        self.shards[shard_of(hash)].read(|view| {
            view.find(h32, key.compared(), |found, location| {
                stored.clear();
                stored.extend_from_slice(found.key.bytes());
                location
            })
        })
    }

    /// Takes the write lock of a shard, waiting for whoever has it. Who needs several takes them in ascending order.
    pub fn lock(&self, shard: usize) -> WriteGuard<'_> {
        let shard_ref = &self.shards[shard];
        WriteGuard::new(shard_ref, shard, shard_ref.state.lock())
    }

    /// Takes the write lock of a shard, or gives up soon.
    #[expect(
        clippy::inline_always,
        reason = "a guard that is handed on is written in pieces and read whole, for which the processor waits"
    )]
    #[inline(always)]
    pub fn try_lock(&self, shard: usize) -> Result<WriteGuard<'_>, Busy> {
        let shard_ref = &self.shards[shard];
        for _ in 0..LOCK_TRIES {
            if let Some(state) = shard_ref.state.try_lock() {
                return Ok(WriteGuard::new(shard_ref, shard, state));
            }
            spin_loop();
        }
        Err(Busy)
    }

    /// Like [`WriteGuard::put`] for a keydir that nobody else has yet. To load from several threads, or many keys of one shard, take
    /// the shard's lock once, of [`HashKeydir::exclusive`], and put under it.
    pub fn load(&mut self, hash: u64, key: Key<'_>, location: Location) -> Result<Option<Location>, Full> {
        let old = self.load_with(hash, |writer| writer.put(hash, key, location, Deadline::NEVER))?;
        Ok(old.map(|hit| hit.location))
    }

    /// A keydir that nobody else has yet, for several threads to fill.
    pub fn exclusive(&mut self) -> Exclusive<'_> {
        Exclusive(self)
    }

    fn load_with<T>(&mut self, hash: u64, f: impl FnOnce(&mut Writer<'_>) -> T) -> T {
        let index = shard_of(hash);
        let mut state = self.shards[index].state.get_mut().take();
        let result = f(&mut Writer::new(
            &self.shards[index],
            &mut state,
            index,
            Reclaim::Now,
        ));
        *self.shards[index].state.get_mut() = state;
        result
    }

    /// Makes room for about `entries` entries in all, so that loading them moves nothing twice.
    pub fn reserve(&mut self, entries: u64) {
        let each = u32::try_from(entries / SHARDS as u64).unwrap_or(u32::MAX);
        for (index, shard) in self.shards.iter().enumerate() {
            Writer::new(shard, &mut shard.state.lock(), index, Reclaim::Now).reserve(each);
        }
    }

    /// Number of entries. With writers at work, that of some moment for each shard.
    pub fn len(&self) -> u64 {
        self.shards
            .iter()
            .map(|shard| u64::from(shard.len.load(Ordering::Relaxed)))
            .sum()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it holds: slots, key bytes, and all that belongs to them. What was let go of and waits for
    /// readers to leave is not counted.
    pub fn memory_bytes(&self) -> u64 {
        let shards: usize = self
            .shards
            .iter()
            .map(|shard| shard.memory.load(Ordering::Relaxed) + size_of::<Shard>())
            .sum();
        (shards + size_of::<Self>()) as u64
    }
}

/// A hold on a [`HashKeydir`] through which it can be locked, and not be looked into without a lock. So memory that its locks' holders let go of
/// is freed at once.
#[derive(Clone, Copy, Debug)]
pub struct Exclusive<'a>(&'a HashKeydir);

impl<'a> Exclusive<'a> {
    /// As [`HashKeydir::hash`].
    #[inline]
    pub fn hash(self, key: Key<'_>) -> u64 {
        self.0.hash(key)
    }

    /// As [`HashKeydir::prefetch`].
    #[inline]
    pub fn prefetch(self, hash: u64) {
        self.0.prefetch(hash);
    }

    /// As [`HashKeydir::lock`].
    pub fn lock(self, shard: usize) -> WriteGuard<'a> {
        self.0.lock(shard).exclusive()
    }
}

impl Drop for HashKeydir {
    fn drop(&mut self) {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            // Nobody else has it any more, so that no lock is needed.
            let mut state = shard.state.get_mut().take();
            if state.is_some() {
                Writer::new(shard, &mut state, index, Reclaim::Now).free();
            }
        }
    }
}
