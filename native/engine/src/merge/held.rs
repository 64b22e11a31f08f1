//! Files that are held open while their names go. The system frees what a file takes when the last one closes it: for gigabytes that is a good part of a second, which
//! neither a lock is to be held for, nor a step of a merge, nor a reader that comes out of it late.

use std::sync::Arc;

use crate::background::{self, Urgency};
use crate::io::File;
use crate::sched;
use crate::segment::Segment;
use crate::table::Inner;

/// So many files are held at most: of a longer list the others are freed where their names go.
const HELD_MAX: usize = 64;
/// To free a file of fewer bytes takes no longer than to remove its name.
const LARGE: u64 = if cfg!(test) { 1 << 10 } else { 1 << 20 };

pub(super) struct Held(Vec<Arc<dyn File>>);

impl Held {
    /// Holds the segments' files, those of them that are large. Of a table without background threads, or if there are none, it holds nothing.
    pub(super) fn of<'s>(inner: &Inner, segments: impl Iterator<Item = &'s Arc<Segment>>) -> Self {
        if !inner.log.config().background || !background::is_served(Urgency::Patient) {
            return Held(Vec::new());
        }
        let files = segments.filter_map(|segment| segment.open(&*inner.log.storage).ok());
        let large = files.filter(|file| file.len().is_ok_and(|len| len >= LARGE));
        Held(large.take(HELD_MAX).collect())
    }

    /// Has a background thread close them, and let go of `until` then.
    pub(super) fn free(self, until: Arc<()>) {
        if self.0.is_empty() {
            return;
        }
        background::run_once(move || {
            for file in self.0 {
                sched::step_aside();
                drop(file);
            }
            drop(until);
        });
    }
}
