//! Test equipment: a file system in memory that can lose power at any moment.
//!
//! A [`Sim`] is a [`Storage`](super::Storage) that logs every operation which changes something. Afterwards
//! [`Sim::crash_points`] gives each moment between two operations, and [`CrashPoint::image`] a disk that a power loss at
//! that moment may leave, as a new [`Sim`], on which recovery is run, which logs, and can be crashed, in its turn.
//!
//! The model, which is harsher than most file systems:
//! - A write, truncation or reservation is lost or kept on its own, whatever becomes of earlier and later ones, until a
//!   sync of the file. A write can be torn at any byte, sector or page. A length can be there without the bytes: they
//!   read as zeros.
//! - A name made, removed or changed is lost or kept on its own until a sync of its directory; a file's sync does not
//!   cover its name. A rename is atomic: under the old name or the new one, never neither. One that is followed by
//!   another rename of the same file is there if that one is. A rename between directories is durable once either
//!   directory is synced.
//! - After a failed sync the changes it should have covered are still seen, later syncs succeed, and no later sync makes
//!   those changes durable.
//! - A kill loses nothing, and makes nothing durable.
//!
//! Not modelled: symbolic links, permissions, full disks (see [`failing`](super::failing)), bytes that were never written.

mod content;
mod crash;
mod damage;
mod disk;
mod op;
mod plan;
mod storage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::io::Errno;

pub use crash::{CrashPoint, CrashPoints};
pub use op::OpKind;
pub use plan::{Plan, Tear};
pub(super) use storage::SimFile;

use disk::Disk;
use op::{Ino, Op};

/// A file system in memory. Clones are handles to the same one.
///
/// It starts with an empty root directory. Relative paths start there too. Its locks are those of one machine run: an
/// image or a killed one starts without locks.
#[derive(Clone, Debug)]
pub struct Sim(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// No other file system of this process has this number.
    device: u64,
    /// What stands now.
    disk: Disk,
    /// What stood before the first operation of the log, if there is one.
    base: Option<Disk>,
    log: Vec<Op>,
    locks: Vec<Held>,
    /// Whether no read is answered without waiting.
    cold: bool,
    /// Syncs of files, and of directories, until one fails, counted from 1.
    fail_sync: Option<u64>,
    fail_sync_dir: Option<u64>,
}

/// Who holds a lock on a file or directory.
#[derive(Debug)]
struct Held {
    ino: Ino,
    /// So many shared holders; 0 is one exclusive holder.
    shared: usize,
}

impl Default for Sim {
    fn default() -> Self {
        Self::new()
    }
}

impl Sim {
    /// An empty file system.
    pub fn new() -> Self {
        Self::with_disk(Disk::new())
    }

    fn with_disk(disk: Disk) -> Self {
        static DEVICES: AtomicU64 = AtomicU64::new(0);
        Self(Arc::new(Mutex::new(State {
            device: DEVICES.fetch_add(1, Ordering::Relaxed),
            disk,
            base: None,
            log: Vec::new(),
            locks: Vec::new(),
            cold: false,
            fail_sync: None,
            fail_sync_dir: None,
        })))
    }

    /// How many operations were logged: since [`Sim::new`], or since this was made as an image, or damaged by hand.
    pub fn ops(&self) -> usize {
        self.0.lock().log.len()
    }

    /// The kind of the operation of this number, from 0.
    pub fn op(&self, number: usize) -> Option<OpKind> {
        self.0.lock().log.get(number).map(Op::kind)
    }

    /// Every moment to crash at: before the first operation, and after each. Costs a copy of the log, and each step the
    /// replay of one operation.
    pub fn crash_points(&self) -> CrashPoints {
        let state = self.0.lock();
        CrashPoints {
            disk: state.base.as_ref().unwrap_or(&state.disk).clone(),
            log: state.log.clone().into_iter(),
            last: None,
            at: 0,
            done: false,
        }
    }

    /// The moment after so many operations, or the last one if there were fewer. Replays the log: to visit many, use
    /// [`Sim::crash_points`].
    pub fn crash_point(&self, at: usize) -> CrashPoint {
        let state = self.0.lock();
        let mut disk = state.base.as_ref().unwrap_or(&state.disk).clone();
        let at = at.min(state.log.len());
        let mut last = None;
        for (number, op) in state.log[..at].iter().enumerate() {
            if number + 1 == at {
                last = Some((op.clone(), disk.clone()));
            }
            disk.apply(op);
        }
        CrashPoint::new(at, last, disk)
    }

    /// What a power loss after so many operations leaves, by this plan.
    #[must_use]
    pub fn crash(&self, at: usize, plan: &Plan) -> Sim {
        self.crash_point(at).image(plan)
    }

    /// What a process finds that is started after a kill after so many operations: all of them done, what was not synced
    /// still at risk.
    #[must_use]
    pub fn kill(&self, at: usize) -> Sim {
        self.crash_point(at).kill()
    }

    /// Makes the sync of a file fail that is the nth from now, from 1; later ones succeed again.
    pub fn fail_sync_at(&self, n: u64) {
        self.0.lock().fail_sync = Some(n);
    }

    /// Makes the sync of a directory fail that is the nth from now, from 1; later ones succeed again.
    pub fn fail_sync_dir_at(&self, n: u64) {
        self.0.lock().fail_sync_dir = Some(n);
    }

    /// Whether [`read_at_nowait`](super::File::read_at_nowait) always says `WouldBlock`, as if nothing were in memory.
    pub fn set_cold(&self, cold: bool) {
        self.0.lock().cold = cold;
    }
}

impl State {
    /// Does an operation and remembers it.
    fn log(&mut self, op: Op) {
        if self.base.is_none() {
            self.base = Some(self.disk.clone());
        }
        self.disk.apply(&op);
        self.log.push(op);
    }

    /// Syncs a file or directory as the armed faults have it.
    fn sync(&mut self, ino: Ino, dir: bool) -> std::io::Result<()> {
        let armed = if dir {
            &mut self.fail_sync_dir
        } else {
            &mut self.fail_sync
        };
        let mut ok = true;
        if let Some(n) = armed {
            *n = n.saturating_sub(1);
            ok = *n > 0;
        }
        if !ok {
            *armed = None;
        }
        self.sync_as(ino, dir, ok)
    }

    fn sync_as(&mut self, ino: Ino, dir: bool, ok: bool) -> std::io::Result<()> {
        self.log(if dir {
            Op::SyncDir { ino, ok }
        } else {
            Op::Sync { ino, ok }
        });
        if ok { Ok(()) } else { Err(Errno::IO.into()) }
    }
}
