//! The log: frames in a file, by way of a stage, and the same frames in memory, where they are read.
#![expect(unsafe_code, reason = "maps a file")]

use std::fs::File;
use std::io::{Error, Result, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::frame::{Frame, Record};
use crate::vm::prefetch;

/// Bytes of the stage.
const STAGE: usize = 64 << 10;
/// Bytes of a block of memory.
const BLOCK_BITS: u32 = 20;
/// What the file begins with: so long is a segment's header. No frame stands at 0.
const HEADER: usize = 32;
/// As bets with its defaults.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The end of the log, and the frames in memory.
pub struct Log {
    file: File,
    written: u64,
    stage: Stage,
    staged: usize,
    seq: u64,
    blocks: Vec<Vec<u8>>,
    dead: u64,
    _syncing: Arc<()>,
}

impl Log {
    /// A log in an empty directory.
    pub fn create(dir: &Path) -> Result<Log> {
        let new = |name| {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(dir.join(name))
        };
        let mut file = new("log")?;
        file.write_all(&[0; HEADER])?;
        let (stage, stage_file) = Stage::new(new("stage")?)?;
        let syncing = Arc::new(());
        let (files, alive) = ([stage_file, file.try_clone()?], Arc::downgrade(&syncing));
        std::thread::Builder::new().spawn(move || sync(&files, &alive))?;
        Ok(Log {
            file,
            written: HEADER as u64,
            stage,
            staged: 0,
            seq: 0,
            blocks: vec![vec![0; HEADER]],
            dead: 0,
            _syncing: syncing,
        })
    }

    /// Appends a frame and gives where it stands in memory, below 2^40 and above 0, and its length.
    pub fn append(&mut self, frame: &mut Frame, kind: u8) -> Option<(u64, u64)> {
        self.seq += 1;
        let bytes = frame.finish(kind, self.seq);
        if self.staged + bytes.len() > STAGE {
            self.file
                .write_all_at(&self.stage.bytes()[..self.staged], self.written)
                .ok()?;
            self.written += self.staged as u64;
            self.staged = 0;
        }
        if bytes.len() > STAGE {
            self.file.write_all_at(bytes, self.written).ok()?;
            self.written += bytes.len() as u64;
        } else {
            self.stage.bytes()[self.staged..self.staged + bytes.len()].copy_from_slice(bytes);
            self.staged += bytes.len();
        }
        if self.blocks.last()?.len() + bytes.len() > 1 << BLOCK_BITS {
            self.blocks
                .push(Vec::with_capacity(bytes.len().max(1 << BLOCK_BITS)));
        }
        let block = self.blocks.last_mut()?;
        let offset = block.len();
        block.extend_from_slice(bytes);
        let location = (self.blocks.len() as u64 - 1) << BLOCK_BITS | offset as u64;
        Some((location, bytes.len() as u64))
    }

    /// Counts the bytes of a record that is live no more.
    pub fn bury(&mut self, len: u64) {
        self.dead += len;
    }

    /// Bytes of the frame at a location.
    pub fn len_at(&self, location: u64) -> u64 {
        self.read(location).map_or(0, |record| record.len as u64)
    }

    /// The record at a location.
    #[inline]
    pub fn read(&self, location: u64) -> Option<Record<'_>> {
        Record::read(self.bytes(location)?)
    }

    /// Has the processor fetch a record.
    #[inline]
    pub fn prefetch(&self, location: u64) {
        if let Some(bytes) = self.bytes(location) {
            let at = bytes.as_ptr();
            for line in 0..3 {
                prefetch(at.wrapping_add(64 * line));
            }
        }
    }

    #[inline]
    fn bytes(&self, location: u64) -> Option<&[u8]> {
        let block = self.blocks.get((location >> BLOCK_BITS) as usize)?;
        block.get((location & ((1 << BLOCK_BITS) - 1)) as usize..)
    }
}

/// Syncs every second. A frame that was staged is in the file by now, or still in the stage: the stage goes first.
fn sync(files: &[File; 2], alive: &Weak<()>) {
    while alive.strong_count() > 0 {
        std::thread::sleep(SYNC_EVERY);
        for file in files {
            let _ = file.sync_data();
        }
    }
}

/// A file in shared memory: what was copied there outlives the process.
struct Stage(*mut u8);

// SAFETY: the memory is the stage's alone.
unsafe impl Send for Stage {}

impl Stage {
    fn new(mut file: File) -> Result<(Stage, File)> {
        // Its blocks are there before they are mapped: no room for them is told here.
        file.write_all(&vec![0; STAGE])?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice disturbs no other memory.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                STAGE,
                access,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        Ok((Stage(at.cast()), file))
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: so many bytes are mapped, and who has the stage alone has them alone.
        unsafe { std::slice::from_raw_parts_mut(self.0, STAGE) }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nobody has a reference into it.
        unsafe { libc::munmap(self.0.cast(), STAGE) };
    }
}
