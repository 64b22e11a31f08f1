//! Kernel locks: flock, which belongs to the open descriptor, so that it works within one process too and ends with it.

use std::fs;
use std::io::{ErrorKind, Result};
use std::path::Path;

use fs2::FileExt;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::io::Lock;

/// Holds the lock as long as the descriptor is open.
#[derive(Debug)]
struct OsLock(fs::File);

impl Lock for OsLock {
    fn id(&self) -> Result<(u64, u64)> {
        Ok(super::id(&rustix::fs::fstat(&self.0)?))
    }
}

/// Locks a directory, or a regular file, without waiting.
pub(super) fn take(path: &Path, shared: bool) -> Result<Option<Box<dyn Lock>>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let open = |more| retry_on_intr(|| rustix::fs::open(path, flags | more, Mode::empty()));
    // A link that leads to the table's directory is normal; one that stands for a lock file is refused.
    let fd = match open(OFlags::NOFOLLOW) {
        Err(Errno::LOOP) => {
            open(OFlags::DIRECTORY).map_err(|e| if e == Errno::NOTDIR { Errno::LOOP } else { e })
        }
        other => other,
    }?;
    let file = fs::File::from(fd);
    loop {
        // Named in full: the standard library has methods of the same names with other results.
        let taken = if shared {
            FileExt::try_lock_shared(&file)
        } else {
            FileExt::try_lock_exclusive(&file)
        };
        match taken {
            Ok(()) => return Ok(Some(Box::new(OsLock(file)))),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
