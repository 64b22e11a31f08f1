//! The descriptors of segments, kept few: of one table, and of all tables on one storage together, so that thousands may be open.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::Guard;

use super::{Handle, Segment};
use crate::dir::Dir;
use crate::io::{File, Storage};
use crate::sync::Mutex;
use crate::table::Wait;
use crate::{Error, Result};

/// Descriptors that a table holds at most for reading. Those that it writes to and the lock come on top: 16 in all.
const MAX_OF_TABLE: usize = 10;
/// Descriptors that all tables on one storage hold at most for reading.
const MAX_OF_ALL: usize = 64;

/// The pools there are: one for each storage that tables stand on.
static POOLS: Mutex<Vec<Weak<Pool>>> = Mutex::new(Vec::new());

/// Segments of all tables on one storage that are open for reading, the one opened longest ago first.
#[derive(Debug)]
struct Pool {
    storage: Arc<dyn Storage>,
    open: Mutex<VecDeque<Arc<Segment>>>,
}

impl Pool {
    fn of(storage: &Arc<dyn Storage>) -> Arc<Pool> {
        let mut pools = POOLS.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        let same = |pool: &Arc<Pool>| Arc::ptr_eq(&pool.storage, storage);
        pools
            .iter()
            .filter_map(Weak::upgrade)
            .find(same)
            .unwrap_or_else(|| {
                let pool = Arc::new(Pool {
                    storage: Arc::clone(storage),
                    open: Mutex::default(),
                });
                pools.push(Arc::downgrade(&pool));
                pool
            })
    }
}

/// A table's part in them. Opens segments when they are read and closes those opened longest ago. A reader that still uses a closed one finishes on it.
#[derive(Debug)]
pub struct Handles {
    pool: Arc<Pool>,
    dir: Arc<Dir>,
    /// Segments whose descriptors the log has anyway, to write to them.
    written: Mutex<Vec<Arc<Segment>>>,
    /// Whether the table is closed: who was under way then uses a descriptor of its own. Changed under the lock of the pool.
    closed: AtomicBool,
}

impl Handles {
    /// Those of the table in `dir`.
    pub fn new(storage: &Arc<dyn Storage>, dir: &Arc<Dir>) -> Self {
        Handles {
            pool: Pool::of(storage),
            dir: Arc::clone(dir),
            written: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// The segment's descriptor; opens it if need be, which waits for the disk.
    pub fn get(&self, segment: &Arc<Segment>, wait: Wait) -> Result<Guard<Option<Arc<Handle>>>> {
        let open = segment.handle.load();
        if open.is_some() {
            return Ok(open);
        }
        if wait == Wait::Never {
            return Err(Error::WouldBlock);
        }
        let file = segment
            .open(&*self.pool.storage)
            .map_err(|e| Error::io("open", &segment.path(), e))?;
        let handle = Arc::new(Handle(file));
        self.put(segment, Arc::clone(&handle));
        // It may be closed again by now, but for this reader.
        Ok(Guard::from_inner(Some(handle)))
    }

    /// Lets readers use the descriptor that the log writes with, until [`Handles::written`] or [`Handles::forget`].
    pub fn writing(&self, segment: &Arc<Segment>, file: &Arc<dyn File>) {
        self.written.lock().push(Arc::clone(segment));
        segment.handle.store(Some(Arc::new(Handle(Arc::clone(file)))));
    }

    /// The log has no more use for the descriptor of a segment: from now on it is one among those that are read.
    pub fn written(&self, segment: &Arc<Segment>) {
        let mut written = self.written.lock();
        let before = written.len();
        written.retain(|other| !Arc::ptr_eq(other, segment));
        if written.len() < before
            && let Some(handle) = segment.handle.load_full()
        {
            self.put(segment, handle);
        }
    }

    /// Takes in an open descriptor, and closes others if there are too many. After [`Handles::close`] it is its caller's alone.
    fn put(&self, segment: &Arc<Segment>, handle: Arc<Handle>) {
        let is_own = |other: &Arc<Segment>| Arc::ptr_eq(&other.dir, &self.dir);
        // Dropped, and so closed, when the lock is no longer held.
        let mut closed = Vec::new();
        let mut open = self.pool.open.lock();
        if self.closed.load(Ordering::Relaxed) {
            closed.push(segment.handle.swap(None));
            return;
        }
        closed.push(segment.handle.swap(Some(handle)));
        open.retain(|other| !Arc::ptr_eq(other, segment));
        open.push_back(Arc::clone(segment));
        if open.iter().filter(|other| is_own(other)).count() > MAX_OF_TABLE
            && let Some(oldest) = open.iter().position(is_own)
        {
            closed.extend(open.remove(oldest).map(|oldest| oldest.handle.swap(None)));
        }
        if open.len() > MAX_OF_ALL {
            closed.extend(open.pop_front().map(|oldest| oldest.handle.swap(None)));
        }
        drop(open);
    }

    /// Closes the descriptor of a segment that goes.
    pub fn forget(&self, segment: &Arc<Segment>) {
        let gone = |other: &Arc<Segment>| !Arc::ptr_eq(other, segment);
        self.written.lock().retain(gone);
        let mut open = self.pool.open.lock();
        open.retain(gone);
        let closed = segment.handle.swap(None);
        drop(open);
        drop(closed);
    }

    /// Closes all descriptors of the table, and keeps none from now on.
    pub fn close(&self) {
        for segment in self.written.lock().drain(..) {
            segment.handle.store(None);
        }
        let mut closed = Vec::new();
        let mut open = self.pool.open.lock();
        self.closed.store(true, Ordering::Relaxed);
        open.retain(|segment| {
            let own = Arc::ptr_eq(&segment.dir, &self.dir);
            if own {
                closed.push(segment.handle.swap(None));
            }
            !own
        });
        drop(open);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::io::sim::Sim;

    /// A reader opened a segment while its table was being closed, and put the descriptor in behind the clearing: it stayed open for as long as anything held the
    /// table, which in a VM is until the last reference to its identifier is garbage.
    #[test]
    fn who_reads_on_while_a_table_closes_leaves_no_descriptor() {
        let sim = Sim::new();
        sim.create_dir_all(Path::new("/t")).unwrap();
        let dir = Arc::new(Dir::new(Path::new("/t")));
        let segment = Arc::new(Segment::new(&dir, 1, 0));
        sim.create(&segment.path()).unwrap();
        let storage: Arc<dyn Storage> = Arc::new(sim);
        let handles = Handles::new(&storage, &dir);
        assert!(handles.get(&segment, Wait::May).unwrap().is_some());
        assert!(segment.handle.load().is_some());
        handles.close();
        assert!(segment.handle.load().is_none());
        let own = handles.get(&segment, Wait::May).unwrap();
        assert!(own.is_some(), "the reader finishes");
        assert!(segment.handle.load().is_none(), "and nothing stays");
        assert!(handles.pool.open.lock().is_empty());
    }
}
