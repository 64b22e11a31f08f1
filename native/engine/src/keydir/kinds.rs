//! One keydir, whatever its kind: the table's code names only what is here and in `guard`.
//!
//! Which kind serves a table follows from the table's type. The choice is one branch a call that always goes the same way.

use super::guard::WriteGuard;
use super::hash::{self, BagKeydir, HashKeydir};
use super::ordered::OrderedKeydir;
use super::span::Span;
use super::{Batch, Busy, Hit, Location, Next, key_hash, shard_of};
use crate::epoch::Guard;
use crate::table::TableKind;
use crate::{Key, Now};

/// A keydir of the kind that a table's type asks for.
///
/// Reads take no lock, write to no memory that threads share, and never wait: they fail with [`Busy`] after some tries.
#[derive(Debug)]
pub enum Keydir {
    /// In the order of the key's hash.
    Hash(HashKeydir),
    /// In the order of the key's hash, with many objects a key.
    Bag(BagKeydir),
    /// In the order of the keys.
    Ordered(OrderedKeydir),
}

impl Keydir {
    /// An empty keydir for a table of this type. The seed decides the hash of keys and must be hard to guess.
    pub fn new(kind: TableKind, seed: u64) -> Self {
        match kind {
            TableKind::Set => Keydir::Hash(HashKeydir::new(seed)),
            TableKind::OrderedSet => Keydir::Ordered(OrderedKeydir::new(seed)),
            TableKind::Bag | TableKind::DuplicateBag => Keydir::Bag(BagKeydir::new(seed)),
        }
    }

    /// An empty keydir of the same kind and seed.
    #[must_use]
    pub fn fresh(&self) -> Self {
        match self {
            Keydir::Hash(_) => Keydir::Hash(HashKeydir::new(self.seed())),
            Keydir::Bag(_) => Keydir::Bag(BagKeydir::new(self.seed())),
            Keydir::Ordered(_) => Keydir::Ordered(OrderedKeydir::new(self.seed())),
        }
    }

    /// The seed it was made with.
    pub fn seed(&self) -> u64 {
        match self {
            Keydir::Hash(keydir) => keydir.seed(),
            Keydir::Bag(keydir) => keydir.seed(),
            Keydir::Ordered(keydir) => keydir.seed(),
        }
    }

    /// The hash of a key's compared part, which decides its lock.
    pub fn hash(&self, key: Key<'_>) -> u64 {
        key_hash(self.seed(), key)
    }

    /// The lock of a hash, below [`super::SHARDS`].
    pub fn shard_of(hash: u64) -> usize {
        shard_of(hash)
    }

    /// Has the processor fetch what a look for a key with this hash begins with, without waiting.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        match self {
            Keydir::Hash(keydir) => keydir.prefetch(hash),
            Keydir::Bag(keydir) => keydir.prefetch(hash),
            Keydir::Ordered(_) => {}
        }
    }

    /// Looks a key up; of many objects, the first one. What has expired is not there.
    #[inline]
    pub fn get(&self, hash: u64, key: Key<'_>, now: Now) -> Result<Option<Hit>, Busy> {
        let found = match self {
            Keydir::Hash(keydir) => keydir.get(hash, key)?,
            Keydir::Bag(keydir) => keydir.get(hash, key, now)?,
            Keydir::Ordered(keydir) => keydir.get(key),
        };
        Ok(found.and_then(|hit| hit.unless_over(now)))
    }

    /// The location of a record that may be the key's; `None` means that the key is surely not there. Costs less than
    /// [`Keydir::get`], which is to be asked if the record is another key's. Where nothing expires, that is: else it is the same.
    #[inline]
    pub fn candidate(
        &self,
        hash: u64,
        key: Key<'_>,
        now: Now,
        guard: &Guard,
    ) -> Result<Option<Location>, Busy> {
        match self {
            Keydir::Hash(keydir) if now == Now::BEFORE_ALL => keydir.candidate(hash, guard),
            keydir => Ok(keydir.get(hash, key, now)?.map(|hit| hit.location)),
        }
    }

    /// Takes one of the write locks, waiting for whoever has it. Who needs several takes them in ascending order.
    pub fn lock(&self, shard: usize) -> WriteGuard<'_> {
        match self {
            Keydir::Hash(keydir) => WriteGuard::Hash(keydir.lock(shard)),
            Keydir::Bag(keydir) => WriteGuard::Bag(keydir.lock(shard)),
            Keydir::Ordered(keydir) => WriteGuard::Ordered(keydir.lock(shard)),
        }
    }

    /// Takes one of the write locks, or gives up soon.
    #[expect(
        clippy::inline_always,
        reason = "a guard that is handed on is written in pieces and read whole, for which the processor waits"
    )]
    #[inline(always)]
    pub fn try_lock(&self, shard: usize) -> Result<WriteGuard<'_>, Busy> {
        match self {
            Keydir::Hash(keydir) => keydir.try_lock(shard).map(WriteGuard::Hash),
            Keydir::Bag(keydir) => keydir.try_lock(shard).map(WriteGuard::Bag),
            Keydir::Ordered(keydir) => keydir.try_lock(shard).map(WriteGuard::Ordered),
        }
    }

    /// A keydir that nobody else has yet, to be loaded.
    pub fn exclusive(&mut self) -> Exclusive<'_> {
        match self {
            Keydir::Hash(keydir) => Exclusive::Hashed(Hashed::Hash(keydir.exclusive())),
            Keydir::Bag(keydir) => Exclusive::Hashed(Hashed::Bag(keydir.exclusive())),
            Keydir::Ordered(keydir) => Exclusive::Ordered(keydir),
        }
    }

    /// The first entry of the span, expired or not; its stored key, suffix included, replaces what is in `key`. Takes no lock.
    pub fn next(&self, span: &Span<'_>, key: &mut Vec<u8>) -> Result<Option<Next>, Busy> {
        match self {
            Keydir::Hash(keydir) => keydir.next(&hash_cursor(|key| keydir.hash(key), span), key),
            Keydir::Bag(keydir) => keydir.next(&hash_cursor(|key| keydir.hash(key), span), key),
            Keydir::Ordered(keydir) => Ok(keydir.next(span, key)),
        }
    }

    /// Appends the first entries of the span, expired ones too, to `out`, at most `limit` and fewer when the keys are long. `true` if there may be
    /// more. An entry that is there all the time is seen exactly once by who goes on behind the last one, whatever is inserted or deleted
    /// meanwhile. Takes no lock. Costs O(limit).
    ///
    /// Of many objects, `within` is a seq: those of the key that the span begins behind come first, from the next higher seq on.
    pub fn scan(
        &self,
        span: &Span<'_>,
        within: Option<u64>,
        limit: usize,
        out: &mut Batch,
    ) -> Result<bool, Busy> {
        match self {
            Keydir::Hash(keydir) => keydir.scan(&mut hash_cursor(|key| keydir.hash(key), span), limit, out),
            Keydir::Bag(keydir) => {
                let within = span.behind().map(Key::plain).zip(within);
                let mut cursor = hash_cursor(|key| keydir.hash(key), span);
                keydir.scan(within, &mut cursor, limit, out)
            }
            Keydir::Ordered(keydir) => Ok(keydir.scan(span, limit, out)),
        }
    }

    /// The locations alone of what [`Keydir::scan`] gives, where that costs less: `None` where it does not.
    pub fn locations(
        &self,
        span: &Span<'_>,
        limit: usize,
        out: &mut Vec<Location>,
    ) -> Result<Option<bool>, Busy> {
        match self {
            Keydir::Hash(keydir) => {
                let cursor = hash_cursor(|key| keydir.hash(key), span);
                keydir.locations(&cursor, limit, out).map(Some)
            }
            Keydir::Ordered(keydir) => Ok(Some(keydir.locations(span, limit, out))),
            Keydir::Bag(_) => Ok(None),
        }
    }

    /// The stored keys, but for expired ones, of one of `SHARDS << bits` parts of a keydir in hash order. `None` if there is no such part.
    pub fn slot(&self, slot: usize, bits: u32, now: Now, out: &mut Vec<Vec<u8>>) -> Result<Option<()>, Busy> {
        match self {
            Keydir::Hash(keydir) => keydir.slot(slot, bits, now, out),
            Keydir::Bag(keydir) => keydir.slot(slot, bits, now, out),
            Keydir::Ordered(_) => Ok(None),
        }
    }

    /// How many bits make [`Keydir::slot`] give a few keys each.
    pub fn slot_bits(&self) -> u32 {
        match self {
            Keydir::Hash(keydir) => keydir.slot_bits(),
            Keydir::Bag(keydir) => keydir.slot_bits(),
            Keydir::Ordered(_) => 0,
        }
    }

    /// Number of objects, expired ones too. With writers at work, about that of some moment.
    pub fn len(&self) -> u64 {
        match self {
            Keydir::Hash(keydir) => keydir.len(),
            Keydir::Bag(keydir) => keydir.len(),
            Keydir::Ordered(keydir) => keydir.len(),
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it holds.
    pub fn memory_bytes(&self) -> u64 {
        match self {
            Keydir::Hash(keydir) => keydir.memory_bytes(),
            Keydir::Bag(keydir) => keydir.memory_bytes(),
            Keydir::Ordered(keydir) => keydir.memory_bytes(),
        }
    }
}

/// A hold on a [`Keydir`] that nobody else has.
#[derive(Debug)]
pub enum Exclusive<'a> {
    /// In the order of the key's hash.
    Hashed(Hashed<'a>),
    /// In the order of the keys, to be filled from a chain.
    Ordered(&'a mut OrderedKeydir),
}

/// A hold, for several threads, on a keydir in hash order that nobody else has: what its locks' holders let go of need not wait for readers.
#[derive(Clone, Copy, Debug)]
pub enum Hashed<'a> {
    /// With one object a key.
    Hash(hash::Exclusive<'a>),
    /// With many.
    Bag(hash::ExclusiveBag<'a>),
}

impl<'a> Hashed<'a> {
    /// As [`Keydir::hash`].
    #[inline]
    pub fn hash(self, key: Key<'_>) -> u64 {
        match self {
            Hashed::Hash(keydir) => keydir.hash(key),
            Hashed::Bag(keydir) => keydir.hash(key),
        }
    }

    /// As [`Keydir::prefetch`].
    #[inline]
    pub fn prefetch(self, hash: u64) {
        match self {
            Hashed::Hash(keydir) => keydir.prefetch(hash),
            Hashed::Bag(keydir) => keydir.prefetch(hash),
        }
    }

    /// As [`Keydir::lock`].
    pub fn lock(self, shard: usize) -> WriteGuard<'a> {
        match self {
            Hashed::Hash(keydir) => WriteGuard::Hash(keydir.lock(shard)),
            Hashed::Bag(keydir) => WriteGuard::Bag(keydir.lock(shard)),
        }
    }
}

/// Where a span begins in hash order, in which there is one direction and no end but the last key.
fn hash_cursor(hash: impl Fn(Key<'_>) -> u64, span: &Span<'_>) -> hash::Cursor {
    match span.behind() {
        None => hash::Cursor::start(),
        Some(compared) => {
            let key = Key::plain(compared);
            hash::Cursor::after(hash(key), key)
        }
    }
}
