//! Segments that take the place of others: what a merge writes.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Log, create_segment};
use crate::cache::Filler;
use crate::format::hint;
use crate::format::manifest::{Entry, State};
use crate::format::record::{Record, Stamp};
use crate::format::segment::HEADER_LEN;
use crate::io::{File, Lock};
use crate::keydir::Location;
use crate::lock::snapshot;
use crate::log::publish::PublishFailure;
use crate::seeded::{self, Fault};
use crate::segment::Segment;
use crate::segment::hint::{HintWriter, identity};
use crate::{Error, Result};

/// Records are written to the file in pieces of about so many bytes.
const PIECE_LEN: usize = 1 << 20;
/// After so many bytes a segment that is being written is synced, so that no single sync takes long.
const SYNC_LEN: u64 = 32 << 20;

/// No snapshot is open.
struct Alone {
    _lock: Option<Box<dyn Lock>>,
}

/// A segment that a merge writes and the manifest does not name yet.
#[derive(Debug)]
pub struct Output {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Its length and seqs so far.
    pub entry: Entry,
    /// Bytes of its records for which no object is live.
    pub kept_bytes: u64,
    file: Arc<dyn File>,
    buf: Vec<u8>,
    /// Up to here it is durable, if it shall be.
    synced: u64,
    /// Nothing of it shall be durable.
    is_temporary: bool,
    /// Its hint, unless it is to have none yet, or it could not be written.
    hint: Option<HintWriter>,
    /// Whether it has its hint.
    hinted: bool,
    /// Keeps what is written in memory, if what it takes the place of was.
    filler: Option<Filler>,
    /// Where frames stand in `buf` that are too long for that.
    too_long: Vec<Range<usize>>,
    table: u64,
}

impl Output {
    /// Whether it has room for a record of so many bytes.
    pub fn has_room(&self, frame_len: u64, max_file_size: u64) -> bool {
        self.entry.len + frame_len <= max_file_size
    }

    /// Adds a record with its seq, which is higher than those before. Gives its place.
    pub fn add(&mut self, record: &Record<'_>, seq: u64) -> Result<Location> {
        let len = record.frame_len() as u64;
        let offset = u32::try_from(self.entry.len).map_err(|_| Error::TooManySegments)?;
        let location = Location::new(self.segment.slot, offset, len);
        if self.entry.first_seq == 0 {
            self.entry.first_seq = seq;
        }
        self.entry.last_seq = seq;
        self.entry.len += len;
        let stamp = Stamp {
            segment: self.segment.id,
            seq,
            durable_seq: None,
        };
        let start = self.buf.len();
        record.put(&mut self.buf, stamp);
        if !Location::tells(len) {
            self.too_long.push(start..self.buf.len());
        }
        let hinted = hint::Entry {
            kind: record.kind,
            seq,
            offset,
            frame_len: len as u32,
            expiry_ms: record.expiry_ms,
            key: record.key,
        };
        if self.hint.as_mut().is_some_and(|hint| hint.add(&hinted).is_err()) {
            self.hint = None;
        }
        if self.buf.len() >= PIECE_LEN {
            self.flush()?;
        }
        Ok(location)
    }

    fn flush(&mut self) -> Result<()> {
        let at = self.entry.len - self.buf.len() as u64;
        self.file
            .write_at(&self.buf, at)
            .map_err(|e| Error::io("write", &self.segment.path(), e))?;
        if let Some(filler) = &mut self.filler {
            filler.write(at as u32, &self.buf, &self.too_long);
        }
        self.too_long.clear();
        self.buf.clear();
        if self.entry.len - self.synced >= SYNC_LEN {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.synced = self.entry.len;
        if self.is_temporary || seeded::has(Fault::OutputNotSynced) {
            return Ok(());
        }
        let synced = self.file.sync();
        synced.map_err(|e| Error::io("sync", &self.segment.path(), e))
    }

    /// Says that no more records come: writes what is left, and makes it durable.
    pub fn end(&mut self) -> Result<()> {
        if self.synced < self.entry.len {
            self.flush()?;
        }
        if self.synced < self.entry.len {
            self.sync()?;
        }
        Ok(())
    }

    /// Ends it, and its hint, which is never synced.
    pub fn finish(&mut self) -> Result<()> {
        self.end()?;
        if let Some(hint) = self.hint.take() {
            self.hinted = hint.finish(&identity(self.table, &self.entry)).is_ok();
        }
        Ok(())
    }

    /// Its file, which can be read up to its length once it is finished.
    pub fn file(&self) -> Arc<dyn File> {
        Arc::clone(&self.file)
    }
}

impl Log {
    /// Makes a segment to merge into.
    pub fn add_output(&self) -> Result<Output> {
        let mut maintenance = self.maintenance.lock();
        self.check_open()?;
        self.sticky.check()?;
        let segment = self.next_segment(&mut maintenance)?;
        let file = create_segment(&*self.storage, &segment, self.table, false)?;
        self.put_segment(&mut maintenance, &segment);
        let filler = self.keeper.get().filter(|_| self.keeps_written());
        let filler = filler.map(|keeper| keeper.filler(false));
        if let Some(filler) = &filler {
            segment.set_blocks(filler.blocks());
        }
        let hint = if self.config.temporary {
            None
        } else {
            let dir = self.dir.path();
            HintWriter::create(&*self.storage, &dir, self.table, segment.id).ok()
        };
        let len = u64::from(HEADER_LEN);
        Ok(Output {
            entry: Entry {
                id: segment.id,
                state: State::Sealed,
                len,
                first_seq: 0,
                last_seq: 0,
            },
            segment,
            kept_bytes: 0,
            file,
            buf: Vec::with_capacity(PIECE_LEN),
            synced: 0,
            is_temporary: self.config.temporary,
            hint,
            hinted: false,
            filler,
            too_long: Vec::new(),
            table: self.table,
        })
    }

    /// Removes outputs of a merge that was given up.
    pub fn remove_outputs(&self, outputs: Vec<Output>) {
        let mut maintenance = self.maintenance.lock();
        for output in outputs {
            self.remove_unused(&mut maintenance, &output.segment);
        }
    }

    /// Puts finished outputs in the place of sealed segments in the manifest, in one step. Before that all records so far are made durable: among them
    /// are those because of which others were left out. Where the outcome is unknown the table is read-only and nothing may be removed.
    pub fn replace(
        &self,
        inputs: &[Arc<Segment>],
        outputs: &[Output],
    ) -> std::result::Result<(), PublishFailure> {
        let known = |error| PublishFailure {
            error,
            outcome_unknown: false,
        };
        let mut maintenance = self.maintenance.lock();
        // A close empties the keydir after it has closed the log: what was judged by an empty keydir is not published.
        self.check_open().map_err(known)?;
        if !self.config.temporary && !outputs.is_empty() {
            let dir = self.dir.path();
            self.storage
                .sync_dir(&dir)
                .map_err(|e| known(Error::io("sync", &dir, e)))?;
        }
        if !seeded::has(Fault::SuccessorNotSynced) {
            let left = self.make_durable().map_err(known)?;
            // Segments that cannot be sealed now are sealed by a later care.
            let _ = self.seal_left(&mut maintenance, &left);
        }
        let mut next = maintenance.manifest.clone();
        next.segments
            .retain(|entry| !inputs.iter().any(|input| input.id == entry.id));
        next.segments.extend(outputs.iter().map(|output| output.entry));
        next.segments.sort_by_key(|entry| entry.id);
        // Held until the manifest stands: who opens a snapshot behind that does not read the inputs.
        let alone = self.without_snapshots();
        if alone.is_none() {
            next.retired.extend(inputs.iter().map(|input| input.id));
            next.retired.sort_unstable();
        }
        self.publish_next(&mut maintenance, next)?;
        drop(alone);
        for input in inputs {
            input.set_retired();
        }
        for output in outputs {
            output.segment.set_sealed(output.entry);
            output.segment.set_kept_bytes(output.kept_bytes);
        }
        let without = outputs.iter().filter(|output| !output.hinted);
        self.want_hints(without.map(|output| output.entry));
        let more: u64 = outputs.iter().map(|output| output.entry.len).sum();
        self.change_disk_bytes(|bytes| bytes + more);
        Ok(())
    }

    /// Removes the files of segments that [`Log::replace`] took out of the manifest, once no location points to them.
    pub fn remove_inputs(&self, inputs: &[(Arc<Segment>, u64)]) {
        let mut maintenance = self.maintenance.lock();
        for (segment, len) in inputs {
            self.remove_retired(&mut maintenance, segment);
            self.change_disk_bytes(|bytes| bytes.saturating_sub(*len));
        }
    }

    /// Shuts out snapshots as long as the value lives. `None` if one may be open.
    fn without_snapshots(&self) -> Option<Alone> {
        if self.config.temporary || seeded::has(Fault::SnapshotIgnored) {
            return Some(Alone { _lock: None });
        }
        let lock = snapshot::alone(&*self.storage, &self.dir.path())?;
        Some(Alone { _lock: Some(lock) })
    }

    /// Whether files of segments stay only because snapshots may read them.
    pub fn keeps_retired(&self) -> bool {
        !self.maintenance.lock().manifest.retired.is_empty()
    }

    /// Removes the files that were kept for snapshots if none is open any more. `false` if some stay. Waits for the disk.
    pub fn release_retired(&self) -> Result<bool> {
        let mut maintenance = self.maintenance.lock();
        self.check_open()?;
        let segments = self.segments.hold();
        // A merge that is not through still reads its inputs.
        let in_use = |id: &u32| segments.iter().flatten().any(|segment| segment.id == *id);
        let (kept, gone): (Vec<u32>, Vec<u32>) =
            maintenance.manifest.retired.iter().partition(|id| in_use(id));
        if gone.is_empty() || self.without_snapshots().is_none() {
            return Ok(kept.is_empty() && gone.is_empty());
        }
        let mut next = maintenance.manifest.clone();
        next.retired.clone_from(&kept);
        self.publish_next(&mut maintenance, next)
            .map_err(|failure| failure.error)?;
        for id in gone {
            self.unlink_segment(id);
        }
        Ok(kept.is_empty())
    }

    /// Leaves the active segment, if it has records, and seals it: a merge takes sealed segments only.
    pub fn rotate(&self) -> Result<()> {
        let mut maintenance = self.maintenance.lock();
        self.check_open()?;
        if !self.append.lock().active.is_empty() {
            self.add_spare(&mut maintenance)?;
            self.leave_active(&mut self.append.lock())?;
        }
        let left = self.make_durable()?;
        self.seal_left(&mut maintenance, &left)
    }

    /// Appends change the number under the lock of the end.
    pub(super) fn change_disk_bytes(&self, change: impl FnOnce(u64) -> u64) {
        let _end = self.append.lock();
        let bytes = change(self.disk_bytes.load(Ordering::Relaxed));
        self.disk_bytes.store(bytes, Ordering::Relaxed);
    }
}
