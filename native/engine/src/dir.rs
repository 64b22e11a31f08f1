//! Where an open table's directory stands: a table may be renamed while it is open.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::RwLock;

/// The path of a table's directory.
#[derive(Debug)]
pub struct Dir {
    path: RwLock<PathBuf>,
    /// The table whose files alone may be read there, if that has to be looked at: others may put another table there.
    pub table: Option<u64>,
}

impl Dir {
    /// A directory that stands at `path`.
    pub fn new(path: &Path) -> Self {
        Dir {
            path: RwLock::new(path.to_path_buf()),
            table: None,
        }
    }

    /// The directory of a table that another process may move, delete and make anew meanwhile.
    pub fn of_snapshot(path: &Path, table: u64) -> Self {
        Dir {
            table: Some(table),
            ..Dir::new(path)
        }
    }

    /// Where it stands now.
    pub fn path(&self) -> PathBuf {
        self.path.read().clone()
    }

    /// Runs `f` on the path, which stays right until `f` is done.
    pub fn with<R>(&self, f: impl FnOnce(&Path) -> R) -> R {
        f(&self.path.read())
    }

    /// Lets `rename` move the directory from the first path to the second, and stands there if that went well.
    pub fn rename(&self, to: &Path, rename: impl FnOnce(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        let mut path = self.path.write();
        rename(&path, to)?;
        *path = to.to_path_buf();
        Ok(())
    }
}
