//! A shard as a whole: handing out all of its entries in order, and filling an empty one with entries that come in order.
//!
//! In order, each entry's place is its home or the slot behind the entry before, so nothing is searched and nothing moves.
#![allow(unsafe_code, reason = "holds keys and lists while they are handed out")]

use super::bag::BagGuard;
use super::entry::Stored;
use super::guard::WriteGuard;
use super::list::{Entries, List};
use super::slots;
use super::write::Writer;
use super::{h32_of, shard_of};
use crate::keydir::{Entry, Full, Location};
use crate::sync::Ordering;
use crate::{Deadline, Key};

impl WriteGuard<'_> {
    /// Hands all keys, their locations and deadlines to `each`, in order.
    pub fn each(&mut self, mut each: impl FnMut(Key<'_>, Location, Deadline)) {
        if let Some(writer) = self.used() {
            for slot in writer.slots().iter().filter(|slot| slot.meta() != 0) {
                // SAFETY: the reference stands in a slot, and keys go by methods that borrow the writer mutably.
                let stored = unsafe { writer.stored(slots::key_ref_of(slot.meta())) };
                each(stored.key, Location::from_bits(slot.location()), stored.deadline);
            }
        }
    }

    /// Fills the shard, which must never have had a key, with `count` keys of about so many bytes in all.
    pub fn fill(&mut self, count: u32, bytes: usize) -> Fill<'_> {
        let shard = self.shard();
        let mut writer = self.writer();
        writer.reserve(count);
        writer.expect_keys(bytes);
        Fill {
            shard,
            writer,
            free: 0,
            last: None,
            full_len: count,
        }
    }
}

impl BagGuard<'_> {
    /// Hands all keys and their objects to `each`, in order.
    pub fn each(&mut self, mut each: impl FnMut(Key<'_>, Entries<'_>)) {
        self.0.each(|key, word, _| {
            // SAFETY: the word stood in a slot just now, and lists go by methods that borrow the guard mutably.
            each(key, unsafe { List::from_bits(word.to_bits()).entries() });
        });
    }

    /// As [`WriteGuard::fill`].
    pub fn fill(&mut self, count: u32, bytes: usize) -> BagFill<'_> {
        BagFill(self.0.fill(count, bytes))
    }
}

/// A shard that is being filled.
#[derive(Debug)]
pub struct Fill<'a> {
    shard: usize,
    writer: Writer<'a>,
    /// No entry stands in this slot or behind it.
    free: usize,
    /// Hash and key of the last entry.
    last: Option<(u32, u32)>,
    full_len: u32,
}

impl Drop for Fill<'_> {
    fn drop(&mut self) {
        self.writer.expect_keys(0);
    }
}

impl Fill<'_> {
    /// Adds a key, which must come behind all others in the order of the shard. `Ok(false)` and no change if it does not, or is one too many.
    #[inline]
    pub fn push(
        &mut self,
        hash: u64,
        key: Key<'_>,
        location: Location,
        deadline: Deadline,
    ) -> Result<bool, Full> {
        let h32 = h32_of(hash);
        let comes_behind = match self.last {
            None => true,
            Some((last, _)) if last != h32 => last < h32,
            // SAFETY: the reference stands in the last slot that was filled.
            Some((_, last)) => unsafe { self.writer.stored(last) }.key.compared() < key.compared(),
        };
        let len = self.writer.shard.len.load(Ordering::Relaxed);
        if !comes_behind || shard_of(hash) != self.shard || len >= self.full_len {
            return Ok(false);
        }
        let key_ref = self.writer.store_key(Stored { key, deadline })?;
        let mut at = slots::home(h32, self.writer.capacity()).max(self.free);
        if at + 1 >= self.writer.slots().len() {
            self.writer.add_overflow();
            let used = |slot: &slots::Slot| slot.meta() != 0;
            self.free = self
                .writer
                .slots()
                .iter()
                .rposition(used)
                .map_or(0, |last| last + 1);
            at = slots::home(h32, self.writer.capacity()).max(self.free);
        }
        self.writer.marks().set(h32);
        self.writer.slots()[at].set(slots::meta(h32, key_ref), location.to_bits());
        self.writer.shard.len.store(len + 1, Ordering::Release);
        self.free = at + 1;
        self.last = Some((h32, key_ref));
        Ok(true)
    }
}

/// A shard of a bag that is being filled.
#[derive(Debug)]
pub struct BagFill<'a>(Fill<'a>);

impl BagFill<'_> {
    /// As [`Fill::push`], with the key's objects in the order of their seqs, at least one.
    pub fn push(&mut self, hash: u64, key: Key<'_>, objects: &[Entry]) -> Result<bool, Full> {
        let expires = objects.iter().any(|object| object.deadline != Deadline::NEVER);
        let list = List::allocate(objects.len(), expires, objects.iter().copied());
        // SAFETY: the list was just made.
        self.0.writer.grew(unsafe { list.bytes() });
        let word = Location::from_bits(list.to_bits());
        let pushed = self.0.push(hash, key, word, Deadline::NEVER);
        if matches!(pushed, Ok(true)) {
            self.0.writer.set_more(|more| more + objects.len() as u32 - 1);
        } else {
            self.0.writer.drop_list(list);
        }
        pushed
    }
}
