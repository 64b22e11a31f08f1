//! The keydir of tables in the order of their keys: a tree (`tree`) of nodes that hold a key and a cell.
//!
//! A key's node is put into the tree once; overwrites change the node's cell (`cell`). Readers take no lock and
//! count no reference: they walk under a guard of the epoch. Writers of one key take turns by the lock of its hash, so between the
//! look whether a node is there and the change nobody else removes or inserts it.

mod cell;
mod fill;
mod guard;
mod node;
mod scan;
mod stored;
mod tree;

#[cfg(test)]
mod tests;

pub use guard::WriteGuard;
pub use tree::{Chain, KeyChange};
pub(crate) use tree::{common, head};

use crate::epoch;

use self::node::Node;
use self::tree::{ENTRY_LEN, Tree};
use super::{Busy, Hit, LOCK_TRIES, SHARDS, key_hash, shard_of};
use crate::Key;
use crate::sync::{AtomicUsize, Mutex, Ordering, spin_loop};

/// Bytes of a key's node and its entry in the tree.
const NODE: usize = size_of::<Node>() + ENTRY_LEN;

/// An index from keys to locations, in the order of the keys' compared parts. See the module for how it is built.
///
/// Methods that look something up take no lock, write to no memory that threads share, and never fail. They cost O(log n).
pub struct OrderedKeydir {
    seed: u64,
    tree: Tree,
    shards: Box<[Shard]>,
}

/// A lock, and the books of those who hold it. One cache line, so that writers do not disturb each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    lock: Mutex<()>,
    /// Number of its keys.
    len: AtomicUsize,
    /// Bytes of memory that they hold outside their nodes.
    outside: AtomicUsize,
}

impl Shard {
    /// Books how many keys there are more, and memory outside the nodes that came and went. For the lock's holder, who alone writes it.
    fn account(&self, more: isize, came: usize, went: usize) {
        let len = self.len.load(Ordering::Relaxed).wrapping_add_signed(more);
        self.len.store(len, Ordering::Relaxed);
        let outside = self.outside.load(Ordering::Relaxed).wrapping_add(came);
        self.outside.store(outside.wrapping_sub(went), Ordering::Relaxed);
    }
}

impl OrderedKeydir {
    /// An empty keydir of about 16 KiB. The seed decides which keys share a lock.
    pub fn new(seed: u64) -> Self {
        OrderedKeydir {
            seed,
            tree: Tree::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }

    /// The seed it was made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The hash of a key's compared part, which decides its lock.
    pub fn hash(&self, key: Key<'_>) -> u64 {
        key_hash(self.seed, key)
    }

    /// Looks a key up, expired or not.
    pub fn get(&self, key: Key<'_>) -> Option<Hit> {
        let guard = epoch::pin();
        let node = self.tree.get(key.compared(), &guard)?;
        let content = node.cell.read(&node.key, &guard);
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

    /// Number of entries. With writers at work, about that of some moment. Costs O(1).
    pub fn len(&self) -> u64 {
        self.sum(|shard| &shard.len) as u64
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it holds. What was let go of and waits for readers to leave is not counted.
    pub fn memory_bytes(&self) -> u64 {
        let shards = SHARDS * size_of::<Shard>();
        let keys = self.len() as usize * NODE + self.sum(|shard| &shard.outside);
        (shards + keys + self.tree.overhead_bytes() + size_of::<Self>()) as u64
    }

    /// A shard's part may be below zero, where keys came by [`OrderedKeydir::fill`], which books them all in one shard.
    fn sum(&self, part: impl Fn(&Shard) -> &AtomicUsize) -> usize {
        let parts = self
            .shards
            .iter()
            .map(|shard| part(shard).load(Ordering::Relaxed));
        parts.fold(0, usize::wrapping_add)
    }
}

impl std::fmt::Debug for OrderedKeydir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderedKeydir")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
