//! What a table has done in the background: what its log asks for, hints, files that stay for snapshots, and freeing what takes long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Inner, Sync, Table};
use crate::background::{self, Job, Urgency};
use crate::epoch;
use crate::keydir::Keydir;
use crate::log::Care;
use crate::{Error, Result};

/// What is let go of of more objects than this is freed in the background.
const MANY: u64 = 1000;
/// When care that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked whether the snapshots are gone for which files stay.
const RELEASE_AFTER: Duration = Duration::from_secs(1);

impl Table {
    /// Does what is due in the background: syncing, sealing, making hints, sweeping. Gives the time after which more is due. Waits for the disk.
    pub fn care(&self) -> Result<Option<Duration>> {
        let again = self.inner.log.care();
        if self.inner.log.keeps_retired() {
            let _ = self.inner.log.release_retired();
        }
        while self.inner.log.make_hints() {}
        self.sweep()?;
        again
    }
}

impl Inner {
    /// Lets the value cache forget what was written of so many objects that are gone, and perhaps of some that came since.
    pub(super) fn forget_written(&self, objects: u64) {
        match self.itself.upgrade() {
            // Many blocks take longer than a caller may.
            Some(inner) if objects > MANY => background::run_once(move || inner.log.forget_written()),
            _ => self.log.forget_written(),
        }
    }

    /// A merge has come to its end: hints that it put off are made, if their segments are still there.
    pub(super) fn merge_ended(&self) {
        self.log.want_put_off_hints();
        if self.log.config().background && self.log.wants_hints() {
            self.plan_hints();
        }
    }

    /// Plans a step of making hints, and those behind it. Apart from the care, which a sync must not wait for.
    pub(super) fn plan_hints(&self) {
        let itself = Weak::clone(&self.itself);
        background::run_once(move || {
            if let Some(inner) = itself.upgrade().filter(|inner| inner.log.make_hints()) {
                inner.plan_hints();
            }
        });
    }

    /// Plans to look whether files that stay for snapshots can go, again and again until they are gone.
    pub(super) fn plan_release(&self) {
        let due = self.log.config().background && self.log.keeps_retired();
        if due && !self.release.planned.swap(true, Ordering::AcqRel) {
            let job = Arc::downgrade(&self.release);
            background::run_after(job, RELEASE_AFTER, Urgency::Patient);
        }
    }

    /// Plans what an append made necessary.
    pub(super) fn plan(&self, care: Care) {
        if !self.log.config().background {
            return;
        }
        let sync = self.log.config().sync;
        // Who commits waits for the sync.
        let urgency = match sync {
            Sync::Always => Urgency::Awaited,
            Sync::Interval(_) | Sync::None => Urgency::Patient,
        };
        let delay = match (care, sync) {
            (Care::None, _) | (Care::Later, Sync::None) => return,
            (Care::Now, _) if background::is_served(urgency) && !self.log.plans_care() => return,
            (Care::Now, _) | (Care::Later, Sync::Always) => Duration::ZERO,
            (Care::Later, Sync::Interval(ms)) => Duration::from_millis(ms),
        };
        let job: Weak<dyn Job> = Weak::clone(&self.itself) as Weak<dyn Job>;
        background::run_after(job, delay, urgency);
    }
}

impl Job for Inner {
    fn run(&self) -> Option<Duration> {
        let care = self.log.care();
        if self.log.wants_hints() {
            self.plan_hints();
        }
        match care {
            Ok(again) => again,
            Err(Error::Closed) => None,
            Err(_) if self.log.sticky.get().is_some() => None,
            // No room for a spare segment, say. Writes that came meanwhile count on this care to make them durable.
            Err(_) => Some(RETRY_AFTER),
        }
    }
}

/// Looks whether files that stay for snapshots can go.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) inner: Weak<Inner>,
    pub(super) planned: AtomicBool,
}

impl Job for Release {
    fn run(&self) -> Option<Duration> {
        self.planned.store(false, Ordering::Release);
        let inner = self.inner.upgrade()?;
        // What could not be removed is tried again, and so is what failed.
        let _ = inner.log.release_retired();
        if inner.log.check_open().is_ok() {
            inner.plan_release();
        }
        None
    }
}

/// Frees a keydir that the table has let go of elsewhere: millions of keys take longer than a caller may.
pub(super) fn free(keydir: Arc<Keydir>) {
    if keydir.len() > MANY {
        background::run_once(move || {
            // A call that still looks into it would be the one to free it.
            while Arc::strong_count(&keydir) > 1 {
                // The count of the table itself waits for readers.
                epoch::pin().flush();
                std::thread::sleep(Duration::from_millis(1));
            }
            drop(keydir);
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::table::Table;

    /// From when a segment was left until the care for that began each write planned one more, thousands of them on a busy machine, and each was done: sync after sync.
    #[test]
    fn care_that_is_due_is_planned_once() {
        let table = Table::simulated();
        let log = &table.inner.log;
        assert!(log.plans_care());
        assert!(!log.plans_care());
        table.care().unwrap();
        assert!(log.plans_care());
    }
}
