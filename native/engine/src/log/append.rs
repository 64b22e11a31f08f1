//! The end of the log: giving seqs and writing frames.
//!
//! A frame is written whole before its call returns and before the next one is written behind it, so no acknowledged record ever has a
//! hole below it. A write that fails is cut back; where even that fails the segment is left behind.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::stage::Stage;
use super::{Log, MAX_UNSYNCED_BYTES};
use crate::cache::{Filler, Keeper};
use crate::format::record::{Kind, Record, Stamp, batch_key};
use crate::format::segment::HEADER_LEN;
use crate::io::File;
use crate::keydir::Location;
use crate::segment::Segment;
use crate::sync::MutexGuard;
use crate::table::{Sync, Wait};
use crate::{Error, Key, Result};

/// The longest list, in bytes of its frames.
pub const MAX_BATCH_LEN: u64 = 1 << 31;
/// How often a call that may not wait looks at a lock before it gives up: some microseconds, about one write of another.
const SPINS: usize = 2_000;

/// A segment of so many bytes gets room ahead and a stage at once; a shorter one with the next sync.
const STAGE_AT: u64 = 16 << 10;

/// The end of the log.
#[derive(Debug)]
pub struct End {
    pub(super) active: Active,
    /// A segment made beforehand, to switch to.
    pub(super) spare: Option<Spare>,
    /// Segments that were active before and are not sealed yet, oldest first.
    pub(super) sealing: Vec<Active>,
    pub(super) next_seq: u64,
    /// The highest durable seq that a frame tells.
    pub(super) told_durable: u64,
    /// Takes frames before the active segment's file does.
    pub(super) stage: Option<Stage>,
    /// The frames that are staged, which end at the tail; behind them the one that is being written.
    pub(super) buf: Vec<u8>,
    /// Keeps what is written to the segment of this id in memory.
    filler: Option<(u32, Filler)>,
}

/// A segment that no record has been written to.
#[derive(Clone, Debug)]
pub struct Spare {
    pub(super) segment: Arc<Segment>,
    pub(super) file: Arc<dyn File>,
    /// Its file has room for so many bytes.
    pub(super) reserved: u64,
}

/// A segment that takes, or took, writes.
#[derive(Clone, Debug)]
pub struct Active {
    pub(super) segment: Arc<Segment>,
    pub(super) file: Arc<dyn File>,
    /// Where the next frame goes.
    pub(super) tail: u32,
    /// Where the last record ends. Marks behind it were written after the last sync and need not be on the disk.
    pub(super) records_end: u32,
    /// Its first and last seq; the last is below the first while it is empty.
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    /// Its file has room for its bytes up to here.
    pub(super) reserved: u64,
    /// A failed write could not be cut back: nothing may follow in this segment.
    pub(super) left_behind: bool,
}

impl Active {
    pub(super) fn new((segment, file): (Arc<Segment>, Arc<dyn File>), next_seq: u64) -> Self {
        Active {
            segment,
            file,
            tail: HEADER_LEN,
            records_end: HEADER_LEN,
            first_seq: next_seq,
            last_seq: next_seq - 1,
            reserved: 0,
            left_behind: false,
        }
    }

    pub(super) fn of(spare: Spare, next_seq: u64) -> Self {
        Active {
            reserved: spare.reserved,
            ..Active::new((spare.segment, spare.file), next_seq)
        }
    }

    /// Writes frames at the tail of the file. After an error they are cut off again.
    pub(super) fn write(&mut self, frames: &[u8]) -> Result<()> {
        let offset = u64::from(self.tail);
        self.file.write_at(frames, offset).map_err(|e| {
            self.left_behind = self.file.truncate(offset).is_err();
            self.reserved = 0;
            Error::io("write", &self.segment.path(), e)
        })
    }

    /// Whether it holds no record but marks.
    pub(super) fn is_empty(&self) -> bool {
        self.last_seq < self.first_seq
    }
}

/// Where records were written.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    /// The last record's seq.
    pub last_seq: u64,
    /// The first record's location.
    pub location: Location,
    /// The record that it replaces.
    pub old: Old,
    /// What has to be done in the background because of it.
    pub care: Care,
}

/// What is left to be done about a record once another one is shown in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// To count it as dead, if there is one.
    Live,
    /// It is counted; to tell its block.
    Dead,
    /// Nothing: it was in the block that is being filled.
    Gone,
}

/// When [`Log::care`] is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Not because of this write.
    None,
    /// After the sync interval.
    Later,
    /// At once.
    Now,
}

impl End {
    pub(super) fn new(active: (Arc<Segment>, Arc<dyn File>), next_seq: u64) -> Self {
        End {
            active: Active::new(active, next_seq),
            spare: None,
            sealing: Vec::new(),
            next_seq,
            told_durable: next_seq - 1,
            stage: None,
            buf: Vec::new(),
            filler: None,
        }
    }

    /// Keeps the frames that stand in the buffer behind `staged` bytes, and go to the tail, in memory, but for some ranges of them.
    fn keep(&mut self, staged: usize, keeper: Keeper, too_long: &[Range<usize>]) {
        let segment = &self.active.segment;
        if self.filler.as_ref().is_none_or(|(id, _)| *id != segment.id) {
            let filler = keeper.filler(true);
            segment.set_blocks(filler.blocks());
            self.filler = Some((segment.id, filler));
        }
        if let Some((_, filler)) = &mut self.filler {
            filler.write(self.active.tail, &self.buf[staged..], too_long);
        }
    }

    /// Nobody will ask for the record that stands here in the active segment, to which something was just written. `false` if its block is another one than that which is being filled.
    fn subtract_in_front(&mut self, location: Location) -> bool {
        let in_blocks = self.filler.as_mut().zip(location.frame_len());
        in_blocks
            .is_some_and(|((_, filler), len)| filler.subtract_in_front(location.offset(), u32::from(len)))
    }
}

impl Log {
    /// Appends one record. If it `replaces` the record of an object that is known to stand there, what can be done about that under the lock of the end is done: to be called under the write
    /// lock of its key, by who shows the new record in any case.
    pub fn append(&self, record: &Record<'_>, replaces: Option<Location>, wait: Wait) -> Result<Appended> {
        let len = record.frame_len();
        let mut end = self.room(len, wait)?;
        let stamp = self.stamp(&mut end);
        let staged = end.buf.len();
        record.put(&mut end.buf, stamp);
        // As the function of this name tells of several, without memory for a list.
        let too_long = Some(0..len).filter(|_| !Location::tells(len as u64));
        let mut written = self.write(&mut end, staged, 1, too_long.as_slice())?;
        if record.kind == Kind::Put {
            end.active.segment.append_live(written.location, len as u64);
        } else if !end.subtract_in_front(written.location) {
            end.active.segment.let_go(written.location);
        }
        if let Some(old) = replaces.filter(|old| old.segment() == end.active.segment.slot) {
            end.active.segment.append_dead(old);
            written.old = if end.subtract_in_front(old) {
                Old::Gone
            } else {
                Old::Dead
            };
        }
        Ok(written)
    }

    /// Appends several records as one batch, there whole or not at all, and calls `each` with the index and location of each once all are
    /// written. `records` must not be empty.
    pub fn append_batch(
        &self,
        records: &[Record<'_>],
        wait: Wait,
        mut each: impl FnMut(usize, Location),
    ) -> Result<Appended> {
        let mut header = Record::new(Kind::Batch, Key::plain(&[0; 8]), &[]);
        let count = records.len() as u64;
        let commit_len = Record::new(Kind::Commit, Key::plain(&[0; 8]), &[]).frame_len() as u64;
        let (mut len, mut live) = (commit_len, 0);
        for record in records {
            let frame_len = record.frame_len() as u64;
            len += frame_len;
            live += if record.kind == Kind::Put { frame_len } else { 0 };
        }
        if len > MAX_BATCH_LEN {
            return Err(Error::TooLarge {
                what: "list",
                len,
                limit: MAX_BATCH_LEN,
            });
        }
        let mut end = self.room(header.frame_len() + len as usize, wait)?;
        let stamp = self.stamp(&mut end);
        let base = stamp.seq;
        let staged = end.buf.len();
        let key = batch_key(count as u32, len as u32);
        header.key = Key::plain(&key);
        header.put(&mut end.buf, stamp);
        for (seq, record) in (base..).zip(records) {
            record.as_member().put(&mut end.buf, Stamp { seq, ..stamp });
        }
        let first = base.to_le_bytes();
        Record::new(Kind::Commit, Key::plain(&first), &[]).put(
            &mut end.buf,
            Stamp {
                seq: base + count - 1,
                ..stamp
            },
        );
        let too_long = too_long(header.frame_len(), records);
        let written = self.write(&mut end, staged, count, &too_long)?;
        let segment = Arc::clone(&end.active.segment);
        segment.append_live_bytes(live);
        drop(end);
        let mut offset = written.location.offset() + header.frame_len() as u32;
        for (i, record) in records.iter().enumerate() {
            let len = record.frame_len() as u64;
            let location = Location::new(segment.slot, offset, len);
            if record.kind == Kind::Put {
                segment.note_live(location, len);
            } else {
                segment.let_go(location);
            }
            each(i, location);
            offset += len as u32;
        }
        Ok(written)
    }

    /// Tells in the log that a sync was done. Failing is harmless: the next frame tells the same.
    pub(super) fn append_mark(&self) {
        let mut end = self.append.lock();
        let durable = self.durable_seq();
        if end.told_durable >= durable || end.active.left_behind || self.sticky.get().is_some() {
            return;
        }
        let mark = Record::new(Kind::Mark, Key::plain(&[]), &[]);
        let segment = end.active.segment.id;
        let staged = end.buf.len();
        let stamp = Stamp {
            segment,
            seq: end.next_seq - 1,
            durable_seq: Some(durable),
        };
        mark.put(&mut end.buf, stamp);
        if self.write(&mut end, staged, 0, &[]).is_ok() {
            end.told_durable = durable;
        }
    }

    /// The end of the log, with room for `len` bytes in its active segment.
    fn room(&self, len: usize, wait: Wait) -> Result<MutexGuard<'_, End>> {
        if wait == Wait::Never && self.unsynced_bytes.load(Ordering::Relaxed) > MAX_UNSYNCED_BYTES {
            return Err(Error::WouldBlock);
        }
        loop {
            let mut end = self.lock_end(wait)?;
            self.check_open()?;
            self.sticky.check()?;
            if fits(&end.active, len, self.config.max_file_size) {
                return Ok(end);
            }
            if self.leave_active(&mut end)? {
                continue;
            }
            drop(end);
            if wait == Wait::Never {
                return Err(Error::WouldBlock);
            }
            self.make_spare()?;
        }
    }

    /// Makes the spare the active segment; `false` if there is none.
    pub(super) fn leave_active(&self, end: &mut End) -> Result<bool> {
        let Some(spare) = &end.spare else {
            return Ok(false);
        };
        let next = Active::of(spare.clone(), end.next_seq);
        let old = end.switch(next, self.table)?;
        end.spare = None;
        end.sealing.push(old);
        self.needs_care.store(true, Ordering::Release);
        Ok(true)
    }

    pub(super) fn lock_end(&self, wait: Wait) -> Result<MutexGuard<'_, End>> {
        if wait == Wait::May {
            return Ok(self.append.lock());
        }
        for _ in 0..SPINS {
            if let Some(end) = self.append.try_lock() {
                return Ok(end);
            }
            std::hint::spin_loop();
        }
        Err(Error::Busy)
    }

    fn stamp(&self, end: &mut End) -> Stamp {
        let durable = self.durable_seq();
        end.told_durable = durable;
        Stamp {
            segment: end.active.segment.id,
            seq: end.next_seq,
            durable_seq: Some(durable),
        }
    }

    /// Writes the frames that stand in the buffer behind `staged` bytes; they hold `count` seqs, and those of some ranges are too long to be kept in memory.
    #[expect(
        clippy::inline_always,
        reason = "its result would be written in pieces and read whole, for which the processor waits"
    )]
    #[inline(always)]
    pub(super) fn write(
        &self,
        end: &mut End,
        staged: usize,
        count: u64,
        too_long: &[Range<usize>],
    ) -> Result<Appended> {
        let offset = end.active.tail;
        let len = end.buf.len() - staged;
        if let Some(&keeper) = self.keeper.get() {
            end.keep(staged, keeper, too_long);
        }
        end.put(staged)?;
        let active = &mut end.active;
        active.tail += len as u32;
        end.next_seq += count;
        if count > 0 {
            active.last_seq = end.next_seq - 1;
            active.records_end = active.tail;
        }
        self.last_seq.store(end.next_seq - 1, Ordering::Release);
        // The lock of the end is held, so nobody else adds to it.
        let disk_bytes = self.disk_bytes.load(Ordering::Relaxed) + len as u64;
        self.disk_bytes.store(disk_bytes, Ordering::Relaxed);
        let care = if count == 0 {
            Care::None
        } else {
            self.care_after(offset, len, active.reserved)
        };
        Ok(Appended {
            last_seq: end.next_seq - 1,
            location: Location::new(active.segment.slot, offset, len as u64),
            old: Old::Live,
            care,
        })
    }
}

impl Log {
    /// What a write of `len` bytes at `offset` makes necessary: a sync some time after the first unsynced byte, at once when there are
    /// many; a spare when the active segment is half full; the sealing of a segment left; a stage, and room in the file, for a table that is written to a lot.
    fn care_after(&self, offset: u32, len: usize, reserved: u64) -> Care {
        // As with the bytes on disk: under the lock of the end nobody else changes it.
        let before = self.unsynced_bytes.load(Ordering::Relaxed);
        self.unsynced_bytes.store(before + len as u64, Ordering::Relaxed);
        let crossed = |from: u64, limit: u64| from < limit && from + len as u64 >= limit;
        if crossed(before, MAX_UNSYNCED_BYTES / 2)
            || crossed(u64::from(offset), self.config.max_file_size / 2)
            || self.needs_care.load(Ordering::Relaxed)
            || crossed(u64::from(offset), (reserved / 2).max(STAGE_AT))
        {
            Care::Now
        } else if before == 0 && self.config.sync != Sync::None {
            Care::Later
        } else {
            Care::None
        }
    }
}

/// Where the frames of those of these records stand that are too long for a location to tell their length, if the first frame begins there.
fn too_long(from: usize, records: &[Record<'_>]) -> Vec<Range<usize>> {
    let mut end = from;
    let ranges = records.iter().map(|record| {
        let start = end;
        end += record.frame_len();
        start..end
    });
    let unknown = |range: &Range<usize>| !Location::tells(range.len() as u64);
    ranges.filter(unknown).collect()
}

/// Whether a segment takes `len` bytes more. An empty one takes whatever 32-bit offsets can tell.
fn fits(active: &Active, len: usize, max_file_size: u64) -> bool {
    let end = u64::from(active.tail) + len as u64;
    let limit = if active.tail == HEADER_LEN {
        u64::from(u32::MAX)
    } else {
        max_file_size.min(u64::from(u32::MAX))
    };
    !active.left_behind && end <= limit
}
