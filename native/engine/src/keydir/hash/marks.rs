//! Which hashes are surely not there: eight bits for each home, one for each eighth of the hashes that have it.
//!
//! A slot is nearly always out of the processor's caches, and the marks, a sixteenth of the slots, nearly always in them. So a
//! look for a key that is not there ends at its mark nine times in ten, without waiting for memory. Entries stand in the order of
//! their hashes, so those that share a mark are neighbours: a mark goes with its last entry, and none is ever left over.

use crate::sync::{AtomicU8, Ordering};

/// The marks of a shard's entries, a byte for each home.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks<'a>(pub(super) &'a [AtomicU8]);

impl Marks<'_> {
    /// The number of homes.
    pub(super) fn homes(self) -> u32 {
        self.0.len() as u32
    }

    /// Whether an entry may have this hash. `false` if there are no homes.
    #[inline]
    pub(super) fn may_have(self, h32: u32) -> bool {
        let (home, bit) = self.place(h32);
        self.0
            .get(home)
            .is_some_and(|byte| byte.load(Ordering::Acquire) & bit != 0)
    }

    /// Marks that an entry has this hash.
    #[inline]
    pub(super) fn set(self, h32: u32) {
        let (home, bit) = self.place(h32);
        let byte = &self.0[home];
        let before = byte.load(Ordering::Relaxed);
        // Readers share the line.
        if before & bit == 0 {
            byte.store(before | bit, Ordering::Release);
        }
    }

    /// Takes away the mark of an entry that goes, if neither of its neighbours in the order of the hashes shares it.
    pub(super) fn clear(self, h32: u32, neighbours: [Option<u32>; 2]) {
        let (home, bit) = self.place(h32);
        if !neighbours
            .into_iter()
            .flatten()
            .any(|other| self.place(other) == (home, bit))
        {
            let byte = &self.0[home];
            byte.store(byte.load(Ordering::Relaxed) & !bit, Ordering::Release);
        }
    }

    /// The home of a hash, as [`home`](super::slots::home) has it, and which eighth of its hashes it belongs to.
    #[inline]
    fn place(self, h32: u32) -> (usize, u8) {
        let eighths = (u64::from(h32) * self.0.len() as u64) >> 29;
        ((eighths >> 3) as usize, 1 << (eighths & 7))
    }
}
