//! Reading a sealed segment from front to back in pieces: every record that matters to the keydir, checked, and its hint on the way.

use std::sync::Arc;

use super::Segment;
use super::hint::HintWriter;
use super::read::explain;
use super::scan::{Found, Scanner};
use crate::format::hint::{Entry, Identity};
use crate::format::record::Kind;
use crate::format::segment::HEADER_LEN;
use crate::io::File;
use crate::{Error, Result};

/// A sealed segment that is being read.
#[derive(Debug)]
pub struct Reading {
    scanner: Scanner,
    identity: Identity,
    pos: u64,
    seq: u64,
    /// Its hint, unless it could not be written.
    hint: Option<HintWriter>,
}

impl Reading {
    /// Begins to read the segment in `file`. `hint` is the beginning of its hint, if one is to be written.
    pub fn new(file: Arc<dyn File>, identity: Identity, hint: Option<HintWriter>) -> Self {
        Reading {
            scanner: Scanner::new(file, identity.segment, identity.len),
            identity,
            pos: u64::from(HEADER_LEN),
            seq: identity.first_seq.saturating_sub(1),
            hint,
        }
    }

    /// Whether all of the segment was read.
    pub fn is_done(&self) -> bool {
        self.pos >= self.identity.len
    }

    /// Whether its hint is being written and did not fail so far.
    pub fn has_hint(&self) -> bool {
        self.hint.is_some()
    }

    /// Hands the records of the next `len` bytes or so to `each`. At the end of the segment, completes the hint. An error is damage of the
    /// segment, or a failed read; a hint that cannot be written is given up silently.
    pub fn read_piece(
        &mut self,
        segment: &Segment,
        len: u64,
        mut each: impl FnMut(&Entry<'_>),
    ) -> Result<()> {
        let damaged = |offset, what| Error::Damaged {
            path: segment.path(),
            offset,
            what,
        };
        let end = self.identity.len.min(self.pos.saturating_add(len));
        while self.pos < end {
            let pos = self.pos;
            let found = self.scanner.at(pos, false);
            let frame = match found.map_err(|e| Error::io("read", &segment.path(), e))? {
                Found::Frame(frame) => frame,
                Found::Bad(bad) => return Err(damaged(pos, explain(bad))),
            };
            let head = frame.head;
            let is_record = !matches!(head.kind, Kind::Batch | Kind::Commit | Kind::Mark);
            if is_record && head.seq <= self.seq || head.seq > self.identity.last_seq {
                return Err(damaged(pos, "the record's seq is out of order"));
            }
            self.pos += head.frame_len() as u64;
            if !is_record {
                continue;
            }
            self.seq = head.seq;
            let record = Entry {
                kind: head.kind,
                seq: head.seq,
                offset: pos as u32,
                frame_len: head.frame_len() as u32,
                expiry_ms: head.expiry_ms,
                key: frame.key(),
            };
            if self.hint.as_mut().is_some_and(|hint| hint.add(&record).is_err()) {
                self.hint = None;
            }
            each(&record);
        }
        if self.is_done() {
            if self.seq != self.identity.last_seq {
                return Err(damaged(self.pos, "the segment ends before its last record"));
            }
            if let Some(hint) = self.hint.take() {
                // Without it the next opening reads the segment again.
                let _ = hint.finish(&self.identity);
            }
        }
        Ok(())
    }
}
