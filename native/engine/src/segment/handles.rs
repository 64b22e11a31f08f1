//! The descriptors of a table's segments, kept few.

use std::collections::VecDeque;
use std::sync::Arc;

use arc_swap::Guard;
use parking_lot::Mutex;

use super::{Handle, Segment};
use crate::io::{File, Storage};
use crate::table::Wait;
use crate::{Error, Result};

/// Opens segments when they are read and closes those opened longest ago. A reader that still uses a closed one finishes on it.
#[derive(Debug)]
pub struct Handles {
    storage: Arc<dyn Storage>,
    limit: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    segments: VecDeque<Arc<Segment>>,
    /// Whether the table is closed: who was under way then uses a descriptor of its own, which nobody would close otherwise.
    closed: bool,
}

impl Handles {
    /// At most `limit` descriptors.
    pub fn new(storage: Arc<dyn Storage>, limit: usize) -> Self {
        Handles {
            storage,
            limit,
            open: Mutex::default(),
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
            .open(&*self.storage)
            .map_err(|e| Error::io("open", &segment.path(), e))?;
        Ok(Guard::from_inner(Some(self.put(segment, file))))
    }

    /// Takes in a descriptor that its caller opened, and gives it. After [`Handles::close`] it is its caller's alone.
    pub fn put(&self, segment: &Arc<Segment>, file: Arc<dyn File>) -> Arc<Handle> {
        let handle = Arc::new(Handle(file));
        let mut open = self.open.lock();
        if open.closed {
            return handle;
        }
        segment.handle.store(Some(Arc::clone(&handle)));
        open.segments.retain(|other| !Arc::ptr_eq(other, segment));
        open.segments.push_back(Arc::clone(segment));
        while open.segments.len() > self.limit {
            if let Some(oldest) = open.segments.pop_front() {
                oldest.handle.store(None);
            }
        }
        handle
    }

    /// Closes the descriptor of a segment that goes.
    pub fn forget(&self, segment: &Arc<Segment>) {
        let mut open = self.open.lock();
        open.segments.retain(|other| !Arc::ptr_eq(other, segment));
        segment.handle.store(None);
    }

    /// Closes all descriptors, and keeps none from now on.
    pub fn close(&self) {
        let mut open = self.open.lock();
        open.closed = true;
        for segment in open.segments.drain(..) {
            segment.handle.store(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::dir::Dir;
    use crate::io::sim::Sim;

    /// A reader opened a segment while its table was being closed, and put the descriptor in behind the clearing: it stayed open for as long as anything held the
    /// table, which in a VM is until the last reference to its identifier is garbage.
    #[test]
    fn who_reads_on_while_a_table_closes_leaves_no_descriptor() {
        let sim = Sim::new();
        sim.create_dir_all(Path::new("/t")).unwrap();
        let segment = Arc::new(Segment::new(&Arc::new(Dir::new(Path::new("/t"))), 1, 0));
        sim.create(&segment.path()).unwrap();
        let handles = Handles::new(Arc::new(sim), 4);
        assert!(handles.get(&segment, Wait::May).unwrap().is_some());
        assert!(segment.handle.load().is_some());
        handles.close();
        assert!(segment.handle.load().is_none());
        assert!(
            handles.get(&segment, Wait::May).unwrap().is_some(),
            "the reader finishes"
        );
        assert!(segment.handle.load().is_none(), "and nothing stays");
    }
}
