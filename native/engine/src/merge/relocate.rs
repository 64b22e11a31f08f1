//! Pointing the keydir at the copies.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;

use super::mark::by_slot;
use super::{MAX_REST, Merge, await_writers};
use crate::cache::Spot;
use crate::format::record::Kind;
use crate::format::segment::HEADER_LEN;
use crate::keydir::Location;
use crate::segment::read::explain;
use crate::segment::scan::Found;
use crate::table::{Inner, Wait};
use crate::{Error, Result};

/// So many inputs are removed at once.
const RETIRED_AT_ONCE: usize = 8;
/// The large ones of so many times that are freed by background threads at most.
const FREED_AT_ONCE: usize = if cfg!(test) { 1 } else { 4 };
/// So often, for [`MAX_REST`], a merge waits for them. Then it does without.
const MAX_WAITS: u32 = 100;
/// The value cache is asked for so many records ahead.
const WARMED: usize = 32;

impl Merge {
    /// Points the next keys at the outputs.
    pub(super) fn relocate(&mut self, inner: &Inner, budget: u64) -> Result<bool> {
        // Of many objects of a key, only the record tells which one is meant.
        if self.sweeps && !inner.kind.is_bag() {
            self.relocate_keys(inner, budget)
        } else {
            self.relocate_records(inner, budget)
        }
    }

    /// Goes through the keydir. A key that points to an input has done so since before, so what was noted tells where its record went.
    fn relocate_keys(&mut self, inner: &Inner, budget: u64) -> Result<bool> {
        let more = self.next_keys(inner, budget)?;
        let inputs = self.inputs_by_slot();
        let outputs = by_slot(self.outputs.iter().map(|output| output.segment.slot));
        let at =
            |by_slot: &[Option<usize>], location: Location| *by_slot.get(usize::from(location.segment()))?;
        let moves: Vec<_> = self
            .batch
            .iter()
            .filter_map(|(key, old)| {
                let input = &self.inputs[at(&inputs, old)?];
                let new = input.notes.moved(old)?;
                let ends = (&input.segment, &self.outputs[at(&outputs, new)?].segment);
                Some((inner.hash(key), key, ends, old, new))
            })
            .collect();
        for some in moves.chunks(WARMED) {
            if let Some(cache) = inner.cache.as_ref().filter(|cache| cache.has_entries()) {
                let spots = some
                    .iter()
                    .map(|&(hash, _, _, location, _)| Spot::new(hash, location));
                // The guard is not kept: who waits for a lock must not hold up the freeing of memory.
                drop(cache.warm(spots, false));
            }
            for &(hash, key, (input, output), old, new) in some {
                inner.with_shard(key, Wait::May, |_, shard| {
                    // It has not changed since, or it points to none of the inputs.
                    if shard.move_to(hash, key, old, new) {
                        output.add_live(new, input.frame_len(old));
                        input.add_dead(old);
                        if let Some(cache) = &inner.cache {
                            cache.relocate(Spot::new(hash, old), new);
                        }
                    }
                    Ok(())
                })?;
            }
        }
        Ok(more)
    }

    /// Goes through the records of the outputs. Where the keydir has a key in an input, that is the record that was copied: another one of the key
    /// would be newer, and nothing is written to sealed segments.
    fn relocate_records(&mut self, inner: &Inner, budget: u64) -> Result<bool> {
        let Some(output) = self.outputs.get(self.at) else {
            return Ok(false);
        };
        let inputs: HashSet<u16> = self.inputs.iter().map(|input| input.segment.slot).collect();
        let segment = &output.segment;
        let scanner = Self::scanner(&mut self.scanner, inner, segment, &output.entry)?;
        self.pos = self.pos.max(u64::from(HEADER_LEN));
        let until = self.pos + budget;
        while self.pos < scanner.end() && self.pos < until {
            let frame = match scanner
                .at(self.pos, false)
                .map_err(|e| Error::io("read", &segment.path(), e))?
            {
                Found::Frame(frame) => frame,
                Found::Bad(bad) => {
                    return Err(Error::Damaged {
                        path: segment.path(),
                        offset: self.pos,
                        what: explain(bad),
                    });
                }
            };
            let len = frame.head.frame_len() as u64;
            if frame.head.kind == Kind::Put {
                let (key, _) = if inner.kind.is_bag() {
                    frame.key().split_fingerprint()
                } else {
                    (frame.key(), 0)
                };
                let new = Location::new(segment.slot, self.pos as u32, len);
                inner.with_shard(key, Wait::May, |hash, shard| {
                    let was = |old: Location| inputs.contains(&old.segment());
                    if let Some(old) = shard.relocate(hash, key, frame.head.seq, was, new) {
                        segment.add_live(new, len);
                        inner.log.add_dead(old);
                        if let Some(cache) = &inner.cache {
                            cache.relocate(Spot::new(hash, old), new);
                        }
                    }
                    Ok(())
                })?;
            }
            self.pos += len;
        }
        if self.pos < scanner.end() {
            return Ok(true);
        }
        self.at += 1;
        (self.pos, self.scanner) = (0, None);
        Ok(true)
    }

    /// Removes the inputs' files, some in each step, unless background threads have much to free of those that went before. If an object were live in one all the same, that would be a
    /// fault of this library: then all of them stay until the table is closed, there is no other merge until then, and nothing is lost.
    pub(super) fn retire(&mut self, inner: &Inner) -> Result<bool> {
        // Of the threads one may be at work for long, or all of them.
        if Arc::strong_count(&self.freeing) > FREED_AT_ONCE && self.waited < MAX_WAITS {
            self.waited += 1;
            thread::sleep(MAX_REST);
            return Ok(true);
        }
        if self.at == 0 {
            // What was replaced a moment ago may not be counted as dead yet.
            await_writers(inner);
        }
        if self.inputs.iter().any(|input| input.segment.live_bytes() > 0) {
            return Err(Error::MergeStuck);
        }
        let next = self.at..self.inputs.len().min(self.at + RETIRED_AT_ONCE);
        let held = self.remove_inputs(inner, next);
        if self.waited < MAX_WAITS {
            held.free(Arc::clone(&self.freeing));
        }
        self.at += RETIRED_AT_ONCE;
        Ok(self.at < self.inputs.len())
    }
}
