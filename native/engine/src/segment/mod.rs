//! Segments: the append-only files that hold a table's records.

pub mod handles;
pub mod hint;
mod live;
pub mod read;
pub mod reading;
pub mod scan;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use rustix::io::Errno;

use crate::cache::Blocks;
use crate::dir::Dir;
use crate::format;
use crate::format::manifest::Entry;
use crate::format::segment::{HEADER_LEN, check_header};
use crate::io::{File, Storage};
use crate::keydir::Location;
use crate::merge::Filter;
use crate::sync::Lines;
use live::Live;

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
    /// What was written to it lately, as long as the value cache keeps it.
    blocks: OnceLock<Arc<Blocks>>,
    /// Frames from this offset on are staged and not in the file yet; `u32::MAX` if there are none.
    staged_from: AtomicU32,
    live: Lines<Live>,
    /// Bytes of records that stay, but for which no object is live: what a merge could not drop.
    kept: AtomicU64,
    sealed: OnceLock<Entry>,
    /// The keys that it has objects of, once a merge has asked for them.
    filter: OnceLock<Arc<Filter>>,
    /// A merge met damage in it.
    damaged: AtomicBool,
    /// A merge that is under way takes it in.
    merged: AtomicBool,
    /// The manifest names it no longer.
    retired: AtomicBool,
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
            blocks: OnceLock::new(),
            staged_from: AtomicU32::new(u32::MAX),
            live: Lines::default(),
            kept: AtomicU64::new(0),
            sealed: OnceLock::new(),
            filter: OnceLock::new(),
            damaged: AtomicBool::new(false),
            merged: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        }
    }

    /// Tells that it is sealed, as the manifest does.
    pub fn set_sealed(&self, entry: Entry) {
        // It is sealed once.
        let _ = self.sealed.set(entry);
    }

    /// What the manifest tells of it, if it is sealed and the manifest still names it.
    pub fn sealed(&self) -> Option<&Entry> {
        self.sealed.get().filter(|_| !self.is_retired())
    }

    /// Whether it is or was sealed, and so may have a hint.
    pub fn sealed_once(&self) -> bool {
        self.sealed.get().is_some()
    }

    /// Whether the manifest names it no longer.
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Tells that the manifest names it no longer.
    pub fn set_retired(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// The keys that it has objects of, if that is known.
    pub fn filter(&self) -> Option<Arc<Filter>> {
        self.filter.get().cloned()
    }

    /// Tells the keys that it has objects of.
    pub fn set_filter(&self, filter: Arc<Filter>) {
        // A sealed segment's keys do not change.
        let _ = self.filter.set(filter);
    }

    /// Whether damage was met in it.
    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Tells that damage was met in it.
    pub fn set_damaged(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    /// Whether a merge that is under way takes it in.
    pub fn is_merged(&self) -> bool {
        self.merged.load(Ordering::Relaxed)
    }

    /// Tells whether a merge that is under way takes it in.
    pub fn set_merged(&self, merged: bool) {
        self.merged.store(merged, Ordering::Relaxed);
    }

    /// Bytes of its tombstones and the like that a merge could not drop.
    pub fn kept_bytes(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// Says how many bytes of tombstones and the like cannot be dropped.
    pub fn set_kept_bytes(&self, bytes: u64) {
        self.kept.store(bytes, Ordering::Relaxed);
    }

    /// What the frames of live objects take of it, in bytes. Exact when nobody is writing.
    pub fn live_bytes(&self) -> u64 {
        self.live.bytes()
    }

    /// An object's frame of so many bytes stands here and is live.
    pub fn add_live(&self, location: Location, frame_len: u64) {
        self.live.add(location, frame_len);
    }

    /// An object's frame of so many bytes was appended here and is live. Only for who holds the lock of the log's end.
    pub fn append_live(&self, location: Location, frame_len: u64) {
        self.live.append(location, frame_len);
    }

    /// Objects' frames of so many bytes in all were appended and are live; of the long ones [`Segment::note_live`] tells. Only for who holds the lock of the log's end.
    pub fn append_live_bytes(&self, bytes: u64) {
        self.live.append_bytes(bytes);
    }

    /// A frame of so many bytes stands here, which are counted already.
    pub fn note_live(&self, location: Location, frame_len: u64) {
        self.live.note(location, frame_len);
    }

    /// The object whose frame was appended here is no longer live. Only for who holds the lock of the log's end; its block is to be told as well.
    pub fn append_dead(&self, location: Location) {
        self.live.append_dead(location);
    }

    /// The length of the frame of a live object that stands here, in bytes.
    pub fn frame_len(&self, location: Location) -> u64 {
        self.live.frame_len(location)
    }

    /// Objects' frames of so many bytes in all are live, each of them short enough for its location to tell its length.
    pub fn add_live_bytes(&self, bytes: u64) {
        self.live.add_bytes(bytes);
    }

    /// The frames of live objects that are too long for their locations: offset and length.
    pub fn long_frames(&self) -> Vec<(u32, u64)> {
        self.live.long_frames()
    }

    /// The object whose frame stands here is no longer live. `true` if its record is in a block, and so most likely no entry of the value cache.
    pub fn add_dead(&self, location: Location) -> bool {
        self.live.subtract(location);
        self.let_go(location)
    }

    /// Nobody will ask for the record that stands here. `true` if it is in a block.
    pub fn let_go(&self, location: Location) -> bool {
        let blocks = self.blocks.get().zip(location.frame_len());
        blocks.is_some_and(|(blocks, len)| blocks.subtract(location.offset(), u32::from(len)))
    }

    /// The blocks of what was written to it lately.
    pub fn blocks(&self) -> Option<&Blocks> {
        self.blocks.get().map(|blocks| &**blocks)
    }

    /// Tells in which blocks that will be. There is one who writes to it, and who tells.
    pub fn set_blocks(&self, blocks: &Arc<Blocks>) {
        let _ = self.blocks.set(Arc::clone(blocks));
    }

    /// No object in it is live any more.
    pub fn add_all_dead(&self) {
        self.live.clear();
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

    /// Whether something stands where its file does; `true` too if that cannot be told.
    pub fn is_there(&self, storage: &dyn Storage) -> bool {
        let found = self.dir.with(|dir| storage.stat(&dir.join(&self.name)));
        !matches!(found, Ok(None))
    }

    /// Opens its file for reading. ESTALE if the directory must be a certain table's, and is another's.
    pub fn open(&self, storage: &dyn Storage) -> io::Result<Arc<dyn File>> {
        let file = self.dir.with(|dir| storage.open(&dir.join(&self.name), false))?;
        if let Some(table) = self.dir.table {
            let mut header = [0; HEADER_LEN as usize];
            file.read_at(&mut header, 0)?;
            check_header(&header, self.id, table).map_err(|_| Errno::STALE)?;
        }
        Ok(file)
    }
}

/// The segments of an open table by slot. Replaced as a whole when one comes or goes.
pub type Segments = Vec<Option<Arc<Segment>>>;
