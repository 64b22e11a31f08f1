//! Pointing the keydir at the copies.

use std::collections::HashSet;

use super::Merge;
use crate::cache::Spot;
use crate::format::frame::Kind;
use crate::format::segment::HEADER_LEN;
use crate::keydir::Location;
use crate::segment::read::explain;
use crate::segment::scan::Found;
use crate::table::{Inner, Wait};
use crate::{Error, Result};

impl Merge {
    /// Goes through the records of the outputs. Where the keydir has a key in an input, that is the record that was copied: another one of the key
    /// would be newer, and nothing is written to sealed segments.
    pub(super) fn relocate(&mut self, inner: &Inner, budget: u64) -> Result<bool> {
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
                            cache.relocate(Spot { hash, location: old }, new);
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

    /// Removes the inputs' files. If an object were live in one all the same, that would be a fault of this library: then all of them stay until
    /// the table is closed, there is no other merge until then, and nothing is lost.
    pub(super) fn retire(&mut self, inner: &Inner) -> Result<bool> {
        if self.inputs.iter().any(|input| input.segment.live_bytes() > 0) {
            return Err(Error::MergeStuck);
        }
        inner.log.remove_inputs(&self.input_files());
        Ok(false)
    }
}
