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
    open: Mutex<VecDeque<Arc<Segment>>>,
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
        self.put(segment, file);
        Ok(Guard::from_inner(segment.handle.load_full()))
    }

    /// Takes in a descriptor that its caller opened.
    pub fn put(&self, segment: &Arc<Segment>, file: Arc<dyn File>) {
        let mut open = self.open.lock();
        segment.handle.store(Some(Arc::new(Handle(file))));
        open.retain(|other| !Arc::ptr_eq(other, segment));
        open.push_back(Arc::clone(segment));
        while open.len() > self.limit {
            if let Some(oldest) = open.pop_front() {
                oldest.handle.store(None);
            }
        }
    }

    /// Closes the descriptor of a segment that goes.
    pub fn forget(&self, segment: &Arc<Segment>) {
        let mut open = self.open.lock();
        open.retain(|other| !Arc::ptr_eq(other, segment));
        segment.handle.store(None);
    }

    /// Closes all descriptors.
    pub fn clear(&self) {
        for segment in self.open.lock().drain(..) {
            segment.handle.store(None);
        }
    }
}
