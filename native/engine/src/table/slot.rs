//! A table in parts by the hash of the key.

use super::{Table, Wait};
use crate::Result;
use crate::epoch;
use crate::keydir::SHARDS;

impl Table {
    /// How many bits make [`Table::slot`] give a few keys each, as many as there are now.
    pub fn slot_bits(&self) -> u32 {
        self.inner.keydir.load(&epoch::pin()).slot_bits()
    }

    /// The number of slots for so many bits.
    pub fn slots(bits: u32) -> usize {
        SHARDS << bits
    }

    /// The stored keys, suffixes included, of one of the [`Table::slots`] of a table in hash order. `None` if there is no such
    /// slot. For the same bits, a key is in one slot, always the same one. Never touches the disk.
    pub fn slot(&self, slot: usize, bits: u32, wait: Wait) -> Result<Option<Vec<Vec<u8>>>> {
        self.inner.check()?;
        let mut keys = Vec::new();
        let now = self.inner.log.time.now();
        let found = self
            .inner
            .calm(wait, |keydir| keydir.slot(slot, bits, now, &mut keys).ok())?;
        Ok(found.map(|()| keys))
    }
}
