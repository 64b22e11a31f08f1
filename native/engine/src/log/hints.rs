//! Hints for segments that were sealed while the table is open.
//!
//! They are made in steps of bounded length that hold neither the lock of maintenance nor that of the end: a sync must not wait for the reading of a
//! large segment, nor the tables that share the background threads for each other. A hint that cannot be made is left to the next opening, which reads
//! the segment then.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Log;
use crate::format::manifest::Entry;
use crate::segment::Segment;
use crate::segment::hint::{HintWriter, identity};
use crate::segment::reading::Reading;
use crate::sync::Mutex;

/// A step reads so many bytes of a segment: some milliseconds' work if they are in memory.
const STEP_LEN: u64 = 8 << 20;
/// A close makes the hints of so many bytes of segments. What is left is left to the next opening, which has the checkpoint.
const CLOSE_LEN: u64 = 256 << 20;

/// The segments that wait for their hints, and the one whose hint is being made.
#[derive(Debug, Default)]
pub(super) struct Hints {
    waiting: Mutex<VecDeque<Entry>>,
    /// Those that a merge is about to make go.
    put_off: Mutex<Vec<Entry>>,
    /// Held during a step.
    job: parking_lot::Mutex<Option<Job>>,
}

#[derive(Debug)]
struct Job {
    segment: Arc<Segment>,
    reading: Reading,
}

impl Log {
    /// Says that these sealed segments have no hint.
    pub(crate) fn want_hints(&self, sealed: impl IntoIterator<Item = Entry>) {
        if !self.config.temporary {
            self.hints.waiting.lock().extend(sealed);
        }
    }

    /// Whether there is a hint that nobody makes yet.
    pub fn wants_hints(&self) -> bool {
        self.check_open().is_ok() && !self.hints.waiting.lock().is_empty()
    }

    /// Says that the merge under way has ended, whatever became of it: what it put off waits again.
    pub(crate) fn want_put_off_hints(&self) {
        let put_off = std::mem::take(&mut *self.hints.put_off.lock());
        self.want_hints(put_off);
    }

    /// Reads on in a segment that has no hint yet. Waits for the disk. `true` if there is more to do, and nobody else who does it.
    pub fn make_hints(&self) -> bool {
        let Some(mut job) = self.hints.job.try_lock() else {
            return false;
        };
        self.check_open().is_ok() && self.hint_step(&mut job)
    }

    /// Makes hints that are missing at the close of the log, after which nobody makes any.
    pub(super) fn close_hints(&self) {
        let mut job = self.hints.job.lock();
        let mut left = CLOSE_LEN;
        while left > 0 && self.hint_step(&mut job) {
            left = left.saturating_sub(STEP_LEN);
        }
    }

    /// Waits for the step that is being done; the log is closed, so none comes after it.
    pub(super) fn stop_hints(&self) {
        *self.hints.job.lock() = None;
        self.hints.waiting.lock().clear();
        self.hints.put_off.lock().clear();
    }

    fn hint_step(&self, job: &mut Option<Job>) -> bool {
        if job.is_none() {
            let Some(entry) = self.hints.waiting.lock().pop_front() else {
                return false;
            };
            *job = self.begin_hint(&entry);
        }
        if job.as_ref().is_some_and(|job| self.puts_off(&job.segment)) {
            *job = None;
        }
        if let Some(Job { segment, reading }) = job {
            let read = reading.read_piece(segment, STEP_LEN, |_| {});
            // Damage is told by who reads the record, or by an opening that has to.
            if read.is_err() || reading.is_done() || !reading.has_hint() {
                *job = None;
            }
        }
        job.is_some() || !self.hints.waiting.lock().is_empty()
    }

    /// Whether a merge is about to make this segment go, so that its hint would be made in vain. If it stays, the hint is made after the merge.
    fn puts_off(&self, segment: &Segment) -> bool {
        // Whoever lets the segment go from a merge takes this lock behind that.
        let mut put_off = self.hints.put_off.lock();
        let is_merged = segment.is_merged();
        if is_merged {
            put_off.extend(segment.sealed());
        }
        is_merged
    }

    fn begin_hint(&self, entry: &Entry) -> Option<Job> {
        let segment = {
            let segments = self.segments.hold();
            Arc::clone(segments.iter().flatten().find(|segment| segment.id == entry.id)?)
        };
        if self.puts_off(&segment) {
            return None;
        }
        let file = segment.open(&*self.storage).ok()?;
        // A table that is renamed must not leave a file where it was.
        let hint = self
            .dir
            .with(|dir| HintWriter::create(&*self.storage, dir, self.table, entry.id))
            .ok()?;
        Some(Job {
            segment,
            reading: Reading::new(file, identity(self.table, entry), Some(hint)),
        })
    }
}
