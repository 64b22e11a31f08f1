//! Applying units to a keydir in hash order: a part is some of its shards, for which each unit has the records sorted.

use super::super::load::apply_under;
use super::unit::Unit;
use super::{Load, Stopped};
use crate::Result;
use crate::keydir::prefetch::prefetch;
use crate::keydir::{Hashed, SHARDS};

/// A round's applying is cut into so many parts.
const PARTS: usize = 32;

impl Load<'_> {
    /// Applies the units of `now` and decodes those of `next`.
    pub(super) fn hashed_round(
        &self,
        keydir: Hashed<'_>,
        now: &[Unit],
        next: &mut [Unit],
        threads: usize,
    ) -> std::result::Result<(), Stopped> {
        let parts = match (now.is_empty(), threads) {
            (true, _) => 0,
            (_, 1) => 1,
            _ => PARTS,
        };
        self.round(next, Some(keydir), parts, threads, |part| {
            let shards = SHARDS * part / parts..SHARDS * (part + 1) / parts;
            self.apply_shards(keydir, now, shards)
        })
    }

    /// Applies what the units have for some shards.
    fn apply_shards(&self, keydir: Hashed<'_>, units: &[Unit], shards: std::ops::Range<usize>) -> Result<()> {
        let mut live = vec![0; units.len()];
        for shard in shards {
            if units.iter().all(|unit| unit.items[shard].is_empty()) {
                continue;
            }
            // The keys were decoded by another thread, and the slots were last used a round ago: waiting for them one by one would be half of a load.
            for unit in units {
                for item in &unit.items[shard] {
                    keydir.prefetch(item.hash);
                    prefetch(unit.bytes.as_ptr().wrapping_add(item.start as usize));
                }
            }
            let mut guard = keydir.lock(shard);
            for (unit, live) in units.iter().zip(&mut live) {
                for item in &unit.items[shard] {
                    let record = item.record(unit.key(item));
                    apply_under(&mut guard, self.segments, &record, self.expiry, live)
                        .map_err(|r| self.refused(unit.source, item, r))?;
                }
            }
        }
        for (unit, live) in units.iter().zip(live) {
            self.sources[unit.source].segment.add_live_bytes(live);
        }
        Ok(())
    }
}
