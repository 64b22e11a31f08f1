//! A shard of the hash table: linear probing, 8 bytes a slot, doubled when three of four slots are taken.
//!
//! A slot has 24 bits of the hash and 40 of the location. Where the search for a key begins is told by the upper ones of those bits, so doubling and removing
//! look at no key. A word for each eight slots, in which a key sets three bits, tells of most hashes that they are not there, and stays in the processor's
//! caches. The bits of a key that goes stay until the slots are doubled.

use crate::vm::prefetch;

/// Bits of a word that a location takes, the lower ones.
pub const LOCATION_BITS: u32 = 40;
const TAG_BITS: u32 = 24;
const FIRST_BITS: u32 = 4;
/// So many slots share a word of marks.
const GROUP: usize = 8;

/// A shard's slots; 0 is an empty one.
pub struct Slots {
    words: Vec<u64>,
    marks: Vec<u64>,
    bits: u32,
    taken: usize,
}

/// The location in a word.
pub fn location(word: u64) -> u64 {
    word & ((1 << LOCATION_BITS) - 1)
}

/// The bits of the hash that stand in a slot: those below the eight that name the shard.
fn tag(hash: u64) -> u64 {
    hash << 8 >> (u64::BITS - TAG_BITS)
}

impl Slots {
    pub fn new() -> Self {
        Slots {
            words: vec![0; 1 << FIRST_BITS],
            marks: vec![0; (1 << FIRST_BITS) / GROUP],
            bits: FIRST_BITS,
            taken: 0,
        }
    }

    #[inline]
    fn home(&self, tag: u64) -> usize {
        (tag >> (TAG_BITS - self.bits)) as usize
    }

    /// The word where a key is marked, and its bits there.
    #[inline]
    fn mark(&self, tag: u64) -> (usize, u64) {
        let mixed = (tag as u32).wrapping_mul(0x9e37_79b1);
        let bits = 1 << (mixed >> 26) | 1 << (mixed >> 20 & 63) | 1 << (mixed >> 14 & 63);
        (self.home(tag) / GROUP, bits)
    }

    /// Whether a slot may have this hash.
    #[inline]
    pub fn may_have(&self, hash: u64) -> bool {
        let (word, bits) = self.mark(tag(hash));
        self.marks[word] & bits == bits
    }

    /// All slots.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Has the processor fetch where the search for a hash begins.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&raw const self.words[self.home(tag(hash))]);
    }

    /// The place of the slot with this hash whose location `is_it`, or of the empty one that ends the search.
    #[inline]
    pub fn find(&self, hash: u64, is_it: impl Fn(u64) -> bool) -> Result<usize, usize> {
        let (tag, mask) = (tag(hash), self.words.len() - 1);
        let mut at = self.home(tag);
        loop {
            let word = self.words[at & mask];
            if word == 0 {
                return Err(at & mask);
            }
            if word >> LOCATION_BITS == tag && is_it(location(word)) {
                return Ok(at & mask);
            }
            at += 1;
        }
    }

    /// The location at a place that `find` gave.
    #[inline]
    pub fn at(&self, at: usize) -> u64 {
        location(self.words[at])
    }

    /// Points the slot with this hash elsewhere.
    #[inline]
    pub fn set(&mut self, at: usize, hash: u64, location: u64) {
        self.words[at] = tag(hash) << LOCATION_BITS | location;
    }

    /// Takes the empty slot that `find` gave.
    pub fn insert(&mut self, at: usize, hash: u64, location: u64) {
        self.set(at, hash, location);
        let (word, bits) = self.mark(tag(hash));
        self.marks[word] |= bits;
        self.taken += 1;
        if self.taken * 4 > self.words.len() * 3 {
            self.double();
        }
    }

    fn double(&mut self) {
        self.bits += 1;
        let len = 2 * self.words.len();
        self.marks = vec![0; len / GROUP];
        for word in std::mem::replace(&mut self.words, vec![0; len]) {
            if word != 0 {
                let (mark, bits) = self.mark(word >> LOCATION_BITS);
                self.marks[mark] |= bits;
                let mut at = self.home(word >> LOCATION_BITS);
                while self.words[at & (len - 1)] != 0 {
                    at += 1;
                }
                self.words[at & (len - 1)] = word;
            }
        }
    }

    /// Empties a slot, and moves into it what an empty one would hide.
    pub fn remove(&mut self, mut hole: usize) {
        let mask = self.words.len() - 1;
        let mut next = hole;
        loop {
            next = (next + 1) & mask;
            let word = self.words[next];
            if word == 0 {
                break;
            }
            let from_home = next.wrapping_sub(self.home(word >> LOCATION_BITS)) & mask;
            if from_home >= next.wrapping_sub(hole) & mask {
                self.words[hole] = word;
                hole = next;
            }
        }
        self.words[hole] = 0;
        self.taken -= 1;
    }
}
