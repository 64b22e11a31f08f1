//! The operating system's file system.
//!
//! What the calls of [`Storage`] mean on Linux with glibc is tested. Elsewhere `read_at_nowait` always says
//! `WouldBlock` and `preallocate` says `Unsupported` where the system lacks the calls; the rest is POSIX.

mod file;
mod limit;
mod lock;
#[cfg(target_os = "linux")]
mod window;

use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};

use super::{File, Kind, Lock, Stat, Storage, dirs};

const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIR_MODE: Mode = Mode::RWXU;

/// The file system of the operating system. Every call may wait for the disk, but for
/// [`File::read_at_nowait`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Os;

impl Storage for Os {
    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| rustix::fs::open(path, flags, FILE_MODE))?;
        // The umask can only take bits away, but then it takes away the owner's.
        let stat = rustix::fs::fstat(&fd)?;
        if Mode::from_raw_mode(stat.st_mode) != FILE_MODE {
            tolerate_no_modes(rustix::fs::fchmod(&fd, FILE_MODE))?;
        }
        Ok(Arc::new(file::OsFile::new(fd)))
    }

    fn open(&self, path: &Path, write: bool) -> Result<Arc<dyn File>> {
        let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
        // NONBLOCK keeps the open of a FIFO that someone has planted from waiting; regular files ignore it.
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        match kind(&rustix::fs::fstat(&fd)?) {
            Kind::File => Ok(Arc::new(file::OsFile::new(fd))),
            Kind::Dir => Err(Errno::ISDIR.into()),
            Kind::Other => Err(Error::new(ErrorKind::InvalidInput, "not a regular file")),
        }
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>> {
        stat(path, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn stat_follow(&self, path: &Path) -> Result<Option<Stat>> {
        stat(path, AtFlags::empty())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        // A name that is not UTF-8 cannot be the engine's; it is told all the same, so that a directory which holds
        // one does not look empty.
        let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        std::fs::read_dir(here(dir))?
            .map(|entry| entry.map(name))
            .collect()
    }

    fn create_dir_all(&self, dir: &Path) -> Result<()> {
        dirs::create_all(self, dir, |dir| {
            rustix::fs::mkdir(dir, DIR_MODE)?;
            let stat = rustix::fs::lstat(dir)?;
            if Mode::from_raw_mode(stat.st_mode) & Mode::RWXU != DIR_MODE {
                tolerate_no_modes(rustix::fs::chmod(dir, DIR_MODE))?;
            }
            Ok(())
        })
    }

    fn remove_dir(&self, dir: &Path) -> Result<()> {
        Ok(rustix::fs::rmdir(dir)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        Ok(rustix::fs::rename(from, to)?)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The file system, or the kernel, has no such call.
            Err(Errno::INVAL | Errno::NOSYS) => {
                if self.stat(to)?.is_some() {
                    return Err(Errno::EXIST.into());
                }
                self.rename(from, to)
            }
            done => Ok(done?),
        }
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        Ok(rustix::fs::unlink(path)?)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        // No flags: a symbolic link at `from` is not followed.
        Ok(rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty())?)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| rustix::fs::open(here(dir), flags, Mode::empty()))?;
        Ok(rustix::fs::fsync(&fd)?)
    }

    fn lock(&self, path: &Path, shared: bool) -> Result<Option<Box<dyn Lock>>> {
        lock::take(here(path), shared)
    }
}

/// The empty path is what `Path::parent` says of a relative name: the working directory.
fn here(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    }
}

/// File systems without modes (FAT, some network ones) refuse to change them, and the file is usable.
fn tolerate_no_modes(result: rustix::io::Result<()>) -> Result<()> {
    match result {
        Err(Errno::PERM | Errno::NOTSUP) => Ok(()),
        other => Ok(other?),
    }
}

fn kind(stat: &rustix::fs::Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        _ => Kind::Other,
    }
}

fn stat(path: &Path, flags: AtFlags) -> Result<Option<Stat>> {
    match rustix::fs::statat(CWD, here(path), flags) {
        Ok(stat) => Ok(Some(Stat {
            kind: kind(&stat),
            len: u64::try_from(stat.st_size).unwrap_or(0),
            id: id(&stat),
        })),
        Err(Errno::NOENT) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

#[allow(clippy::unnecessary_cast, reason = "the fields' types differ between systems")]
fn id(stat: &rustix::fs::Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}
