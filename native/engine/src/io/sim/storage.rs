//! The simulator as a file system, with the errors that Linux gives.

use std::io::{ErrorKind, Result};
use std::ops::Range;
use std::path::{Component, Path};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;
use smallvec::SmallVec;

use super::disk::{Disk, ROOT};
use super::op::{Change, Ino, Name, NameChange, Op, OpKind};
use super::{Held, Sim, State};
use crate::io::window::FileWindow;
use crate::io::{File, Kind, Lock, Stat, Storage, Window, dirs};

/// No file is longer, so that a wrong offset is an error and not a memory full of zeros.
const LEN_MAX: u64 = 1 << 32;

impl Storage for Sim {
    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        Ok(self.create_file(path)?)
    }

    fn open(&self, path: &Path, write: bool) -> Result<Arc<dyn File>> {
        Ok(self.open_file(path, write)?)
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>> {
        let State { disk, device, .. } = &*self.0.lock();
        match disk.lookup(path) {
            Ok(ino) => Ok(Some(disk.stat(*device, ino))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn stat_follow(&self, path: &Path) -> Result<Option<Stat>> {
        self.stat(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let disk = &self.0.lock().disk;
        let dir = disk.lookup(dir)?;
        let dir = disk.dir(dir).ok_or(Errno::NOTDIR)?;
        Ok(dir.visible.iter().map(|(name, _)| name.to_string()).collect())
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        dirs::create_all(self, dir, |dir| {
            let state = &mut *self.0.lock();
            let (at, there) = state.disk.place(dir)?;
            if there.is_some() {
                return Err(Errno::EXIST.into());
            }
            state.make(at, true);
            Ok(())
        })
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        let state = &mut *self.0.lock();
        let (at, there) = state.disk.place(dir)?;
        let ino = there.ok_or(Errno::NOENT)?;
        let entries = &state.disk.dir(ino).ok_or(Errno::NOTDIR)?.visible;
        if !entries.is_empty() {
            return Err(Errno::NOTEMPTY.into());
        }
        state.name(NameChange::Remove { at, ino }, OpKind::RemoveDir);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let state = &mut *self.0.lock();
        let disk = &state.disk;
        let (from, ino) = disk.place(from)?;
        let ino = ino.ok_or(Errno::NOENT)?;
        let ancestors = disk.ancestors(to)?;
        let (to, replaced) = disk.place(to)?;
        // Two names of one file: POSIX wants nothing done, and both names kept.
        if replaced == Some(ino) {
            return Ok(());
        }
        if ancestors.contains(&ino) {
            return Err(Errno::INVAL.into());
        }
        if let Some(replaced) = replaced {
            match (disk.dir(ino), disk.dir(replaced)) {
                (None, Some(_)) => return Err(Errno::ISDIR.into()),
                (Some(_), None) => return Err(Errno::NOTDIR.into()),
                (Some(_), Some(dir)) if !dir.visible.is_empty() => return Err(Errno::NOTEMPTY.into()),
                _ => {}
            }
        }
        state.name(NameChange::Move { from, to, ino }, OpKind::Rename);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        let state = &mut *self.0.lock();
        let (at, there) = state.disk.place(path)?;
        let ino = there.ok_or(Errno::NOENT)?;
        state.disk.file(ino).ok_or(Errno::ISDIR)?;
        state.name(NameChange::Remove { at, ino }, OpKind::Unlink);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        let state = &mut *self.0.lock();
        let ino = state.disk.lookup(from)?;
        let (at, there) = state.disk.place(to)?;
        if there.is_some() {
            return Err(Errno::EXIST.into());
        }
        state.disk.file(ino).ok_or(Errno::PERM)?;
        state.name(NameChange::Add { at, ino }, OpKind::Link);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let state = &mut *self.0.lock();
        let ino = state.disk.lookup(dir)?;
        state.disk.dir(ino).ok_or(Errno::NOTDIR)?;
        state.sync(ino, true)
    }

    fn lock(&self, path: &Path, shared: bool) -> Result<Option<Box<dyn Lock>>> {
        let state = &mut *self.0.lock();
        let ino = state.disk.lookup(path)?;
        match state.locks.iter_mut().find(|held| held.ino == ino) {
            Some(held) if shared && held.shared > 0 => held.shared += 1,
            Some(_) => return Ok(None),
            None => {
                let shared = usize::from(shared);
                state.locks.push(Held { ino, shared });
            }
        }
        let sim = self.0.clone();
        Ok(Some(Box::new(SimLock { sim, ino })))
    }
}

impl Sim {
    pub(in crate::io) fn create_file(&self, path: &Path) -> Result<Arc<SimFile>> {
        let state = &mut *self.0.lock();
        let (at, there) = state.disk.place(path)?;
        if there.is_some() {
            return Err(Errno::EXIST.into());
        }
        let ino = state.make(at, false);
        Ok(self.handle(ino, true))
    }

    pub(in crate::io) fn open_file(&self, path: &Path, write: bool) -> Result<Arc<SimFile>> {
        let disk = &self.0.lock().disk;
        let ino = disk.lookup(path)?;
        disk.file(ino).ok_or(Errno::ISDIR)?;
        Ok(self.handle(ino, write))
    }

    /// A sync of a directory that fails, as one that the disk refused.
    pub(in crate::io) fn fail_sync_dir(&self, dir: &Path) -> Result<()> {
        let state = &mut *self.0.lock();
        let ino = state.disk.lookup(dir)?;
        state.disk.dir(ino).ok_or(Errno::NOTDIR)?;
        state.sync_as(ino, true, false)
    }

    fn handle(&self, ino: Ino, write: bool) -> Arc<SimFile> {
        let sim = self.0.clone();
        Arc::new(SimFile { sim, ino, write })
    }
}

/// Directories from the root on. Simulated tables are not deep, and paths are looked up all the time.
type Way = SmallVec<[Ino; 8]>;

impl State {
    fn make(&mut self, at: Name, dir: bool) -> Ino {
        let ino = self.disk.next_ino();
        self.log(Op::Make { at, ino, dir });
        ino
    }

    fn name(&mut self, change: NameChange, kind: OpKind) {
        self.log(Op::Name { change, kind });
    }
}

impl Disk {
    fn stat(&self, device: u64, ino: Ino) -> Stat {
        let file = self.file(ino);
        Stat {
            kind: if file.is_some() { Kind::File } else { Kind::Dir },
            len: file.map_or(0, |file| file.visible.len()),
            id: (device, u64::from(ino)),
        }
    }

    /// The directories on the way to a path, and what the path names, if anything stands there.
    fn walk(&self, path: &Path) -> Result<(Way, Option<Ino>)> {
        let mut way = Way::from_slice(&[ROOT]);
        let mut there = Some(ROOT);
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            let ino = there.ok_or(Errno::NOENT)?;
            let dir = self.dir(ino).ok_or(Errno::NOTDIR)?;
            match part {
                Component::Normal(name) => {
                    there = dir.visible.get(name.to_str().ok_or(Errno::ILSEQ)?);
                    match there {
                        Some(next) if parts.peek().is_some() => way.push(next),
                        _ => {}
                    }
                }
                Component::ParentDir => {
                    if way.len() > 1 {
                        way.pop();
                    }
                    there = way.last().copied();
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        Ok((way, there))
    }

    pub(super) fn lookup(&self, path: &Path) -> Result<Ino> {
        self.walk(path)?.1.ok_or(Errno::NOENT.into())
    }

    /// The directories above a path.
    fn ancestors(&self, path: &Path) -> Result<Way> {
        Ok(self.walk(path)?.0)
    }

    /// Where a name stands or would stand, and what stands there.
    pub(super) fn place(&self, path: &Path) -> Result<(Name, Option<Ino>)> {
        let name = path
            .file_name()
            .ok_or(Errno::EXIST)?
            .to_str()
            .ok_or(Errno::ILSEQ)?;
        let dir = self.lookup(path.parent().unwrap_or(Path::new("/")))?;
        let there = self.dir(dir).ok_or(Errno::NOTDIR)?.visible.get(name);
        let name = Arc::from(name);
        Ok((Name { dir, name }, there))
    }
}

/// An open file; it goes on when its name is removed.
#[derive(Debug)]
pub(in crate::io) struct SimFile {
    sim: Arc<Mutex<State>>,
    ino: Ino,
    write: bool,
}

impl SimFile {
    /// A sync that fails, as one that the disk refused.
    pub(in crate::io) fn fail_sync(&self) -> Result<()> {
        self.sim.lock().sync_as(self.ino, false, false)
    }

    fn change(&self, change: Change) {
        let state = &mut *self.sim.lock();
        let written = state.disk.file(self.ino).map_or(0, |file| file.written);
        let kind = match &change {
            Change::Write { offset, .. } if *offset >= written => OpKind::Append,
            Change::Write { .. } => OpKind::Overwrite,
            Change::Truncate { .. } => OpKind::Truncate,
            Change::Preallocate { .. } => OpKind::Preallocate,
        };
        let ino = self.ino;
        state.log(Op::Change { ino, change, kind });
    }

    fn may_write(&self, otherwise: Errno) -> Result<()> {
        if self.write { Ok(()) } else { Err(otherwise.into()) }
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let state = self.sim.lock();
        let file = state.disk.file(self.ino).ok_or(Errno::BADF)?;
        if file.visible.read(buf, offset) < buf.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn read_at_nowait(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if self.sim.lock().cold {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        self.may_write(Errno::BADF)?;
        let end = offset.checked_add(buf.len() as u64);
        end.filter(|end| *end <= LEN_MAX).ok_or(Errno::FBIG)?;
        if buf.is_empty() {
            return Ok(());
        }
        let data = Arc::from(buf);
        self.change(Change::Write { offset, data });
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.sim.lock().sync(self.ino, false)
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.may_write(Errno::INVAL)?;
        if len > LEN_MAX {
            return Err(Errno::FBIG.into());
        }
        self.change(Change::Truncate { len });
        Ok(())
    }

    fn preallocate(&self, len: u64) -> Result<()> {
        self.may_write(Errno::BADF)?;
        if len > LEN_MAX {
            return Err(Errno::FBIG.into());
        }
        if len <= self.len()? {
            return Ok(());
        }
        self.change(Change::Preallocate { len });
        Ok(())
    }

    fn window(&self, range: Range<u64>) -> Result<Box<dyn Window>> {
        self.may_write(Errno::BADF)?;
        let file = SimFile {
            sim: Arc::clone(&self.sim),
            ..*self
        };
        Ok(Box::new(FileWindow::new(Arc::new(file), range)))
    }

    fn len(&self) -> Result<u64> {
        let state = self.sim.lock();
        let file = state.disk.file(self.ino).ok_or(Errno::BADF)?;
        Ok(file.visible.len())
    }
}

#[derive(Debug)]
struct SimLock {
    sim: Arc<Mutex<State>>,
    ino: Ino,
}

impl Lock for SimLock {
    fn id(&self) -> Result<(u64, u64)> {
        Ok((self.sim.lock().device, u64::from(self.ino)))
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let state = &mut *self.sim.lock();
        state.locks.retain_mut(|held| {
            if held.ino == self.ino {
                held.shared = held.shared.saturating_sub(1);
            }
            held.ino != self.ino || held.shared > 0
        });
    }
}
