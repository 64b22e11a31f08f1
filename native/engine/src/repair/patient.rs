//! Reading a file of which some blocks cannot be read.

use std::io::{ErrorKind, Result};
use std::sync::Arc;

use crate::io::File;

/// What a disk reads at once.
const BLOCK_LEN: u64 = 4096;

/// A file whose unreadable blocks read as zeros, which are no records.
#[derive(Debug)]
pub struct Patient(pub Arc<dyn File>);

impl File for Patient {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        match self.0.read_at(buf, offset) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Err(e),
            Err(_) => {}
        }
        let mut at = 0;
        while at < buf.len() {
            let to_block_end = BLOCK_LEN - (offset + at as u64) % BLOCK_LEN;
            let end = buf.len().min(at + to_block_end as usize);
            let block = &mut buf[at..end];
            if self.0.read_at(block, offset + at as u64).is_err() {
                block.fill(0);
            }
            at = end;
        }
        Ok(())
    }

    fn read_at_nowait(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.0.read_at_nowait(buf, offset)
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
        self.0.len()
    }
}
