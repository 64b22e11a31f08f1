//! Reading a file of which some blocks cannot be read.

use std::io::{ErrorKind, Result};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::report::{Fault, Loss, Report};
use crate::io::File;

/// What a disk reads at once.
const BLOCK_LEN: u64 = 4096;

/// A file whose unreadable blocks read as zeros, which are no records.
#[derive(Debug)]
pub struct Patient {
    file: Arc<dyn File>,
    /// From the first unreadable byte to behind the last.
    unreadable: Mutex<Option<Range<u64>>>,
}

impl Patient {
    /// Reads this file.
    pub fn new(file: Arc<dyn File>) -> Self {
        Patient {
            file,
            unreadable: Mutex::new(None),
        }
    }

    /// Reports the blocks that could not be read. What was lost with them the search for records has told.
    pub fn report(&self, path: &Path, report: &mut Report) {
        if let Some(Range { start, end }) = self.unreadable.lock().take() {
            let what = "the disk cannot read these bytes";
            report.add(Fault::new(path, start, end - start, what, Loss::Nothing));
        }
    }
}

impl File for Patient {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        match self.file.read_at(buf, offset) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Err(e),
            Err(_) => {}
        }
        let mut at = 0;
        while at < buf.len() {
            let start = offset + at as u64;
            let end = buf.len().min(at + (BLOCK_LEN - start % BLOCK_LEN) as usize);
            let block = &mut buf[at..end];
            if self.file.read_at(block, start).is_err() {
                block.fill(0);
                let bad = start..offset + end as u64;
                let mut unreadable = self.unreadable.lock();
                *unreadable = Some(match unreadable.take() {
                    Some(known) => known.start.min(bad.start)..known.end.max(bad.end),
                    None => bad,
                });
            }
            at = end;
        }
        Ok(())
    }

    fn read_at_nowait(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_at_nowait(buf, offset)
    }

    fn write_at(&self, _buf: &[u8], _offset: u64) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn truncate(&self, _len: u64) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn preallocate(&self, _len: u64) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn len(&self) -> Result<u64> {
        self.file.len()
    }
}
