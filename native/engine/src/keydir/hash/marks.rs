//! Which hashes are surely not there: a small Bloom filter for each eight homes, a word of 64 bits, in which an entry sets three.
//!
//! A slot is nearly always out of the processor's caches, and the marks, a sixteenth of the slots, nearly always in them. So a
//! look for a key that is not there ends at its word 97 times in a hundred, without waiting for memory. Entries stand in the order
//! of their hashes, so those that share a word are neighbours: when one goes, the word is made anew of the others, and no bit is ever left over.
//! Filters of one word each are those of Putze, Sanders and Singler, "Cache-, hash- and space-efficient Bloom filters", 2007.

use super::slots::{self, Slot};
use crate::keydir::prefetch::{LINE, prefetch};
use crate::sync::{AtomicU64, Ordering};

/// The homes that share a word, a power of two.
const HOMES: usize = 8;

/// The marks of a shard's entries, as the words for all of its homes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks<'a> {
    words: &'a [AtomicU64],
    /// The number of homes.
    capacity: u32,
}

/// So many words of marks belong to so many homes.
pub(super) const fn words(capacity: u32) -> usize {
    (capacity as usize).div_ceil(HOMES)
}

impl<'a> Marks<'a> {
    /// The marks in these words, as many as [`words`] says.
    pub(super) fn new(words: &'a [AtomicU64], capacity: u32) -> Self {
        Marks { words, capacity }
    }

    /// The number of homes.
    pub(super) fn homes(self) -> u32 {
        self.capacity
    }

    /// Whether an entry may have this hash. `false` if there are no homes.
    #[inline]
    pub(super) fn may_have(self, h32: u32) -> bool {
        let bits = bits(h32);
        self.words
            .get(self.home(h32) / HOMES)
            .is_some_and(|word| word.load(Ordering::Acquire) & bits == bits)
    }

    /// Marks that an entry has this hash.
    #[inline]
    pub(super) fn set(self, h32: u32) {
        let word = &self.words[self.home(h32) / HOMES];
        let before = word.load(Ordering::Relaxed);
        let after = before | bits(h32);
        // Readers share the line.
        if before != after {
            word.store(after, Ordering::Release);
        }
    }

    /// Makes the word anew in which this hash was marked, of the entries that the slots have now.
    pub(super) fn renew(self, h32: u32, slots: &[Slot]) {
        let first = self.home(h32) / HOMES * HOMES;
        let behind = first + HOMES;
        let mut after = 0;
        for (at, slot) in slots.iter().enumerate().skip(first) {
            let meta = slot.meta();
            let hash = slots::hash_of(meta);
            if meta == 0 {
                // No entry stands behind an empty slot and has its home before it.
                if at >= behind {
                    break;
                }
            } else if self.home(hash) >= behind {
                break;
            } else if self.home(hash) >= first {
                after |= bits(hash);
            }
        }
        let word = &self.words[first / HOMES];
        if word.load(Ordering::Relaxed) != after {
            word.store(after, Ordering::Release);
        }
    }

    /// Has the processor fetch the slots that [`Marks::renew`] will look at for this hash, without waiting.
    pub(super) fn prefetch_slots(self, h32: u32, slots: &[Slot]) {
        let first = slots.as_ptr().wrapping_add(self.home(h32) / HOMES * HOMES);
        for line in 0..HOMES * size_of::<Slot>() / LINE {
            prefetch(first.wrapping_add(line * (LINE / size_of::<Slot>())));
        }
    }

    /// The words as they are now.
    #[cfg(test)]
    pub(super) fn bits(self) -> Vec<u64> {
        self.words
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
            .collect()
    }

    #[inline]
    fn home(self, h32: u32) -> usize {
        slots::home(h32, self.capacity)
    }
}

/// Where the word with the mark of this hash stands behind the first one, in bytes.
#[inline]
pub(super) fn offset(home: usize) -> usize {
    home / HOMES * size_of::<u64>()
}

/// The bits of a hash in its word, of which two may be the same. The hash's high bits tell the word; the product brings what its low bits tell
/// into the high ones, of which each six are a bit's number.
#[inline]
fn bits(h32: u32) -> u64 {
    let mixed = h32.wrapping_mul(0x9e37_79b1);
    1 << (mixed >> 26) | 1 << (mixed >> 20 & 63) | 1 << (mixed >> 14 & 63)
}
