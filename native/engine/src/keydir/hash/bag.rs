//! The keydir of bags: a key has a list of objects, whose address stands in its slot where a set has a location.
#![allow(unsafe_code, reason = "follows the addresses in the slots")]

mod guard;

pub use guard::BagGuard;

use super::list::{Entries, List};
use super::reclaim::Reclaim;
use super::scan::Cursor;
use super::slots::Slot;
use super::write::Writer;
use super::{Exclusive, HashKeydir, h32_of, shard_of};
use crate::keydir::{Batch, Busy, Entry, Full, Hit, Next};
use crate::sync::Ordering;
use crate::{Key, Now};

/// An index from keys to lists of objects, in the order of the keys' hash. See [`HashKeydir`] for hashes, locks and
/// reads.
#[derive(Debug)]
pub struct BagKeydir {
    pub(super) keys: HashKeydir,
}

impl BagKeydir {
    /// An empty keydir. The seed decides the order of keys and must be hard to guess.
    pub fn new(seed: u64) -> Self {
        BagKeydir {
            keys: HashKeydir::new(seed),
        }
    }

    /// The seed it was made with.
    pub fn seed(&self) -> u64 {
        self.keys.seed()
    }

    /// The hash of a key's compared part.
    pub fn hash(&self, key: Key<'_>) -> u64 {
        self.keys.hash(key)
    }

    /// As [`HashKeydir::prefetch`].
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.keys.prefetch(hash);
    }

    /// Looks a key up: its first object that has not expired.
    pub fn get(&self, hash: u64, key: Key<'_>, now: Now) -> Result<Option<Hit>, Busy> {
        let found = self.find(hash, key, |stored, entries| {
            let first = entries.live(now).next()?;
            Some(hit(first, stored.suffix() == key.suffix()))
        });
        found.map(Option::flatten)
    }

    /// Hands the key's objects of one moment, expired ones too, to `f`.
    pub fn entries<T>(
        &self,
        hash: u64,
        key: Key<'_>,
        mut f: impl FnMut(Entries<'_>) -> T,
    ) -> Result<Option<T>, Busy> {
        self.find(hash, key, |_, entries| f(entries))
    }

    fn find<T>(
        &self,
        hash: u64,
        key: Key<'_>,
        mut f: impl FnMut(Key<'_>, Entries<'_>) -> T,
    ) -> Result<Option<T>, Busy> {
        let h32 = h32_of(hash);
        self.keys.shards[shard_of(hash)].read(|view| {
            view.find(h32, key.compared(), |stored, word| {
                // SAFETY: `find` vouches that the word stood in the slot of this key, and `read` holds an epoch since
                // before it was read, so the list is not freed before `f` returns.
                f(stored.key, unsafe { List::from_bits(word.to_bits()).entries() })
            })
        })
    }

    /// Takes the write lock of a shard, waiting for whoever has it. Who needs several takes them in ascending order.
    pub fn lock(&self, shard: usize) -> BagGuard<'_> {
        BagGuard(self.keys.lock(shard))
    }

    /// Takes the write lock of a shard, or gives up soon.
    pub fn try_lock(&self, shard: usize) -> Result<BagGuard<'_>, Busy> {
        self.keys.try_lock(shard).map(BagGuard)
    }

    /// As [`HashKeydir::exclusive`].
    pub fn exclusive(&mut self) -> ExclusiveBag<'_> {
        ExclusiveBag(self.keys.exclusive())
    }

    /// Adds an object as [`BagGuard::add`] does to a keydir that nobody else has yet.
    pub fn load(&mut self, hash: u64, key: Key<'_>, entry: Entry) -> Result<(), Full> {
        self.keys
            .load_with(hash, |writer| writer.add_entry(hash, key, entry))
    }

    /// The first key behind the cursor, expired or not, and its first object; the key's stored bytes, suffix included, replace what is in `key`. Takes
    /// no lock.
    pub fn next(&self, cursor: &Cursor, key: &mut Vec<u8>) -> Result<Option<Next>, Busy> {
        // The location is found while the key is still under the epoch.
        self.keys.next_with(cursor, key, |word, _| {
            // SAFETY: the word was vouched for by the walk, which holds an epoch.
            let entries = unsafe { List::from_bits(word.to_bits()).entries() };
            (entries.get(0).location, entries.last_deadline())
        })
    }

    /// Appends up to `limit` objects, expired ones too, to `out`: first those of the key `within` with a higher seq than the one beside it, then those
    /// of the keys behind the cursor. `true` if there may be more. Takes no lock. After [`Busy`], `out` holds a part of
    /// them. Costs O(limit).
    pub(crate) fn scan(
        &self,
        within: Option<(Key<'_>, u64)>,
        cursor: &mut Cursor,
        limit: usize,
        out: &mut Batch,
    ) -> Result<bool, Busy> {
        let end = out.len() + limit;
        if let Some((key, seq)) = within {
            let hash = self.hash(key);
            let rest = self.find(hash, key, |stored, entries| {
                push(out, h32_of(hash), stored, entries, entries.behind(seq), end)
            })?;
            if rest == Some(true) {
                return Ok(true);
            }
        }
        self.keys.scan_with(cursor, limit, out, |out, h32, stored, word| {
            // SAFETY: the word was vouched for by the walk, which holds an epoch.
            let entries = unsafe { List::from_bits(word.to_bits()).entries() };
            !push(out, h32, stored.key, entries, 0, end)
        })
    }

    /// As [`HashKeydir::slot`].
    pub fn slot(&self, slot: usize, bits: u32, now: Now, out: &mut Vec<Vec<u8>>) -> Result<Option<()>, Busy> {
        self.keys.slot_with(slot, bits, out, |word, _| {
            // SAFETY: the word was vouched for by the walk, which holds an epoch.
            let entries = unsafe { List::from_bits(word.to_bits()).entries() };
            !entries.last_deadline().is_over(now)
        })
    }

    /// As [`HashKeydir::slot_bits`].
    pub fn slot_bits(&self) -> u32 {
        self.keys.slot_bits()
    }

    /// Number of objects. With writers at work, that of some moment for each shard.
    pub fn len(&self) -> u64 {
        let more = |shard: &super::Shard| u64::from(shard.more.load(Ordering::Relaxed));
        self.keys.len() + self.keys.shards.iter().map(more).sum::<u64>()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Bytes of memory that it holds, as [`HashKeydir::memory_bytes`] counts them.
    pub fn memory_bytes(&self) -> u64 {
        self.keys.memory_bytes()
    }
}

/// As [`Exclusive`].
#[derive(Clone, Copy, Debug)]
pub struct ExclusiveBag<'a>(Exclusive<'a>);

impl<'a> ExclusiveBag<'a> {
    /// As [`BagKeydir::hash`].
    pub fn hash(self, key: Key<'_>) -> u64 {
        self.0.hash(key)
    }

    /// As [`HashKeydir::prefetch`].
    #[inline]
    pub fn prefetch(self, hash: u64) {
        self.0.prefetch(hash);
    }

    /// As [`BagKeydir::lock`].
    pub fn lock(self, shard: usize) -> BagGuard<'a> {
        BagGuard(self.0.lock(shard))
    }
}

fn hit(entry: Entry, same_form: bool) -> Hit {
    Hit {
        location: entry.location,
        same_form,
        deadline: entry.deadline,
    }
}

/// Adds the objects from the index `from` on, until `out` has `end`; whether it has.
fn push(out: &mut Batch, h32: u32, key: Key<'_>, entries: Entries<'_>, from: usize, end: usize) -> bool {
    for at in from..entries.len() {
        if out.len() == end {
            return true;
        }
        let entry = entries.get(at);
        let more = (at + 1 < entries.len()).then_some(entry.seq);
        out.push_object(h32, key, (entry.location, entry.deadline), more, at > from);
    }
    out.len() == end
}

impl Drop for BagKeydir {
    fn drop(&mut self) {
        for (index, shard) in self.keys.shards.iter_mut().enumerate() {
            let mut state = shard.state.get_mut().take();
            if state.is_none() {
                continue;
            }
            let writer = Writer::new(shard, &mut state, index, Reclaim::Now);
            for slot in writer.slots().iter().filter(|slot| slot.meta() != 0) {
                // SAFETY: each slot in use has a list of its own, and nobody else has the keydir any more.
                unsafe { list_of(slot).free(Reclaim::Now) };
            }
            // The shard goes with the keydir of the keys.
            *shard.state.get_mut() = state;
        }
    }
}

fn list_of(slot: &Slot) -> List {
    List::from_bits(slot.location())
}
