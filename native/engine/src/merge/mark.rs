//! Noting which records are live, by going through the keydir.

use super::{Merge, await_writers};
use crate::keydir::Batch;
use crate::table::Inner;
use crate::{Key, Result};

/// A step looks at a key for each so many bytes of its budget.
const KEY_BYTES: u64 = 128;

impl Merge {
    /// Notes which records of inputs the next keys point to. What is overwritten meanwhile may be noted too: its copy will be dead. What is not noted stays dead, since no
    /// record of a sealed segment becomes live.
    pub(super) fn mark(&mut self, inner: &Inner, budget: u64) -> Result<bool> {
        if self.report.inputs.is_empty() {
            return Ok(false);
        }
        if self.at == 0 {
            // A record that was appended to an input and is not shown yet would be taken for dead.
            await_writers(inner);
            self.at = 1;
        }
        if !self.sweeps {
            return Ok(false);
        }
        let more = self.next_keys(inner, budget)?;
        let by_slot = self.inputs_by_slot();
        for (_, location) in self.batch.iter() {
            if let Some(&Some(at)) = by_slot.get(usize::from(location.segment())) {
                self.inputs[at].notes.set_live(location.offset());
            }
        }
        Ok(more)
    }

    /// Gathers the next keys of the keydir, expired ones too. `true` if there may be more.
    pub(super) fn next_keys(&mut self, inner: &Inner, budget: u64) -> Result<bool> {
        let limit = (budget / KEY_BYTES).max(1) as usize;
        let (cursor, batch) = (&self.cursor, &mut self.batch);
        let more = loop {
            batch.clear();
            let scanned = inner
                .keydir
                .hold()
                .scan(&cursor.span(), cursor.within(), limit, batch);
            // A writer that panicked keeps its shard for ever, and a close puts an empty keydir in place.
            inner.check()?;
            if let Ok(more) = scanned {
                break more;
            }
            std::thread::yield_now();
        };
        if let Some(key) = last_key(&self.batch) {
            self.cursor.go_on(key, self.batch.within(self.batch.len()));
        }
        Ok(more)
    }

    /// The index of the input with each slot.
    pub(super) fn inputs_by_slot(&self) -> Vec<Option<usize>> {
        by_slot(self.inputs.iter().map(|input| input.segment.slot))
    }
}

/// The index among these slots of each.
pub(super) fn by_slot(slots: impl Iterator<Item = u16> + Clone) -> Vec<Option<usize>> {
    let count = slots.clone().max().map_or(0, |slot| usize::from(slot) + 1);
    let mut by_slot = vec![None; count];
    for (at, slot) in slots.enumerate() {
        by_slot[usize::from(slot)] = Some(at);
    }
    by_slot
}

fn last_key(batch: &Batch) -> Option<Key<'_>> {
    batch.iter().next_back().map(|(key, _)| key)
}
