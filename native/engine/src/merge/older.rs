//! Filters of the keys of older segments that are not merged: what a tombstone may hide.

use std::sync::Arc;

use super::{Filter, Merge, Outside};
use crate::format::record::Kind;
use crate::format::segment::HEADER_LEN;
use crate::segment::hint::{HintReader, identity};
use crate::segment::scan::{Found, Scanner};
use crate::table::Inner;
use crate::{Error, Result};

/// The making of filters, one segment after the other.
#[derive(Debug, Default)]
pub(super) struct Older {
    at: usize,
    reading: Option<Reading>,
    /// Hashes of the keys so far of the segment that is being read.
    hashes: Vec<u64>,
}

/// Where a segment's keys come from.
#[derive(Debug)]
enum Reading {
    /// From its hint, which is a fraction of the segment.
    Hint(HintReader),
    /// From itself, up to this place: its hint is missing or not right.
    Segment(Scanner, u64),
}

impl Merge {
    /// Whether a tombstone has to wait for filters.
    pub(super) fn lacks_filters(&self) -> bool {
        self.older.at < self.outside.len()
    }

    /// Makes filters of the keys of those other segments that may hold something older than a tombstone, or than a record that has expired, of the inputs.
    pub(super) fn filter(&mut self, inner: &Inner, budget: u64) -> Result<bool> {
        let last_seq = self.inputs.last().map_or(0, |input| input.entry.last_seq);
        let Some(other) = self.outside.get_mut(self.older.at) else {
            return Ok(false);
        };
        if let Some(made) = other.segment.filter() {
            other.filter = Some(made);
        }
        let wanted = other.entry.first_seq < last_seq && other.filter.is_none();
        if wanted && !other.segment.is_damaged() && self.older.read(inner, other, budget)? {
            return Ok(true);
        }
        self.older.hashes = Vec::new();
        self.older.reading = None;
        self.older.at += 1;
        Ok(true)
    }
}

impl Older {
    /// A segment that needs no filter has come before all others.
    pub(super) fn passed_over(&mut self) {
        self.at += 1;
    }

    /// Reads on in a segment; `false` once it is through, and the segment has its filter unless it is damaged.
    fn read(&mut self, inner: &Inner, other: &mut Outside, budget: u64) -> Result<bool> {
        let reading = match self.reading.take() {
            Some(reading) => reading,
            None => begin(inner, other)?,
        };
        let more = match reading {
            Reading::Hint(mut hint) => {
                if let Some(more) = self.read_hint(inner, &mut hint, budget) {
                    self.reading = Some(Reading::Hint(hint));
                    more
                } else {
                    self.hashes.clear();
                    self.reading = Some(scan(inner, other)?);
                    true
                }
            }
            Reading::Segment(mut scanner, mut pos) => {
                let more = self.read_segment(inner, other, &mut scanner, &mut pos, budget)?;
                self.reading = Some(Reading::Segment(scanner, pos));
                more
            }
        };
        if !more && !other.segment.is_damaged() {
            let filter = Arc::new(Filter::new(&self.hashes));
            other.segment.set_filter(Arc::clone(&filter));
            other.filter = Some(filter);
        }
        Ok(more)
    }

    /// `None` if the hint cannot be used.
    fn read_hint(&mut self, inner: &Inner, hint: &mut HintReader, budget: u64) -> Option<bool> {
        let (mut buf, mut read) = (Vec::new(), 0);
        let blocks = hint.blocks();
        while read < budget {
            let Some(place) = hint.next_place().ok()? else {
                return Some(false);
            };
            read += place.len() as u64;
            let mut block = blocks.read(place, &mut buf).ok()?;
            while let Some(entry) = block.next_entry().ok()? {
                if entry.kind == Kind::Put {
                    self.hashes.push(inner.hash(entry.key));
                }
            }
        }
        Some(true)
    }

    fn read_segment(
        &mut self,
        inner: &Inner,
        other: &Outside,
        scanner: &mut Scanner,
        pos: &mut u64,
        budget: u64,
    ) -> Result<bool> {
        let until = *pos + budget;
        while *pos < scanner.end() && *pos < until {
            let found = scanner.at(*pos, false);
            match found.map_err(|e| Error::io("read", &other.segment.path(), e))? {
                Found::Frame(frame) => {
                    if frame.head.kind == Kind::Put {
                        self.hashes.push(inner.hash(frame.key()));
                    }
                    *pos += frame.head.frame_len() as u64;
                }
                Found::Bad(_) => {
                    other.segment.set_damaged();
                    return Ok(false);
                }
            }
        }
        Ok(*pos < scanner.end())
    }
}

fn begin(inner: &Inner, other: &Outside) -> Result<Reading> {
    let log = &inner.log;
    let identity = identity(log.table, &other.entry);
    match HintReader::open(&*log.storage, &log.dir(), identity) {
        Ok(hint) => Ok(Reading::Hint(hint)),
        Err(_) => scan(inner, other),
    }
}

fn scan(inner: &Inner, other: &Outside) -> Result<Reading> {
    let segment = &other.segment;
    let file = segment
        .open(&*inner.log.storage)
        .map_err(|e| Error::io("open", &segment.path(), e))?;
    let scanner = Scanner::new(file, other.entry.id, other.entry.len);
    Ok(Reading::Segment(scanner, u64::from(HEADER_LEN)))
}
