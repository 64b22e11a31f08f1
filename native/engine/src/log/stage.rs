//! The stage: a small file in shared memory that takes frames before their segment does.
//!
//! A `pwrite` of one small record costs the kernel several times what it costs for each of a few hundred that are written at once. A frame
//! that is staged is in the page cache as one in the segment is, so it survives the death of the process; a full stage is written to the
//! segment at once and starts again from its front. Before each sync what is staged is written out, so the stage itself is never
//! synced: nothing durable depends on it.
//!
//! The file is laid out as its segment: the same header, then frames. Some of them may be in the segment too, or be left from an earlier
//! round: an opening takes those whose seqs go on where the segment ends.

use std::sync::Arc;

use super::append::{Active, End};
use super::{Log, Maintenance};
use crate::format::segment::{HEADER_LEN, header};
use crate::io::Window;
use crate::keydir::Location;
use crate::segment::Segment;
use crate::table::{Sync, Wait};
use crate::{Error, Result};

/// The stage's file.
pub const FILE: &str = "STAGE";

/// Its length in bytes. A longer one saves little more, and to write it out takes longer.
const STAGE_LEN: usize = 64 << 10;

/// A larger buffer is not kept after its write, in bytes.
const KEPT_LEN: usize = 1 << 20;

/// Where frames wait for their segment.
#[derive(Debug)]
pub struct Stage {
    /// `None` for a temporary table, of which nothing is to survive.
    window: Option<Box<dyn Window>>,
}

impl Stage {
    /// Whether it holds so many bytes of frames.
    fn holds(len: usize) -> bool {
        HEADER_LEN as usize + len <= STAGE_LEN
    }

    /// Puts frames behind `at` bytes of others.
    fn write(&mut self, frames: &[u8], at: usize) -> std::io::Result<()> {
        match &mut self.window {
            Some(window) => window.write_at(frames, u64::from(HEADER_LEN) + at as u64),
            None => Ok(()),
        }
    }

    /// Says whose frames it holds from now on. It must be written out before.
    fn begin(&mut self, segment: u32, table: u64) -> std::io::Result<()> {
        match &mut self.window {
            Some(window) => window.write_at(&header(segment, table), 0),
            None => Ok(()),
        }
    }
}

impl End {
    /// Puts the frames that stand in `buf` behind the first `staged` bytes at the tail: into the stage, or the file. After an error
    /// they are neither here nor there, and what was staged still is.
    pub(super) fn put(&mut self, staged: usize) -> Result<()> {
        let mut staged = staged;
        loop {
            let fits = self.stage.as_ref().is_some_and(|stage| {
                let end = u64::from(self.active.tail) + (self.buf.len() - staged) as u64;
                // A record that its file has no room for is refused when it comes, not when it is written out.
                Stage::holds(self.buf.len()) && (end <= self.active.reserved || stage.window.is_none())
            });
            if !fits && staged > 0 {
                if let Err(error) = self.write_out(staged) {
                    self.buf.truncate(staged);
                    return Err(error);
                }
                staged = 0;
                continue;
            }
            match &mut self.stage {
                Some(stage) if fits => {
                    if stage.write(&self.buf[staged..], staged).is_ok() {
                        if staged == 0 {
                            self.active.segment.set_staged_from(Some(self.active.tail));
                        }
                        return Ok(());
                    }
                    // The file takes what is staged and what is to come.
                    self.stage = None;
                }
                _ => {
                    let done = self.active.write(&self.buf);
                    self.buf.clear();
                    // A list of many megabytes must not keep its buffer for ever.
                    if self.buf.capacity() > KEPT_LEN {
                        self.buf = Vec::new();
                    }
                    return done;
                }
            }
        }
    }

    /// Writes to the file what is staged. After an error it is still staged.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.write_out(self.buf.len())
    }

    /// Writes the first `staged` bytes of the buffer, which end at the tail, to the file.
    fn write_out(&mut self, staged: usize) -> Result<()> {
        if staged == 0 {
            return Ok(());
        }
        let active = &self.active;
        // What a failed attempt leaves in the file is a part of what the next one writes there.
        active
            .file
            .write_at(&self.buf[..staged], u64::from(active.tail) - staged as u64)
            .map_err(|e| Error::io("write", &active.segment.path(), e))?;
        self.buf.drain(..staged);
        active.segment.set_staged_from(None);
        Ok(())
    }

    /// Makes `next` the active segment and gives the one that was.
    pub(super) fn switch(&mut self, next: Active, table: u64) -> Result<Active> {
        self.flush()?;
        if let Some(stage) = &mut self.stage
            && stage.begin(next.segment.id, table).is_err()
        {
            self.stage = None;
        }
        Ok(std::mem::replace(&mut self.active, next))
    }

    /// The staged bytes from `offset` of the active segment on.
    fn staged(&self, offset: u32) -> Option<&[u8]> {
        let first = self.active.tail - self.buf.len() as u32;
        self.buf.get(offset.checked_sub(first)? as usize..)
    }
}

impl Log {
    /// Reads the frame at a location into `buf` if it is staged. `false` if it is in the file by now.
    pub fn read_staged(
        &self,
        segment: &Arc<Segment>,
        location: Location,
        wait: Wait,
        buf: &mut Vec<u8>,
    ) -> Result<bool> {
        let end = self.lock_end(wait)?;
        if !Arc::ptr_eq(&end.active.segment, segment) {
            return Ok(false);
        }
        // A frame whose length a location cannot tell is longer than the stage.
        let len = location.frame_len().map(usize::from);
        let frame = end
            .staged(location.offset())
            .zip(len)
            .and_then(|(bytes, len)| bytes.get(..len));
        if let Some(frame) = frame {
            buf.clear();
            buf.extend_from_slice(frame);
        }
        Ok(frame.is_some())
    }

    /// Bytes of memory that the frames at the end take, about: exact when nobody is writing.
    pub fn buffer_bytes(&self) -> u64 {
        let end = self.append.try_lock();
        end.map_or(STAGE_LEN, |end| end.buf.capacity()) as u64
    }

    /// Makes the stage, where one is of use. Without one, records are written to their segment one by one.
    pub(super) fn add_stage(&self, maintenance: &mut Maintenance) {
        // What waits for a sync each time gains nothing.
        if maintenance.cannot_stage || self.config.sync == Sync::Always || self.append.lock().stage.is_some()
        {
            return;
        }
        let window = if self.config.temporary {
            None
        } else {
            match self.make_stage() {
                Ok(window) => Some(window),
                Err(e) => {
                    maintenance.cannot_stage = e.kind() == std::io::ErrorKind::Unsupported;
                    return;
                }
            }
        };
        let mut stage = Stage { window };
        let mut end = self.append.lock();
        if stage.begin(end.active.segment.id, self.table).is_ok() {
            end.stage = Some(stage);
        }
    }

    fn make_stage(&self) -> std::io::Result<Box<dyn Window>> {
        let storage = &*self.storage;
        let path = self.dir.path().join(FILE);
        match storage.unlink(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = storage.create(&path)?;
        let made = file
            .preallocate(STAGE_LEN as u64)
            .and_then(|()| file.window(0..STAGE_LEN as u64));
        if made.is_err() {
            let _ = storage.unlink(&path);
        }
        made
    }

    /// Removes the stage of a log that is written out and closed. One that stays does no harm.
    pub(super) fn remove_stage(&self) {
        if self.append.lock().stage.take().is_some() && !self.config.temporary {
            let _ = self.storage.unlink(&self.dir.path().join(FILE));
        }
    }
}
