//! The log of a snapshot: it only reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Log;
use super::append::Active;
use crate::dir::Dir;
use crate::format::manifest::Manifest;
use crate::format::segment::HEADER_LEN;
use crate::io::{Bytes, File, Storage};
use crate::segment::{Segment, Segments};
use crate::table::Config;
use crate::{Error, Result};

/// What a snapshot has of an unsealed segment.
#[derive(Debug)]
pub struct Written {
    segment: Arc<Segment>,
    /// Where its records end in the file.
    pub file_end: u64,
    /// Records that stand behind them, copied from the stage.
    pub staged: Vec<u8>,
    /// The first and the last seq in the file; the last is below the first while there is none.
    seqs: (u64, u64),
}

impl Written {
    /// Nothing of a segment.
    pub fn new(segment: &Arc<Segment>) -> Self {
        Written {
            segment: Arc::clone(segment),
            file_end: u64::from(HEADER_LEN),
            staged: Vec::new(),
            seqs: (1, 0),
        }
    }

    /// Counts records in the file that end here.
    pub fn records(&mut self, first_seq: u64, last_seq: u64, end: u64) {
        if self.seqs.1 < self.seqs.0 {
            self.seqs.0 = first_seq;
        }
        self.seqs.1 = last_seq;
        self.file_end = end;
    }
}

impl Log {
    /// The log of a snapshot, whose manifest is not its own. All writes are refused.
    pub fn for_reading(
        storage: Arc<dyn Storage>,
        dir: Arc<Dir>,
        config: Config,
        mut manifest: Manifest,
        segments: Segments,
        written: Vec<Written>,
        last_seq: u64,
    ) -> Self {
        // They are the writer's to remove.
        manifest.retired.clear();
        let slot = u16::try_from(segments.len()).unwrap_or(u16::MAX);
        // Stands where an active segment would, and is in no list of segments.
        let none = Arc::new(Segment::new(&dir, 0, slot));
        let file: Arc<dyn File> = Arc::new(Bytes(Vec::new()));
        let mut log = Log::new(
            storage,
            dir,
            config,
            manifest,
            segments,
            (none, Arc::clone(&file)),
            last_seq,
        );
        log.sticky.set(Error::Snapshot);
        let end = log.append.get_mut();
        for Written {
            segment,
            file_end,
            staged,
            seqs,
        } in written
        {
            let bytes = file_end - u64::from(HEADER_LEN) + staged.len() as u64;
            log.disk_bytes.fetch_add(bytes, Ordering::Relaxed);
            let mut active = Active::new((Arc::clone(&segment), Arc::clone(&file)), seqs.0);
            active.tail = file_end as u32;
            active.records_end = active.tail;
            active.last_seq = seqs.1;
            end.sealing.push(active);
            if !staged.is_empty() {
                segment.set_staged_from(Some(file_end as u32));
                // Empty by its seqs: what it holds in its file is told above.
                end.active = Active::new((segment, Arc::clone(&file)), last_seq + 1);
                end.active.tail = (file_end + staged.len() as u64) as u32;
                end.buf = staged;
            }
        }
        log
    }

    /// Refuses what changes a table.
    pub fn check_writable(&self) -> Result<()> {
        if self.config.read_only {
            Err(Error::Snapshot)
        } else {
            Ok(())
        }
    }
}
