//! Bytes in memory that are read like a file.

use std::io::{ErrorKind, Result};

use super::File;

/// What was copied of a file.
#[derive(Debug)]
pub(crate) struct Bytes(pub Vec<u8>);

impl File for Bytes {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|at| self.0.get(at..)?.get(..buf.len()))
            .ok_or(ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn read_at_nowait(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.read_at(buf, offset)
    }

    fn write_at(&self, _buf: &[u8], _offset: u64) -> Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn truncate(&self, _len: u64) -> Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    fn preallocate(&self, _len: u64) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn len(&self) -> Result<u64> {
        Ok(self.0.len() as u64)
    }
}
