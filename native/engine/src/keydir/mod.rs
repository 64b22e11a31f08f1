//! The in-memory index: key to the place of its newest record.
//!
//! A keydir holds every live key of a table and nothing of the values. It never touches the disk. [`HashKeydir`]
//! serves the tables whose order is that of the key's hash, [`OrderedKeydir`] those in the order of the keys. [`Keydir`] is what the rest of the engine sees.

mod batch;
mod guard;
mod hash;
mod kinds;
mod location;
mod ordered;
pub(crate) mod prefetch;
mod span;

pub use batch::{Batch, Next};
pub use guard::{Removed, WriteGuard};
pub use hash::{BagGuard, BagKeydir, Cursor, Entries, HashKeydir, use_slot_pages};
pub use kinds::{Exclusive, Hashed, Keydir};
pub use location::Location;
pub use ordered::{Chain, KeyChange, OrderedKeydir};
pub(crate) use ordered::{common, head};
pub use span::{Direction, Span};

use batch::BATCH_BYTES;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{Deadline, Key, Now};

/// Number of write locks of a keydir.
pub const SHARDS: usize = 256;

/// How often an attempt to take a lock without waiting tries.
const LOCK_TRIES: u32 = 256;

/// The hash of a key's compared part in the table with this seed.
#[inline]
pub fn key_hash(seed: u64, key: Key<'_>) -> u64 {
    hash_bytes(seed, key.compared())
}

/// Apart, so that what is handed to it are words and no key, which a caller would have to copy.
#[inline(never)]
fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, seed)
}

/// The write lock of a hash.
fn shard_of(hash: u64) -> usize {
    (hash >> 56) as usize
}

/// A writer kept interfering with a lock-free read, or holds the lock that was asked for without waiting. Nothing was
/// changed: the call may be made again, here or on a thread that may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a writer is in the way")]
pub struct Busy;

/// The keydir can name no more key bytes in the key's shard. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keydir is full")]
pub struct Full;

/// An entry whose key was not looked at, as it was found under a lock. Under that lock, and as long as nothing else is changed there, it is the same.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Where its record stands.
    pub location: Location,
    /// Which of the slots from its home on it is in.
    at: usize,
}

/// An object of a bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where its record stands.
    pub location: Location,
    /// Its record's seq, which orders it among the objects of its key.
    pub seq: u64,
    /// Equal for equal objects.
    pub fingerprint: u32,
    /// When it expires.
    pub deadline: Deadline,
}

/// What a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Where the key's record stands.
    pub location: Location,
    /// Whether the stored key is the one asked for to the last byte, suffix included.
    pub same_form: bool,
    /// When it expires.
    pub deadline: Deadline,
}

impl Hit {
    /// Itself, if it is not over.
    fn unless_over(self, now: Now) -> Option<Hit> {
        (!self.deadline.is_over(now)).then_some(self)
    }
}
