//! Parts of the table by the hash: each shard is cut into ranges of hashes of the same width.

use super::HashKeydir;
use crate::keydir::{Busy, Location, SHARDS};
use crate::sync::Ordering;
use crate::{Deadline, Now};

impl HashKeydir {
    /// Replaces what is in `out` by the stored keys, suffixes included, of one of `SHARDS << bits` slots. `bits` is at most 24. `None` if there is
    /// no such slot. Takes no lock. Costs O(keys of the slot) if there are about as many slots as keys.
    pub fn slot(&self, slot: usize, bits: u32, now: Now, out: &mut Vec<Vec<u8>>) -> Result<Option<()>, Busy> {
        self.slot_with(slot, bits, out, |_, deadline| !deadline.is_over(now))
    }

    /// The same, where `is_there` judges what stands in the slots.
    pub(super) fn slot_with(
        &self,
        slot: usize,
        bits: u32,
        out: &mut Vec<Vec<u8>>,
        is_there: impl Fn(Location, Deadline) -> bool,
    ) -> Result<Option<()>, Busy> {
        out.clear();
        let Some(shard) = self.shards.get(slot >> bits) else {
            return Ok(None);
        };
        if shard.len.load(Ordering::Acquire) == 0 {
            return Ok(Some(()));
        }
        let part = (slot & ((1 << bits) - 1)) as u32;
        let width = u32::BITS - bits;
        let first = part.checked_shl(width).unwrap_or(0);
        let last = first | u32::MAX.checked_shr(bits).unwrap_or(0);
        shard.read(|view| {
            out.clear();
            view.walk(first, None, usize::MAX, |h32, stored, word| {
                let inside = h32 <= last;
                if inside && is_there(word, stored.deadline) {
                    out.push(stored.key.bytes().to_vec());
                }
                inside
            })
        })?;
        Ok(Some(()))
    }

    /// How many bits make [`HashKeydir::slot`] give a few keys each.
    pub fn slot_bits(&self) -> u32 {
        let keys_per_shard = self.len() / SHARDS as u64;
        (u64::BITS - keys_per_shard.leading_zeros()).min(24)
    }
}
