//! One write lock, whatever the keydir's kind, and what its holder may do.

use smallvec::SmallVec;

use super::hash::{self, BagGuard};
use super::ordered;
use super::{Candidate, Entry, Full, Hit, Location};
use crate::seeded::{self, Fault};
use crate::{Deadline, Key, Now};

/// The locations of removed objects: mostly one.
pub type Removed = SmallVec<[Location; 2]>;

/// One of a keydir's write locks, held until dropped. Readers go on meanwhile.
///
/// All hashes given to it must be of its lock (see [`Keydir::shard_of`](super::Keydir::shard_of)).
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
