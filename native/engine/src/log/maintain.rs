//! What waits for the disk: syncing, sealing, spare segments, the manifest, the close.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::append::{Active, Spare};
use super::publish::{PublishFailure, create_segment, publish};
use super::{Log, MAX_UNSYNCED_BYTES, Maintenance};
use crate::format::manifest::{Entry, Manifest, State};
use crate::format::segment::HEADER_LEN;
use crate::io::File;
use crate::seeded::{self, Fault};
use crate::segment::Segment;
use crate::table::Sync;
use crate::{Error, Result};

/// The first reservation of space for a segment, in bytes; it doubles from there.
const RESERVE_LEN: u64 = 64 << 10;

impl Log {
    /// Makes all records so far durable.
    pub fn sync(&self) -> Result<()> {
        let mut maintenance = self.maintenance.lock();
        self.check_open()?;
        if self.config.read_only {
            return Ok(());
        }
        let left = self.make_durable()?;
        // The records are safe. Segments that could not be sealed, for want of room say, are sealed by a later care.
        let _ = self.seal_left(&mut maintenance, &left);
        Ok(())
    }

    /// Whether care that is due now has to be planned: not if it was, and has not begun.
    pub fn plans_care(&self) -> bool {
        !self.care_is_planned.swap(true, Ordering::AcqRel)
    }

    /// Does what is due: a sync, the sealing of segments left, a spare, a reservation. Gives the time after which to come again.
    pub fn care(&self) -> Result<Option<Duration>> {
        let mut maintenance = self.maintenance.lock();
        // Under the lock: a close that went first has given the directory to whoever opens next.
        self.check_open()?;
        if self.config.read_only {
            return Ok(None);
        }
        self.needs_care.store(false, Ordering::Release);
        // Who planned it from here on has it done once more; before, what it was planned for is seen to.
        self.care_is_planned.swap(false, Ordering::AcqRel);
        let left = self.make_durable()?;
        self.seal_left(&mut maintenance, &left)?;
        let half_full = u64::from(self.append.lock().active.tail) >= self.config.max_file_size / 2;
        if half_full {
            self.add_spare(&mut maintenance)?;
        }
        self.reserve(&mut maintenance);
        self.add_stage(&mut maintenance);
        let unsynced = self.unsynced_bytes.load(Ordering::Relaxed);
        Ok(match self.config.sync {
            _ if self.waiters.any() || unsynced >= MAX_UNSYNCED_BYTES / 2 => Some(Duration::ZERO),
            Sync::Interval(ms) if unsynced > 0 => Some(Duration::from_millis(ms)),
            _ => None,
        })
    }

    /// Makes everything durable, seals the active segment and publishes that; nothing can be appended afterwards, whatever the result is.
    /// An error means that records may not be durable. A full disk on which only the sealing cannot be published is none: the next opening
    /// finds the segments unsealed, with every record in them.
    pub fn close(&self) -> Result<()> {
        let mut maintenance = self.maintenance.lock();
        {
            let _end = self.append.lock();
            if self.closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
        }
        let done = self.close_segments(&mut maintenance);
        self.stop_hints();
        self.answer_waiters();
        self.handles.close();
        done
    }

    /// The manifest that a clean close has published and the segments that it names; `None` if the close was not clean, or the table is temporary.
    pub fn closed_manifest(&self) -> Option<(Manifest, Vec<Arc<Segment>>)> {
        let maintenance = self.maintenance.lock();
        let manifest = &maintenance.manifest;
        let all_sealed = manifest.segments.iter().all(|entry| entry.state == State::Sealed);
        let kept = !self.config.temporary && !self.config.read_only;
        let clean = all_sealed && self.check_open().is_err() && kept;
        let sealed = self.sealed();
        (clean && sealed.len() == manifest.segments.len()).then(|| (manifest.clone(), sealed))
    }

    /// Moves the table's directory to `to`, where nothing may stand, and stores the table's new name.
    pub fn rename(&self, to: &Path, name: &[u8]) -> Result<()> {
        let mut maintenance = self.maintenance.lock();
        self.check_open()?;
        self.sticky.check()?;
        let storage = &*self.storage;
        let parent = |path: &Path| path.parent().map(Path::to_path_buf);
        let (old, new) = (parent(&self.dir.path()), parent(to));
        if let Some(new) = &new {
            storage
                .create_dir_all(new)
                .map_err(|e| Error::io("create", new, e))?;
        }
        self.dir
            .rename(to, |from, to| storage.rename_new(from, to))
            .map_err(|e| match e.kind() {
                ErrorKind::AlreadyExists => Error::NotATable {
                    path: to.to_path_buf(),
                    what: "something stands there",
                },
                _ => Error::io("rename", to, e),
            })?;
        if !self.config.temporary {
            for dir in [old, new].into_iter().flatten() {
                storage.sync_dir(&dir).map_err(|e| Error::io("sync", &dir, e))?;
            }
        }
        let mut next = maintenance.manifest.clone();
        next.meta.name = name.to_vec();
        self.meta.replace(next.meta.clone());
        self.publish_next(&mut maintenance, next)
            .map_err(|failure| failure.error)
    }

    /// Stops all appending without making anything durable: the table is about to be deleted.
    pub fn abandon(&self) {
        let _maintenance = self.maintenance.lock();
        {
            let _end = self.append.lock();
            self.closed.store(true, Ordering::Release);
        }
        self.stop_hints();
        self.answer_waiters();
        self.handles.close();
    }

    fn close_segments(&self, maintenance: &mut Maintenance) -> Result<()> {
        {
            // After a failure what is staged is left to the next opening.
            self.sticky.check()?;
            let mut end = self.append.lock();
            end.flush()?;
            // Only gives reserved space back: without it the file is longer than its records, which is allowed.
            let _ = end.active.file.truncate(u64::from(end.active.tail));
        }
        self.sync_segments()?;
        let (spare, mut left) = {
            let mut end = self.append.lock();
            let mut left = std::mem::take(&mut end.sealing);
            left.push(end.active.clone());
            (end.spare.take(), left)
        };
        if let Some(spare) = spare {
            left.push(Active::of(spare, self.last_seq() + 1));
        }
        match self.seal(maintenance, &left) {
            Ok(()) => {
                self.remove_stage();
                self.remove_time();
                self.close_hints();
            }
            // So that the next opening takes no damage below here for a cut.
            Err(_) => self.append_mark(),
        }
        Ok(())
    }

    /// Makes sure that there is a segment to switch to.
    pub(super) fn make_spare(&self) -> Result<()> {
        let mut maintenance = self.maintenance.lock();
        self.check_open()?;
        self.add_spare(&mut maintenance)
    }

    /// Syncs, tells so in the log, and answers those who wait. Gives the segments that can be sealed.
    pub(super) fn make_durable(&self) -> Result<Vec<Active>> {
        let left = self.sync_segments()?;
        self.append_mark();
        self.answer_waiters();
        Ok(left)
    }

    /// Seals segments that were left and synced.
    pub(super) fn seal_left(&self, maintenance: &mut Maintenance, left: &[Active]) -> Result<()> {
        if left.is_empty() {
            return Ok(());
        }
        self.seal(maintenance, left)?;
        self.append.lock().sealing.drain(..left.len());
        Ok(())
    }

    /// Syncs all segments that may hold records that are not durable, the oldest first. Gives those that can be sealed.
    fn sync_segments(&self) -> Result<Vec<Active>> {
        // Nobody syncs any more, so whoever waits is told now, whatever the failure was.
        self.sticky.check().inspect_err(|_| self.answer_waiters())?;
        let (left, active, last_seq, unsynced, told) = {
            let mut end = self.append.lock();
            let told = self.tell_time(&mut end);
            end.flush()?;
            let unsynced = self.unsynced_bytes.load(Ordering::Relaxed);
            (
                end.sealing.clone(),
                end.active.clone(),
                end.next_seq - 1,
                unsynced,
                told,
            )
        };
        if !self.config.temporary {
            for segment in left.iter().filter(|_| !seeded::has(Fault::RotationNotSynced)) {
                // What is beyond the tail is reserved space, or a write that failed.
                let _ = segment.file.truncate(u64::from(segment.tail));
                self.sync_segment(segment)?;
            }
            if told || self.durable_seq() < last_seq && !active.is_empty() {
                self.sync_segment(&active)?;
            }
        }
        self.durable_seq.store(last_seq, Ordering::Release);
        let _end = self.append.lock();
        let later = self
            .unsynced_bytes
            .load(Ordering::Relaxed)
            .saturating_sub(unsynced);
        self.unsynced_bytes.store(later, Ordering::Relaxed);
        Ok(left)
    }

    /// A sync that fails is never tried again: the kernel may have dropped the pages and would report success.
    fn sync_segment(&self, active: &Active) -> Result<()> {
        // The system syncs a file without a name as any other, and nobody could open it again.
        let synced = active.file.sync().and_then(|()| {
            if active.segment.is_there(&*self.storage) {
                Ok(())
            } else {
                Err(rustix::io::Errno::NOENT.into())
            }
        });
        if seeded::has(Fault::FailedSyncIgnored) {
            return Ok(());
        }
        synced.map_err(|e| {
            let error = Error::io("sync", &active.segment.path(), e);
            self.sticky.set(error.clone());
            self.answer_waiters();
            error
        })
    }

    /// Publishes that these segments are sealed; those without a record go.
    fn seal(&self, maintenance: &mut Maintenance, left: &[Active]) -> Result<()> {
        let mut next = maintenance.manifest.clone();
        let empty: Vec<u32> = left
            .iter()
            .filter(|active| active.is_empty())
            .map(|active| active.segment.id)
            .collect();
        next.segments.retain(|entry| !empty.contains(&entry.id));
        for active in left.iter().filter(|active| !active.is_empty()) {
            for entry in next
                .segments
                .iter_mut()
                .filter(|entry| entry.id == active.segment.id)
            {
                entry.state = State::Sealed;
                entry.len = u64::from(active.records_end);
                (entry.first_seq, entry.last_seq) = (active.first_seq, active.last_seq);
            }
            next.last_seq = next.last_seq.max(active.last_seq);
        }
        self.publish_next(maintenance, next)
            .map_err(|failure| failure.error)?;
        let sealed = |entry: &&Entry| left.iter().any(|active| active.segment.id == entry.id);
        self.want_hints(maintenance.manifest.segments.iter().filter(sealed).copied());
        for active in left {
            // Appends have counted neither its header, nor that marks behind its last record end with it.
            let counted = u64::from(active.tail - HEADER_LEN);
            let len = if active.is_empty() { 0 } else { active.records_end };
            self.change_disk_bytes(|bytes| (bytes + u64::from(len)).saturating_sub(counted));
            let entries = &maintenance.manifest.segments;
            match entries.iter().find(|entry| entry.id == active.segment.id) {
                Some(entry) => {
                    active.segment.set_sealed(*entry);
                    self.handles.written(&active.segment);
                }
                None => self.remove_unused(maintenance, &active.segment),
            }
        }
        Ok(())
    }

    pub(super) fn add_spare(&self, maintenance: &mut Maintenance) -> Result<()> {
        self.sticky.check()?;
        if self.append.lock().spare.is_some() {
            return Ok(());
        }
        let segment = self.next_segment(maintenance)?;
        let file = create_segment(&*self.storage, &segment, self.table, !self.config.temporary)?;
        let mut next = maintenance.manifest.clone();
        next.segments.push(Entry {
            id: segment.id,
            state: State::Unsealed,
            len: 0,
            first_seq: 0,
            last_seq: 0,
        });
        if let Err(failure) = self.publish_next(maintenance, next) {
            // A manifest that may stand names the file, so the file stays.
            if !failure.outcome_unknown {
                let _ = self.storage.unlink(&segment.path());
            }
            return Err(failure.error);
        }
        self.put_segment(maintenance, &segment);
        self.handles.writing(&segment, &file);
        let reserved = self.reserve_up_to(maintenance, &*file, RESERVE_LEN);
        self.append.lock().spare = Some(Spare {
            segment,
            file,
            reserved,
        });
        Ok(())
    }

    pub(super) fn publish_next(
        &self,
        maintenance: &mut Maintenance,
        mut next: Manifest,
    ) -> std::result::Result<(), PublishFailure> {
        next.generation += 1;
        next.clock_ms = next.clock_ms.max(self.time.highest());
        publish(&*self.storage, &self.dir.path(), &next, !self.config.temporary).inspect_err(|failure| {
            if failure.outcome_unknown {
                self.sticky.set(failure.error.clone());
                self.answer_waiters();
            }
        })?;
        maintenance.manifest = next;
        Ok(())
    }

    /// Reserves space ahead of the tail, so that a sync need not write the file's length and block map each time, and so that what is staged has
    /// room in the file.
    fn reserve(&self, maintenance: &mut Maintenance) {
        let active = self.append.lock().active.clone();
        let tail = u64::from(active.tail);
        if tail * 2 <= active.reserved {
            return;
        }
        let reserved = self.reserve_up_to(maintenance, &*active.file, tail * 2);
        let mut end = self.append.lock();
        if Arc::ptr_eq(&end.active.segment, &active.segment) && end.active.reserved == active.reserved {
            end.active.reserved = reserved.max(active.reserved);
        }
    }

    /// Reserves at least so many bytes of a file, if possible. Gives how many it has for sure.
    fn reserve_up_to(&self, maintenance: &mut Maintenance, file: &dyn File, len: u64) -> u64 {
        let want = len
            .max(RESERVE_LEN)
            .next_power_of_two()
            .min(self.config.max_file_size);
        if maintenance.cannot_reserve || self.config.temporary {
            return 0;
        }
        match file.preallocate(want) {
            Ok(()) => want,
            Err(e) => {
                maintenance.cannot_reserve = e.kind() == ErrorKind::Unsupported;
                0
            }
        }
    }
}
