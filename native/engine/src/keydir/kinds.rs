//! One keydir, whatever its kind: the table's code names only what is here.
//!
//! Which kind serves a table follows from the table's type. The choice is one branch a call that always goes the same way.

use smallvec::SmallVec;

use super::hash::{self, BagGuard, BagKeydir, HashKeydir};
use super::ordered::{self, OrderedKeydir};
use super::span::Span;
use super::{Batch, Busy, Candidate, Entry, Full, Hit, Location, Next, key_hash, shard_of};
use crate::epoch::Guard;
use crate::seeded::{self, Fault};
use crate::table::TableKind;
use crate::{Deadline, Key, Now};

/// The locations of removed objects: mostly one.
pub type Removed = SmallVec<[Location; 2]>;

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
    pub fn try_lock(&self, shard: usize) -> Result<WriteGuard<'_>, Busy> {
        match self {
            Keydir::Hash(keydir) => keydir.try_lock(shard).map(WriteGuard::Hash),
            Keydir::Bag(keydir) => keydir.try_lock(shard).map(WriteGuard::Bag),
            Keydir::Ordered(keydir) => keydir.try_lock(shard).map(WriteGuard::Ordered),
        }
    }

    /// A keydir that nobody else has yet, for several threads to load.
    pub fn exclusive(&mut self) -> Exclusive<'_> {
        match self {
            Keydir::Hash(keydir) => Exclusive::Hash(keydir.exclusive()),
            Keydir::Bag(keydir) => Exclusive::Bag(keydir.exclusive()),
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

/// A hold on a [`Keydir`] that nobody else has: what its locks' holders let go of need not wait for readers.
#[derive(Clone, Copy, Debug)]
pub enum Exclusive<'a> {
    /// Of a keydir in hash order.
    Hash(hash::Exclusive<'a>),
    /// Of a keydir with many objects a key.
    Bag(hash::ExclusiveBag<'a>),
    /// Of a keydir in the order of the keys.
    Ordered(&'a OrderedKeydir),
}

impl<'a> Exclusive<'a> {
    /// As [`Keydir::hash`].
    #[inline]
    pub fn hash(self, key: Key<'_>) -> u64 {
        match self {
            Exclusive::Hash(keydir) => keydir.hash(key),
            Exclusive::Bag(keydir) => keydir.hash(key),
            Exclusive::Ordered(keydir) => keydir.hash(key),
        }
    }

    /// As [`Keydir::prefetch`].
    #[inline]
    pub fn prefetch(self, hash: u64) {
        match self {
            Exclusive::Hash(keydir) => keydir.prefetch(hash),
            Exclusive::Bag(keydir) => keydir.prefetch(hash),
            Exclusive::Ordered(_) => {}
        }
    }

    /// As [`Keydir::lock`].
    pub fn lock(self, shard: usize) -> WriteGuard<'a> {
        match self {
            Exclusive::Hash(keydir) => WriteGuard::Hash(keydir.lock(shard)),
            Exclusive::Bag(keydir) => WriteGuard::Bag(keydir.lock(shard)),
            Exclusive::Ordered(keydir) => WriteGuard::Ordered(keydir.lock(shard)),
        }
    }
}

/// One of a keydir's write locks, held until dropped. Readers go on meanwhile.
///
/// All hashes given to it must be of its lock (see [`Keydir::shard_of`]).
#[derive(Debug)]
pub enum WriteGuard<'a> {
    /// Of a keydir in hash order.
    Hash(hash::WriteGuard<'a>),
    /// Of a keydir with many objects a key.
    Bag(BagGuard<'a>),
    /// Of a keydir in the order of the keys.
    Ordered(ordered::WriteGuard<'a>),
}

impl WriteGuard<'_> {
    /// Looks a key up; of many objects, the first one. What has expired is not there.
    pub fn get(&mut self, hash: u64, key: Key<'_>, now: Now) -> Option<Hit> {
        let found = match self {
            WriteGuard::Hash(guard) => guard.get(hash, key)?,
            WriteGuard::Bag(guard) => guard.get(hash, key, now)?,
            WriteGuard::Ordered(guard) => guard.get(hash, key)?,
        };
        found.unless_over(now)
    }

    /// An entry that may be the key's, where that costs less than [`WriteGuard::get`]: the caller compares the key of its record. `None` tells
    /// nothing. For where nothing expires, as seen under this lock.
    #[inline]
    pub fn candidate(&mut self, hash: u64) -> Option<Candidate> {
        match self {
            WriteGuard::Hash(guard) => guard.candidate(hash),
            _ => None,
        }
    }

    /// Stores the location of a record with the same key bytes as that of the entry that [`WriteGuard::candidate`] gave, and without a deadline as that one. `false` and no change if
    /// the entry is no longer the same.
    #[inline]
    pub fn replace_candidate(&mut self, hash: u64, old: Candidate, new: Location) -> bool {
        match self {
            WriteGuard::Hash(guard) => guard.replace_candidate(hash, old, new),
            _ => false,
        }
    }

    /// Has the processor fetch the stored key that a look for this hash will be compared with, without waiting for it, and what
    /// changes when the key goes, if the next call `removes` it.
    #[inline]
    pub fn prefetch_key(&mut self, hash: u64, removes: bool) {
        if let WriteGuard::Hash(guard) = self {
            guard.prefetch_key(hash, removes);
        }
    }

    /// When the last of a key's objects expires, if the key is there; it may have expired.
    pub fn deadline(&mut self, hash: u64, key: Key<'_>) -> Option<Deadline> {
        match self {
            WriteGuard::Hash(guard) => guard.get(hash, key).map(|hit| hit.deadline),
            WriteGuard::Bag(guard) => guard.entries(hash, key).map(hash::Entries::last_deadline),
            WriteGuard::Ordered(guard) => guard.get(hash, key).map(|hit| hit.deadline),
        }
    }

    /// Removes what a key has that has expired, and gives the locations. The deadline that comes next of what stays is put into `next`.
    pub fn remove_expired(
        &mut self,
        hash: u64,
        key: Key<'_>,
        now: Now,
        next: &mut Option<Deadline>,
    ) -> Removed {
        if let WriteGuard::Bag(guard) = self {
            return guard.remove_expired(hash, key, now, next).into();
        }
        match self.deadline(hash, key) {
            Some(deadline) if deadline.is_over(now) => self.remove(hash, key, u64::MAX),
            deadline => {
                *next = deadline.filter(|&deadline| deadline != Deadline::NEVER);
                Removed::new()
            }
        }
    }

    /// Whether a [`WriteGuard::put`] of this key under this guard cannot fail.
    pub fn has_room(&mut self, key: Key<'_>) -> bool {
        match self {
            WriteGuard::Hash(guard) => guard.has_room(key),
            WriteGuard::Bag(guard) => guard.has_room(key),
            WriteGuard::Ordered(_) => true,
        }
    }

    /// Whether the shard's entries are soon to be moved, and so many that it takes long: then [`WriteGuard::resize`] is to be called by who may take that long.
    pub fn is_resize_due(&self) -> bool {
        match self {
            WriteGuard::Hash(guard) => guard.is_resize_due(),
            WriteGuard::Bag(guard) => guard.is_resize_due(),
            WriteGuard::Ordered(_) => false,
        }
    }

    /// Does what is due. Readers go on meanwhile.
    pub fn resize(&mut self) {
        match self {
            WriteGuard::Hash(guard) => guard.resize(),
            WriteGuard::Bag(guard) => guard.resize(),
            WriteGuard::Ordered(_) => {}
        }
    }

    /// Whether one object more for this key moves so many others that it takes long.
    pub fn is_long_to_add(&mut self, hash: u64, key: Key<'_>) -> bool {
        match self {
            WriteGuard::Bag(guard) => guard.is_long_to_add(hash, key),
            _ => false,
        }
    }

    /// Whether the key has so many objects that it takes long to let go of them, or to copy those that stay.
    pub fn is_long_to_remove(&mut self, hash: u64, key: Key<'_>) -> bool {
        match self {
            WriteGuard::Bag(guard) => guard.is_long_to_remove(hash, key),
            _ => false,
        }
    }

    /// Stores the location and the deadline of a key's record and gives what it replaces, expired or not; where a key has many objects it is one more. The stored bytes become those of `key` if its suffix differs.
    /// Fails only when [`WriteGuard::has_room`] would say so.
    pub fn put(
        &mut self,
        hash: u64,
        key: Key<'_>,
        (location, deadline): (Location, Deadline),
        seq: u64,
    ) -> Result<Option<Hit>, Full> {
        match self {
            WriteGuard::Hash(guard) => guard.put_until(hash, key, location, deadline),
            WriteGuard::Bag(guard) => {
                let (key, fingerprint) = key.split_fingerprint();
                let entry = Entry {
                    location,
                    seq,
                    fingerprint,
                    deadline,
                };
                guard.add(hash, key, entry).map(|()| None)
            }
            WriteGuard::Ordered(guard) => Ok(guard.put_until(hash, key, location, deadline)),
        }
    }

    /// Removes what a key has up to this seq, and gives the locations; where a key has one object that is the one, whatever its seq is.
    pub fn remove(&mut self, hash: u64, key: Key<'_>, through: u64) -> Removed {
        match self {
            WriteGuard::Hash(guard) => guard.remove(hash, key).into_iter().collect(),
            WriteGuard::Bag(guard) => guard.remove_through(hash, key, through).into(),
            WriteGuard::Ordered(guard) => guard.remove(hash, key).into_iter().collect(),
        }
    }

    /// Gives the key a new location; `false` and no change if its own is not `old`, or the key is gone. Not for keys with many objects.
    pub fn move_to(&mut self, hash: u64, key: Key<'_>, old: Location, new: Location) -> bool {
        match self {
            WriteGuard::Hash(guard) => guard.relocate(hash, key, old, new),
            WriteGuard::Bag(_) => false,
            WriteGuard::Ordered(guard) => guard.relocate(hash, key, old, new),
        }
    }

    /// Gives the key's object a new location and the old one back; `None` and no change if the key is gone, or `is_old` says that the old one
    /// is not meant. Of many objects it is the one with this seq.
    pub fn relocate(
        &mut self,
        hash: u64,
        key: Key<'_>,
        seq: u64,
        is_old: impl FnOnce(Location) -> bool,
        new: Location,
    ) -> Option<Location> {
        let old = match self {
            WriteGuard::Bag(guard) => guard.with_seq(hash, key, seq)?.location,
            WriteGuard::Hash(guard) => guard.get(hash, key)?.location,
            WriteGuard::Ordered(guard) => guard.get(hash, key)?.location,
        };
        let moved = (is_old(old) || seeded::has(Fault::RelocationNotCompared))
            && match self {
                WriteGuard::Hash(guard) => guard.relocate(hash, key, old, new),
                WriteGuard::Bag(guard) => guard.relocate(hash, key, seq, new),
                WriteGuard::Ordered(guard) => guard.relocate(hash, key, old, new),
            };
        moved.then_some(old)
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
