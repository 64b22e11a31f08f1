//! The window of the file systems that are not real: writes that go through it are those of the file.

use std::io::{ErrorKind, Result};
use std::ops::Range;
use std::sync::Arc;

use super::{File, Window};

/// A window whose writes are the file's own.
#[derive(Debug)]
pub(super) struct FileWindow {
    file: Arc<dyn File>,
    range: Range<u64>,
}

impl FileWindow {
    pub(super) fn new(file: Arc<dyn File>, range: Range<u64>) -> Self {
        FileWindow { file, range }
    }
}

impl Window for FileWindow {
    fn write_at(&mut self, buf: &[u8], offset: u64) -> Result<()> {
        let end = offset.saturating_add(buf.len() as u64);
        // A mapping has no way to make a file longer: an engine that relied on it would lose the bytes on a real disk.
        if offset < self.range.start || end > self.range.end || end > self.file.len()? {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.file.write_at(buf, offset)
    }
}
