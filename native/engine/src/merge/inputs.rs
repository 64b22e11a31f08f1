//! What is read of segments before anything is copied: the inputs, to be sure of them, and the keys of older ones.

use std::sync::Arc;

use super::{Filter, Merge};
use crate::format::frame::Kind;
use crate::format::segment::HEADER_LEN;
use crate::seeded::{self, Fault};
use crate::segment::scan::Found;
use crate::table::Inner;
use crate::{Deadline, Error, Result};

impl Merge {
    /// Reads and checks records of the inputs. An input with damage is no input any more, and stays as it is.
    pub(super) fn verify(&mut self, inner: &Inner, budget: u64) -> Result<bool> {
        let Some(input) = self.inputs.get(self.at) else {
            return Ok(false);
        };
        let segment = &input.segment;
        let scanner = Self::scanner(&mut self.scanner, inner, segment, &input.entry)?;
        self.pos = self.pos.max(u64::from(HEADER_LEN));
        let until = self.pos + budget;
        let now = inner.log.time.read();
        let mut good = true;
        while good && self.pos < scanner.end() && self.pos < until {
            match scanner
                .at(self.pos, true)
                .map_err(|e| Error::io("read", &segment.path(), e))?
            {
                Found::Frame(frame) => {
                    good = frame.value().is_ok();
                    let kind = frame.head.kind;
                    self.has_removals |= matches!(kind, Kind::Delete | Kind::DeleteObject | Kind::Clear)
                        || Deadline::of(frame.head.expiry_ms).is_over(now);
                    self.pos += frame.head.frame_len() as u64;
                }
                Found::Bad(_) => good = false,
            }
        }
        if !good {
            segment.set_damaged();
            let left = self.inputs.remove(self.at);
            self.report.inputs.retain(|&id| id != left.entry.id);
            self.report.damaged.push(left.entry.id);
            self.report.input_bytes -= left.entry.len;
            if !seeded::has(Fault::DamagedForgotten) {
                self.outside.push(super::Outside {
                    segment: left.segment,
                    entry: left.entry,
                    filter: None,
                });
            }
        } else if self.pos < scanner.end() {
            return Ok(true);
        } else {
            self.at += 1;
        }
        (self.pos, self.scanner) = (0, None);
        Ok(true)
    }

    /// Makes filters of the keys of those other segments that may hold something older than a tombstone, or than a record that has expired, of the inputs.
    pub(super) fn filter(&mut self, inner: &Inner, budget: u64) -> Result<bool> {
        let last_seq = self.inputs.last().map_or(0, |input| input.entry.last_seq);
        let Some(other) = self.outside.get_mut(self.at) else {
            return Ok(false);
        };
        if let Some(made) = other.segment.filter() {
            other.filter = Some(made);
        }
        let wanted = other.entry.first_seq < last_seq && other.filter.is_none();
        if wanted && !other.segment.is_damaged() {
            let scanner = Self::scanner(&mut self.scanner, inner, &other.segment, &other.entry)?;
            self.pos = self.pos.max(u64::from(HEADER_LEN));
            let until = self.pos + budget;
            while self.pos < scanner.end() && self.pos < until {
                match scanner
                    .at(self.pos, false)
                    .map_err(|e| Error::io("read", &other.segment.path(), e))?
                {
                    Found::Frame(frame) => {
                        if frame.head.kind == Kind::Put {
                            self.hashes.push(inner.hash(frame.key()));
                        }
                        self.pos += frame.head.frame_len() as u64;
                    }
                    Found::Bad(_) => {
                        other.segment.set_damaged();
                        break;
                    }
                }
            }
            if !other.segment.is_damaged() {
                if self.pos < scanner.end() {
                    return Ok(true);
                }
                let filter = Arc::new(Filter::new(&self.hashes));
                other.segment.set_filter(Arc::clone(&filter));
                other.filter = Some(filter);
            }
        }
        self.hashes = Vec::new();
        self.at += 1;
        (self.pos, self.scanner) = (0, None);
        Ok(true)
    }
}
