//! All input and output of the engine goes through these traits.
//!
//! Three implementations stand behind them: [`real`] (the operating system), `sim` (in memory; crashes at any point and
//! loses, tears or reorders what was not synced) and `failing` (fails the Nth call). The latter two are test equipment,
//! compiled for tests and with the feature `testing`. Offsets and lengths are in bytes.

mod bytes;
mod dirs;
#[cfg(any(test, feature = "testing"))]
pub mod failing;
pub mod real;
#[cfg(any(test, feature = "testing"))]
pub mod sim;
#[cfg(any(test, feature = "testing"))]
mod window;

use std::fmt::Debug;
use std::io::{ErrorKind, Result};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub(crate) use bytes::Bytes;

/// What stands behind a path, without following a symbolic link in its last component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, a device, a socket.
    Other,
}

/// What [`Storage::stat`] tells of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// File, directory or something else.
    pub kind: Kind,
    /// Length in bytes.
    pub len: u64,
    /// Device and inode: the identity of what the path names.
    pub id: (u64, u64),
}

/// A file system. Unless something else is said, calls may wait for the disk and fail with the error of the system call
/// of their name.
pub trait Storage: Send + Sync + Debug {
    /// Creates a new file of mode 0600 for reading and writing; fails with `AlreadyExists` if there is one.
    fn create(&self, path: &Path) -> Result<Arc<dyn File>>;
    /// Opens a regular file. Anything else is refused without waiting: a directory with EISDIR, a symbolic link as last
    /// component with ELOOP, a device or FIFO with `InvalidInput`. `write` asks for writing too.
    fn open(&self, path: &Path, write: bool) -> Result<Arc<dyn File>>;
    /// What the path names (a symbolic link itself is not followed), or `None` if nothing stands there.
    fn stat(&self, path: &Path) -> Result<Option<Stat>>;
    /// Like [`Storage::stat`], following symbolic links: for the table directory itself.
    fn stat_follow(&self, path: &Path) -> Result<Option<Stat>>;
    /// The names in a directory, in any order. A name that is not UTF-8 is told with replacement characters.
    fn list(&self, dir: &Path) -> Result<Vec<String>>;
    /// Creates a directory of mode 0700 and its missing parents, each parent directory synced. If it is there, its parent
    /// is synced all the same. `NotADirectory` if something else is in the way.
    fn create_dir_all(&self, dir: &Path) -> Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, dir: &Path) -> Result<()>;
    /// Renames a file, replacing what stands at `to`. Durable after [`Storage::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Renames a directory; `AlreadyExists`, and nothing is changed, if anything stands at `to`, be it an empty directory that somebody else has just made for
    /// a table. Durable after [`Storage::sync_dir`] of both parents.
    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        if self.stat(to)?.is_some() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.rename(from, to)
    }
    /// Removes a file's name. Those who hold it open go on.
    fn unlink(&self, path: &Path) -> Result<()>;
    /// Makes a second name for a file.
    fn link(&self, from: &Path, to: &Path) -> Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> Result<()>;
    /// Takes the kernel's lock on a directory or a regular file (`shared` or exclusive) without waiting. `None` if another
    /// holder has it, in this process or another. A symbolic link is followed if it leads to a directory, else refused
    /// with ELOOP. The lock ends when the value is dropped or the process dies.
    fn lock(&self, path: &Path, shared: bool) -> Result<Option<Box<dyn Lock>>>;
}

/// A part of a file that is written without a system call.
pub trait Window: Send + Debug {
    /// Writes all of `buf` at `offset` of the file. Both must lie in the range that was asked for, else `InvalidInput`. After an
    /// error any part of it may have been written and the window is of no more use.
    fn write_at(&mut self, buf: &[u8], offset: u64) -> Result<()>;
}

/// A held kernel lock.
pub trait Lock: Send + Sync + Debug {
    /// Device and inode of what is locked.
    fn id(&self) -> Result<(u64, u64)>;
}

/// An open file.
pub trait File: Send + Sync + Debug {
    /// Fills `buf` from `offset`; `UnexpectedEof` if the file ends before. May wait for the disk.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()>;
    /// Like [`File::read_at`] but never waits: `WouldBlock` if some byte is not in memory or it cannot be told. The kernel
    /// may begin to fetch the bytes then, so that the same call succeeds a little later.
    fn read_at_nowait(&self, buf: &mut [u8], offset: u64) -> Result<()>;
    /// Writes all of `buf` at `offset`. After an error any part of it may have been written, but for EFBIG (beyond what the
    /// process or the file system allows): nothing then, and no signal.
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<()>;
    /// Makes the bytes and the length durable. A failed sync must not be tried again on the same file.
    fn sync(&self) -> Result<()>;
    /// Sets the length; new bytes are zero. EFBIG as in [`File::write_at`].
    fn truncate(&self, len: u64) -> Result<()>;
    /// Reserves space up to `len`, zero-filled, so that writes below it need no new blocks. Best effort: an
    /// `Unsupported` error means that the file system cannot and that nothing changed. After another one (`StorageFull`,
    /// say) the file may be longer than before. Never cuts the file.
    fn preallocate(&self, len: u64) -> Result<()>;
    /// A window for writing into bytes that were preallocated, for one writer. What is written through it is as safe as what
    /// [`File::write_at`] wrote, and read, synced and lost like it. `Unsupported` where the system cannot promise that.
    /// Nothing may be cut from the range while the window is used: a write then fails.
    fn window(&self, _range: Range<u64>) -> Result<Box<dyn Window>> {
        Err(ErrorKind::Unsupported.into())
    }
    /// The length in bytes.
    fn len(&self) -> Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
}
