//! The keydir of tables in the order of their keys: a skip list whose nodes hold a key and a cell.
//!
//! A key's node is put into the list once; overwrites change the node's cell (`cell`). The list's own way to overwrite
//! would take the node out and put in another, and readers would miss a key that is there. Readers take no lock and
//! count no reference: they walk under a guard of the epoch. Writers of one key take turns by the lock of its hash, so between the
//! look whether a node is there and the change nobody else removes or inserts it.

mod cell;
mod fill;
mod guard;
mod scan;
mod stored;

#[cfg(test)]
mod tests;

pub use guard::WriteGuard;

use crossbeam_epoch as epoch;
use crossbeam_skiplist::base::SkipList;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use self::cell::Cell;
use self::stored::StoredKey;
use super::{Busy, Hit, LOCK_TRIES, Location, SHARDS, shard_of};
use crate::Key;
use crate::sync::{AtomicUsize, Mutex, Ordering, spin_loop};

/// Bytes of a node of mean height: a level's pointer is in every node, the next one's in half of those, and so on.
const NODE: usize = size_of::<Cell>() + size_of::<StoredKey>() + size_of::<usize>() + 2 * size_of::<usize>();

/// An index from keys to locations, in the order of the keys' compared parts. See the module for how it is built.
///
/// Methods that look something up take no lock, write to no memory that threads share, and never fail. They cost O(log n).
pub struct OrderedKeydir {
    seed: u64,
    list: SkipList<StoredKey, Cell>,
    shards: Box<[Shard]>,
}

/// A lock, and the books of those who hold it. One cache line, so that writers do not disturb each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    lock: Mutex<()>,
    /// Bytes of memory that the shard's keys hold outside their nodes. What a [`Fill`](fill::Fill) added is booked for the first shard, so only the sum of
    /// all means anything, and it wraps around.
    outside: AtomicUsize,
}

impl OrderedKeydir {
    /// An empty keydir of about 16 KiB. The seed decides which keys share a lock.
    pub fn new(seed: u64) -> Self {
        OrderedKeydir {
            seed,
            list: SkipList::new(epoch::default_collector().clone()),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }

    /// The seed it was made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The hash of a key's compared part, which decides its lock.
    pub fn hash(&self, key: Key<'_>) -> u64 {
        xxh3_64_with_seed(key.compared(), self.seed)
    }

    /// Looks a key up, expired or not.
    pub fn get(&self, key: Key<'_>) -> Option<Hit> {
        let guard = epoch::pin();
        let entry = self.list.get(key.compared(), &guard)?;
        let content = entry.value().read(entry.key(), &guard);
        Some(Hit {
            location: content.location,
            same_form: content.suffix == key.suffix(),
            deadline: content.deadline,
        })
    }

    /// Takes one of the write locks, waiting for whoever has it. Who needs several takes them in ascending order.
    pub fn lock(&self, shard: usize) -> WriteGuard<'_> {
        WriteGuard::new(self, shard, self.shards[shard].lock.lock())
    }

    /// Takes one of the write locks, or gives up soon.
    pub fn try_lock(&self, shard: usize) -> Result<WriteGuard<'_>, Busy> {
        for _ in 0..LOCK_TRIES {
            if let Some(lock) = self.shards[shard].lock.try_lock() {
                return Ok(WriteGuard::new(self, shard, lock));
            }
            spin_loop();
        }
        Err(Busy)
    }

    /// Like [`WriteGuard::put`] for a keydir that nobody else has yet.
    pub fn load(&mut self, hash: u64, key: Key<'_>, location: Location) -> Option<Location> {
        self.lock(shard_of(hash)).put(hash, key, location)
    }

    /// Number of entries. With writers at work, about that of some moment. Costs O(1).
    pub fn len(&self) -> u64 {
        self.list.len() as u64
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Bytes of memory that it holds. A node's height is random: its size is counted with the mean, so a keydir of a few
    /// keys may differ by some words. What was let go of and waits for readers to leave is not counted.
    pub fn memory_bytes(&self) -> u64 {
        let outside = self
            .shards
            .iter()
            .map(|shard| shard.outside.load(Ordering::Relaxed));
        let outside = outside.fold(0, usize::wrapping_add);
        (outside + size_of_val(&*self.shards) + self.list.len() * NODE + size_of::<Self>()) as u64
    }
}

impl std::fmt::Debug for OrderedKeydir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderedKeydir")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
