//! The write lock of a shard, and what its holder may do.

use super::capacity;
use super::reclaim::Reclaim;
use super::shard::Shard;
use super::shard_of;
use super::write::{State, Writer};
use crate::keydir::{Candidate, Full, Hit, Location};
use crate::sync::{MutexGuard, Ordering};
use crate::{Deadline, Key};

/// The write lock of one shard, held until dropped. Readers go on meanwhile.
///
/// All hashes given to it must belong to its shard.
#[derive(Debug)]
pub struct WriteGuard<'a> {
    shard: &'a Shard,
    index: usize,
    state: MutexGuard<'a, Option<Box<State>>>,
    reclaim: Reclaim,
}

impl<'a> WriteGuard<'a> {
    pub(super) fn new(shard: &'a Shard, index: usize, state: MutexGuard<'a, Option<Box<State>>>) -> Self {
        WriteGuard {
            shard,
            index,
            state,
            reclaim: Reclaim::Later,
        }
    }

    /// The same guard of a keydir in which nobody looks without a lock: what it lets go of is freed at once.
    pub(super) fn exclusive(self) -> Self {
        WriteGuard {
            reclaim: Reclaim::Now,
            ..self
        }
    }

    /// The shard that is locked.
    pub fn shard(&self) -> usize {
        self.index
    }

    /// Has the processor fetch the stored key that a look for this hash will be compared with, without waiting for it, and what
    /// changes when the key goes, if the next call `removes` it.
    #[inline]
    pub fn prefetch_key(&mut self, hash: u64, removes: bool) {
        if let Some(writer) = self.present(hash) {
            writer.prefetch_key(hash, removes);
        }
    }

    /// The first entry with this hash, whose key is not looked at; `None` means that the key is surely not there. Has the processor fetch the entry's key.
    #[inline]
    pub fn candidate(&mut self, hash: u64) -> Option<Candidate> {
        self.present(hash)?.candidate(hash)
    }

    /// Gives the entry that [`WriteGuard::candidate`] gave for this hash a new location, without a look at its key; `false` and no change if it is no longer the same.
    pub fn replace_candidate(&mut self, hash: u64, old: Candidate, new: Location) -> bool {
        self.present(hash)
            .is_some_and(|writer| writer.replace_candidate(hash, old, new))
    }

    /// Looks a key up.
    pub fn get(&mut self, hash: u64, key: Key<'_>) -> Option<Hit> {
        self.present(hash)?.get(hash, key)
    }

    /// Looks a key up; if it is there, its stored bytes, suffix included, replace what is in `stored`.
    pub fn stored_key(&mut self, hash: u64, key: Key<'_>, stored: &mut Vec<u8>) -> Option<Location> {
        let writer = self.present(hash)?;
        let (found, location) = writer.stored_key(hash, key)?;
        stored.clear();
        stored.extend_from_slice(found.bytes());
        Some(location)
    }

    /// Whether a [`WriteGuard::put`] of this key under this guard cannot fail.
    pub fn has_room(&mut self, key: Key<'_>) -> bool {
        self.writer().has_room(key)
    }

    /// Whether the entries are soon to be moved to more or fewer slots and are so many that it takes long: some milliseconds for a hundred million keys
    /// in the keydir. Then [`WriteGuard::resize`] is to be called by who may take that long.
    pub fn is_resize_due(&self) -> bool {
        self.due().is_some()
    }

    /// Does what is due. Readers go on meanwhile.
    pub fn resize(&mut self) {
        if let Some(capacity) = self.due() {
            self.writer().resize(capacity);
        }
    }

    fn due(&self) -> Option<u32> {
        let (len, slots) = (&self.shard.len, &self.shard.capacity);
        capacity::due(
            len.load(Ordering::Relaxed),
            slots.load(Ordering::Relaxed),
            self.index,
        )
    }

    /// Stores a key's location, for an object that does not expire, and gives the one it had. The stored bytes become those of `key` if its suffix differs.
    /// Fails only when [`WriteGuard::has_room`] would say so.
    pub fn put(&mut self, hash: u64, key: Key<'_>, location: Location) -> Result<Option<Location>, Full> {
        let old = self.put_until(hash, key, location, Deadline::NEVER)?;
        Ok(old.map(|hit| hit.location))
    }

    /// As [`WriteGuard::put`], for an object that expires. Gives what the key had, expired or not.
    pub fn put_until(
        &mut self,
        hash: u64,
        key: Key<'_>,
        location: Location,
        deadline: Deadline,
    ) -> Result<Option<Hit>, Full> {
        debug_assert_eq!(shard_of(hash), self.index);
        self.writer().put(hash, key, location, deadline)
    }

    /// Stores the location of a key that is there, leaving its stored bytes, and gives the one it had. Does nothing for a
    /// key that is not there.
    pub fn set_location(&mut self, hash: u64, key: Key<'_>, location: Location) -> Option<Location> {
        self.present(hash)?.set_location(hash, key, location)
    }

    /// Removes a key and gives its location.
    pub fn remove(&mut self, hash: u64, key: Key<'_>) -> Option<Location> {
        self.present(hash)?.remove(hash, key)
    }

    /// Replaces the key's location `old` by `new`; `false` and no change if it is another by now, or the key is gone.
    pub fn relocate(&mut self, hash: u64, key: Key<'_>, old: Location, new: Location) -> bool {
        self.present(hash)
            .is_some_and(|mut writer| writer.relocate(hash, key, old, new))
    }

    pub(super) fn shard_ref(&self) -> &Shard {
        self.shard
    }

    /// The writer, if the shard has ever had an entry.
    pub(super) fn present(&mut self, hash: u64) -> Option<Writer<'_>> {
        debug_assert_eq!(shard_of(hash), self.index);
        self.used()
    }

    pub(super) fn used(&mut self) -> Option<Writer<'_>> {
        self.state.is_some().then(|| self.writer())
    }

    pub(super) fn writer(&mut self) -> Writer<'_> {
        Writer::new(self.shard, &mut self.state, self.index, self.reclaim)
    }
}
