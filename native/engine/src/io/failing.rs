//! Test equipment: a file system that fails at chosen calls and else does what another one does.

mod fault;
mod file;

use std::io::Result;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::sim::Sim;
use super::{File, Lock, Stat, Storage};

pub use fault::{Call, Counts, Fault};

use fault::{Verdict, Watch};
use file::FailingFile;

/// Wraps a file system. Clones are handles to the same one, with the same faults and counts.
///
/// A call that fails does nothing (but for [`Fault::half`]). If it is a sync, and a [`Sim`] is wrapped, the simulator
/// also drops at a crash what the sync should have covered, as a kernel does.
#[derive(Clone, Debug)]
pub struct Failing {
    inner: Inner,
    watch: Arc<Mutex<Watch>>,
}

#[derive(Clone, Debug)]
enum Inner {
    Sim(Sim),
    Other(Arc<dyn Storage>),
}

impl Failing {
    /// Wraps a file system; nothing fails until [`Failing::arm`].
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self::over(Inner::Other(storage))
    }

    /// Wraps a simulated file system.
    pub fn over_sim(sim: Sim) -> Self {
        Self::over(Inner::Sim(sim))
    }

    fn over(inner: Inner) -> Self {
        let watch = Arc::default();
        Self { inner, watch }
    }

    /// Adds a fault. Its count starts now.
    pub fn arm(&self, fault: Fault) {
        self.watch.lock().arm(fault);
    }

    /// Takes all faults away: the disk is well again, or has room.
    pub fn disarm(&self) {
        self.watch.lock().disarm();
    }

    /// The calls so far, those that failed included.
    pub fn counts(&self) -> Counts {
        self.watch.lock().counts.clone()
    }

    /// How many calls failed by a fault so far.
    pub fn failed(&self) -> u64 {
        self.watch.lock().failed
    }

    fn storage(&self) -> &dyn Storage {
        match &self.inner {
            Inner::Sim(sim) => sim,
            Inner::Other(storage) => &**storage,
        }
    }

    fn ask(&self, call: Call) -> Result<&dyn Storage> {
        match self.watch.lock().meet(call) {
            Verdict::Go => Ok(self.storage()),
            Verdict::Fail(error) | Verdict::FailHalf(error) => Err(error.into()),
        }
    }
}

impl Storage for Failing {
    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.ask(Call::Create)?;
        Ok(match &self.inner {
            Inner::Sim(sim) => FailingFile::over_sim(sim.create_file(path)?, &self.watch),
            Inner::Other(storage) => FailingFile::over_any(storage.create(path)?, &self.watch),
        })
    }

    fn open(&self, path: &Path, write: bool) -> Result<Arc<dyn File>> {
        self.ask(Call::Open)?;
        Ok(match &self.inner {
            Inner::Sim(sim) => FailingFile::over_sim(sim.open_file(path, write)?, &self.watch),
            Inner::Other(storage) => FailingFile::over_any(storage.open(path, write)?, &self.watch),
        })
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>> {
        self.ask(Call::Stat)?.stat(path)
    }

    fn stat_follow(&self, path: &Path) -> Result<Option<Stat>> {
        self.ask(Call::Stat)?.stat_follow(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        self.ask(Call::List)?.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        self.ask(Call::CreateDir)?.create_dir_all(dir)
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        self.ask(Call::RemoveDir)?.remove_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.ask(Call::Rename)?.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.ask(Call::Rename)?.rename_new(from, to)
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        self.ask(Call::Unlink)?.unlink(path)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.ask(Call::Link)?.link(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        match (self.ask(Call::SyncDir), &self.inner) {
            (Err(error), Inner::Sim(sim)) => {
                // Its own error is the simulator's; the fault's is the one asked for.
                let _: Result<()> = sim.fail_sync_dir(dir);
                Err(error)
            }
            (asked, _) => asked?.sync_dir(dir),
        }
    }

    fn lock(&self, path: &Path, shared: bool) -> Result<Option<Box<dyn Lock>>> {
        self.ask(Call::Lock)?.lock(path, shared)
    }
}
