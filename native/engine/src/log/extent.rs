//! What an open table's log holds at a moment, for those who read it from front to back.

use std::sync::Arc;

use super::Log;
use super::append::Active;
use crate::Result;
use crate::format::manifest::State;
use crate::segment::Segment;

/// The written part of a segment.
#[derive(Clone, Debug)]
pub struct Extent {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Where its frames end, in bytes.
    pub end: u64,
    /// Its lowest seq.
    pub first_seq: u64,
    /// Its highest seq.
    pub last_seq: u64,
}

impl Log {
    /// All segments that have records, written out up to their ends. Later records stand behind. Writes to the file what is staged, and
    /// so may wait for the disk.
    pub fn extents(&self) -> Result<Vec<Extent>> {
        let maintenance = self.maintenance.lock();
        self.check_open()?;
        let mut end = self.append.lock();
        // A snapshot has nothing to write: its staged records are in memory alone, and were checked when it was opened.
        if !self.config.read_only {
            end.flush()?;
        }
        let segments = self.segments.hold();
        let mut extents = Vec::new();
        for entry in &maintenance.manifest.segments {
            let found = segments.iter().flatten().find(|segment| segment.id == entry.id);
            if let (State::Sealed, Some(segment)) = (entry.state, found) {
                extents.push(Extent {
                    segment: Arc::clone(segment),
                    end: entry.len,
                    first_seq: entry.first_seq,
                    last_seq: entry.last_seq,
                });
            }
        }
        let unsealed = end.sealing.iter().chain([&end.active]);
        extents.extend(unsealed.filter(|active| !active.is_empty()).map(|active| {
            let Active {
                segment,
                records_end,
                first_seq,
                last_seq,
                ..
            } = active;
            Extent {
                segment: Arc::clone(segment),
                end: u64::from(*records_end),
                first_seq: *first_seq,
                last_seq: *last_seq,
            }
        }));
        Ok(extents)
    }
}
