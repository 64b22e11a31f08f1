//! Segments: the append-only files that hold a table's records.

pub mod handles;
pub mod read;
pub mod scan;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::format;
use crate::io::File;

/// One segment of an open table.
#[derive(Debug)]
pub struct Segment {
    /// Its id: unique in the table for ever.
    pub id: u32,
    /// Its number in this opening of the table, which the keydir's locations use.
    pub slot: u16,
    path: PathBuf,
    handle: ArcSwapOption<Handle>,
}

/// An open descriptor of a segment.
#[derive(Debug)]
pub struct Handle(pub Arc<dyn File>);

impl Segment {
    /// A segment of the table in `dir`, its descriptor not open.
    pub fn new(dir: &Path, id: u32, slot: u16) -> Self {
        let path = dir.join(format::segment::file_name(id));
        Segment {
            id,
            slot,
            path,
            handle: ArcSwapOption::empty(),
        }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The segments of an open table by slot. Replaced as a whole when one comes or goes.
pub type Segments = Vec<Option<Arc<Segment>>>;
