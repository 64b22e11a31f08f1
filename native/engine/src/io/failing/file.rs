//! An open file of a failing file system.

use std::io::Result;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;

use super::fault::{Call, Verdict, Watch};
use crate::io::sim::SimFile;
use crate::io::window::FileWindow;
use crate::io::{File, Window};

#[derive(Debug)]
pub(super) struct FailingFile {
    inner: Arc<dyn File>,
    /// The same file, if it is simulated: told of a sync that fails.
    sim: Option<Arc<SimFile>>,
    watch: Arc<Mutex<Watch>>,
}

impl FailingFile {
    pub(super) fn over_any(inner: Arc<dyn File>, watch: &Arc<Mutex<Watch>>) -> Arc<dyn File> {
        let (sim, watch) = (None, watch.clone());
        Arc::new(Self { inner, sim, watch })
    }

    pub(super) fn over_sim(file: Arc<SimFile>, watch: &Arc<Mutex<Watch>>) -> Arc<dyn File> {
        let (sim, watch) = (Some(file.clone()), watch.clone());
        let inner = file;
        Arc::new(Self { inner, sim, watch })
    }

    fn ask(&self, call: Call) -> Result<&dyn File> {
        match self.watch.lock().meet(call) {
            Verdict::Go => Ok(&*self.inner),
            Verdict::Fail(error) | Verdict::FailHalf(error) => Err(error.into()),
        }
    }
}

impl File for FailingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.ask(Call::Read)?.read_at(buf, offset)
    }

    fn read_at_nowait(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.ask(Call::ReadNowait)?.read_at_nowait(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        let verdict = self.watch.lock().meet(Call::Write);
        match verdict {
            Verdict::Go => self.inner.write_at(buf, offset),
            Verdict::Fail(error) => Err(error.into()),
            Verdict::FailHalf(error) => {
                self.inner.write_at(&buf[..buf.len() / 2], offset)?;
                Err(error.into())
            }
        }
    }

    fn sync(&self) -> Result<()> {
        match (self.ask(Call::Sync), &self.sim) {
            (Err(error), Some(sim)) => {
                // Its own error is the simulator's; the fault's is the one asked for.
                let _: Result<()> = sim.fail_sync();
                Err(error)
            }
            (asked, _) => asked?.sync(),
        }
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.ask(Call::Truncate)?.truncate(len)
    }

    fn preallocate(&self, len: u64) -> Result<()> {
        self.ask(Call::Preallocate)?.preallocate(len)
    }

    fn window(&self, range: Range<u64>) -> Result<Box<dyn Window>> {
        self.ask(Call::Window)?;
        let file = FailingFile {
            inner: Arc::clone(&self.inner),
            sim: self.sim.clone(),
            watch: Arc::clone(&self.watch),
        };
        Ok(Box::new(FileWindow::new(Arc::new(file), range)))
    }

    fn len(&self) -> Result<u64> {
        self.ask(Call::Len)?.len()
    }
}
