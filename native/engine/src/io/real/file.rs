//! An open file of the operating system.

use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, retry_on_intr};

use super::limit::{self, Limit};
use crate::io::{File, Window};

/// Offsets beyond it mean other things to the kernel (the current position, an error).
const OFFSET_MAX: u64 = i64::MAX as u64;

/// Positioned reads and writes only: the descriptor's own position is never used, so calls do not disturb each other.
#[derive(Debug)]
pub(super) struct OsFile {
    fd: OwnedFd,
    limit: Limit,
    /// The file system cannot tell whether a read would wait; asked once.
    nowait_unsupported: AtomicBool,
}

impl OsFile {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            limit: Limit::default(),
            nowait_unsupported: AtomicBool::new(false),
        }
    }

    /// One attempt of a read that does not wait; 0 may mean the end of the file.
    #[cfg(target_os = "linux")]
    fn try_read(&self, buf: &mut [u8], offset: u64) -> rustix::io::Result<usize> {
        let mut bufs = [std::io::IoSliceMut::new(buf)];
        let flags = rustix::io::ReadWriteFlags::NOWAIT;
        retry_on_intr(|| rustix::io::preadv2(&self.fd, &mut bufs, offset, flags))
    }

    #[cfg(not(target_os = "linux"))]
    fn try_read(&self, _buf: &mut [u8], _offset: u64) -> rustix::io::Result<usize> {
        Err(Errno::OPNOTSUPP)
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn allocate(&self, len: u64) -> rustix::io::Result<()> {
        retry_on_intr(|| rustix::fs::fallocate(&self.fd, rustix::fs::FallocateFlags::empty(), 0, len))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn allocate(&self, _len: u64) -> rustix::io::Result<()> {
        Err(Errno::OPNOTSUPP)
    }
}

impl File for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let mut done = 0;
        while let Some(rest) = rest(buf, done) {
            let at = position(offset, done, rest.len()).ok_or(ErrorKind::UnexpectedEof)?;
            match retry_on_intr(|| rustix::io::pread(&self.fd, &mut *rest, at))? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => done += n,
            }
        }
        Ok(())
    }

    fn read_at_nowait(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if self.nowait_unsupported.load(Ordering::Relaxed) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut done = 0;
        while let Some(rest) = rest(buf, done) {
            let at = position(offset, done, rest.len()).ok_or(ErrorKind::UnexpectedEof)?;
            match self.try_read(rest, at) {
                // Some kernels (5.9, 5.10) also say 0 for what is not in memory, so the length decides.
                Ok(0) if self.len()? > at => return Err(ErrorKind::WouldBlock.into()),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                // Only part was in memory. The rest may be, or end here: the next attempt tells.
                Ok(n) => done += n,
                Err(Errno::AGAIN) => return Err(ErrorKind::WouldBlock.into()),
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    self.nowait_unsupported.store(true, Ordering::Relaxed);
                    return Err(ErrorKind::WouldBlock.into());
                }
                Err(other) => return Err(other.into()),
            }
        }
        Ok(())
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()> {
        let end = position(offset, 0, buf.len()).and(offset.checked_add(buf.len() as u64));
        self.limit.check(end.ok_or(Errno::FBIG)?)?;
        let mut done = 0;
        while done < buf.len() {
            // A short write is normal for a disk that is nearly full: the next attempt brings the error.
            match retry_on_intr(|| rustix::io::pwrite(&self.fd, &buf[done..], offset + done as u64))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                n => done += n,
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        // Not tried again on EINTR either: a second sync can say ok for what the first has lost.
        #[cfg(not(any(target_os = "macos", target_os = "ios")))]
        rustix::fs::fdatasync(&self.fd)?;
        #[cfg(any(target_os = "macos", target_os = "ios"))]
        rustix::fs::fcntl_fullfsync(&self.fd)?;
        Ok(())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        // Only growth is limited, but growth is rare enough to ask each time.
        if len > self.len()? {
            limit::check_now(len)?;
        }
        Ok(retry_on_intr(|| rustix::fs::ftruncate(&self.fd, len))?)
    }

    fn preallocate(&self, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        limit::check_now(len)?;
        match self.allocate(len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(Error::from(ErrorKind::Unsupported)),
            other => Ok(other?),
        }
    }

    #[cfg(target_os = "linux")]
    fn window(&self, range: Range<u64>) -> Result<Box<dyn Window>> {
        Ok(Box::new(super::window::Mapping::new(&self.fd, &range)?))
    }

    fn len(&self) -> Result<u64> {
        let stat = rustix::fs::fstat(&self.fd)?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }
}

/// What is still to be filled, if anything.
fn rest(buf: &mut [u8], done: usize) -> Option<&mut [u8]> {
    buf.get_mut(done..).filter(|rest| !rest.is_empty())
}

/// The offset after `done` bytes, if `len` bytes from there are within what a file can have.
fn position(offset: u64, done: usize, len: usize) -> Option<u64> {
    let at = offset.checked_add(done as u64)?;
    at.checked_add(len as u64).filter(|end| *end <= OFFSET_MAX)?;
    Some(at)
}
