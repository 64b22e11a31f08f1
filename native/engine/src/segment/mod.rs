//! Segments: the append-only files that hold a table's records.

pub mod handles;
pub mod hint;
pub mod read;
pub mod reading;
pub mod scan;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwapOption;

use crate::dir::Dir;
use crate::format;
use crate::io::{File, Storage};

/// One segment of an open table.
#[derive(Debug)]
pub struct Segment {
    /// Its id: unique in the table for ever.
    pub id: u32,
    /// Its number in this opening of the table, which the keydir's locations use.
    pub slot: u16,
    dir: Arc<Dir>,
    name: String,
    handle: ArcSwapOption<Handle>,
    /// Frames from this offset on are staged and not in the file yet; `u32::MAX` if there are none.
    staged_from: AtomicU32,
}

/// An open descriptor of a segment.
#[derive(Debug)]
pub struct Handle(pub Arc<dyn File>);

impl Segment {
    /// A segment of the table in `dir`, its descriptor not open.
    pub fn new(dir: &Arc<Dir>, id: u32, slot: u16) -> Self {
        Segment {
            id,
            slot,
            dir: Arc::clone(dir),
            name: format::segment::file_name(id),
            handle: ArcSwapOption::empty(),
            staged_from: AtomicU32::new(u32::MAX),
        }
    }

    /// Whether the frame at `offset` may be missing in the file, being staged.
    pub fn is_staged(&self, offset: u32) -> bool {
        offset >= self.staged_from.load(Ordering::Acquire)
    }

    /// Tells readers from which offset on frames are staged, if there are any.
    pub fn set_staged_from(&self, offset: Option<u32>) {
        self.staged_from
            .store(offset.unwrap_or(u32::MAX), Ordering::Release);
    }

    /// Where its file stands now.
    pub fn path(&self) -> PathBuf {
        self.dir.with(|dir| dir.join(&self.name))
    }

    /// Opens its file for reading.
    pub fn open(&self, storage: &dyn Storage) -> io::Result<Arc<dyn File>> {
        self.dir.with(|dir| storage.open(&dir.join(&self.name), false))
    }
}

/// The segments of an open table by slot. Replaced as a whole when one comes or goes.
pub type Segments = Vec<Option<Arc<Segment>>>;
