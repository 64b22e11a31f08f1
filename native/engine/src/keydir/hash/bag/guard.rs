//! The write lock of a shard of a bag's keydir, and what its holder may do.
#![allow(unsafe_code, reason = "follows the addresses in the slots")]

use super::super::guard::WriteGuard;
use super::super::list::{Entries, List};
use super::super::write::Writer;
use super::hit;
use crate::keydir::{Entry, Full, Hit, Location};
use crate::sync::Ordering;
use crate::{Deadline, Key, Now};

/// A shard with so many objects beyond the first ones of its keys takes no more calls that add. The largest batch adds less
/// than what is left to 32 bits.
const MORE_MAX: u32 = 1 << 31;

/// Copying so many objects takes a tenth of a millisecond.
const QUICK_OBJECTS: usize = 1 << 14;

/// The write lock of one shard of a [`BagKeydir`](super::BagKeydir), held until dropped. Readers go on meanwhile.
///
/// All hashes given to it must belong to its shard.
#[derive(Debug)]
pub struct BagGuard<'a>(pub(in super::super) WriteGuard<'a>);

impl BagGuard<'_> {
    /// The key's objects, expired ones too.
    pub fn entries(&mut self, hash: u64, key: Key<'_>) -> Option<Entries<'_>> {
        let word = self.0.get(hash, key)?.location.to_bits();
        // SAFETY: the slot has this list, and lists go by methods that borrow the guard mutably.
        Some(unsafe { List::from_bits(word).entries() })
    }

    /// Looks a key up: its first object that has not expired.
    pub fn get(&mut self, hash: u64, key: Key<'_>, now: Now) -> Option<Hit> {
        let same_form = self.0.get(hash, key)?.same_form;
        let first = self.entries(hash, key)?.live(now).next()?;
        Some(hit(first, same_form))
    }

    /// Whether a [`BagGuard::add`] for this key under this guard cannot fail.
    pub fn has_room(&mut self, key: Key<'_>) -> bool {
        self.0.shard_ref().more.load(Ordering::Relaxed) < MORE_MAX && self.0.has_room(key)
    }

    /// As [`WriteGuard::is_resize_due`].
    pub fn is_resize_due(&self) -> bool {
        self.0.is_resize_due()
    }

    /// As [`WriteGuard::resize`].
    pub fn resize(&mut self) {
        self.0.resize();
    }

    /// Whether the key has so many objects that it takes long to let go of them, or to copy those that stay.
    pub fn is_long_to_remove(&mut self, hash: u64, key: Key<'_>) -> bool {
        self.entries(hash, key)
            .is_some_and(|all| all.len() > QUICK_OBJECTS)
    }

    /// Whether one object more for this key moves so many others that it takes long.
    pub fn is_long_to_add(&mut self, hash: u64, key: Key<'_>) -> bool {
        self.entries(hash, key)
            .is_some_and(|all| all.len() > QUICK_OBJECTS && all.is_full())
    }

    /// Adds an object to its key in the place of its seq; if that is there, it gets the location. The stored bytes of the key become
    /// those of `key` if its suffix differs. Costs amortised constant time if the seq is the highest, else time linear in
    /// the key's objects. Fails only when [`BagGuard::has_room`] would say so.
    pub fn add(&mut self, hash: u64, key: Key<'_>, entry: Entry) -> Result<(), Full> {
        self.0.writer().add_entry(hash, key, entry)
    }

    /// The key's object with this seq.
    pub fn with_seq(&mut self, hash: u64, key: Key<'_>, seq: u64) -> Option<Entry> {
        let entries = self.entries(hash, key)?;
        entries.find(seq).ok().map(|at| entries.get(at))
    }

    /// Gives the object with this seq the location `new`; `false` if there is none any more.
    pub fn relocate(&mut self, hash: u64, key: Key<'_>, seq: u64, new: Location) -> bool {
        let Some(hit) = self.0.get(hash, key) else {
            return false;
        };
        let list = List::from_bits(hit.location.to_bits());
        // SAFETY: the slot has this list, and only the holder of the lock frees it.
        let entries = unsafe { list.entries() };
        let found = entries.find(seq).ok();
        if let Some(at) = found {
            // SAFETY: as above, and only the holder of the lock changes it.
            unsafe { list.set_location(at, new) };
        }
        found.is_some()
    }

    /// Removes the key's objects with these seqs, which must rise, and the key with the last of its objects; the locations of those removed.
    /// Costs time linear in the key's objects.
    pub fn remove(&mut self, hash: u64, key: Key<'_>, seqs: &[u64]) -> Vec<Location> {
        let Some(entries) = self.entries(hash, key) else {
            return Vec::new();
        };
        let found: Vec<usize> = seqs.iter().filter_map(|&seq| entries.find(seq).ok()).collect();
        let locations = found.iter().map(|&at| entries.get(at).location).collect();
        self.0.writer().remove_entries(hash, key, &found);
        locations
    }

    /// Removes the key's objects that have expired, as [`BagGuard::remove`] does. The next deadline of those that stay is put into `next`.
    pub fn remove_expired(
        &mut self,
        hash: u64,
        key: Key<'_>,
        now: Now,
        next: &mut Option<Deadline>,
    ) -> Vec<Location> {
        let Some(entries) = self.entries(hash, key) else {
            return Vec::new();
        };
        let over = |entry: &Entry| entry.deadline.is_over(now);
        *next = entries.live(now).map(|entry| entry.deadline).min();
        *next = next.filter(|&deadline| deadline != Deadline::NEVER);
        let seqs: Vec<u64> = entries.iter().filter(over).map(|entry| entry.seq).collect();
        if seqs.is_empty() {
            return Vec::new();
        }
        self.remove(hash, key, &seqs)
    }

    /// Removes the key's objects with seqs up to this one, as [`BagGuard::remove`] does.
    pub fn remove_through(&mut self, hash: u64, key: Key<'_>, seq: u64) -> Vec<Location> {
        let Some(entries) = self.entries(hash, key) else {
            return Vec::new();
        };
        let found: Vec<usize> = (0..entries.behind(seq)).collect();
        let locations = found.iter().map(|&at| entries.get(at).location).collect();
        self.0.writer().remove_entries(hash, key, &found);
        locations
    }
}

impl Writer<'_> {
    pub(super) fn add_entry(&mut self, hash: u64, key: Key<'_>, entry: Entry) -> Result<(), Full> {
        let Some((stored, word)) = self.stored_key(hash, key) else {
            let expires = entry.deadline != Deadline::NEVER;
            let list = List::allocate(1, expires, std::iter::once(entry));
            // SAFETY: the list was just made.
            self.grew(unsafe { list.bytes() });
            let put = self.put(hash, key, Location::from_bits(list.to_bits()), Deadline::NEVER);
            if put.is_err() {
                self.drop_list(list);
            }
            return put.map(drop);
        };
        if stored.suffix() != key.suffix() {
            self.put(hash, key, word, Deadline::NEVER)?;
        }
        let list = List::from_bits(word.to_bits());
        // SAFETY: the slot has this list, and only the holder of the lock frees it.
        let entries = unsafe { list.entries() };
        match entries.find(entry.seq) {
            // SAFETY: as above, and only the holder of the lock changes it.
            Ok(at) => unsafe { list.set_location(at, entry.location) },
            Err(at) => {
                let len = entries.len() + 1;
                // SAFETY: as above.
                if at + 1 < len || !unsafe { list.push(entry) } {
                    let before = entries.iter().take(at);
                    let expires = entries.can_expire() || entry.deadline != Deadline::NEVER;
                    let all = before.chain([entry]).chain(entries.iter().skip(at));
                    let new = List::allocate(len, expires, all);
                    self.replace_list(hash, key, list, new);
                }
                self.set_more(|more| more + 1);
            }
        }
        Ok(())
    }

    /// Removes the objects at these indices, which rise.
    fn remove_entries(&mut self, hash: u64, key: Key<'_>, removed: &[usize]) {
        let Some((_, word)) = self.stored_key(hash, key) else {
            return;
        };
        let list = List::from_bits(word.to_bits());
        // SAFETY: the slot has this list, and only the holder of the lock frees it.
        let entries = unsafe { list.entries() };
        let kept = entries.len() - removed.len();
        if kept == 0 {
            self.remove(hash, key);
            self.drop_list(list);
            self.set_more(|more| more + 1 - removed.len() as u32);
        } else if !removed.is_empty() {
            let starts = std::iter::once(0).chain(removed.iter().map(|&at| at + 1));
            let ends = removed.iter().copied().chain([entries.len()]);
            let gaps = starts.zip(ends).flat_map(|(start, end)| start..end);
            let new = List::allocate(kept, entries.can_expire(), gaps.map(|at| entries.get(at)));
            self.replace_list(hash, key, list, new);
            self.set_more(|more| more - removed.len() as u32);
        }
    }

    fn replace_list(&mut self, hash: u64, key: Key<'_>, old: List, new: List) {
        // SAFETY: the list was just made.
        self.grew(unsafe { new.bytes() });
        self.set_location(hash, key, Location::from_bits(new.to_bits()));
        self.drop_list(old);
    }

    /// Lets go of a list that no slot has any more.
    pub(in super::super) fn drop_list(&mut self, list: List) {
        // SAFETY: the list is still there.
        self.shrank(unsafe { list.bytes() });
        // SAFETY: no slot has it any more, and it is let go of once.
        unsafe { list.free(self.reclaim) };
    }

    /// Changes the number of objects beyond the first one of each key.
    pub(in super::super) fn set_more(&self, change: impl FnOnce(u32) -> u32) {
        let more = &self.shard.more;
        more.store(change(more.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
}
