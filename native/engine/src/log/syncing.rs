//! A sync that another thread does while its caller goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::background;
use crate::io::File;

/// A sync of a file that was begun, or waits for a thread to begin it.
#[derive(Debug)]
pub(super) struct Syncing(Arc<Work>);

#[derive(Debug)]
struct Work {
    file: Arc<dyn File>,
    begun: AtomicBool,
    result: Mutex<Option<io::Result<()>>>,
    done: Condvar,
}

impl Syncing {
    /// Asks for a sync of all that was written to the file so far.
    pub(super) fn begin(file: &Arc<dyn File>) -> Self {
        let work = Arc::new(Work {
            file: Arc::clone(file),
            begun: AtomicBool::new(false),
            result: Mutex::new(None),
            done: Condvar::new(),
        });
        let itself = Arc::clone(&work);
        background::run_once(move || itself.run());
        Syncing(work)
    }

    /// Waits until it is done. What nobody has begun yet is done here: the background threads may all be waiting for a lock that the caller has.
    pub(super) fn wait(self) -> io::Result<()> {
        self.0.run();
        let mut result = self.0.result.lock();
        loop {
            match result.take() {
                Some(done) => return done,
                None => self.0.done.wait(&mut result),
            }
        }
    }
}

impl Work {
    fn run(&self) {
        if !self.begun.swap(true, Ordering::AcqRel) {
            let done = self.file.sync();
            *self.result.lock() = Some(done);
            self.done.notify_all();
        }
    }
}
